//! What refused clients are told, by server version. All texts come without the leading `-` and the final CRLF.

use super::check::AclDenial;
use super::user::UserName;
use crate::command::{Argv, CommandSpec, Dialect};

/// At most this much is shown of a name, of an argument, or of all arguments. Redis has this bound for commands that it does not
/// know; what it shows elsewhere it shows whole, however long that is.
pub const SHOWN: usize = 128;

/// Of a request that Redis might execute. Ours.
const EFFORT: &str = "respgate: more or longer keys than one request may have with so many patterns";

/// The reply to a command that the ACL refuses.
pub fn denial(dialect: Dialect, user: &UserName, denial: AclDenial, spec: &CommandSpec) -> String {
    let name = spec.full_name();
    let text = match (denial, dialect) {
        (AclDenial::SortBy, _) => return sort_denial("BY"),
        (AclDenial::SortGet, _) => return sort_denial("GET"),
        (AclDenial::Effort, _) => EFFORT.to_owned(),
        (AclDenial::Command, Dialect::Redis70) => format!("this user has no permissions to run the '{name}' command"),
        (AclDenial::Command, Dialect::Redis72 | Dialect::Valkey91) => {
            format!("User {user} has no permissions to run the '{name}' command")
        }
        (AclDenial::Key { .. } | AclDenial::Unextractable, Dialect::Redis70) => {
            "this user has no permissions to access one of the keys used as arguments".to_owned()
        }
        (AclDenial::Key { .. } | AclDenial::Unextractable, Dialect::Redis72 | Dialect::Valkey91) => {
            "No permissions to access a key".to_owned()
        }
        (AclDenial::Channel { .. }, Dialect::Redis70) => {
            "this user has no permissions to access one of the channels used as arguments".to_owned()
        }
        (AclDenial::Channel { .. }, Dialect::Redis72 | Dialect::Valkey91) => {
            "No permissions to access a channel".to_owned()
        }
        (AclDenial::Database { .. }, _) => "No permissions to access database".to_owned(),
    };
    one_line(format!("NOPERM {text}"))
}

fn sort_denial(option: &str) -> String {
    format!("ERR {option} option of SORT denied due to insufficient ACL permissions.")
}

/// What `ACL DRYRUN` answers about a refused command: a bulk string, not an error.
pub fn dry_run(dialect: Dialect, user: &UserName, denial: AclDenial, spec: &CommandSpec, argv: &Argv<'_>) -> Vec<u8> {
    let who = match dialect {
        Dialect::Redis70 => "This user".to_owned(),
        Dialect::Redis72 | Dialect::Valkey91 => format!("User {user}"),
    };
    let argument = |index: usize| beginning(argv.get(index).unwrap_or_default(), SHOWN);
    let may_not = |what: &str| format!("{who} has no permissions to {what}").into_bytes();
    let quoted = |what: &str, index, after: &str| {
        [may_not(what).as_slice(), b" '", argument(index), b"' ", after.as_bytes()].concat()
    };
    match denial {
        AclDenial::Command => may_not(&format!("run the '{}' command", spec.full_name())),
        AclDenial::Key { index } => quoted("access the", index, "key"),
        AclDenial::Channel { index } => quoted("access the", index, "channel"),
        AclDenial::Database { index } => [may_not("access database ").as_slice(), argument(index)].concat(),
        AclDenial::Unextractable => may_not("access keys that its arguments do not tell for certain"),
        AclDenial::SortBy | AclDenial::SortGet => may_not("read the keys that SORT's BY or GET would"),
        AclDenial::Effort => EFFORT.into(),
    }
}

/// What `ACL DRYRUN` answers about a command nobody knows: an error.
pub fn dry_run_unknown(argv: &Argv<'_>) -> String {
    one_line(format!("ERR Command '{}' not found", c_string(argv.get(0).unwrap_or_default(), SHOWN)))
}

