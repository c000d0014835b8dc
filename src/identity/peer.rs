//! What a client certificate says about its holder.

use std::fmt;

use sha2::{Digest, Sha256};

use super::field::{Field, FieldName, Flaw};
use super::x509::{Certificate, ParseError};

/// A SHA-256 digest of a certificate or of a public key; shown as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Fingerprint {
        Fingerprint(Sha256::digest(bytes).into())
    }

    /// Reads 64 hexadecimal digits in any case, with or without colons between bytes (as openssl prints them).
    pub fn parse(text: &str) -> Option<Fingerprint> {
        let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b':').collect();
        let mut digest = [0; 32];
        if digits.len() != 2 * digest.len() {
            return None;
        }
        for (byte, pair) in digest.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = hex_digit(pair[0])? << 4 | hex_digit(pair[1])?;
        }
        Some(Fingerprint(digest))
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A certificate that cannot be read as X.509.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdentityError;

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the client certificate is malformed")
    }
}

impl std::error::Error for IdentityError {}

impl From<ParseError> for IdentityError {
    fn from(_: ParseError) -> IdentityError {
        IdentityError
    }
}

/// What a verified client certificate says about its holder. Says nothing about trust: verification comes before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerIdentity {
    subject: String,
    issuer: String,
    cn: Field,
    ou: Field,
    o: Field,
    issuer_cn: Field,
    uri: Field,
    dns: Field,
    email: Field,
    has_san: bool,
    serial: String,
    sha256: Fingerprint,
    spki_sha256: Fingerprint,
    ca_spki_sha256: Option<Fingerprint>,
    not_before: i64,
    not_after: i64,
    pinned: bool,
}

impl PeerIdentity {
    /// Reads the leaf certificate (DER). `ca_spki` is the anchor that its verified chain ends in, if known.
    pub fn from_der(leaf: &[u8], ca_spki: Option<Fingerprint>) -> Result<PeerIdentity, IdentityError> {
        let certificate = Certificate::parse(leaf)?;
        let sans = certificate.subject_alternative_names();
        let (uri, dns, email, has_san) = match sans {
            Ok(None) => (Field::many([]), Field::many([]), Field::many([]), false),
            Ok(Some(sans)) => (
                Field::many(sans.uris),
                // DNS names compare without case: one spelling for rules and templates.
                Field::many(sans.dns.into_iter().map(|name| name.map(|name| name.to_ascii_lowercase()))),
                Field::many(sans.emails),
                true,
            ),
            Err(flaw) => (Field::flawed(flaw), Field::flawed(flaw), Field::flawed(flaw), true),
        };
        Ok(PeerIdentity {
            subject: certificate.subject.display(),
            issuer: certificate.issuer.display(),
            cn: Field::lone(certificate.subject.common_names()),
            ou: Field::many(certificate.subject.organizational_units()),
            o: Field::many(certificate.subject.organizations()),
            issuer_cn: Field::lone(certificate.issuer.common_names()),
            uri,
            dns,
            email,
            has_san,
            serial: certificate.serial.clone(),
            sha256: Fingerprint::of(leaf),
            spki_sha256: certificate.spki_sha256,
            ca_spki_sha256: ca_spki,
            not_before: certificate.not_before,
            not_after: certificate.not_after,
            pinned: false,
        })
    }

    /// Reads the leaf certificate (DER) of a client that is trusted for its key alone: whatever else the certificate
    /// says, nobody vouches for it.
    pub fn from_pinned_der(leaf: &[u8]) -> Result<PeerIdentity, IdentityError> {
        Ok(PeerIdentity { pinned: true, ..PeerIdentity::from_der(leaf, None)? })
    }

    /// The subject in the form of RFC 4514, control characters escaped: fit for logs, not for decisions.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The issuer, in the same form.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The serial number: lower-case hexadecimal, whole bytes, no leading zero bytes.
    pub fn serial(&self) -> &str {
        &self.serial
    }

