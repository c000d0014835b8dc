//! A CA, a server, and as many clients as are wanted.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber,
};
use rustls::client::Resumption;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;

/// Where a client connects to, and as whom.
pub(crate) struct Connector {
    pub(crate) address: SocketAddr,
    pub(crate) config: Arc<ClientConfig>,
}

pub(crate) struct Pki {
    dir: TempDir,
    ca: CertifiedIssuer<'static, KeyPair>,
    clients: Vec<Arc<ClientConfig>>,
}

impl Pki {
    pub(crate) fn make(clients: usize) -> Pki {
        let mut params = named("revocation CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let mut server = CertificateParams::new(["localhost".to_owned()]).unwrap();
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate().unwrap();
        fs::write(dir.path().join("server.crt"), server.signed_by(&key, &ca).unwrap().pem()).unwrap();
        fs::write(dir.path().join("server.key"), key.serialize_pem()).unwrap();
        fs::write(dir.path().join("ca.crt"), ca.pem()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(ca.der().clone()).unwrap();
        let roots = Arc::new(roots);
        let client = |index: usize| {
            let mut params = named("bench");
            params.serial_number = Some(serial(index));
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            let key = KeyPair::generate().unwrap();
            let certificate = CertificateDer::clone(params.signed_by(&key, &ca).unwrap().der());
            let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(Arc::clone(&roots))
                .with_client_auth_cert(vec![certificate], PrivatePkcs8KeyDer::from(key.serialize_der()).into())
                .unwrap();
            config.resumption = Resumption::disabled();
            Arc::new(config)
        };
        let clients = (0..clients).map(client).collect();
        let pki = Pki { dir, ca, clients };
        pki.swap_crl(&[]);
        pki
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn connector(&self, index: usize, address: SocketAddr) -> Connector {
        Connector { address, config: Arc::clone(&self.clients[index]) }
    }

    /// Puts a list that names these clients in place of the one there is; the moment just before it is there.
    pub(crate) fn swap_crl(&self, revoked: &[usize]) -> Instant {
        let now = SystemTime::now();
        let entry = |index: &usize| RevokedCertParams {
            serial_number: serial(*index),
            revocation_time: now.into(),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: now.into(),
            next_update: (now + Duration::from_secs(60 * 86_400)).into(),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.iter().map(entry).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let [new, place] = ["ca.crl.new", "ca.crl"].map(|name| self.file(name));
        fs::write(&new, list.signed_by(&self.ca).unwrap().pem().unwrap()).unwrap();
        let before = Instant::now();
        fs::rename(new, place).unwrap();
        before
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

fn named(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params
}

/// Long ones, as real authorities make them.
fn serial(index: usize) -> SerialNumber {
    let mut bytes = vec![0x5a; 8];
    bytes.extend(u64::try_from(index).unwrap().to_be_bytes());
    SerialNumber::from(bytes)
}
