//! `respgate cert`: what it issues is accepted by openssl, redis-cli and respgate itself, and taken back by a CRL.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use crate::support::{Identity, RedisServer, RespClient, Respgate, respgate_binary, upstream_of};

#[test]
fn openssl_finds_nothing_wrong_with_what_is_issued() {
    let dir = authority();
    done(cert(dir.path(), &["server", "localhost", "127.0.0.1", "::1", "--file", "server"]));
    done(cert(dir.path(), &["client", "shop"]));
    for (file, purpose) in [("server.crt", "sslserver"), ("shop.crt", "sslclient")] {
        let said = openssl(dir.path(), &["verify", "-x509_strict", "-purpose", purpose, "-CAfile", "ca.crt", file]);
        assert_eq!(said.trim(), format!("{file}: OK"));
        let text = openssl(dir.path(), &["x509", "-noout", "-text", "-in", file]);
        for words in ["Version: 3 ", "ASN1 OID: prime256v1", "CA:FALSE"] {
            assert!(text.contains(words), "{words} in {text}");
        }
    }
    let text = openssl(dir.path(), &["x509", "-noout", "-text", "-in", "server.crt"]);
    assert!(text.contains("DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1"), "{text}");
}

#[test]
fn no_two_authorities_have_the_same_name_unless_they_are_given_it() {
    let subject = |dir: &Path| openssl(dir, &["x509", "-noout", "-subject", "-nameopt", "multiline", "-in", "ca.crt"]);
    let (one, other, named) = (authority(), authority(), tempfile::tempdir().unwrap());
    assert!(subject(one.path()).contains("respgate CA "), "{}", subject(one.path()));
    assert_ne!(subject(one.path()), subject(other.path()));
    done(cert(named.path(), &["ca", "--name", "my own"]));
    assert!(subject(named.path()).trim().ends_with("= my own"), "{}", subject(named.path()));
}

#[test]
fn a_revocation_list_lasts_as_long_as_its_authority_and_nothing_lasts_longer() {
    let end = |dir: &Path, arguments: &[&str]| openssl(dir, arguments).trim().split_once('=').unwrap().1.to_owned();
    let end_of_list = |dir: &Path| end(dir, &["crl", "-noout", "-nextupdate", "-in", "ca.crl"]);
    let end_of = |dir: &Path, file: &str| end(dir, &["x509", "-noout", "-enddate", "-in", file]);
    let dir = authority();
    let last = end_of(dir.path(), "ca.crt");
    assert_eq!(end_of_list(dir.path()), last);
    done(cert(dir.path(), &["client", "shop", "--days", "36500"]));
    assert_eq!(end_of(dir.path(), "shop.crt"), last);
    done(cert(dir.path(), &["crl", "--days", "7"]));
    assert_ne!(end_of_list(dir.path()), last);
    done(cert(dir.path(), &["revoke", "shop", "--days", "36500"]));
    assert_eq!(end_of_list(dir.path()), last);
    done(cert(dir.path(), &["crl"]));
    assert_eq!(end_of_list(dir.path()), last);
}

#[test]
fn a_revoked_name_is_in_the_list_and_no_other() {
    let dir = authority();
    for name in ["shop", "ops"] {
        done(cert(dir.path(), &["client", name]));
    }
    let said = done(cert(dir.path(), &["revoke", "shop"]));
    assert!(said.starts_with("revoked: client shop, serial "), "{said}");
    assert_eq!(said.matches("revoked: ").count(), 1, "{said}");
    let verify = |file: &str| {
        let arguments = ["verify", "-crl_check", "-CAfile", "ca.crt", "-CRLfile", "ca.crl", file];
        Command::new("openssl").args(arguments).current_dir(dir.path()).output().unwrap()
    };
    assert!(verify("ops.crt").status.success());
    let refused = verify("shop.crt");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("certificate revoked"), "{refused:?}");
    let list = done(cert(dir.path(), &["list"]));
    let states = list.lines().map(|line| (line.split(' ').next().unwrap(), line.rsplit(' ').next().unwrap()));
    let states: Vec<_> = states.collect();
    let certificates = [("valid", "ca"), ("revoked", "shop"), ("valid", "ops")];
    assert_eq!(states, [&[("STATE", "NAME")], &certificates[..], &[("valid", "ca.crl")]].concat());
}

