//! The ACL file: read with everything that is wrong with it, and written all or nothing.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::error::BuildError;
use crate::acl::{Acl, FileError, Read, Unknown, UnknownRules, UserName};
use crate::auth::hash::{HashError, ParsedHash};
use crate::auth::verify::RefusalWork;
use crate::command::CommandTable;
use crate::files::{Files, MAX_FILE};

/// The users of an ACL file, and warnings.
///
/// # Errors
/// Everything that is wrong with it.
pub fn read_acl(
    path: &Path,
    files: &Files,
    table: &CommandTable,
    unknown: Unknown,
    strict_permissions: bool,
) -> Result<(Acl, Vec<String>), Vec<BuildError>> {
    let mut reader = AclReader { strict_permissions, ..AclReader::default() };
    match reader.read(path, files, table, unknown) {
        Some(acl) if reader.errors.is_empty() => Ok((acl, reader.warnings)),
        _ => Err(reader.errors),
    }
}

/// Whether passwords can be verified against the hashes of this user.
///
/// # Errors
/// What is wrong with one that cannot.
pub fn check_passwords(acl: &Acl, name: &[u8]) -> Result<(), HashError> {
    let hashes = acl.user(name).map(|user| user.passwords()).unwrap_or_default();
    hashes.iter().try_for_each(|hash| ParsedHash::try_from(hash).map(drop))
}

/// What refusing a login has to cost among these users. Who is off has no password that is looked at.
pub(super) fn refusal_work(acl: &Acl) -> RefusalWork {
    let hashes: Vec<Vec<ParsedHash>> = acl
        .users()
        .filter(|user| user.is_enabled())
        .map(|user| user.passwords().iter().filter_map(|hash| ParsedHash::try_from(hash).ok()).collect())
        .collect();
    RefusalWork::covering(hashes.iter().map(Vec::as_slice))
}

/// What is wrong with an ACL file that names no user.
pub const NO_USERS: &str = "names no user, so nobody could log in; if that is meant, write: user default off";

/// Reads an ACL file.
#[derive(Default)]
pub(super) struct AclReader {
    pub(super) strict_permissions: bool,
    pub(super) errors: Vec<BuildError>,
    pub(super) warnings: Vec<String>,
    pub(super) advice: Vec<String>,
}

impl AclReader {
    pub(super) fn read(&mut self, path: &Path, files: &Files, table: &CommandTable, unknown: Unknown) -> Option<Acl> {
        let content = files.read(path).map_err(|error| self.errors.push(BuildError::users_file(path, &error))).ok()?;
        self.errors.extend(content.permissions.changeable().map(BuildError::users_permission));
        self.warnings.extend(content.permissions.foreign());
        match content.permissions.readable().filter(|_| holds_passwords(&content.bytes)) {
            Some(fault) if self.strict_permissions => self.errors.push(BuildError::users_permission(fault)),
            fault => self.warnings.extend(fault),
        }
        let place = |error: &FileError| {
            let token = error.token.as_deref().map(|token| format!("'{token}': ")).unwrap_or_default();
            format!("{}:{}: {token}{}", path.display(), error.line, error.message)
        };
        let Read { acl, named, unknown } = match Acl::read(&content.bytes, table, unknown) {
            Ok(read) => read,
            Err(errors) => {
                self.errors.extend(errors.iter().map(|error| BuildError::users(place(error))));
                return None;
            }
        };
        if named == 0 {
            // More likely an accident, such as a disk that was full, than somebody who wants that.
            self.errors.push(BuildError::users(format!("{}: {NO_USERS}", path.display())));
        }
        for UnknownRules { line, rules } in &unknown {
            let (path, rules, effect) = (path.display(), quoted(rules), effect_of_unknown(rules));
            self.warnings
                .push(format!("{path}:{line}: {rules}: only Redis can tell what that is; until then {effect}"));
        }
        for user in acl.users() {
            self.check_hashes(path, user.name(), user.passwords());
        }
        Some(acl)
    }

    fn check_hashes(&mut self, path: &Path, name: &UserName, hashes: &[crate::acl::PasswordHash]) {
        for hash in hashes {
            match ParsedHash::try_from(hash) {
                Err(error) => {
                    self.errors.push(BuildError::users(format!("{}: user {name}: {error}", path.display())));
                }
                Ok(ParsedHash::Sha256(_)) => self.advice.push(format!(
                    "{}: user {name}: a fast hash (`#…` or `>…`) can be guessed offline; `respgate hash-password` makes a \
                     slow one",
                    path.display()
                )),
                Ok(ParsedHash::Argon2id(_)) => {}
            }
        }
    }
}

