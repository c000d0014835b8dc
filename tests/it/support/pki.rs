//! A certificate authority per test, and certificates of every kind the tests need, as PEM files.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber,
    SignatureAlgorithm, date_time_ymd,
};

/// The certificate files of one test, all in one folder.
pub(crate) struct Pki {
    dir: PathBuf,
    ca: Issuer<'static, KeyPair>,
}

/// A certificate and its key, as a client presents them.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

impl Pki {
    /// Makes `ca.crt`, and `server.crt` with its key, in `dir`.
    pub(crate) fn create(dir: &Path) -> Pki {
        let ca = authority("respgate test CA", &dir.join("ca.crt"));
        let pki = Pki { dir: dir.to_path_buf(), ca };
        pki.renew_server();
        pki
    }

    /// Replaces `server.crt` and its key.
    pub(crate) fn renew_server(&self) {
        self.issue("server", server_params());
    }

    /// The same with this serial number.
    pub(crate) fn numbered_server(&self, serial: u64) {
        let mut params = server_params();
        params.serial_number = Some(SerialNumber::from(serial));
        self.issue("server", params);
    }

    /// The same, and it ended long ago.
    pub(crate) fn expired_server(&self) {
        let mut params = server_params();
        params.not_before = date_time_ymd(2019, 1, 1);
        params.not_after = date_time_ymd(2020, 1, 1);
        self.issue("server", params);
    }

    pub(crate) fn ca_cert(&self) -> PathBuf {
        self.dir.join("ca.crt")
    }

    /// The listener's own certificate.
    pub(crate) fn server(&self) -> Identity {
        self.identity("server")
    }

    /// A good client certificate with this common name and no SAN.
    pub(crate) fn client(&self, common_name: &str) -> Identity {
        self.issue(common_name, client_params(common_name))
    }

    /// A certificate with the right name that ended long ago.
    pub(crate) fn expired_client(&self, common_name: &str) -> Identity {
        let mut params = client_params(common_name);
        params.not_before = date_time_ymd(2019, 1, 1);
        params.not_after = date_time_ymd(2020, 1, 1);
        self.issue("expired", params)
    }

    /// A certificate with the right name from an authority that the listener does not trust.
    pub(crate) fn client_of_another_ca(&self, common_name: &str) -> Identity {
        let other = authority("respgate test CA", &self.dir.join("other-ca.crt"));
        let key = KeyPair::generate().unwrap();
        let cert = client_params(common_name).signed_by(&key, &other).unwrap();
        self.store("another-ca", &cert.pem(), &key)
    }

    /// A certificate with the right name that nobody signed.
    pub(crate) fn self_signed_client(&self, common_name: &str) -> Identity {
        let key = KeyPair::generate().unwrap();
        let cert = client_params(common_name).self_signed(&key).unwrap();
        self.store("self-signed", &cert.pem(), &key)
    }

