//! What is signed: X.509 version 3, P-256, nothing in it that is not needed. The one file that names rcgen's parameters.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CustomExtension, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber,
};
use zeroize::Zeroizing;

use super::error::CertError;
use super::index::{Entry, Kind, serial_bytes};

/// How far clocks may differ: a certificate is good from this long before it was made.
pub(super) const CLOCK_SKEW: Duration = Duration::from_secs(300);

/// OID of the subject alternative name extension.
const SUBJECT_ALTERNATIVE_NAME: &[u64] = &[2, 5, 29, 17];

/// The longest common name (ub-common-name of RFC 5280).
const MAX_NAME: usize = 64;

/// Whom a certificate is for.
pub enum Names<'a> {
    /// DNS names and IP addresses; at least one.
    Server(&'a [String]),
    /// The user's name.
    Client(&'a str),
}

/// A certificate and its key, PEM.
pub(super) struct Signed {
    pub(super) certificate: String,
    pub(super) key: Zeroizing<String>,
    pub(super) serial: String,
}

/// An authority that can sign.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Takes up an authority from its files.
    pub(super) fn read(certificate: &str, key: &str) -> Result<Authority, CertError> {
        Ok(Authority { issuer: Issuer::from_ca_cert_pem(certificate, KeyPair::from_pem(key)?)? })
    }

    /// Certifies itself.
    pub(super) fn make(name: &str, now: SystemTime, expires: SystemTime) -> Result<Signed, CertError> {
        certify_itself(name, &KeyPair::generate()?, now, expires)
    }

    /// Certifies itself once more, by this name and with the key that it has: who trusts one of the certificates trusts
    /// what was issued under either.
    pub(super) fn renew(&self, name: &str, now: SystemTime, expires: SystemTime) -> Result<Signed, CertError> {
        certify_itself(name, self.issuer.key(), now, expires)
    }

    /// Signs a certificate for a new key.
    pub(super) fn issue(&self, names: &Names<'_>, now: SystemTime, expires: SystemTime) -> Result<Signed, CertError> {
        let (name, purpose) = match names {
            Names::Server(names) => (names[0].as_str(), ExtendedKeyUsagePurpose::ServerAuth),
            Names::Client(name) => (*name, ExtendedKeyUsagePurpose::ClientAuth),
        };
        let mut params = parameters(name, now, expires)?;
        if let Names::Server(names) = names {
            names.iter().try_for_each(|name| check_host(name))?;
            params.subject_alt_names = CertificateParams::new(*names)?.subject_alt_names;
        }
        self.sign(params, purpose)
    }

    /// Signs a certificate for a new key and the names of one that was issued before: its common name, and its subject
    /// alternative name extension, DER.
    pub(super) fn reissue(
        &self,
        kind: Kind,
        name: &str,
        alternative_names: Option<Vec<u8>>,
        now: SystemTime,
        expires: SystemTime,
    ) -> Result<Signed, CertError> {
        let purpose = match kind {
            Kind::Authority => return self.renew(name, now, expires),
            Kind::Server => ExtendedKeyUsagePurpose::ServerAuth,
            Kind::Client => ExtendedKeyUsagePurpose::ClientAuth,
        };
        let mut params = parameters(name, now, expires)?;
        let extension = |names| CustomExtension::from_oid_content(SUBJECT_ALTERNATIVE_NAME, names);
        params.custom_extensions = alternative_names.map(extension).into_iter().collect();
        self.sign(params, purpose)
    }

    fn sign(&self, mut params: CertificateParams, purpose: ExtendedKeyUsagePurpose) -> Result<Signed, CertError> {
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![purpose];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(signed(&certificate, &key, &params))
    }

    /// Signs the list of all that is revoked, PEM.
    pub(super) fn crl(&self, entries: &[Entry], now: SystemTime, next: SystemTime) -> Result<String, CertError> {
        let revoked_certs = entries
            .iter()
            .filter_map(|entry| {
                Some(RevokedCertParams {
                    serial_number: SerialNumber::from(serial_bytes(&entry.serial)),
                    revocation_time: entry.revoked?.into(),
                    reason_code: None,
                    invalidity_date: None,
                })
            })
            .collect();
        // Lists of one authority are numbered upwards; the clock needs no file to remember the last one.
        let number = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
        let list = CertificateRevocationListParams {
            this_update: now.into(),
            next_update: next.into(),
            crl_number: SerialNumber::from(number.to_be_bytes().to_vec()),
            issuing_distribution_point: None,
            revoked_certs,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        Ok(list.signed_by(&self.issuer)?.pem()?)
    }
}

/// A name for an authority. By their names CRLs and certificates find the authority that signed them, so that no two
/// should have the same.
///
/// # Errors
/// The system gives no random numbers.
pub fn random_name() -> Result<String, CertError> {
    let digits: String = random()?[..3].iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("respgate CA {digits}"))
}

