//! `respgate cert`: the small certificate authority on the command line.

mod audience;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use clap::{Args, Subcommand};

use self::audience::Audience;
use super::Exit;
use super::configuration::variables;
use crate::pki::{self, AUTHORITY, CRL_FILE, CertError, Choice, Entry, Kind, Names, Store};

/// Days that a certificate authority lasts.
const AUTHORITY_DAYS: u32 = 3650;
/// Days that a certificate lasts: no client accepts a server's for much longer.
const CERTIFICATE_DAYS: u32 = 397;

/// Where the authority is, and what it is to do.
#[derive(Debug, Args)]
pub struct CertArgs {
    /// The authority's directory
    #[arg(long, value_name = "DIR", default_value = ".", global = true)]
    dir: PathBuf,
    #[command(subcommand)]
    command: CertCommand,
}

#[derive(Debug, Subcommand)]
enum CertCommand {
    /// Make the authority: ca.crt, ca.key and an empty revocation list, ca.crl
    Ca {
        /// The name in its certificate, which no other authority should have [default: respgate CA and six hex digits]
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
        /// Days until it expires
        #[arg(long, value_name = "N", default_value_t = AUTHORITY_DAYS, value_parser = days())]
        days: u32,
    },
    /// Issue a server's certificate for these DNS names and IP addresses
    Server {
        /// The names that clients connect to
        #[arg(value_name = "NAME", required = true)]
        names: Vec<String>,
        /// Name of the files, without .crt and .key [default: the first name]
        #[arg(long, value_name = "NAME")]
        file: Option<String>,
        /// Days until it expires
        #[arg(long, value_name = "N", default_value_t = CERTIFICATE_DAYS, value_parser = days())]
        days: u32,
    },
    /// Issue a client's certificate; the name is its CN
    Client {
        /// The user's name
        #[arg(value_name = "NAME")]
        name: String,
        /// Days until it expires
        #[arg(long, value_name = "N", default_value_t = CERTIFICATE_DAYS, value_parser = days())]
        days: u32,
    },
    /// Revoke a certificate, and write ca.crl anew
    Revoke {
        #[command(flatten)]
        which: WhichArgs,
        /// The proxy's configuration, to see whether it reads the list [env: RESPGATE_CONFIG]
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Where several valid certificates bear the name: all of them
        #[arg(long, conflicts_with_all = ["serial", "cert"])]
        all: bool,
        /// Days until the list has to be renewed [default: until the authority expires, and never later]
        #[arg(long, value_name = "N", value_parser = days())]
        days: Option<u32>,
    },
    /// Write ca.crl anew
    Crl {
        /// Days until the list has to be renewed [default: until the authority expires, and never later]
        #[arg(long, value_name = "N", value_parser = days())]
        days: Option<u32>,
    },
    /// Show what was issued
    List,
}

/// One certificate, in one of three ways.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct WhichArgs {
    /// Its name, as `list` shows it
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// Its serial number, as `list`, the proxy's log and openssl show it
    #[arg(long, value_name = "HEX")]
    serial: Option<String>,
    /// A file that holds it
    #[arg(long, value_name = "FILE")]
    cert: Option<PathBuf>,
}

fn days() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=36_500)
}

/// Does what the command line says, and tells which files it made.
pub fn cert(arguments: &CertArgs) -> Exit {
    match carry_out(arguments, SystemTime::now()) {
        Ok(said) => {
            print!("{said}");
            Exit::Success
        }
        Err(error) => {
            eprintln!("error: {error}");
            if error.is_permission() { Exit::Permission } else { Exit::Failure }
        }
    }
}

fn carry_out(arguments: &CertArgs, now: SystemTime) -> Result<String, CertError> {
    let dir = &arguments.dir;
    let after = |days: u32| now + Duration::from_secs(u64::from(days) * 86_400);
    let path = |file: &str| dir.join(file).display().to_string();
    let made =
        |file: &str, end| format!("{} and its key, good until {}\n", path(&format!("{file}.crt")), pki::date(end));
    match &arguments.command {
        CertCommand::Ca { name, days } => {
            let name = name.clone().map_or_else(pki::random_name, Ok)?;
            let store = Store::create(dir, &name, now, after(*days))?;
            store.write_crl(now, store.end())?;
            Ok(format!("{}, its key, and an empty {} for tls-crl-file\n", path("ca.crt"), path(CRL_FILE)))
        }
        CertCommand::Server { names, file, days } => {
            let file = file.as_ref().unwrap_or(&names[0]);
            let end = Store::open(dir)?.issue(file, &Names::Server(names), now, after(*days))?;
            Ok(made(file, end))
        }
        CertCommand::Client { name, days } => {
            let end = Store::open(dir)?.issue(name, &Names::Client(name), now, after(*days))?;
            Ok(made(name, end))
        }
        CertCommand::Revoke { which, config, all, days } => {
            let store = Store::open(dir)?;
            let revoked = store.revoke(&which.choice(*all, &store)?, now)?;
            let end = store.write_crl(now, days.map_or(store.end(), after))?;
            let mut said: String = revoked.iter().map(|entry| format!("revoked: {}\n", entry.in_words())).collect();
            said += &format!("{} is good until {}\n", path(CRL_FILE), pki::date(end));
            Ok(said + &tell_who_listens(&dir.join(CRL_FILE), config.clone()))
        }
        CertCommand::Crl { days } => {
            let store = Store::open(dir)?;
            let end = store.write_crl(now, days.map_or(store.end(), after))?;
            Ok(format!("{} is good until {}\n", path(CRL_FILE), pki::date(end)))
        }
        CertCommand::List => Ok(table(&Store::open(dir)?.entries()?, now)),
    }
}

/// A revocation that nobody reads is none: that is said as a warning, and what else there is to say is returned.
fn tell_who_listens(list: &Path, config: Option<PathBuf>) -> String {
    match Audience::of(list, config, &variables()) {
        Ok(audience) => {
            audience.warnings().iter().for_each(|warning| eprintln!("warning: {warning}"));
            audience.remark().map(|remark| remark + "\n").unwrap_or_default()
        }
        Err(errors) => {
            eprintln!("warning: whether anybody reads {} is not known, because of the configuration:", list.display());
            errors.iter().for_each(|error| eprintln!("warning: {error}"));
            String::new()
        }
    }
}

impl WhichArgs {
    fn choice(&self, all: bool, store: &Store) -> Result<Choice, CertError> {
        match (&self.name, &self.serial, &self.cert) {
            (_, Some(serial), _) => Ok(Choice::Serial(serial.clone())),
            (_, _, Some(file)) => store.serial_of(file).map(Choice::Serial),
            (name, None, None) => Ok(Choice::Name { name: name.clone().unwrap_or_default(), all }),
        }
    }
}

fn table(entries: &[Entry], now: SystemTime) -> String {
    let mut lines = format!("{:<8} {:<10} {:<10} {:<34} NAME\n", "STATE", "KIND", "EXPIRES", "SERIAL");
    for entry in entries {
        let state = match entry.revoked {
            Some(_) => "revoked",
            None if entry.expires <= now => "expired",
            None => "valid",
        };
        let kind = match entry.kind {
            Kind::Authority => AUTHORITY,
            kind => kind.word(),
        };
        let Entry { serial, name, .. } = entry;
        lines.push_str(&format!("{state:<8} {kind:<10} {:<10} {serial:<34} {name}\n", pki::date(entry.expires)));
    }
    lines
}