    /// A certificate of the right authority that is only good for servers.
    pub(crate) fn server_only_client(&self, common_name: &str) -> Identity {
        let mut params = client_params(common_name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue("server-only", params)
    }

    /// A good client certificate with this serial number.
    pub(crate) fn numbered_client(&self, common_name: &str, serial: u64) -> Identity {
        let mut params = client_params(common_name);
        params.serial_number = Some(SerialNumber::from(serial));
        self.issue(common_name, params)
    }

    /// A good client certificate that ends so many whole seconds from now.
    pub(crate) fn short_lived_client(&self, common_name: &str, lasts: Duration) -> Identity {
        let mut params = client_params(common_name);
        params.not_after = (SystemTime::now() + lasts).into();
        self.issue("short-lived", params)
    }

    /// A client certificate with other parameters than usual.
    pub(crate) fn odd_client(
        &self,
        file: &str,
        common_name: &str,
        adjust: impl FnOnce(&mut CertificateParams),
    ) -> Identity {
        let mut params = client_params(common_name);
        adjust(&mut params);
        self.issue(file, params)
    }

    /// A client certificate for a key of this kind.
    pub(crate) fn client_with_key(&self, file: &str, common_name: &str, kind: &'static SignatureAlgorithm) -> Identity {
        let key = KeyPair::generate_for(kind).unwrap();
        let cert = client_params(common_name).signed_by(&key, &self.ca).unwrap();
        self.store(file, &cert.pem(), &key)
    }

    /// A client certificate for an Ed25519 key. openssl makes it: it does not read the newer form that rcgen writes.
    pub(crate) fn ed25519_client(&self, common_name: &str) -> Identity {
        let identity = self.identity("ed25519");
        openssl(Command::new("openssl").args(["genpkey", "-algorithm", "ed25519", "-out"]).arg(&identity.key));
        let key = KeyPair::from_pem(&fs::read_to_string(&identity.key).unwrap()).unwrap();
        fs::write(&identity.cert, client_params(common_name).signed_by(&key, &self.ca).unwrap().pem()).unwrap();
        identity
    }

    /// A client certificate for a key that `openssl genpkey` makes with these arguments, which rcgen may not know.
    pub(crate) fn openssl_client(&self, common_name: &str, key: &str) -> Identity {
        let identity = self.identity("openssl");
        let [authority, request, extensions] =
            ["openssl-ca.key", "openssl.csr", "openssl.ext"].map(|f| self.dir.join(f));
        fs::write(&authority, self.ca.key().serialize_pem()).unwrap();
        fs::write(&extensions, "extendedKeyUsage=clientAuth").unwrap();
        openssl(Command::new("openssl").arg("genpkey").args(key.split(' ')).arg("-out").arg(&identity.key));
        let subject = format!("/CN={common_name}");
        openssl(
            Command::new("openssl")
                .args(["req", "-new", "-subj", &subject, "-key"])
                .arg(&identity.key)
                .arg("-out")
                .arg(&request),
        );
        openssl(
            Command::new("openssl")
                .args(["x509", "-req", "-set_serial", "99", "-days", "90", "-in"])
                .arg(&request)
                .arg("-CA")
                .arg(self.ca_cert())
                .arg("-CAkey")
                .arg(&authority)
                .arg("-extfile")
                .arg(&extensions)
                .arg("-out")
                .arg(&identity.cert),
        );
        identity
    }

    /// A client certificate that the holder of another client certificate has signed, with that one behind it.
    pub(crate) fn client_signed_by(&self, signer: &Identity, common_name: &str) -> Identity {
        let [cert, key] = [&signer.cert, &signer.key].map(|file| fs::read_to_string(file).unwrap());
        let signer = Issuer::from_ca_cert_pem(&cert, KeyPair::from_pem(&key).unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let signed = client_params(common_name).signed_by(&key, &signer).unwrap();
        self.store("signed", &(signed.pem() + &cert), &key)
    }

    /// A certificate with the right name from an authority of another name.
    pub(crate) fn client_of_a_stranger(&self, common_name: &str) -> Identity {
        let other = authority("a stranger's CA", &self.dir.join("stranger-ca.crt"));
        let key = KeyPair::generate().unwrap();
        let cert = client_params(common_name).signed_by(&key, &other).unwrap();
        self.store("stranger", &cert.pem(), &key)
    }

    /// A certificate with the right name from a CA below ours, with that CA's own behind it.
    pub(crate) fn client_of_an_intermediate(&self, common_name: &str) -> Identity {
        self.client_of_a_short_lived_intermediate(common_name, Duration::from_secs(86_400))
    }

    /// The same, and that CA ends so many whole seconds from now.
    pub(crate) fn client_of_a_short_lived_intermediate(&self, common_name: &str, lasts: Duration) -> Identity {
        let (ca_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let mut params = authority_params("intermediate test CA");
        params.not_after = (SystemTime::now() + lasts).into();
        let ca = CertifiedIssuer::signed_by(params, ca_key, &self.ca).unwrap();
        let cert = client_params(common_name).signed_by(&key, &ca).unwrap();
        self.store("intermediate", &format!("{}{}", cert.pem(), ca.pem()), &key)
    }

    /// The authority itself, as a client.
    pub(crate) fn ca_as_client(&self) -> Identity {
        let cert = fs::read_to_string(self.ca_cert()).unwrap();
        self.store("ca-as-client", &cert, self.ca.key())
    }

    /// What `openssl req -x509` makes by default.
    pub(crate) fn openssl_self_signed(&self, common_name: &str) -> Identity {
        let identity = self.identity("openssl-self-signed");
        let subject = format!("/CN={common_name}");
        let arguments = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj"];
        openssl(
            Command::new("openssl")
                .args(arguments)
                .arg(subject)
                .arg("-keyout")
                .arg(&identity.key)
                .arg("-out")
                .arg(&identity.cert),
        );
        identity
    }

    /// What plain `openssl x509 -req` makes.
    pub(crate) fn version_1_client(&self, common_name: &str) -> Identity {
        let identity = self.identity("version-1");
        let (request, ca) = (self.dir.join("version-1.csr"), self.ca_as_client());
        let subject = format!("/CN={common_name}");
        let arguments = ["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj"];
        openssl(
            Command::new("openssl")
                .args(arguments)
                .arg(subject)
                .arg("-keyout")
                .arg(&identity.key)
                .arg("-out")
                .arg(&request),
        );
        let mut sign = Command::new("openssl");
        sign.args(["x509", "-req", "-sha256", "-days", "30", "-set_serial", "77", "-in"]).arg(request);
        openssl(sign.arg("-CA").arg(ca.cert).arg("-CAkey").arg(ca.key).arg("-out").arg(&identity.cert));
        identity
    }

    /// `ca.crl`, good for two months, swapped in as a whole.
    pub(crate) fn write_crl(&self, serials: &[u64]) {
        self.write_crl_text(&self.crl(serials, SystemTime::now() + Duration::from_secs(60 * 86_400)));
    }

    /// `ca.crl`, empty, whose next edition was due an hour ago.
    pub(crate) fn write_expired_crl(&self) {
        self.write_expired_crl_of(&[]);
    }

    /// Replaces the list by one that lists these and has expired.
    pub(crate) fn write_expired_crl_of(&self, serials: &[u64]) {
        self.write_crl_text(&self.crl(serials, SystemTime::now() - Duration::from_secs(3600)));
    }

    /// `ca.crl`, empty, whose next edition is due so many whole seconds from now.
    pub(crate) fn write_short_lived_crl(&self, lasts: Duration) {
        self.write_crl_text(&self.crl(&[], SystemTime::now() + lasts));
    }

    /// Whatever text as `ca.crl`, swapped in as a whole.
    pub(crate) fn write_crl_text(&self, text: &str) {
        fs::write(self.dir.join("ca.crl.new"), text).unwrap();
        fs::rename(self.dir.join("ca.crl.new"), self.crl_file()).unwrap();
    }

    pub(crate) fn crl_file(&self) -> PathBuf {
        self.dir.join("ca.crl")
    }

    /// Puts another authority, of another name, in the place of the one in `ca.crt`.
    pub(crate) fn replace_ca(&self) {
        authority("another test CA", &self.ca_cert());
    }

    /// Writes the certificate of the authority anew, of the same name and key, to end so many whole seconds from now.
    pub(crate) fn renew_ca(&self, lasts: Duration) {
        let mut params = authority_params("respgate test CA");
        params.not_after = (SystemTime::now() + lasts).into();
        fs::write(self.ca_cert(), params.self_signed(self.ca.key()).unwrap().pem()).unwrap();
    }

    /// Each is a newer edition.
    fn crl(&self, serials: &[u64], next_update: SystemTime) -> String {
        let now = SystemTime::now();
        let number = now.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos();
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: now.into(),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: (now - Duration::from_secs(86_400)).into(),
            next_update: next_update.into(),
            crl_number: SerialNumber::from(u64::try_from(number).unwrap()),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.ca).unwrap().pem().unwrap()
    }

    fn issue(&self, file: &str, params: CertificateParams) -> Identity {
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.ca).unwrap();
        self.store(file, &cert.pem(), &key)
    }

    fn store(&self, file: &str, cert: &str, key: &KeyPair) -> Identity {
        let identity = self.identity(file);
        fs::write(&identity.cert, cert).unwrap();
        fs::write(&identity.key, key.serialize_pem()).unwrap();
        fs::set_permissions(&identity.key, fs::Permissions::from_mode(0o600)).unwrap();
        identity
    }

    fn identity(&self, file: &str) -> Identity {
        Identity { cert: self.dir.join(format!("{file}.crt")), key: self.dir.join(format!("{file}.key")) }
    }
}

fn openssl(command: &mut Command) {
    let output = command.output().expect("openssl is installed (apt-get install openssl)");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn authority(common_name: &str, cert_file: &Path) -> Issuer<'static, KeyPair> {
    let params = authority_params(common_name);
    let key = KeyPair::generate().unwrap();
    fs::write(cert_file, params.self_signed(&key).unwrap().pem()).unwrap();
    Issuer::new(params, key)
}

fn authority_params(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn server_params() -> CertificateParams {
    let mut params = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, "localhost");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params
}

fn client_params(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}
