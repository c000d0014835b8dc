use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CrlDistributionPoint, CustomExtension, DistinguishedName, DnType, DnValue,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, KeyPair, KeyUsagePurpose, NameConstraints, PublicKeyData,
    RsaKeySize, SanType, SerialNumber, SignatureAlgorithm,
};
use rustls::pki_types::CertificateDer;

use super::*;
use crate::identity::Fingerprint;
use crate::identity::test_pki::{Authority, Issued, client, params};
use crate::identity::x509::Certificate;
use crate::tls::expiry::ExpiryKind;
use crate::tls::explain::{self, unix_seconds};
use crate::tls::load_error::Severity;
use crate::tls::pem;
use crate::tls::settings::{AuthClients, CrlCheck, CrlExpired, Protocols, RuleKeys};
use crate::tls::test_files::TestFiles;

const DAY: Duration = Duration::from_secs(86_400);

fn in_days(days: u32) -> SystemTime {
    SystemTime::now() + DAY * days
}

fn days_ago(days: u32) -> SystemTime {
    SystemTime::now() - DAY * days
}

fn an_hour_ago() -> SystemTime {
    SystemTime::now() - DAY / 24
}

fn chain(leaf: &Issued) -> CertificateChain {
    chain_of([leaf.der.clone()])
}

fn chain_of(certificates: impl IntoIterator<Item = Vec<u8>>) -> CertificateChain {
    CertificateChain::new(certificates.into_iter().map(CertificateDer::from).collect()).expect("a certificate")
}

fn from_pem(pem: &[u8]) -> Vec<u8> {
    pem::certificate_chain(pem).expect("PEM")[0].to_vec()
}

impl TlsMaterial {
    fn judged(&self, chain: &CertificateChain, now: SystemTime) -> Result<(), CertificateRefusal> {
        self.reverify(chain, now).map(drop)
    }

    fn anchor(&self, chain: &CertificateChain, now: SystemTime) -> Option<Fingerprint> {
        match self.only_voucher().ok_or(CertificateRefusal::Other).or_else(|_| self.reverify(chain, now)) {
            Ok(Voucher::Authority(authority)) => Some(authority),
            _ => None,
        }
    }
}

fn verdict(material: &TlsMaterial, leaf: &Issued) -> Result<(), CertificateRefusal> {
    material.judged(&chain(leaf), SystemTime::now())
}

fn warnings(files: &TestFiles) -> Vec<String> {
    told(&files.load(), Severity::Warning)
}

fn told(material: &TlsMaterial, severity: Severity) -> Vec<String> {
    let findings = material.findings().iter().filter(|finding| finding.severity == severity);
    findings.map(|finding| finding.message.clone()).collect()
}

fn only_error(files: &TestFiles) -> String {
    let errors = files.errors();
    assert_eq!(errors.len(), 1, "{errors:?}");
    errors.into_iter().next().expect("one error")
}

#[test]
fn good_files_load_without_a_warning() {
    let files = TestFiles::new(&Authority::new("root"));
    assert_eq!(warnings(&files), Vec::<String>::new());
    assert!(files.load().verifier.is_some());
}

#[test]
fn server_keys_of_every_usual_kind_load() {
    let authority = Authority::new("root");
    let files = TestFiles::new(&authority);
    for key in [
        KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
        KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384),
        KeyPair::generate_for(&rcgen::PKCS_ED25519),
        KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048),
    ] {
        files.server(&authority.issue_for(params(["localhost"]), &key.expect("a key")));
        assert_eq!(files.errors(), Vec::<String>::new());
    }
}

#[test]
fn every_error_is_reported_with_its_setting_and_file() {
    let mut files = TestFiles::new(&Authority::new("root"));
    std::fs::remove_file(files.path("server.crt")).expect("removed");
    files.write("server.key", "");
    files.write("ca.crt", "no PEM at all");
    files.add_crl("ca.crl", "-----BEGIN X509 CRL-----\n!!\n-----END X509 CRL-----\n");
    files.settings.protocols = Protocols { tls12: false, tls13: false };
    let errors = files.errors();
    assert_eq!(errors.len(), 5, "{errors:?}");
    for (error, start) in errors.iter().zip([
        "tls-cert-file server.crt: cannot be read: No such file",
        "tls-key-file server.key: holds no PEM block; expected -----BEGIN PRIVATE KEY-----",
        "tls-ca-cert-file ca.crt: holds no PEM block",
        "tls-crl-file ca.crl: line 1: holds a damaged PEM block",
        "tls-protocols: names no protocol",
    ]) {
        assert!(error.starts_with(start), "{error}");
    }
}

#[test]
fn an_encrypted_key_is_told_with_the_command_that_decrypts_it() {
    let files = TestFiles::new(&Authority::new("root"));
    for encrypted in [
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIHs\n-----END ENCRYPTED PRIVATE KEY-----\n",
        "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nMIHs\n\
         -----END EC PRIVATE KEY-----\n",
    ] {
        files.write("server.key", encrypted);
        let error = only_error(&files);
        assert!(error.starts_with("tls-key-file server.key: the private key is encrypted"), "{error}");
        assert!(error.contains("openssl pkey -in server.key -out server.key.plain"), "{error}");
    }
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let authority = Authority::new("root");
    let files = TestFiles::new(&authority);
    files.write("server.key", authority.server().key_pem);
    let error = only_error(&files);
    assert!(error.starts_with("tls-key-file server.key: the key does not belong to the certificate in"), "{error}");
}

#[test]
fn two_keys_in_one_file_are_refused() {
    let authority = Authority::new("root");
    let files = TestFiles::new(&authority);
    files.write("server.key", authority.server().key_pem + &authority.server().key_pem);
    assert!(only_error(&files).contains("several private keys"));
}

#[test]
fn swapped_files_are_told_by_what_they_hold() {
    let authority = Authority::new("root");
    let files = TestFiles::new(&authority);
    let server = authority.server();
    files.write("server.crt", &server.key_pem);
    files.write("server.key", &server.pem);
    assert_eq!(
        files.errors(),
        [
            "tls-cert-file server.crt: holds no CERTIFICATE but PRIVATE KEY",
            "tls-key-file server.key: holds no PRIVATE KEY but CERTIFICATE",
        ]
    );
}

#[test]
fn files_in_der_form_are_told_with_the_command_that_converts_them() {
    let authority = Authority::new("root");
    let files = TestFiles::new(&authority);
    files.write("server.crt", authority.server().der);
    let error = only_error(&files);
    assert!(error.ends_with("with: (umask 077; openssl storeutl -out server.crt.pem server.crt)"), "{error}");
}

