//! Bytes that wait.

use bytes::{Buf, BytesMut};

/// A queue of bytes. Empty, it holds no memory.
#[derive(Debug, Default)]
pub struct Buffer {
    bytes: BytesMut,
    /// Bytes at the front that were taken and whose memory may still be there.
    taken: usize,
}

impl Buffer {
    /// The waiting bytes.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    /// How many they are.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes of memory, at the most.
    pub fn capacity(&self) -> usize {
        self.taken + self.bytes.capacity()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Appends bytes.
    pub fn extend(&mut self, bytes: &[u8]) {
        if self.bytes.capacity() - self.bytes.len() < bytes.len() {
            // Making room moves the bytes to the front, or to new memory.
            self.taken = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Drops all but the first `count` bytes.
    pub fn truncate(&mut self, count: usize) {
        self.bytes.truncate(count);
    }

    /// Takes bytes from the front.
    pub fn advance(&mut self, count: usize) {
        let count = count.min(self.len());
        self.bytes.advance(count);
        self.taken += count;
        if self.is_empty() {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out_in_order() {
        let mut buffer = Buffer::default();
        let mut seen = Vec::new();
        for round in 0..100_u8 {
            buffer.extend(&[round; 7]);
            let taken = usize::from(round % 11);
            seen.extend_from_slice(&buffer.as_slice()[..taken.min(buffer.len())]);
            buffer.advance(taken);
        }
        seen.extend_from_slice(buffer.as_slice());
        assert_eq!(seen, (0..100_u8).flat_map(|round| [round; 7]).collect::<Vec<_>>());
    }

    #[test]
    fn bytes_that_wait_are_seldom_moved_however_they_come_and_go() {
        for taken_of_100 in [0, 50, 99] {
            let (mut buffer, mut moved, mut total) = (Buffer::default(), 0, 0);
            for round in 0..100_000 {
                let (place, waiting) = (buffer.as_slice().as_ptr(), buffer.len());
                buffer.extend(b"x");
                total += 1;
                if buffer.as_slice().as_ptr() != place {
                    moved += waiting;
                }
                if round % 100 < taken_of_100 {
                    buffer.advance(1);
                }
            }
            assert!(moved <= 2 * total, "{moved} of {total}");
        }
    }

    #[test]
    fn an_empty_buffer_holds_no_memory() {
        let mut buffer = Buffer::default();
        buffer.extend(&[0; 100]);
        buffer.advance(100);
        assert_eq!(buffer.capacity(), 0);
    }
}
