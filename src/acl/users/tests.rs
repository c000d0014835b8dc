use super::*;
use crate::acl::{Effort, PasswordHash, Unknown};
use crate::command::Dialect;

/// The line that lists bob after `rules`, or the error.
fn line(dialect: Dialect, rules: &[&str]) -> Result<String, String> {
    let table = CommandTable::builtin(dialect);
    let rules: Vec<&[u8]> = rules.iter().map(|rule| rule.as_bytes()).collect();
    let acl = Acl::new(&table).set_user(b"bob", &rules, &table).map_err(|error| error.to_string())?;
    let line = acl.user(b"bob").unwrap().to_line(&table);
    Ok(String::from_utf8(line).unwrap().strip_prefix("user bob ").unwrap().to_owned())
}

fn redis(rules: &[&str]) -> Result<String, String> {
    line(Dialect::Redis70, rules)
}

fn valkey(rules: &[&str]) -> Result<String, String> {
    line(Dialect::Valkey91, rules)
}

#[track_caller]
fn assert_refused(rule: &str, reason: &str) {
    let wanted = Err(format!("Error in ACL SETUSER modifier '{rule}': {reason}"));
    assert_eq!(redis(&["on", rule]), wanted);
    assert_eq!(valkey(&["on", rule]), wanted);
}

const ALL_KEYS: &str = "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have \
     any effect. Try 'resetkeys' to start with an empty list of patterns";

#[test]
fn key_patterns_carry_permissions() {
    assert_eq!(redis(&["~a", "%R~b", "%w~c", "%wR~d"]).unwrap(), "off ~a %R~b %W~c ~d resetchannels -@all");
    assert_eq!(redis(&["%R~a", "%W~a", "~b", "~b"]).unwrap(), "off ~a ~b resetchannels -@all");
    assert_eq!(redis(&["allkeys"]).unwrap(), "off ~* resetchannels -@all");
    assert_eq!(redis(&["~a", "allkeys", "resetkeys", "~b"]).unwrap(), "off ~b resetchannels -@all");
}

#[test]
fn an_empty_pattern_is_one_and_may_lack_its_tilde() {
    for (rule, listed) in [("~", "~"), ("%R~", "%R~"), ("%R", "%R~"), ("%RW", "~")] {
        assert_eq!(redis(&[rule]).unwrap(), format!("off {listed} resetchannels -@all"));
    }
}

#[test]
fn wrong_key_patterns_are_syntax_errors_unless_all_keys_come_first() {
    for rule in ["%", "%~a", "%RR~a", "%X~a", "~a\tb", "~a b"] {
        assert_refused(rule, "Syntax error");
    }
    for rule in ["~a", "%R~a", "%X~a"] {
        assert_eq!(redis(&["~*", rule]).unwrap_err(), format!("Error in ACL SETUSER modifier '{rule}': {ALL_KEYS}"));
    }
}

#[test]
fn channel_patterns_follow_the_same_rules() {
    assert_eq!(redis(&["&a", "&b", "&a"]).unwrap(), "off resetchannels &a &b -@all");
    assert_eq!(redis(&["&a", "allchannels"]).unwrap(), "off &* -@all");
    assert_eq!(redis(&["&*", "resetchannels", "&"]).unwrap(), "off resetchannels & -@all");
    assert_refused("&a b", "Syntax error");
    let error = redis(&["&*", "&a b"]).unwrap_err();
    assert!(error.contains("(or the 'allchannels' flag)") && error.contains("Try 'resetchannels'"), "{error}");
}

#[test]
fn names_of_commands_and_categories_must_be_known() {
    for rule in ["+", "-", "+@", "+@nosuch", "+nosuch", "+nosuch|x", "-config|", "+config|nosuch", "-get|x", "+get|a|b"]
    {
        assert_refused(rule, "Unknown command or category name in ACL");
    }
    assert_refused("+get|", "Syntax error");
    assert_refused("+config|", "Syntax error");
    assert_refused("+config|get|x", "Allowing first-arg of a subcommand is not supported");
}

