//! Which client CAs are trusted. They come into force with the rules that confine them, and no sooner; they go at once.

use rustls::pki_types::CertificateDer;

/// The client CAs of one listener, those among them that are revoked as well.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientAuthorities(Vec<CertificateDer<'static>>);

/// Which of them a new generation trusts.
#[derive(Debug, Clone, Copy)]
pub enum Admit<'a> {
    /// Those of the file.
    OfFile,
    /// Those of the file that are trusted already.
    KnownOfFile(&'a ClientAuthorities),
    /// Those that are trusted already, whatever the file says.
    Known(&'a ClientAuthorities),
}

impl ClientAuthorities {
    /// Nobody is trusted.
    pub const NONE: Self = Self(Vec::new());

    pub(super) fn iter(&self) -> impl Iterator<Item = &CertificateDer<'static>> {
        self.0.iter()
    }
}

impl FromIterator<CertificateDer<'static>> for ClientAuthorities {
    fn from_iter<I: IntoIterator<Item = CertificateDer<'static>>>(certificates: I) -> Self {
        Self(certificates.into_iter().collect())
    }
}
