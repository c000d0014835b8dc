use proptest::prelude::*;

use super::*;
use crate::acl::Acl;
use crate::command::{ArgvBuf, Dialect};
use crate::learn::{Evidence, Replay};

fn table() -> CommandTable {
    CommandTable::builtin(Dialect::Redis70)
}

fn requests(lines: &[&str]) -> Vec<ArgvBuf> {
    lines.iter().map(|line| line.split(' ').collect()).collect()
}

fn learn(requests: &[ArgvBuf], evidence: &Evidence, would_refuse: bool) -> Usage {
    let (table, mut usage) = (table(), Usage::new(evidence));
    for argv in requests {
        usage.note(table.resolve(&argv.as_argv()).unwrap(), &argv.as_argv(), 1, would_refuse);
    }
    usage
}

/// As for a file: learnt, suggested, and replayed until nothing is idle.
fn suggested(requests: &[ArgvBuf]) -> (Suggestion, u64) {
    let table = table();
    let mut suggestion = suggest_of(&learn(requests, &Evidence::of_file(None), false), None, &[]);
    loop {
        let replay = replayed(&suggestion, requests, &table);
        assert_eq!(replay.refused_unsaid, 0, "{}", suggestion.line.text());
        match replay.without_idle(&suggestion) {
            None => return (suggestion, replay.refused_as_said),
            Some(narrower) => suggestion = narrower,
        }
    }
}

fn replayed<'t>(suggestion: &Suggestion, requests: &[ArgvBuf], table: &'t CommandTable) -> Replay<'t> {
    let mut replay = Replay::new(&suggestion.line, &suggestion.withheld, table).unwrap();
    requests.iter().for_each(|argv| {
        replay.replay(table.resolve(&argv.as_argv()).unwrap(), &argv.as_argv(), 0);
    });
    replay
}

fn suggest_of(usage: &Usage, current: Option<&User>, others: &[(&str, &Usage)]) -> Suggestion {
    let table = table();
    let blocked = |spec: &CommandSpec| spec.implied_categories().intersects(table.category(b"scripting").unwrap());
    let context = Context { table: &table, current, is_blocked: &blocked, others, shares: false };
    suggest(UserName::new(b"shop").unwrap(), usage, &context).unwrap()
}

fn rules(suggestion: &Suggestion) -> String {
    [suggestion.line.commands.join(" "), suggestion.line.places.join(" ")].join(" ")
}

fn withheld(suggestion: &Suggestion) -> Vec<(&str, WithheldReason)> {
    suggestion.withheld.iter().map(|withheld| (withheld.rule.as_str(), withheld.reason.clone())).collect()
}

#[test]
fn each_key_is_granted_what_it_was_used_for() {
    let (suggestion, refused) = suggested(&requests(&[
        "GET cfg:mode",
        "SET out:a v",
        "GETSET count v",
        "EXISTS flag",
        "PUBLISH news x",
        "PSUBSCRIBE news.*",
        "PING",
        "HELLO 3",
    ]));
    assert_eq!(
        rules(&suggestion),
        "+exists +get +getset +ping +psubscribe +publish +set %R~cfg:mode ~count %R~flag %W~out:a &news &news.*"
    );
    assert_eq!((refused, withheld(&suggestion)), (0, vec![]));
}

#[test]
fn dangerous_commands_are_named_and_not_suggested() {
    let (suggestion, refused) = suggested(&requests(&["KEYS *", "GET a", "SORT a", "CLIENT LIST"]));
    assert_eq!(rules(&suggestion), "+get %R~a");
    assert_eq!(withheld(&suggestion), ["+client|list", "+keys", "+sort"].map(|rule| (rule, WithheldReason::Dangerous)));
    assert_eq!(refused, 3);
}

#[test]
fn what_only_came_with_something_dangerous_is_not_suggested_either() {
    let (suggestion, _) = suggested(&requests(&["SORT list", "GET 17:a", "PING"]));
    assert_eq!(rules(&suggestion), "+ping ");
    let expected = [
        ("+sort", WithheldReason::Dangerous),
        ("%R~*:a", WithheldReason::Open(Unnamed::Rare)),
        ("+get", WithheldReason::OnlyWithOthers),
        ("%R~list", WithheldReason::OnlyWithOthers),
    ];
    assert_eq!(withheld(&suggestion), expected);
}

