//! Certificates for the tests, made on the spot.

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, CrlDistributionPoint,
    CrlIssuingDistributionPoint, DistinguishedName, DnType, DnValue, ExtendedKeyUsagePurpose, IsCa, KeyIdMethod,
    KeyPair, KeyUsagePurpose, PublicKeyData, RevokedCertParams, SanType, SerialNumber,
};

/// A CA that the tests issue certificates from.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key.
pub(crate) struct Issued {
    pub(crate) der: Vec<u8>,
    pub(crate) pem: String,
    pub(crate) key_pem: String,
}

impl Authority {
    pub(crate) fn new(cn: &str) -> Authority {
        Authority::with(cn, |_| {})
    }

    pub(crate) fn with(cn: &str, adjust: impl FnOnce(&mut CertificateParams)) -> Authority {
        let mut params = authority(cn);
        adjust(&mut params);
        let key = KeyPair::generate().expect("a key");
        Authority { issuer: CertifiedIssuer::self_signed(params, key).expect("a CA") }
    }

    /// A CA certificate signed by this one.
    pub(crate) fn intermediate(&self, cn: &str) -> Authority {
        self.intermediate_with(cn, |_| {})
    }

    pub(crate) fn intermediate_with(&self, cn: &str, adjust: impl FnOnce(&mut CertificateParams)) -> Authority {
        let mut params = authority(cn);
        adjust(&mut params);
        let key = KeyPair::generate().expect("a key");
        Authority { issuer: CertifiedIssuer::signed_by(params, key, &self.issuer).expect("a CA") }
    }

    /// A certificate by this one for the name and key of another CA, DER.
    pub(crate) fn cross_sign(&self, other: &Authority, cn: &str) -> Vec<u8> {
        self.certify(cn, other.issuer.key()).der().to_vec()
    }

    /// A CA certificate by this one for any key.
    pub(crate) fn certify(&self, cn: &str, key: &impl PublicKeyData) -> rcgen::Certificate {
        authority(cn).signed_by(key, &self.issuer).expect("a CA")
    }

    /// A certificate for any key, DER.
    pub(crate) fn issue_to(&self, params: CertificateParams, key: &impl PublicKeyData) -> Vec<u8> {
        params.signed_by(key, &self.issuer).expect("a certificate").der().to_vec()
    }

    pub(crate) fn key(&self) -> &KeyPair {
        self.issuer.key()
    }

    pub(crate) fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// Its certificate anew, of the same name and key, to end then.
    pub(crate) fn renewed(&self, cn: &str, not_after: SystemTime) -> String {
        self.anew(cn, |params| params.not_after = not_after.into())
    }

    /// Its certificate anew, of the same key.
    pub(crate) fn anew(&self, cn: &str, adjust: impl FnOnce(&mut CertificateParams)) -> String {
        let mut params = authority(cn);
        adjust(&mut params);
        params.self_signed(self.issuer.key()).expect("a CA").pem()
    }

    pub(crate) fn der(&self) -> Vec<u8> {
        self.issuer.der().to_vec()
    }

    /// A client certificate (EKU clientAuth) with this CN.
    pub(crate) fn client(&self, cn: &str) -> Issued {
        self.issue(client(cn))
    }

    /// A server certificate for localhost and 127.0.0.1.
    pub(crate) fn server(&self) -> Issued {
        let mut params = params(["localhost"]);
        params.subject_alt_names = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()])
            .expect("good names")
            .subject_alt_names;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue(params)
    }

    pub(crate) fn issue(&self, params: CertificateParams) -> Issued {
        self.issue_for(params, &KeyPair::generate().expect("a key"))
    }

    pub(crate) fn issue_for(&self, params: CertificateParams, key: &KeyPair) -> Issued {
        let certificate = params.signed_by(key, &self.issuer).expect("a certificate");
        Issued { der: certificate.der().to_vec(), pem: certificate.pem(), key_pem: key.serialize_pem() }
    }

    /// A CRL that revokes nothing, and covers only the certificates that name this place.
    pub(crate) fn partial_crl(&self, uri: &str, next_update: SystemTime) -> rcgen::CertificateRevocationList {
        let mut params = crl_params(&[], next_update);
        params.issuing_distribution_point = Some(CrlIssuingDistributionPoint {
            distribution_point: CrlDistributionPoint { uris: vec![uri.to_owned()] },
            scope: None,
        });
        params.signed_by(&self.issuer).expect("a CRL")
    }

    /// A CRL in the name of another CA, PEM.
    pub(crate) fn forged_crl(&self, cn: &str) -> String {
        self.renamed_crl(cn, 1, &[7])
    }

    /// A CRL of this number in another name, PEM.
    pub(crate) fn renamed_crl(&self, cn: &str, number: u64, serials: &[u64]) -> String {
        let name = authority(cn);
        let issuer = rcgen::Issuer::from_params(&name, self.issuer.key());
        let mut params = crl_params(serials, SystemTime::now() + Duration::from_secs(30 * 86_400));
        params.crl_number = SerialNumber::from(number);
        params.signed_by(&issuer).expect("a CRL").pem().expect("PEM")
    }

    /// A CRL of this number that revokes these serial numbers.
    pub(crate) fn numbered_crl(&self, number: u64, serials: &[u64]) -> rcgen::CertificateRevocationList {
        let mut params = crl_params(serials, SystemTime::now() + Duration::from_secs(30 * 86_400));
        params.crl_number = SerialNumber::from(number);
        params.signed_by(&self.issuer).expect("a CRL")
    }

    /// A CRL that revokes these serial numbers, due for renewal at `next_update`.
    pub(crate) fn crl(&self, serials: &[u64], next_update: SystemTime) -> rcgen::CertificateRevocationList {
        crl_params(serials, next_update).signed_by(&self.issuer).expect("a CRL")
    }
}

fn crl_params(serials: &[u64], next_update: SystemTime) -> CertificateRevocationListParams {
    let this_update = SystemTime::now() - Duration::from_secs(30 * 86_400);
    let revoked = serials
        .iter()
        .map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: this_update.into(),
            reason_code: None,
            invalidity_date: None,
        })
        .collect();
    CertificateRevocationListParams {
        this_update: this_update.into(),
        next_update: next_update.into(),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: revoked,
        key_identifier_method: KeyIdMethod::Sha256,
    }
}

fn authority(cn: &str) -> CertificateParams {
    let mut params = params([cn]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// Parameters of a client certificate with this CN.
pub(crate) fn client(cn: &str) -> CertificateParams {
    let mut params = params([cn]);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}

/// Parameters without any extended key usage, with these CNs.
pub(crate) fn params<const N: usize>(cns: [&str; N]) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    for (position, cn) in cns.iter().enumerate() {
        // rcgen keeps one value per type, but another spelling of the same OID is another type to it.
        let kind = if position == 0 { DnType::CommonName } else { DnType::CustomDnType(vec![2, 5, 4, 3]) };
        params.distinguished_name.push(kind, DnValue::Utf8String((*cn).to_owned()));
    }
    params.not_before = (SystemTime::now() - Duration::from_secs(86_400)).into();
    params.not_after = (SystemTime::now() + Duration::from_secs(365 * 86_400)).into();
    params
}

pub(crate) fn uri(value: &str) -> SanType {
    SanType::URI(value.try_into().expect("ASCII"))
}

pub(crate) fn dns(value: &str) -> SanType {
    SanType::DnsName(value.try_into().expect("ASCII"))
}

pub(crate) fn email(value: &str) -> SanType {
    SanType::Rfc822Name(value.try_into().expect("ASCII"))
}
