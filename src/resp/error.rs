use std::error::Error;
use std::fmt;

/// Why a client's bytes are not a request. The session answers `-ERR Protocol error: <this text>` and closes, but
/// for [`CrossProtocol`](ProtocolError::CrossProtocol), which is closed without a word.
///
/// The texts are those of Redis 7.0, where Redis refuses as well; three of them are ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProtocolError {
    /// `*<n>` where n is not an integer, or above the limit.
    InvalidMultibulkLength,
    /// `*<n>` above what is allowed before authentication.
    UnauthenticatedMultibulk,
    /// A line that should begin with `*` or a digit has no CR in 64 KiB.
    TooBigMultibulkCount,
    /// `$<len>` where len is not an integer, negative, or above the limit.
    InvalidBulkLength,
    /// `$<len>` above what is allowed before authentication.
    UnauthenticatedBulk,
    /// A line that should begin with `$` has no CR in 64 KiB.
    TooBigBulkCount,
    /// An argument that begins with another byte than `$`.
    ExpectedDollar(u8),
    /// Not CRLF after a count, a length or an argument. Redis skips two bytes there without looking, so it would go on
    /// with something else than what is written. Ours.
    MissingCrlf,
    /// An inline request without a LF in its limit.
    TooBigInline,
    /// A quote of an inline request never closes, or text follows a closing one.
    UnbalancedQuotes,
    /// A NUL in an inline request. Redis stalls on it. Ours.
    NulInInline,
    /// The request to hold does not fit into 4 GiB. Ours.
    TooBigRequest,
    /// `POST` or `Host:` as the command: a browser was talked into speaking to us (`securityWarningCommand`).
    CrossProtocol,
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match *self {
            ProtocolError::InvalidMultibulkLength => "invalid multibulk length",
            ProtocolError::UnauthenticatedMultibulk => "unauthenticated multibulk length",
            ProtocolError::TooBigMultibulkCount => "too big mbulk count string",
            ProtocolError::InvalidBulkLength => "invalid bulk length",
            ProtocolError::UnauthenticatedBulk => "unauthenticated bulk length",
            ProtocolError::TooBigBulkCount => "too big bulk count string",
            ProtocolError::ExpectedDollar(byte) => return write_expected_dollar(f, byte),
            ProtocolError::MissingCrlf => "expected CRLF",
            ProtocolError::TooBigInline => "too big inline request",
            ProtocolError::UnbalancedQuotes => "unbalanced quotes in request",
            ProtocolError::NulInInline => "NUL in inline request",
            ProtocolError::TooBigRequest => "too big request",
            ProtocolError::CrossProtocol => "possible cross-protocol attack",
        };
        f.write_str(text)
    }
}

/// As Redis, which turns CR and LF into blanks; other bytes that cannot be printed are escaped, where Redis sends them.
fn write_expected_dollar(f: &mut fmt::Formatter<'_>, byte: u8) -> fmt::Result {
    match byte {
        b'\r' | b'\n' => f.write_str("expected '$', got ' '"),
        b' '..=b'~' => write!(f, "expected '$', got '{}'", char::from(byte)),
        _ => write!(f, "expected '$', got '\\x{byte:02x}'"),
    }
}

impl Error for ProtocolError {}

/// Why the server's bytes are not a reply: we no longer know where we are in its stream, so the session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReplyError {
    /// A frame begins with a byte that is no type.
    UnknownType(u8),
    /// A length or count that is not an integer in its range, or a streamed (`?`) one, which no server sends.
    InvalidLength,
    /// An integer, boolean or null that is not one.
    InvalidScalar,
    /// Not CRLF where a line or a value ends.
    MissingCrlf,
    /// Aggregates nested too deeply.
    TooDeep,
    /// A frame that is well-formed and yet not understood by the decoder of trusted replies.
    Undecodable,
}

impl fmt::Display for ReplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            ReplyError::UnknownType(byte) => write!(f, "unknown reply type 0x{byte:02x}"),
            ReplyError::InvalidLength => f.write_str("invalid length in a reply"),
            ReplyError::InvalidScalar => f.write_str("invalid integer, boolean or null in a reply"),
            ReplyError::MissingCrlf => f.write_str("CRLF missing in a reply"),
            ReplyError::TooDeep => f.write_str("reply nested too deeply"),
            ReplyError::Undecodable => f.write_str("reply that cannot be decoded"),
        }
    }
}

impl Error for ReplyError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_byte_in_place_of_a_dollar_cannot_break_the_line_it_is_reported_in() {
        for byte in 0..=u8::MAX {
            let text = ProtocolError::ExpectedDollar(byte).to_string();
            assert!(text.bytes().all(|b| (b' '..=b'~').contains(&b)), "{byte:#x}: {text}");
        }
        assert_eq!(ProtocolError::ExpectedDollar(b'*').to_string(), "expected '$', got '*'");
        assert_eq!(ProtocolError::ExpectedDollar(b'\r').to_string(), "expected '$', got ' '");
    }
}
