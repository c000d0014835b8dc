//! The command line that says more of a refusal. Whoever chose the names in it must not choose what a shell does.

use std::borrow::Cow;
use std::path::Path;

use crate::audit::escape;
use crate::audit::refusals::Refusal;
use crate::audit::words::Event;
use crate::command::{CommandSpec, CommandTable};
use crate::config::{AclSource, Config};

/// What stands for an argument: what it was is not kept.
const ARGUMENT: &str = "KEY";

/// The command, where there is one.
pub(super) fn explanation(refusal: &Refusal, config: &Config, table: &CommandTable) -> Option<String> {
    let key = &refusal.key;
    match key.event {
        Event::RequestRefused if is_of_rules(key.reason) => {
            let (user, command) = (key.user.as_ref()?, key.command.as_deref()?);
            acl_explain(config, user.as_str(), &request(table.by_name(command)?))
        }
        // A login that was put off was not looked at.
        Event::LoginFailed if !["busy", "throttled"].contains(&key.reason) => {
            acl_explain(config, refusal.login_user.as_deref()?, "ping")
        }
        Event::HandshakeFailed | Event::ConnectionRefused => {
            refusal.certificate.as_ref()?;
            let file = config.file.as_deref().and_then(|file| flag("config", file));
            Some(format!("respgate check{} --client-cert FILE", file?))
        }
        _ => None,
    }
}

/// Whether rules have decided, which can be asked again.
fn is_of_rules(reason: &str) -> bool {
    reason.starts_with("acl-") || ["blocked", "disabled", "renamed", "unsupported"].contains(&reason)
}

fn acl_explain(config: &Config, user: &str, request: &str) -> Option<String> {
    let rules = match (&config.file, &config.acl) {
        (Some(file), _) => flag("config", file)?,
        (None, AclSource::File(file)) => flag("aclfile", file)?,
        (None, _) => String::new(),
    };
    Some(format!("respgate acl explain{rules} --user={} -- {request}", word(user)?))
}

fn flag(name: &str, file: &Path) -> Option<String> {
    let file = std::path::absolute(file).ok()?;
    Some(format!(" --{name}={}", word(file.to_str()?)?))
}

/// With as many arguments as it takes at least.
fn request(spec: &CommandSpec) -> String {
    let mut words: Vec<&str> = spec.full_name().split('|').collect();
    let least = usize::try_from(spec.arity().unsigned_abs()).unwrap_or_default();
    words.resize(least.max(words.len()), ARGUMENT);
    words.join(" ")
}

/// One word for a shell, or none that one can see.
fn word(text: &str) -> Option<Cow<'_, str>> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./:@%+=,".contains(c);
    if text.chars().any(escape::is_hidden) || text.ends_with('…') {
        return None;
    }
    Some(match text.chars().all(is_plain) {
        true if !text.is_empty() => text.into(),
        _ => format!("'{}'", text.replace('\'', r"'\''")).into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Dialect;

    #[test]
    fn whatever_a_name_is_it_is_one_word_to_a_shell() {
        for name in ["a b", "$(id)", "`id`", "a'b", "a\"b", "\\", ";id", "<x>", "", "*", "~", "漢", "-x", "!1"] {
            let word = word(name).unwrap();
            let output = std::process::Command::new("sh").arg("-c").arg(format!("printf %s --user={word}")).output();
            assert_eq!(String::from_utf8(output.unwrap().stdout).unwrap(), format!("--user={name}"), "{word}");
        }
        for hidden in ["a\nid", "a\u{202e}b", "a\u{1b}[1m", "a\0", "a\u{7f}"] {
            assert_eq!(word(hidden), None, "{hidden:?}");
        }
    }

    #[test]
    fn a_request_has_its_arguments() {
        let table = CommandTable::builtin(Dialect::Redis70);
        let request = |name| request(table.by_name(name).unwrap());
        assert_eq!(
            ["get", "set", "flushall", "config|get", "acl|whoami"].map(request),
            ["get KEY", "set KEY KEY", "flushall", "config get KEY", "acl whoami"]
        );
    }
}
