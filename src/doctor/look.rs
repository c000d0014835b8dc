//! Every Redis of this host and the upstream: who they are, what they say, and how they are set up.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::judge::{Clients, Exposure, Instance, addresses, announced, clients, exposure, redis as judge};
use super::outside;
use super::redis::{self, Login, Redis};
use super::redis_conf::RedisConf;
use super::sockets::{self, Process};
use super::{Finding, kind};
use crate::config::{Config, ListenAddress, UpstreamAddress};

/// Where distributions have it.
const USUAL: &[&str] = &["/etc/redis/redis.conf", "/etc/valkey/valkey.conf", "/etc/redis.conf"];

/// What was found, and who is connected to the upstream.
#[must_use]
pub struct Looked {
    /// What is to be told.
    pub findings: Vec<Finding>,
    /// Who is connected to the upstream, or to the only Redis where there is no configuration.
    pub clients: Option<Clients>,
}

/// Looks at them. `redis_conf` is the file of the only one, where it does not say itself.
pub fn at_redis(config: Option<&Config>, redis_conf: Option<&Path>) -> Looked {
    let (listening, unix) = match sockets::listening().and_then(|tcp| Ok((tcp, sockets::unix_listening()?))) {
        Ok(sockets) => sockets,
        Err(error) => {
            let unknown = Finding::unknown(&kind::REDIS_FOUND, format!("/proc cannot be read: {error}"));
            return Looked { findings: vec![unknown], clients: None };
        }
    };
    let processes = sockets::redis_processes();
    let upstream = config.map(|config| &config.upstream.address);
    let mut asked: Vec<Redis> = Vec::new();
    let ask = |address: UpstreamAddress, process: &Option<Process>| {
        let login = config.filter(|config| config.upstream.address == address).map(login);
        redis::ask(&address, process.clone(), login)
    };
    let is_redis = |process: &Option<Process>| process.as_ref().is_some_and(Process::is_redis);
    for socket in listening.iter().filter(|socket| is_redis(&socket.process)) {
        // The same port at another address is the same Redis.
        let is_same = |redis: &Redis| {
            let port = match redis.address {
                UpstreamAddress::Tcp(address) => Some(address.port()),
                UpstreamAddress::Unix(_) => None,
            };
            redis.process == socket.process && port == Some(socket.address.port())
        };
        let is_upstream = upstream == Some(&UpstreamAddress::Tcp(from_here(socket.address)));
        if !is_upstream && asked.iter().any(is_same) {
            continue;
        }
        asked.push(ask(UpstreamAddress::Tcp(from_here(socket.address)), &socket.process));
    }
    for socket in unix.iter().filter(|socket| is_redis(&socket.process)) {
        asked.push(ask(UpstreamAddress::Unix(socket.path.clone()), &socket.process));
    }
    if let Some(upstream) = upstream.filter(|upstream| asked.iter().all(|asked| asked.address != **upstream)) {
        asked.push(redis::ask(upstream, None, config.map(login)));
    }
    let who = who(config, &asked);
    let instances = instances(&processes, &asked, redis_conf);
    let files =
        instances.iter().filter_map(|(process, instance)| Some((process.clone()?, instance.file.clone()?))).collect();
    let mut findings = exposure(&Exposure { listening, unix, processes, asked, files });
    findings.extend(instances.iter().flat_map(|(_, instance)| judge(instance)));
    findings.extend(announcements(config, &instances));
    findings.extend(who.as_ref().map(clients));
    Looked { findings, clients: who }
}

/// Where these send others, and who answers there.
fn announcements(config: Option<&Config>, instances: &[(Option<Process>, Instance)]) -> Vec<Finding> {
    let gate_port = config.and_then(|config| {
        config.listeners.iter().find_map(|listener| match listener.address {
            ListenAddress::Tcp(address) => Some(address.port()),
            ListenAddress::Inherited(_) => None,
        })
    });
    let heard =
        outside::ping_all(instances.iter().flat_map(|(_, instance)| addresses(instance)).collect::<BTreeSet<_>>());
    instances.iter().flat_map(|(_, instance)| announced(instance, &heard, gate_port)).collect()
}

fn who(config: Option<&Config>, asked: &[Redis]) -> Option<Clients> {
    let upstream = config.map(|config| &config.upstream);
    let redis = match (upstream, asked) {
        (Some(upstream), asked) => asked.iter().find(|redis| redis.address == upstream.address)?,
        (None, [only]) => only,
        (None, _) => return None,
    };
    Some(Clients {
        name: redis.address.to_string(),
        lines: redis.told.as_ref().and_then(|told| told.clients.clone()),
        asker: redis.told.as_ref().and_then(|told| told.asker),
        upstream_user: upstream.and_then(|upstream| upstream.user.clone()).unwrap_or_else(|| "default".to_owned()),
        owners: sockets::connected(),
    })
}

/// Whether others can read what a Redis on this host writes to its folder: they may enter that, and read a file in it.
fn is_dump_open(told: Option<&redis::Told>) -> Option<bool> {
    let setting = |name| told?.settings.get(name);
    let folder = PathBuf::from(setting("dir")?);
    let mode = |path: &Path| fs::metadata(path).map(|metadata| metadata.mode());
    let is_entered = mode(&folder).ok()? & 0o001 != 0;
    let files = [setting("dbfilename")?.as_str(), "appendonlydir"].map(|name| mode(&folder.join(name)));
    Some(is_entered && files.iter().any(|mode| mode.as_ref().is_ok_and(|mode| mode & 0o004 != 0)))
}

fn login(config: &Config) -> Login<'_> {
    let upstream = &config.upstream;
    Login { user: upstream.user.as_deref(), password: upstream.password.as_ref(), renames: &config.renames }
}

/// Each process, and the upstream where no process here is it, with what it told wherever it was asked.
fn instances(processes: &[Process], asked: &[Redis], redis_conf: Option<&Path>) -> Vec<(Option<Process>, Instance)> {
    let strangers = asked.iter().filter(|redis| redis.process.is_none());
    let of_strangers = strangers.map(|redis| (None, redis.address.to_string(), redis.told.clone()));
    let is_asked = |process: &&Process| asked.iter().any(|redis| redis.process.as_ref() == Some(*process));
    let of_processes = processes.iter().filter(is_asked).map(|process| {
        let told =
            asked.iter().filter(|redis| redis.process.as_ref() == Some(process)).find_map(|redis| redis.told.clone());
        (Some(process.clone()), format!("{}[{}]", process.name, process.pid), told)
    });
    let all: Vec<_> = of_processes.chain(of_strangers).collect();
    let is_only = all.len() == 1;
    let instance = |(process, name, told): (Option<Process>, String, Option<redis::Told>)| {
        let says = told.as_ref().and_then(|told| told.info.get("config_file")).filter(|path| !path.is_empty());
        // A file that is there says nothing of a Redis that is not.
        let may_be_usual = told.is_none() && process.is_some();
        let usual = || USUAL.iter().map(PathBuf::from).find(|path| may_be_usual && path.exists());
        let named = || redis_conf.map(Path::to_owned).or_else(usual).filter(|_| is_only);
        let file = says.map(PathBuf::from).or_else(named);
        let is_root = process.as_ref().map(|process| process.user == 0);
        let file = file.map(|path| RedisConf::read(&path));
        let is_dump_open = process.as_ref().and_then(|_| is_dump_open(told.as_ref()));
        (process, Instance { name, told, file, is_dump_open, is_root })
    };
    all.into_iter().map(instance).collect()
}

/// Where somebody on this host reaches who listens there.
fn from_here(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
