use std::borrow::Cow;

use redis_protocol::{resp2, resp3};

use super::args::encode_header;
use super::error::ReplyError;
use super::reply::{FrameKind, ReplyFramer, ReplyStep};

/// The protocol a connection speaks, as negotiated by HELLO.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// What every connection begins with.
    #[default]
    Resp2,
    /// `HELLO 3`.
    Resp3,
}

/// A reply of our own, or one read from a server we trust.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// A status, `+OK`. CR and LF become blanks, here and in errors, as Redis does.
    Simple(Cow<'static, str>),
    /// An error with its code, without the `-`: `ERR syntax error`.
    Error(Cow<'static, str>),
    /// An integer.
    Integer(i64),
    /// A bulk string.
    Bulk(Vec<u8>),
    /// No value; RESP2 `$-1`.
    Null,
    /// No array; RESP2 `*-1`, in RESP3 the same as [`Null`](Reply::Null).
    NullArray,
    /// A list.
    Array(Vec<Reply>),
    /// Pairs in order; RESP2 a flat array.
    Map(Vec<(Reply, Reply)>),
    /// A list without order; RESP2 an array.
    Set(Vec<Reply>),
    /// RESP2 `:1` or `:0`.
    Boolean(bool),
    /// RESP2 a bulk string.
    Double(f64),
    /// An integer of any size, in decimal; RESP2 a bulk string.
    BigNumber(String),
    /// Text for people; RESP2 a bulk string.
    Verbatim(String),
    /// Out of band; RESP2 an array.
    Push(Vec<Reply>),
}

impl Reply {
    /// `+OK`.
    pub const OK: Reply = Reply::Simple(Cow::Borrowed("OK"));

    /// An error with its code, without the `-`.
    pub fn error(text: impl Into<Cow<'static, str>>) -> Reply {
        Reply::Error(text.into())
    }

    /// A bulk string.
    pub fn bulk(bytes: impl Into<Vec<u8>>) -> Reply {
        Reply::Bulk(bytes.into())
    }

    /// Appends the reply as `protocol` writes it.
    pub fn encode(&self, protocol: Protocol, out: &mut Vec<u8>) {
        match (self, protocol) {
            (Reply::Array(items), _) => encode_items(b'*', items, protocol, out),
            (Reply::Set(items) | Reply::Push(items), Protocol::Resp2) => encode_items(b'*', items, protocol, out),
            (Reply::Set(items), Protocol::Resp3) => encode_items(b'~', items, protocol, out),
            (Reply::Push(items), Protocol::Resp3) => encode_items(b'>', items, protocol, out),
            (Reply::Map(pairs), Protocol::Resp2) => encode_pairs(b'*', 2 * pairs.len(), pairs, protocol, out),
            (Reply::Map(pairs), Protocol::Resp3) => encode_pairs(b'%', pairs.len(), pairs, protocol, out),
            // The library knows one null.
            (Reply::NullArray, Protocol::Resp2) => out.extend_from_slice(b"*-1\r\n"),
            (scalar, Protocol::Resp2) => encode_resp2(scalar, out),
            (scalar, Protocol::Resp3) => encode_resp3(scalar, out),
        }
    }
}

/// Aggregates are written element by element, as the library's own maps and sets lose the order.
fn encode_items(kind: u8, items: &[Reply], protocol: Protocol, out: &mut Vec<u8>) {
    encode_header(kind, items.len(), out);
    for item in items {
        item.encode(protocol, out);
    }
}

fn encode_pairs(kind: u8, count: usize, pairs: &[(Reply, Reply)], protocol: Protocol, out: &mut Vec<u8>) {
    encode_header(kind, count, out);
    for (key, value) in pairs {
        key.encode(protocol, out);
        value.encode(protocol, out);
    }
}

fn encode_resp2(scalar: &Reply, out: &mut Vec<u8>) {
    use resp2::types::BorrowedFrame as Frame;

    let line;
    let frame = match scalar {
        Reply::Simple(text) => {
            line = one_line(text);
            Frame::SimpleString(line.as_bytes())
        }
        Reply::Error(text) => {
            line = one_line(text);
            Frame::Error(&line)
        }
        Reply::Integer(value) => Frame::Integer(*value),
        Reply::Boolean(value) => Frame::Integer(i64::from(*value)),
        Reply::Bulk(bytes) => Frame::BulkString(bytes),
        Reply::BigNumber(text) | Reply::Verbatim(text) => Frame::BulkString(text.as_bytes()),
        Reply::Double(value) => {
            line = Cow::Owned(value.to_string().to_ascii_lowercase());
            Frame::BulkString(line.as_bytes())
        }
        _null => Frame::Null,
    };
    let start = out.len();
    out.resize(start + frame.encode_len(false), 0);
    resp2::encode::encode_borrowed(&mut out[start..], &frame, false).expect("a frame fits into its own length");
}

fn encode_resp3(scalar: &Reply, out: &mut Vec<u8>) {
    use resp3::types::{BorrowedFrame as Frame, VerbatimStringFormat};

    let line;
    let attributes = None;
    let frame = match scalar {
        Reply::Simple(text) => {
            line = one_line(text);
            Frame::SimpleString { data: line.as_bytes(), attributes }
        }
        Reply::Error(text) => {
            line = one_line(text);
            Frame::SimpleError { data: &line, attributes }
        }
        Reply::Integer(value) => Frame::Number { data: *value, attributes },
        Reply::Boolean(value) => Frame::Boolean { data: *value, attributes },
        Reply::Bulk(bytes) => Frame::BlobString { data: bytes, attributes },
        Reply::BigNumber(text) => {
            line = one_line(text);
            Frame::BigNumber { data: line.as_bytes(), attributes }
        }
        Reply::Verbatim(text) => {
            Frame::VerbatimString { data: text.as_bytes(), format: VerbatimStringFormat::Text, attributes }
        }
        Reply::Double(value) => Frame::Double { data: *value, attributes },
        _null => Frame::Null,
    };
    let start = out.len();
    out.resize(start + frame.encode_len(false), 0);
    resp3::encode::complete::encode_borrowed(&mut out[start..], &frame, false)
        .expect("a frame fits into its own length");
}

fn one_line(text: &str) -> Cow<'_, str> {
    if text.contains(['\r', '\n']) { Cow::Owned(text.replace(['\r', '\n'], " ")) } else { Cow::Borrowed(text) }
}

