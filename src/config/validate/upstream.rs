//! The upstream: its address, the proxy's login there, and what it calls its commands.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::judge::Judge;
use super::redis_conf::RenamedCommand;
use super::words::{is_command_name, positive_duration, upstream_user_name};
use crate::config::error::ConfigError;
use crate::config::model::{Rename, UpstreamAddress, UpstreamSettings};
use crate::config::raw::{Settings, UpstreamAuthSection};
use crate::config::secret::Redacted;
use crate::config::setting::{Origin, Setting};
use crate::config::units::{duration, socket_address, yes_no};

impl Judge<'_> {
    pub(super) fn upstream(&mut self, settings: &mut Settings) -> UpstreamSettings {
        let unsafe_upstream = self.or(settings.unsafe_upstream.take(), yes_no, false);
        let mirror_users = self.or(settings.mirror_users.take(), yes_no, true);
        let connect_timeout =
            self.or(settings.upstream_connect_timeout.take(), positive_duration, Duration::from_secs(5));
        let timeout = self.or(settings.upstream_timeout.take(), duration, Duration::from_secs(300));
        let address = match settings.upstream.take() {
            Some(setting) => self.upstream_address(setting, unsafe_upstream),
            None => {
                self.missing("`upstream` is missing: say where Redis is, such as upstream = \"127.0.0.1:6379\"");
                None
            }
        };
        let (user, password) = self.upstream_auth(settings);
        UpstreamSettings {
            // Never seen by anybody: where there is no address there is an error, or nobody is served.
            address: address.unwrap_or(UpstreamAddress::Unix(PathBuf::new())),
            user,
            password,
            unsafe_upstream,
            connect_timeout,
            timeout: Some(timeout).filter(|timeout| !timeout.is_zero()),
            mirror_users,
        }
    }

    fn upstream_address(&mut self, setting: Setting, unsafe_upstream: bool) -> Option<UpstreamAddress> {
        if let Some(path) = setting.text.strip_prefix("unix:") {
            let path = Setting { text: path.to_owned(), origin: setting.origin.clone() };
            return self.socket_path(path).map(UpstreamAddress::Unix);
        }
        let origin = setting.origin.clone();
        if setting.text.starts_with(['/', '.']) || setting.text.ends_with(".sock") {
            let path = &setting.text;
            self.error(&origin, format!("{path:?} is a path: write \"unix:{path}\" for a unix socket"));
            return None;
        }
        let address = self.read(Some(setting), socket_address)?;
        match (address.ip().is_loopback(), unsafe_upstream) {
            (true, _) => {}
            (false, true) => {
                self.warn(&origin, format!("{address} is beyond loopback: what goes there is not encrypted"));
            }
            (false, false) => self.error(
                &origin,
                format!(
                    "{address} is neither loopback nor a unix socket; what goes there is not encrypted: \
                     --unsafe-upstream accepts that"
                ),
            ),
        }
        if address.port() == 0 {
            self.error(&origin, "port 0 cannot be connected to");
        }
        Some(UpstreamAddress::Tcp(address))
    }

    fn upstream_auth(&mut self, settings: &mut Settings) -> (Option<String>, Option<Redacted>) {
        let UpstreamAuthSection { user, password, password_file } = std::mem::take(&mut settings.upstream_auth);
        let user = settings.upstream_user.take().or(user);
        let file = settings.upstream_password_file.take().or(password_file);
        if let (Some(user), None, None) = (&user, &password, &file) {
            self.error(&user.origin, "a user for the upstream and no password: add password-file");
        }
        (self.read(user, upstream_user_name), self.secret(password, file, "password"))
    }

    pub(super) fn renames(&mut self, settings: &mut Settings) -> Vec<Rename> {
        let mut renames = BTreeMap::new();
        let in_file = settings.redis_conf.take().map(|file| self.redis_conf(file)).unwrap_or_default();
        for RenamedCommand { original, name, place } in in_file {
            if let Err(message) = add_rename(&mut renames, &original, name) {
                self.errors.push(ConfigError::new(place, message));
            }
        }
        for (original, name) in std::mem::take(&mut settings.rename) {
            if let Err(message) = add_rename(&mut renames, original.get_ref(), name.text.into_bytes()) {
                self.secret_error(&Origin::File(original.span()), message);
            }
        }
        let named = |name: Vec<u8>| Some(Redacted::new(name)).filter(|name| !name.expose().is_empty());
        renames.into_iter().map(|(original, name)| Rename { original, name: named(name) }).collect()
    }
}

/// The messages hold the original at most: the new name is meant to stay unknown.
fn add_rename(renames: &mut BTreeMap<String, Vec<u8>>, original: &str, name: Vec<u8>) -> Result<(), String> {
    let original = original.to_ascii_uppercase();
    if !is_command_name(&original) {
        return Err(format!("{original:?} is no command name"));
    }
    if !name.iter().all(u8::is_ascii_graphic) {
        return Err(format!("the new name of {original} has blanks or bytes beyond ASCII"));
    }
    if name.eq_ignore_ascii_case(original.as_bytes()) {
        return Err(format!("{original} is renamed to itself"));
    }
    let taken = |other: &Vec<u8>| !name.is_empty() && name.eq_ignore_ascii_case(other);
    if let Some((other, _)) = renames.iter().find(|(other, used)| **other != original && taken(used)) {
        return Err(format!("{original} and {other} have the same new name"));
    }
    match renames.get(&original) {
        Some(other) if *other != name => Err(format!("{original} is renamed twice, to different names")),
        _ => {
            renames.insert(original, name);
            Ok(())
        }
    }
}
