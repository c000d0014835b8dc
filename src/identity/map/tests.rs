use core::net::IpAddr;

use rcgen::{CertificateParams, DnType, DnValue, SanType};

use super::*;
use crate::identity::Fingerprint;
use crate::identity::test_pki::{Authority, client, dns, email, params, uri};

fn peer(params: CertificateParams) -> PeerIdentity {
    PeerIdentity::from_der(&Authority::new("root").issue(params).der, None).expect("a certificate")
}

fn with_sans(cn: &str, sans: impl IntoIterator<Item = SanType>) -> PeerIdentity {
    let mut params = client(cn);
    params.subject_alt_names = sans.into_iter().collect();
    peer(params)
}

fn rule(fields: &[(FieldName, &[&str])], user: &str) -> RuleSpec {
    RuleSpec {
        fields: fields
            .iter()
            .map(|(field, values)| (*field, values.iter().map(|value| (*value).to_owned()).collect()))
            .collect(),
        user: user.to_owned(),
        cn_with_san: false,
        pinned: false,
    }
}

fn map(rules: Vec<RuleSpec>) -> CertificateMap {
    CertificateMap::build(rules, UserFrom::Off).expect("good rules")
}

fn user(name: &str, rule: usize) -> Mapping {
    Mapping::User { names: vec![name.to_owned()], from_template: false, rule: Some(rule) }
}

fn filled(name: &str, rule: Option<usize>) -> Mapping {
    Mapping::User { names: vec![name.to_owned()], from_template: true, rule }
}

fn refused(rule: Option<usize>, field: FieldName, fault: FieldFault) -> Mapping {
    Mapping::Refused(MappingRefusal { rule, field, fault })
}

const EVERY_CN: (FieldName, &[&str]) = (FieldName::Cn, &["*"]);

#[test]
fn without_rules_every_certificate_is_nobody() {
    assert_eq!(map(vec![]).user_for(&peer(client("default"))), Mapping::Unmapped);
    assert!(map(vec![]).is_empty());
}

#[test]
fn the_first_rule_that_matches_decides() {
    let map = map(vec![
        rule(&[(FieldName::Cn, &["bob"])], "first"),
        rule(&[EVERY_CN], "second"),
        rule(&[(FieldName::Cn, &["alice"])], "third"),
    ]);
    assert_eq!(map.user_for(&peer(client("alice"))), user("second", 1));
    assert_eq!(map.user_for(&peer(client("bob"))), user("first", 0));
}

#[test]
fn a_rule_needs_all_its_fields_and_one_value_of_each() {
    let map = map(vec![rule(&[(FieldName::Cn, &["alice", "bob"]), (FieldName::O, &["suite"])], "shop")]);
    let mut both = client("bob");
    both.distinguished_name.push(DnType::OrganizationName, "suite");
    assert_eq!(map.user_for(&peer(both)), user("shop", 0));
    assert_eq!(map.user_for(&peer(client("bob"))), Mapping::Unmapped);
}

#[test]
fn any_value_of_the_certificate_may_match() {
    let map = map(vec![rule(&[(FieldName::Uri, &["spiffe://prod/sa/*"])], "shop")]);
    let peer = with_sans("x", [uri("https://example.org"), uri("spiffe://prod/sa/web")]);
    assert_eq!(map.user_for(&peer), user("shop", 0));
}

#[test]
fn every_field_can_select() {
    let authority = Authority::new("root");
    let mut params = client("alice");
    params.distinguished_name.push(DnType::OrganizationalUnitName, "apps");
    params.distinguished_name.push(DnType::OrganizationName, "suite");
    params.subject_alt_names = vec![uri("spiffe://p/a"), dns("Alice.Apps.Suite"), email("alice@suite")];
    params.serial_number = Some(rcgen::SerialNumber::from(0x00ab_cdef_u64));
    let issued = authority.issue(params);
    let anchor = Fingerprint::of(b"the anchor");
    let peer = PeerIdentity::from_der(&issued.der, Some(anchor)).expect("a certificate");

    let sha256 = Fingerprint::of(&issued.der).to_string();
    let spki = peer.spki_sha256().to_string();
    let colons = sha256.to_uppercase().as_bytes().chunks(2).map(String::from_utf8_lossy).collect::<Vec<_>>().join(":");
    for (field, good, bad) in [
        (FieldName::Uri, "spiffe://p/*", "spiffe://p"),
        (FieldName::Dns, "*.APPS.suite", "*.suite"),
        (FieldName::Email, "*@suite", "*@other"),
        (FieldName::Ou, "apps", "app"),
        (FieldName::O, "su*", "Suite"),
        (FieldName::IssuerCn, "root", "alice"),
        (FieldName::Serial, "AB:CD:EF", "abcd"),
        (FieldName::Sha256, colons.as_str(), spki.as_str()),
        (FieldName::SpkiSha256, spki.as_str(), sha256.as_str()),
        (FieldName::CaSpkiSha256, anchor.to_string().as_str(), sha256.as_str()),
    ] {
        assert_eq!(map(vec![rule(&[(field, &[good])], "u")]).user_for(&peer), user("u", 0), "{field} {good}");
        assert_eq!(map(vec![rule(&[(field, &[bad])], "u")]).user_for(&peer), Mapping::Unmapped, "{field} {bad}");
    }
}