fn certify_itself(name: &str, key: &KeyPair, now: SystemTime, expires: SystemTime) -> Result<Signed, CertError> {
    let mut params = parameters(name, now, expires)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = params.self_signed(key)?;
    Ok(signed(&certificate, key, &params))
}

fn parameters(name: &str, now: SystemTime, expires: SystemTime) -> Result<CertificateParams, CertError> {
    if name.is_empty() || name.len() > MAX_NAME || name.chars().any(char::is_control) {
        return Err(CertError::Name(name.to_owned(), "cannot be a common name: 1 to 64 bytes, no control character"));
    }
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = (now - CLOCK_SKEW).into();
    params.not_after = expires.into();
    params.serial_number = Some(SerialNumber::from(random_serial()?));
    Ok(params)
}

fn check_host(name: &str) -> Result<(), CertError> {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len()) && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let host = name.strip_prefix("*.").unwrap_or(name);
    if name.parse::<IpAddr>().is_ok() || host.split('.').all(is_label) {
        return Ok(());
    }
    Err(CertError::Name(name.to_owned(), "is neither a DNS name nor an IP address"))
}

/// 126 random bits. The first byte is neither 0 nor above 0x7f: DER writes all of them the same length.
fn random_serial() -> Result<Vec<u8>, CertError> {
    let mut serial = random()?;
    serial[0] = serial[0] & 0x3f | 0x40;
    Ok(serial.to_vec())
}

fn random() -> Result<[u8; 16], CertError> {
    argon2::password_hash::try_generate_salt().map_err(|error| CertError::Signing(error.to_string()))
}

fn signed(certificate: &rcgen::Certificate, key: &KeyPair, params: &CertificateParams) -> Signed {
    let serial = params.serial_number.as_ref().map(SerialNumber::to_bytes).unwrap_or_default();
    Signed {
        certificate: certificate.pem(),
        key: Zeroizing::new(key.serialize_pem()),
        serial: serial.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_dns_names_wildcards_and_addresses() {
        for good in ["localhost", "redis.example.com", "*.example.com", "127.0.0.1", "::1", "a-b"] {
            assert!(check_host(good).is_ok(), "{good}");
        }
        for bad in ["", "a b", "a..b", "*", "a.*.b", "http://a", "a/b", "a\n", "ä.example"] {
            assert!(check_host(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn serial_numbers_are_positive_and_of_one_length() {
        for _ in 0..100 {
            let serial = random_serial().unwrap();
            assert_eq!(serial.len(), 16);
            assert!((0x40..0x80).contains(&serial[0]));
        }
        assert_ne!(random_serial().unwrap(), random_serial().unwrap());
    }

    #[test]
    fn a_name_that_cannot_be_a_common_name_is_refused() {
        let now = SystemTime::now();
        for bad in ["", "a\0b", &"a".repeat(65)] {
            assert!(matches!(Authority::make(bad, now, now), Err(CertError::Name(..))), "{bad:?}");
        }
    }
}
