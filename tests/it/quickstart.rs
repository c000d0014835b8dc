//! What quickstart.sh builds with, on machines with and without Rust. Stubs write down how they were called.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::support::folder;

#[test]
fn quickstart_builds_with_the_rust_that_is_there() {
    let machine = Machine::new();
    machine.stub("rustc", "echo rustc 1.99.0");
    let (calls, said) = machine.quickstart();
    assert_eq!(calls, ["cargo build --release --locked"], "{said}");
}

#[test]
fn quickstart_takes_debians_rustup_where_rust_is_missing() {
    let machine = Machine::new();
    machine.stub("apt-cache", "");
    let (calls, said) = machine.quickstart();
    let wanted = [
        "apt-get update -qq",
        "apt-get install -y -qq --no-install-recommends rustup ca-certificates",
        "rustup toolchain install stable --profile minimal",
        "rustup default stable",
        "cargo build --release --locked",
    ];
    assert_eq!(calls, wanted, "{said}");
}

#[test]
fn quickstart_takes_docker_where_debian_has_no_rustup() {
    let machine = Machine::new();
    machine.stub("docker", "note \"$@\"; [ $1 = info ]");
    let (calls, said) = machine.quickstart();
    assert_eq!(calls, ["apt-get update -qq", "docker info", "docker build --tag respgate ."], "{said}");
}

#[test]
fn quickstart_says_how_rust_comes_where_nothing_brings_it() {
    let (calls, said) = Machine::new().quickstart();
    assert_eq!(calls, ["apt-get update -qq", "docker info"], "{said}");
    let line = "Rust is missing; this brings it: curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh\n";
    assert!(said.ends_with(line), "{said}");
}

/// Debian's rustup would take the packages of the old one away.
#[test]
fn quickstart_leaves_a_rust_alone_that_is_too_old() {
    let machine = Machine::new();
    machine.stub("rustc", "echo rustc 1.63.0");
    machine.stub("apt-cache", "");
    let (calls, said) = machine.quickstart();
    assert_eq!(calls, ["docker info"], "{said}");
    assert!(said.contains("Rust 1.63.0 is too old, "), "{said}");
}

/// Without Rust and Docker, and a Debian without rustup.
struct Machine(TempDir);

impl Machine {
    fn new() -> Machine {
        let machine = Machine(folder());
        for present in ["redis-server", "redis-cli", "cc"] {
            machine.stub(present, "");
        }
        machine.stub("cargo", "note \"$@\"; exit 1");
        machine.stub("docker", "note \"$@\"; exit 1");
        machine.stub("rustc", "exit 1");
        machine.stub("rustup", "[ -e \"$LOG.installed\" ] || exit 1; note \"$@\"");
        machine.stub("apt-cache", "exit 1");
        machine.stub("apt-get", "note \"$@\"; case \"$*\" in *rustup*) touch \"$LOG.installed\";; esac");
        machine.stub("sudo", "exec \"$@\"");
        machine
    }

    /// A program that does this, and where it says `note` writes down how it was called.
    fn stub(&self, name: &str, does: &str) {
        let path = self.0.path().join(name);
        let text = format!("#!/bin/sh\nnote() {{ echo \"{name} $*\" >>\"$LOG\"; }}\n{does}\n");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// The calls, and the errors. What builds fails, and that is the end.
    fn quickstart(&self) -> (Vec<String>, String) {
        let log = self.0.path().join("log");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("quickstart.sh");
        let path = format!("{}:/usr/bin:/bin", self.0.path().display());
        let mut quickstart = Command::new("bash");
        quickstart.arg(script).arg("--check").env_clear().env("PATH", path).env("LOG", &log);
        let output = quickstart.output().unwrap();
        assert!(!output.status.success());
        let calls = fs::read_to_string(log).unwrap_or_default();
        (calls.lines().map(str::to_owned).collect(), String::from_utf8(output.stderr).unwrap())
    }
}
