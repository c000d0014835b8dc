//! A real redis-server for one test.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::{RespClient, eventually, request};

/// A redis-server with a unix socket, a loopback port, no persistence and a folder of its own.
pub(crate) struct RedisServer {
    dir: TempDir,
    args: Vec<String>,
    port: u16,
    child: Option<Child>,
}

impl RedisServer {
    pub(crate) fn start() -> RedisServer {
        RedisServer::start_with(&[])
    }

    /// Starts one with more options of redis.conf, each as `--name`, `value`.
    pub(crate) fn start_with(args: &[&str]) -> RedisServer {
        let mut server = RedisServer::stopped(args);
        server.restart();
        server
    }

    /// A Redis that is not running yet; its socket path is known already.
    pub(crate) fn stopped(args: &[&str]) -> RedisServer {
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        RedisServer { dir: tempfile::tempdir().unwrap(), args, port: 0, child: None }
    }

    /// Starts it, again if need be, and waits until both of its sockets answer.
    pub(crate) fn restart(&mut self) {
        self.stop();
        // The port is free when we look; should another process take it first, Redis exits and we try another.
        self.child = Some(eventually("redis-server to start", || {
            self.port = free_port();
            let mut child = self.spawn();
            let answers = eventually("redis-server to answer or to exit", || {
                if child.try_wait().unwrap().is_some() {
                    return Some(false);
                }
                let listens = UnixStream::connect(self.socket()).is_ok() && TcpStream::connect(self.address()).is_ok();
                // It listens before it has read its users, and may still refuse to start.
                (listens && self.answers()).then_some(true)
            });
            answers.then_some(child)
        }));
    }

    /// Lets it answer nothing until [`RedisServer::resume`]; its sockets stay open.
    pub(crate) fn pause(&self) {
        self.signal(Signal::STOP);
    }

    pub(crate) fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Ends it at once, as a crash would.
    pub(crate) fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("redis.sock")
    }

    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// A client that talks to Redis itself, with nothing in between.
    pub(crate) fn direct(&self) -> RespClient {
        RespClient::unix(&self.socket())
    }

    /// How often Redis was asked for this command, refused calls included; 0 if it never saw the name.
    ///
    /// `name` is the original full name in lower case, such as `config|get`, whatever `rename-command` did.
    pub(crate) fn calls(&self, name: &str) -> u64 {
        self.calls_seen_by(&mut self.direct(), name)
    }

    /// [`RedisServer::calls`] through a client that is logged in already.
    pub(crate) fn calls_seen_by(&self, client: &mut RespClient, name: &str) -> u64 {
        let stats = String::from_utf8(client.call(&["INFO", "commandstats"])).unwrap();
        let Some(line) = stats.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{name}:"))) else {
            return 0;
        };
        line.split(',')
            .filter(|field| ["calls=", "rejected_calls="].iter().any(|counter| field.starts_with(counter)))
            .map(|field| field.split_once('=').unwrap().1.parse::<u64>().unwrap())
            .sum()
    }

    fn answers(&self) -> bool {
        let mut client = self.direct();
        client.try_send(&request(&["PING"])).and_then(|()| client.try_reply()).is_ok()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(self.child.as_ref().expect("it runs")), signal).unwrap();
    }

    fn spawn(&self) -> Child {
        let log = self.dir.path().join("redis.log");
        Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &self.port.to_string(), "--save", "", "--appendonly", "no"])
            .args(["--unixsocket".as_ref(), self.socket().as_os_str(), "--unixsocketperm".as_ref(), "777".as_ref()])
            .args(["--dir".as_ref(), self.dir.path().as_os_str(), "--logfile".as_ref(), log.as_os_str()])
            .args(&self.args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed (apt-get install redis-server)")
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.stop();
    }
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}
