//! What the repository offers to copy is valid.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::respgate_binary;

#[test]
fn the_sample_configuration_passes_check_with_the_certificates_of_its_script() {
    let dir = tempfile::tempdir().unwrap();
    make_certificates(dir.path());
    for sample in ["respgate.toml", "users.acl"] {
        fs::copy(samples().join(sample), dir.path().join(sample)).unwrap();
    }
    let output =
        respgate_binary().args(["check", "--config", "respgate.toml"]).current_dir(dir.path()).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{said}");
}

#[test]
fn the_sample_acl_file_passes_acl_check() {
    let output = respgate_binary().args(["acl", "check"]).arg(samples().join("users.acl")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_certificate_script_keeps_what_is_there_already() {
    let dir = tempfile::tempdir().unwrap();
    make_certificates(dir.path());
    let before = fs::read(dir.path().join("ca.crt")).unwrap();
    make_certificates(dir.path());
    assert_eq!(fs::read(dir.path().join("ca.crt")).unwrap(), before);
}

fn make_certificates(dir: &Path) {
    let output = Command::new("sh").arg(samples().join("make.sh")).arg(dir).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("certs-example")
}
