use std::path::{Path, PathBuf};

use super::*;

fn read(text: &str) -> Result<Conf, ConfError> {
    let files = |path: &Path| match path.to_str() {
        Some("/s.conf") => Ok(text.to_owned()),
        Some("/d/01-a.conf") => Ok("[a]\naccept = 1\n".to_owned()),
        Some("/d/02-b.conf") => Ok("[b]\naccept = 2\n".to_owned()),
        _ => Err("is not there".to_owned()),
    };
    let list = |_: &Path| Ok(vec![PathBuf::from("/d/02-b.conf"), PathBuf::from("/d/01-a.conf")]);
    Conf::read(Path::new("/s.conf"), &files, &list)
}

fn translated(text: &str) -> Translation {
    let pinned = |path: &Path| {
        let of = |digit: &str, is_ca| Pinned {
            sha256: digit.repeat(64),
            spki_sha256: digit.repeat(64),
            is_ca,
            names: (digit.to_owned(), if path.ends_with("partial.pem") { "c" } else { "a" }.to_owned()),
        };
        Ok(vec![of("a", true), of("b", false)])
    };
    translate(&read(text).unwrap(), &pinned)
}

/// What becomes of one line of a section of a server, or of a client.
fn became(line: &str, is_client: bool) -> Became {
    let client = if is_client { "client = yes\n" } else { "" };
    let told = translated(&format!("[redis]\n{client}{line}\n")).told;
    told.into_iter().find(|told| told.text == line).unwrap().became
}

fn setting(text: &str) -> Became {
    Became::Setting(text.to_owned())
}

#[test]
fn what_stands_before_the_sections_holds_for_each_that_does_not_say_otherwise() {
    let settings = translated("CERT = /all.pem\n[a]\naccept = 1\n[b]\naccept = 2\ncert = /b.pem\n").settings;
    let (a, b) = settings.split_once("# [b]").unwrap();
    assert!(a.contains("tls-cert-file = \"/all.pem\"") && !b.contains("/all.pem"), "{settings}");
}

#[test]
fn comments_byte_order_marks_and_included_folders_are_read_as_stunnel_does() {
    let conf = read("\u{feff}# one\n; two\n\n debug=7 \ninclude = /d\n").unwrap();
    assert_eq!((conf.global[0].name.as_str(), conf.global[0].value.as_str(), conf.global[0].number), ("debug", "7", 4));
    let names: Vec<&str> = conf.services.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(conf.services[1].1[0].path, Path::new("/d/02-b.conf"));
}

#[test]
fn what_is_no_line_of_a_stunnel_conf_is_told_with_its_place() {
    assert_eq!(
        read("[a]\nverify\n").unwrap_err().to_string(),
        "/s.conf:2: no \"name = value\", [section] or comment: \"verify\""
    );
}

#[test]
fn an_address_is_written_as_it_is_meant() {
    for (line, expected) in [
        ("accept = 6380", "listen = \"6380\""),
        ("accept = 192.0.2.1:6380", "listen = \"192.0.2.1:6380\""),
        ("accept = :::6380", "listen = \"[::]:6380\""),
        ("accept = localhost:6380", "listen = \"127.0.0.1:6380\""),
        ("connect = 6379", "upstream = \"127.0.0.1:6379\""),
        ("connect = ::1:6379", "upstream = \"[::1]:6379\""),
        ("connect = /run/redis.sock", "upstream = \"unix:/run/redis.sock\""),
    ] {
        assert_eq!(became(line, false), setting(expected), "{line}");
    }
    for line in ["accept = redis.example:6380", "accept = redis", "accept = /run/x.sock", "connect = 192.0.2.1:6379"] {
        assert!(matches!(became(line, false), Became::Missing(_)), "{line}");
    }
}

#[test]
fn a_tunnel_listens_for_its_own_host_unless_an_address_says_otherwise() {
    let listen = |line: &str| match became(line, true) {
        Became::Setting(text) => text,
        other => panic!("{line}: {other}"),
    };
    assert!(listen("accept = 6379").starts_with("listen = \"127.0.0.1:6379\":"));
    assert!(listen("accept = 0.0.0.0:6379").starts_with("listen = \"0.0.0.0:6379\", unsafe-listen = true"));
    assert_eq!(listen("accept = /run/redis.sock"), "listen = \"unix:/run/redis.sock\"");
    assert_eq!(listen("connect = redis.example:6380"), "connect = [\"redis.example:6380\"]");
}

#[test]
fn the_key_is_in_the_file_of_the_certificate_unless_it_is_named() {
    let key = "tls-key-file = \"/s.pem\"";
    assert!(translated("[r]\naccept = 1\nconnect = 2\ncert = /s.pem\n").settings.contains(key));
    assert!(translated("[r]\nclient = yes\ncert = /s.pem\n").settings.contains(key));
    let named = translated("[r]\ncert = /s.pem\nkey = /k.pem\n");
    assert!(named.settings.contains("tls-key-file = \"/k.pem\"") && !named.settings.contains(key));
}

#[test]
fn who_verifies_nobody_is_told_that_a_password_is_missing() {
    let open = translated("[r]\naccept = 1\nconnect = 2\ncert = /s.pem\n");
    assert!(!open.is_complete());
    assert_eq!(open.users.as_deref(), Some("user default on +@all ~* &*\n"), "it has no password, so nobody is it");
    assert!(open.settings.contains("tls-auth-clients = \"no\""));
    for verify in ["verify = 2", "verifyChain = yes"] {
        let closed = translated(&format!("[r]\naccept = 1\nconnect = 2\ncert = /s.pem\nCAfile = /ca.pem\n{verify}\n"));
        assert!(closed.is_complete(), "{:?}", closed.told);
        assert!(closed.settings.contains("tls-auth-clients = \"yes\""));
        assert!(closed.settings.contains("stray-auth = \"ignore\""), "applications go on sending a password");
        assert!(closed.settings.contains(&format!("ca-spki-sha256 = [\"{}\"]\nuser = \"default\"", "a".repeat(64))));
    }
}

