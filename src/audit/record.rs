//! What a line of the audit log says: an object of JSON, in which everything that is unknown is absent.

use std::fmt::{Display, Write};
use std::net::SocketAddr;
use std::time::SystemTime;

use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use super::escape;
use super::key_hasher::KeyHasher;
use crate::acl::UserName;
use crate::identity::{Fingerprint, PeerIdentity, x509};
use crate::policy::{KeyNames, RequestKeys};

/// The object, without its end.
pub(super) struct Record(String);

impl Record {
    /// Of this event, which happens now.
    pub(super) fn new(event: &str) -> Record {
        Record(format!("{{\"time\":\"{}\"", shown(SystemTime::now()))).with("event", event)
    }

    /// With this field, unless it is null or empty.
    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> Record {
        let value = value.into();
        if !value.is_null() && value != "" {
            // A String takes everything.
            let _ = write!(self.0, ",\"{name}\":{value}");
        }
        self
    }

    pub(super) fn client(self, client: SocketAddr) -> Record {
        self.with("client", client.to_string())
    }

    pub(super) fn user(self, user: Option<&UserName>) -> Record {
        self.with("user", user.map(UserName::as_str))
    }

    /// With the keys of a request: how many, and of the first the beginnings, or something that is the same for the same.
    pub(super) fn keys(self, keys: &RequestKeys, names: KeyNames, hasher: &KeyHasher) -> Record {
        let told: Vec<String> = match names {
            KeyNames::No => Vec::new(),
            KeyNames::Hash => keys.names.iter().map(|name| hasher.of(name)).collect(),
            KeyNames::Yes => keys.names.iter().map(|name| readable(name)).collect(),
        };
        let field = if names == KeyNames::Hash { "key_hashes" } else { "key_names" };
        self.with("keys", keys.count).with(field, Some(told).filter(|told| !told.is_empty()))
    }

    /// With what was verified.
    pub(super) fn certificate(self, identity: Option<&PeerIdentity>) -> Record {
        let certificate = identity.map(|identity| {
            json!({
                "subject": identity.subject(),
                "issuer": identity.issuer(),
                "serial": identity.serial(),
                "sha256": identity.sha256().to_string(),
            })
        });
        self.with("cert", certificate)
    }

    /// With what somebody has shown, DER, and nobody vouches for; and what can be read of it.
    pub(super) fn shown_certificate(self, leaf: Option<&[u8]>, head: Option<&x509::Head>) -> Record {
        let certificate = leaf.map(|leaf| {
            let mut fields = Map::new();
            if let Some(read) = head {
                fields.insert("subject".to_owned(), read.subject.display().into());
                fields.insert("issuer".to_owned(), read.issuer.display().into());
                fields.insert("serial".to_owned(), beginning(&read.serial).into());
            }
            fields.insert("sha256".to_owned(), Fingerprint::of(leaf).to_string().into());
            Value::Object(fields)
        });
        self.with("cert", certificate)
    }

    /// The line, with its end.
    pub(super) fn into_line(self) -> Vec<u8> {
        escape::json(&(self.0 + "}\n")).into_owned().into()
    }
}

/// As it is, or with escapes where it is no text. As much of it as takes no more room in the line than plain text may:
/// whoever has names of nothing but escapes would fill the disk six times as fast.
fn readable(name: &[u8]) -> String {
    match std::str::from_utf8(name) {
        Ok(text) => beginning_of(text.chars()),
        Err(_) => beginning_of(name.iter().map(|byte| byte.escape_ascii())),
    }
}

fn beginning_of(parts: impl Iterator<Item = impl Display>) -> String {
    let mut beginning = String::new();
    let mut written = 0;
    for part in parts {
        let end = beginning.len();
        let _ = write!(beginning, "{part}");
        written += beginning[end..].chars().map(escape::json_length).sum::<usize>();
        if written > RequestKeys::LONGEST {
            beginning.truncate(end);
            break;
        }
    }
    beginning
}

/// Of a serial number that nobody vouches for: more than the 20 bytes that there may be (RFC 5280) is not shown.
pub(super) fn beginning(serial: &str) -> String {
    const DIGITS: usize = 40;
    match serial.get(..DIGITS) {
        Some(beginning) if serial.len() > DIGITS => format!("{beginning}…"),
        _ => serial.to_owned(),
    }
}

/// UTC, to the microsecond.
fn shown(time: SystemTime) -> String {
    let time = OffsetDateTime::from(time);
    let (date, hour, minute, second) = (time.date(), time.hour(), time.minute(), time.second());
    format!("{date}T{hour:02}:{minute:02}:{second:02}.{:06}Z", time.microsecond())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_record_is_a_line_of_json_without_what_is_not_known() {
        let record = Record::new("request.refused").with("user", "").with("reason", None::<&str>).with("count", 3);
        let line = String::from_utf8(record.with("command", "a\n\"\u{202e}").into_line()).unwrap();
        assert!(
            line.ends_with(",\"event\":\"request.refused\",\"count\":3,\"command\":\"a\\n\\\"\\u202e\"}\n"),
            "{line}"
        );
        let value: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value.as_object().unwrap().len(), 4, "{line}");
    }

    #[test]
    fn names_take_no_more_room_than_plain_text_of_their_length_whatever_they_are_made_of() {
        assert_eq!(readable(b"user:1"), "user:1");
        assert_eq!(readable(b"user:\xff and more"), "user:\\xff and more");
        for name in [&[b'"'; 256][..], &[1; 256], &[0xff; 256], "\u{202e}".repeat(85).as_bytes(), &[b'\\'; 256]] {
            let shown = readable(name);
            let line = Record::new("").with("name", &*shown).into_line().len() - Record::new("").into_line().len();
            assert!((200..=256 + ",\"name\":\"\"".len()).contains(&line), "{line}: {shown}");
        }
    }

    #[test]
    fn times_are_utc_with_six_digits() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_micros(1_700_000_000_000_070);
        assert_eq!(shown(time), "2023-11-14T22:13:20.000070Z");
    }
}
