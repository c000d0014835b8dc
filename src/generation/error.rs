//! What can be wrong with what a generation is built from.

use std::fmt;
use std::io;
use std::path::Path;

use super::contradictions::Contradiction;
use super::part::Part;
use crate::config::{ConfigError, TunnelAddress};
use crate::tls::LoadError;

/// One thing that is wrong with what was loaded.
#[derive(Debug)]
pub struct BuildError {
    message: String,
    permission: bool,
    at_fault: Option<Part>,
}

impl BuildError {
    /// Whether it is a file that this process may not read, or that others may.
    pub fn is_permission(&self) -> bool {
        self.permission
    }

    /// What is wrong by itself; `None` where configuration and users contradict each other.
    pub fn at_fault(&self) -> Option<&Part> {
        self.at_fault.as_ref()
    }

    #[cfg(test)]
    pub(crate) fn for_test(at_fault: Option<Part>) -> Self {
        Self { message: String::new(), permission: false, at_fault }
    }

    /// Of the configuration.
    pub fn config(message: impl fmt::Display) -> Self {
        Self { message: message.to_string(), permission: false, at_fault: Some(Part::Configuration) }
    }

    /// Of the files of a tunnel.
    pub(super) fn of_tunnel(tunnel: &TunnelAddress, error: &LoadError) -> Self {
        let message = format!("tunnel {tunnel}: {error}");
        Self { message, permission: error.is_permission(), at_fault: Some(Part::Certificates) }
    }

    /// Of the users.
    pub(super) fn users(message: impl fmt::Display) -> Self {
        Self { message: message.to_string(), permission: false, at_fault: Some(Part::Users) }
    }

    /// Others may do something with the ACL file that they must not.
    pub(super) fn users_permission(fault: String) -> Self {
        Self { permission: true, ..Self::users(fault) }
    }

    /// The ACL file cannot be read.
    pub(super) fn users_file(path: &Path, error: &io::Error) -> Self {
        let permission = error.kind() == io::ErrorKind::PermissionDenied;
        Self { permission, ..Self::users(format!("{}: cannot read it: {error}", path.display())) }
    }
}

impl From<&ConfigError> for BuildError {
    fn from(error: &ConfigError) -> Self {
        Self::config(error)
    }
}

impl From<&Contradiction> for BuildError {
    fn from(contradiction: &Contradiction) -> Self {
        Self { at_fault: None, ..Self::config(contradiction) }
    }
}

impl From<&LoadError> for BuildError {
    fn from(error: &LoadError) -> Self {
        let at_fault = match (error.setting, &error.path) {
            ("tls-cert-file" | "tls-key-file", _) => Part::Certificates,
            ("tls-ca-cert-file", Some(path)) => Part::Authorities(path.clone()),
            ("tls-crl-file", Some(path)) => Part::RevocationLists(path.clone()),
            _ => Part::Configuration,
        };
        Self { message: error.to_string(), permission: error.is_permission(), at_fault: Some(at_fault) }
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