#[test]
fn of_several_certificates_with_one_name_the_file_or_the_serial_number_says_which() {
    let dir = authority();
    let path = |file: &str| dir.path().join(file);
    for number in 1..=4 {
        done(cert(dir.path(), &["client", "shop"]));
        for kind in ["crt", "key"] {
            fs::rename(path(&format!("shop.{kind}")), path(&format!("shop-{number}.{kind}"))).unwrap();
        }
    }
    let serial = |number: u32| serial(dir.path(), &format!("shop-{number}.crt")).to_uppercase();
    let list = || openssl(dir.path(), &["crl", "-noout", "-text", "-in", "ca.crl"]);
    let before = [fs::read(path("index")).unwrap(), fs::read(path("ca.crl")).unwrap()];
    let output = cert(dir.path(), &["revoke", "shop"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for number in 1..=4 {
        assert!(said.contains(&serial(number).to_lowercase()) && said.contains("which expires on 20"), "{said}");
    }
    assert_eq!([fs::read(path("index")).unwrap(), fs::read(path("ca.crl")).unwrap()], before);
    done(cert(dir.path(), &["revoke", "--cert", path("shop-2.crt").to_str().unwrap()]));
    done(cert(dir.path(), &["revoke", "--serial", &serial(3)]));
    for (number, is_listed) in [(1, false), (2, true), (3, true), (4, false)] {
        assert_eq!(list().contains(&serial(number)), is_listed, "{number}");
    }
    let said = done(cert(dir.path(), &["revoke", "shop", "--all"]));
    assert_eq!(said.matches("revoked: client shop").count(), 2, "{said}");
    assert!((1..=4).all(|number| list().contains(&serial(number))), "{}", list());
}

#[test]
fn a_certificate_of_somebody_else_is_not_revoked() {
    let (dir, stranger) = (authority(), authority());
    done(cert(stranger.path(), &["client", "shop"]));
    let theirs = stranger.path().join("shop.crt");
    for (wrong, words) in [
        (["--cert", theirs.to_str().unwrap()], "another authority"),
        (["--cert", dir.path().join("ca.crt").to_str().unwrap()], "of the authority itself"),
        (["--cert", dir.path().join("ca.key").to_str().unwrap()], "ca.key"),
        (["--cert", "/nonexistent"], "/nonexistent"),
        (["--serial", "1234"], "no certificate with the serial number 1234"),
        (["--serial", "shop"], "no serial number"),
    ] {
        let output = cert(dir.path(), &["revoke", wrong[0], wrong[1]]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(words), "{words} in {said}");
    }
    for wrong in [&["revoke"][..], &["revoke", "shop", "--serial", "1"], &["revoke", "--serial", "1", "--all"]] {
        assert_eq!(cert(dir.path(), wrong).status.code(), Some(2), "{wrong:?}");
    }
}

#[test]
fn a_revocation_that_no_listener_reads_is_a_revocation_with_a_warning() {
    let dir = authority();
    let path = |file: &str| dir.path().join(file);
    let revoke = |arguments: &[&str], variable: &str| {
        done(cert(dir.path(), &["client", "shop"]));
        for file in ["shop.crt", "shop.key"] {
            fs::remove_file(path(file)).unwrap();
        }
        let mut program = respgate_binary();
        program.args(["cert", "revoke", "shop"]).args(arguments).arg("--dir").arg(dir.path());
        let output = program.env("RESPGATE_CONFIG", variable).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stdout).starts_with("revoked: client shop"), "{output:?}");
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let config = path("respgate.toml");
    let config = config.to_str().unwrap();
    let list = format!("tls-crl-file = {:?}", path("ca.crl").canonicalize().unwrap());
    let nobody = "warning: the revocation has no effect";
    for (text, warnings) in [
        ("listen = \"a:1\"\n", &[" at a:1: no tls-crl-file is set there: write in ", &list][..]),
        (
            "listen = \"a:1\"\ntls-crl-file = \"other.crl\"\n",
            &[" at a:1: tls-crl-file names ", "other.crl there: copy "],
        ),
        (
            "listen = \"a:1\"\ntls = \"no\"\ntls-crl-file = \"ca.crl\"\n",
            &[": no listener of ", " asks for certificates"],
        ),
        ("[[listener]]\nlisten = \"a:1\"\ntls-crl-file = \"ca.crl\"\n[[listener]]\nlisten = \"b:2\"\n", &[" at b:2: "]),
    ] {
        fs::write(config, text).unwrap();
        for (said, warned) in [revoke(&["--config", config], ""), revoke(&[], config)] {
            assert!(warned.starts_with(nobody) && warned.lines().count() == 1, "{warned}");
            assert!(warnings.iter().all(|words| warned.contains(words)), "{warnings:?} in {warned}");
            assert_eq!(said.contains("names it as tls-crl-file"), text.contains("b:2"), "{said}");
        }
    }
    std::os::unix::fs::symlink(path("ca.crl"), path("link.crl")).unwrap();
    fs::write(config, "listen = \"a:1\"\ntls-crl-file = \"./link.crl\"\n").unwrap();
    let (said, warned) = revoke(&["--config", config], "");
    assert!(said.contains("respgate.toml names it as tls-crl-file") && warned.is_empty(), "{said}{warned}");
    fs::write(config, "lisen = 1\n").unwrap();
    let (_, warned) = revoke(&["--config", config], "");
    assert!(warned.lines().all(|line| line.starts_with("warning: ") || line.starts_with(' ')), "{warned}");
    assert!(warned.contains("whether anybody reads") && warned.contains("unknown key `lisen`"), "{warned}");
    done(cert(dir.path(), &["client", "shop"]));
    let said = done(cert(dir.path(), &["revoke", "shop"]));
    assert!(said.contains(&format!("the proxy has to read it, {list}")), "{said}");
}

#[test]
fn a_list_that_is_a_symbolic_link_is_written_where_it_leads() {
    let dir = authority();
    let path = |file: &str| dir.path().join(file);
    fs::create_dir(path("seen")).unwrap();
    fs::rename(path("ca.crl"), path("seen/list.crl")).unwrap();
    std::os::unix::fs::symlink("seen/list.crl", path("ca.crl")).unwrap();
    let before = fs::read(path("seen/list.crl")).unwrap();
    done(cert(dir.path(), &["client", "shop"]));
    done(cert(dir.path(), &["revoke", "shop"]));
    assert!(path("ca.crl").is_symlink());
    assert_ne!(fs::read(path("seen/list.crl")).unwrap(), before);
    fs::remove_file(path("seen/list.crl")).unwrap();
    let output = cert(dir.path(), &["crl"]);
    assert_eq!(output.status.code(), Some(1), "nobody would read it here: {output:?}");
    assert!(path("ca.crl").is_symlink());
}

#[test]
fn nothing_is_overwritten_and_keys_are_for_their_owner_only() {
    let dir = authority();
    done(cert(dir.path(), &["client", "shop"]));
    let before =
        ["ca.crt", "ca.key", "shop.crt", "shop.key", "index"].map(|file| fs::read(dir.path().join(file)).unwrap());
    for again in [&["ca"][..], &["client", "shop"], &["server", "shop"]] {
        let output = cert(dir.path(), again);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("is not overwritten"), "{output:?}");
    }
    let after =
        ["ca.crt", "ca.key", "shop.crt", "shop.key", "index"].map(|file| fs::read(dir.path().join(file)).unwrap());
    assert_eq!(before, after);
    for (file, mode) in [("ca.key", 0o600), ("shop.key", 0o600), ("index", 0o600), ("ca.crt", 0o644), ("ca.crl", 0o644)]
    {
        let metadata = fs::metadata(dir.path().join(file)).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o7777, mode, "{file}");
    }
}

