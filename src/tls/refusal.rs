//! Why a client certificate is not trusted, in words that stay the same.

use std::fmt;
use std::sync::Arc;

use rustls::{CertificateError, Error, OtherError};

/// Why a client certificate is not trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CertificateRefusal {
    /// No trusted CA has issued it.
    UnknownIssuer,
    /// Past its notAfter, or that of a CA in its chain.
    Expired,
    /// Before its notBefore, or that of a CA in its chain.
    NotYetValid,
    /// A CRL revokes it, or a CA in its chain.
    Revoked,
    /// No CRL of its issuer is at hand.
    NoRevocationList,
    /// The CRL of its issuer is past its nextUpdate.
    RevocationListExpired,
    /// The CRL of its issuer is not properly signed or of an unsupported kind.
    BadRevocationList,
    /// Its extended key usage does not allow clientAuth.
    WrongPurpose,
    /// Its key usage does not allow digitalSignature.
    WrongKeyUsage,
    /// It is a CA certificate (CA:TRUE) used as a client's own.
    CaAsLeaf,
    /// It is X.509 version 1, or 2.
    OldVersion,
    /// A signature in the chain, or over the handshake, is wrong.
    BadSignature,
    /// A signature algorithm or key that is not accepted, SHA-1 and RSA under 2048 bits among them.
    UnsupportedAlgorithm,
    /// An unknown critical extension, a name constraint, a path length or a CA's key usage forbids it.
    Constraint,
    /// It cannot be read.
    Malformed,
    /// Client certificates are not asked for any more.
    NotAsked,
    /// Any other reason of rustls.
    Other,
}

impl CertificateRefusal {
    /// Every reason.
    pub const ALL: [CertificateRefusal; 17] = [
        CertificateRefusal::UnknownIssuer,
        CertificateRefusal::Expired,
        CertificateRefusal::NotYetValid,
        CertificateRefusal::Revoked,
        CertificateRefusal::NoRevocationList,
        CertificateRefusal::RevocationListExpired,
        CertificateRefusal::BadRevocationList,
        CertificateRefusal::WrongPurpose,
        CertificateRefusal::WrongKeyUsage,
        CertificateRefusal::CaAsLeaf,
        CertificateRefusal::OldVersion,
        CertificateRefusal::BadSignature,
        CertificateRefusal::UnsupportedAlgorithm,
        CertificateRefusal::Constraint,
        CertificateRefusal::Malformed,
        CertificateRefusal::NotAsked,
        CertificateRefusal::Other,
    ];

    /// A stable word for logs and metrics.
    pub fn label(self) -> &'static str {
        match self {
            CertificateRefusal::UnknownIssuer => "unknown_issuer",
            CertificateRefusal::Expired => "expired",
            CertificateRefusal::NotYetValid => "not_yet_valid",
            CertificateRefusal::Revoked => "revoked",
            CertificateRefusal::NoRevocationList => "no_revocation_list",
            CertificateRefusal::RevocationListExpired => "revocation_list_expired",
            CertificateRefusal::BadRevocationList => "bad_revocation_list",
            CertificateRefusal::WrongPurpose => "wrong_purpose",
            CertificateRefusal::WrongKeyUsage => "wrong_key_usage",
            CertificateRefusal::CaAsLeaf => "ca_as_leaf",
            CertificateRefusal::OldVersion => "old_version",
            CertificateRefusal::BadSignature => "bad_signature",
            CertificateRefusal::UnsupportedAlgorithm => "unsupported_algorithm",
            CertificateRefusal::Constraint => "constraint",
            CertificateRefusal::Malformed => "malformed",
            CertificateRefusal::NotAsked => "not_asked",
            CertificateRefusal::Other => "other",
        }
    }

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

impl std::error::Error for CertificateRefusal {}

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

impl fmt::Display for CertificateRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CertificateRefusal::UnknownIssuer => "the client certificate was not issued by a trusted CA",
            CertificateRefusal::Expired => "the client certificate, or a CA in its chain, has expired",
            CertificateRefusal::NotYetValid => "the client certificate, or a CA in its chain, is not valid yet",
            CertificateRefusal::Revoked => "the client certificate, or a CA in its chain, is revoked",
            CertificateRefusal::NoRevocationList => "there is no CRL of the client certificate's issuer",
            CertificateRefusal::RevocationListExpired => "the CRL of the client certificate's issuer has expired",
            CertificateRefusal::BadRevocationList => "the CRL of the client certificate's issuer is not valid",
            CertificateRefusal::WrongPurpose => {
                "the extended key usage of the client certificate, or of a CA in its chain, does not allow clientAuth"
            }
            CertificateRefusal::WrongKeyUsage => "the client certificate's key usage does not allow digitalSignature",
            CertificateRefusal::CaAsLeaf => "the client certificate is a CA certificate (CA:TRUE)",
            CertificateRefusal::OldVersion => "the client certificate is not X.509 version 3",
            CertificateRefusal::BadSignature => "a signature in the client certificate's chain is wrong",
            CertificateRefusal::UnsupportedAlgorithm => {
                "the client certificate's chain uses a signature algorithm or key that is not accepted"
            }
            CertificateRefusal::Constraint => {
                "a constraint, a CA's key usage or a critical extension forbids the client certificate"
            }
            CertificateRefusal::Malformed => "the client certificate is malformed",
            CertificateRefusal::NotAsked => "client certificates are no longer accepted here",
            CertificateRefusal::Other => "the client certificate was refused",
        })
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

    #[test]
    fn every_reason_is_documented() {
        let documentation = include_str!("../../docs/certificates.md");
        for refusal in CertificateRefusal::ALL {
            assert!(documentation.contains(&format!("`{}`", refusal.label())), "{refusal:?}");
        }
    }
}
