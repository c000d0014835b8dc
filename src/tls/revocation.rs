//! Revocation: the CRLs of one generation, as webpki asks them and as they are asked in passing.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use rustls::pki_types::CertificateRevocationListDer;
use webpki::{
    CertRevocationList, ExpirationPolicy, OwnedCertRevocationList, RevocationCheckDepth, RevocationOptions,
    RevocationOptionsBuilder, UnknownStatusPolicy,
};

use super::settings::{CrlCheck, CrlExpired};
use crate::identity::x509::{CanonicalName, Certificate, Name, RevocationList};

/// A CRL that can be used.
pub(super) struct UsableList {
    /// What it says.
    pub(super) list: RevocationList,
    /// When it is due for renewal, in seconds since 1970 UTC.
    pub(super) next_update: i64,
    issuer: CanonicalName,
    der: CertificateRevocationListDer<'static>,
}

impl UsableList {
    /// # Errors
    /// Why it cannot be used, with what to do.
    pub(super) fn new(
        der: CertificateRevocationListDer<'static>,
        list: RevocationList,
    ) -> Result<UsableList, Unsupported> {
        // webpki reads it anew for every realm.
        OwnedCertRevocationList::from_der(&der).map_err(|error| Unsupported::new(&list, error))?;
        let next_update = list.next_update.ok_or(Unsupported::NoNextUpdate)?;
        Ok(UsableList { issuer: list.issuer.canonical(), list, next_update, der })
    }

    /// Of what it says alone.
    #[cfg(test)]
    pub(super) fn for_test(list: RevocationList) -> UsableList {
        UsableList { issuer: list.issuer.canonical(), next_update: 0, der: list.signed.clone().into(), list }
    }

    /// Whose certificates it speaks of, however it writes the name.
    pub(super) fn issuer(&self) -> &CanonicalName {
        &self.issuer
    }

    /// Whether both are the same CRL.
    pub(super) fn is(&self, other: &UsableList) -> bool {
        std::ptr::eq(self, other) || self.der == other.der
    }

    /// Whether it lists this serial number.
    pub(super) fn revokes(&self, serial: &str) -> bool {
        self.list.serials.contains(serial)
    }
}

/// The CRLs that webpki is to ask. It asks the first one of an issuer that it finds and no other: those that cover all their
/// CA has issued stand first, and of these the one that lasts longest.
pub(super) struct Revocation {
    /// There are CRLs, if only of others: what none of these speaks of is refused.
    is_wanted: bool,
    lists: Vec<CertRevocationList<'static>>,
    depth: RevocationCheckDepth,
    /// The CAs of which there is a list that covers all they have issued.
    covered: Vec<Name>,
}

impl Revocation {
    pub(super) fn new<'a>(
        is_wanted: bool,
        lists: impl IntoIterator<Item = &'a UsableList>,
        check: CrlCheck,
    ) -> Revocation {
        let mut usable: Vec<&UsableList> = lists.into_iter().collect();
        usable.sort_by_key(|usable| (usable.list.scope.is_some(), Reverse(usable.next_update)));
        let whole = usable.iter().filter(|usable| usable.list.scope.is_none());
        Revocation {
            is_wanted,
            covered: whole.map(|usable| usable.list.issuer.clone()).collect(),
            lists: usable
                .iter()
                .filter_map(|usable| Some(OwnedCertRevocationList::from_der(&usable.der).ok()?.into()))
                .collect(),
            depth: depth(check),
        }
    }

    /// Whether CA certificates have to be shown by a list not to be revoked, too.
    pub(super) fn asks_about_authorities(&self) -> bool {
        matches!(self.depth, RevocationCheckDepth::Chain)
    }

    /// What webpki leaves open: it asks nothing where it has no lists, and takes a list that covers a part of what its
    /// CA has issued for the whole where a certificate does not say which part it belongs to.
    pub(super) fn judge(&self, certificate: &[u8]) -> Result<(), webpki::Error> {
        if !self.is_wanted {
            return Ok(());
        }
        let certificate = Certificate::parse(certificate).map_err(|_| webpki::Error::BadDer)?;
        let is_asked = certificate.has_distribution_points && !self.lists.is_empty();
        if is_asked || self.covered.contains(&certificate.issuer) {
            return Ok(());
        }
        Err(webpki::Error::UnknownRevocationStatus)
    }

    /// Calls `with` with what webpki is to ask; with `None` where there are no CRLs: then nothing is revoked.
    pub(super) fn with_options<T>(
        &self,
        expired: CrlExpired,
        with: impl FnOnce(Option<RevocationOptions<'_>>) -> T,
    ) -> T {
        let expiration = match expired {
            CrlExpired::Refuse => ExpirationPolicy::Enforce,
            CrlExpired::Ignore => ExpirationPolicy::Ignore,
        };
        let lists: Vec<&CertRevocationList<'_>> = self.lists.iter().collect();
        let options = RevocationOptionsBuilder::new(&lists).ok().map(|builder| {
            builder
                .with_depth(self.depth)
                .with_status_policy(UnknownStatusPolicy::Deny)
                .with_expiration_policy(expiration)
                .build()
        });
        with(options)
    }
}

/// What any CRL lists or has listed, whoever has signed it: asked without verifying anything.
pub(super) struct Revoked {
    lists: Vec<(IssuerNames, Arc<UsableList>)>,
    /// What is revoked besides.
    withheld: Vec<(IssuerNames, Arc<HashSet<String>>)>,
    depth: RevocationCheckDepth,
}

/// By which names the CA that has made a list may be called in what it has issued: that in the list, and all that the key
/// bears which has signed it. A CA that is renewed may come to write its name otherwise.
pub(super) type IssuerNames = Vec<CanonicalName>;

impl Revoked {
    pub(super) fn new(
        lists: Vec<(IssuerNames, Arc<UsableList>)>,
        withheld: Vec<(IssuerNames, Arc<HashSet<String>>)>,
        check: CrlCheck,
    ) -> Revoked {
        Revoked { lists, withheld, depth: depth(check) }
    }

    /// Whether a CRL lists one of these certificates that counts: leaf first, then the CA certificates shown.
    pub(super) fn lists_any<'a>(&self, chain: impl IntoIterator<Item = &'a [u8]>) -> bool {
        if self.lists.is_empty() && self.withheld.is_empty() {
            return false;
        }
        let counting = match self.depth {
            RevocationCheckDepth::Chain => usize::MAX,
            RevocationCheckDepth::EndEntity => 1,
        };
        chain.into_iter().take(counting).any(|der| Certificate::parse(der).is_ok_and(|shown| self.lists(&shown)))
    }

    /// Whether a CRL lists this certificate.
    pub(super) fn lists(&self, Certificate { issuer, serial, .. }: &Certificate) -> bool {
        let named = issuer.canonical();
        self.lists.iter().any(|(names, list)| list.revokes(serial) && names.contains(&named))
            || self.withheld.iter().any(|(names, serials)| serials.contains(serial) && names.contains(&named))
    }
}

fn depth(check: CrlCheck) -> RevocationCheckDepth {
    match check {
        CrlCheck::Chain => RevocationCheckDepth::Chain,
        CrlCheck::Leaf => RevocationCheckDepth::EndEntity,
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
