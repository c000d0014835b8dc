//! Bytes that wait.

/// A queue of bytes. Empty, it holds no memory.
#[derive(Debug, Default)]
pub struct Buffer {
    bytes: Vec<u8>,
    /// Bytes at the front that are gone already; less than all, unless there are none.
    start: usize,
}

impl Buffer {
    /// The waiting bytes.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// How many they are.
    pub fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// Bytes of memory.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends bytes.
    pub fn extend(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Takes bytes from the front.
    pub fn advance(&mut self, count: usize) {
        self.start += count.min(self.len());
        if self.is_empty() {
            *self = Self::default();
        } else if self.start > self.bytes.len() / 2 {
            self.bytes.drain(..self.start);
            self.start = 0;
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
    fn an_empty_buffer_holds_no_memory() {
        let mut buffer = Buffer::default();
        buffer.extend(&[0; 100]);
        buffer.advance(100);
        assert_eq!(buffer.capacity(), 0);
    }
}