#[test]
fn what_cannot_be_done_is_said_and_leaves_nothing_behind() {
    let dir = authority();
    for wrong in
        [&["client", "../x"][..], &["client", "ca"], &["server", "a b"], &["revoke", "nobody"], &["revoke", "ca"]]
    {
        let output = cert(dir.path(), wrong);
        assert_eq!(output.status.code(), Some(1), "{wrong:?}");
        assert!(!output.stderr.is_empty());
    }
    let mut files: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    files.sort();
    assert_eq!(files, ["ca.crl", "ca.crt", "ca.key", "index"]);
    let elsewhere = tempfile::tempdir().unwrap();
    let output = cert(elsewhere.path(), &["client", "shop"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("respgate cert ca --dir"), "{output:?}");
}

#[test]
fn certificates_made_at_the_same_time_are_all_in_the_index() {
    let dir = authority();
    let children: Vec<_> = (0..8)
        .map(|number| {
            let name = format!("client-{number}");
            respgate_binary().args(["cert", "client", &name, "--dir"]).arg(dir.path()).spawn().unwrap()
        })
        .collect();
    children.into_iter().for_each(|mut child| assert!(child.wait().unwrap().success()));
    let list = done(cert(dir.path(), &["list"]));
    assert_eq!(list.lines().filter(|line| line.contains(" client-")).count(), 8, "{list}");
}

#[test]
fn a_renewed_certificate_is_the_same_but_for_key_and_time() {
    let dir = authority();
    done(cert(
        dir.path(),
        &["server", "*.example.com", "localhost", "127.0.0.1", "::1", "--file", "server", "--days", "20"],
    ));
    done(cert(dir.path(), &["client", "shop", "--days", "90"]));
    done(cert(dir.path(), &["client", "ops"]));
    // In whatever order.
    let text = |file: &str, what: &[&str]| {
        let said = openssl(dir.path(), &[&["x509", "-noout", "-in", file, "-nameopt", "RFC2253"], what].concat());
        let mut lines: Vec<String> = said.lines().map(|line| line.trim().to_owned()).collect();
        lines.sort();
        lines
    };
    const SAME: &[&str] = &[
        "-subject",
        "-issuer",
        "-ext",
        "subjectAltName,keyUsage,extendedKeyUsage,basicConstraints,authorityKeyIdentifier",
    ];
    let read = |file: &str| fs::read(dir.path().join(file)).unwrap();
    for (name, arguments, days) in [("server", &["renew", "--within", "30d"][..], 20), ("shop", &["renew", "shop"], 90)]
    {
        let [certificate, key] = ["crt", "key"].map(|kind| format!("{name}.{kind}"));
        let before = (read(&certificate), read(&key), text(&certificate, SAME), text(&certificate, &["-pubkey"]));
        let serial = serial(dir.path(), &certificate);
        let said = done(cert(dir.path(), arguments));
        assert!(said.contains(&format!(" {name}, serial ")) && said.lines().count() == 1, "{said}");
        assert_eq!(text(&certificate, SAME), before.2);
        assert_ne!(text(&certificate, &["-pubkey"]), before.3, "another key");
        assert_eq!(read(&format!("{name}.{serial}.crt")), before.0);
        assert_eq!(read(&format!("{name}.{serial}.key")), before.1);
        let end = |within: u32| {
            let seconds = (within * 86_400).to_string();
            Command::new("openssl")
                .args(["x509", "-checkend", &seconds, "-noout", "-in", &certificate])
                .current_dir(dir.path())
                .output()
        };
        assert!(end(days - 1).unwrap().status.success() && !end(days).unwrap().status.success(), "as long as before");
        let own = openssl(dir.path(), &["pkey", "-in", &key, "-pubout"]);
        let public = openssl(dir.path(), &["x509", "-noout", "-pubkey", "-in", &certificate]);
        assert_eq!(public, own, "the key of the certificate");
        openssl(dir.path(), &["verify", "-x509_strict", "-CAfile", "ca.crt", &certificate]);
    }
    let said = done(cert(dir.path(), &["list"]));
    assert_eq!(["server", "shop", "ops"].map(|name| said.matches(&format!(" {name}\n")).count()), [2, 2, 1], "{said}");
    assert!(done(cert(dir.path(), &["renew", "--within", "10d"])).starts_with("nothing ends before 20"));
    for wrong in [&["renew"][..], &["renew", "shop", "--within", "30d"], &["renew", "--within", "30"]] {
        assert_eq!(cert(dir.path(), wrong).status.code(), Some(2), "{wrong:?}");
    }
}

#[test]
fn what_cannot_be_renewed_is_named_and_the_rest_is_renewed() {
    let dir = authority();
    let path = |file: &str| dir.path().join(file);
    for name in ["moved", "revoked", "other", "good"] {
        done(cert(dir.path(), &["client", name, "--days", "5"]));
    }
    fs::rename(path("moved.crt"), path("away.crt")).unwrap();
    done(cert(dir.path(), &["revoke", "revoked"]));
    fs::copy(path("good.crt"), path("other.crt")).unwrap();
    let output = cert(dir.path(), &["renew", "--within", "30d"]);
    let (said, failed) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{said}{failed}");
    assert!(said.starts_with("renewed: client good, ") && said.lines().count() == 1, "{said}");
    assert!(failed.contains("not renewed: client moved, ") && failed.contains("moved.crt is not there"), "{failed}");
    assert!(failed.contains("not renewed: client other, ") && failed.contains("is not in the index under"), "{failed}");
    assert_eq!(failed.lines().count(), 2, "who is revoked is given up: {failed}");
    for (name, words) in
        [("revoked", "revoked.crt is revoked"), ("../x", "cannot be a file's name"), ("new", "not there")]
    {
        let output = cert(dir.path(), &["renew", name]);
        let failed = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && failed.contains(words), "{failed}");
    }
}

