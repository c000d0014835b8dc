//! What `redis-cli MONITOR` prints.

use std::fmt;

use crate::command::ArgvBuf;

/// A request that Redis has executed.
pub struct MonitorLine {
    /// When; seconds since 1970.
    pub time: u64,
    /// In which database.
    pub database: u32,
    /// Who sent it.
    pub client: Client,
    /// What.
    pub argv: ArgvBuf,
}

/// Who sent a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Client {
    /// A connection: address and port, or the path of a socket.
    Connection(String),
    /// The script that the line before has started.
    Script,
}

/// It is none of those lines.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotMonitor;

impl MonitorLine {
    /// One line, without its end: `1339518083.107412 [0 127.0.0.1:60866] "keys" "*"`.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(line: &[u8]) -> Result<MonitorLine, NotMonitor> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let (time, rest) = split_at(line, b" [").ok_or(NotMonitor)?;
        let seconds = time.split(|byte| *byte == b'.').next().unwrap_or_default();
        let (origin, arguments) = split_at(rest, b"] \"").ok_or(NotMonitor)?;
        let (database, client) = split_at(origin, b" ").ok_or(NotMonitor)?;
        let client = std::str::from_utf8(client).map_err(|_| NotMonitor)?;
        Ok(MonitorLine {
            time: number(seconds)?,
            database: number(database)?,
            client: if client == "lua" { Client::Script } else { Client::Connection(client.to_owned()) },
            argv: arguments_of(arguments)?,
        })
    }
}

impl Client {
    /// The address without the port, which another connection of the same client has another of; of a socket its path.
    pub fn address(connection: &str) -> &str {
        if connection.starts_with("unix:") || connection.starts_with('/') {
            return connection;
        }
        let address = connection.rsplit_once(':').map_or(connection, |(address, _)| address);
        address.strip_prefix('[').and_then(|address| address.strip_suffix(']')).unwrap_or(address)
    }
}

fn number<T: std::str::FromStr>(digits: &[u8]) -> Result<T, NotMonitor> {
    std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).ok_or(NotMonitor)
}

fn split_at<'l>(line: &'l [u8], mark: &[u8]) -> Option<(&'l [u8], &'l [u8])> {
    let at = memchr::memmem::find(line, mark)?;
    Some((&line[..at], &line[at + mark.len()..]))
}

/// The arguments, the first quote of which is behind us.
fn arguments_of(mut rest: &[u8]) -> Result<ArgvBuf, NotMonitor> {
    let mut argv = ArgvBuf::default();
    let mut argument = Vec::new();
    loop {
        match *rest {
            [b'"'] => {
                argv.push(&argument);
                return Ok(argv);
            }
            [b'"', b' ', b'"', ref more @ ..] => {
                argv.push(&argument);
                argument.clear();
                rest = more;
            }
            [b'\\', b'x', high, low, ref more @ ..] => {
                argument.push(hex(high)? << 4 | hex(low)?);
                rest = more;
            }
            [b'\\', escaped, ref more @ ..] => {
                argument.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'a' => 7,
                    b'b' => 8,
                    b'"' | b'\\' => escaped,
                    _ => return Err(NotMonitor),
                });
                rest = more;
            }
            [] | [b'"' | b'\\', ..] => return Err(NotMonitor),
            [byte, ref more @ ..] => {
                argument.push(byte);
                rest = more;
            }
        }
    }
}

fn hex(digit: u8) -> Result<u8, NotMonitor> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok()).ok_or(NotMonitor)
}

impl fmt::Display for NotMonitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this is no line of MONITOR, such as 1339518083.107412 [0 127.0.0.1:60866] \"get\" \"a\"")
    }
}

impl std::error::Error for NotMonitor {}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &MonitorLine) -> Vec<&[u8]> {
        line.argv.as_argv().iter().collect()
    }

    #[test]
    fn time_database_client_and_arguments_are_read() {
        let line = MonitorLine::parse(br#"1339518083.107412 [3 127.0.0.1:60866] "SET" "a \"b\"" "\x00\\\n""#).unwrap();
        assert_eq!((line.time, line.database), (1_339_518_083, 3));
        assert_eq!(line.client, Client::Connection("127.0.0.1:60866".to_owned()));
        assert_eq!(words(&line), [b"SET".as_slice(), b"a \"b\"", b"\x00\\\n"]);
        let script = MonitorLine::parse(br#"1339518083.1 [0 lua] "get" """#).unwrap();
        assert_eq!((script.client.clone(), words(&script)), (Client::Script, vec![b"get".as_slice(), b""]));
    }

    #[test]
    fn a_client_is_known_by_its_address_without_port() {
        for (connection, address) in [
            ("127.0.0.1:60866", "127.0.0.1"),
            ("[::1]:60866", "::1"),
            ("unix:/run/redis.sock", "unix:/run/redis.sock"),
            ("/run/redis.sock:0", "/run/redis.sock:0"),
        ] {
            let line = format!("1.0 [0 {connection}] \"ping\"");
            assert_eq!(MonitorLine::parse(line.as_bytes()).unwrap().client, Client::Connection(connection.to_owned()));
            assert_eq!(Client::address(connection), address);
        }
    }

    #[test]
    fn what_is_cut_off_or_something_else_is_none() {
        for line in [
            "",
            "OK",
            "1.0 [0 127.0.0.1:1]",
            "1.0 [0 127.0.0.1:1] \"get\" \"a",
            "1.0 [0 127.0.0.1:1] \"get\" \"\\x0",
            "1.0 [0 127.0.0.1:1] \"get\" \"\\q\"",
            "1.0 [0 127.0.0.1:1] \"get\"x\"a\"",
            "x [0 127.0.0.1:1] \"get\"",
            "1.0 [y 127.0.0.1:1] \"get\"",
        ] {
            assert!(MonitorLine::parse(line.as_bytes()).is_err(), "{line:?}");
        }
    }
}
