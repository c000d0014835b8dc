//! Who the server is: its certificate and its key.

use rustls::sign::CertifiedKey;

use super::Loader;
use super::key_pair::Holder;
use crate::tls::expiry::ExpiryKind;
use crate::tls::explain;

const SERVER: Holder = Holder {
    name: "the server",
    judges: "clients",
    kind: ExpiryKind::Server,
    ca_kind: ExpiryKind::ServerCa,
    objections: explain::server_certificate,
};

impl Loader<'_> {
    /// The server's certificate and key.
    pub(super) fn certified_key(&mut self) -> Option<CertifiedKey> {
        let settings = self.of.settings;
        self.key_pair(&SERVER, &settings.cert_file, &settings.key_file)
    }
}
