//! When the files of a listener have to be renewed.

use std::collections::BTreeMap;
use std::path::Path;

/// When the first certificate or CRL of a file ends.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Expiry {
    /// What it is.
    pub kind: ExpiryKind,
    /// The file, without its directory.
    pub file: String,
    /// In seconds since 1970 UTC.
    pub at: i64,
}

/// What ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExpiryKind {
    /// The server's certificate.
    Server,
    /// A CA in its chain.
    ServerCa,
    /// A client CA.
    ClientCa,
    /// The certificate that a tunnel shows.
    Tunnel,
    /// A CA in its chain.
    TunnelCa,
    /// A CA that a tunnel holds its server against.
    TunnelServerCa,
    /// A CRL.
    Crl,
}

impl ExpiryKind {
    /// Its word in metrics.
    pub fn word(self) -> &'static str {
        match self {
            ExpiryKind::Server => "server",
            ExpiryKind::ServerCa => "server-ca",
            ExpiryKind::ClientCa => "client-ca",
            ExpiryKind::Tunnel => "tunnel",
            ExpiryKind::TunnelCa => "tunnel-ca",
            ExpiryKind::TunnelServerCa => "tunnel-server-ca",
            ExpiryKind::Crl => "crl",
        }
    }

    /// It is no certificate.
    pub fn is_crl(self) -> bool {
        self == ExpiryKind::Crl
    }
}

/// The first end of each kind and file.
#[derive(Debug, Clone, Default)]
pub struct Expiries(BTreeMap<(ExpiryKind, String), i64>);

impl Expiries {
    /// Something in this file ends then.
    pub(super) fn note(&mut self, kind: ExpiryKind, file: &Path, at: i64) {
        let file = file.file_name().unwrap_or(file.as_os_str()).to_string_lossy().into_owned();
        let first = self.0.entry((kind, file)).or_insert(at);
        *first = at.min(*first);
    }

    /// Those of another listener as well.
    pub fn add(&mut self, other: &Expiries) {
        other.iter().for_each(|Expiry { kind, file, at }| self.note(kind, Path::new(&file), at));
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = Expiry> {
        self.0.iter().map(|((kind, file), at)| Expiry { kind: *kind, file: file.clone(), at: *at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_each_kind_and_file_the_first_end_counts() {
        let (mut one, mut other) = (Expiries::default(), Expiries::default());
        one.note(ExpiryKind::ClientCa, Path::new("/etc/respgate/ca.crt"), 7);
        other.note(ExpiryKind::ClientCa, Path::new("ca.crt"), 5);
        other.note(ExpiryKind::Crl, Path::new("ca.crt"), 9);
        one.add(&other);
        let ends: Vec<_> = one.iter().map(|expiry| (expiry.kind.word(), expiry.file, expiry.at)).collect();
        assert_eq!(ends, [("client-ca", "ca.crt".to_owned(), 5), ("crl", "ca.crt".to_owned(), 9)]);
    }
}