#[test]
fn other_words_are_syntax_errors() {
    for rule in ["x", "on\0", "+get\0", "(on)", "(>pw)", "(reset)", "$argon2id$x", "$2b$abc", "(\"~a)"] {
        assert_refused(rule, "Syntax error");
    }
}

#[test]
fn words_are_taken_in_any_case_and_an_empty_one_is_none() {
    assert_eq!(redis(&["ON", "NoPass", "ALLKEYS", "", "AllChannels", "+@ALL"]).unwrap(), "on nopass ~* &* +@all");
}

#[test]
fn valkey_lists_rules_as_given_and_only_the_last_of_each_target() {
    assert_eq!(valkey(&["+GET", "+@Read", "-get", "+@read"]).unwrap(), "off resetchannels -@all -get +@read");
    assert_eq!(valkey(&["+config|get", "+config|set", "-config"]).unwrap(), "off resetchannels -@all -config");
    assert_eq!(valkey(&["+get", "+@all", "-set"]).unwrap(), "off resetchannels +@all -set");
    assert_eq!(valkey(&["+select|A"]).unwrap(), "off resetchannels -@all +select|a");
}

#[test]
fn redis_lists_the_shortest_rules_it_finds() {
    assert_eq!(redis(&["+@all", "-@write", "+@write"]).unwrap(), "off resetchannels +@all");
    assert_eq!(redis(&["+config|get", "+config|set", "-config"]).unwrap(), "off resetchannels -@all");
    assert_eq!(redis(&["+select|A", "+select|a", "+select|b"]).unwrap(), "off resetchannels -@all +select|A +select|b");
    assert_eq!(redis(&["+select|A", "+select"]).unwrap(), "off resetchannels -@all +select");
}

#[test]
fn selectors_are_added_joined_and_cleared() {
    assert_eq!(
        redis(&["(+get", "~a)", "(~b)"]).unwrap(),
        "off resetchannels -@all (~a resetchannels -@all +get) (~b resetchannels -@all)"
    );
    assert_eq!(redis(&["+get", "(~a)", "()", "clearselectors"]).unwrap(), "off resetchannels -@all +get");
    assert_eq!(redis(&["(+get"]).unwrap_err(), "Unmatched parenthesis in acl selector starting at '(+get'.");
    assert_refused("(allkeys ~a)", ALL_KEYS);
}

#[test]
fn databases_are_valkeys_alone() {
    assert_eq!(valkey(&["db=2,0,2"]).unwrap(), "off resetchannels db=0,2 -@all");
    assert_eq!(valkey(&["DB=1", "resetdbs"]).unwrap(), "off resetchannels resetdbs -@all");
    assert_eq!(valkey(&["db=01", "alldbs"]).unwrap(), "off resetchannels -@all");
    assert_eq!(valkey(&["(db=+1)"]).unwrap(), "off resetchannels -@all (resetchannels db=1 -@all)");
    for rule in ["db=", "db=a", "db=1,", "db=,1", "db=*", "db=1-3"] {
        assert_eq!(valkey(&[rule]).unwrap_err(), format!("Error in ACL SETUSER modifier '{rule}': Syntax error"));
    }
    for rule in ["db=-1", "db=2147483648", "db=99999999999999999999"] {
        let wanted = format!("Error in ACL SETUSER modifier '{rule}': The provided database ID is out of range");
        assert_eq!(valkey(&[rule]).unwrap_err(), wanted);
    }
    for rule in ["db=1", "alldbs", "resetdbs"] {
        assert_eq!(redis(&[rule]).unwrap_err(), format!("Error in ACL SETUSER modifier '{rule}': Syntax error"));
    }
}

const FOO: &str = "#2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";
const ARGON2: &str = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2g";

