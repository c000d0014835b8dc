//! `respgate cert`: the small certificate authority on the command line.

mod audience;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use clap::{Args, Subcommand};

use self::audience::Audience;
use super::Exit;
use super::configuration::variables;
use super::say;
use crate::pki::{self, AUTHORITY, AUTHORITY_DAYS, CERTIFICATE_DAYS, CRL_FILE};
use crate::pki::{CertError, Choice, Due, Entry, Kind, Names, NotRenewed, Renewal, Renewed, Store};

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
    /// Issue again what ends, with new keys: exit 1 where something cannot be renewed
    Renew {
        #[command(flatten)]
        which: RenewArgs,
        /// Days until they expire [default: as many as before]
        #[arg(long, value_name = "N", value_parser = days())]
        days: Option<u32>,
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

/// Certificates by their names or by their ends.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct RenewArgs {
    /// Their names, as `list` shows them; that of the authority is ca, and it keeps its key
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// All that end within this time, such as 30d, or have ended, and the revocation list
    #[arg(long, value_name = "TIME", value_parser = within)]
    within: Option<Duration>,
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

/// `30d` or `12h`.
fn within(text: &str) -> Result<Duration, String> {
    let hours = match text.split_at_checked(text.len().saturating_sub(1)) {
        Some((number, "d")) => number.parse().ok().and_then(|days: u64| days.checked_mul(24)),
        Some((number, "h")) => number.parse().ok(),
        _ => None,
    };
    let hours = hours.filter(|hours| (1..=36_500 * 24).contains(hours));
    hours
        .map(|hours| Duration::from_secs(hours * 3600))
        .ok_or_else(|| "write days or hours, such as 30d or 12h".to_owned())
}

fn days() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=36_500)
}

/// Does what the command line says, and tells which files it made.
pub fn cert(arguments: &CertArgs) -> Exit {
    match carry_out(&arguments.dir, &arguments.command, SystemTime::now()) {
        Ok(Outcome { said, failed }) => {
            print!("{said}");
            failed.iter().for_each(say::error);
            if failed.is_empty() { Exit::Success } else { Exit::Failure }
        }
        Err(error) => {
            say::error(&error);
            if error.is_permission() { Exit::Permission } else { Exit::Failure }
        }
    }
}

/// What there is to say: of what was done, and of what was not although the rest was.
struct Outcome {
    said: String,
    failed: Vec<String>,
}

fn carry_out(dir: &Path, command: &CertCommand, now: SystemTime) -> Result<Outcome, CertError> {
    let time = |days: u32| Duration::from_secs(u64::from(days) * 86_400);
    let after = |days: u32| now + time(days);
    let path = |file: &str| dir.join(file).display().to_string();
    let made =
        |file: &str, end| format!("{} and its key, good until {}\n", path(&format!("{file}.crt")), pki::date(end));
    let said = match command {
        CertCommand::Ca { name, days } => {
            let name = name.clone().map_or_else(pki::random_name, Ok)?;
            let store = Store::create(dir, &name, now, after(*days))?;
            store.write_crl(now, store.end())?;
            format!("{}, its key, and an empty {} for tls-crl-file\n", path("ca.crt"), path(CRL_FILE))
        }
        CertCommand::Server { names, file, days } => {
            let file = file.as_ref().unwrap_or(&names[0]);
            let end = Store::open(dir)?.issue(file, &Names::Server(names), now, after(*days))?;
            made(file, end)
        }
        CertCommand::Client { name, days } => {
            let end = Store::open(dir)?.issue(name, &Names::Client(name), now, after(*days))?;
            made(name, end)
        }
        CertCommand::Revoke { which, config, all, days } => {
            let store = Store::open(dir)?;
            let revoked = store.revoke(&which.choice(*all, &store)?, now)?;
            let end = store.write_crl(now, days.map_or(store.end(), after))?;
            let mut said: String = revoked.iter().map(|entry| format!("revoked: {}\n", entry.in_words())).collect();
            said += &format!("{} is good until {}\n", path(CRL_FILE), pki::date(end));
            said + &tell_who_listens(&dir.join(CRL_FILE), config.clone())
        }
        CertCommand::Crl { days } => {
            let store = Store::open(dir)?;
            let end = store.write_crl(now, days.map_or(store.end(), after))?;
            format!("{} is good until {}\n", path(CRL_FILE), pki::date(end))
        }
        CertCommand::List => {
            let store = Store::open(dir)?;
            table(&store.entries()?, store.list_end().ok(), now)
        }
        CertCommand::Renew { which, days } => return renew(dir, which, days.map(time), now),
    };
    Ok(Outcome { said, failed: Vec::new() })
}

/// Tells what was renewed, and what was not.
fn renew(dir: &Path, which: &RenewArgs, time: Option<Duration>, now: SystemTime) -> Result<Outcome, CertError> {
    let due = match which.within {
        Some(left) => Due::Within(left),
        None => Due::Names(which.names.clone()),
    };
    let Renewal { renewed, list, failed } = Store::open(dir)?.renew(&due, time, now)?;
    let mut said: String = renewed.iter().map(in_words).collect();
    if let Some(end) = list {
        said += &format!("{} is good until {}\n", dir.join(CRL_FILE).display(), pki::date(end));
    }
    if let (Some(left), true, true) = (which.within, said.is_empty(), failed.is_empty()) {
        said = format!("nothing ends before {}\n", pki::date(now + left));
    }
    let failed = failed.iter().map(|NotRenewed { what, error }| format!("not renewed: {what}: {error}")).collect();
    Ok(Outcome { said, failed })
}

fn in_words(renewed: &Renewed) -> String {
    let Renewed { entry, former, is_cut_short } = renewed;
    let kept = format!("{}.{}", former.name, former.serial);
    let mut words = format!("renewed: {}", entry.in_words());
    if *is_cut_short {
        words += &format!(" as the authority does (respgate cert renew {AUTHORITY} gives more time)");
    }
    if entry.kind == Kind::Authority {
        let day = pki::date(former.expires);
        return words + &format!("; the old one is {kept}.crt: take ca.crt to every proxy and client before {day}\n");
    }
    words + &format!("; the old one is {kept}.crt and .key\n")
}

/// A revocation that nobody reads is none: that is said as a warning, and what else there is to say is returned.
fn tell_who_listens(list: &Path, config: Option<PathBuf>) -> String {
    match Audience::of(list, config, &variables()) {
        Ok(audience) => {
            audience.warnings().iter().for_each(say::warning);
            audience.remark().map(|remark| remark + "\n").unwrap_or_default()
        }
        Err(errors) => {
            say::warning(format_args!(
                "whether anybody reads {} is not known, because of the configuration:",
                list.display()
            ));
            errors.iter().for_each(say::warning);
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

/// `list_end` is that of the revocation list, if it can be read.
fn table(entries: &[Entry], list_end: Option<SystemTime>, now: SystemTime) -> String {
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
    let (state, end) = match list_end {
        None => ("missing", "-".to_owned()),
        Some(end) if end <= now => ("expired", pki::date(end)),
        Some(end) => ("valid", pki::date(end)),
    };
    lines + &format!("{state:<8} {:<10} {end:<10} {:<34} {CRL_FILE}\n", "list", "-")
}