/// The reply to a command that does not exist.
pub fn unknown_command(argv: &Argv<'_>) -> String {
    let mut arguments = String::new();
    for (_, argument) in argv.iter_from(1) {
        if arguments.len() >= SHOWN {
            break;
        }
        arguments.push_str(&format!("'{}' ", c_string(argument, SHOWN - arguments.len())));
    }
    let name = c_string(argv.get(0).unwrap_or_default(), SHOWN);
    one_line(format!("ERR unknown command '{name}', with args beginning with: {arguments}"))
}

/// The reply to a subcommand that `container` does not have.
pub fn unknown_subcommand(container: &CommandSpec, argv: &Argv<'_>) -> String {
    let name = c_string(argv.get(1).unwrap_or_default(), SHOWN);
    one_line(format!("ERR unknown subcommand '{name}'. Try {} HELP.", container.full_name().to_ascii_uppercase()))
}

/// The reply to a command with too few or too many arguments.
pub fn wrong_arity(spec: &CommandSpec) -> String {
    format!("ERR wrong number of arguments for '{}' command", spec.full_name())
}

/// The reply to a subcommand of `container` with arguments that it does not take.
pub fn subcommand_syntax(container: &str, argv: &Argv<'_>) -> String {
    let name = c_string(argv.get(1).unwrap_or_default(), SHOWN);
    let container = container.to_ascii_uppercase();
    one_line(format!("ERR unknown subcommand or wrong number of arguments for '{name}'. Try {container} HELP."))
}

/// What `ACL DRYRUN` answers about a user that does not exist.
pub fn user_not_found(name: &[u8]) -> String {
    one_line(format!("ERR User '{}' not found", c_string(name, SHOWN)))
}

/// The reply of `ACL CAT` to a category that does not exist.
pub fn unknown_category(name: &[u8]) -> String {
    one_line(format!("ERR Unknown category '{}'", c_string(name, SHOWN)))
}

/// The reply to an option that HELLO does not have, or not there.
pub fn hello_option(option: &[u8]) -> String {
    one_line(format!("ERR Syntax error in HELLO option '{}'", c_string(option, SHOWN)))
}

/// The reply to an argument that has to be an integer.
pub const NOT_AN_INTEGER: &str = "ERR value is not an integer or out of range";