/// Whether passwords stand there as such, and not as hashes.
fn holds_passwords(text: &[u8]) -> bool {
    let mut lines = text.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii_start().starts_with(b"#"));
    lines.any(|line| line.split(|byte| *byte == b' ').any(|word| word.trim_ascii().starts_with(b">")))
}

pub(super) fn quoted(rules: &[String]) -> String {
    rules.iter().map(|rule| format!("'{rule}'")).collect::<Vec<_>>().join(", ")
}

/// What rules come to that nobody knows.
pub(super) fn effect_of_unknown(rules: &[String]) -> String {
    let mut effects = Vec::new();
    for rule in rules {
        let effect = match rule.as_bytes() {
            [b'+', ..] => "what is added is not granted",
            [b'-', ..] => "commands that only Redis knows are refused",
            _ => "a selector with databases grants nothing",
        };
        if !effects.contains(&effect) {
            effects.push(effect);
        }
    }
    effects.join(", ")
}

/// Replaces the file by one with this text, by way of a new file beside it that takes its place once it is on the disk.
/// Mode and owner stay. Where the path is a symbolic link, the file it leads to is replaced.
///
/// # Errors
/// The old file is still there, unchanged.
pub fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > MAX_FILE {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "it would be longer than 64 MiB, which no start reads",
        ));
    }
    let path = fs::canonicalize(path)?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let beside = folder.join(name);
    let written = write_beside(&beside, &path, text).and_then(|()| fs::rename(&beside, &path));
    if written.is_err() {
        // If it cannot be removed either, the next attempt will say so.
        let _ = fs::remove_file(&beside);
        return written;
    }
    File::open(folder)?.sync_all()
}

fn write_beside(beside: &Path, path: &Path, text: &[u8]) -> io::Result<()> {
    match fs::remove_file(beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let old = fs::metadata(path)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(beside)?;
    file.write_all(text)?;
    keep_owner(&file, &old);
    file.set_permissions(old.permissions())?;
    file.sync_all()
}

/// Only root may give a file away; to everybody else it belongs already, or cannot be made to.
fn keep_owner(file: &File, old: &fs::Metadata) {
    use std::os::unix::fs::MetadataExt;

    let _ = std::os::unix::fs::fchown(file, Some(old.uid()), Some(old.gid()));
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;
    use crate::command::Dialect;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn the_text_is_replaced_and_the_mode_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.acl");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        replace(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(mode(&path), 0o640);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_password_is_a_word_whatever_blanks_stand_around_it() {
        for text in ["user a on >pw", "user a on \t>pw ~*", "user a >pw\r\n", "# x\nuser a on  >pw"] {
            assert!(holds_passwords(text.as_bytes()), "{text:?}");
        }
        for text in ["user a on #c0ffee +get", "# user a >pw", "user a on +get|>x"] {
            assert!(!holds_passwords(text.as_bytes()), "{text:?}");
        }
    }

    #[test]
    fn refusals_cost_what_users_who_are_on_need() {
        let phc = |memory: u32| {
            format!("$argon2id$v=19$m={memory},t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc")
        };
        let table = CommandTable::builtin(Dialect::Redis70);
        let users = format!("user a on {} {}\nuser b off {}\nuser default off\n", phc(1024), phc(2048), phc(4096));
        let acl = Acl::read(users.as_bytes(), &table, Unknown::Refuse).unwrap().acl;
        assert_eq!(refusal_work(&acl).to_string(), "1 of m=1024,t=1,p=1 and 1 of m=2048,t=1,p=1");
        let edited = acl.set_user(b"b", &[b"on"], &table).unwrap();
        assert!(refusal_work(&edited).to_string().ends_with(" and 1 of m=4096,t=1,p=1"));
    }

    #[test]
    fn a_link_stays_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("real.acl"), folder.path().join("users.acl"));
        fs::write(&path, "old").unwrap();
        symlink(&path, &link).unwrap();
        replace(&link, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }

    #[test]
    fn what_would_be_too_long_to_be_read_is_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.acl");
        fs::write(&path, "old").unwrap();
        let text = vec![b'a'; usize::try_from(MAX_FILE).unwrap() + 1];
        assert_eq!(replace(&path, &text).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(fs::read(&path).unwrap(), b"old");
    }

    #[test]
    fn a_file_that_is_gone_is_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.acl");
        assert_eq!(replace(&path, b"new").unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(!path.exists());
    }
}
