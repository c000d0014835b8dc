//! `respgate check`: what `run` would load, without running.

use crate::config::{AclSource, Config, Listener, UpstreamAddress};

use super::{ConfigurationArgs, Exit};

/// Loads the configuration and shows what follows from it.
pub fn check(arguments: &ConfigurationArgs) -> Exit {
    match arguments.load() {
        Ok(config) => {
            print!("{}", summary(&config));
            Exit::Success
        }
        Err(exit) => exit,
    }
}

/// The decisions of a configuration that a reviewer looks for first, one a line.
fn summary(config: &Config) -> String {
    let mut lines: Vec<String> = config.listeners.iter().map(listener).collect();
    lines.push(match &config.upstream.address {
        UpstreamAddress::Tcp(address) => format!("upstream: {address}"),
        UpstreamAddress::Unix(path) => format!("upstream: unix:{}", path.display()),
    });
    lines.push(match &config.acl {
        AclSource::File(path) => format!("users: {}", path.display()),
        AclSource::Password(_) => "users: default, with a password".to_owned(),
        AclSource::None => "users: none".to_owned(),
    });
    lines.push(format!("certificate rules: {}", config.certificates.len()));
    lines.push(format!("blocked: {}", list(&config.block.commands)));
    lines.push(format!("exempt users: {}", list(&config.block.exempt_users)));
    lines.push(format!("scripting users: {}", list(&config.block.scripting_users)));
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn listener(listener: &Listener) -> String {
    let tls = match &listener.tls {
        Some(tls) => format!("TLS, client certificates: {:?}", tls.auth_clients).to_lowercase(),
        None => "plaintext".to_owned(),
    };
    format!("listen: {} ({tls})", listener.address)
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(" ") }
}
