//! From flags, environment and file to one validated configuration.
//!
//! Two steps. *Raw*: every setting as it was written, with the place it came from; flags stand above the environment, the
//! environment above the file. *Validated*: a [`Config`] that nobody needs to check again, or every error at once, each
//! with its place.

mod blocklist;
mod error;
mod file;
mod host;
mod interpolate;
mod model;
mod nearest;
mod raw;
mod redis_conf;
mod secret;
mod units;
mod validate;

#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::path::PathBuf;

pub use blocklist::{BlocklistEntry, DEFAULT_BLOCKLIST, LEFT_OPEN};
pub use error::{ConfigError, ConfigErrors};
pub use host::Host;
pub use model::{
    AclDialect, AclSource, AuthClients, Block, CertificateRule, ClientsUser, Config, CrlCheck, CrlExpired, Limits,
    Listener, LogFormat, LogLevel, LogSettings, Rename, TlsFiles, TlsProtocols, Unmapped, Upstream, UpstreamAddress,
    UserSettings,
};
pub use raw::{Flags, Variables};
pub use secret::Redacted;

use error::{Disclosure, Place, SourceFile};

/// Where settings come from.
#[derive(Debug)]
pub struct Sources<'a> {
    /// The configuration file; `RESPGATE_CONFIG` is looked at where this is `None`.
    pub file: Option<PathBuf>,
    /// The environment.
    pub variables: &'a Variables,
    /// The flags.
    pub flags: &'a Flags,
    /// What defaults depend on.
    pub host: &'a Host,
}

/// A configuration, and what is to be said about it.
#[derive(Debug, PartialEq, Eq)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What works but is better changed.
    pub warnings: Vec<ConfigError>,
}

/// Reads all sources and the secret files they name.
///
/// # Errors
/// Everything that is wrong, not only the first.
pub fn load(sources: &Sources<'_>) -> Result<Loaded, ConfigErrors> {
    let path = sources.file.clone().or_else(|| sources.variables.get("RESPGATE_CONFIG").map(PathBuf::from));
    let source = path.map(read).transpose().map_err(|error| ConfigErrors(vec![error]))?;
    load_text(source.as_ref(), sources)
}

fn load_text(source: Option<&SourceFile>, sources: &Sources<'_>) -> Result<Loaded, ConfigErrors> {
    let (mut settings, faults) = match source {
        Some(source) => file::parse(&source.text, sources.variables),
        None => Default::default(),
    };
    let mut errors: Vec<ConfigError> = Vec::new();
    if let Some(source) = source {
        errors.extend(faults.into_iter().map(|fault| ConfigError {
            place: Place::Spot(source.spot(&fault.span, Disclosure::KeyOnly)),
            message: fault.message,
            hint: fault.hint,
            permission: false,
        }));
    }
    let unreadable_file = !errors.is_empty();
    if let Err(error) = settings.overlay(sources.variables, sources.flags) {
        errors.push(ConfigError::new(Place::Whole, error.to_string().trim_end()));
    }
    let validated = validate::validate(settings, source, sources.variables, sources.host);
    // Of a file with faults it cannot be said what is missing: it may be what could not be read.
    let sound = |error: &ConfigError| !unreadable_file || error.place != Place::Whole;
    errors.extend(validated.errors.into_iter().filter(sound));
    if errors.is_empty() {
        return Ok(Loaded { config: validated.config, warnings: validated.warnings });
    }
    errors.sort_by_key(|error| error.place.order());
    Err(ConfigErrors(errors))
}

fn read(path: PathBuf) -> Result<SourceFile, ConfigError> {
    match fs::read_to_string(&path) {
        Ok(text) => Ok(SourceFile { path, text }),
        Err(error) => Err(ConfigError {
            permission: error.kind() == io::ErrorKind::PermissionDenied,
            ..ConfigError::new(Place::Named(path.display().to_string()), format!("cannot read it: {error}"))
        }),
    }
}
