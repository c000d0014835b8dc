//! Why there is no connection to Redis.

use std::fmt;
use std::io;

use rustix::io::Errno;

/// Why there is no connection.
#[derive(Debug)]
pub enum ConnectError {
    /// Nobody accepts, or the connection broke.
    Io(io::Error),
    /// It took too long.
    Timeout,
    /// Redis does not let us in; its own words.
    Refused(String),
    /// What answered does not speak the Redis protocol.
    NotRedis,
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) if has_hung_up(error) => write!(f, "it closed the connection{IF_TLS}"),
            Self::Io(error) => write!(f, "{error}"),
            Self::Timeout => f.write_str("timed out"),
            Self::Refused(text) if text.starts_with("NOAUTH") => {
                write!(f, "the upstream refused: {text} ([upstream-auth] says how the proxy logs in there)")
            }
            Self::Refused(text) => write!(f, "the upstream refused: {text}"),
            Self::NotRedis => write!(f, "the upstream does not speak the Redis protocol{IF_TLS}"),
        }
    }
}

/// What Redis does at its `tls-port` with one who speaks plaintext.
const IF_TLS: &str =
    ", as where it takes TLS alone: the proxy speaks plaintext to it, so name a port without TLS or a unix socket";

fn has_hung_up(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
}

impl std::error::Error for ConnectError {}

impl ConnectError {
    /// In Redis's own words, but without what they repeat of ours: it may be the password.
    pub(super) fn refused(words: &str) -> Self {
        const REPEATING: &str = "ERR unknown command";
        Self::Refused(if words.starts_with(REPEATING) { REPEATING } else { words }.to_owned())
    }

    /// Redis is there, and has no time or no place just now.
    pub fn is_passing(&self) -> bool {
        const PASSING: [&str; 2] = ["BUSY ", "LOADING "];
        self.is_max_clients()
            || matches!(self, Self::Refused(text) if PASSING.iter().any(|words| text.starts_with(words)))
    }

    /// Redis does not know this login.
    pub(super) fn is_wrong_password(&self) -> bool {
        matches!(self, Self::Refused(text) if text.starts_with("WRONGPASS"))
    }

    /// Redis has as many clients as it takes.
    pub fn is_max_clients(&self) -> bool {
        matches!(self, Self::Refused(text) if text.starts_with("ERR max number of clients reached"))
    }

    /// It says nothing of Redis: this process, or the system, has no file descriptor left.
    pub fn is_ours(&self) -> bool {
        const OURS: [Errno; 2] = [Errno::MFILE, Errno::NFILE];
        matches!(self, Self::Io(error) if Errno::from_io_error(error).is_some_and(|errno| OURS.contains(&errno)))
    }
}

impl From<io::Error> for ConnectError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_redis_repeats_of_a_request_is_not_kept() {
        let words = |error: ConnectError| error.to_string();
        let told = words(ConnectError::refused("ERR unknown command 'AUTH', with args beginning with: 'secret' "));
        assert!(told.ends_with("ERR unknown command"), "{told}");
        assert!(words(ConnectError::refused("WRONGPASS invalid")).ends_with("WRONGPASS invalid"));
    }

    #[test]
    fn a_redis_that_has_no_time_or_place_is_told_from_one_that_lets_nobody_in() {
        let refused = |text: &str| ConnectError::Refused(text.to_owned());
        for text in ["ERR max number of clients reached", "BUSY Redis is busy running a script.", "LOADING Redis is"] {
            assert!(refused(text).is_passing(), "{text}");
        }
        for text in ["NOAUTH Authentication required.", "WRONGPASS invalid", "NOPERM this user", "DENIED Redis is", ""]
        {
            assert!(!refused(text).is_passing(), "{text}");
        }
        assert!(!ConnectError::Timeout.is_passing());
    }
}
