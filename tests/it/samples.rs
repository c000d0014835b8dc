//! What the repository offers to copy is valid.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{folder, respgate_binary};

#[test]
fn the_sample_configuration_passes_check_with_the_certificates_of_its_script() {
    let dir = folder();
    make_certificates(dir.path());
    for sample in ["respgate.toml", "users.acl"] {
        let text = fs::read(samples().join(sample)).unwrap();
        fs::write(dir.path().join(sample), text).unwrap();
    }
    let output =
        respgate_binary().args(["check", "--config", "respgate.toml"]).current_dir(dir.path()).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{said}");
}

/// A clone is made under the umask of whoever makes it, with a group of his own.
#[test]
fn the_samples_of_any_clone_pass_check_once_the_script_has_run() {
    for umask in ["000", "002", "022", "077"] {
        let dir = folder();
        let clone = dir.path().join("certs-example");
        let sh = |line: &str| {
            let line = format!("umask {umask}; {line}");
            let output = Command::new("sh").args(["-ec", &line]).current_dir(&dir).output().unwrap();
            assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        };
        sh("mkdir certs-example");
        for sample in ["make.sh", "respgate.toml", "users.acl"] {
            sh(&format!("cat {} >certs-example/{sample}", samples().join(sample).display()));
            if rustix::process::geteuid().is_root() {
                std::os::unix::fs::chown(clone.join(sample), None, Some(4711)).unwrap();
            }
        }
        sh("sh certs-example/make.sh");
        let output =
            respgate_binary().args(["check", "--config", "respgate.toml"]).current_dir(&clone).output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(0), "{umask}: {said}");
    }
}

#[test]
fn a_certificate_of_the_script_is_refused_once_it_is_revoked_as_the_script_says() {
    for path in [search_path(), search_path_with_respgate()] {
        let dir = folder();
        let path = std::env::join_paths(path).unwrap();
        let said = make_certificates_with(dir.path(), &path);
        for sample in ["respgate.toml", "users.acl"] {
            fs::write(dir.path().join(sample), fs::read(samples().join(sample)).unwrap()).unwrap();
        }
        let verdict = |client: &str| {
            let mut check = respgate_binary();
            check.args(["check", "--config", "respgate.toml", "--client-cert", client]).current_dir(dir.path());
            let output = check.output().unwrap();
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
        };
        assert!(verdict("shop.crt").contains("trusted, user shop"), "{}", verdict("shop.crt"));
        let (_, command) = said.split_once("to take one back: ").unwrap();
        let output = Command::new("sh").args(["-ec", command]).env("PATH", &path).output().unwrap();
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(!String::from_utf8_lossy(&output.stderr).contains("warning"), "{output:?}");
        assert!(verdict("shop.crt").contains("refused (revoked)"), "{}", verdict("shop.crt"));
        assert!(verdict("ops.crt").contains("trusted, user ops"), "{}", verdict("ops.crt"));
    }
}

#[test]
fn compose_mounts_every_file_that_the_sample_configuration_names() {
    let read = |path: &str| fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    let (compose, sample) = (read("compose.yaml"), read("certs-example/respgate.toml"));
    let sample = sample.lines().filter(|line| !line.starts_with('#'));
    let files = sample.filter(|line| line.split(" = ").next().is_some_and(|key| key.ends_with("file")));
    let files: Vec<&str> = files.map(|line| line.split('"').nth(1).unwrap()).collect();
    assert_eq!(files.len(), 5, "{files:?}");
    for file in files {
        // Of what is replaced as a whole, the directory.
        let mounted = Path::new(file).components().next().unwrap().as_os_str().to_str().unwrap();
        assert!(compose.contains(&format!("target: /etc/respgate/{mounted}\n")), "{file}");
    }
}

#[test]
fn the_sample_acl_file_passes_acl_check() {
    let output = respgate_binary().args(["acl", "check"]).arg(samples().join("users.acl")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Sidekiq, rq, arq, BullMQ, Bee-Queue and GLIDE ask for it when they start.
#[test]
fn the_sample_application_may_ask_for_info_and_nothing_else_that_is_dangerous() {
    let explain = |command: &str| {
        let mut explain = respgate_binary();
        explain.args(["acl", "explain", "--user", "shop", "--aclfile"]).arg(samples().join("users.acl"));
        let output = explain.arg("--").arg(command).output().unwrap();
        String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned()
    };
    assert_eq!(explain("INFO"), "allowed: info");
    assert!(explain("ROLE").starts_with("refused (acl-command)"));
}

#[test]
fn the_certificate_script_keeps_what_is_there_already() {
    let dir = folder();
    make_certificates(dir.path());
    let before = fs::read(dir.path().join("ca.crt")).unwrap();
    make_certificates(dir.path());
    assert_eq!(fs::read(dir.path().join("ca.crt")).unwrap(), before);
}

#[test]
fn the_certificate_script_uses_respgate_where_it_is_in_the_path() {
    let dir = folder();
    let path = std::env::join_paths(search_path_with_respgate()).unwrap();
    make_certificates_with(dir.path(), &path);
    make_certificates_with(dir.path(), &path);
    let output = respgate_binary().args(["cert", "list", "--dir"]).arg(dir.path()).output().unwrap();
    let list = String::from_utf8(output.stdout).unwrap();
    let names: Vec<_> = list.lines().skip(1).map(|line| line.rsplit(' ').next().unwrap()).collect();
    assert_eq!(names, ["ca", "server", "shop", "ops", "ca.crl"], "{list}");
}

/// Without respgate in it.
fn search_path() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).filter(|folder| !folder.join("respgate").exists()).collect()
}

fn search_path_with_respgate() -> Vec<PathBuf> {
    let own = Path::new(env!("CARGO_BIN_EXE_respgate")).parent().unwrap();
    [own.to_owned()].into_iter().chain(search_path()).collect()
}

fn make_certificates(dir: &Path) {
    make_certificates_with(dir, &std::env::join_paths(search_path()).unwrap());
}

/// Returns what the script says.
fn make_certificates_with(dir: &Path, path: &OsStr) -> String {
    let output = Command::new("sh").arg(samples().join("make.sh")).arg(dir).env("PATH", path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("certs-example")
}
