//! Why a client certificate is not trusted.

use std::fmt;

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
    /// So many certificates are shown that finding a path through them would take long.
    ChainTooWide,
    /// An unknown critical extension, a name constraint, a path length or a CA's key usage forbids it.
    Constraint,
    /// It cannot be read.
    Malformed,
    /// Client certificates are not asked for any more.
    NotAsked,
    /// Any other reason of rustls.
    Other,
}

#[cfg(test)]
impl CertificateRefusal {
    /// Every reason.
    pub(crate) const ALL: [CertificateRefusal; 18] = [
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
        CertificateRefusal::ChainTooWide,
        CertificateRefusal::Constraint,
        CertificateRefusal::Malformed,
        CertificateRefusal::NotAsked,
        CertificateRefusal::Other,
    ];
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
            CertificateRefusal::ChainTooWide => "the client shows more certificates than a path can be looked for in",
            CertificateRefusal::Malformed => "the client certificate is malformed",
            CertificateRefusal::NotAsked => "client certificates are no longer accepted here",
            CertificateRefusal::Other => "the client certificate was refused",
        })
    }
}

impl std::error::Error for CertificateRefusal {}
