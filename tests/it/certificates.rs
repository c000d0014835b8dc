//! Every kind of certificate, shown by redis-cli, has the one outcome that `docs/certificates.md` gives it.

use std::time::{Duration, SystemTime};

use rcgen::{
    DnType, DnValue, ExtendedKeyUsagePurpose, PKCS_ECDSA_P384_SHA384, PKCS_RSA_SHA256, SanType, SerialNumber,
    date_time_ymd,
};
use rustix::process::Signal;

use crate::support::{Identity, Pki, RedisServer, Respgate, eventually, respgate_binary, upstream_of};

/// What becomes of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// It acts for this user.
    User(&'static str),
    /// Its certificate is not trusted, for this reason.
    Untrusted(&'static str),
    /// Its certificate is trusted and it is nobody, for this reason.
    Nobody(&'static str),
}

use Outcome::{Nobody, Untrusted, User};

#[test]
fn every_kind_of_certificate_has_its_documented_outcome() {
    let redis = RedisServer::start();
    let gate = Respgate::setup(&upstream_of(&redis))
        .acl_file("user alice on +@all ~*\nuser apps on +@all ~*\nuser off off\nuser default on nopass +@all ~*\n")
        .crl()
        .table("[[certificate]]\nuri = \"spiffe://suite/ns/apps/sa/*\"\nuser = \"apps\"")
        .table("[[certificate]]\ncn = \"*\"\nuser = \"%{cn}\"")
        .start()
        .settled();
    gate.pki().write_crl(&[66]);
    gate.wait_for_log(&["reload", "done", "files changed"]);
    let documentation = include_str!("../../docs/certificates.md");
    let matrix = matrix(gate.pki());
    assert!(matrix.len() >= 20);
    for (kind, identity, expected) in matrix {
        assert_eq!(outcome(&gate, kind, identity.as_ref()), expected, "{kind}");
        if let Untrusted(reason) | Nobody(reason) = expected {
            assert!(documentation.contains(&format!("`{reason}`")), "{reason} is not documented");
        }
    }
}

#[test]
fn of_several_uris_the_first_that_is_a_user_who_is_on_names_the_user() {
    const EXEMPT: &str = "[block]\nexempt-users = [\"urn:ops\"]";
    let redis = RedisServer::start();
    let acl = "user apps on +@all ~*\nuser off off +@all ~*\nuser alice on +@all ~*\nuser urn:ops on +@all ~*\n";
    let gate = Respgate::setup(&upstream_of(&redis))
        .acl_file(acl)
        .setting("tls-auth-clients-user = \"URI\"")
        .table(EXEMPT)
        .start()
        .settled();
    let uri = |uri: &&str| SanType::URI((*uri).try_into().unwrap());
    let others = || [SanType::DnsName("shop.suite".try_into().unwrap()), SanType::IpAddress([10, 0, 0, 9].into())];
    for (number, (uris, expected)) in [
        (&["apps"][..], User("apps")),
        (&["spiffe://suite/ns/a/sa/b", "apps"], User("apps")),
        (&["off", "alice", "apps"], User("alice")),
        (&["apps", "alice"], User("apps")),
        (&["apps", "urn:ops"], User("apps")),
        (&["urn:ops", "apps"], Nobody("reserved-name")),
        (&["spiffe://suite/x", "off"], Nobody("user-off")),
        (&["spiffe://suite/x", "spiffe://suite/y"], Nobody("no-such-user")),
        (&["apps", "alice\0.evil"], Nobody("hostile-name")),
        (&["apps", "alice\n"], Nobody("hostile-name")),
        (&["apps", "alice on"], Nobody("hostile-name")),
        (&[], Nobody("unmapped")),
    ]
    .into_iter()
    .enumerate()
    {
        let identity = gate.pki().odd_client(&format!("uris-{number}"), "alice", |params| {
            params.subject_alt_names = others().into_iter().chain(uris.iter().map(uri)).collect();
        });
        assert_eq!(outcome(&gate, "several URIs", Some(&identity)), expected, "{uris:?}");
        let mut check = respgate_binary();
        check.args(["check", "--listen", "127.0.0.1:0", "--config"]).arg(gate.path("respgate.toml"));
        let said = check.arg("--client-cert").arg(&identity.cert).output().unwrap();
        let said = String::from_utf8_lossy(&[said.stdout, said.stderr].concat()).into_owned();
        let words = match expected {
            User(user) => format!("trusted, user {user}"),
            Nobody(reason) | Untrusted(reason) => format!("trusted, but nobody ({reason})"),
        };
        assert!(said.contains(&words), "{uris:?}: {said}");
    }
}

#[test]
fn a_user_that_an_earlier_uri_names_takes_the_place_of_the_later_one_and_ends_its_sessions() {
    let redis = RedisServer::start();
    let gate = Respgate::setup(&upstream_of(&redis))
        .acl_file("user second on +@all ~*\n")
        .setting("tls-auth-clients-user = \"URI\"")
        .start()
        .settled();
    let identity = gate.pki().odd_client("uris", "x", |params| {
        params.subject_alt_names = ["first", "second"].map(|uri| SanType::URI(uri.try_into().unwrap())).to_vec();
    });
    let mut client = gate.connect_as(Some(&identity));
    assert_eq!(client.text(&["ACL", "WHOAMI"]), "$6\r\nsecond");
    gate.write_acl("user second on +@all ~*\nuser first off +@all ~*\n");
    gate.signal(Signal::HUP);
    gate.wait_for_log(&["reload", "done", "\"generation\":3"]);
    assert_eq!(client.text(&["ACL", "WHOAMI"]), "$6\r\nsecond", "the first is off");
    gate.write_acl("user second on +@all ~*\nuser first on +@all ~*\n");
    gate.signal(Signal::HUP);
    client.expect_closed();
    gate.wait_for_log(&["\"close\"", "\"second\"", "unmapped"]);
    assert_eq!(gate.connect_as(Some(&identity)).text(&["ACL", "WHOAMI"]), "$5\r\nfirst");
}

fn matrix(pki: &Pki) -> Vec<(&'static str, Option<Identity>, Outcome)> {
    let client_auth = ExtendedKeyUsagePurpose::ClientAuth;
    let purposes = |file: &str, purposes: &[ExtendedKeyUsagePurpose]| {
        pki.odd_client(file, "alice", |params| params.extended_key_usages = purposes.to_vec())
    };
    let cn = |file: &str, names: &[&str]| {
        pki.odd_client(file, "", |params| {
            params.distinguished_name = rcgen::DistinguishedName::new();
            for (position, name) in names.iter().enumerate() {
                // Another spelling of the same OID is another field to rcgen, which keeps one value of each.
                let kind = if position == 0 { DnType::CommonName } else { DnType::CustomDnType(vec![2, 5, 4, 3]) };
                params.distinguished_name.push(kind, DnValue::Utf8String((*name).to_owned()));
            }
        })
    };
    let san = |file: &str, name: &str, san: SanType| {
        pki.odd_client(file, name, |params| {
            if name.is_empty() {
                params.distinguished_name = rcgen::DistinguishedName::new();
            }
            params.subject_alt_names = vec![san];
        })
    };
    let uri = || SanType::URI("spiffe://suite/ns/apps/sa/alice".try_into().unwrap());
    let dns = SanType::DnsName("alice.suite".try_into().unwrap());
    let certificates = [
        ("P-256, EKU clientAuth", pki.client("alice"), User("alice")),
        ("P-384", pki.client_with_key("p384", "alice", &PKCS_ECDSA_P384_SHA384), User("alice")),
        ("Ed25519", pki.ed25519_client("alice"), User("alice")),
        ("RSA", pki.client_with_key("rsa", "alice", &PKCS_RSA_SHA256), User("alice")),
        (
            "EKU clientAuth and serverAuth",
            purposes("both", &[client_auth, ExtendedKeyUsagePurpose::ServerAuth]),
            User("alice"),
        ),
        ("no EKU", purposes("no-eku", &[]), User("alice")),
        ("EKU serverAuth only", pki.server_only_client("alice"), Untrusted("wrong-purpose")),
        ("expired", pki.expired_client("alice"), Untrusted("expired")),
        (
            "not valid yet",
            pki.odd_client("not-yet", "alice", |params| {
                params.not_before = (SystemTime::now() + Duration::from_secs(86_400)).into();
                params.not_after = date_time_ymd(2099, 1, 1);
            }),
            Untrusted("not-yet-valid"),
        ),
        ("from another CA", pki.client_of_a_stranger("alice"), Untrusted("unknown-issuer")),
        ("from another CA of the same name", pki.client_of_another_ca("alice"), Untrusted("bad-signature")),
        ("self-signed", pki.self_signed_client("alice"), Untrusted("unknown-issuer")),
        ("self-signed, CA:TRUE", pki.openssl_self_signed("alice"), Untrusted("ca-as-leaf")),
        ("a CA's own", pki.ca_as_client(), Untrusted("ca-as-leaf")),
        ("revoked", numbered(pki, 66), Untrusted("revoked")),
        (
            "of an intermediate CA without a CRL",
            pki.client_of_an_intermediate("alice"),
            Untrusted("no-revocation-list"),
        ),
        ("X.509 version 1", pki.version_1_client("alice"), Untrusted("old-version")),
        ("no CN, URI", san("uri", "", uri()), User("apps")),
        ("CN and URI", san("cn-uri", "alice", uri()), User("apps")),
        ("CN and DNS name", san("cn-dns", "alice", dns), Nobody("unmapped")),
        ("no name at all", cn("nameless", &[]), Nobody("unmapped")),
        ("two CNs", cn("two", &["alice", "bob"]), Nobody("hostile-name")),
        ("NUL in the CN", cn("nul", &["alice\0.evil"]), Nobody("hostile-name")),
        ("a newline in the CN", cn("newline", &["alice\n"]), Nobody("hostile-name")),
        ("a CN of 256 bytes", cn("long", &[&"a".repeat(256)]), Nobody("hostile-name")),
        ("a blank in the CN", cn("blank", &["alice smith"]), Nobody("hostile-name")),
        ("CN=default", pki.client("default"), Nobody("reserved-name")),
        ("CN=ALICE", pki.client("ALICE"), Nobody("no-such-user")),
        ("of a user that is off", pki.client("off"), Nobody("user-off")),
        ("serial number of one byte", numbered(pki, 1), User("alice")),
    ];
    let shown = certificates.map(|(kind, identity, outcome)| (kind, Some(identity), outcome));
    shown.into_iter().chain([("none", None, Untrusted("no-certificate"))]).collect()
}

fn numbered(pki: &Pki, serial: u64) -> Identity {
    let file = format!("number-{serial}");
    pki.odd_client(&file, "alice", |params| params.serial_number = Some(SerialNumber::from(serial)))
}

fn outcome(gate: &Respgate, kind: &str, identity: Option<&Identity>) -> Outcome {
    let logged_before = gate.log_text().len();
    let output = gate.redis_cli(identity).args(["ACL", "WHOAMI"]).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    for user in ["alice", "apps", "off", "default"] {
        if said.trim() == user {
            return User(user);
        }
    }
    eventually(&format!("a reason in the log ({kind})"), || {
        let log = gate.log_text();
        log[logged_before..].lines().find_map(reason)
    })
}

fn reason(line: &str) -> Option<Outcome> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    let field = |name: &str| line.get(name)?.as_str().map(str::to_owned);
    // A test's words live as long as it does.
    let reason = || field("reason").map(|reason| &*Box::leak(reason.into_boxed_str()));
    match (field("event")?.as_str(), field("outcome")?.as_str()) {
        ("handshake", "failed") => Some(Untrusted(reason()?)),
        ("connection", "refused") => Some(Nobody(reason()?)),
        _ => None,
    }
}
