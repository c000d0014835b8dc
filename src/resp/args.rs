use std::ops::Range;

/// Appends a request as canonical multibulk: `*<n>\r\n`, then `$<len>\r\n<bytes>\r\n` for each argument.
pub fn encode_request<A: AsRef<[u8]>>(args: &[A], out: &mut Vec<u8>) {
    encode_header(b'*', args.len(), out);
    for arg in args {
        encode_bulk(arg.as_ref(), out);
    }
}

/// Appends one argument, and says where in `out` its bytes are.
pub(crate) fn encode_bulk(arg: &[u8], out: &mut Vec<u8>) -> Range<usize> {
    encode_header(b'$', arg.len(), out);
    let start = out.len();
    out.extend_from_slice(arg);
    out.extend_from_slice(b"\r\n");
    start..start + arg.len()
}

/// Appends `<kind><n>\r\n`.
pub(crate) fn encode_header(kind: u8, n: usize, out: &mut Vec<u8>) {
    out.push(kind);
    encode_decimal(n, out);
    out.extend_from_slice(b"\r\n");
}

/// Without the formatter of the standard library, which takes longer than the rest of a short argument: a request has one of these for
/// each.
fn encode_decimal(n: usize, out: &mut Vec<u8>) {
    if n >= 10 {
        encode_decimal(n / 10, out);
    }
    out.push(b'0' + (n % 10) as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_everywhere() {
        for n in [0, 9, 10, 99, 100, 12_345, usize::MAX] {
            let mut out = Vec::new();
            encode_header(b'*', n, &mut out);
            assert_eq!(out, format!("*{n}\r\n").into_bytes());
        }
    }

    #[test]
    fn a_request_is_encoded_byte_for_byte_as_redis_clients_do() {
        let mut out = Vec::new();
        encode_request(&[&b"SET"[..], b"", b"a\r\nb"], &mut out);
        assert_eq!(out, b"*3\r\n$3\r\nSET\r\n$0\r\n\r\n$4\r\na\r\nb\r\n");
    }
}