    /// SHA-256 of the certificate.
    pub fn sha256(&self) -> Fingerprint {
        self.sha256
    }

    /// SHA-256 of the certificate's SubjectPublicKeyInfo.
    pub fn spki_sha256(&self) -> Fingerprint {
        self.spki_sha256
    }

    /// SHA-256 of the trust anchor's SubjectPublicKeyInfo.
    pub fn ca_spki_sha256(&self) -> Option<Fingerprint> {
        self.ca_spki_sha256
    }

    /// Start of validity, in seconds since 1970 UTC.
    pub fn not_before(&self) -> i64 {
        self.not_before
    }

    /// End of validity, in seconds since 1970 UTC.
    pub fn not_after(&self) -> i64 {
        self.not_after
    }

    /// Whether it is trusted for its key alone. Then only rules that pin this key may say whose it is.
    pub fn is_pinned(&self) -> bool {
        self.pinned
    }

    /// Whether the certificate has the subject alternative name extension, whatever is in it.
    pub fn has_san(&self) -> bool {
        self.has_san
    }

    /// The values of a textual field; `None` for serial numbers and digests.
    pub fn field(&self, name: FieldName) -> Option<&Field> {
        match name {
            FieldName::Uri => Some(&self.uri),
            FieldName::Dns => Some(&self.dns),
            FieldName::Email => Some(&self.email),
            FieldName::Cn => Some(&self.cn),
            FieldName::Ou => Some(&self.ou),
            FieldName::O => Some(&self.o),
            FieldName::IssuerCn => Some(&self.issuer_cn),
            FieldName::Serial | FieldName::Sha256 | FieldName::SpkiSha256 | FieldName::CaSpkiSha256 => None,
        }
    }

    /// The same certificate, whose CA is kept to other names than its common name: that identifies nobody.
    #[must_use]
    pub fn with_forbidden_cn(self) -> PeerIdentity {
        PeerIdentity { cn: Field::flawed(Flaw::Forbidden), ..self }
    }

    /// The digest that a field names; `None` for the other fields, and for an anchor that is not known.
    pub fn digest(&self, name: FieldName) -> Option<Fingerprint> {
        match name {
            FieldName::Sha256 => Some(self.sha256),
            FieldName::SpkiSha256 => Some(self.spki_sha256),
            FieldName::CaSpkiSha256 => self.ca_spki_sha256,
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::test_pki::{Authority, client, dns, email, uri};

    #[test]
    fn fingerprints_read_back_in_every_spelling() {
        let fingerprint = Fingerprint::of(b"x");
        let digits = fingerprint.to_string();
        let colons: Vec<_> = digits.as_bytes().chunks(2).map(String::from_utf8_lossy).collect();
        for spelling in [digits.clone(), digits.to_uppercase(), colons.join(":")] {
            assert_eq!(Fingerprint::parse(&spelling), Some(fingerprint));
        }
        for bad in ["", &digits[1..], &digits.replace(|c: char| c.is_ascii_digit(), "g"), &"é".repeat(32)] {
            assert_eq!(Fingerprint::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_damaged_certificate_is_an_error_or_another_certificate_and_never_a_panic() {
        let mut params = client("alice");
        params.subject_alt_names = vec![uri("spiffe://a/b"), dns("alice.suite"), email("alice@suite")];
        let good = Authority::new("root").issue(params).der;
        let identity = PeerIdentity::from_der(&good, None).expect("a good certificate");
        for end in 0..good.len() {
            assert_eq!(PeerIdentity::from_der(&good[..end], None), Err(IdentityError));
        }
        for position in 0..good.len() {
            for bit in 0..8 {
                let mut damaged = good.clone();
                damaged[position] ^= 1 << bit;
                if let Ok(other) = PeerIdentity::from_der(&damaged, None) {
                    assert_ne!(other.sha256(), identity.sha256());
                }
            }
        }
    }
}