/// Reads one reply of a server we trust, as in our own conversation with it: (reply, bytes), or `None` while it is not
/// complete. Attributes are dropped, and bytes that are no UTF-8 replaced where a text is expected. Prefer RESP2: of
/// RESP3 sets and maps the library keeps no order, and it refuses aggregates as members of a set (COMMAND has such).
///
/// # Errors
/// The bytes are malformed, or nested too deeply, or the library does not understand them.
pub fn decode(protocol: Protocol, input: &[u8]) -> Result<Option<(Reply, usize)>, ReplyError> {
    // The library recurses without a bound and starts over on a partial frame, so it is shown whole frames alone.
    let ReplyStep { len, complete, kind } = ReplyFramer::for_decoding().scan(input)?;
    if !complete {
        return Ok(None);
    }
    let frame = &input[..len];
    let reply = match (protocol, kind) {
        (_, FrameKind::Reply(b'*')) if frame == b"*-1\r\n" => Reply::NullArray,
        (_, FrameKind::Reply(b'$')) if frame == b"$-1\r\n" => Reply::Null,
        (Protocol::Resp2, _) => match resp2::decode::decode(frame) {
            Ok(Some((frame, _len))) => from_resp2(frame),
            Ok(None) | Err(_) => return Err(ReplyError::Undecodable),
        },
        (Protocol::Resp3, _) => match resp3::decode::complete::decode(frame) {
            Ok(Some((frame, _len))) => from_resp3(frame)?,
            Ok(None) | Err(_) => return Err(ReplyError::Undecodable),
        },
    };
    Ok(Some((reply, len)))
}

