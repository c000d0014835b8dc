//! Requests for random keys, always the same ones.

use std::io::Write as _;

pub(crate) const PING: &[u8] = b"*1\r\n$4\r\nPING\r\n";

#[derive(Clone, Copy, clap::ValueEnum)]
pub(crate) enum Kind {
    Get,
    Set,
    Both,
}

pub(crate) struct Requests {
    kind: Kind,
    value: Vec<u8>,
    keys: usize,
    random: u64,
    turn: bool,
    buffer: Vec<u8>,
}

impl Requests {
    pub(crate) fn new(kind: Kind, size: usize, keys: usize) -> Self {
        let value = (b'a'..=b'z').cycle().take(size).collect();
        Self { kind, value, keys, random: 0x9e37_79b9_7f4a_7c15, turn: false, buffer: Vec::new() }
    }

    pub(crate) fn pipeline(&mut self, count: usize) -> &[u8] {
        self.buffer.clear();
        for _ in 0..count {
            let key = self.random_key();
            self.turn = !self.turn;
            match self.kind {
                Kind::Set => self.put_set(key),
                Kind::Both if self.turn => self.put_set(key),
                Kind::Get | Kind::Both => self.put_get(key),
            }
        }
        &self.buffer
    }

    pub(crate) fn set(&mut self, key: usize) -> &[u8] {
        self.buffer.clear();
        self.put_set(key);
        &self.buffer
    }

    fn put_set(&mut self, key: usize) {
        let (key, length) = (self.name(key), self.value.len());
        write!(self.buffer, "*3\r\n$3\r\nSET\r\n${}\r\n{key}\r\n${length}\r\n", key.len()).unwrap();
        self.buffer.extend_from_slice(&self.value);
        self.buffer.extend_from_slice(b"\r\n");
    }

    fn put_get(&mut self, key: usize) {
        let key = self.name(key);
        write!(self.buffer, "*2\r\n$3\r\nGET\r\n${}\r\n{key}\r\n", key.len()).unwrap();
    }

    fn name(&self, key: usize) -> String {
        format!("bench:{}:{key:08}", self.value.len())
    }

    /// Xorshift.
    fn random_key(&mut self) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random as usize % self.keys
    }
}