#[test]
fn a_key_of_a_kind_that_is_not_accepted_is_refused() {
    let files = TestFiles::new(&Authority::new("root"));
    files.write("server.key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    let error = only_error(&files);
    assert!(
        error.starts_with("tls-key-file server.key: the key is damaged or of a kind that is not accepted"),
        "{error}"
    );
}

#[test]
fn a_version_1_server_certificate_is_explained() {
    let files = TestFiles::new(&Authority::new("root"));
    files.write("server.crt", include_bytes!("../testdata/version1.pem"));
    let error = only_error(&files);
    assert!(error.contains("X.509 version 1, which plain `openssl x509 -req` makes"), "{error}");
}

#[test]
fn a_certificate_with_bytes_after_it_is_refused() {
    let mut der = Authority::new("root").server().der;
    der.push(0);
    assert!(Certificate::parse(&der).is_err());
}

#[test]
fn a_server_certificate_that_clients_will_refuse_is_a_warning() {
    let authority = Authority::new("root");
    let files = TestFiles::new(&authority);
    let mut server = client("localhost");
    server.not_after = an_hour_ago().into();
    files.server(&authority.issue(server));
    let warnings = warnings(&files);
    assert!(warnings[0].contains("it has expired"), "{warnings:?}");
    assert!(warnings[1].contains("does not allow serverAuth"), "{warnings:?}");
}

#[test]
fn a_ca_certificate_as_the_servers_own_is_a_warning() {
    let authority = Authority::new("root");
    let files = TestFiles::new(&authority);
    let mut ca = params(["localhost"]);
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    files.server(&authority.issue(ca));
    let warnings = warnings(&files);
    assert!(
        warnings[0].starts_with("clients will refuse the server's certificate: it is a CA certificate"),
        "{warnings:?}"
    );
    assert_eq!(warnings.len(), 1, "{warnings:?}");
}

#[test]
fn an_intermediate_of_the_server_that_has_expired_or_will_soon_is_a_warning() {
    let root = Authority::new("root");
    let files = TestFiles::new(&root);
    let server = root.server();
    files.server(&server);
    let soon = Authority::with("soon", |ca| ca.not_after = (in_days(3) + DAY / 2).into());
    let late = Authority::with("late", |ca| ca.not_after = an_hour_ago().into());
    files.write("server.crt", server.pem + &soon.pem() + &late.pem());
    assert_eq!(
        warnings(&files),
        [
            "the CA CN=soon in the server's chain expires in 3 days",
            "the CA CN=late in the server's chain has expired: clients will refuse the chain",
        ]
    );
}

#[test]
fn what_expires_soon_is_a_warning() {
    let authority = Authority::with("root", |ca| ca.not_after = (in_days(10) + DAY / 2).into());
    let mut files = TestFiles::new(&authority);
    let mut server = params(["localhost"]);
    server.not_after = (in_days(3) + DAY / 2).into();
    files.server(&authority.issue(server));
    files.add_crl("ca.crl", authority.crl(&[], in_days(7) + DAY / 2).pem().expect("PEM"));
    assert_eq!(
        warnings(&files),
        [
            "the server's certificate expires in 3 days",
            "the CA CN=root expires in 10 days",
            "the CRL of CN=root expires in 7 days",
        ]
    );
}

#[test]
fn clients_need_a_ca_unless_they_are_not_asked() {
    let mut files = TestFiles::new(&Authority::new("root"));
    files.settings.ca_cert_file = None;
    assert!(only_error(&files).starts_with("tls-ca-cert-file: is missing"));
    files.settings.auth_clients = AuthClients::Optional;
    assert!(only_error(&files).starts_with("tls-ca-cert-file: is missing"));
    files.settings.auth_clients = AuthClients::No;
    assert!(files.load().verifier.is_none());
}

#[test]
fn what_a_ca_has_issued_that_is_not_valid_now_is_refused() {
    let (old, new) = (Authority::with("old", |ca| ca.not_after = an_hour_ago().into()), Authority::new("new"));
    let next = Authority::with("next", |ca| ca.not_before = in_days(1).into());
    let files = TestFiles::new(&new);
    files.write("ca.crt", old.pem() + &new.pem() + &next.pem());
    let material = files.load();
    let told_of = told(&material, Severity::Warning);
    assert_eq!(told_of[0], "the CA CN=old has expired: what it has issued is refused");
    assert!(told_of[1].starts_with("the CA CN=next is not valid yet"));
    assert_eq!(verdict(&material, &old.client("alice")), Err(CertificateRefusal::Expired));
    assert_eq!(verdict(&material, &new.client("alice")), Ok(()));
    assert_eq!(verdict(&material, &Authority::new("other").client("alice")), Err(CertificateRefusal::UnknownIssuer));
    let spki = Certificate::parse(&new.der()).expect("readable").spki_sha256;
    assert_eq!(material.anchor(&chain(&new.client("alice")), SystemTime::now()), Some(spki));
    files.write("ca.crt", new.pem() + &next.pem());
    let early = chain(&next.client("alice"));
    assert_eq!(files.load().judged(&early, SystemTime::now()), Err(CertificateRefusal::NotYetValid));
    assert_eq!(files.load().judged(&early, in_days(2)), Ok(()));

    files.write("ca.crt", old.pem());
    let material = files.load();
    assert_eq!(
        told(&material, Severity::Error),
        ["no CA in it is valid now: every client certificate is refused"],
        "a start does not depend on the hour"
    );
    assert_eq!(verdict(&material, &old.client("alice")), Err(CertificateRefusal::Expired));
}

#[test]
fn a_ca_that_ends_after_it_was_read_is_trusted_no_longer_and_no_error_either() {
    let root = Authority::with("root", |ca| ca.not_after = in_days(1).into());
    let mut files = TestFiles::new(&root);
    files.add_crl("ca.crl", root.crl(&[], in_days(1)).pem().expect("PEM"));
    let material = files.load();
    let alice = chain(&root.client("alice"));
    assert_eq!(material.judged(&alice, in_days(1) - DAY / 24), Ok(()));
    // The list has run out too, which would end no session.
    assert_eq!(material.judged(&alice, in_days(2)), Err(CertificateRefusal::Expired));
    let again = load(&files.settings, &files.rule_keys, &Files::default(), None, NewTrust::default(), in_days(2))
        .expect("what has expired is no error");
    assert_eq!(again.judged(&alice, in_days(2)), Err(CertificateRefusal::Expired));
}

#[test]
fn a_renewed_ca_of_the_same_name_and_key_vouches_for_what_the_old_one_issued() {
    let old = Authority::with("root", |ca| ca.not_after = in_days(1).into());
    let files = TestFiles::new(&old);
    files.write("ca.crt", old.pem() + &old.renewed("root", in_days(100)));
    assert_eq!(files.load().judged(&chain(&old.client("alice")), in_days(2)), Ok(()));
}

#[test]
fn a_chain_ages_with_itself_and_with_the_cas_that_it_may_depend_on() {
    let root = Authority::with("root", |ca| ca.not_after = in_days(9).into());
    let issuing = root.intermediate("issuing");
    let mut leaf = client("a");
    leaf.not_after = in_days(7).into();
    let (direct, through) = (chain(&root.issue(leaf)), chain_of([issuing.client("a").der, issuing.der()]));
    let material = TestFiles::new(&root).load();
    let day = |day| unix_seconds(in_days(day));
    assert!(material.has_aged(&direct, &(day(6)..day(8))));
    assert!(material.has_aged(&direct, &(day(8)..day(10))));
    assert!(!material.has_aged(&direct, &(day(10)..day(400))));
    assert!(material.has_aged(&through, &(day(10)..day(400))));
}

#[test]
fn what_cannot_be_a_ca_refuses_the_whole_file_and_every_one_is_named() {
    let root = Authority::new("root");
    let files = TestFiles::new(&root);
    let alice = root.client("alice");
    let no_signing = Authority::with("no-signing", |ca| ca.key_usages = vec![KeyUsagePurpose::CrlSign]);
    let servers_only =
        Authority::with("servers", |ca| ca.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]);
    let critical = Authority::with("critical", |ca| {
        let mut extension = CustomExtension::from_oid_content(&[1, 2, 3], vec![5, 0]);
        extension.set_criticality(true);
        ca.custom_extensions.push(extension);
    });
    let old = String::from_utf8_lossy(include_bytes!("../testdata/version1.pem")).into_owned();
    let all = [root.pem(), alice.pem.clone(), no_signing.pem(), servers_only.pem(), critical.pem(), old];
    files.write("ca.crt", all.concat());
    let errors = files.errors();
    let spki = Certificate::parse(&alice.der).expect("readable").spki_sha256.to_string();
    let expected: [&[&str]; 5] = [
        &["certificate 2, \"CN=alice\"", "no CA:TRUE", "trust = \"pin\"", &spki],
        &["certificate 3, \"CN=no-signing\"", "keyCertSign"],
        &["certificate 4, \"CN=servers\"", "clientAuth"],
        &["certificate 5, \"CN=critical\"", "critical extension", "1.2.3"],
        &["certificate 6", "X.509 version 1", "openssl req -x509 -new -key"],
    ];
    assert_eq!(errors.len(), expected.len(), "{errors:?}");
    for (error, words) in errors.iter().zip(expected) {
        assert!(words.iter().all(|word| error.contains(word)), "{words:?} in {error}");
    }
}

#[test]
fn a_ca_that_may_do_anything_is_good_for_clients() {
    let root = Authority::with("root", |ca| ca.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any]);
    let issuing = root.intermediate_with("issuing", |ca| ca.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any]);
    let mut alice = params(["alice"]);
    alice.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any];
    let alice = chain_of([issuing.issue(alice).der, issuing.der()]);
    assert_eq!(TestFiles::new(&root).load().judged(&alice, SystemTime::now()), Ok(()));
}

/// What a CA that is shown, or the CA file, allows below it: each chain is alice's and has one outcome.
#[test]
fn what_a_ca_is_not_allowed_to_issue_is_refused() {
    use CertificateRefusal as R;
    let root = Authority::new("root");
    let now = SystemTime::now();
    let usage = |usages: &[KeyUsagePurpose]| root.intermediate_with("issuing", |ca| ca.key_usages = usages.to_vec());
    let through = |issuing: &Authority| chain_of([issuing.client("alice").der, issuing.der()]);
    let material = TestFiles::new(&root).load();
    assert_eq!(material.judged(&through(&usage(&[])), now), Ok(()), "no key usage at all");
    assert_eq!(material.judged(&through(&usage(&[KeyUsagePurpose::KeyCertSign])), now), Ok(()));
    let crl_sign = usage(&[KeyUsagePurpose::CrlSign]);
    assert_eq!(material.judged(&through(&crl_sign), now), Err(R::Constraint), "no keyCertSign");
    let servers = root.intermediate_with("issuing", |ca| {
        ca.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    });
    assert_eq!(material.judged(&through(&servers), now), Err(R::WrongPurpose));
    // bob's own certificate, which is no CA's, signs alice's.
    let bob = root.intermediate_with("bob", |leaf| leaf.is_ca = IsCa::ExplicitNoCa);
    assert_eq!(material.judged(&through(&bob), now), Err(R::Constraint));
    let short = root.intermediate_with("short", |ca| ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)));
    let below = short.intermediate("below");
    let deep = chain_of([below.client("alice").der, below.der(), short.der()]);
    assert_eq!(material.judged(&deep, now), Err(R::Constraint), "path length of a CA that is shown");

    let short = Authority::with("root", |ca| ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)));
    let material = TestFiles::new(&short).load();
    assert_eq!(verdict(&material, &short.client("alice")), Ok(()));
    let issuing = short.intermediate("issuing");
    assert_eq!(material.judged(&through(&issuing), now), Err(R::Constraint), "path length of a CA of the file");
}

#[test]
fn another_path_is_found_around_a_ca_whose_word_does_not_go_that_far() {
    let short = Authority::with("root", |ca| ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)));
    let files = TestFiles::new(&short);
    files.write("ca.crt", short.pem() + &short.renewed("root", in_days(100)));
    let issuing = short.intermediate("issuing");
    let alice = chain_of([issuing.client("alice").der, issuing.der()]);
    assert_eq!(files.load().judged(&alice, SystemTime::now()), Ok(()), "the renewed one allows any length");
}

#[test]
fn many_cas_are_a_warning() {
    let authorities: Vec<Authority> = (0..20).map(|number| Authority::new(&format!("root {number}"))).collect();
    let files = TestFiles::new(&authorities[0]);
    files.write("ca.crt", authorities.iter().map(Authority::pem).collect::<String>());
    assert!(
        warnings(&files)[0].starts_with("20 CAs: whoever has a certificate of any of them"),
        "{:?}",
        warnings(&files)
    );
}

#[test]
fn what_each_file_gave_is_told() {
    let root = Authority::new("root");
    let mut files = TestFiles::new(&root);
    let info = |files: &TestFiles| told(&files.load(), Severity::Info);
    let server = "1 certificate, the first of \"CN=localhost\", valid until ";
    let none = "none: a certificate that is revoked is let in all the same, until it ends";
    let told = info(&files);
    assert!(told[0].starts_with(server), "{told:?}");
    assert_eq!(told[1..], ["1 client CA", none]);
    let list = |serials: &[u64], days| root.crl(serials, in_days(days)).pem().expect("PEM");
    files.add_crl("ca.crl", list(&[7, 8], 50) + &list(&[9], 100));
    assert_eq!(info(&files)[1..], ["1 client CA", "2 CRLs, 3 certificates revoked"]);
}

#[test]
fn revocation_lists_in_the_ca_file_are_a_warning_unless_they_are_read() {
    let root = Authority::new("root");
    let mut files = TestFiles::new(&root);
    let both = root.pem() + &root.crl(&[7], in_days(100)).pem().expect("PEM");
    files.write("ca.crt", &both);
    assert!(warnings(&files)[0].starts_with("1 CRL in it revoke nothing"), "{:?}", warnings(&files));
    files.add_crl("ca.crt", both);
    assert_eq!(warnings(&files), Vec::<String>::new());
    let mut params = client("alice");
    params.serial_number = Some(SerialNumber::from(7_u64));
    assert_eq!(verdict(&files.load(), &root.issue(params)), Err(CertificateRefusal::Revoked));
}