fn from_resp2(frame: resp2::types::OwnedFrame) -> Reply {
    use resp2::types::OwnedFrame as Frame;

    match frame {
        Frame::SimpleString(text) => Reply::Simple(text_of(text)),
        Frame::Error(text) => Reply::Error(text.into()),
        Frame::Integer(value) => Reply::Integer(value),
        Frame::BulkString(bytes) => Reply::Bulk(bytes),
        Frame::Array(items) => Reply::Array(items.into_iter().map(from_resp2).collect()),
        Frame::Null => Reply::Null,
    }
}

fn from_resp3(frame: resp3::types::OwnedFrame) -> Result<Reply, ReplyError> {
    use resp3::types::OwnedFrame as Frame;

    let all = |items: Vec<Frame>| items.into_iter().map(from_resp3).collect::<Result<Vec<Reply>, ReplyError>>();
    Ok(match frame {
        Frame::SimpleString { data, .. } => Reply::Simple(text_of(data)),
        Frame::SimpleError { data, .. } => Reply::Error(data.into()),
        Frame::BlobError { data, .. } => Reply::Error(text_of(data)),
        Frame::Number { data, .. } => Reply::Integer(data),
        Frame::Boolean { data, .. } => Reply::Boolean(data),
        Frame::Double { data, .. } => Reply::Double(data),
        Frame::Null => Reply::Null,
        Frame::BlobString { data, .. } => Reply::Bulk(data),
        Frame::BigNumber { data, .. } => Reply::BigNumber(text_of(data).into_owned()),
        Frame::VerbatimString { data, .. } => Reply::Verbatim(text_of(data).into_owned()),
        Frame::Array { data, .. } => Reply::Array(all(data)?),
        Frame::Push { data, .. } => Reply::Push(all(data)?),
        Frame::Set { data, .. } => Reply::Set(all(data.into_iter().collect())?),
        Frame::Map { data, .. } => {
            let pair = |(key, value)| Ok((from_resp3(key)?, from_resp3(value)?));
            Reply::Map(data.into_iter().map(pair).collect::<Result<_, ReplyError>>()?)
        }
        Frame::Hello { .. } | Frame::ChunkedString(_) => return Err(ReplyError::Undecodable),
    })
}

