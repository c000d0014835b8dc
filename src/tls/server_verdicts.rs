//! What is found of servers' certificates after a reload: all tunnels to one server were shown the same, which is verified once.

use std::fmt;
use std::sync::{Arc, Weak};

use rustls::pki_types::CertificateDer;

use super::ClientMaterial;
use super::server_connection::{ServerConnection, ServerError, ServerName, Shown};

/// So many verdicts are kept of a tunnel. A server that shows each application another chain has no memory of ours for that.
const MOST: usize = 16;

/// The verdicts on what the servers of one tunnel have shown.
#[derive(Default)]
pub struct ServerVerdicts {
    /// Whose they are.
    under: Weak<ClientMaterial>,
    known: Vec<Verdict>,
}

struct Verdict {
    name: ServerName,
    chain: Vec<CertificateDer<'static>>,
    found: Result<(), ServerError>,
}

impl ServerVerdicts {
    /// The verdict on what the server of a connection has shown, if it is known.
    pub fn known(
        &self,
        material: &Arc<ClientMaterial>,
        connection: &ServerConnection,
    ) -> Option<Result<(), ServerError>> {
        self.known_of(material, connection.shown())
    }

    /// Holds what it has shown against this trust.
    ///
    /// # Errors
    /// It is not good any more.
    pub fn verify(&mut self, material: &Arc<ClientMaterial>, connection: &ServerConnection) -> Result<(), ServerError> {
        self.verify_shown(material, connection.shown())
    }

    fn known_of(&self, material: &Arc<ClientMaterial>, shown: Shown<'_>) -> Option<Result<(), ServerError>> {
        if !self.are_under(material) {
            return None;
        }
        let verdict = self.known.iter().find(|verdict| verdict.name == *shown.name && verdict.chain == shown.chain)?;
        Some(verdict.found.clone())
    }

    fn verify_shown(&mut self, material: &Arc<ClientMaterial>, shown: Shown<'_>) -> Result<(), ServerError> {
        if !self.are_under(material) {
            *self = ServerVerdicts { under: Arc::downgrade(material), known: Vec::new() };
        }
        let found = shown.verify(material);
        if self.known.len() < MOST {
            self.known.push(Verdict { name: shown.name.clone(), chain: shown.chain.to_vec(), found: found.clone() });
        }
        found
    }

    fn are_under(&self, material: &Arc<ClientMaterial>) -> bool {
        Weak::ptr_eq(&self.under, &Arc::downgrade(material))
    }
}

impl fmt::Debug for ServerVerdicts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerVerdicts").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::files::Files;
    use crate::identity::test_pki::Authority;
    use crate::tls::client_material;
    use crate::tls::settings::{ClientTlsSettings, Protocols};

    fn trusting(authority: &Authority) -> Arc<ClientMaterial> {
        let folder = tempfile::tempdir().unwrap();
        let ca_cert_file = folder.path().join("ca.crt");
        std::fs::write(&ca_cert_file, authority.pem()).unwrap();
        let settings = ClientTlsSettings {
            ca_cert_file,
            shown: None,
            crl_files: vec![],
            server_pins: vec![],
            protocols: Protocols { tls12: false, tls13: true },
            strict_permissions: false,
        };
        Arc::new(client_material::load(&settings, &Files::default(), SystemTime::now()).unwrap())
    }

    #[test]
    fn what_many_tunnels_were_shown_is_verified_once_under_one_trust() {
        let (ours, other) = (Authority::new("ours"), Authority::new("other"));
        let (before, after) = (trusting(&ours), trusting(&other));
        let name = ServerName::parse("localhost").unwrap();
        let [good, bad] = [&ours, &other].map(|authority| [CertificateDer::from(authority.server().der)]);
        let [good, bad] = [&good, &bad].map(|chain| Shown { name: &name, chain });
        let mut verdicts = ServerVerdicts::default();
        assert_eq!(verdicts.known_of(&before, good), None);
        assert_eq!(verdicts.verify_shown(&before, good), Ok(()));
        let refused = verdicts.verify_shown(&before, bad);
        assert!(refused.is_err());
        assert_eq!((verdicts.known_of(&before, good), verdicts.known_of(&before, bad)), (Some(Ok(())), Some(refused)));
        let elsewhere = ServerName::parse("elsewhere").unwrap();
        assert_eq!(verdicts.known_of(&before, Shown { name: &elsewhere, ..good }), None);
        assert_eq!(verdicts.known_of(&after, good), None);
        assert!(verdicts.verify_shown(&after, good).is_err());
        assert_eq!(verdicts.known_of(&before, good), None);
    }

    #[test]
    fn of_a_server_that_shows_ever_other_chains_few_are_kept() {
        let authority = Authority::new("ours");
        let material = trusting(&authority);
        let name = ServerName::parse("localhost").unwrap();
        let mut verdicts = ServerVerdicts::default();
        for _ in 0..MOST + 3 {
            let chain = [CertificateDer::from(authority.server().der)];
            assert_eq!(verdicts.verify_shown(&material, Shown { name: &name, chain: &chain }), Ok(()));
        }
        assert_eq!(verdicts.known.len(), MOST);
    }
}