#[test]
fn a_key_that_others_can_read_is_a_warning_and_strictly_an_error() {
    let mut files = TestFiles::new(&Authority::new("root"));
    files.permit("server.key", 0o644);
    assert_eq!(
        only_error(&files),
        "tls-key-file server.key: others have access to it (mode 0644); take it away with: chmod o= server.key"
    );
    assert!(files.try_load().is_err_and(|errors| errors.iter().all(LoadError::is_permission)));

    files.settings.strict_permissions = false;
    assert!(warnings(&files)[0].starts_with("others have access to it (mode 0644)"));

    files.permit("server.key", 0o640);
    assert_eq!(warnings(&files), Vec::<String>::new());
}

#[test]
fn a_file_of_trust_that_others_can_change_is_an_error() {
    let root = Authority::new("root");
    let mut files = TestFiles::new(&root);
    files.add_crl("ca.crl", root.crl(&[], in_days(100)).pem().expect("PEM"));
    for (setting, name) in [
        ("tls-cert-file", "server.crt"),
        ("tls-key-file", "server.key"),
        ("tls-ca-cert-file", "ca.crt"),
        ("tls-crl-file", "ca.crl"),
    ] {
        files.permit(name, 0o666);
        let wanted = format!("{setting}: {name} can be changed by others (mode 0666): chmod go-w {name}");
        assert_eq!(only_error(&files), wanted);
        assert!(files.try_load().is_err_and(|errors| errors.iter().all(LoadError::is_permission)));
        files.permit(name, 0o600);
    }
}

#[test]
fn crls_load_as_pem_and_as_der() {
    let authority = Authority::new("root");
    let crl = authority.crl(&[], in_days(100));
    for content in [crl.pem().expect("PEM").into_bytes(), crl.der().to_vec()] {
        let mut files = TestFiles::new(&authority);
        files.add_crl("ca.crl", content);
        let material = files.load();
        let expiry = material.expiries().iter().find(|expiry| expiry.kind == ExpiryKind::Crl).expect("a CRL");
        assert!((expiry.at - unix_seconds(in_days(100))).abs() < 60);
        assert_eq!(expiry.file, "ca.crl");
        assert_eq!(warnings(&files), Vec::<String>::new());
    }
}

#[test]
fn an_expired_crl_is_taken_all_the_same_and_what_depends_on_it_refused_unless_expiry_is_ignored() {
    let authority = Authority::new("root");
    let mut files = TestFiles::new(&authority);
    files.add_crl("ca.crl", authority.crl(&[7], days_ago(1)).pem().expect("PEM"));
    let told_of = told(&files.load(), Severity::Error);
    assert!(told_of[0].starts_with("the CRL of CN=root has expired: what it revokes stays revoked"), "{told_of:?}");
    assert_eq!(verdict(&files.load(), &authority.client("alice")), Err(CertificateRefusal::RevocationListExpired));
    let mut revoked = client("alice");
    revoked.serial_number = Some(SerialNumber::from(7_u64));
    let revoked = chain(&authority.issue(revoked));
    assert!(files.load().lists_as_revoked(&revoked), "which ends its live sessions");
    files.settings.crl_expired = CrlExpired::Ignore;
    assert_eq!(warnings(&files), ["the CRL of CN=root has expired and is used all the same"]);
    assert_eq!(verdict(&files.load(), &authority.client("alice")), Ok(()));
    assert_eq!(files.load().judged(&revoked, SystemTime::now()), Err(CertificateRefusal::Revoked));
}

#[test]
fn of_several_crls_of_a_ca_the_freshest_says_whether_they_have_expired() {
    let authority = Authority::new("root");
    let old = authority.crl(&[7], days_ago(1)).pem().expect("PEM");
    let new = authority.crl(&[], in_days(100)).pem().expect("PEM");
    for content in [old.clone() + &new, new + &old] {
        let mut files = TestFiles::new(&authority);
        files.add_crl("ca.crl", content);
        assert_eq!(verdict(&files.load(), &authority.client("alice")), Ok(()));
    }
}

#[test]
fn crls_that_cannot_be_used_are_told_with_what_to_do() {
    let root = Authority::new("root");
    for (content, words) in [
        (&include_bytes!("../testdata/crl-version1.pem")[..], "is version 1 without extensions"),
        (include_bytes!("../testdata/crl-no-extensions.pem"), "is version 2 without extensions"),
        (include_bytes!("../testdata/crl-no-next-update.pem"), "openssl ca -gencrl -crldays N"),
        (include_bytes!("../testdata/crl-user-certificates.pem"), "covers only a part"),
        (include_bytes!("../testdata/crl-delta.pem"), "is a delta CRL"),
        (include_bytes!("../testdata/crl-indirect.pem"), "is an indirect CRL"),
    ] {
        let mut files = TestFiles::new(&root);
        files.add_crl("ca.crl", content);
        let errors = files.errors();
        assert!(errors.len() == 1 && errors[0].contains(words), "{words} in {errors:?}");
    }
}

/// webpki asks about no anchor, but an intermediate may stand in the CA file, and its client leave it out.
#[test]
fn a_ca_of_the_file_that_is_revoked_is_trusted_no_longer_nor_what_it_alone_has_issued() {
    let root = Authority::new("root");
    let issuing = root.intermediate_with("issuing", |ca| ca.serial_number = Some(SerialNumber::from(7_u64)));
    let below = issuing.intermediate("below");
    let mut files = TestFiles::new(&root);
    files.write("ca.crt", root.pem() + &issuing.pem() + &below.pem());
    let lists = [root.crl(&[7], in_days(100)), issuing.crl(&[], in_days(100)), below.crl(&[], in_days(100))];
    files.add_crl("ca.crl", lists.iter().map(|list| list.pem().expect("PEM")).collect::<String>());
    let material = files.load();
    let words = told(&material, Severity::Error);
    assert_eq!(words.len(), 2, "{words:?}");
    for (word, name) in words.iter().zip(["CN=issuing", "CN=below"]) {
        assert!(word.starts_with(&format!("the CA {name} is revoked: what it has issued is refused")), "{word}");
    }
    assert_eq!(verdict(&material, &root.client("alice")), Ok(()));
    for authority in [&issuing, &below] {
        assert_eq!(verdict(&material, &authority.client("alice")), Err(CertificateRefusal::UnknownIssuer));
    }
    files.settings.crl_check = CrlCheck::Leaf;
    assert!(warnings(&files)[0].contains("is revoked, and trusted all the same"), "{:?}", warnings(&files));
    assert_eq!(verdict(&files.load(), &issuing.client("alice")), Ok(()));
}

/// The key of a CA is replaced, and its name stays: each has its own list, and webpki would ask the same for both.
#[test]
fn cas_that_share_a_name_are_each_asked_about_with_their_own_lists() {
    let (old, new) = (Authority::new("root"), Authority::new("root"));
    let mut files = TestFiles::new(&old);
    files.write("ca.crt", old.pem() + &new.pem());
    let numbered = |authority: &Authority, serial: u64| {
        let mut params = client("alice");
        params.serial_number = Some(SerialNumber::from(serial));
        authority.issue(params)
    };
    for (days_old, days_new) in [(50, 100), (100, 50)] {
        let lists = [old.crl(&[7], in_days(days_old)), new.crl(&[8], in_days(days_new))];
        files.settings.crl_files.clear();
        files.add_crl("ca.crl", lists.iter().map(|list| list.pem().expect("PEM")).collect::<String>());
        let material = files.load();
        assert_eq!(warnings(&files), Vec::<String>::new());
        assert_eq!(verdict(&material, &numbered(&old, 1)), Ok(()));
        assert_eq!(verdict(&material, &numbered(&new, 1)), Ok(()));
        assert_eq!(verdict(&material, &numbered(&old, 7)), Err(CertificateRefusal::Revoked));
        assert_eq!(verdict(&material, &numbered(&new, 8)), Err(CertificateRefusal::Revoked));
        let forged = Authority::new("root").client("alice");
        assert_eq!(verdict(&material, &forged), Err(CertificateRefusal::BadSignature));
    }
    files.write("ca.crl", old.crl(&[], in_days(1)).pem().expect("PEM"));
    assert_eq!(verdict(&files.load(), &old.client("alice")), Ok(()));
    assert_eq!(verdict(&files.load(), &new.client("alice")), Err(CertificateRefusal::NoRevocationList));
}

#[test]
fn a_list_that_covers_a_part_says_nothing_of_a_certificate_that_may_be_of_another() {
    let root = Authority::new("root");
    let mut files = TestFiles::new(&root);
    files.add_crl("ca.crl", root.partial_crl("http://pki.example/1.crl", in_days(100)).pem().expect("PEM"));
    assert_eq!(verdict(&files.load(), &root.client("alice")), Err(CertificateRefusal::NoRevocationList));
    let in_part = |uri: &str| {
        let mut params = client("alice");
        params.crl_distribution_points = vec![CrlDistributionPoint { uris: vec![uri.to_owned()] }];
        root.issue(params)
    };
    assert_eq!(verdict(&files.load(), &in_part("http://pki.example/1.crl")), Ok(()));
    let other = in_part("http://pki.example/2.crl");
    assert_eq!(verdict(&files.load(), &other), Err(CertificateRefusal::NoRevocationList));
    files.add_crl("whole.crl", root.crl(&[], in_days(50)).pem().expect("PEM"));
    assert_eq!(verdict(&files.load(), &root.client("alice")), Ok(()));
}

#[test]
fn a_list_that_covers_a_part_stands_in_for_no_whole_one_that_is_expired_or_by_another_key() {
    let (former, root) = (Authority::new("root"), Authority::new("root"));
    let part = root.partial_crl("http://pki.example/1.crl", in_days(100));
    for (whole, refusal) in [
        (root.crl(&[], days_ago(1)), CertificateRefusal::RevocationListExpired),
        (former.crl(&[], in_days(50)), CertificateRefusal::BadRevocationList),
    ] {
        for lists in [[&whole, &part], [&part, &whole]] {
            let mut files = TestFiles::new(&root);
            files.add_crl("ca.crl", lists.map(|list| list.pem().expect("PEM")).concat());
            assert_eq!(verdict(&files.load(), &root.client("alice")), Err(refusal));
        }
    }
}