#[test]
fn passwords_are_added_once_in_any_form_and_removed() {
    assert_eq!(redis(&[">foo", FOO]).unwrap(), format!("off {FOO} resetchannels -@all"));
    assert_eq!(redis(&[">foo", "<foo"]).unwrap(), "off resetchannels -@all");
    assert_eq!(redis(&[">foo", &FOO.replace('#', "!")]).unwrap(), "off resetchannels -@all");
    assert_eq!(redis(&[ARGON2, ">foo"]).unwrap(), format!("off {ARGON2} {FOO} resetchannels -@all"));
    assert_eq!(redis(&[ARGON2, &format!("!{ARGON2}")]).unwrap(), "off resetchannels -@all");
    assert_eq!(redis(&[ARGON2, "resetpass"]).unwrap(), "off resetchannels -@all");
}

#[test]
fn nopass_and_passwords_exclude_each_other() {
    assert_eq!(redis(&[">foo", "nopass"]).unwrap(), "off nopass resetchannels -@all");
    assert_eq!(redis(&["nopass", ">foo"]).unwrap(), format!("off {FOO} resetchannels -@all"));
    assert_eq!(redis(&["nopass", ARGON2]).unwrap(), format!("off {ARGON2} resetchannels -@all"));
    assert_eq!(redis(&["nopass", "resetpass"]).unwrap(), "off resetchannels -@all");
}

#[test]
fn wrong_or_missing_passwords_are_refused() {
    let hash = "The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters";
    assert_refused("#abc", hash);
    assert_refused("!abc", hash);
    assert_refused(&FOO.to_uppercase(), hash);
    assert_refused("<foo", "The password you are trying to remove from the user does not exist");
}