#[test]
fn an_unknown_anchor_matches_no_rule_about_anchors() {
    let any = rule(&[(FieldName::CaSpkiSha256, &[&"0".repeat(64)])], "u");
    assert_eq!(map(vec![any]).user_for(&peer(client("alice"))), Mapping::Unmapped);
}

#[test]
fn case_matters_but_in_dns() {
    let map = map(vec![
        rule(&[(FieldName::Cn, &["alice"])], "by-cn"),
        rule(&[(FieldName::Dns, &["alice.suite"])], "by-dns"),
        rule(&[(FieldName::Uri, &["spiffe://suite/alice"])], "by-uri"),
    ]);
    assert_eq!(map.user_for(&peer(client("ALICE"))), Mapping::Unmapped);
    assert_eq!(map.user_for(&with_sans("x", [dns("ALICE.Suite")])), user("by-dns", 1));
    assert_eq!(map.user_for(&with_sans("x", [uri("spiffe://suite/ALICE")])), Mapping::Unmapped);
}

#[test]
fn a_rule_on_cn_passes_over_certificates_with_sans() {
    let with_san = with_sans("alice", [uri("spiffe://prod/sa/web")]);
    let with_ip = with_sans("alice", [SanType::IpAddress(IpAddr::from([127, 0, 0, 1]))]);
    let strict = map(vec![rule(&[EVERY_CN], "u")]);
    assert_eq!(strict.user_for(&with_san), Mapping::Unmapped);
    assert_eq!(strict.user_for(&with_ip), Mapping::Unmapped);

    let lenient = map(vec![RuleSpec { cn_with_san: true, ..rule(&[EVERY_CN], "u") }]);
    assert_eq!(lenient.user_for(&with_san), user("u", 0));
}

#[test]
fn a_template_on_cn_passes_over_certificates_with_sans_too() {
    let mut params = client("alice");
    params.distinguished_name.push(DnType::OrganizationName, "suite");
    let map = map(vec![rule(&[(FieldName::O, &["suite"])], "%{cn}")]);
    assert_eq!(map.user_for(&peer(params.clone())), filled("alice", Some(0)));
    params.subject_alt_names = vec![dns("alice.suite")];
    assert_eq!(map.user_for(&peer(params)), Mapping::Unmapped);
}

#[test]
fn templates_take_the_name_from_the_certificate() {
    let map = map(vec![rule(&[EVERY_CN], "app-%{cn}")]);
    assert_eq!(map.user_for(&peer(client("alice"))), filled("app-alice", Some(0)));
}

#[test]
fn a_name_from_the_certificate_is_marked_so_that_default_can_be_refused() {
    let map = map(vec![rule(&[EVERY_CN], "%{cn}")]);
    assert_eq!(map.user_for(&peer(client("default"))), filled("default", Some(0)));
}

#[test]
fn a_template_over_a_missing_or_ambiguous_field_names_nobody() {
    let missing = map(vec![rule(&[EVERY_CN], "%{ou}")]);
    assert_eq!(missing.user_for(&peer(client("alice"))), refused(Some(0), FieldName::Ou, FieldFault::Missing));
    let ambiguous = map(vec![rule(&[(FieldName::Uri, &["spiffe://**"])], "%{uri}")]);
    assert_eq!(
        ambiguous.user_for(&with_sans("x", [uri("spiffe://prod/a"), uri("spiffe://prod/b")])),
        refused(Some(0), FieldName::Uri, FieldFault::Flawed(Flaw::Several))
    );
    let anchor = map(vec![rule(&[EVERY_CN], "%{ca-spki-sha256}")]);
    assert_eq!(anchor.user_for(&peer(client("alice"))), refused(Some(0), FieldName::CaSpkiSha256, FieldFault::Missing));
}

#[test]
fn a_template_over_a_value_with_a_blank_names_nobody() {
    let map = map(vec![rule(&[EVERY_CN], "%{cn}")]);
    assert_eq!(map.user_for(&peer(client("alice on"))), refused(Some(0), FieldName::Cn, FieldFault::Blank));
}