#[test]
fn what_a_list_revokes_is_revoked_however_it_writes_the_name_of_its_ca() {
    let root = Authority::new("Corp CA");
    let mut alice = client("alice");
    alice.serial_number = Some(SerialNumber::from(7_u64));
    let alice = root.issue(alice);
    let text = "Corp CA".to_owned();
    let printable = DnValue::PrintableString(text.clone().try_into().expect("printable"));
    let bmp = DnValue::BmpString("Corp CA".try_into().expect("BMP"));
    let universal = DnValue::UniversalString("Corp CA".try_into().expect("UTF-32"));
    let names = [DnValue::Utf8String("corp  ca ".to_owned()), printable, DnValue::Utf8String(text), bmp, universal];
    for name in names {
        let other = Authority::with("other", |ca| {
            ca.distinguished_name = DistinguishedName::new();
            ca.distinguished_name.push(DnType::CommonName, name);
        });
        let mut files = TestFiles::new(&root);
        let lists = [root.crl(&[], in_days(100)), other.crl(&[7], in_days(50))];
        files.add_crl("ca.crl", lists.iter().map(|list| list.pem().expect("PEM")).collect::<String>());
        assert_eq!(verdict(&files.load(), &alice), Err(CertificateRefusal::Revoked));
        assert!(files.load().lists_as_revoked(&chain(&alice)));
    }
}

#[test]
fn what_a_list_by_a_known_key_revokes_is_revoked_in_every_name_that_this_key_has_had() {
    let root = Authority::new("Zu\u{308}rich CA");
    let mut alice = client("alice");
    alice.serial_number = Some(SerialNumber::from(7_u64));
    let alice = root.issue(alice);
    let mut files = TestFiles::new(&root);
    files.add_crl("ca.crl", root.crl(&[], in_days(100)).pem().expect("PEM"));
    let before = files.load();
    assert_eq!(verdict(&before, &alice), Ok(()));
    files.add_crl("anew.crl", root.forged_crl("Z\u{fc}rich CA"));
    let load_after = |files: &TestFiles, before: &TlsMaterial, new_trust| {
        let keys = RuleKeys::default();
        load(&files.settings, &keys, &Files::default(), Some(before.in_force()), new_trust, SystemTime::now())
            .expect("good files")
    };
    let after = load_after(&files, &before, OF_FILE);
    assert_eq!(verdict(&after, &alice), Err(CertificateRefusal::Revoked));
    // What waits to come back does so in every name, too.
    files.write("anew.crl", root.renamed_crl("Z\u{fc}rich CA", 2, &[]));
    let held_up = load_after(&files, &after, KNOWN_OF_FILE);
    assert_eq!(verdict(&held_up, &alice), Err(CertificateRefusal::Revoked));
    let done = load_after(&files, &held_up, OF_FILE);
    assert_eq!(verdict(&done, &alice), Ok(()));
}

#[test]
fn a_crl_from_the_future_or_by_a_ca_that_may_not_sign_lists_is_a_warning() {
    let root = Authority::new("root");
    let mut files = TestFiles::new(&root);
    files.write("ca.crt", root.anew("root", |ca| ca.key_usages = vec![KeyUsagePurpose::KeyCertSign]));
    files.add_crl("ca.crl", root.crl(&[], in_days(100)).pem().expect("PEM"));
    assert!(warnings(&files)[0].contains("does not allow cRLSign"), "{:?}", warnings(&files));
    let long_ago = load(&files.settings, &files.rule_keys, &Files::default(), None, NewTrust::default(), days_ago(60))
        .expect("good files");
    assert!(told(&long_ago, Severity::Warning).iter().any(|word| word.contains("was made in the future")));
}

/// Each more would multiply the ways through them, none of which has to lead anywhere.
#[test]
fn more_certificates_than_a_path_has_are_refused_before_one_is_looked_for() {
    let root = Authority::new("root");
    let material = TestFiles::new(&root).load();
    let alice = root.client("alice");
    let shown = |others: Vec<Vec<u8>>| chain_of([alice.der.clone()].into_iter().chain(others));
    let names = |number: usize| Authority::new(&format!("other {number}")).der();
    let now = SystemTime::now();
    assert_eq!(material.judged(&shown((0..10).map(names).collect()), now), Ok(()));
    let refused = Err(CertificateRefusal::ChainTooWide);
    assert_eq!(material.judged(&shown((0..11).map(names).collect()), now), refused);
    let namesakes = |count: usize| (0..count).map(|_| Authority::new("same").der()).collect::<Vec<_>>();
    assert_eq!(material.judged(&shown(namesakes(2)), now), Ok(()));
    assert_eq!(material.judged(&shown(namesakes(3)), now), refused);
    let pairs = |count: usize| (0..count).flat_map(|number| [names(number), names(number)]).collect::<Vec<_>>();
    assert_eq!(material.judged(&shown(pairs(2)), now), Ok(()), "four ways");
    assert_eq!(material.judged(&shown(pairs(3)), now), refused, "eight");
}

#[test]
fn many_names_of_cas_are_not_sent_to_clients() {
    let name = "x".repeat(60);
    let authorities: Vec<Authority> = (0..250).map(|number| Authority::new(&format!("{name}{number:03}"))).collect();
    let files = TestFiles::new(&authorities[0]);
    let hints = |files: &TestFiles| {
        let verifier = files.load().verifier.expect("clients are asked");
        rustls::server::danger::ClientCertVerifier::root_hint_subjects(&*verifier).len()
    };
    assert_eq!(hints(&files), 1);
    files.write("ca.crt", authorities.iter().map(Authority::pem).collect::<String>());
    assert_eq!(hints(&files), 0);
}

/// A path that revocation forbids makes nobody anybody.
#[test]
fn the_anchor_is_the_one_of_the_path_that_is_good_in_every_respect() {
    let (one, two) = (Authority::new("one"), Authority::new("two"));
    let issuing = one.intermediate_with("issuing", |ca| ca.serial_number = Some(SerialNumber::from(7_u64)));
    let crossed = two.cross_sign(&issuing, "issuing");
    let alice = chain_of([issuing.client("alice").der, issuing.der(), crossed]);
    let spki = |authority: &Authority| Some(Certificate::parse(&authority.der()).expect("readable").spki_sha256);
    let mut files = TestFiles::new(&one);
    files.write("ca.crt", one.pem() + &two.pem());
    let now = SystemTime::now();
    assert_eq!(files.load().anchor(&alice, now), spki(&one));
    let lists = [one.crl(&[], days_ago(1)), two.crl(&[], in_days(100)), issuing.crl(&[], in_days(100))];
    files.add_crl("ca.crl", lists.iter().map(|list| list.pem().expect("PEM")).collect::<String>());
    assert_eq!(files.load().anchor(&alice, now), spki(&two), "the list of the other has expired");
}

#[test]
fn an_expired_list_ends_no_live_session_but_who_vouches_for_it_is_known() {
    let (one, two) = (Authority::new("one"), Authority::new("two"));
    let issuing = one.intermediate("issuing");
    let alice = chain_of([issuing.client("alice").der, issuing.der(), two.cross_sign(&issuing, "issuing")]);
    let mut files = TestFiles::new(&one);
    files.write("ca.crt", one.pem() + &two.pem());
    let lists = [one.crl(&[], in_days(100)), two.crl(&[], in_days(100)), issuing.crl(&[], days_ago(1))];
    files.add_crl("ca.crl", lists.iter().map(|list| list.pem().expect("PEM")).collect::<String>());
    let spki = |authority: &Authority| Certificate::parse(&authority.der()).expect("readable").spki_sha256;
    let now = SystemTime::now();
    let live = |files: &TestFiles| files.load().reverify_live(&alice, now);
    assert_eq!(files.load().judged(&alice, now), Err(CertificateRefusal::RevocationListExpired));
    assert_eq!(live(&files), Ok(Voucher::Authority(spki(&one))));
    files.write("ca.crt", two.pem());
    assert_eq!(live(&files), Ok(Voucher::Authority(spki(&two))));
    files.write("ca.crt", Authority::new("three").pem());
    assert_eq!(live(&files), Err(CertificateRefusal::UnknownIssuer));
}

#[test]
fn a_crl_by_another_key_than_that_of_its_ca_is_a_warning() {
    let (root, forger) = (Authority::new("root"), Authority::new("root"));
    let mut files = TestFiles::new(&root);
    files.add_crl("ca.crl", forger.crl(&[], in_days(100)).pem().expect("PEM"));
    assert!(warnings(&files)[0].starts_with("the CRL of CN=root is not signed by the key of that CA"));
    files.write("ca.crt", root.pem() + &forger.pem());
    let words = "there is no CRL of the CA CN=root: every certificate it has issued will be refused";
    assert_eq!(warnings(&files), [words], "it is that of the other of two CAs of one name");
    files.write("ca.crl", root.intermediate("issuing").crl(&[], in_days(100)).pem().expect("PEM"));
    let advice = told(&files.load(), Severity::Advice);
    assert!(advice[0].starts_with("the CRL of CN=issuing is of no CA in tls-ca-cert-file"), "{advice:?}");
}

#[test]
fn a_crl_that_expires_later_stops_being_enough_unless_expiry_is_ignored() {
    let authority = Authority::new("root");
    let mut files = TestFiles::new(&authority);
    files.add_crl("ca.crl", authority.crl(&[], in_days(30)).pem().expect("PEM"));
    let alice = chain(&authority.client("alice"));
    assert_eq!(files.load().judged(&alice, in_days(29)), Ok(()));
    assert_eq!(files.load().judged(&alice, in_days(31)), Err(CertificateRefusal::RevocationListExpired));
    files.settings.crl_expired = CrlExpired::Ignore;
    assert_eq!(files.load().judged(&alice, in_days(31)), Ok(()));
}

#[test]
fn a_ca_without_crl_is_named_and_its_certificates_are_refused() {
    let (with, without) = (Authority::new("with"), Authority::new("without"));
    let mut files = TestFiles::new(&with);
    files.write("ca.crt", with.pem() + &without.pem());
    files.add_crl("ca.crl", with.crl(&[], in_days(100)).pem().expect("PEM"));
    assert_eq!(
        warnings(&files),
        ["there is no CRL of the CA CN=without: every certificate it has issued will be refused"]
    );
    assert_eq!(verdict(&files.load(), &without.client("alice")), Err(CertificateRefusal::NoRevocationList));
    assert_eq!(verdict(&files.load(), &with.client("alice")), Ok(()));
}

#[test]
fn several_crls_count_together() {
    let (one, two) = (Authority::new("one"), Authority::new("two"));
    let mut files = TestFiles::new(&one);
    files.write("ca.crt", one.pem() + &two.pem());
    files.add_crl("one.crl", one.crl(&[7], in_days(100)).pem().expect("PEM"));
    files.add_crl("two.crl", two.crl(&[8], in_days(50)).der());
    let material = files.load();
    let numbered = |authority: &Authority, serial: u64| {
        let mut params = client("alice");
        params.serial_number = Some(SerialNumber::from(serial));
        authority.issue(params)
    };
    assert_eq!(verdict(&material, &numbered(&one, 7)), Err(CertificateRefusal::Revoked));
    assert_eq!(verdict(&material, &numbered(&one, 8)), Ok(()));
    assert_eq!(verdict(&material, &numbered(&two, 8)), Err(CertificateRefusal::Revoked));
}

