//! Which sessions there are, and which of them are to end: the documents of `/sessions` and `/kick`.

use std::fmt;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::status::rfc3339;
use crate::identity::{PeerIdentity, parse_serial};
use crate::net::view::SessionView;
use crate::session::Activity;

/// The sessions of a moment. Described in `docs/operations.md`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionList {
    /// By number.
    pub sessions: Vec<Session>,
    /// A worker did not answer in time: its sessions are missing.
    pub is_incomplete: bool,
}

/// A session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Counted from the start of the process.
    pub number: u64,
    /// Its client id at Redis.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream_id: Option<u64>,
    /// Whom it acts for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// How it became that user: `certificate`, `password` or `nopass`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proof: Option<String>,
    /// What the client has shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Certificate>,
    /// Where the client comes from.
    pub address: String,
    /// When its handshake was over.
    pub since: String,
    /// For so long nothing has come from the client or gone to it.
    pub idle_seconds: u64,
    /// Requests, whatever became of them.
    pub requests: u64,
    /// Those that were refused.
    pub refused: u64,
    /// What it waits in: one of the words of [`word`].
    pub waits_in: String,
    /// The command, where that is `blocked`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
}

/// A client's certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// In the form of RFC 4514.
    pub subject: String,
    /// Lower-case hexadecimal.
    pub serial: String,
    /// The digest of it, likewise.
    pub sha256: String,
}

/// How many sessions were ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kicked {
    /// So many.
    pub kicked: usize,
}

impl SessionList {
    /// Of these views, as of now.
    pub(super) fn new(mut views: Vec<SessionView>, is_incomplete: bool) -> SessionList {
        views.sort_unstable_by_key(|view| view.number);
        let now = SystemTime::now();
        SessionList { sessions: views.iter().map(|view| Session::new(view, now)).collect(), is_incomplete }
    }
}

impl Session {
    fn new(view: &SessionView, now: SystemTime) -> Session {
        let command = match &view.activity {
            Activity::Blocked(name) => Some(String::from_utf8_lossy(name).to_lowercase()),
            _ => None,
        };
        Session {
            number: view.number,
            upstream_id: view.upstream_id,
            user: view.user.as_ref().map(ToString::to_string),
            proof: view.proof.map(|proof| proof.to_string()),
            certificate: view.certificate.as_deref().map(Certificate::from),
            address: view.address.to_string(),
            since: rfc3339(now.checked_sub(view.age).unwrap_or(now)),
            idle_seconds: view.idle.as_secs(),
            requests: view.traffic.requests(),
            refused: view.traffic.all_refused(),
            waits_in: word(&view.activity).to_owned(),
            command,
        }
    }
}

impl From<&PeerIdentity> for Certificate {
    fn from(identity: &PeerIdentity) -> Certificate {
        Certificate {
            subject: identity.subject().to_owned(),
            serial: identity.serial().to_owned(),
            sha256: identity.sha256().to_string(),
        }
    }
}

/// What a session waits in, in one word.
fn word(activity: &Activity) -> &'static str {
    match activity {
        Activity::Login => "login",
        Activity::Password => "password",
        Activity::Throttled => "throttled",
        Activity::Edit => "edit",
        Activity::Mirror => "mirror",
        Activity::Judgement => "judgement",
        Activity::Connect => "connect",
        Activity::Unread => "unread",
        Activity::Blocked(_) => "blocked",
        Activity::Replica => "replica",
        Activity::Monitor => "monitor",
        Activity::Subscribed => "subscribed",
        Activity::Redis => "redis",
        Activity::Client => "client",
    }
}

/// Which sessions are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chosen {
    /// All.
    All,
    /// The one with this number.
    Number(u64),
    /// Those that act for this user.
    User(String),
    /// Those whose certificate has this serial number.
    Serial(String),
}

impl Chosen {
    /// Of the query of a URI.
    ///
    /// # Errors
    /// It says something else, or more than one of them.
    pub(super) fn read(query: &str) -> Result<Chosen, String> {
        let mut chosen = Chosen::All;
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if chosen != Chosen::All {
                return Err("one of id=, user= and serial= alone".to_owned());
            }
            chosen = match &*name {
                "id" => Chosen::Number(value.parse().map_err(|_| format!("{value:?} is no number of a session"))?),
                "user" => Chosen::User(value.into_owned()),
                "serial" => Chosen::serial(&value)?,
                _ => return Err(format!("{name:?} is none of id, user and serial")),
            };
        }
        Ok(chosen)
    }

    /// A serial number in any spelling.
    ///
    /// # Errors
    /// It is none.
    pub fn serial(value: &str) -> Result<Chosen, String> {
        parse_serial(value).map(Chosen::Serial)
    }

    /// Whether it is meant.
    pub(super) fn holds(&self, view: &SessionView) -> bool {
        match self {
            Chosen::All => true,
            Chosen::Number(number) => view.number == *number,
            Chosen::User(user) => view.user.as_ref().is_some_and(|name| name.as_str() == user),
            Chosen::Serial(serial) => view.certificate.as_ref().is_some_and(|shown| shown.serial() == serial),
        }
    }
}

/// As the query of a URI.
impl fmt::Display for Chosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut query = form_urlencoded::Serializer::new(String::new());
        match self {
            Chosen::All => return Ok(()),
            Chosen::Number(number) => query.append_pair("id", &number.to_string()),
            Chosen::User(user) => query.append_pair("user", user),
            Chosen::Serial(serial) => query.append_pair("serial", serial),
        };
        write!(f, "?{}", query.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_chosen_is_read_back() {
        let serial = Chosen::serial("00:0A:Bc").unwrap();
        assert_eq!(serial, Chosen::Serial("0abc".to_owned()));
        for chosen in [Chosen::All, Chosen::Number(7), Chosen::User("käthe & co=?".to_owned()), serial] {
            assert_eq!(Chosen::read(chosen.to_string().trim_start_matches('?')), Ok(chosen));
        }
        for wrong in ["id=x", "who=me", "user=a&user=b", "serial=xyz"] {
            assert!(Chosen::read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_word_for_what_a_session_waits_in_is_documented() {
        let activities = [
            Activity::Login,
            Activity::Password,
            Activity::Throttled,
            Activity::Edit,
            Activity::Mirror,
            Activity::Judgement,
            Activity::Connect,
            Activity::Unread,
            Activity::Blocked(Box::default()),
            Activity::Replica,
            Activity::Monitor,
            Activity::Subscribed,
            Activity::Redis,
            Activity::Client,
        ];
        let (_, table) = include_str!("../../docs/operations.md").split_once("| waits in |").unwrap();
        let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
        let documented: Vec<_> = rows.filter_map(|row| row.split('`').nth(1)).collect();
        assert_eq!(documented, activities.each_ref().map(word));
    }
}
