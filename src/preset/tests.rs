use super::*;
use crate::acl::Acl;
use crate::command::{CommandTable, Dialect, UpstreamCommand};

fn line(name: &str, user: &str, prefix: Option<&str>) -> Result<String, String> {
    preset(name).unwrap().grant(user, prefix).map(|grant| grant.line).map_err(|error| error.to_string())
}

#[test]
fn the_line_of_every_preset_is_understood_whatever_server_is_there_and_has_no_password() {
    for preset in PRESETS {
        let grant = preset.grant("shop", None).unwrap();
        for dialect in Dialect::ALL {
            let table = CommandTable::builtin(dialect).extended(&[sentinel()]);
            let acl = Acl::parse(grant.line.as_bytes(), &table);
            let acl = acl.unwrap_or_else(|errors| panic!("{}: {dialect:?}: {errors:?}", preset.name));
            let user = acl.user(b"shop").unwrap();
            assert!(user.is_enabled() && !user.is_nopass() && user.passwords().is_empty(), "{}", preset.name);
        }
    }
}

/// What a Sentinel lists beside its own forms of Redis's commands.
fn sentinel() -> UpstreamCommand {
    let of = |name: &str| UpstreamCommand { name: name.to_owned(), arity: -2, ..UpstreamCommand::default() };
    let subcommands =
        "ckquorum get-master-addr-by-name is-master-down-by-addr master masters myid replicas sentinels slaves";
    let subcommands = subcommands.split(' ').map(|name| of(&format!("sentinel|{name}"))).collect();
    UpstreamCommand { subcommands, ..of("sentinel") }
}

#[test]
fn every_rule_stands_once_and_commands_are_in_order_before_keys_and_channels() {
    for preset in PRESETS {
        let kind = |rule: &str| "+-~%&".find(&rule[..1]).map(|at| [0, 0, 1, 1, 2][at]);
        let kinds: Vec<_> = preset.rules.split(' ').map(|rule| kind(rule).unwrap()).collect();
        assert!(kinds.is_sorted(), "{}", preset.name);
        // Where categories are among them the last one wins, so that the order says something else.
        let commands: Vec<_> = preset.rules.split(' ').take_while(|rule| rule.starts_with('+')).collect();
        let has_categories = preset.rules.contains('@');
        assert!(has_categories || commands.is_sorted_by(|a, b| a < b), "{}", preset.name);
    }
}

#[test]
fn the_names_are_different_and_nothing_is_left_to_be_filled_in() {
    for (at, preset) in PRESETS.iter().enumerate() {
        assert!(PRESETS[..at].iter().all(|earlier| earlier.name != preset.name), "{}", preset.name);
        let Grant { line, settings, notes, .. } = preset.grant("shop", None).unwrap();
        for text in [line].into_iter().chain(settings).chain(notes) {
            assert!(!text.contains("{prefix}") && !text.contains("{user}") && !text.contains('\n'), "{text}");
        }
    }
}

#[test]
fn a_prefix_stands_in_all_patterns_and_else_the_applications_own_or_the_user() {
    let end =
        |name, prefix| line(name, "shop", prefix).map(|line| line.split_once(" ~").unwrap().1.to_owned()).unwrap();
    assert_eq!(end("celery", None), "shop:* &shop:* &shop:/0.celery.pidbox &shop:/0.celeryev/worker.*");
    assert_eq!(end("celery", Some("a{b}")), "a{b}* &a{b}* &a{b}/0.celery.pidbox &a{b}/0.celeryev/worker.*");
    assert_eq!(end("dramatiq", None), "dramatiq:* ~dramatiq ~dramatiq-results:*");
    assert_eq!(end("bullmq", Some("q")), "q:*");
    assert!(line("readonly", "shop", None).unwrap().ends_with(" %R~*"));
    assert!(line("readonly", "shop", Some("a:")).unwrap().ends_with(" %R~a:*"));
}

#[test]
fn where_the_application_has_no_prefix_one_is_an_error() {
    assert_eq!(line("rq", "shop", Some("a")), Err("the keys of rq have no prefix that could be another".to_owned()));
    assert!(line("admin", "shop", Some("a")).is_err());
    assert_eq!(line("celery", "shop", Some("")), Err("an empty prefix would be that of all keys".to_owned()));
}

#[test]
fn what_would_mean_more_than_itself_is_refused_in_words() {
    for character in ['*', '?', '[', ']', '\\', '"', '$', '%', ' ', '\n', '\t', '\0', '\u{a0}', '\u{1b}'] {
        let wrong = format!("a{character}");
        let expected = |what| {
            Err(format!("the {what} has {character:?} in it, which means something else in a pattern or a setting"))
        };
        assert_eq!(line("celery", &wrong, None), expected("user"));
        assert_eq!(line("celery", "shop", Some(&wrong)), expected("prefix"));
    }
    assert_eq!(line("rq", "", None), Err("a user's name has 1 to 128 bytes".to_owned()));
    assert!(line("rq", &"n".repeat(129), None).is_err());
    assert!(line("rq", "käse.shop@example", None).is_ok());
}

#[test]
fn less_is_blocked_for_whoever_runs_scripts_and_nothing_for_operators_with_their_certificate() {
    let settings = |name: &str| preset(name).unwrap().grant("a.b", None).unwrap().settings.join(" ");
    assert_eq!(settings("arq"), "");
    assert_eq!(settings("celery"), "[block] scripting-users = [\"a.b\"]");
    let operator = "[block] exempt-users = [\"a.b\"] [[certificate]] cn = \"a.b\" user = \"a.b\" \
                    [user.\"a.b\"] certificate = \"required\"";
    assert_eq!(settings("admin"), operator);
    let grant = preset("admin").unwrap().grant("ops_1", None).unwrap();
    assert!(grant.settings.contains(&"[user.ops_1]".to_owned()), "{grant:?}");
}