#[test]
fn a_checked_subject_is_a_rule_of_a_server_and_a_name_of_a_client() {
    let server = translated(
        "[r]\naccept = 1\nconnect = 2\ncert = /s.pem\nCAfile = /ca.pem\nverify = 2\ncheckHost = a.example\n",
    );
    assert!(
        server.settings.contains("[[certificate]]\ndns = \"a.example\"\nuser = \"default\""),
        "{}",
        server.settings
    );
    assert!(!server.settings.contains("ca-spki-sha256"), "nobody else gets in");
    assert!(server.settings.contains("stray-auth = \"ignore\""), "applications go on sending a password");
    assert_eq!(became("checkHost = a.example", true), setting("server-name = \"a.example\""));
}

#[test]
fn certificates_that_are_named_one_by_one_are_pinned_where_no_ca_is_asked() {
    let lines = "accept = 1\nconnect = 2\ncert = /s.pem\nCAfile = /peers.pem\nverifyPeer = yes\n";
    let pins = translated(&format!("[r]\n{lines}"));
    assert!(pins.is_complete() && !pins.settings.contains("tls-ca-cert-file"), "{:?}", pins.told);
    assert_eq!(pins.settings.matches("trust = \"pin\"").count(), 2);
    let both = translated(&format!("[r]\n{lines}verifyChain = yes\n"));
    assert!(!both.is_complete(), "CAs and others are in one file");
    assert_eq!(both.settings.matches("\nsha256 = ").count(), 1);
    assert!(!translated(&format!("[r]\nclient = yes\n{lines}")).is_complete(), "a CA has to vouch for the server");
}

#[test]
fn one_process_is_in_front_of_one_redis() {
    let of = |other: &str| translated(&format!("[a]\nconnect = 6379\n[b]\nconnect = {other}\n")).told;
    let is_missing = |told: &Told| matches!(&told.became, Became::Missing(why) if why.contains("start another"));
    assert!(!of("127.0.0.1:6379").iter().any(is_missing));
    assert!(of("6378").iter().any(is_missing));
}

#[test]
fn versions_of_tls_are_those_that_are_left() {
    for (lines, expected) in [
        ("sslVersionMin = TLSv1.2", None),
        ("sslVersion = TLSv1.2", Some("[\"TLSv1.2\"]")),
        ("sslVersionMin = TLSv1.3", Some("[\"TLSv1.3\"]")),
        ("sslVersionMax = TLSv1.2", Some("[\"TLSv1.2\"]")),
        ("options = NO_TLSv1_3", Some("[\"TLSv1.2\"]")),
        ("options = NO_TLSv1_2", Some("[\"TLSv1.3\"]")),
    ] {
        let settings = translated(&format!("[r]\n{lines}\n")).settings;
        let found = settings.lines().find_map(|line| line.strip_prefix("tls-protocols = "));
        assert_eq!(found, expected, "{lines}");
    }
    assert!(matches!(became("sslVersion = TLSv1.1", false), Became::Missing(_)));
}

#[test]
fn what_holds_for_all_cannot_differ_between_sections() {
    let told = translated("[a]\nTIMEOUTidle = 10\n[b]\nTIMEOUTidle = 20\n").told;
    assert!(told.iter().any(|told| told.became == setting("timeout = 10")));
    let differs =
        |told: &Told| matches!(&told.became, Became::Missing(why) if why.starts_with("timeout holds for all"));
    assert!(told.iter().any(differs));
}

#[test]
fn what_is_not_taken_over_says_what_to_do() {
    for line in
        ["PSKsecrets = /psk", "CApath = /cas", "cert = /s.p12", "libwrap = yes", "OCSPaia = yes", "exec = /bin/sh"]
    {
        assert!(matches!(became(line, false), Became::Missing(_)), "{line}");
    }
    for line in ["socket = l:TCP_NODELAY=1", "ciphers = HIGH", "renegotiation = no", "TIMEOUTclose = 0"] {
        assert!(matches!(became(line, false), Became::Better(_)), "{line}");
    }
}

#[test]
fn what_would_let_in_more_than_stunnel_does_is_not_taken_over() {
    let server = |more: &str| format!("accept = 1\nconnect = 3\ncert = /s.pem\n{more}");
    let chain = "CAfile = /ca.pem\nverifyChain = yes\n";
    let two = |first: &str, second: &str| translated(&format!("[a]\n{}[b]\n{}", server(first), server(second)));
    assert!(two(chain, chain).is_complete());
    assert!(!two(&format!("{chain}checkHost = x\n"), chain).is_complete(), "rules hold for both");
    let one = |more: &str| translated(&format!("[a]\n{}", server(more)));
    let peers = one("CAfile = /peers.pem\nverifyPeer = yes\ncheckHost = x\n");
    assert!(!peers.is_complete() && !peers.settings.contains("dns ="), "{}", peers.settings);
    let partial = one("CAfile = /partial.pem\nverifyChain = yes\n");
    assert!(!partial.is_complete() && !partial.settings.contains("ca-spki-sha256"), "{}", partial.settings);
}
