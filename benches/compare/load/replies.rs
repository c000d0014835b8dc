//! Counts replies to GET, SET and PING, in pieces as they come, without keeping them.

use std::io;

#[derive(Default)]
pub(crate) struct Replies {
    line: Vec<u8>,
    /// Bytes to come of a bulk string and its end of line.
    bulk: usize,
}

impl Replies {
    /// How many ended in this piece.
    ///
    /// # Errors
    /// A reply is an error or none of these: then something else would be measured than was meant.
    pub(crate) fn feed(&mut self, mut piece: &[u8]) -> io::Result<usize> {
        let mut ended = 0;
        while !piece.is_empty() {
            if self.bulk > 0 {
                let taken = self.bulk.min(piece.len());
                self.bulk -= taken;
                piece = &piece[taken..];
                ended += usize::from(self.bulk == 0);
                continue;
            }
            let Some(end) = memchr::memchr(b'\n', piece) else {
                self.line.extend_from_slice(piece);
                break;
            };
            self.line.extend_from_slice(&piece[..end]);
            piece = &piece[end + 1..];
            self.bulk = bulk(&self.line)?;
            ended += usize::from(self.bulk == 0);
            self.line.clear();
        }
        Ok(ended)
    }
}

/// Bytes that follow this line.
fn bulk(line: &[u8]) -> io::Result<usize> {
    let line = line.trim_ascii_end();
    let length = match line {
        b"+OK" | b"+PONG" => return Ok(0),
        [b'$', digits @ ..] => std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<usize>().ok()),
        _ => None,
    };
    // A key that is missing is an error too: every one has been written.
    length.map(|length| length + 2).ok_or_else(|| io::Error::other(String::from_utf8_lossy(line).into_owned()))
}
