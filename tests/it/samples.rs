//! What the repository offers to copy is valid.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{folder, respgate_binary};

const CONFIG: &str = "respgate/respgate.toml";
const USERS: &str = "respgate/users.acl";

#[test]
fn the_sample_configuration_passes_check_with_the_certificates_of_its_script() {
    let dir = folder();
    make_certificates(dir.path());
    copy_samples(dir.path());
    let output = respgate_binary().args(["check", "--config", CONFIG]).current_dir(dir.path()).output().unwrap();
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
        sh("mkdir -p certs-example/respgate");
        for sample in ["make.sh", CONFIG, USERS] {
            sh(&format!("cat {} >certs-example/{sample}", samples().join(sample).display()));
            if rustix::process::geteuid().is_root() {
                std::os::unix::fs::chown(clone.join(sample), None, Some(4711)).unwrap();
            }
        }
        sh("sh certs-example/make.sh");
        let output = respgate_binary().args(["check", "--config", CONFIG]).current_dir(&clone).output().unwrap();
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
        copy_samples(dir.path());
        let verdict = |client: &str| {
            let mut check = respgate_binary();
            check.args(["check", "--config", CONFIG, "--client-cert", client]).current_dir(dir.path());
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
fn the_sample_acl_file_passes_acl_check() {
    let output = respgate_binary().args(["acl", "check"]).arg(samples().join(USERS)).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Sidekiq, rq, arq, BullMQ, Bee-Queue and GLIDE ask for it when they start.
#[test]
fn the_sample_application_may_ask_for_info_and_nothing_else_that_is_dangerous() {
    let explain = |command: &str| {
        let mut explain = respgate_binary();
        explain.args(["acl", "explain", "--user", "shop", "--aclfile"]).arg(samples().join(USERS));
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

fn copy_samples(dir: &Path) {
    for sample in [CONFIG, USERS] {
        // Its mode is that of a new file.
        fs::write(dir.join(sample), fs::read(samples().join(sample)).unwrap()).unwrap();
    }
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