#[test]
fn scripts_are_suggested_and_need_a_setting() {
    let (suggestion, _) = suggested(&requests(&["EVALSHA 1234 1 a", "SCRIPT LOAD x"]));
    assert_eq!(rules(&suggestion), "+evalsha +script|load ~a");
    assert_eq!(suggestion.scripts, ["evalsha", "script|load"]);
}

#[test]
fn a_name_without_a_beginning_opens_nothing() {
    let many: Vec<ArgvBuf> = (0..3000).map(|n| ArgvBuf::from_iter(["GET".to_owned(), format!("{n}:cart")])).collect();
    let (suggestion, refused) = suggested(&many);
    assert_eq!(rules(&suggestion), " ");
    assert_eq!(refused, 3000);
    let expected = [("%R~*:cart", WithheldReason::Open(Unnamed::Many)), ("+get", WithheldReason::OnlyWithOthers)];
    assert_eq!(withheld(&suggestion), expected);
}

#[test]
fn a_rule_for_one_character_does_not_stand_in_for_a_part_that_is_not_told() {
    let (suggestion, refused) = suggested(&requests(&["PSUBSCRIBE cc:?", "SUBSCRIBE cc:00"]));
    assert_eq!((rules(&suggestion).as_str(), refused), ("+psubscribe +subscribe &cc:* &cc:?", 0));
}

#[test]
fn a_pattern_to_subscribe_to_is_granted_to_the_letter_and_never_all() {
    let (suggestion, _) = suggested(&requests(&["PSUBSCRIBE /0.celeryev/worker.*", "PSUBSCRIBE *", "SUBSCRIBE a"]));
    assert_eq!(suggestion.line.places, ["&/0.celeryev/worker.*", "&a"]);
    assert_eq!(withheld(&suggestion), [("&*", WithheldReason::Open(Unnamed::Many))]);
}

#[test]
fn who_logs_in_with_what_stays_as_it_is() {
    let table = table();
    let hash = "a".repeat(64);
    let text = format!("user shop off #{hash} ~shop:* ~tmp:* &* +@all");
    let acl = Acl::parse(text.as_bytes(), &table).unwrap();
    let usage = learn(&requests(&["GET shop:mode"]), &Evidence::of_file(None), false);
    let suggestion = suggest_of(&usage, acl.user(b"shop").map(|user| &**user), &[]);
    let expected = format!("user shop off #{hash} resetkeys resetchannels -@all +get %R~shop:mode");
    assert_eq!(suggestion.line.text(), expected);
    assert_eq!(suggestion.unused_places, ["~tmp:*", "&*"]);
    let (allowed, unused) = suggestion.unused_commands.unwrap();
    assert!(allowed > 200 && unused == allowed - 1, "{allowed} {unused}");
    let read = Acl::parse(expected.as_bytes(), &table).unwrap();
    assert!(!read.user(b"shop").unwrap().is_enabled());
}

/// A hostile user of traffic: what it makes up is the largest part of it.
fn hostile(keys: impl Fn(u64) -> String) -> Usage {
    let (table, mut usage) = (table(), Usage::new(&Evidence::of_traffic()));
    for n in 0..50_000_u64 {
        let argv = ArgvBuf::from_iter(["GET".to_owned(), keys(n.wrapping_mul(0x9e37_79b9_7f4a_7c15))]);
        usage.note(table.by_name("get").unwrap(), &argv.as_argv(), 1, false);
    }
    usage
}

