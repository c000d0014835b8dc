//! `respgate tunnel`, started for one test and watched through its log.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::gate::{is_complaint, listening_address};
use super::{Identity, RespClient, eventually, folder, respgate_binary};

/// One that listens on a unix socket of its own, unless it is told otherwise.
pub(crate) struct Tunnel {
    dir: TempDir,
    child: Option<Child>,
    announced: Vec<String>,
}

/// How one is to run.
#[must_use]
pub(crate) struct TunnelSetup {
    dir: TempDir,
    listen: String,
    args: Vec<String>,
    announced: Vec<String>,
}

impl Tunnel {
    /// To this server, whose certificate is one of this CA's.
    pub(crate) fn to(server: &str, ca_cert: &Path) -> TunnelSetup {
        let dir = folder();
        let listen = format!("unix:{}", dir.path().join("tunnel.sock").display());
        let setup = TunnelSetup { dir, listen, args: Vec::new(), announced: Vec::new() };
        // Few enough for any limit of open files.
        setup.arg("maxclients", "100").arg("connect", server).arg("tls-ca-cert-file", ca_cert.to_str().unwrap())
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("tunnel.sock")
    }

    /// An application.
    pub(crate) fn connect(&self) -> RespClient {
        RespClient::unix(&self.socket())
    }

    /// The port that it listens on.
    pub(crate) fn address(&self) -> SocketAddr {
        eventually("the tunnel to listen on a port", || self.log_text().lines().find_map(listening_address))
    }

    pub(crate) fn admin_socket(&self) -> PathBuf {
        self.dir.path().join("admin.sock")
    }

    pub(crate) fn log_text(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap()
    }

    /// Waits for a log line that contains all of these words.
    pub(crate) fn wait_for_log(&self, words: &[&str]) -> String {
        eventually(&format!("a log line with {words:?} in\n{}", self.log_text()), || {
            let log = self.log_text();
            let line = log.lines().find(|line| words.iter().all(|word| line.contains(word)))?;
            Some(line.to_owned())
        })
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(self.child.as_ref().expect("still running")), signal).unwrap();
    }

    /// Waits for the end of the process.
    pub(crate) fn exit_status(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("still running");
        eventually("the tunnel to end", || child.try_wait().unwrap())
    }
}

impl TunnelSetup {
    /// One more flag, in place of an earlier one like it.
    pub(crate) fn arg(mut self, key: &str, value: &str) -> TunnelSetup {
        self.args.retain(|known| !known.starts_with(&format!("--{key}=")));
        self.args.push(format!("--{key}={value}"));
        self
    }

    /// The certificate that it shows.
    pub(crate) fn shows(self, Identity { cert, key }: &Identity) -> TunnelSetup {
        self.arg("tls-cert-file", cert.to_str().unwrap()).arg("tls-key-file", key.to_str().unwrap())
    }

    /// Applications connect to a port that the system picks.
    pub(crate) fn on_a_port(mut self) -> TunnelSetup {
        "127.0.0.1:0".clone_into(&mut self.listen);
        self.expect_log("lends the certificate to every process")
    }

    /// Announces that WARN or ERROR lines with this word may be logged.
    pub(crate) fn expect_log(mut self, word: &str) -> TunnelSetup {
        self.announced.push(word.to_owned());
        self
    }

    /// Starts it and waits until it listens.
    pub(crate) fn start(self) -> Tunnel {
        let admin = self.dir.path().join("admin.sock");
        let child = respgate_binary()
            .args(["tunnel", "--log-format=json", &format!("--listen={}", self.listen)])
            .arg(format!("--admin-listen={}", admin.display()))
            .args(&self.args)
            .stdout(Stdio::null())
            .stderr(File::create(self.dir.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let tunnel = Tunnel { dir: self.dir, child: Some(child), announced: self.announced };
        tunnel.wait_for_log(&["\"listening\""]);
        tunnel
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let log = self.log_text();
        if std::thread::panicking() {
            eprintln!("the tunnel's log:\n{log}");
            return;
        }
        let is_announced = |line: &&str| self.announced.iter().any(|word| line.contains(word));
        let bad: Vec<&str> = log.lines().filter(|line| !is_announced(line)).filter(|line| is_complaint(line)).collect();
        assert!(bad.is_empty(), "the tunnel logged what no test expected:\n{}", bad.join("\n"));
    }
}
