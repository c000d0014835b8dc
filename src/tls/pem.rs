//! The one file that names rustls-pemfile: certificates, keys and revocation lists out of files' contents.
//!
//! rustls-pemfile passes over what it does not know, encrypted keys among it. So what is there is looked at as text
//! first, and errors can say what was found instead.

use std::fmt;

use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

/// Why a file's content is not what was expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PemError {
    /// No PEM block of the expected kind; these kinds were found.
    Missing {
        /// What was expected, such as `CERTIFICATE`.
        expected: &'static str,
        /// The labels found.
        found: Vec<String>,
    },
    /// It is DER, the binary form.
    Der,
    /// A PEM block is damaged.
    Damaged(String),
    /// The private key is encrypted.
    EncryptedKey,
    /// More than one private key: it is unclear which is meant.
    SeveralKeys,
}

impl fmt::Display for PemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PemError::Missing { expected, found } if found.is_empty() => {
                write!(f, "holds no PEM block; expected -----BEGIN {expected}-----")
            }
            PemError::Missing { expected, found } => {
                write!(f, "holds no {expected} but {}", found.join(", "))
            }
            PemError::Der => f.write_str("is in DER form; convert it to PEM"),
            PemError::Damaged(why) => write!(f, "holds a damaged PEM block: {why}"),
            PemError::EncryptedKey => f.write_str("the private key is encrypted"),
            PemError::SeveralKeys => f.write_str("holds several private keys; one file must hold one"),
        }
    }
}

/// All certificates, at least one.
pub(super) fn certificates(content: &[u8]) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let certificates = rustls_pemfile::certs(&mut &*content).collect::<Result<Vec<_>, _>>().map_err(damaged)?;
    at_least_one(certificates, "CERTIFICATE", content)
}

/// The one private key, in PKCS #8, PKCS #1 (RSA) or SEC 1 (EC) form.
pub(super) fn private_key(content: &[u8]) -> Result<PrivateKeyDer<'static>, PemError> {
    let text = String::from_utf8_lossy(content);
    // PKCS #8 says so in the label, the older forms in a header (RFC 1421).
    if text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") || text.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(PemError::EncryptedKey);
    }
    if labels(content).iter().filter(|label| label.ends_with("PRIVATE KEY")).count() > 1 {
        return Err(PemError::SeveralKeys);
    }
    rustls_pemfile::private_key(&mut &*content).map_err(damaged)?.ok_or_else(|| missing("PRIVATE KEY", content))
}

/// All revocation lists of a PEM file, or the one of a DER file.
pub(super) fn revocation_lists(content: &[u8]) -> Result<Vec<CertificateRevocationListDer<'static>>, PemError> {
    if is_der(content) {
        return Ok(vec![content.to_vec().into()]);
    }
    let lists = rustls_pemfile::crls(&mut &*content).collect::<Result<Vec<_>, _>>().map_err(damaged)?;
    at_least_one(lists, "X509 CRL", content)
}

fn at_least_one<T>(items: Vec<T>, expected: &'static str, content: &[u8]) -> Result<Vec<T>, PemError> {
    if items.is_empty() { Err(missing(expected, content)) } else { Ok(items) }
}

fn missing(expected: &'static str, content: &[u8]) -> PemError {
    if is_der(content) { PemError::Der } else { PemError::Missing { expected, found: labels(content) } }
}

/// A DER SEQUENCE starts with 0x30 and, from 128 bytes on, a length byte of 0x80 or more, which no PEM text does.
fn is_der(content: &[u8]) -> bool {
    matches!(content, [0x30, length, ..] if *length >= 0x80)
}

fn damaged(error: std::io::Error) -> PemError {
    PemError::Damaged(error.to_string())
}

/// The labels of all PEM blocks.
fn labels(content: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(content)
        .lines()
        .filter_map(|line| line.trim().strip_prefix("-----BEGIN ")?.strip_suffix("-----").map(str::to_owned))
        .collect()
}
