//! `respgate init`: a folder with all that it takes to begin.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::SystemTime;

use clap::Args;
use ipnet::IpNet;

use super::Exit;
use super::door::print;
use super::say;
use crate::config;
use crate::init::plan::{Client, Platform, Rights, Wanted};
use crate::init::{InitError, Made, Sort, init as make};
use crate::preset::preset;

/// What is to be made.
#[derive(Debug, Args)]
#[command(after_long_help = "\
It writes into DIR and changes nothing else: what it prints behind `next` does. With a Redis that is there that goes
in two steps: the first lets in respgate as well, the second nobody else.

    respgate init ./gate --for systemd --server-name redis.example --client shop=celery --client ops=admin")]
pub struct InitArgs {
    /// Where it goes; the folder is not there yet, or empty
    #[arg(value_name = "DIR", value_parser = path)]
    folder: PathBuf,
    /// Where respgate is to run
    #[arg(long = "for", value_name = "PLATFORM", default_value = "bare")]
    platform: Platform,
    /// A client, which gets a certificate; what it may do is a preset of `acl preset`, or what Redis lets this user do today.
    /// May be repeated
    #[arg(long = "client", value_name = "NAME[=PRESET[:PREFIX]]", required = true, value_parser = client)]
    clients: Vec<Client>,
    /// A DNS name or address that clients connect to; may be repeated [default: the name of this host, or of the
    /// service]
    #[arg(long = "server-name", value_name = "NAME")]
    server_names: Vec<String>,
    /// Where respgate listens, or under Compose is published [default: 0.0.0.0:6380; under Compose 127.0.0.1:6380]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Who may connect, here and in firewall/ [default: everybody]
    #[arg(long, value_name = "CIDR", value_delimiter = ',', value_parser = config::network)]
    allow: Vec<IpNet>,
    /// The redis.conf of a Redis that is there [default: where distributions have it, for systemd; else a new Redis]
    #[arg(long, value_name = "FILE", value_parser = path)]
    redis_conf: Option<PathBuf>,
    /// The ACL file of that Redis [default: what redis.conf names]
    #[arg(long, value_name = "FILE", requires = "redis_conf", value_parser = path)]
    aclfile: Option<PathBuf>,
    /// The unit that Redis is [default: redis-server, redis, valkey-server or valkey, whichever there is]
    #[arg(long, value_name = "UNIT", value_parser = word)]
    redis_unit: Option<String>,
    /// The image of respgate, where it is a container [default: respgate]
    #[arg(long, value_name = "IMAGE", value_parser = word)]
    image: Option<String>,
}

/// Makes it, and says what is to be done next.
pub fn init(arguments: &InitArgs) -> Exit {
    match make(&arguments.wanted(), SystemTime::now()) {
        Ok(Made { report, warnings }) => {
            warnings.iter().for_each(say::warning);
            print(&report);
            Exit::Success
        }
        Err(error) => {
            error.lines().iter().for_each(say::error);
            exit(&error)
        }
    }
}

fn exit(error: &InitError) -> Exit {
    match error.sort() {
        Sort::CannotCreate => Exit::CannotCreate,
        Sort::Permission => Exit::Permission,
        Sort::Configuration => Exit::Configuration,
        Sort::Failure => Exit::Failure,
    }
}

impl InitArgs {
    fn wanted(&self) -> Wanted {
        let server_names = match (self.server_names.as_slice(), self.platform) {
            ([], Platform::Bare | Platform::Systemd) => vec![this_host()],
            (names, _) => names.to_vec(),
        };
        Wanted {
            folder: self.folder.clone(),
            platform: self.platform,
            server_names,
            clients: self.clients.clone(),
            listen: self.listen,
            allow: self.allow.clone(),
            redis_conf: self.redis_conf.clone(),
            aclfile: self.aclfile.clone(),
            redis_unit: self.redis_unit.clone(),
            image: self.image.clone(),
        }
    }
}

fn this_host() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim_end().to_owned();
    if name.is_empty() || name == "(none)" { "localhost".to_owned() } else { name }
}

/// It is written into lines that are to be pasted, some of which are comments.
fn path(text: &str) -> Result<PathBuf, String> {
    match text.contains(char::is_control) {
        true => Err("there is a control character in it".to_owned()),
        false => Ok(PathBuf::from(text)),
    }
}

/// It is written into commands and files as it is.
fn word(text: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "@._:/-".contains(c);
    match !text.is_empty() && text.chars().all(is_plain) {
        true => Ok(text.to_owned()),
        false => Err("only letters, digits and @ . _ : / - may be in it".to_owned()),
    }
}

/// `NAME`, `NAME=PRESET` or `NAME=PRESET:PREFIX`.
fn client(text: &str) -> Result<Client, String> {
    let Some((name, rights)) = text.split_once('=') else {
        return Ok(Client { name: text.to_owned(), rights: Rights::AsAtRedis });
    };
    let (wanted, prefix) = match rights.split_once(':') {
        Some((wanted, prefix)) => (wanted, Some(prefix.to_owned())),
        None => (rights, None),
    };
    let known =
        preset(wanted).ok_or_else(|| format!("there is no preset {wanted:?}: `respgate acl preset` lists them"))?;
    Ok(Client { name: name.to_owned(), rights: Rights::Preset(known, prefix) })
}