#[test]
fn with_crl_check_chain_every_ca_of_the_chain_needs_a_crl_and_with_leaf_only_the_issuer() {
    let root = Authority::new("root");
    let issuing = root.intermediate("issuing");
    let alice = chain_of([issuing.client("alice").der, issuing.der()]);
    let mut files = TestFiles::new(&root);
    files.add_crl("issuing.crl", issuing.crl(&[], in_days(100)).pem().expect("PEM"));
    let now = SystemTime::now();
    assert_eq!(files.load().judged(&alice, now), Err(CertificateRefusal::NoRevocationList));
    files.settings.crl_check = CrlCheck::Leaf;
    assert_eq!(files.load().judged(&alice, now), Ok(()));
    files.settings.crl_check = CrlCheck::Chain;
    files.add_crl("root.crl", root.crl(&[], in_days(100)).pem().expect("PEM"));
    assert_eq!(files.load().judged(&alice, now), Ok(()));
}

#[test]
fn a_crl_with_a_forged_signature_revokes_and_permits_nothing() {
    let (root, forger) = (Authority::new("root"), Authority::new("root"));
    let mut files = TestFiles::new(&root);
    files.add_crl("ca.crl", forger.crl(&[], in_days(100)).pem().expect("PEM"));
    assert_eq!(verdict(&files.load(), &root.client("alice")), Err(CertificateRefusal::BadRevocationList));
}

/// Each certificate has one outcome, and the reason is the right one.
#[test]
fn client_certificates_are_trusted_or_refused_for_the_right_reason() {
    use CertificateRefusal as R;
    use ExtendedKeyUsagePurpose as P;
    use KeyUsagePurpose as U;
    let (root, other) = (Authority::new("root"), Authority::new("other"));
    let files = TestFiles::new(&root);
    files.write("ca.crt", root.pem() + &String::from_utf8_lossy(include_bytes!("../testdata/old-root.pem")));
    let material = files.load();

    let issue = |adjust: &dyn Fn(&mut rcgen::CertificateParams)| {
        let mut params = client("alice");
        adjust(&mut params);
        root.issue(params).der
    };
    let keyed = |algorithm| {
        let key = KeyPair::generate_for(algorithm).expect("a key");
        root.issue_for(client("alice"), &key).der
    };
    let rsa = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048).expect("a key");
    let both = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
    for (what, der, expected) in [
        ("EKU clientAuth", issue(&|_| {}), Ok(())),
        ("no EKU", issue(&|params| params.extended_key_usages.clear()), Ok(())),
        ("both EKUs", issue(&|params| params.extended_key_usages = both.clone()), Ok(())),
        ("P-384", keyed(&rcgen::PKCS_ECDSA_P384_SHA384), Ok(())),
        ("Ed25519", keyed(&rcgen::PKCS_ED25519), Ok(())),
        ("RSA", root.issue_for(client("alice"), &rsa).der, Ok(())),
        ("no CN", root.issue(params([])).der, Ok(())),
        ("two CNs", root.issue(params(["alice", "bob"])).der, Ok(())),
        ("NUL in CN", root.client("alice\0.evil").der, Ok(())),
        ("anyExtendedKeyUsage", issue(&|params| params.extended_key_usages = vec![P::Any]), Ok(())),
        ("digitalSignature", issue(&|params| params.key_usages = vec![U::DigitalSignature]), Ok(())),
        ("keyAgreement alone", issue(&|params| params.key_usages = vec![U::KeyAgreement]), Err(R::WrongKeyUsage)),
        ("EKU serverAuth", root.server().der, Err(R::WrongPurpose)),
        ("expired", issue(&|params| params.not_after = an_hour_ago().into()), Err(R::Expired)),
        ("not yet valid", issue(&|params| params.not_before = in_days(1).into()), Err(R::NotYetValid)),
        ("another CA", other.client("alice").der, Err(R::UnknownIssuer)),
        ("another CA of the same name", Authority::new("root").client("alice").der, Err(R::BadSignature)),
        ("self-signed", other.der(), Err(R::CaAsLeaf)),
        ("the CA itself", root.der(), Err(R::CaAsLeaf)),
        ("an intermediate CA", root.intermediate("issuing").der(), Err(R::CaAsLeaf)),
        ("version 1", from_pem(include_bytes!("../testdata/version1.pem")), Err(R::OldVersion)),
        ("SHA-1", from_pem(include_bytes!("../testdata/sha1.pem")), Err(R::UnsupportedAlgorithm)),
        ("no certificate at all", b"not DER".to_vec(), Err(R::Malformed)),
    ] {
        assert_eq!(material.judged(&chain_of([der]), SystemTime::now()), expected, "{what}");
    }
}

/// Each is of a CA of the file, and pinned as well: with no signature of such a key could a handshake be completed.
#[test]
fn keys_that_no_handshake_can_use_are_refused_whoever_vouches_for_them() {
    for (what, pem) in [
        ("RSA-PSS", &include_bytes!("../testdata/key-rsa-pss.pem")[..]),
        ("Ed448", include_bytes!("../testdata/key-ed448.pem")),
        ("brainpool", include_bytes!("../testdata/key-brainpool.pem")),
        ("RSA 1024", include_bytes!("../testdata/key-rsa-1024.pem")),
    ] {
        let mut files = TestFiles::new(&Authority::new("root"));
        files.write("ca.crt", include_bytes!("../testdata/key-ca.pem"));
        let leaf = from_pem(pem);
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let refused = Err(CertificateRefusal::UnsupportedAlgorithm);
        let load = |files: &TestFiles| {
            load(&files.settings, &files.rule_keys, &Files::default(), None, NewTrust::default(), at)
                .expect("good files")
        };
        assert_eq!(load(&files).judged(&chain_of([leaf.clone()]), at), refused, "{what}");
        files.rule_keys.pinned = vec![Certificate::parse(&leaf).expect("readable").spki_sha256];
        assert_eq!(load(&files).judged(&chain_of([leaf.clone()]), at), refused, "{what}, pinned");
    }
}

/// A key in a form that DER or SEC 1 allow as well.
struct Unusual(&'static SignatureAlgorithm, Vec<u8>);

impl PublicKeyData for Unusual {
    fn der_bytes(&self) -> &[u8] {
        &self.1
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.0
    }
}

impl Unusual {
    fn compressed(key: &KeyPair) -> Unusual {
        let point = key.public_key_raw();
        let (x, y) = point[1..].split_at(point.len() / 2);
        Unusual(key.algorithm(), [&[2 | y[y.len() - 1] & 1], x].concat())
    }

    fn hybrid(key: &KeyPair) -> Unusual {
        let point = key.public_key_raw();
        Unusual(key.algorithm(), [&[6 | point[point.len() - 1] & 1], &point[1..]].concat())
    }
}

#[test]
fn a_key_that_is_not_in_its_usual_form_would_pass_for_another_one_and_is_refused() {
    let root = Authority::new("root");
    let issuing = root.intermediate("issuing");
    let mut files = TestFiles::new(&root);
    let now = SystemTime::now();
    let refused = Err(CertificateRefusal::UnsupportedAlgorithm);
    let rsa = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048).expect("a key");
    // 30 82 LENGTH 02 82 LENGTH, and a modulus that needs one zero byte before it.
    let longer = [&[0x30, 0x82, 1, 11, 0x02, 0x82, 1, 2, 0], &rsa.public_key_raw()[8..]].concat();
    let key = KeyPair::generate().expect("a key");
    for unusual in [Unusual::compressed(&key), Unusual::hybrid(&key), Unusual(&rcgen::PKCS_RSA_SHA256, longer)] {
        let leaf = root.issue_to(client("alice"), &unusual);
        assert_eq!(files.load().judged(&chain_of([leaf.clone()]), now), refused);
        let certificate = Certificate::parse(&leaf).expect("readable");
        files.rule_keys.pinned = vec![certificate.spki_sha256];
        assert_eq!(files.load().judged(&chain_of([leaf]), now), refused, "pinned");
        files.rule_keys.pinned.clear();
        assert!(explain::client_certificate(&certificate, now)[0].contains("kind or form that is not accepted"));
    }
    let alice = issuing.client("alice").der;
    assert_eq!(files.load().judged(&chain_of([alice.clone(), issuing.der()]), now), Ok(()));
    // The library for signatures knows nothing of hybrid ones.
    for (what, unusual, refused) in [
        ("compressed", Unusual::compressed(issuing.key()), refused),
        ("hybrid", Unusual::hybrid(issuing.key()), Err(CertificateRefusal::BadSignature)),
    ] {
        let certificate = root.certify("issuing", &unusual);
        let shown = certificate.der().to_vec();
        assert_eq!(files.load().judged(&chain_of([alice.clone(), shown.clone()]), now), refused, "{what}");
        let beside = chain_of([alice.clone(), shown.clone(), issuing.der()]);
        assert_eq!(files.load().judged(&beside, now), Ok(()), "{what}, beside the usual one");
        files.write("ca.crt", certificate.pem());
        let error = only_error(&files);
        assert!(error.contains("cannot be a client CA: its key is of a kind or form that is not accepted"), "{error}");
        files.write("ca.crt", root.pem());
    }
}

#[test]
fn what_would_be_refused_from_a_client_is_explained_beforehand() {
    let now = SystemTime::now();
    let explained =
        |der: &[u8]| explain::client_certificate(&Certificate::parse(der).expect("readable"), now).join("\n");
    let root = Authority::new("root");
    assert_eq!(explained(&root.client("alice").der), "");
    assert!(explained(&from_pem(include_bytes!("../testdata/version1.pem"))).contains("X.509 version 1"));
    assert!(explained(&from_pem(include_bytes!("../testdata/sha1.pem"))).contains("signed with SHA-1"));
    assert!(explained(&root.der()).contains("CA:TRUE"));
    assert!(explained(&root.server().der).contains("does not allow clientAuth"));
    let mut expired = client("alice");
    expired.not_after = an_hour_ago().into();
    assert!(explained(&root.issue(expired).der).contains("has expired"));
}

#[test]
fn a_chain_is_judged_at_the_time_given() {
    let root = Authority::new("root");
    let material = TestFiles::new(&root).load();
    let alice = chain(&root.client("alice"));
    assert_eq!(material.judged(&alice, in_days(364)), Ok(()));
    assert_eq!(material.judged(&alice, in_days(366)), Err(CertificateRefusal::Expired));
    assert_eq!(material.judged(&alice, days_ago(2)), Err(CertificateRefusal::NotYetValid));
}

