//! What refused clients are told, by server version. All texts come without the leading `-` and the final CRLF.

use super::check::AclDenial;
use super::user::UserName;
use crate::command::{Argv, CommandSpec, Dialect};

/// Redis shows at most this much of a name or of the arguments.
const SHOWN: usize = 128;

/// The reply to a command that the ACL refuses.
pub fn denial(dialect: Dialect, user: &UserName, denial: AclDenial, spec: &CommandSpec) -> String {
    let name = spec.full_name();
    let text = match (denial, dialect) {
        (AclDenial::SortBy, _) => return sort_denial("BY"),
        (AclDenial::SortGet, _) => return sort_denial("GET"),
        (AclDenial::Command, Dialect::Redis70) => format!("this user has no permissions to run the '{name}' command"),
        (AclDenial::Command, Dialect::Valkey91) => {
            format!("User {user} has no permissions to run the '{name}' command")
        }
        (AclDenial::Key { .. } | AclDenial::Unextractable, Dialect::Redis70) => {
            "this user has no permissions to access one of the keys used as arguments".to_owned()
        }
        (AclDenial::Key { .. } | AclDenial::Unextractable, Dialect::Valkey91) => {
            "No permissions to access a key".to_owned()
        }
        (AclDenial::Channel { .. }, Dialect::Redis70) => {
            "this user has no permissions to access one of the channels used as arguments".to_owned()
        }
        (AclDenial::Channel { .. }, Dialect::Valkey91) => "No permissions to access a channel".to_owned(),
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
        Dialect::Valkey91 => format!("User {user}"),
    };
    let argument = |index: usize| argv.get(index).unwrap_or_default();
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
    }
}

/// What `ACL DRYRUN` answers about a command nobody knows: an error.
pub fn dry_run_unknown(argv: &Argv<'_>) -> String {
    one_line(format!("ERR Command '{}' not found", c_string(argv.get(0).unwrap_or_default(), usize::MAX)))
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

/// As C prints a string: up to its first NUL, and to `limit` bytes.
fn c_string(bytes: &[u8], limit: usize) -> String {
    let end = memchr::memchr(0, bytes).unwrap_or(bytes.len()).min(limit);
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// A reply is one line: CR and LF of whatever a client sent become blanks.
fn one_line(text: String) -> String {
    text.replace(['\r', '\n'], " ")
}
