//! The ACL file: one `user <name> <rules…>` a line, all or nothing.

use std::fmt;

use super::rule::{RuleErrorKind, Unknown, holds_variable, merge_selectors};
use super::user::{User, UserName};
use super::users::Acl;
use crate::command::CommandTable;

/// One thing that is wrong in an ACL file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileError {
    /// Counted from 1.
    pub line: usize,
    /// The word that is wrong, if it is one word. Nothing of a password is in it.
    pub token: Option<String>,
    /// What is wrong with it, in Redis's words where Redis has some.
    pub message: String,
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: ", self.line)?;
        if let Some(token) = &self.token {
            write!(f, "'{token}': ")?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for FileError {}

/// What an ACL file says.
#[derive(Clone, Debug)]
pub struct Read {
    /// The users.
    pub acl: Acl,
    /// How many it names; `default` is among the users without being named.
    pub named: usize,
    /// Lines with rules that were kept and that the table does not know ([`User::unknown_rules`]).
    pub unknown: Vec<UnknownRules>,
}

/// Rules that the table does not know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnknownRules {
    /// Counted from 1.
    pub line: usize,
    /// Each once, with nothing of a password in it.
    pub rules: Vec<String>,
}

impl Acl {
    /// The users of an ACL file. Blank lines and lines that begin with `#` are skipped.
    ///
    /// # Errors
    /// Everything that is wrong, at most one error a line (Redis: `ACLLoadFromFile`).
    pub fn parse(text: &[u8], table: &CommandTable) -> Result<Acl, Vec<FileError>> {
        Acl::read(text, table, Unknown::Refuse).map(|read| read.acl)
    }

    /// As [`parse`](Acl::parse), but rules that `table` does not know may be kept for one that does
    /// ([`Acl::recompiled`]).
    ///
    /// # Errors
    /// Everything else that is wrong.
    pub fn read(text: &[u8], table: &CommandTable, unknown: Unknown) -> Result<Read, Vec<FileError>> {
        read(text, table, unknown)
    }
}

fn read(text: &[u8], table: &CommandTable, unknown: Unknown) -> Result<Read, Vec<FileError>> {
    let mut acl = Acl::new(table);
    let mut errors = Vec::new();
    let mut kept = Vec::new();
    let mut seen: Vec<UserName> = Vec::new();
    for (index, line) in text.split(|b| *b == b'\n').enumerate() {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        match parse_user(line, table, unknown, &seen) {
            Ok(user) => {
                let rules = user.unknown_rules();
                kept.extend((!rules.is_empty()).then_some(UnknownRules { line: index + 1, rules }));
                seen.push(user.name().clone());
                acl.insert(user);
            }
            Err((token, message)) => errors.push(FileError { line: index + 1, token, message }),
        }
    }
    if errors.is_empty() { Ok(Read { acl, named: seen.len(), unknown: kept }) } else { Err(errors) }
}

/// Of a word that may be a password.
const UNSHOWN: &str = "a word that begins as no rule does; it is not shown here, as it may be a password: those are written \
                       >password, and have no blanks in them";

type LineError = (Option<String>, String);