#[test]
fn hostile_common_names_match_not_even_a_star() {
    let map = map(vec![rule(&[EVERY_CN], "%{cn}")]);
    let two = peer(params(["alice", "bob"]));
    assert_eq!(two.field(FieldName::Cn).and_then(|field| field.flaw()), Some(Flaw::Several));
    let mut bmp = client("x");
    bmp.distinguished_name.remove(DnType::CommonName);
    bmp.distinguished_name.push(DnType::CommonName, DnValue::BmpString("alice".try_into().expect("BMP")));
    for (flaw, peer) in [
        (Flaw::Several, two),
        (Flaw::Nul, peer(client("alice\0.evil"))),
        (Flaw::Control, peer(client("alice\r\n"))),
        (Flaw::Empty, peer(client(""))),
        (Flaw::TooLong, peer(client(&"a".repeat(256)))),
        (Flaw::NotText, peer(bmp)),
    ] {
        assert_eq!(map.user_for(&peer), refused(Some(0), FieldName::Cn, FieldFault::Flawed(flaw)));
    }
}

#[test]
fn a_rule_that_a_flaw_leaves_unclear_refuses_before_a_wider_one_is_asked() {
    let confined = (FieldName::Ou, &["contractors"][..]);
    let rules = |issuer: &[&str]| {
        let first = rule(&[confined, (FieldName::IssuerCn, issuer)], "limited");
        map(vec![first, rule(&[EVERY_CN], "%{cn}")])
    };
    let with_unit = |unit: &str| {
        let mut params = client("alice");
        params.distinguished_name.push(DnType::OrganizationalUnitName, unit);
        peer(params)
    };
    let (plain, flawed) = (with_unit("contractors"), with_unit("contractors\0"));
    assert_eq!(rules(&["root"]).user_for(&plain), user("limited", 0));
    let unclear = refused(Some(0), FieldName::Ou, FieldFault::Flawed(Flaw::Nul));
    assert_eq!(rules(&["root"]).user_for(&flawed), unclear);
    assert_eq!(rules(&["other"]).user_for(&flawed), filled("alice", Some(1)), "the rule is of others for sure");
}

#[test]
fn one_hostile_uri_spoils_the_others() {
    let map = map(vec![rule(&[(FieldName::Uri, &["spiffe://**"])], "u")]);
    let peer = with_sans("x", [uri("spiffe://prod/a"), uri("spiffe://prod/a\0.evil")]);
    assert_eq!(map.user_for(&peer), refused(Some(0), FieldName::Uri, FieldFault::Flawed(Flaw::Nul)));
}

#[test]
fn the_user_field_stands_after_the_rules_and_is_exact() {
    let map = CertificateMap::build(vec![rule(&[(FieldName::Cn, &["bob"])], "by-rule")], UserFrom::Cn).expect("good");
    assert_eq!(map.user_for(&peer(client("bob"))), user("by-rule", 0));
    assert_eq!(map.user_for(&peer(client("alice"))), filled("alice", None));
    assert_eq!(map.user_for(&with_sans("alice", [dns("alice.suite")])), filled("alice", None), "with SANs as without");
    let several = peer(params(["alice", "bob"]));
    let unclear = |rule| refused(rule, FieldName::Cn, FieldFault::Flawed(Flaw::Several));
    assert_eq!(map.user_for(&several), unclear(Some(0)));
    let no_rules = CertificateMap::build(vec![], UserFrom::Cn).expect("good");
    assert_eq!(no_rules.user_for(&several), unclear(None));
    assert_eq!(map.user_for(&peer(params([]))), Mapping::Unmapped);
}

#[test]
fn the_user_may_be_any_of_the_uris_in_their_order() {
    let map = CertificateMap::build(vec![], UserFrom::Uri).expect("good");
    assert!(!map.is_empty());
    assert_eq!(map.user_for(&with_sans("x", [uri("urn:alice")])), filled("urn:alice", None));
    assert_eq!(map.user_for(&peer(client("alice"))), Mapping::Unmapped);
    let names = ["urn:b", "urn:a", "spiffe://suite/c"];
    let several = with_sans("x", [dns("x.suite"), uri(names[0]), uri(names[1]), email("x@suite"), uri(names[2])]);
    let names = names.map(str::to_owned).to_vec();
    assert_eq!(map.user_for(&several), Mapping::User { names, from_template: true, rule: None });
}

