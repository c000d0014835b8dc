//! What single settings may say: their words, and the bounds of their numbers.

use std::time::{Duration, SystemTime};

use time::format_description::well_known::Rfc3339;

use crate::acl::UserName;
use crate::command::Dialect;
use crate::config::model::{AuditOnFull, LogFormat, LogLevel};
use crate::config::units::{count, duration, one_of, size};
use crate::identity::UserFrom;
use crate::keepalive::Keepalive;
use crate::policy::{KeyNames, Unmapped};
use crate::tls::{AuthClients, CrlCheck, CrlExpired};

pub(super) fn clients_user(text: &str) -> Result<UserFrom, String> {
    one_of(text, &[("CN", UserFrom::Cn), ("URI", UserFrom::Uri), ("off", UserFrom::Off)])
}

pub(super) fn unmapped_word(text: &str) -> Result<Unmapped, String> {
    one_of(text, &[("refuse", Unmapped::Refuse), ("password", Unmapped::Password)])
}

pub(super) fn acl_dialect(text: &str) -> Result<Dialect, String> {
    one_of(text, &Dialect::ALL.map(|dialect| (dialect.name(), dialect)))
}

pub(super) fn auth_clients(text: &str) -> Result<AuthClients, String> {
    one_of(text, &[("yes", AuthClients::Yes), ("optional", AuthClients::Optional), ("no", AuthClients::No)])
}

pub(super) fn crl_check(text: &str) -> Result<CrlCheck, String> {
    one_of(text, &[("chain", CrlCheck::Chain), ("leaf", CrlCheck::Leaf)])
}

pub(super) fn crl_expired(text: &str) -> Result<CrlExpired, String> {
    one_of(text, &[("refuse", CrlExpired::Refuse), ("ignore", CrlExpired::Ignore)])
}

pub(super) fn certificate_word(text: &str) -> Result<bool, String> {
    one_of(text, &[("required", true), ("optional", false)])
}

/// Whether a key is pinned.
pub(super) fn trust_word(text: &str) -> Result<bool, String> {
    one_of(text, &[("ca", false), ("pin", true)])
}

pub(super) fn auth_word(text: &str) -> Result<bool, String> {
    one_of(text, &[("certificate", true), ("any", false)])
}

/// Whether it is ignored.
pub(super) fn stray_auth_word(text: &str) -> Result<bool, String> {
    one_of(text, &[("refuse", false), ("ignore", true)])
}

/// So many days ahead a shadow may end: one that is forgotten is no rule at all.
const LONGEST_SHADOW: u64 = 90;

/// The beginning of a day in UTC, `2026-12-10`, or a time as RFC 3339 has it, in seconds since 1970.
pub(super) fn shadow_end(text: &str) -> Result<u64, String> {
    const DAY: u64 = 86_400;
    let time = || time::OffsetDateTime::parse(text, &Rfc3339).ok();
    let end = day(text).map(|day| day.midnight().assume_utc()).or_else(time);
    let end = end.ok_or_else(|| format!("{text:?} is no day such as \"2026-12-10\""))?;
    let end = u64::try_from(end.unix_timestamp()).unwrap_or_default();
    match end > now() + LONGEST_SHADOW * DAY {
        true => Err(format!("more than {LONGEST_SHADOW} days ahead")),
        false => Ok(end),
    }
}

fn day(text: &str) -> Option<time::Date> {
    let (year, rest) = text.split_once('-')?;
    let (month, day) = rest.split_once('-')?;
    let is_shaped = (year.len(), month.len(), day.len()) == (4, 2, 2);
    let month = time::Month::try_from(month.parse::<u8>().ok()?).ok()?;
    time::Date::from_calendar_date(year.parse().ok()?, month, day.parse().ok()?).ok().filter(|_| is_shaped)
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// 0 is none.
pub(super) fn keepalive(text: &str) -> Result<Option<Keepalive>, String> {
    let silence = duration(text)?;
    if silence.is_zero() {
        Ok(None)
    } else if silence.subsec_nanos() > 0 || silence > Keepalive::LONGEST {
        Err(format!("{text:?}: whole seconds, {} at most", Keepalive::LONGEST.as_secs()))
    } else {
        Ok(Some(Keepalive::after(silence)))
    }
}

pub(super) fn log_format(text: &str) -> Result<LogFormat, String> {
    one_of(text, &[("text", LogFormat::Text), ("json", LogFormat::Json)])
}

pub(super) fn log_level(text: &str) -> Result<LogLevel, String> {
    let words = [
        ("error", LogLevel::Error),
        ("warn", LogLevel::Warn),
        ("info", LogLevel::Info),
        ("debug", LogLevel::Debug),
        ("trace", LogLevel::Trace),
    ];
    one_of(text, &words)
}

/// One of ours, as in an ACL file.
pub(super) fn user_name(text: &str) -> Result<String, String> {
    match UserName::is_too_long(text.as_bytes()) {
        true => Err(format!("no user name: it is longer than {} bytes", UserName::MOST)),
        false => upstream_user_name(text),
    }
}

/// Without blanks and NUL.
pub(super) fn upstream_user_name(text: &str) -> Result<String, String> {
    match text.is_empty() || text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        true => Err(format!("{text:?} is no user name: it is empty or has a blank in it")),
        false => Ok(text.to_owned()),
    }
}

