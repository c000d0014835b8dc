//! Revocation: the CRLs of one generation, as webpki asks them and as they are asked in passing.

use std::collections::HashSet;
use std::fmt;

use webpki::{
    CertRevocationList, ExpirationPolicy, OwnedCertRevocationList, RevocationCheckDepth, RevocationOptions,
    RevocationOptionsBuilder, UnknownStatusPolicy,
};

use super::settings::{CrlCheck, CrlExpired};
use crate::identity::x509::{Certificate, Name, RevocationList};

/// All CRLs. webpki asks the first one of an issuer that it finds, and no other: so the one that lasts longest stands
/// first, and what any of them lists is kept beside.
pub(super) struct Revocation {
    lists: Vec<CertRevocationList<'static>>,
    /// When each of `lists` is due for renewal, in seconds since 1970 UTC.
    ends: Vec<i64>,
    depth: RevocationCheckDepth,
    expiration: ExpirationPolicy,
    /// The serial numbers that the lists of each issuer name. Few: one issuer per CA.
    listed: Vec<(Name, HashSet<String>)>,
}

impl Revocation {
    pub(super) fn new(check: CrlCheck, expired: CrlExpired) -> Revocation {
        Revocation {
            lists: Vec::new(),
            ends: Vec::new(),
            depth: match check {
                CrlCheck::Chain => RevocationCheckDepth::Chain,
                CrlCheck::Leaf => RevocationCheckDepth::EndEntity,
            },
            expiration: match expired {
                CrlExpired::Refuse => ExpirationPolicy::Enforce,
                CrlExpired::Ignore => ExpirationPolicy::Ignore,
            },
            listed: Vec::new(),
        }
    }

    /// One more.
    ///
    /// # Errors
    /// Why it cannot be used, with what to do.
    pub(super) fn add(&mut self, der: &[u8], list: RevocationList) -> Result<(), Unsupported> {
        let owned = OwnedCertRevocationList::from_der(der).map_err(|error| Unsupported::new(&list, error))?;
        let end = list.next_update.ok_or(Unsupported::NoNextUpdate)?;
        let position = self.ends.partition_point(|other| *other >= end);
        self.lists.insert(position, owned.into());
        self.ends.insert(position, end);
        match self.listed.iter_mut().find(|(issuer, _)| *issuer == list.issuer) {
            Some((_, serials)) => serials.extend(list.serials),
            None => self.listed.push((list.issuer, list.serials.into_iter().collect())),
        }
        Ok(())
    }

    /// When the first of them is due for renewal, in seconds since 1970 UTC.
    pub(super) fn first_end(&self) -> Option<i64> {
        self.ends.last().copied()
    }

    /// Whether there is a CRL of this CA.
    pub(super) fn covers(&self, authority: &Name) -> bool {
        self.listed.iter().any(|(issuer, _)| issuer == authority)
    }

    /// Whether a CRL lists one of these certificates that counts: leaf first, then the CA certificates shown.
    pub(super) fn lists_any<'a>(&self, chain: impl IntoIterator<Item = &'a [u8]>) -> bool {
        if self.listed.is_empty() {
            return false;
        }
        let counting = match self.depth {
            RevocationCheckDepth::Chain => usize::MAX,
            RevocationCheckDepth::EndEntity => 1,
        };
        chain.into_iter().take(counting).any(|der| Certificate::parse(der).is_ok_and(|shown| self.lists(&shown)))
    }

    fn lists(&self, certificate: &Certificate) -> bool {
        self.listed
            .iter()
            .any(|(issuer, serials)| *issuer == certificate.issuer && serials.contains(&certificate.serial))
    }

    /// Calls `with` with what webpki is to ask; with `None` where there are no CRLs: then nothing is revoked.
    pub(super) fn with_options<T>(&self, with: impl FnOnce(Option<RevocationOptions<'_>>) -> T) -> T {
        let lists: Vec<&CertRevocationList<'_>> = self.lists.iter().collect();
        let builder = RevocationOptionsBuilder::new(&lists).ok().map(|builder| {
            builder
                .with_depth(self.depth)
                .with_status_policy(UnknownStatusPolicy::Deny)
                .with_expiration_policy(self.expiration)
                .build()
        });
        with(builder)
    }
}

/// Why a CRL that can be read cannot be used. Its `Display` says what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unsupported {
    NoExtensions { version: u32 },
    NoNextUpdate,
    Delta,
    Indirect,
    Partial,
    Critical,
    Other(String),
}

impl Unsupported {
    fn new(list: &RevocationList, error: webpki::Error) -> Unsupported {
        use webpki::Error as E;
        match error {
            _ if list.version != 2 || !list.has_extensions => Unsupported::NoExtensions { version: list.version },
            _ if list.next_update.is_none() => Unsupported::NoNextUpdate,
            E::UnsupportedDeltaCrl => Unsupported::Delta,
            E::UnsupportedIndirectCrl => Unsupported::Indirect,
            E::UnsupportedCrlIssuingDistributionPoint | E::UnsupportedRevocationReasonsPartitioning => {
                Unsupported::Partial
            }
            E::UnsupportedCriticalExtension => Unsupported::Critical,
            error => Unsupported::Other(error.to_string()),
        }
    }
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unsupported::NoExtensions { version } => write!(
                f,
                "is version {version} without extensions, which RFC 5280 does not allow; issue it with them: in \
                 openssl.cnf, `crl_extensions = crl_ext` in the section of the CA, and [crl_ext] with \
                 `authorityKeyIdentifier = keyid:always`, then openssl ca -gencrl"
            ),
            Unsupported::NoNextUpdate => f.write_str(
                "does not say when the next one is due (nextUpdate), so it could never be told to be too old; issue it \
                 with openssl ca -gencrl -crldays N",
            ),
            Unsupported::Delta => {
                f.write_str("is a delta CRL, which only changes another one; use the complete CRL")
            }
            Unsupported::Indirect => {
                f.write_str("is an indirect CRL, which speaks for other CAs too; use one of each CA's own")
            }
            Unsupported::Partial => f.write_str(
                "covers only a part of what the CA has issued (issuingDistributionPoint without a full name, \
                 onlyContainsUserCerts or onlySomeReasons); use the complete CRL: leave issuingDistributionPoint out of \
                 `crl_extensions` in openssl.cnf, then openssl ca -gencrl",
            ),
            Unsupported::Critical => f.write_str("has a critical extension that is not known here"),
            Unsupported::Other(why) => write!(f, "is of an unsupported kind: {why}"),
        }
    }
}