#[test]
fn one_uri_that_is_unfit_for_a_name_spoils_those_before_and_behind_it() {
    let map = CertificateMap::build(vec![], UserFrom::Uri).expect("good");
    for (bad, fault) in [
        ("urn:bob\0.evil", FieldFault::Flawed(Flaw::Nul)),
        ("urn:bob\r\n", FieldFault::Flawed(Flaw::Control)),
        ("", FieldFault::Flawed(Flaw::Empty)),
        ("urn:bob on", FieldFault::Blank),
    ] {
        for uris in [[uri("urn:alice"), uri(bad)], [uri(bad), uri("urn:alice")]] {
            assert_eq!(map.user_for(&with_sans("x", uris)), refused(None, FieldName::Uri, fault), "{bad:?}");
        }
    }
}

#[test]
fn errors_name_the_rule_and_the_key_and_all_are_reported() {
    let errors = CertificateMap::build(
        vec![
            rule(&[EVERY_CN], "fine"),
            rule(&[], "u"),
            rule(&[(FieldName::Sha256, &["abc"]), (FieldName::Serial, &["xyz"])], "two words"),
            rule(&[(FieldName::Cn, &["a"]), (FieldName::Uri, &["b"])], "u"),
            rule(&[(FieldName::Cn, &[])], "%{nope}"),
            rule(&[(FieldName::Ou, &["a"]), (FieldName::Ou, &["b"])], "u"),
        ],
        UserFrom::Off,
    )
    .expect_err("bad rules");
    let places: Vec<_> = errors.iter().map(|error| (error.rule, error.key)).collect();
    assert_eq!(
        places,
        [
            (1, None),
            (2, Some("user")),
            (2, Some("sha256")),
            (2, Some("serial")),
            (3, Some("cn-with-san")),
            (4, Some("user")),
            (4, Some("cn")),
            (5, Some("ou")),
        ]
    );
    assert_eq!(
        errors[2].to_string(),
        "certificate rule 3, `sha256`: `abc` is not a SHA-256: 64 hexadecimal digits, colons allowed"
    );
}

#[test]
fn serial_numbers_compare_as_numbers() {
    let mut params = client("alice");
    params.serial_number = Some(rcgen::SerialNumber::from(0x05_u64));
    let peer = peer(params);
    assert_eq!(peer.serial(), "05");
    for spelling in ["5", "05", "00:05", "0005"] {
        assert_eq!(map(vec![rule(&[(FieldName::Serial, &[spelling])], "u")]).user_for(&peer), user("u", 0));
    }
}

#[test]
fn the_subject_is_shown_escaped_and_most_specific_first() {
    let mut params = client("alice\0,evil");
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "suite");
    params.distinguished_name.push(DnType::CommonName, "alice\0,evil\n");
    assert_eq!(peer(params).subject(), "CN=alice\\00\\,evil\\0A,O=suite");
}

#[test]
fn a_pinned_certificate_is_only_who_its_pin_says() {
    let issued = Authority::new("root").issue(client("admin"));
    let pinned = PeerIdentity::from_pinned_der(&issued.der).expect("a certificate");
    let trusted = PeerIdentity::from_der(&issued.der, None).expect("a certificate");
    let key = pinned.spki_sha256().to_string();
    let by_key: (FieldName, &[&str]) = (FieldName::SpkiSha256, &[&key]);
    let rules = || {
        vec![
            rule(&[EVERY_CN], "%{cn}"),
            rule(&[by_key], "by-key"),
            RuleSpec { pinned: true, ..rule(&[by_key], "shop") },
        ]
    };
    assert_eq!(map(rules()).user_for(&pinned), user("shop", 2));
    assert_eq!(map(rules()).user_for(&trusted), filled("admin", Some(0)));
    let others = CertificateMap::build(rules()[..2].to_vec(), UserFrom::Cn).expect("good rules");
    assert_eq!(others.user_for(&pinned), Mapping::Unmapped);
}

#[test]
fn a_pin_needs_a_key_and_a_user_that_the_certificate_cannot_choose() {
    let errors = |fields: &[(FieldName, &[&str])], user: &str| {
        let rules = vec![RuleSpec { pinned: true, ..rule(fields, user) }];
        let errors = CertificateMap::build(rules, UserFrom::Off).expect_err("a bad rule");
        errors.into_iter().map(|error| error.key).collect::<Vec<_>>()
    };
    let key = "ab".repeat(32);
    assert_eq!(errors(&[EVERY_CN], "shop"), [Some("trust")]);
    assert_eq!(errors(&[(FieldName::Sha256, &[&key])], "shop"), [Some("trust")]);
    assert_eq!(errors(&[(FieldName::SpkiSha256, &[&key])], "%{cn}"), [Some("user")]);
}
