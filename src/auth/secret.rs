//! What an attempt is recognised by when it is made again, without keeping the password.

use std::io;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::hash::ParsedHash;
use super::random;

/// HMAC of user, password and hashes under the process's key.
pub(super) type Secret = [u8; 32];

/// A key that never leaves the process.
pub(super) struct Key(Zeroizing<[u8; 32]>);

impl Key {
    pub(super) fn random() -> io::Result<Key> {
        let mut key = Zeroizing::new([0; 32]);
        random::fill(&mut key[..])?;
        Ok(Key(key))
    }

    /// Lengths keep the parts apart; a user whose password can be right never shares with one for whom none is, nor with himself
    /// once he has other hashes.
    pub(super) fn secret(&self, candidates: Option<&[ParsedHash]>, user: &[u8], password: &[u8]) -> Secret {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0[..]).expect("HMAC takes a key of any length");
        match candidates {
            None => mac.update(&[0]),
            Some(hashes) => {
                mac.update(&[1]);
                mac.update(&hashes.len().to_le_bytes());
                hashes.iter().for_each(|hash| hash.identify(|part| mac.update(part)));
            }
        }
        mac.update(&user.len().to_le_bytes());
        mac.update(user);
        mac.update(password);
        mac.finalize().into_bytes().into()
    }
}