#[test]
fn an_authority_that_ends_is_renewed_with_its_key_and_its_list_with_it() {
    let dir = tempfile::tempdir().unwrap();
    done(cert(dir.path(), &["ca", "--days", "20"]));
    let said = done(cert(dir.path(), &["client", "shop"]));
    assert!(said.contains("good until"), "{said}");
    for file in ["ca.crt", "shop.crt"] {
        fs::copy(dir.path().join(file), dir.path().join(format!("old-{file}"))).unwrap();
    }
    let end_of_list = || openssl(dir.path(), &["crl", "-noout", "-nextupdate", "-in", "ca.crl"]);
    let (before, ca) = (end_of_list(), serial(dir.path(), "ca.crt"));
    let output = cert(dir.path(), &["renew", "--within", "30d"]);
    let failed = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{failed}");
    assert!(
        failed.contains("not renewed: ca: the authority in ") && failed.contains("respgate cert renew ca"),
        "{failed}"
    );
    assert!(failed.contains("not renewed: client shop, "), "{failed}");
    let said = done(cert(dir.path(), &["renew", "ca", "shop", "--days", "3650"]));
    assert!(said.contains(&format!("the old one is ca.{ca}.crt: take ca.crt to every proxy and client")), "{said}");
    assert!(said.contains("renewed: client shop, "), "{said}");
    assert_ne!(end_of_list(), before);
    // Who has either of the two certificates of the authority trusts what was issued under either.
    for authority in ["ca.crt", "old-ca.crt", &format!("ca.{ca}.crt")] {
        for file in ["shop.crt", "old-shop.crt"] {
            openssl(
                dir.path(),
                &["verify", "-x509_strict", "-crl_check", "-CAfile", authority, "-CRLfile", "ca.crl", file],
            );
        }
    }
    done(cert(dir.path(), &["renew", "--within", "30d"]));
    let output = cert(dir.path(), &["renew", "ca", "--days", "20"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("lasts until"), "{output:?}");
}

#[test]
fn a_list_that_was_made_for_less_time_is_renewed_for_as_long() {
    let dir = authority();
    done(cert(dir.path(), &["crl", "--days", "7"]));
    let end = || openssl(dir.path(), &["crl", "-noout", "-nextupdate", "-in", "ca.crl"]);
    let number = || openssl(dir.path(), &["crl", "-noout", "-crlnumber", "-in", "ca.crl"]);
    let before = (end(), number());
    assert!(done(cert(dir.path(), &["renew", "--within", "6d"])).starts_with("nothing ends before"));
    assert_eq!((end(), number()), before);
    let said = done(cert(dir.path(), &["renew", "--within", "30d"]));
    assert!(said.contains("ca.crl is good until"), "{said}");
    assert_ne!(number(), before.1);
    assert!(done(cert(dir.path(), &["renew", "--within", "6d"])).starts_with("nothing ends before"));
    assert!(done(cert(dir.path(), &["renew", "--within", "8d"])).contains("ca.crl is good until"));
}

#[test]
fn a_renewal_that_was_cut_off_halfway_is_done_again() {
    let dir = authority();
    let path = |file: &str| dir.path().join(file);
    done(cert(dir.path(), &["client", "shop", "--days", "20"]));
    let serial = serial(dir.path(), "shop.crt");
    let old = ["shop.crt", "shop.key"].map(|file| fs::read(path(file)).unwrap());
    done(cert(dir.path(), &["renew", "shop"]));
    // The new key is in its place, and the new certificate, which the index has, is not.
    fs::write(path("shop.crt"), &old[0]).unwrap();
    fs::write(path("shop.crt.new"), "half").unwrap();
    done(cert(dir.path(), &["renew", "--within", "30d"]));
    assert_eq!(
        [format!("shop.{serial}.crt"), format!("shop.{serial}.key")].map(|file| fs::read(path(&file)).unwrap()),
        old
    );
    let public = openssl(dir.path(), &["pkey", "-in", "shop.key", "-pubout"]);
    assert_eq!(openssl(dir.path(), &["x509", "-noout", "-pubkey", "-in", "shop.crt"]), public);
    assert!(done(cert(dir.path(), &["renew", "--within", "10d"])).starts_with("nothing ends before"));
    assert!(!path("shop.crt.new").exists());
}

#[test]
fn of_renewals_at_the_same_time_one_is_done() {
    let dir = authority();
    done(cert(dir.path(), &["client", "shop", "--days", "20"]));
    let child = || {
        let mut command = respgate_binary();
        command.args(["cert", "renew", "--within", "10d", "--days", "90", "--dir"]).arg(dir.path());
        command.stdout(std::process::Stdio::piped()).spawn().unwrap()
    };
    done(cert(dir.path(), &["renew", "shop", "--days", "5"]));
    let children: Vec<_> = (0..6).map(|_| child()).collect();
    let said: String = children.into_iter().map(|child| done(child.wait_with_output().unwrap())).collect();
    assert_eq!(said.matches("renewed: client shop").count(), 1, "{said}");
    assert_eq!(said.matches("nothing ends before").count(), 5, "{said}");
}

#[test]
fn the_owner_and_group_of_a_key_can_read_the_next_one() {
    let dir = authority();
    let path = dir.path().join("shop.key");
    done(cert(dir.path(), &["client", "shop"]));
    for (before, after) in [(0o640, 0o640), (0o644, 0o640), (0o600, 0o600)] {
        fs::set_permissions(&path, fs::Permissions::from_mode(before)).unwrap();
        done(cert(dir.path(), &["renew", "shop"]));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, after);
    }
}