fn parse_user(line: &[u8], table: &CommandTable, unknown: Unknown, seen: &[UserName]) -> Result<User, LineError> {
    let words: Vec<&[u8]> = line.split(|b| *b == b' ').map(<[u8]>::trim_ascii).collect();
    let [b"user", name, rules @ ..] = words.as_slice() else {
        return Err((None, "should start with user keyword followed by the username".to_owned()));
    };
    let shown = |word: &[u8]| Some(String::from_utf8_lossy(word).into_owned());
    if UserName::is_too_long(name) {
        let beginning = String::from_utf8_lossy(&name[..UserName::MOST]);
        return Err((Some(format!("{beginning}…")), RuleErrorKind::LongUserName.to_string()));
    }
    let Some(user_name) = UserName::new(name) else {
        return Err((shown(name), "username is empty, contains invalid characters, or is not UTF-8".to_owned()));
    };
    if holds_variable(name) {
        return Err((shown(name), RuleErrorKind::Variable.to_string()));
    }
    if seen.contains(&user_name) {
        let message = "Duplicate user found. A user can only be defined once in config files";
        return Err((shown(name), message.to_owned()));
    }
    let mut user = User::new(user_name, table);
    merge_selectors(rules).and_then(|rules| user.apply_all(&rules, table, unknown)).map_err(|error| {
        match (error.redacted_token(), error.kind) {
            (None, RuleErrorKind::Syntax) => (None, UNSHOWN.to_owned()),
            (token, kind) => (token, kind.to_string()),
        }
    })?;
    Ok(user)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Dialect;

    fn parse(text: &str) -> Result<Acl, Vec<FileError>> {
        Acl::parse(text.as_bytes(), &CommandTable::builtin(Dialect::Redis70))
    }

    #[test]
    fn users_comments_and_blank_lines_are_read() {
        let acl = parse("# staff\n\nuser bob on >pw ~a* +get\r\nuser eve off\n").unwrap();
        assert!(acl.user(b"bob").unwrap().is_enabled());
        assert!(!acl.user(b"eve").unwrap().is_enabled());
        assert_eq!(acl.users().count(), 3);
    }

    #[test]
    fn words_are_separated_by_single_blanks_and_may_have_tabs_around_them() {
        let table = CommandTable::builtin(Dialect::Redis70);
        let line = |text: &str| parse(text).map(|acl| acl.user(b"bob").unwrap().to_line(&table));
        assert_eq!(line("user bob \ton  ~a\t +get"), line("user bob on ~a +get"));
        assert_eq!(line("user bob (~a  +get )"), line("user bob (~a +get)"));
        assert!(line("user bob on\t~a").is_err());
    }

    #[test]
    fn default_exists_and_is_off_unless_the_file_says_otherwise() {
        assert!(!parse("").unwrap().user(b"default").unwrap().is_enabled());
        assert!(parse("user default on nopass ~* +@all").unwrap().user(b"default").unwrap().is_enabled());
    }

    #[test]
    fn default_is_not_named_by_being_there() {
        let named = |text: &str| {
            Acl::read(text.as_bytes(), &CommandTable::builtin(Dialect::Redis70), Unknown::Refuse).unwrap().named
        };
        assert_eq!([named(""), named("# user bob on\n\n"), named("user default off\nuser bob on\n")], [0, 0, 2]);
    }

    #[test]
    fn a_name_that_is_too_long_is_an_error_and_shown_in_part() {
        assert!(parse(&format!("user {} on", "n".repeat(128))).is_ok());
        let errors = parse(&format!("user {} on", "n".repeat(5000))).unwrap_err();
        let shown: Vec<String> = errors.iter().map(ToString::to_string).collect();
        let beginning = "n".repeat(128);
        assert_eq!(shown, [format!("line 1: '{beginning}…': Usernames can't be longer than 128 bytes")]);
    }

    #[test]
    fn every_wrong_line_is_reported_with_its_number_and_word() {
        let errors = parse("user bob +gett\nusr eve on\nuser ann on\nuser ann off\nuser joe (+get ~a").unwrap_err();
        let shown: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "line 1: '+gett': Unknown command or category name in ACL",
                "line 2: should start with user keyword followed by the username",
                "line 4: 'ann': Duplicate user found. A user can only be defined once in config files",
                "line 5: '(+get': Unmatched parenthesis in acl selector",
            ]
        );
    }

    #[test]
    fn a_variable_is_an_error_on_its_line_but_in_a_comment() {
        let errors = parse("# ${FINE}\nuser bob on >${REDIS_PASSWORD}\nuser ${NAME} on\n").unwrap_err();
        let shown: Vec<_> = errors.iter().map(|error| (error.line, error.token.as_deref().unwrap_or(""))).collect();
        assert_eq!(shown, [(2, ">…"), (3, "${NAME}")]);
        assert!(errors.iter().all(|error| error.message.contains("not filled in here")), "{errors:?}");
    }

    #[test]
    fn a_wrong_password_hash_is_not_repeated() {
        let errors = parse("user bob #c0ffee").unwrap_err();
        assert_eq!(errors[0].token.as_deref(), Some("#…"));
    }

    #[test]
    fn a_word_that_may_be_a_password_is_not_repeated() {
        for line in ["user bob on hunter2", "user bob on >secret hunter2 +get", "user bob \">hunter2\""] {
            let errors = parse(line).unwrap_err();
            assert_eq!((errors[0].token.as_deref(), errors[0].message.as_str()), (None, UNSHOWN), "{line}");
        }
    }

    #[test]
    fn unknown_names_can_be_kept_for_a_table_that_knows_them() {
        let table = CommandTable::builtin(Dialect::Redis70);
        let text = b"user eve on\nuser bob on +json.get -ft.drop +get +new|>x +newer|a*";
        let Read { acl, unknown, .. } = Acl::read(text, &table, Unknown::KeepNames).unwrap();
        let rules = ["+json.get", "-ft.drop", "+new|>…", "+newer|a*"];
        assert_eq!(acl.user(b"bob").unwrap().unknown_rules(), rules);
        assert_eq!(unknown, [UnknownRules { line: 2, rules: rules.map(str::to_owned).into() }]);
        for wrong in ["!!", "+", "+@", "+ge>t", "-new|a*", "-new|", "+new|", "db=0"] {
            let text = format!("user bob on {wrong}");
            assert!(Acl::read(text.as_bytes(), &table, Unknown::KeepNames).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_no_server_can_have_to_take_away_is_an_error_and_not_kept() {
        let table = CommandTable::builtin(Dialect::Redis70);
        for wrong in ["-select|0", "-GET|x", "-config|get|x", "-config|sett|x", "-new|a|b", "(-select|0)"] {
            for unknown in [Unknown::KeepNames, Unknown::Keep] {
                let text = format!("user bob on +@all {wrong}");
                let errors = Acl::read(text.as_bytes(), &table, unknown).map(|_| ()).expect_err(wrong);
                assert_eq!(errors[0].message, "Unknown command or category name in ACL", "{wrong}");
            }
        }
        let Read { unknown, .. } =
            Acl::read(b"user bob on +@all -config|sett -new|a", &table, Unknown::KeepNames).unwrap();
        assert_eq!(unknown[0].rules, ["-config|sett", "-new|a"], "another version may");
    }

    #[test]
    fn rules_of_another_dialect_can_be_kept_too() {
        let table = CommandTable::builtin(Dialect::Redis70);
        let text = b"user bob on +get ~* db=1,0 (+set ~* resetdbs) (+set ~b resetdbs) (+del ~* alldbs)";
        let Read { acl, unknown, .. } = Acl::read(text, &table, Unknown::Keep).unwrap();
        assert_eq!(unknown[0].rules, ["db=0,1", "resetdbs"]);
        let valkey = CommandTable::builtin(Dialect::Valkey91);
        assert_eq!(acl.recompiled(&valkey).user(b"bob").unwrap().unknown_rules(), [""; 0]);
        assert!(Acl::read(b"user bob on db=x", &table, Unknown::Keep).is_err());
    }
}
