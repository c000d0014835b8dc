//! A login on its way, and the HELLO that it may have come in.

use crate::acl::PasswordHash;
use crate::resp::{Protocol, encode_request};

/// A login whose password is being verified.
pub(super) struct Login {
    user: Vec<u8>,
    /// What the password is compared with.
    hashes: Vec<PasswordHash>,
    /// The rest of the HELLO that it came in.
    greeting: Option<Greeting>,
    /// Bytes of the name and the password, which wait with the hashing.
    credentials: usize,
}

impl Login {
    /// Of a user without a password, which nothing has to be compared with.
    pub(super) fn without_password(user: &[u8], greeting: Option<Greeting>) -> Self {
        Self { user: user.to_vec(), hashes: Vec::new(), greeting, credentials: 0 }
    }

    pub(super) fn new(user: &[u8], password: &[u8], hashes: Vec<PasswordHash>, greeting: Option<Greeting>) -> Self {
        Self { user: user.to_vec(), hashes, greeting, credentials: user.len() + password.len() }
    }

    /// The name that was given.
    pub(super) fn user(&self) -> &[u8] {
        &self.user
    }

    pub(super) fn hash(&self, index: usize) -> Option<&PasswordHash> {
        self.hashes.get(index)
    }

    pub(super) fn is_in_hello(&self) -> bool {
        self.greeting.is_some()
    }

    pub(super) fn into_greeting(self) -> Option<Greeting> {
        self.greeting
    }

    /// Bytes of memory that are held for it.
    pub(super) fn memory(&self) -> usize {
        self.user.capacity() + self.credentials + self.greeting.as_ref().map_or(0, Greeting::memory)
    }
}

/// A HELLO without its login.
pub(super) struct Greeting {
    protocol: Option<Protocol>,
    name: Option<Vec<u8>>,
}

impl Greeting {
    pub(super) fn new(protocol: Option<Protocol>) -> Self {
        Self { protocol, name: None }
    }

    /// SETNAME.
    pub(super) fn set_name(&mut self, name: &[u8]) {
        self.name = Some(name.to_vec());
    }

    pub(super) fn protocol(&self) -> Option<Protocol> {
        self.protocol
    }

    /// As Redis gets it, which calls HELLO so.
    pub(super) fn encode(&self, hello: &[u8]) -> Vec<u8> {
        let mut arguments = vec![hello];
        match self.protocol {
            None => {}
            Some(Protocol::Resp2) => arguments.push(b"2"),
            Some(Protocol::Resp3) => arguments.push(b"3"),
        }
        if let Some(name) = &self.name {
            arguments.extend([&b"SETNAME"[..], name]);
        }
        let mut request = Vec::new();
        encode_request(&arguments, &mut request);
        request
    }

    /// Bytes of memory that it takes.
    fn memory(&self) -> usize {
        self.name.as_ref().map_or(0, Vec::capacity)
    }
}
