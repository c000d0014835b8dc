//! The passwords of a user, as hashes.

use std::fmt;

use sha2::{Digest, Sha256};

/// What a password is verified against.
#[derive(Clone, PartialEq, Eq)]
pub enum PasswordHash {
    /// An argon2id PHC string, `$argon2id$…`. Its parameters are judged where passwords are verified.
    Argon2(Box<str>),
    /// SHA-256 of the password, as Redis keeps it.
    Sha256([u8; 32]),
}

/// Bytes of a password: as many as one argument may have before a login.
pub const LONGEST_PASSWORD: usize = 16_384;

/// What an argon2 token begins with.
pub(super) const ARGON2_PREFIX: &[u8] = b"$argon2id$";

impl PasswordHash {
    /// As Redis hashes a password.
    pub fn of_password(password: &[u8]) -> PasswordHash {
        PasswordHash::Sha256(Sha256::digest(password).into())
    }

    /// 64 lower-case hexadecimal digits.
    pub(super) fn from_hex(hex: &[u8]) -> Option<PasswordHash> {
        let digit = |b: u8| match b {
            b'0'..=b'9' => Some(b - b'0'),
            b'a'..=b'f' => Some(b - b'a' + 10),
            _ => None,
        };
        let pairs: &[u8; 64] = hex.try_into().ok()?;
        let mut hash = [0; 32];
        for (byte, pair) in hash.iter_mut().zip(pairs.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(PasswordHash::Sha256(hash))
    }

    /// `$argon2id$v=19$m=…,t=…,p=…$salt$hash`: the shape only.
    pub(super) fn from_phc(token: &[u8]) -> Option<PasswordHash> {
        let text = std::str::from_utf8(token).ok()?;
        let is_field = |field: &str| {
            let is_phc = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=' | b',' | b'.' | b'-');
            !field.is_empty() && field.bytes().all(is_phc)
        };
        let fields: Vec<&str> = text.strip_prefix('$')?.split('$').collect();
        let shaped = matches!(fields.len(), 4 | 5) && fields[0] == "argon2id" && fields.iter().all(|f| is_field(f));
        shaped.then(|| PasswordHash::Argon2(text.into()))
    }

    /// As an ACL rule: `#<hex>`, `$argon2id$…`.
    pub fn to_rule(&self) -> String {
        match self {
            PasswordHash::Argon2(phc) => phc.to_string(),
            PasswordHash::Sha256(_) => format!("#{}", self.to_listed()),
        }
    }

    /// As `ACL GETUSER` lists it: the hash without `#`.
    pub fn to_listed(&self) -> String {
        match self {
            PasswordHash::Argon2(phc) => phc.to_string(),
            PasswordHash::Sha256(hash) => hash.iter().fold(String::with_capacity(64), |mut hex, byte| {
                hex.extend([byte >> 4, byte & 15].map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)])));
                hex
            }),
        }
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PasswordHash::Argon2(_) => "Argon2(…)",
            PasswordHash::Sha256(_) => "Sha256(…)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_hashes_as_redis_does() {
        let hash = PasswordHash::of_password(b"foo");
        assert_eq!(hash.to_rule(), "#2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae");
        assert_eq!(PasswordHash::from_hex(hash.to_listed().as_bytes()), Some(hash));
    }

    #[test]
    fn hex_must_be_lower_case_and_whole() {
        let hex = PasswordHash::of_password(b"foo").to_listed();
        assert_eq!(PasswordHash::from_hex(hex.to_uppercase().as_bytes()), None);
        assert_eq!(PasswordHash::from_hex(&hex.as_bytes()[1..]), None);
    }

    #[test]
    fn only_a_phc_string_of_argon2id_is_one() {
        let phc = b"$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2g";
        assert!(PasswordHash::from_phc(phc).is_some());
        assert_eq!(PasswordHash::from_phc(b"$argon2i$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA"), None);
        assert_eq!(PasswordHash::from_phc(b"$argon2id$"), None);
        assert_eq!(PasswordHash::from_phc(b"$argon2id$v=19$m=1\n$c2FsdA$aGFzaA"), None);
    }

    #[test]
    fn debug_shows_no_hash() {
        assert_eq!(format!("{:?}", PasswordHash::of_password(b"foo")), "Sha256(…)");
    }
}