#[test]
fn made_up_names_get_no_pattern_suggested_that_opens_those_of_others() {
    let bank = hostile(|n| format!("bank:account:{}", n % 1_000));
    let shapes: [fn(u64) -> String; 6] = [
        |n| format!("{n}"),
        |n| format!("{}:{}", n % 99, n % 77),
        |n| format!("{{{}}}:account", n % 99_999),
        |n| format!("b{}:account:{}", n % 50, n % 9_000),
        |n| format!("bank:{}", n % 50_000),
        |n| format!("bank{}{}", char::from(b":-./|"[n as usize % 5]), n % 4_000),
    ];
    for made_up in shapes {
        let usage = hostile(made_up);
        let suggestion = suggest_of(&usage, None, &[("bank", &bank)]);
        let user = suggestion.line.user(&table()).unwrap();
        for key in ["bank:account:1", "bank:account:998"] {
            let argv = ArgvBuf::from_iter(["GET", key]);
            let may = user.check(table().by_name("get").unwrap(), &argv.as_argv(), Some(0));
            assert!(may.is_err(), "{} opens {key}", suggestion.line.text());
        }
    }
}

#[test]
fn a_line_has_no_more_patterns_than_somebody_can_read() {
    // Eight in each of four places: all of them are told.
    let names: Vec<ArgvBuf> = (0..20_000_u64)
        .map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15))
        .map(|n| format!("a{}:b{}:c{}:d{}", n % 8, n / 8 % 8, n / 64 % 8, n / 512 % 8))
        .map(|name| ArgvBuf::from_iter(["GET".to_owned(), name]))
        .collect();
    let usage = learn(&names, &Evidence::of_file(None), false);
    let suggestion = suggest_of(&usage, None, &[]);
    assert!(suggestion.line.places.len() <= MOST_PATTERNS, "{}", suggestion.line.places.len());
    let mut often = vec![ArgvBuf::from_iter(["GET", "mode"]); 100];
    often.extend((0..3_000).map(|n| {
        let letters = |n: u32| char::from(b'a' + u8::try_from(n % 8).unwrap());
        let name = format!("{}:{}:{}:{}", letters(n), letters(n / 8), letters(n / 64), letters(n / 512));
        ArgvBuf::from_iter(["GET".to_owned(), name])
    }));
    let suggestion = suggest_of(&learn(&often, &Evidence::of_file(None), false), None, &[]);
    assert_eq!(suggestion.line.places.len(), MOST_PATTERNS);
    assert!(suggestion.line.places.contains(&"%R~mode".to_owned()), "the most used one is there");
    assert!(suggestion.withheld.iter().any(|withheld| withheld.reason == WithheldReason::TooMany));
}

#[test]
fn a_name_that_is_alike_for_two_is_shared_and_said_so() {
    let queue = learn(&vec![ArgvBuf::from_iter(["LPUSH", "queue", "x"]); 1000], &Evidence::of_traffic(), false);
    let suggestion = suggest_of(&queue, None, &[("worker", &queue)]);
    assert_eq!(suggestion.line.places, ["%W~queue"]);
    assert_eq!(suggestion.shared, [("~queue".to_owned(), "worker".to_owned())]);
    let refused = learn(&vec![ArgvBuf::from_iter(["LPUSH", "queue", "x"]); 1000], &Evidence::of_traffic(), true);
    let suggestion = suggest_of(&refused, None, &[("worker", &queue)]);
    assert_eq!(suggestion.line.places, [""; 0]);
    assert_eq!(withheld(&suggestion), [("%W~queue", WithheldReason::Shared("worker".to_owned()))]);
}

#[test]
fn a_pattern_that_was_subscribed_to_is_not_suggested_where_others_use_such_channels() {
    let subscribed = learn(&vec![ArgvBuf::from_iter(["PSUBSCRIBE", "bank.*"]); 1000], &Evidence::of_traffic(), false);
    let shared = vec![("&bank.*", WithheldReason::Shared("bank".to_owned()))];
    for theirs in ["PUBLISH bank.open x", "PSUBSCRIBE bank.*"] {
        let bank = learn(&requests(&[theirs; 1000]), &Evidence::of_traffic(), false);
        let suggestion = suggest_of(&subscribed, None, &[("bank", &bank)]);
        assert_eq!((suggestion.line.places.len(), withheld(&suggestion)), (0, shared.clone()), "{theirs}");
    }
    let shop = learn(&requests(&["PUBLISH shop.open x"; 1000]), &Evidence::of_traffic(), false);
    assert_eq!(suggest_of(&subscribed, None, &[("shop", &shop)]).line.places, ["&bank.*"]);
}