fn text_of(bytes: Vec<u8>) -> Cow<'static, str> {
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(reply: &Reply, protocol: Protocol) -> String {
        let mut out = b"before ".to_vec();
        reply.encode(protocol, &mut out);
        String::from_utf8(out).expect("text").strip_prefix("before ").expect("appended").to_owned()
    }

    /// The forms of Redis (`addReply…` in networking.c).
    #[test]
    fn every_reply_has_its_form_in_both_protocols() {
        let pair = || vec![(Reply::bulk("a"), Reply::Integer(1)), (Reply::bulk("b"), Reply::Null)];
        let items = || vec![Reply::Integer(1), Reply::Boolean(true)];
        for (reply, resp2, resp3) in [
            (Reply::OK, "+OK\r\n", "+OK\r\n"),
            (Reply::error("ERR no"), "-ERR no\r\n", "-ERR no\r\n"),
            (Reply::Integer(i64::MIN), ":-9223372036854775808\r\n", ":-9223372036854775808\r\n"),
            (Reply::bulk("a\r\n"), "$3\r\na\r\n\r\n", "$3\r\na\r\n\r\n"),
            (Reply::bulk(""), "$0\r\n\r\n", "$0\r\n\r\n"),
            (Reply::Null, "$-1\r\n", "_\r\n"),
            (Reply::NullArray, "*-1\r\n", "_\r\n"),
            (Reply::Array(items()), "*2\r\n:1\r\n:1\r\n", "*2\r\n:1\r\n#t\r\n"),
            (Reply::Set(items()), "*2\r\n:1\r\n:1\r\n", "~2\r\n:1\r\n#t\r\n"),
            (Reply::Push(items()), "*2\r\n:1\r\n:1\r\n", ">2\r\n:1\r\n#t\r\n"),
            (
                Reply::Map(pair()),
                "*4\r\n$1\r\na\r\n:1\r\n$1\r\nb\r\n$-1\r\n",
                "%2\r\n$1\r\na\r\n:1\r\n$1\r\nb\r\n_\r\n",
            ),
            (Reply::Array(vec![]), "*0\r\n", "*0\r\n"),
            (Reply::Boolean(false), ":0\r\n", "#f\r\n"),
            (Reply::Double(1.5), "$3\r\n1.5\r\n", ",1.5\r\n"),
            (Reply::Double(-2.0), "$2\r\n-2\r\n", ",-2\r\n"),
            (Reply::Double(f64::NEG_INFINITY), "$4\r\n-inf\r\n", ",-inf\r\n"),
            (Reply::Double(f64::NAN), "$3\r\nnan\r\n", ",nan\r\n"),
            (Reply::BigNumber("123".to_owned()), "$3\r\n123\r\n", "(123\r\n"),
            (Reply::Verbatim("x y".to_owned()), "$3\r\nx y\r\n", "=7\r\ntxt:x y\r\n"),
        ] {
            assert_eq!(encoded(&reply, Protocol::Resp2), resp2, "{reply:?}");
            assert_eq!(encoded(&reply, Protocol::Resp3), resp3, "{reply:?}");
        }
    }

    #[test]
    fn a_text_cannot_break_out_of_its_line() {
        for protocol in [Protocol::Resp2, Protocol::Resp3] {
            assert_eq!(encoded(&Reply::error("ERR 'a\r\n+OK\r\n'"), protocol), "-ERR 'a  +OK  '\r\n");
            assert_eq!(encoded(&Reply::Simple("a\nb".into()), protocol), "+a b\r\n");
        }
        assert_eq!(encoded(&Reply::BigNumber("1\r\n2".to_owned()), Protocol::Resp3), "(1  2\r\n");
    }

    #[test]
    fn what_is_encoded_is_decoded_again() {
        let plain = Reply::Array(vec![
            Reply::OK,
            Reply::error("ERR no"),
            Reply::Integer(-1),
            Reply::bulk([0u8, 255]),
            Reply::Null,
            Reply::Array(vec![]),
        ]);
        let rich = Reply::Array(vec![
            Reply::Map(vec![(Reply::bulk("a"), Reply::Boolean(true))]),
            Reply::Set(vec![Reply::Double(0.5)]),
            Reply::BigNumber("123".to_owned()),
            Reply::Verbatim("text".to_owned()),
        ]);
        for (reply, protocol) in [(&plain, Protocol::Resp2), (&plain, Protocol::Resp3), (&rich, Protocol::Resp3)] {
            let mut bytes = Vec::new();
            reply.encode(protocol, &mut bytes);
            for end in 0..bytes.len() {
                assert_eq!(decode(protocol, &bytes[..end]), Ok(None));
            }
            let len = bytes.len();
            bytes.extend_from_slice(b"+next");
            assert_eq!(decode(protocol, &bytes), Ok(Some((reply.clone(), len))));
        }
    }

    #[test]
    fn nulls_of_resp2_are_decoded_in_either_protocol() {
        for protocol in [Protocol::Resp2, Protocol::Resp3] {
            assert_eq!(decode(protocol, b"*-1\r\n"), Ok(Some((Reply::NullArray, 5))));
            assert_eq!(decode(protocol, b"$-1\r\n"), Ok(Some((Reply::Null, 5))));
        }
    }

    #[test]
    fn malformed_replies_are_errors_and_no_panic() {
        assert_eq!(decode(Protocol::Resp2, b"HTTP/1.1"), Err(ReplyError::UnknownType(b'H')));
        assert_eq!(decode(Protocol::Resp2, &b"*1\r\n".repeat(1_000)), Err(ReplyError::TooDeep));
        assert_eq!(decode(Protocol::Resp2, b"#t\r\n"), Err(ReplyError::Undecodable));
        assert_eq!(decode(Protocol::Resp3, b",x\r\n"), Err(ReplyError::Undecodable));
    }
}
