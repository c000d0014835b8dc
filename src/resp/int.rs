/// Bytes of the longest `i64`, `-9223372036854775808`.
const MAX_LEN: usize = 20;

/// Reads a decimal `i64` as Redis writes one (`string2ll`): an optional `-`, then digits without a leading zero.
/// `+4`, `04`, `-0`, blanks and the empty text are none.
pub(crate) fn parse(text: &[u8]) -> Option<i64> {
    if text.len() > MAX_LEN {
        return None;
    }
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [b'0'] if !negative => return Some(0),
        [b'1'..=b'9', ..] => {}
        _ => return None,
    }
    // Accumulated below zero, where there is room for `i64::MIN`.
    let mut value: i64 = 0;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        value = value.checked_mul(10)?.checked_sub(i64::from(digit - b'0'))?;
    }
    if negative { Some(value) } else { value.checked_neg() }
}

/// A complete line of a type byte, one to three digits and CRLF, as nearly every header is: (value, bytes of the line).
/// `None` says nothing about the line but that it is not of this shape.
#[inline(always)]
pub(crate) fn parse_short_line(line: &[u8]) -> Option<(usize, usize)> {
    let digit = |byte: u8| usize::from(byte - b'0');
    match *line {
        [_, a @ b'1'..=b'9', b'\r', b'\n', ..] => Some((digit(a), 4)),
        [_, a @ b'1'..=b'9', b @ b'0'..=b'9', b'\r', b'\n', ..] => Some((digit(a) * 10 + digit(b), 5)),
        [_, a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', b'\r', b'\n', ..] => {
            Some((digit(a) * 100 + digit(b) * 10 + digit(c), 6))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_i64_is_read_back(value: i64) {
            prop_assert_eq!(parse(value.to_string().as_bytes()), Some(value));
        }

        #[test]
        fn only_what_rust_would_write_is_read(text in "[-+0-9 ]{0,21}") {
            let written = text.parse::<i64>().ok().filter(|value| value.to_string() == text);
            prop_assert_eq!(parse(text.as_bytes()), written);
        }

        #[test]
        fn a_short_line_is_read_as_the_long_way_does(line in "[$*][0-9]{0,4}(\r\n|\r|\n|x)(x){0,2}") {
            if let Some((value, len)) = parse_short_line(line.as_bytes()) {
                prop_assert_eq!(&line.as_bytes()[len - 2..len], b"\r\n");
                prop_assert_eq!(parse(&line.as_bytes()[1..len - 2]), Some(value as i64));
            }
        }
    }

    #[test]
    fn the_ends_of_the_range_are_read_and_their_neighbours_refused() {
        assert_eq!(parse(b"9223372036854775807"), Some(i64::MAX));
        assert_eq!(parse(b"-9223372036854775808"), Some(i64::MIN));
        assert_eq!(parse(b"9223372036854775808"), None);
        assert_eq!(parse(b"-9223372036854775809"), None);
        assert_eq!(parse(b"18446744073709551619"), None);
    }

    #[test]
    fn what_string2ll_refuses_is_refused() {
        for text in
            [&b""[..], b"-", b"+", b"+3", b"03", b"00", b"-0", b" 3", b"3 ", b"\t3", b"0x3", b"3\0", b"3\n", b"--3"]
        {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
