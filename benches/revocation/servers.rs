//! A Redis and a respgate in front of it, ended with the program.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::pki::Pki;

pub(crate) struct Servers {
    children: Vec<Child>,
    address: SocketAddr,
}

impl Servers {
    pub(crate) fn start(respgate: &Path, pki: &Pki, clients: usize) -> Servers {
        let dir = pki.dir();
        let socket = dir.join("redis.sock");
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let redis = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--maxclients", &(clients + 64).to_string(), "--unixsocket"])
            .arg(&socket)
            .current_dir(dir)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        fs::write(dir.join("users.acl"), "user bench on +@all ~*\n").unwrap();
        let settings = [
            format!("listen = \"{address}\""),
            format!("upstream = \"unix:{}\"", socket.display()),
            format!("maxclients = {clients}"),
            "tls-cert-file = \"server.crt\"\ntls-key-file = \"server.key\"".to_owned(),
            "tls-ca-cert-file = \"ca.crt\"\ntls-crl-file = \"ca.crl\"".to_owned(),
            "aclfile = \"users.acl\"\ntls-auth-clients-user = \"CN\"\nadmin-listen = \"off\"".to_owned(),
        ];
        fs::write(dir.join("respgate.toml"), settings.join("\n")).unwrap();
        let gate = Command::new(respgate)
            .args(["run", "--config"])
            .arg(dir.join("respgate.toml"))
            .stderr(File::create(dir.join("respgate.log")).unwrap())
            .spawn()
            .unwrap();
        let servers = Servers { children: vec![gate, redis], address };
        wait_for(|| UnixStream::connect(&socket).is_ok());
        wait_for(|| TcpStream::connect(address).is_ok());
        servers
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn wait_for(ready: impl Fn() -> bool) {
    for _ in 0..500 {
        if ready() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("a server does not come up");
}