#[test]
fn redis_cli_gets_in_with_an_issued_certificate_until_it_is_revoked() {
    let redis = RedisServer::start();
    let dir = authority();
    done(cert(dir.path(), &["server", "localhost", "127.0.0.1", "--file", "server"]));
    done(cert(dir.path(), &["client", "shop"]));
    let path = |file: &str| dir.path().join(file);
    let mut setup = Respgate::setup(&upstream_of(&redis)).acl("user shop on +@all ~*\n").expect_log("handshake");
    for (key, file) in [("cert", "server.crt"), ("key", "server.key"), ("ca-cert", "ca.crt"), ("crl", "ca.crl")] {
        setup = setup.arg(&format!("--tls-{key}-file={}", path(file).display()));
    }
    let gate = setup.start();
    let ping = || {
        Command::new("redis-cli")
            .args(["--tls", "-p", &gate.address().port().to_string(), "--cacert", "ca.crt"])
            .args(["--cert", "shop.crt", "--key", "shop.key", "ACL", "WHOAMI"])
            .current_dir(dir.path())
            .output()
            .unwrap()
    };
    assert_eq!(String::from_utf8_lossy(&ping().stdout).trim(), "shop");
    let shop = Identity { cert: path("shop.crt"), key: path("shop.key") };
    let mut live = RespClient::tls(gate.address(), &path("ca.crt"), Some(&shop));
    assert_eq!(live.text(&["PING"]), "+PONG");
    done(cert(dir.path(), &["revoke", "shop"]));
    live.expect_closed();
    assert_eq!(String::from_utf8_lossy(&ping().stdout).trim(), "");
}

fn authority() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    done(cert(dir.path(), &["ca"]));
    dir
}

fn cert(dir: &Path, arguments: &[&str]) -> Output {
    respgate_binary().arg("cert").args(arguments).arg("--dir").arg(dir).output().unwrap()
}

fn done(output: Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// In lower case.
fn serial(dir: &Path, file: &str) -> String {
    let said = openssl(dir, &["x509", "-noout", "-serial", "-in", file]);
    said.trim().trim_start_matches("serial=").to_lowercase()
}

fn openssl(dir: &Path, arguments: &[&str]) -> String {
    let output = Command::new("openssl").args(arguments).current_dir(dir).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