#[test]
fn where_it_is_not_told_whether_others_use_the_same_that_is_said() {
    let queue = learn(&requests(&["GET queue:mail"; 1000]), &Evidence::of_traffic(), false);
    let refused = learn(&requests(&["GET queue:mail"; 1000]), &Evidence::of_traffic(), true);
    let mut without_room = Usage::new(&Evidence::of_traffic());
    without_room.keys.add_without_room(Uses { count: 12, ..Uses::NONE });
    let rare = learn(&requests(&["GET queue:mail"; 12]), &Evidence::of_traffic(), false);
    let odd: Vec<ArgvBuf> = vec![ArgvBuf::from_iter(["GET", "441632960961"]); 2000];
    let odd = learn(&odd, &Evidence::of_traffic(), false);
    for (other, uses) in [(&without_room, 12), (&rare, 12), (&odd, 2000)] {
        let suggestion = suggest_of(&queue, None, &[("bank", other)]);
        assert_eq!(suggestion.line.places, ["%R~queue:mail"]);
        assert_eq!(suggestion.untold, BTreeMap::from([("bank".to_owned(), uses)]));
        let suggestion = suggest_of(&refused, None, &[("bank", other)]);
        assert_eq!(suggestion.line.places, [""; 0]);
        assert_eq!(withheld(&suggestion), [("%R~queue:mail", WithheldReason::MaybeShared("bank".to_owned()))]);
    }
    let told = learn(&requests(&["GET shop:mail"; 1000]), &Evidence::of_traffic(), false);
    assert!(suggest_of(&queue, None, &[("shop", &told)]).untold.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever was asked for: nothing is refused but what is named, and each token taken out refuses something.
    #[test]
    fn the_line_is_enough_and_no_token_is_too_much(
        asked in prop::collection::vec(
            (
                prop::sample::select(vec![
                    "GET @", "SET @ v", "MGET @ @", "DEL @", "COPY @ @", "GETSET @ v", "EXISTS @", "KEYS *", "SCAN 0",
                    "SUBSCRIBE @", "PUBLISH @ v", "PSUBSCRIBE @", "SORT @ BY a*", "XREAD STREAMS @ @", "EVAL x 1 @", "INFO",
                ]),
                "(a|b|cc|[0-9]|\\*|\\[)([:.-](a|b|[0-9]{1,2}|\\?|\\$\\{)){0,3}",
            ),
            1..60,
        ),
    ) {
        let requests: Vec<ArgvBuf> =
            asked.iter().map(|(request, key)| request.replace('@', key).split(' ').collect()).collect();
        let (suggestion, refused) = suggested(&requests);
        prop_assert!(refused == 0 || !suggestion.withheld.is_empty());
        let table = table();
        let allowed = |line: &Line| {
            let user = line.user(&table).unwrap();
            let may = |argv: &&ArgvBuf| {
                user.check(table.resolve(&argv.as_argv()).unwrap(), &argv.as_argv(), Some(0)).is_ok()
            };
            requests.iter().filter(may).count()
        };
        let all = allowed(&suggestion.line);
        prop_assert_eq!(all + usize::try_from(refused).unwrap(), requests.len());
        for at in 0..suggestion.line.commands.len() {
            let mut less = suggestion.line.clone();
            less.commands.remove(at);
            prop_assert!(allowed(&less) < all, "{} is idle in {}", suggestion.line.commands[at], suggestion.line.text());
        }
        for at in 0..suggestion.line.places.len() {
            let mut less = suggestion.line.clone();
            less.places.remove(at);
            prop_assert!(allowed(&less) < all, "{} is idle in {}", suggestion.line.places[at], suggestion.line.text());
        }
        let line = suggestion.line.text();
        prop_assert!(Acl::parse(line.as_bytes(), &table).is_ok(), "{}", line);
    }
}