/// `FLUSHALL`, `client|kill`, `CLIENT KILL` or `@scripting`, in lower case and with a bar; a `-` before it stays, a `+` says
/// nothing.
pub(super) fn blocked_command(text: &str) -> Result<String, String> {
    let (sign, name) = match text.strip_prefix('-') {
        Some(name) => ("-", name),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let name = name.split_ascii_whitespace().collect::<Vec<_>>().join("|").to_ascii_lowercase();
    let mut parts = name.strip_prefix('@').unwrap_or(&name).split('|');
    let sound = parts.clone().count() <= if name.starts_with('@') { 1 } else { 2 } && parts.all(is_command_name);
    let sound = sound && !name.starts_with(['-', '+']);
    if sound {
        Ok(format!("{sign}{name}"))
    } else {
        Err(format!("{text:?} is no command, no \"container|subcommand\" and no @category"))
    }
}

/// A command, subcommand or category of which permitted requests are recorded.
pub(super) fn recorded_command(text: &str) -> Result<String, String> {
    match text.starts_with(['-', '+']) {
        true => Err(format!("{text:?}: nothing is added or taken away here, what is named is recorded")),
        false => blocked_command(text),
    }
}

pub(super) fn audit_on_full(text: &str) -> Result<AuditOnFull, String> {
    one_of(text, &[("drop", AuditOnFull::Drop), ("block", AuditOnFull::Block)])
}

pub(super) fn key_names(text: &str) -> Result<KeyNames, String> {
    one_of(text, &[("no", KeyNames::No), ("hash", KeyNames::Hash), ("yes", KeyNames::Yes)])
}

/// The name of a parameter of Redis or a module.
pub(super) fn parameter(text: &str) -> Result<String, String> {
    let is_of_names = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
    match !text.is_empty() && text.bytes().all(is_of_names) {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "{text:?} is no parameter of CONFIG: write its whole name in lower case, such as \"maxmemory-policy\"; wildcards \
             stand for nothing here"
        )),
    }
}

pub(super) fn is_command_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte))
}

/// As many as Redis takes.
pub(super) const MOST_ARGUMENTS: u32 = 1024 * 1024;

pub(super) fn max_args(text: &str) -> Result<u32, String> {
    match count(text)? {
        number @ 1..=MOST_ARGUMENTS => Ok(number),
        _ => Err(format!("{text:?} is not within 1 and {MOST_ARGUMENTS}, which is what Redis takes")),
    }
}

pub(super) fn threads(text: &str) -> Result<usize, String> {
    match count(text)? {
        number @ 1..=1024 => usize::try_from(number).map_err(|error| error.to_string()),
        _ => Err(format!("{text:?} is not within 1 and 1024")),
    }
}

pub(super) fn inline_size(text: &str) -> Result<usize, String> {
    match size(text)? {
        0 => Err("must not be 0".to_owned()),
        bytes => usize::try_from(bytes).map_err(|_| format!("{text:?} is too large")),
    }
}

pub(super) fn positive_count(text: &str) -> Result<u32, String> {
    count(text).and_then(|number| if number == 0 { Err("must not be 0".to_owned()) } else { Ok(number) })
}

pub(super) fn positive_size(text: &str) -> Result<u64, String> {
    size(text).and_then(|bytes| if bytes == 0 { Err("must not be 0".to_owned()) } else { Ok(bytes) })
}

pub(super) fn positive_duration(text: &str) -> Result<Duration, String> {
    duration(text).and_then(|time| if time.is_zero() { Err("must not be 0".to_owned()) } else { Ok(time) })
}