#[test]
fn an_empty_password_is_none_and_refused() {
    assert_refused(">", "The password is empty");
    assert_refused("#e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "The password is empty");
    assert_refused("<", "The password you are trying to remove from the user does not exist");
}

#[test]
fn a_password_that_nobody_could_log_in_with_is_refused_and_not_repeated() {
    let long = format!(">{}", "x".repeat(16_385));
    assert_eq!(redis(&["on", &long]), Err("Passwords can't be longer than 16384 bytes".to_owned()));
    assert!(redis(&["on", &long[..long.len() - 1]]).is_ok());
}

/// What is accepted here is saved, and has to load again.
#[test]
fn a_variable_is_refused_wherever_it_stands() {
    let table = CommandTable::builtin(Dialect::Redis70);
    for rule in [
        ">${PASSWORD}",
        "<${PASSWORD}",
        "~${KEYS}:*",
        "%R~a${B:-c}",
        "&${CHANNEL}",
        "+select|${DB}",
        "${RULES}",
        "(+get ~${KEYS})",
        "(\"~\\x24{KEYS}\")",
        "(\"~$\\{KEYS}\")",
    ] {
        let error = Acl::new(&table).set_user(b"bob", &[rule.as_bytes()], &table).unwrap_err();
        assert_eq!(error.kind, RuleErrorKind::Variable, "{rule}");
        assert!(error.to_string().contains("are not filled in here"), "{error}");
        let line = format!("user bob on {rule}");
        assert!(Acl::parse(line.as_bytes(), &table).unwrap_err()[0].message.contains("not filled in"), "{rule}");
    }
    let error = Acl::new(&table).set_user(b"${NAME}", &[], &table).unwrap_err();
    assert_eq!(error.kind, RuleErrorKind::Variable);
}

#[test]
fn a_pattern_can_mean_the_characters_of_a_variable() {
    let table = CommandTable::builtin(Dialect::Redis70);
    let acl = Acl::new(&table).set_user(b"bob", &[b"~$\\{a}", b"(~$\\{a} '~$\\{a}\"')"], &table).unwrap();
    let read = Acl::parse(&acl.to_file(&table), &table).unwrap();
    assert_eq!(read.user(b"bob"), acl.user(b"bob"));
    assert!(super::super::pattern::Pattern::new(b"$\\{a}").matches(b"${a}", &Effort::default()));
}

#[test]
fn reset_makes_a_new_user() {
    let rules = ["on", ">foo", "+@all", "~*", "&*", "(+get)", "skip-sanitize-payload", "reset"];
    assert_eq!(redis(&rules).unwrap(), "off sanitize-payload resetchannels -@all");
    assert_eq!(valkey(&[&rules[..], &["db=1", "reset"]].concat()).unwrap(), "off resetchannels -@all");
}

#[test]
fn redis_from_7_2_on_has_the_rules_of_valkey_without_databases() {
    let newer = |rules: &[&str]| line(Dialect::Redis72, rules);
    let wanted = "off sanitize-payload resetchannels -@all -get +@read";
    assert_eq!(newer(&["+GET", "+@Read", "-get", "+@read"]).unwrap(), wanted);
    assert_eq!(newer(&["skip-sanitize-payload"]).unwrap(), "off skip-sanitize-payload resetchannels -@all");
    for rule in ["db=1", "alldbs", "resetdbs"] {
        assert_eq!(newer(&[rule]), Err(format!("Error in ACL SETUSER modifier '{rule}': Syntax error")));
    }
}

#[test]
fn a_refused_line_changes_nothing() {
    let table = CommandTable::builtin(Dialect::Redis70);
    let acl = Acl::new(&table).set_user(b"bob", &[b"on"], &table).unwrap();
    assert!(acl.set_user(b"bob", &[b"off", b"+nosuch"], &table).is_err());
    assert!(acl.user(b"bob").unwrap().is_enabled());
}

#[test]
fn names_have_no_blanks_and_are_text() {
    let table = CommandTable::builtin(Dialect::Redis70);
    for name in [b"a b".as_slice(), b"a\0b", b"", b"\xff", b"a\tb"] {
        let error = Acl::new(&table).set_user(name, &[], &table).unwrap_err();
        assert_eq!(error.to_string(), "Usernames can't contain spaces or null characters");
    }
}

#[test]
fn names_have_at_most_128_bytes() {
    let table = CommandTable::builtin(Dialect::Redis70);
    let acl = Acl::new(&table);
    assert!(acl.set_user(&[b'n'; 128], &[], &table).is_ok());
    let error = acl.set_user(&[b'n'; 129], &[], &table).unwrap_err();
    assert_eq!(error.to_string(), "Usernames can't be longer than 128 bytes");
}

#[test]
fn users_that_are_there_are_removed_once_each_and_default_is_not() {
    let table = CommandTable::builtin(Dialect::Redis70);
    let acl = Acl::new(&table).set_user(b"bob", &[], &table).unwrap();
    let (acl, removed) = acl.without_users(&[b"default".to_vec(), b"eve".to_vec(), b"bob".to_vec(), b"bob".to_vec()]);
    assert!(acl.user(b"default").is_some() && acl.user(b"bob").is_none());
    let removed: Vec<&str> = removed.iter().map(UserName::as_str).collect();
    assert_eq!(removed, ["bob"]);
}

#[test]
fn what_is_written_to_a_file_reads_back_the_same() {
    for dialect in Dialect::ALL {
        let table = CommandTable::builtin(dialect);
        let rules: [&[u8]; 9] = [
            b"on",
            b">foo",
            ARGON2.as_bytes(),
            b"+@all",
            b"-@dangerous",
            b"+config|get",
            b"%R~\xe9*",
            b"&n",
            b"(-@all +select|0 ~x)",
        ];
        let acl = Acl::new(&table).set_user(b"bob", &rules, &table).unwrap();
        let file = acl.to_file(&table);
        let read = Acl::parse(&file, &table).unwrap();
        assert_eq!(read.to_file(&table), file);
        assert_eq!(read.user(b"bob").unwrap().passwords(), acl.user(b"bob").unwrap().passwords());
    }
}

#[test]
fn rules_in_a_file_keep_their_order_whatever_the_dialect() {
    let table = CommandTable::builtin(Dialect::Redis70);
    let line: &[u8] = b"user bob off resetchannels -@all +json.get -@read +get\nuser default off resetchannels -@all\n";
    let acl = Acl::read(line, &table, Unknown::KeepNames).unwrap().acl;
    assert_eq!(acl.to_file(&table).escape_ascii().to_string(), line.escape_ascii().to_string());
}

#[test]
fn what_was_kept_is_listed_and_written_as_it_was_read() {
    let line =
        "user bob off ~a resetchannels db=0,1 -@all +get +client|setinfo -@search (~b resetchannels resetdbs -@all)\n";
    let file = format!("{line}user default off resetchannels -@all\n");
    for dialect in [Dialect::Redis70, Dialect::Redis72] {
        let table = CommandTable::builtin(dialect);
        let acl = Acl::read(file.as_bytes(), &table, Unknown::Keep).unwrap().acl;
        let written = String::from_utf8(acl.to_file(&table)).unwrap();
        assert_eq!(written.replace("sanitize-payload ", ""), file);
        let bob = acl.user(b"bob").unwrap();
        let listed = String::from_utf8(bob.to_line(&table)).unwrap();
        for rule in ["db=0,1", "+client|setinfo", "-@search", "resetdbs"] {
            assert!(listed.contains(rule), "{listed}");
        }
        let told = bob.describe(&table);
        assert!(told.root.commands.contains("+client|setinfo"), "{}", told.root.commands);
        assert_eq!(told.root.databases.as_deref(), Some("db=0,1"));
        assert_eq!(told.selectors[0].databases.as_deref(), Some("resetdbs"));
    }
}

#[test]
fn quotes_and_parentheses_in_patterns_survive_a_file() {
    let table = CommandTable::builtin(Dialect::Redis70);
    let rules: [&[u8]; 4] = [b"~a)", b"~\"'(", b"('~a)' \"~b\\\"'c\" +get)", b"(~d\\x ~(e)"];
    let acl = Acl::new(&table).set_user(b"bob", &rules, &table).unwrap();
    let file = acl.to_file(&table);
    let read = Acl::parse(&file, &table).unwrap();
    assert_eq!(read.user(b"bob"), acl.user(b"bob"), "{}", file.escape_ascii());
}

#[test]
fn a_first_argument_cannot_smuggle_rules_into_the_file() {
    assert_refused("+select|0\nuser eve on nopass +@all", "Syntax error");
    assert_refused("+select|0 +@all", "Syntax error");
}

#[test]
fn a_pattern_of_all_keys_that_is_not_the_last_survives_the_file() {
    let table = CommandTable::builtin(Dialect::Redis70);
    let acl = Acl::new(&table).set_user(b"bob", &[b"%RW~*", b"~a"], &table).unwrap();
    let read = Acl::parse(&acl.to_file(&table), &table).unwrap();
    assert_eq!(
        read.user(b"bob").unwrap().describe(&table).root.keys,
        acl.user(b"bob").unwrap().describe(&table).root.keys
    );
}

#[test]
fn an_error_shows_the_whole_rule_as_text() {
    let table = CommandTable::builtin(Dialect::Redis70);
    let refused = |rule: &[u8]| Acl::new(&table).set_user(b"bob", &[rule], &table).unwrap_err().to_string();
    assert_eq!(refused(b"+x\0y"), "Error in ACL SETUSER modifier '+x\0y': Syntax error");
    let unknown = "Error in ACL SETUSER modifier '+\u{fffd}': Unknown command or category name in ACL";
    assert_eq!(refused(b"+\xff"), unknown);
}

#[test]
fn an_error_shows_the_beginning_of_a_long_rule() {
    let table = CommandTable::builtin(Dialect::Redis70);
    for rule in [b"+".as_slice(), b"(+", b"+get|a|"] {
        let rule = [rule, &[b'x'; 100_000]].concat();
        let error = Acl::new(&table).set_user(b"bob", &[&rule], &table).unwrap_err().to_string();
        assert!(error.len() < 512, "{}", error.len());
    }
}

/// Rules are listed as text: another byte would come back as another first argument.
#[test]
fn a_first_argument_is_text() {
    let table = CommandTable::builtin(Dialect::Redis70);
    let error = Acl::new(&table).set_user(b"bob", &[b"+select|\xff"], &table).unwrap_err();
    assert_eq!(error.kind, RuleErrorKind::Syntax);
}

#[test]
fn getuser_tells_all_there_is() {
    let table = CommandTable::builtin(Dialect::Valkey91);
    let rules: [&[u8]; 6] = [b"on", b">foo", b"+get", b"~a", b"db=1", b"(resetdbs &c)"];
    let acl = Acl::new(&table).set_user(b"bob", &rules, &table).unwrap();
    let told = acl.user(b"bob").unwrap().describe(&table);
    assert_eq!(told.flags, ["on"]);
    assert_eq!(told.passwords, [PasswordHash::of_password(b"foo").to_listed()]);
    assert_eq!((told.root.commands.as_str(), told.root.keys.as_slice()), ("-@all +get", b"~a".as_slice()));
    assert_eq!(told.root.databases.as_deref(), Some("db=1"));
    assert_eq!(told.selectors[0].channels, b"&c");
    assert_eq!(told.selectors[0].databases.as_deref(), Some(""));
}

#[test]
fn a_user_shows_no_password_when_debugged() {
    let table = CommandTable::builtin(Dialect::Redis70);
    let acl = Acl::new(&table).set_user(b"bob", &[b">foo", ARGON2.as_bytes()], &table).unwrap();
    let shown = format!("{acl:?}");
    assert!(!shown.contains("2c26b4") && !shown.contains("argon2id$"), "{shown}");
}

#[test]
fn keys_stay_readable_where_another_rule_covers_the_one_that_is_gone() {
    let table = CommandTable::builtin(Dialect::Redis70);
    let user = |rules: &str| {
        let rules: Vec<&[u8]> = rules.split(' ').map(str::as_bytes).collect();
        let acl = Acl::new(&table).set_user(b"bob", &rules, &table).unwrap();
        acl.user(b"bob").unwrap().clone()
    };
    for (earlier, now, kept) in [
        ("~a ~b", "~b ~a ~c", true),
        ("~a", "~*", true),
        ("~a", "%R~a", true),
        ("~shop:1", "~shop:*", true),
        ("~shop:[12]*", "~shop:*", true),
        ("resetkeys", "resetkeys", true),
        ("%W~a", "resetkeys", true),
        ("~a", "resetkeys", false),
        ("~a", "%W~a", false),
        ("~*", "~shop:*", false),
        ("~shop:*", "~shop:1*", false),
        ("~[ab]", "~?", false),
    ] {
        assert_eq!(user(now).keeps_readable_keys_of(&user(earlier), &Effort::default()), kept, "{earlier}, then {now}");
    }
    assert!(user("(~a) (~b)").keeps_readable_keys_of(&user("~a ~b"), &Effort::default()), "whatever the selector");
}

#[test]
fn rights_are_kept_where_one_selector_covers_each_that_there_was() {
    let table = CommandTable::builtin(Dialect::Valkey91);
    let user = |rules: &str| {
        let rules: Vec<&[u8]> = rules.split(' ').map(str::as_bytes).collect();
        let acl = Acl::new(&table).set_user(b"bob", &rules, &table).unwrap();
        acl.user(b"bob").unwrap().clone()
    };
    for (earlier, now, kept) in [
        ("+get ~a &c", "+@read ~a ~b &c &d", true),
        ("+get ~a", "+@all ~*", true),
        ("+get ~a", "+get %RW~a* (+set ~b)", true),
        ("(+get ~a)", "+get ~a", true),
        ("+select|0", "+select", true),
        ("+select|0", "+select|0 +select|1", true),
        ("db=1 +get ~a", "+get ~a", true),
        ("db=1 +get ~a", "db=1,2 +get ~a", true),
        ("+@all -set ~*", "-@all +@all -set ~*", true),
        ("+get ~a", "+get", false),
        ("+get ~a", "+get %R~a", false),
        ("+get +set ~a", "+get ~a (+set ~a)", false),
        ("+get ~a &c", "+get ~a", false),
        ("+get &c*", "+get &c1*", false),
        ("+@all ~*", "+@all -flushall ~*", false),
        ("+select", "+select|0", false),
        ("+select|0", "+select|1", false),
        ("+get ~a", "db=1 +get ~a", false),
        ("db=1,2 +get ~a", "db=1 +get ~a", false),
    ] {
        assert_eq!(user(now).keeps_rights_of(&user(earlier), true, &Effort::default()), kept, "{earlier}, then {now}");
    }
}

#[test]
fn the_rights_of_another_user_are_compared_without_holding_each_pattern_against_each() {
    const PATTERNS: u64 = 2000;
    let table = CommandTable::builtin(Dialect::Redis70);
    let user = |patterns: &mut dyn Iterator<Item = String>| {
        let rules: Vec<Vec<u8>> = patterns.map(String::into_bytes).chain([b"+@read".to_vec()]).collect();
        let rules: Vec<&[u8]> = rules.iter().map(Vec::as_slice).collect();
        Acl::new(&table).set_user(b"bob", &rules, &table).unwrap().user(b"bob").unwrap().clone()
    };
    let list = |sign: &'static str, rest: &'static str| (0..PATTERNS).map(move |n| format!("{sign}t:{n:04}:{rest}"));
    let earlier = user(&mut list("~", "a*"));
    for (now, kept, readable) in [
        (user(&mut list("~", "a*").rev()), true, true),
        (user(&mut list("~", "*").rev()), true, true),
        (user(&mut list("%R~", "a*").rev()), false, true),
        (user(&mut list("~", "?*").rev()), false, false),
    ] {
        let effort = Effort::default();
        assert_eq!(now.keeps_rights_of(&earlier, true, &effort), kept);
        assert_eq!(now.keeps_readable_keys_of(&earlier, &effort), readable);
        assert!(effort.spent() < PATTERNS * PATTERNS / 5, "{} comparisons", effort.spent());
    }
    let effort = Effort::default();
    let more = user(&mut list("~", "a*").chain(["~u".to_owned()]));
    assert!(more.keeps_rights_of(&earlier, true, &effort) && effort.spent() < 2 * PATTERNS, "{}", effort.spent());
}

#[test]
fn rights_that_take_more_to_compare_than_that_may_cost_are_not_kept() {
    let table = CommandTable::builtin(Dialect::Redis70);
    let rules: Vec<String> = (0..100).map(|n| format!("~{n}")).collect();
    let user =
        |rules: Vec<&[u8]>| Acl::new(&table).set_user(b"bob", &rules, &table).unwrap().user(b"bob").unwrap().clone();
    let forth = user(rules.iter().map(String::as_bytes).collect());
    let back = user(rules.iter().rev().map(String::as_bytes).collect());
    let enough = Effort::default();
    assert!(back.keeps_rights_of(&forth, true, &enough) && back.keeps_readable_keys_of(&forth, &enough));
    let (little, less) = (Effort::of(1000), Effort::of(1000));
    assert!(!back.keeps_rights_of(&forth, true, &little) && !back.keeps_readable_keys_of(&forth, &less));
}