/// As C prints a string: up to its first NUL, and to `limit` bytes.
fn c_string(bytes: &[u8], limit: usize) -> String {
    let bytes = beginning(bytes, limit);
    let end = memchr::memchr(0, bytes).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

fn beginning(bytes: &[u8], limit: usize) -> &[u8] {
    &bytes[..bytes.len().min(limit)]
}

/// A reply is one line: CR and LF of whatever a client sent become blanks.
fn one_line(text: String) -> String {
    text.replace(['\r', '\n'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{ArgvBuf, CommandTable};

    fn denied(dialect: Dialect, denial: AclDenial) -> String {
        let table = CommandTable::builtin(dialect);
        let user = UserName::new(b"bob").unwrap();
        super::denial(dialect, &user, denial, table.by_name("config|get").unwrap())
    }

    #[test]
    fn denials_are_worded_as_the_server_of_the_dialect_does() {
        let (old, new) = (Dialect::Redis70, Dialect::Valkey91);
        for (dialect, denial, text) in [
            (old, AclDenial::Command, "NOPERM this user has no permissions to run the 'config|get' command"),
            (new, AclDenial::Command, "NOPERM User bob has no permissions to run the 'config|get' command"),
            (
                old,
                AclDenial::Key { index: 1 },
                "NOPERM this user has no permissions to access one of the keys used as arguments",
            ),
            (new, AclDenial::Key { index: 1 }, "NOPERM No permissions to access a key"),
            (new, AclDenial::Unextractable, "NOPERM No permissions to access a key"),
            (
                old,
                AclDenial::Channel { index: 1 },
                "NOPERM this user has no permissions to access one of the channels used as arguments",
            ),
            (new, AclDenial::Channel { index: 1 }, "NOPERM No permissions to access a channel"),
            (new, AclDenial::Database { index: 0 }, "NOPERM No permissions to access database"),
            (old, AclDenial::SortBy, "ERR BY option of SORT denied due to insufficient ACL permissions."),
            (new, AclDenial::SortGet, "ERR GET option of SORT denied due to insufficient ACL permissions."),
        ] {
            assert_eq!(denied(dialect, denial), text);
        }
    }

    #[test]
    fn an_unknown_command_is_shown_with_the_beginning_of_its_arguments() {
        let text = |words: &[&str]| unknown_command(&ArgvBuf::from_iter(words).as_argv());
        assert_eq!(text(&["nope"]), "ERR unknown command 'nope', with args beginning with: ");
        assert_eq!(text(&["nope", "a", "b c"]), "ERR unknown command 'nope', with args beginning with: 'a' 'b c' ");
        let long = "x".repeat(500);
        let shown = text(&[&long, "abc", &long, "never"]);
        assert!(shown.starts_with(&format!("ERR unknown command '{}', with", "x".repeat(128))));
        assert!(shown.ends_with(&format!("'abc' '{}' ", "x".repeat(122))));
    }

    #[test]
    fn what_a_client_sent_cannot_end_the_line_or_run_past_a_nul() {
        let argv = ArgvBuf::from_iter(["a\r\nb", "x\ny\0z"]);
        assert_eq!(unknown_command(&argv.as_argv()), "ERR unknown command 'a  b', with args beginning with: 'x y' ");
        let table = CommandTable::builtin(Dialect::Redis70);
        let argv = ArgvBuf::from_iter(["config", "no\r\npe"]);
        let text = unknown_subcommand(table.by_name("config").unwrap(), &argv.as_argv());
        assert_eq!(text, "ERR unknown subcommand 'no  pe'. Try CONFIG HELP.");
    }

    #[test]
    fn a_dry_run_shows_a_key_to_the_byte_and_an_error_shows_text() {
        let table = CommandTable::builtin(Dialect::Redis70);
        let argv = ArgvBuf::from_iter([b"get".as_slice(), b"b\0c\xff"]);
        let user = UserName::new(b"bob").unwrap();
        let denial = AclDenial::Key { index: 1 };
        let text = dry_run(Dialect::Redis70, &user, denial, table.by_name("get").unwrap(), &argv.as_argv());
        assert_eq!(text, b"This user has no permissions to access the 'b\0c\xff' key");
        let argv = ArgvBuf::from_iter([b"x\xff"]);
        assert_eq!(dry_run_unknown(&argv.as_argv()), "ERR Command 'x\u{fffd}' not found");
    }

    #[test]
    fn a_dry_run_names_the_argument_it_stopped_at() {
        let argv = ArgvBuf::from_iter(["mget", "a", "b"]);
        let user = UserName::new(b"bob").unwrap();
        let said = |dialect, denial| {
            let table = CommandTable::builtin(dialect);
            let text = dry_run(dialect, &user, denial, table.by_name("mget").unwrap(), &argv.as_argv());
            String::from_utf8(text).unwrap()
        };
        let (old, new) = (Dialect::Redis70, Dialect::Valkey91);
        assert_eq!(said(old, AclDenial::Command), "This user has no permissions to run the 'mget' command");
        assert_eq!(said(new, AclDenial::Command), "User bob has no permissions to run the 'mget' command");
        assert_eq!(said(old, AclDenial::Key { index: 2 }), "This user has no permissions to access the 'b' key");
        assert_eq!(said(new, AclDenial::Channel { index: 1 }), "User bob has no permissions to access the 'a' channel");
        assert_eq!(said(new, AclDenial::Database { index: 0 }), "User bob has no permissions to access database mget");
    }
}
