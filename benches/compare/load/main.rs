//! The clients of `benches/compare.sh`: one thread, mutual TLS 1.3, and the figures as JSON.

#![allow(clippy::print_stdout, reason = "a measurement tells its figures")]
#![allow(clippy::unwrap_used, reason = "a measurement that cannot go on ends")]

mod connection;
mod crowd;
mod replies;
mod requests;
mod tally;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use self::connection::{Connection, Server};
use self::crowd::{Crowd, Window};
use self::requests::{PING, Requests};
use self::tally::Tally;

#[derive(Parser)]
struct Options {
    /// Port on 127.0.0.1 of a server called localhost
    #[arg(long)]
    port: u16,
    /// Where `certs-example/make.sh` has put ca.crt, shop.crt and shop.key
    #[arg(long, value_name = "DIR")]
    certs: PathBuf,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Write every key once
    Fill {
        #[command(flatten)]
        values: Values,
    },
    /// Each connection sends a pipeline of requests and waits for all replies, again and again
    Requests {
        #[command(flatten)]
        values: Values,
        #[command(flatten)]
        time: Time,
        /// What is sent; `both` takes turns
        #[arg(long, value_enum)]
        kind: requests::Kind,
        #[arg(long)]
        connections: usize,
        #[arg(long, default_value_t = 1)]
        pipeline: usize,
    },
    /// Connect, handshake, PING and close, again and again
    Handshakes {
        #[command(flatten)]
        time: Time,
        /// How many at once
        #[arg(long)]
        connections: usize,
        /// With the session tickets of those before
        #[arg(long)]
        resume: bool,
    },
    /// Open connections, send a PING on each, say so, and hold them until standard input ends
    Idle {
        #[arg(long)]
        connections: usize,
    },
}

#[derive(clap::Args)]
struct Values {
    /// Bytes
    #[arg(long)]
    size: usize,
    #[arg(long)]
    keys: usize,
}

#[derive(clap::Args)]
struct Time {
    /// Seconds that are measured
    #[arg(long)]
    seconds: f64,
    /// Seconds before them
    #[arg(long, default_value_t = 0.3)]
    warm_up: f64,
}

impl Time {
    fn window(&self) -> Window {
        let begin = Instant::now() + Duration::from_secs_f64(self.warm_up);
        Window { begin, end: begin + Duration::from_secs_f64(self.seconds) }
    }
}

fn main() -> io::Result<()> {
    let options = Options::parse();
    let resume = matches!(options.what, What::Handshakes { resume: true, .. });
    let server = Server { address: SocketAddr::from(([127, 0, 0, 1], options.port)), tls: tls(&options.certs, resume) };
    match options.what {
        What::Fill { values } => fill(&server, &values),
        What::Requests { values, time, kind, connections, pipeline } => {
            let requests = Requests::new(kind, values.size, values.keys);
            let mut crowd = Crowd::connect(&server, connections)?;
            show(&crowd.ask(requests, pipeline, &time.window())?);
            Ok(())
        }
        What::Handshakes { time, connections, .. } => {
            let mut crowd = Crowd::connect(&server, connections)?;
            show(&crowd.come_and_go(&server, &time.window())?);
            Ok(())
        }
        What::Idle { connections } => idle(&server, connections),
    }
}

/// The same suite and key exchange with everybody: OpenSSL 3.0 has none that are newer.
fn tls(certs: &Path, resume: bool) -> Arc<ClientConfig> {
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites = vec![aws_lc_rs::cipher_suite::TLS13_AES_256_GCM_SHA384];
    provider.kx_groups = vec![aws_lc_rs::kx_group::X25519];
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certs.join("ca.crt")).unwrap()).unwrap();
    let certificate = CertificateDer::from_pem_file(certs.join("shop.crt")).unwrap();
    let key = PrivateKeyDer::from_pem_file(certs.join("shop.key")).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![certificate], key)
        .unwrap();
    config.resumption = if resume { Resumption::in_memory_sessions(256) } else { Resumption::disabled() };
    Arc::new(config)
}

fn fill(server: &Server, values: &Values) -> io::Result<()> {
    let mut requests = Requests::new(requests::Kind::Set, values.size, values.keys);
    let mut connection = server.connect()?;
    for key in 0..values.keys {
        connection.send(requests.set(key))?;
        wait_for_reply(&mut connection)?;
    }
    Ok(())
}

fn idle(server: &Server, count: usize) -> io::Result<()> {
    let mut open = Vec::new();
    for _ in 0..count {
        let mut connection = server.connect()?;
        connection.send(PING)?;
        wait_for_reply(&mut connection)?;
        open.push(connection);
    }
    println!("idle");
    io::copy(&mut io::stdin(), &mut io::sink())?;
    Ok(())
}

/// On a socket that still blocks.
fn wait_for_reply(connection: &mut Connection) -> io::Result<()> {
    let mut buffer = vec![0; 16 << 10];
    while connection.receive(&mut buffer)? == 0 {}
    Ok(())
}

fn show(tally: &Tally) {
    println!("{}", tally.json());
}
