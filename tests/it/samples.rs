//! What the repository offers to copy is valid.

use std::ffi::OsStr;
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

#[test]
fn the_certificate_script_uses_respgate_where_it_is_in_the_path() {
    let dir = tempfile::tempdir().unwrap();
    let own = Path::new(env!("CARGO_BIN_EXE_respgate")).parent().unwrap();
    let path = std::env::join_paths([own].into_iter().map(Path::to_owned).chain(search_path())).unwrap();
    make_certificates_with(dir.path(), &path);
    make_certificates_with(dir.path(), &path);
    let output = respgate_binary().args(["cert", "list", "--dir"]).arg(dir.path()).output().unwrap();
    let list = String::from_utf8(output.stdout).unwrap();
    let names: Vec<_> = list.lines().skip(1).map(|line| line.rsplit(' ').next().unwrap()).collect();
    assert_eq!(names, ["ca", "server", "shop", "ops"], "{list}");
}

/// Without respgate in it.
fn search_path() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).filter(|folder| !folder.join("respgate").exists()).collect()
}

fn make_certificates(dir: &Path) {
    make_certificates_with(dir, &std::env::join_paths(search_path()).unwrap());
}

fn make_certificates_with(dir: &Path, path: &OsStr) {
    let output = Command::new("sh").arg(samples().join("make.sh")).arg(dir).env("PATH", path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("certs-example")
}