#[test]
fn when_clients_are_not_asked_any_more_their_chains_are_worth_nothing() {
    let root = Authority::new("root");
    let mut files = TestFiles::new(&root);
    files.settings.auth_clients = AuthClients::No;
    assert_eq!(verdict(&files.load(), &root.client("alice")), Err(CertificateRefusal::NotAsked));
}

#[test]
fn the_anchor_is_the_ca_that_issued_the_chain() {
    let (one, two) = (Authority::new("one"), Authority::new("two"));
    let issuing = two.intermediate("issuing");
    let files = TestFiles::new(&one);
    let spki = |authority: &Authority| Certificate::parse(&authority.der()).expect("readable").spki_sha256;
    let now = SystemTime::now();

    let with_one = files.load();
    assert_eq!(with_one.anchor(&chain(&one.client("alice")), now), Some(spki(&one)));

    files.write("ca.crt", one.pem() + &two.pem());
    let with_both = files.load();
    let through_issuing = chain_of([issuing.client("alice").der, issuing.der()]);
    assert_eq!(with_both.anchor(&chain(&one.client("alice")), now), Some(spki(&one)));
    assert_eq!(with_both.anchor(&through_issuing, now), Some(spki(&two)));
    assert_eq!(with_both.anchor(&chain(&Authority::new("three").client("alice")), now), None);
}

const OF_FILE: NewTrust = NewTrust { may_come: true, keeps_authorities: false };
const KNOWN_OF_FILE: NewTrust = NewTrust { may_come: false, keeps_authorities: false };
const KNOWN: NewTrust = NewTrust { may_come: false, keeps_authorities: true };

/// Of a chain that is trusted, with what its client shows beside the leaf.
fn vouching(material: &TlsMaterial, leaf: &Issued, shown: impl IntoIterator<Item = Vec<u8>>) -> Option<Fingerprint> {
    match material.reverify(&chain_of([leaf.der.clone()].into_iter().chain(shown)), SystemTime::now()) {
        Ok(Voucher::Authority(authority)) => Some(authority),
        _ => None,
    }
}

fn key_of(authority: &Authority) -> Option<Fingerprint> {
    Some(Certificate::parse(&authority.der()).expect("readable").spki_sha256)
}

#[test]
fn the_client_ca_that_has_issued_a_leaf_vouches_for_it_whatever_certificate_of_it_is_shown() {
    let root = Authority::new("root");
    let subs = [root.intermediate("sub"), root.intermediate("sub")];
    let files = TestFiles::new(&root);
    files.write("ca.crt", root.pem() + &subs[0].pem() + &subs[1].pem());
    let material = files.load();
    for sub in &subs {
        let leaf = sub.client("admin");
        for shown in [vec![], vec![sub.der()], vec![root.cross_sign(sub, "sub")], vec![sub.der(), root.der()]] {
            assert_eq!(vouching(&material, &leaf, shown), key_of(sub));
        }
    }
    assert_eq!(vouching(&material, &root.client("admin"), []), key_of(&root));
}

#[test]
fn the_old_key_of_a_root_vouches_for_what_it_has_issued_although_the_new_one_has_signed_it() {
    let (old, new) = (Authority::new("root"), Authority::new("root"));
    let files = TestFiles::new(&old);
    for pems in [old.pem() + &new.pem(), new.pem() + &old.pem()] {
        files.write("ca.crt", pems);
        let shown = [new.cross_sign(&old, "root")];
        assert_eq!(vouching(&files.load(), &old.client("admin"), shown), key_of(&old));
    }
}

#[test]
fn a_client_ca_whose_certificate_in_the_file_has_lapsed_vouches_by_no_other_that_is_shown() {
    let root = Authority::new("root");
    let confined = Authority::new("confined");
    let lapsed = root.intermediate_with("sub", |params| params.not_after = an_hour_ago().into());
    let revoked = root.intermediate_with("sub", |params| params.serial_number = Some(SerialNumber::from(7_u64)));
    let narrow = root.intermediate_with("sub", |params| {
        let permitted_subtrees = vec![GeneralSubtree::DnsName("apps.example".to_owned())];
        params.name_constraints = Some(NameConstraints { permitted_subtrees, excluded_subtrees: vec![] });
    });
    for sub in [&lapsed, &revoked, &narrow] {
        let mut files = TestFiles::new(&root);
        files.write("ca.crt", root.pem() + &confined.pem() + &sub.pem());
        let lists = [root.crl(&[7], in_days(50)), confined.crl(&[], in_days(50)), sub.crl(&[], in_days(50))];
        files.add_crl("ca.crl", lists.map(|list| list.pem().expect("PEM")).concat());
        let material = files.load();
        let leaf = sub.client("admin");
        for shown in [vec![], vec![root.cross_sign(sub, "sub")], vec![confined.cross_sign(sub, "sub")]] {
            assert_eq!(vouching(&material, &leaf, shown), None);
        }
    }
}

#[test]
fn a_ca_that_a_rule_names_vouches_by_itself_or_not_at_all() {
    let root = Authority::new("root");
    let [named, other] = ["named", "other"].map(|name| root.intermediate(name));
    let mut files = TestFiles::new(&root);
    files.rule_keys.authorities = vec![key_of(&named).expect("readable")];
    let material = files.load();
    assert_eq!(vouching(&material, &named.client("admin"), [named.der()]), None);
    assert_eq!(vouching(&material, &other.client("admin"), [other.der()]), key_of(&root));
    files.write("ca.crt", root.pem() + &named.pem());
    assert_eq!(vouching(&files.load(), &named.client("admin"), [named.der()]), key_of(&named));
}

#[test]
fn a_common_name_beside_a_dns_name_has_to_be_within_what_its_ca_is_kept_to_as_well() {
    let root = Authority::with("root", |params| {
        let permitted_subtrees = vec![GeneralSubtree::DnsName("apps.example".to_owned())];
        params.name_constraints = Some(NameConstraints { permitted_subtrees, excluded_subtrees: vec![] });
    });
    let material = TestFiles::new(&root).load();
    let is_permitted = |cn: &str| {
        let mut params = client(cn);
        params.subject_alt_names = vec![SanType::DnsName("a.apps.example".try_into().expect("a name"))];
        let shown = chain(&root.issue(params));
        let voucher = material.reverify(&shown, SystemTime::now()).expect("trusted");
        material.permits_common_name(&shown, voucher)
    };
    assert_eq!(["admin", "b.apps.example"].map(is_permitted), [false, true]);
}

#[test]
fn limits_of_a_ca_that_do_not_hold_for_one_beneath_it_are_warned_of() {
    let bound = Authority::with("bound", |ca| ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(3)));
    let free = Authority::new("free");
    let files = TestFiles::new(&free);
    for (upper, count) in [(&bound, 1), (&free, 0)] {
        files.write("ca.crt", upper.pem() + &upper.intermediate("sub").pem());
        let warnings = told(&files.load(), Severity::Warning);
        assert_eq!(warnings.iter().filter(|text| text.contains("whose constraints do not hold")).count(), count);
    }
}

#[test]
fn a_ca_that_is_kept_to_the_names_of_a_domain_names_nobody_else_by_a_common_name() {
    let keep = |subtrees: fn(Vec<GeneralSubtree>) -> NameConstraints| {
        move |params: &mut CertificateParams| {
            let domain = GeneralSubtree::DnsName("apps.example".to_owned());
            params.name_constraints = Some(subtrees(vec![domain]));
        }
    };
    let permitted = keep(|permitted_subtrees| NameConstraints { permitted_subtrees, excluded_subtrees: vec![] });
    let excluded = keep(|excluded_subtrees| NameConstraints { permitted_subtrees: vec![], excluded_subtrees });
    let constraint = Err(CertificateRefusal::Constraint);
    let root = Authority::new("root");
    let [below, above] = [root.intermediate_with("sub", permitted), Authority::with("kept", permitted)];
    let without = root.intermediate_with("without", excluded);
    let files = TestFiles::new(&root);
    files.write("ca.crt", root.pem() + &above.pem());
    let material = files.load();
    let judged = |authority: &Authority, cn: &str| {
        let shown = chain_of([authority.client(cn).der, authority.der()]);
        material.judged(&shown, SystemTime::now())
    };
    for kept in [&below, &above] {
        for good in ["apps.example", "a.apps.example", "A.Apps.Example"] {
            assert_eq!(judged(kept, good), Ok(()), "{good}");
        }
        for bad in ["admin.example", "xapps.example", "admin", "apps.example.org"] {
            assert_eq!(judged(kept, bad), constraint, "{bad}");
        }
    }
    let outcomes = ["admin", "a.apps.example"].map(|cn| judged(&without, cn));
    assert_eq!(outcomes, [Ok(()), constraint]);
    let with_san = |name: &str| {
        let mut params = client("admin");
        params.subject_alt_names = vec![SanType::DnsName(name.try_into().expect("a name"))];
        material.judged(&chain_of([below.issue(params).der, below.der()]), SystemTime::now())
    };
    assert_eq!([with_san("a.apps.example"), with_san("a.example")], [Ok(()), constraint], "its DNS name counts");
}

#[test]
fn chains_are_told_apart_by_their_fingerprint() {
    let root = Authority::new("root");
    let (alice, bob) = (root.client("alice"), root.client("bob"));
    assert_eq!(chain(&alice).fingerprint(), chain(&alice).fingerprint());
    assert_ne!(chain(&alice).fingerprint(), chain(&bob).fingerprint());
    assert_ne!(chain(&alice).fingerprint(), chain_of([alice.der.clone(), root.der()]).fingerprint());
}

#[test]
fn a_certificate_listed_by_any_crl_of_its_issuer_is_revoked() {
    let root = Authority::new("root");
    let mut files = TestFiles::new(&root);
    files.add_crl("old.crl", root.crl(&[], in_days(50)).pem().expect("PEM"));
    files.add_crl("new.crl", root.crl(&[7], in_days(100)).pem().expect("PEM"));
    let mut params = client("alice");
    params.serial_number = Some(SerialNumber::from(7_u64));
    assert_eq!(verdict(&files.load(), &root.issue(params)), Err(CertificateRefusal::Revoked));
}

