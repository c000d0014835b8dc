//! Why a client certificate is not trusted, out of the errors of webpki and rustls, and back for the alert.

use std::sync::Arc;

use rustls::{CertificateError, Error, OtherError};

use crate::identity::CertificateRefusal;

impl CertificateRefusal {
    /// `None` if the error is not about a certificate.
    pub(super) fn from_rustls(error: &Error) -> Option<CertificateRefusal> {
        match error {
            Error::InvalidCertificate(error) => Some(from_certificate_error(error)),
            _ => None,
        }
    }

    /// Why webpki finds no path.
    pub(super) fn from_webpki(error: &webpki::Error) -> CertificateRefusal {
        use CertificateRefusal as R;
        use webpki::Error as E;
        #[allow(deprecated, reason = "webpki still has the variants it no longer produces")]
        match error {
            E::UnknownIssuer => R::UnknownIssuer,
            E::CertExpired { .. } | E::InvalidCertValidity => R::Expired,
            E::CertNotValidYet { .. } => R::NotYetValid,
            E::CertRevoked => R::Revoked,
            E::UnknownRevocationStatus => R::NoRevocationList,
            E::CrlExpired { .. } => R::RevocationListExpired,
            E::InvalidCrlSignatureForPublicKey
            | E::UnsupportedCrlSignatureAlgorithm
            | E::UnsupportedCrlSignatureAlgorithmContext(_)
            | E::UnsupportedCrlSignatureAlgorithmForPublicKey
            | E::UnsupportedCrlSignatureAlgorithmForPublicKeyContext(_)
            | E::IssuerNotCrlSigner => R::BadRevocationList,
            E::RequiredEkuNotFound | E::RequiredEkuNotFoundContext(_) | E::EmptyEkuExtension => R::WrongPurpose,
            E::CaUsedAsEndEntity => R::CaAsLeaf,
            E::UnsupportedCertVersion => R::OldVersion,
            E::InvalidSignatureForPublicKey => R::BadSignature,
            E::UnsupportedSignatureAlgorithm
            | E::UnsupportedSignatureAlgorithmContext(_)
            | E::UnsupportedSignatureAlgorithmForPublicKey
            | E::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => R::UnsupportedAlgorithm,
            E::EndEntityUsedAsCa
            | E::NameConstraintViolation
            | E::PathLenConstraintViolated
            | E::UnsupportedCriticalExtension
            | E::MalformedNameConstraint
            | E::MaximumPathDepthExceeded
            | E::MaximumPathBuildCallsExceeded
            | E::MaximumSignatureChecksExceeded
            | E::MaximumNameConstraintComparisonsExceeded => R::Constraint,
            E::BadDer
            | E::BadDerTime
            | E::TrailingData(_)
            | E::MalformedExtensions
            | E::ExtensionValueInvalid
            | E::InvalidSerialNumber
            | E::SignatureAlgorithmMismatch
            | E::MalformedDnsIdentifier => R::Malformed,
            _ => R::Other,
        }
    }

    /// For rustls, which chooses the alert by it; [`from_rustls`](Self::from_rustls) gives back the same.
    pub(super) fn into_rustls(self) -> Error {
        use CertificateError as E;
        use CertificateRefusal as R;
        Error::InvalidCertificate(match self {
            R::UnknownIssuer => E::UnknownIssuer,
            R::Expired => E::Expired,
            R::NotYetValid => E::NotValidYet,
            R::Revoked => E::Revoked,
            R::NoRevocationList => E::UnknownRevocationStatus,
            R::RevocationListExpired => E::ExpiredRevocationList,
            R::WrongPurpose => E::InvalidPurpose,
            R::BadSignature => E::BadSignature,
            R::Malformed => E::BadEncoding,
            other => E::Other(OtherError(Arc::new(other))),
        })
    }
}

fn from_certificate_error(error: &CertificateError) -> CertificateRefusal {
    use CertificateError as E;
    use CertificateRefusal as R;
    match error {
        E::UnknownIssuer => R::UnknownIssuer,
        E::Expired => R::Expired,
        E::NotValidYet => R::NotYetValid,
        E::Revoked => R::Revoked,
        E::UnknownRevocationStatus => R::NoRevocationList,
        E::ExpiredRevocationList => R::RevocationListExpired,
        E::InvalidPurpose => R::WrongPurpose,
        E::BadSignature => R::BadSignature,
        E::BadEncoding => R::Malformed,
        // rustls asks webpki itself about the signature over the handshake.
        E::UnsupportedSignatureAlgorithmContext { .. } | E::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            R::UnsupportedAlgorithm
        }
        E::Other(other) => other.0.downcast_ref().copied().unwrap_or(R::Other),
        _ => R::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_comes_back_from_rustls() {
        for refusal in CertificateRefusal::ALL {
            assert_eq!(CertificateRefusal::from_rustls(&refusal.into_rustls()), Some(refusal));
        }
    }
}
