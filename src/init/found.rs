//! What is there: this machine, and a Redis on it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use zeroize::Zeroizing;

use super::InitError;
use super::plan::{AclText, Fault, FoundRedis, Place, Platform, Wanted};
use crate::auth::random;
use crate::config;
use crate::files::Files;
use crate::pki;

/// Where distributions have it.
const USUAL_CONF: [&str; 4] =
    ["/etc/redis/redis.conf", "/etc/valkey/valkey.conf", "/etc/redis.conf", "/etc/valkey.conf"];

/// What distributions call the unit; the first is Debian's.
const USUAL_UNITS: [&str; 4] = ["redis-server", "redis", "valkey-server", "valkey"];

/// Where units are.
const UNITS: [&str; 3] = ["/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"];

/// Bits of the password between respgate and Redis.
const PASSWORD_BITS: u16 = 256;

/// What was found.
pub(super) struct Found {
    pub(super) place: Place,
    /// The Redis that is there.
    pub(super) redis: Option<FoundRedis>,
}

impl Found {
    /// Looks at it. `folder` is where everything goes.
    pub(super) fn look(wanted: &Wanted, folder: PathBuf, now: SystemTime) -> Result<Found, InitError> {
        let place = Place {
            folder,
            today: pki::date(now),
            program: std::env::current_exe().map_err(InitError::System)?,
            user: rustix::process::geteuid().as_raw(),
            has_units: UNITS[1..].iter().any(|folder| Path::new(folder).join("respgate.service").exists()),
            password: random::password(PASSWORD_BITS).map_err(InitError::System)?,
        };
        let usual = || USUAL_CONF.iter().map(PathBuf::from).find(|path| path.exists());
        let conf = match wanted.platform {
            Platform::Systemd => wanted.redis_conf.clone().or_else(usual),
            _ => wanted.redis_conf.clone(),
        };
        let redis = conf.map(|conf| read_redis(wanted, &conf)).transpose()?;
        Ok(Found { place, redis })
    }
}

fn read_redis(wanted: &Wanted, conf: &Path) -> Result<FoundRedis, InitError> {
    let unreadable = |path: &Path, error: io::Error| InitError::Unreadable(path.to_owned(), error);
    let conf = std::path::absolute(conf).map_err(|error| unreadable(conf, error))?;
    let files = Files::default();
    let text = config::redis_conf(&conf, &files);
    if !text.errors.is_empty() {
        return Err(InitError::RedisConf(text.errors));
    }
    let named = text.lines.iter().rev().find(|line| line.name == "aclfile").map(|line| PathBuf::from(line.value()));
    let acl_file = match (&wanted.aclfile, named.filter(|path| !path.as_os_str().is_empty())) {
        (Some(path), _) => Some(std::path::absolute(path).map_err(|error| unreadable(path, error))?),
        (None, Some(path)) if path.is_absolute() => Some(path),
        (None, Some(path)) => return Err(InitError::Plan(vec![Fault::RelativeAclFile(path)])),
        (None, None) => None,
    };
    let acl = acl_file.map(|path| read_acl(path, &files)).transpose()?;
    let metadata = fs::metadata(&conf).map_err(|error| unreadable(&conf, error))?;
    let unit = wanted.redis_unit.clone().unwrap_or_else(|| unit(&conf));
    let starts = starts(&unit);
    Ok(FoundRedis { group: group(metadata.gid(), &conf), conf, text, acl, unit, starts })
}

fn read_acl(path: PathBuf, files: &Files) -> Result<AclText, InitError> {
    let read = files.read(&path).and_then(|content| Ok(Zeroizing::new(content.text()?.to_owned())));
    match read {
        Ok(text) => Ok(AclText { path, text }),
        Err(error) => Err(InitError::Unreadable(path, error)),
    }
}

/// The unit of this name that there is; the first of the usual ones where there is none.
fn unit(conf: &Path) -> String {
    let is_there = |unit: &&&str| UNITS.iter().any(|folder| Path::new(folder).join(format!("{unit}.service")).exists());
    let is_valkey = conf.to_string_lossy().contains("valkey");
    let mut fitting = USUAL_UNITS.iter().filter(|unit| unit.contains("valkey") == is_valkey);
    let first = fitting.clone().next();
    fitting.find(is_there).or(first).unwrap_or(&USUAL_UNITS[0]).to_string()
}

/// The command lines by which a unit is started: those of its file, and of what is dropped in beside it.
fn starts(unit: &str) -> Vec<String> {
    // redis-server@cache is made of redis-server@.
    let template = unit.split_once('@').map(|(name, _)| format!("{name}@"));
    let names: Vec<&str> = [Some(unit), template.as_deref()].into_iter().flatten().collect();
    let read = |path: &Path| fs::read_to_string(path).ok();
    let mut files = names.iter().flat_map(|name| UNITS.map(|folder| Path::new(folder).join(format!("{name}.service"))));
    let own = files.find_map(|path| read(&path));
    let mut dropped = BTreeMap::new();
    // The first of a name counts.
    for folder in UNITS.iter().flat_map(|units| names.iter().map(move |name| format!("{units}/{name}.service.d"))) {
        for path in fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
            if path.extension().is_some_and(|extension| extension == "conf") {
                dropped.entry(path.file_name().map(ToOwned::to_owned)).or_insert(path);
            }
        }
    }
    starts_of(own.into_iter().chain(dropped.values().filter_map(|path| read(path))))
}

/// Those in these texts, of which a later one may take back those before it.
fn starts_of(texts: impl Iterator<Item = String>) -> Vec<String> {
    let mut starts = Vec::new();
    for text in texts {
        for line in text.replace("\\\n", " ").lines() {
            match line.trim_start().strip_prefix("ExecStart").and_then(|rest| rest.trim_start().strip_prefix('=')) {
                Some(start) if start.trim().is_empty() => starts.clear(),
                Some(start) => starts.push(start.trim().to_owned()),
                None => {}
            }
        }
    }
    starts
}

/// The group that Redis's socket will have: that of its redis.conf, unless that is root's.
fn group(number: u32, conf: &Path) -> String {
    let of_server = || if conf.to_string_lossy().contains("valkey") { "valkey" } else { "redis" }.to_owned();
    if number == 0 {
        return of_server();
    }
    let groups = fs::read_to_string("/etc/group").unwrap_or_default();
    let name = groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == number.to_string()).then(|| name.to_owned())
    });
    name.unwrap_or_else(|| number.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_started_by_what_was_said_last_on_however_many_lines() {
        let starts = |texts: &[&str]| starts_of(texts.iter().map(|text| (*text).to_owned()));
        let own =
            "[Service]\nExecStartPre=/bin/true\nExecStart=/usr/bin/redis-server /etc/redis.conf \\\n  --port 7000\n";
        assert_eq!(starts(&[own]), ["/usr/bin/redis-server /etc/redis.conf    --port 7000"]);
        assert_eq!(starts(&[own, "[Service]\nExecStart=\nExecStart = redis-server a\n"]), ["redis-server a"]);
    }
}