#[test]
fn where_an_older_edition_of_a_list_or_none_is_in_the_files_the_one_in_force_stays() {
    let root = Authority::new("root");
    let namesake = Authority::new("root");
    let files = {
        let mut files = TestFiles::new(&root);
        files.write("ca.crt", root.pem() + &namesake.pem());
        files.add_crl("ca.crl", "");
        files
    };
    let load_after = |before: Option<&InForce>, lists: &[(&Authority, u64, &[u64])]| {
        let pem =
            |(of, number, serials): &(&Authority, u64, &[u64])| of.numbered_crl(*number, serials).pem().expect("PEM");
        files.write("ca.crl", lists.iter().map(pem).collect::<String>());
        let (settings, keys) = (&files.settings, RuleKeys::default());
        let new_trust = NewTrust::default();
        load(settings, &keys, &Files::default(), before, new_trust, SystemTime::now()).expect("good lists")
    };
    let first = load_after(None, &[(&root, 300, &[1]), (&namesake, 7, &[2])]);
    let numbered = |authority: &Authority, serial: u64| {
        let mut params = client("alice");
        params.serial_number = Some(SerialNumber::from(serial));
        authority.issue(params)
    };
    let revoked = [(&root, 1), (&namesake, 2)].map(|(authority, serial)| numbered(authority, serial));
    let after = |lists: &[(&Authority, u64, &[u64])]| {
        let material = load_after(Some(first.in_force()), lists);
        let again = load_after(Some(material.in_force()), lists);
        let outcomes =
            [&material, &again].map(|material| revoked.each_ref().map(|leaf| verdict(material, leaf).is_ok()));
        assert_eq!(outcomes[0], outcomes[1], "it is remembered");
        let told = told(&material, Severity::Error).iter().filter(|text| text.contains("stays in force")).count();
        (outcomes[0], told)
    };
    assert_eq!(after(&[(&root, 255, &[]), (&namesake, 7, &[2])]), ([false, false], 1), "numbers have no fixed length");
    assert_eq!(after(&[(&root, 299, &[]), (&namesake, 6, &[])]), ([false, false], 2));
    assert_eq!(after(&[(&root, 300, &[1])]), ([false, false], 1), "the other one has vanished");
    assert_eq!(after(&[(&root, 301, &[]), (&namesake, 8, &[])]), ([true, true], 0));
    assert_eq!(after(&[(&root, 299, &[]), (&namesake, 7, &[2]), (&root, 300, &[1])]), ([false, false], 0));
}

#[test]
fn an_edition_is_remembered_while_its_ca_is_not_in_the_file_and_a_revoked_ca_while_it_is() {
    let root = Authority::new("root");
    let revoked = root.intermediate_with("sub", |params| params.serial_number = Some(SerialNumber::from(7_u64)));
    let mut files = TestFiles::new(&root);
    files.add_crl("ca.crl", "");
    let load_after = |before: Option<&InForce>, authorities: &[&Authority], lists: &[(&Authority, u64, &[u64])]| {
        files.write("ca.crt", authorities.iter().map(|authority| authority.pem()).collect::<String>());
        let pem =
            |(of, number, serials): &(&Authority, u64, &[u64])| of.numbered_crl(*number, serials).pem().expect("PEM");
        files.write("ca.crl", lists.iter().map(pem).collect::<String>());
        let (settings, keys) = (&files.settings, RuleKeys::default());
        let new_trust = NewTrust::default();
        load(settings, &keys, &Files::default(), before, new_trust, SystemTime::now()).expect("good files")
    };
    let other = Authority::new("other");
    let of_other = (&other, 1, &[][..]);
    let first = load_after(None, &[&root, &revoked], &[(&root, 9, &[7, 8]), (&revoked, 1, &[])]);
    let without = load_after(Some(first.in_force()), &[&other], &[of_other]);
    let back = load_after(Some(without.in_force()), &[&root, &other], &[(&root, 3, &[]), of_other]);
    let mut params = client("alice");
    params.serial_number = Some(SerialNumber::from(8_u64));
    assert_eq!(verdict(&back, &root.issue(params)), Err(CertificateRefusal::Revoked));
    let later = load_after(Some(first.in_force()), &[&root, &revoked], &[(&root, 10, &[]), (&revoked, 2, &[])]);
    assert_eq!(verdict(&later, &revoked.client("alice")), Err(CertificateRefusal::UnknownIssuer));
}

#[test]
fn where_no_list_counts_nobody_is_let_in() {
    let [root, other] = ["root", "other"].map(Authority::new);
    let mut files = TestFiles::new(&root);
    files.write("ca.crt", root.pem() + &other.pem());
    files.add_crl("ca.crl", other.forged_crl("root"));
    let material = files.load();
    for authority in [&root, &other] {
        assert_eq!(verdict(&material, &authority.client("alice")), Err(CertificateRefusal::NoRevocationList));
    }
}

#[test]
fn an_edition_is_that_of_a_ca_whose_certificate_has_been_renewed() {
    let root = Authority::new("root");
    let mut files = TestFiles::new(&root);
    files.add_crl("ca.crl", root.numbered_crl(2, &[7]).pem().expect("PEM"));
    let first = files.load();
    files.write("ca.crt", root.renewed("root", in_days(1000)));
    files.write("ca.crl", root.numbered_crl(1, &[]).pem().expect("PEM"));
    let (settings, keys, before) = (&files.settings, RuleKeys::default(), Some(first.in_force()));
    let later = load(settings, &keys, &Files::default(), before, NewTrust::default(), SystemTime::now());
    let mut params = client("alice");
    params.serial_number = Some(SerialNumber::from(7_u64));
    assert_eq!(verdict(&later.expect("good files"), &root.issue(params)), Err(CertificateRefusal::Revoked));
}

#[test]
fn a_list_in_the_name_of_one_client_ca_by_the_key_of_another_counts_for_nothing() {
    let [root, other] = ["root", "other"].map(Authority::new);
    let mut files = TestFiles::new(&root);
    files.write("ca.crt", root.pem() + &other.pem());
    files.add_crl("ca.crl", root.crl(&[], in_days(50)).pem().expect("PEM") + &other.forged_crl("root"));
    let material = files.load();
    assert!(told(&material, Severity::Error)[0].contains("is signed by the key of the CA CN=other"));
    let mut params = client("alice");
    params.serial_number = Some(SerialNumber::from(7_u64));
    assert_eq!(verdict(&material, &root.issue(params)), Ok(()));
}

#[test]
fn what_a_crl_lists_is_known_without_verifying() {
    let (root, other) = (Authority::new("root"), Authority::new("other"));
    let issuing = {
        let mut files = TestFiles::new(&root);
        files.add_crl("ca.crl", root.crl(&[7, 0xff00_0000_0000_0001], in_days(100)).pem().expect("PEM"));
        files
    };
    let material = issuing.load();
    let numbered = |authority: &Authority, serial: u64| {
        let mut params = client("alice");
        params.serial_number = Some(SerialNumber::from(serial));
        chain(&authority.issue(params))
    };
    assert!(material.lists_as_revoked(&numbered(&root, 7)));
    assert!(
        material.lists_as_revoked(&numbered(&root, 0xff00_0000_0000_0001)),
        "a serial number with the high bit set"
    );
    assert!(!material.lists_as_revoked(&numbered(&root, 8)));
    assert!(!material.lists_as_revoked(&numbered(&other, 7)), "the same number of another CA");
    assert_eq!(
        material.judged(&numbered(&root, 0xff00_0000_0000_0001), SystemTime::now()),
        Err(CertificateRefusal::Revoked)
    );
}

#[test]
fn a_pinned_key_is_trusted_without_a_ca_while_its_certificate_is_valid() {
    let mut files = TestFiles::new(&Authority::new("root"));
    let (pinned, other) = (Authority::new("alice"), Authority::new("alice"));
    let own = |authority: &Authority| chain_of([authority.der()]);
    files.rule_keys.pinned = vec![Certificate::parse(&pinned.der()).expect("readable").spki_sha256];
    for with_ca in [true, false] {
        if !with_ca {
            files.settings.ca_cert_file = None;
        }
        let material = files.load();
        assert_eq!(material.judged(&own(&pinned), SystemTime::now()), Ok(()));
        assert_eq!(material.judged(&own(&pinned), in_days(366)), Err(CertificateRefusal::Expired));
        assert_eq!(material.judged(&own(&pinned), days_ago(2)), Err(CertificateRefusal::NotYetValid));
        assert!(material.judged(&own(&other), SystemTime::now()).is_err());
        assert_eq!(material.anchor(&own(&pinned), SystemTime::now()), None);
        assert_eq!(
            material.judged(&chain_of([b"not DER".to_vec()]), SystemTime::now()),
            Err(CertificateRefusal::Malformed)
        );
    }
}

#[test]
fn a_ca_next_to_pins_is_trusted_and_named_as_anchor() {
    let root = Authority::new("root");
    let mut files = TestFiles::new(&root);
    files.rule_keys.pinned = vec![Fingerprint::of(b"some key")];
    let material = files.load();
    let alice = chain(&root.client("alice"));
    assert_eq!(material.judged(&alice, SystemTime::now()), Ok(()));
    let spki = Certificate::parse(&root.der()).expect("readable").spki_sha256;
    assert_eq!(material.anchor(&alice, SystemTime::now()), Some(spki));
}

#[test]
fn of_the_known_authorities_those_that_are_in_the_file_stay_and_no_other_comes() {
    let [one, two, three] = ["one", "two", "three"].map(Authority::new);
    let files = TestFiles::new(&one);
    files.write("ca.crt", one.pem() + &two.pem());
    let before = files.load();
    let after = |authorities: &[&Authority], new_trust: NewTrust| {
        files.write("ca.crt", authorities.iter().map(|authority| authority.pem()).collect::<String>());
        let material = load(
            &files.settings,
            &files.rule_keys,
            &Files::default(),
            Some(before.in_force()),
            new_trust,
            SystemTime::now(),
        )
        .expect("good files");
        let trusted = [&one, &two, &three].map(|authority| verdict(&material, &authority.client("alice")).is_ok());
        (trusted, material.waiting().len())
    };
    assert_eq!(after(&[&two, &three], KNOWN_OF_FILE), ([false, true, false], 1));
    assert_eq!(after(&[&three], KNOWN_OF_FILE), ([false, false, false], 1));
    assert_eq!(after(&[&one], KNOWN_OF_FILE), ([true, false, false], 0));
    assert_eq!(after(&[&three], KNOWN), ([true, true, false], 0));
    assert_eq!(after(&[&two, &three], OF_FILE), ([false, true, true], 0));
}

