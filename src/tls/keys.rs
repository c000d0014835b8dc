//! Which keys can be used: the one answer for the handshake, for `check`, and for the CAs.

use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::CertificateDer;
use webpki::{EndEntityCert, Error};

use crate::identity::x509::Certificate;

/// The RSA keys that the providers take, in bits.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// What is accepted, for people.
pub(super) const ACCEPTED: &str = "RSA from 2048 to 8192 bits, P-256, P-384, P-521 and Ed25519 are, each in its usual form, \
                                   which is an uncompressed point on a curve (openssl ec -conv_form uncompressed)";

/// Whether a signature by the key of this certificate can be verified at all, and the key passes for no other one.
pub(super) fn is_usable(
    der: &CertificateDer<'_>,
    certificate: &Certificate,
    algorithms: &WebPkiSupportedAlgorithms,
) -> bool {
    if !certificate.has_usual_key || certificate.rsa_bits.is_some_and(|bits| !RSA_BITS.contains(&bits)) {
        return false;
    }
    let Ok(holder) = EndEntityCert::try_from(der) else { return false };
    // Of a key of the right kind it only says that this is no signature.
    algorithms.all.iter().any(|algorithm| {
        matches!(holder.verify_signature(*algorithm, b"", b""), Ok(()) | Err(Error::InvalidSignatureForPublicKey))
    })
}

/// Whether the key of this certificate made this signature.
pub(super) fn has_signed(
    der: &CertificateDer<'_>,
    message: &[u8],
    signature: &[u8],
    algorithms: &WebPkiSupportedAlgorithms,
) -> bool {
    EndEntityCert::try_from(der).is_ok_and(|holder| {
        algorithms.all.iter().any(|algorithm| holder.verify_signature(*algorithm, message, signature).is_ok())
    })
}
