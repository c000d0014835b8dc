//! What an attempt is recognised by when it is made again, without keeping the password.

use std::io;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::random;

/// HMAC of user, password and generation under the process's key.
pub(super) type Secret = [u8; 32];

/// A key that never leaves the process.
pub(super) struct Key(Zeroizing<[u8; 32]>);

impl Key {
    pub(super) fn random() -> io::Result<Key> {
        let mut key = Zeroizing::new([0; 32]);
        random::fill(&mut key[..])?;
        Ok(Key(key))
    }

    /// Lengths keep the parts apart; a user whose password can be right never shares with one for whom none is.
    pub(super) fn secret(&self, generation: u64, can_be_right: bool, user: &[u8], password: &[u8]) -> Secret {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0[..]).expect("HMAC takes a key of any length");
        mac.update(&generation.to_le_bytes());
        mac.update(&[u8::from(can_be_right)]);
        mac.update(&user.len().to_le_bytes());
        mac.update(user);
        mac.update(password);
        mac.finalize().into_bytes().into()
    }
}