#[test]
fn a_pinned_key_that_is_new_waits_like_a_new_ca() {
    let root = Authority::new("root");
    let own = Authority::new("own");
    let mut files = TestFiles::new(&root);
    let before = files.load();
    files.rule_keys.pinned = vec![key_of(&own).expect("readable")];
    let after = |new_trust| {
        let (settings, pins) = (&files.settings, &files.rule_keys);
        let material = load(settings, pins, &Files::default(), Some(before.in_force()), new_trust, SystemTime::now());
        let material = material.expect("good files");
        (material.judged(&chain_of([own.der()]), SystemTime::now()).is_ok(), material.waiting().len())
    };
    assert_eq!(after(KNOWN_OF_FILE), (false, 1));
    assert_eq!(after(OF_FILE), (true, 0));
}

#[test]
fn of_two_certificates_of_a_known_authority_the_one_that_is_taken_out_is_gone() {
    let root = Authority::new("root");
    let issuing = root.intermediate("issuing");
    let files = TestFiles::new(&root);
    let narrow = root.anew("root", |params| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)));
    files.write("ca.crt", root.pem() + &narrow);
    let before = files.load();
    let below = chain_of([issuing.client("alice").der, issuing.der()]);
    assert_eq!(before.judged(&below, SystemTime::now()), Ok(()));
    files.write("ca.crt", narrow);
    let (settings, before) = (&files.settings, Some(before.in_force()));
    let after = load(settings, &RuleKeys::default(), &Files::default(), before, KNOWN_OF_FILE, SystemTime::now())
        .expect("good files");
    assert_eq!(after.judged(&below, SystemTime::now()), Err(CertificateRefusal::Constraint));
    assert_eq!(verdict(&after, &root.client("alice")), Ok(()));
}

#[test]
fn a_list_of_the_key_that_a_ca_had_before_is_in_nobodys_way() {
    let (old, new) = (Authority::new("root"), Authority::new("root"));
    let mut files = TestFiles::new(&new);
    let lists = [old.crl(&[7], in_days(100)), new.crl(&[], in_days(50))];
    files.add_crl("ca.crl", lists.map(|list| list.pem().expect("PEM")).concat());
    assert_eq!(verdict(&files.load(), &new.client("alice")), Ok(()));
}

#[test]
fn a_known_authority_whose_certificate_is_renewed_stays() {
    let one = Authority::new("one");
    let files = TestFiles::new(&one);
    let before = files.load();
    files.write("ca.crt", one.renewed("one", in_days(1000)));
    let new_trust = KNOWN_OF_FILE;
    let after = load(
        &files.settings,
        &files.rule_keys,
        &Files::default(),
        Some(before.in_force()),
        new_trust,
        SystemTime::now(),
    )
    .expect("good files");
    assert_eq!(verdict(&after, &one.client("alice")), Ok(()));
    assert!(after.in_force().has_same_trust_as(before.in_force()));
    assert_eq!(after.waiting().len(), 1);
}

/// A listener of this CA file and these CRLs, after another one of the same.
struct Restless {
    files: TestFiles,
    material: Option<TlsMaterial>,
}

impl Restless {
    fn new(root: &Authority) -> Restless {
        let mut files = TestFiles::new(root);
        files.add_crl("ca.crl", "");
        files.settings.crl_check = CrlCheck::Leaf;
        Restless { files, material: None }
    }

    fn load(
        &mut self,
        authorities: &[&Authority],
        lists: &[(&Authority, u64, &[u64])],
        new_trust: NewTrust,
    ) -> &TlsMaterial {
        let pem =
            |(of, number, serials): &(&Authority, u64, &[u64])| of.numbered_crl(*number, serials).pem().expect("PEM");
        self.files.write("ca.crt", authorities.iter().map(|authority| authority.pem()).collect::<String>());
        self.files.write("ca.crl", lists.iter().map(pem).collect::<String>());
        let TestFiles { settings, rule_keys, .. } = &self.files;
        let before = self.material.as_ref().map(TlsMaterial::in_force);
        let material = load(settings, rule_keys, &Files::default(), before, new_trust, SystemTime::now());
        self.material.insert(material.unwrap_or_else(|errors| panic!("{errors:?}")))
    }
}

fn numbered(authority: &Authority, serial: u64) -> Issued {
    let mut params = client("alice");
    params.serial_number = Some(SerialNumber::from(serial));
    authority.issue(params)
}

#[test]
fn a_certificate_that_is_revoked_no_longer_waits_like_a_new_ca() {
    let root = Authority::new("root");
    let mut restless = Restless::new(&root);
    restless.load(&[&root], &[(&root, 1, &[7, 8])], OF_FILE);
    let [seven, nine] = [7, 9].map(|serial| numbered(&root, serial));
    let waits = restless.load(&[&root], &[(&root, 2, &[8, 9])], KNOWN_OF_FILE);
    assert_eq!(verdict(waits, &seven), Err(CertificateRefusal::Revoked));
    assert_eq!(verdict(waits, &nine), Err(CertificateRefusal::Revoked), "while a new revocation does not");
    assert!(waits.waiting()[0].message.starts_with("1 certificate that a CRL of CN=root lists no longer stay revoked"));
    let comes = restless.load(&[&root], &[(&root, 2, &[8, 9])], OF_FILE);
    assert_eq!((verdict(comes, &seven), comes.waiting().len()), (Ok(()), 0));
}

#[test]
fn a_ca_that_goes_on_as_an_intermediate_loses_none_of_its_lists() {
    let root = Authority::new("root");
    let issuing = root.intermediate("issuing");
    let other = Authority::new("issuing");
    let mut restless = Restless::new(&root);
    let of_root: (&Authority, u64, &[u64]) = (&root, 1, &[]);
    restless.load(&[&root, &issuing, &other], &[of_root, (&issuing, 5, &[7]), (&other, 1, &[])], OF_FILE);
    let below = |serial| chain_of([numbered(&issuing, serial).der, issuing.der()]);
    for lists in [&[of_root, (&issuing, 5, &[7])][..], &[of_root, (&issuing, 4, &[])], &[of_root, (&other, 9, &[])]] {
        let material = restless.load(&[&root], lists, OF_FILE);
        assert!(material.judged(&below(7), SystemTime::now()).is_err());
        assert!(material.lists_as_revoked(&below(7)));
    }
    let newer = restless.load(&[&root], &[of_root, (&issuing, 6, &[])], OF_FILE);
    assert_eq!(newer.judged(&below(7), SystemTime::now()), Ok(()), "its key is known although it has gone");
}

#[test]
fn what_a_list_of_an_unknown_key_has_revoked_stays_revoked_whatever_comes_after_it() {
    let root = Authority::new("root");
    let issuing = root.intermediate("issuing");
    let forger = Authority::new("issuing");
    let mut restless = Restless::new(&root);
    let of_root: (&Authority, u64, &[u64]) = (&root, 1, &[]);
    restless.load(&[&root], &[of_root, (&issuing, 5, &[7])], OF_FILE);
    let below = |serial| chain_of([numbered(&issuing, serial).der, issuing.der()]);
    for lists in [&[of_root, (&issuing, 4, &[])][..], &[of_root, (&forger, 9, &[])], &[of_root, (&issuing, 6, &[])]] {
        let material = restless.load(&[&root], lists, OF_FILE);
        assert!(material.judged(&below(7), SystemTime::now()).is_err());
        assert!(material.lists_as_revoked(&below(7)));
    }
    let material = restless.load(&[&root], &[of_root, (&issuing, 6, &[])], OF_FILE);
    assert_eq!(material.judged(&below(8), SystemTime::now()), Ok(()));
    assert!(told(material, Severity::Warning).iter().any(|text| text.contains("restart to let them in")));
}

#[test]
fn a_list_that_is_read_before_its_ca_is_known_to_be_that_of_the_ca_afterwards() {
    let (root, partner) = (Authority::new("root"), Authority::new("partner"));
    let mut restless = Restless::new(&root);
    let of_root: (&Authority, u64, &[u64]) = (&root, 1, &[]);
    restless.load(&[&root], &[of_root, (&partner, 5, &[7])], OF_FILE);
    let seven = numbered(&partner, 7);
    let older = restless.load(&[&root, &partner], &[of_root, (&partner, 4, &[])], OF_FILE);
    assert_eq!(verdict(older, &seven), Err(CertificateRefusal::Revoked));
    let newer = restless.load(&[&root, &partner], &[of_root, (&partner, 6, &[])], OF_FILE);
    assert_eq!(verdict(newer, &seven), Ok(()));
}

#[test]
fn where_only_the_issuer_is_asked_about_every_revoked_ca_is_told_of() {
    let root = Authority::new("root");
    let numbered =
        |name, serial: u64| root.intermediate_with(name, |ca| ca.serial_number = Some(SerialNumber::from(serial)));
    let (one, two) = (numbered("one", 7), numbered("two", 8));
    let mut restless = Restless::new(&root);
    let material = restless.load(&[&root, &one, &two], &[(&root, 1, &[7, 8])], OF_FILE);
    let words = told(material, Severity::Warning);
    assert_eq!(
        words.iter().filter(|text| text.contains("is revoked, and trusted all the same")).count(),
        2,
        "{words:?}"
    );
}

#[test]
fn a_ca_that_a_revoked_one_has_signed_with_sha_1_goes_with_it() {
    let root = Authority::new("root");
    let mut files = TestFiles::new(&root);
    let [revoked, below] = [include_str!("../testdata/sha1-root.pem"), include_str!("../testdata/sha1-below.pem")];
    files.write("ca.crt", root.pem() + revoked + below);
    files.add_crl(
        "ca.crl",
        root.crl(&[], in_days(100)).pem().expect("PEM") + include_str!("../testdata/sha1-root-crl.pem"),
    );
    let words = told(&files.load(), Severity::Error);
    for name in ["CN=sha1 root", "CN=sha1 below"] {
        assert!(words.iter().any(|text| text.starts_with(&format!("the CA {name} is revoked"))), "{words:?}");
    }
}

#[test]
fn the_last_pinned_key_can_be_taken_away() {
    let own = Authority::new("own");
    let mut files = TestFiles::new(&Authority::new("root"));
    files.settings.ca_cert_file = None;
    files.rule_keys.pinned = vec![key_of(&own).expect("readable")];
    let before = files.load();
    let (settings, none) = (&files.settings, RuleKeys::default());
    let after = load(settings, &none, &Files::default(), Some(before.in_force()), KNOWN_OF_FILE, SystemTime::now());
    let after = after.expect("no error");
    assert_eq!(after.judged(&chain_of([own.der()]), SystemTime::now()), Err(CertificateRefusal::UnknownIssuer));
    assert!(told(&after, Severity::Error)[0].contains("no client certificate is trusted"));
}
