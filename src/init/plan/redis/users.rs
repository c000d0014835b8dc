//! The users that Redis has, in its redis.conf or its ACL file.

use zeroize::Zeroizing;

use super::last;
use crate::acl::{Acl, Unknown};
use crate::command::{CommandTable, Dialect};
use crate::config::{RedisConfLine, RedisConfText};
use crate::init::plan::{AclText, Fault, FoundRedis, UPSTREAM_USER};

/// All of them.
pub(super) struct Users {
    /// What `default` is told.
    pub(super) login: Login,
    /// Whether any of them has a password.
    pub(super) have_passwords: bool,
    /// All but `default`.
    pub(super) former: Vec<FormerUser>,
}

/// What a client has to say today to be the user `default`.
pub(in crate::init::plan) enum Login {
    Nothing,
    Password(Zeroizing<Vec<u8>>),
    /// It is kept as a hash, or the user is off.
    Unknown,
}

/// A user that Redis has.
pub(in crate::init::plan) struct FormerUser {
    pub(in crate::init::plan) name: String,
    /// Its line without passwords.
    pub(in crate::init::plan) line: String,
    /// File and line.
    pub(in crate::init::plan) place: String,
    pub(in crate::init::plan) is_on: bool,
}

impl Users {
    /// Of this Redis.
    pub(super) fn of(redis: &FoundRedis) -> Result<Users, Vec<Fault>> {
        let sources = sources(&redis.text, redis.acl.as_ref())?;
        let login = login(&redis.text, &sources);
        let has_password = matches!(&login, Login::Password(_) | Login::Unknown);
        let have_passwords = has_password || sources.iter().any(|user| user.has_password);
        Ok(Users { login, have_passwords, former: former_users(sources)? })
    }
}

/// A user as Redis's files have it. No `Debug`: there may be passwords in it.
struct Source {
    words: Vec<String>,
    place: String,
    /// What it says in the clear.
    password: Option<Zeroizing<Vec<u8>>>,
    has_password: bool,
    is_nopass: bool,
}

impl Source {
    fn of(words: Vec<String>, place: String) -> Source {
        let rules = || words.iter().skip(1);
        let password = rules().rev().find_map(|word| word.strip_prefix('>')).map(|word| word.as_bytes().to_vec());
        Source {
            password: password.map(Zeroizing::new),
            has_password: rules().any(|word| word.starts_with(['>', '#'])),
            is_nopass: rules().any(|word| word == "nopass"),
            place,
            words,
        }
    }

    fn name(&self) -> &str {
        self.words.first().map(String::as_str).unwrap_or_default()
    }
}

/// The users of redis.conf, or of the ACL file.
fn sources(text: &RedisConfText, acl: Option<&AclText>) -> Result<Vec<Source>, Vec<Fault>> {
    let lossy = |word: &[u8]| String::from_utf8_lossy(word).into_owned();
    let in_conf: Vec<Source> = text
        .lines
        .iter()
        .filter(|line| line.name == "user")
        .map(|line| {
            let words = line.values.iter().map(|word| lossy(word)).collect();
            Source::of(words, format!("{}:{}", line.path.display(), line.number))
        })
        .collect();
    let Some(AclText { path, text }) = acl else { return without_ours(in_conf) };
    if let Some(user) = in_conf.first() {
        return Err(vec![Fault::TwoSources(user.place.clone())]);
    }
    let mut sources = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let words: Vec<String> = line.split_ascii_whitespace().map(str::to_owned).collect();
        if words.first().is_some_and(|word| word == "user") {
            sources.push(Source::of(words[1..].to_vec(), format!("{}:{}", path.display(), index + 1)));
        }
    }
    without_ours(sources)
}

fn without_ours(sources: Vec<Source>) -> Result<Vec<Source>, Vec<Fault>> {
    match sources.iter().find(|user| user.name() == UPSTREAM_USER) {
        Some(user) => Err(vec![Fault::UpstreamUserTaken(user.place.clone())]),
        None => Ok(sources),
    }
}

fn login(text: &RedisConfText, sources: &[Source]) -> Login {
    let required = last(text, "requirepass").map(RedisConfLine::value).filter(|password| !password.is_empty());
    match sources.iter().find(|user| user.name() == "default") {
        Some(Source { password: Some(password), .. }) => Login::Password(password.clone()),
        Some(Source { is_nopass: true, .. }) => Login::Nothing,
        Some(_) => Login::Unknown,
        None => required.map_or(Login::Nothing, |password| Login::Password(password.into_bytes().into())),
    }
}

/// All but `default`, without what respgate has no use for: their certificates say who they are.
fn former_users(sources: Vec<Source>) -> Result<Vec<FormerUser>, Vec<Fault>> {
    let is_of_password =
        |word: &&String| word.starts_with(['>', '#', '<', '!']) || ["nopass", "resetpass"].contains(&word.as_str());
    let table = CommandTable::builtin(Dialect::Redis70);
    let mut users = Vec::new();
    let mut faults = Vec::new();
    for Source { words, place, .. } in sources.into_iter().filter(|source| source.name() != "default") {
        let name = words.first().cloned().unwrap_or_default();
        let rules: Vec<&str> = words.iter().skip(1).filter(|word| !is_of_password(word)).map(String::as_str).collect();
        let line = format!("user {name} {}", rules.join(" "));
        match Acl::read(line.as_bytes(), &table, Unknown::Keep) {
            Ok(read) => {
                let is_on = read.acl.user(name.as_bytes()).is_some_and(|user| user.is_enabled());
                users.push(FormerUser { name, line, place, is_on });
            }
            Err(errors) => faults.extend(errors.into_iter().map(|error| Fault::User(place.clone(), error.message))),
        }
    }
    if faults.is_empty() { Ok(users) } else { Err(faults) }
}
