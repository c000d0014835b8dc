//! What stands for the name of a key in the audit log where the name is not to be there.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::auth::random;

/// HMAC-SHA-256 with a secret that this process has drawn and nobody else knows: names are guessed too easily for a hash
/// without one. What it gives can be compared within one run, and looked up by nobody.
pub(super) struct KeyHasher(Hmac<Sha256>);

impl fmt::Debug for KeyHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHasher")
    }
}

impl KeyHasher {
    /// With a secret of its own.
    ///
    /// # Errors
    /// The system has no randomness.
    pub(super) fn new() -> std::io::Result<KeyHasher> {
        let mut secret = zeroize::Zeroizing::new([0_u8; 32]);
        random::fill(&mut secret[..])?;
        Ok(KeyHasher(Hmac::new_from_slice(&secret[..]).map_err(std::io::Error::other)?))
    }

    /// 32 hexadecimal digits.
    pub(super) fn of(&self, name: &[u8]) -> String {
        let mut hmac = self.0.clone();
        hmac.update(name);
        let digest = hmac.finalize().into_bytes();
        digest[..16].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
