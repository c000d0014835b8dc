//! Where the core puts what has to be sent.

use std::ops::Range;

use super::buffer::Buffer;

/// One of the two connections of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The client.
    Downstream,
    /// Redis.
    Upstream,
}

impl Side {
    /// The other one.
    pub fn opposite(self) -> Self {
        match self {
            Self::Downstream => Self::Upstream,
            Self::Upstream => Self::Downstream,
        }
    }
}

/// Bytes that wait for each side's socket.
#[derive(Debug, Default)]
pub struct Queues {
    /// For the client.
    pub downstream: Buffer,
    /// For Redis.
    pub upstream: Buffer,
}

impl Queues {
    /// The queue of one side.
    pub fn side(&mut self, side: Side) -> &mut Buffer {
        match side {
            Side::Downstream => &mut self.downstream,
            Side::Upstream => &mut self.upstream,
        }
    }
}

/// The output of one call into the core: bytes of ours, copied into [`Queues`], and untouched ranges of the input.
///
/// The latest run of neighbouring untouched ranges is not copied but kept as a range, so that the driver can write it
/// straight from where it was read.
#[derive(Debug)]
pub struct Output<'a> {
    input: &'a [u8],
    from: Side,
    queues: &'a mut Queues,
    /// Follows the queue of the side opposite to `from`.
    passed: Range<usize>,
}

impl<'a> Output<'a> {
    /// The output of a call that is given `input`, read from `from`.
    pub fn new(input: &'a [u8], from: Side, queues: &'a mut Queues) -> Self {
        Self { input, from, queues, passed: 0..0 }
    }

    /// The input of the call.
    pub fn input(&self) -> &'a [u8] {
        self.input
    }

    /// How many bytes now wait for a side.
    pub fn waiting(&self, side: Side) -> usize {
        let passed = if side == self.from { 0 } else { self.passed.len() };
        let queue = match side {
            Side::Downstream => &self.queues.downstream,
            Side::Upstream => &self.queues.upstream,
        };
        queue.len() + passed
    }

    /// Passes a range of the input on to the other side, untouched.
    pub fn pass(&mut self, range: Range<usize>) {
        if range.is_empty() {
            return;
        }
        if self.passed.end == range.start {
            self.passed.end = range.end;
        } else {
            self.copy_passed();
            self.passed = range;
        }
    }

    /// Sends bytes of ours.
    pub fn send(&mut self, to: Side, bytes: &[u8]) {
        if to != self.from {
            self.copy_passed();
        }
        self.queues.side(to).extend(bytes);
    }

    /// Copies what was passed into its queue, so that something else can follow it.
    fn copy_passed(&mut self) {
        let run = self.input.get(self.passed.clone()).unwrap_or_default();
        self.queues.side(self.from.opposite()).extend(run);
        self.passed = self.passed.end..self.passed.end;
    }

    /// Ends the call: the range of the input that is still to be sent to the other side, after its queue.
    pub fn finish(self) -> Range<usize> {
        self.passed
    }
}
