//! From flags, environment and file to one validated configuration.
//!
//! Two steps. *Raw*: every setting as it was written, with the place it came from; flags stand above the environment,
//! and that above the file. *Validated*: a [`Config`] that nobody needs to check again, or every error at once, each with
//! its place.

mod blocklist;
mod error;
mod file;
mod form;
mod host;
mod interpolate;
mod mistaken;
mod model;
mod nearest;
mod raw;
mod redis_conf;
mod restart;
mod secret;
mod setting;
mod tunnel_flags;
mod units;
mod validate;

#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;

pub use blocklist::{BlocklistEntry, DEFAULT_BLOCKLIST, LEFT_OPEN};
pub use error::{ConfigError, ConfigErrors};
pub use host::{Host, Memory};
pub use model::{
    AclSource, AdminAddress, AuditOnFull, AuditSettings, AuditTarget, Block, CertificateRule, Config,
    DEFAULT_MAXCLIENTS, Endpoint, FileKind, Limits, ListenAddress, Listener, LogFormat, LogLevel, LogSettings,
    METRICS_PORT, MetricsDoor, NamedUser, Rename, Tunnel, TunnelAddress, UpstreamAddress, UpstreamSettings,
};
pub use nearest::nearest;
pub use raw::{Flags, Variables};
pub use redis_conf::{RedisConfLine, RedisConfText};
pub use restart::Restart;
pub use secret::Redacted;

pub use tunnel_flags::TunnelFlags;
pub use units::network;
pub use validate::redis_conf;

use error::{Disclosure, Place, SourceFile};
use file::Fault;
use mistaken::mistaken;
use raw::Settings;
use validate::Purpose;

use crate::files::Files;

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
    /// The files, as they are read.
    pub files: &'a Files,
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
    load_for(Purpose::Serving, sources)
}

/// The same for those who only ask what users may do: it may lack a listener and the upstream.
///
/// # Errors
/// As [`load`].
pub fn load_rules(sources: &Sources<'_>) -> Result<Loaded, ConfigErrors> {
    load_for(Purpose::Asking, sources)
}

/// Reads what the flags of `respgate tunnel` and the environment say. There is no file.
///
/// # Errors
/// Everything that is wrong, not only the first.
pub fn load_tunnel(
    flags: &TunnelFlags,
    variables: &Variables,
    host: &Host,
    files: &Files,
) -> Result<Loaded, ConfigErrors> {
    let settings = flags
        .settings(variables)
        .map_err(|error| ConfigErrors(vec![ConfigError::new(Place::Whole, error.to_string().trim_end())]))?;
    let sources = Sources { file: None, variables, flags: &Flags::none(), host, files };
    let validate::Validated { config, errors, warnings } =
        validate::validate(Purpose::Tunnelling, settings, None, &sources);
    if errors.is_empty() { Ok(Loaded { config, warnings }) } else { Err(ConfigErrors(errors)) }
}

fn load_for(purpose: Purpose, sources: &Sources<'_>) -> Result<Loaded, ConfigErrors> {
    let source = source_file(sources.file.clone(), sources.variables, sources.files)?;
    let mut loaded = load_text(purpose, source.as_ref(), sources)?;
    loaded.config.file = source.map(|source| source.path);
    loaded.config.sources.extend(loaded.config.file.clone());
    Ok(loaded)
}

/// The admin door alone, for those who ask a running proxy: its secrets and certificates may be out of their reach.
///
/// # Errors
/// The file cannot be read or parsed, or says something about it that is wrong.
pub fn admin_door(
    file: Option<PathBuf>,
    variables: &Variables,
    host: &Host,
) -> Result<Option<AdminAddress>, ConfigErrors> {
    let source = source_file(file, variables, &Files::default())?;
    let (settings, mut errors) = settings(source.as_ref(), variables, &Flags::none())?;
    let (door, more) = validate::admin_listen(settings, source.as_ref(), host);
    errors.extend(more);
    if errors.is_empty() { Ok(door) } else { Err(ConfigErrors(errors)) }
}

/// Of one listener, where its revocation lists come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevocationLists {
    /// The listener's address, as it is written.
    pub listen: String,
    /// `tls-crl-file`.
    pub files: Vec<PathBuf>,
}

/// The revocation lists of every listener that asks for certificates, and the configuration file that says so; `None`
/// where no file is named. For those who write such lists: the rest of the configuration may be out of their reach.
///
/// # Errors
/// The file cannot be read or parsed, or says something about these listeners that is wrong.
pub fn revocation_lists(
    file: Option<PathBuf>,
    variables: &Variables,
    host: &Host,
) -> Result<Option<(PathBuf, Vec<RevocationLists>)>, ConfigErrors> {
    let Some(source) = source_file(file, variables, &Files::default())? else { return Ok(None) };
    let (settings, mut errors) = settings(Some(&source), variables, &Flags::none())?;
    let (lists, more) = validate::revocation_lists(settings, &source, host);
    errors.extend(more);
    if errors.is_empty() { Ok(Some((source.path, lists))) } else { Err(ConfigErrors(errors)) }
}

fn load_text(purpose: Purpose, source: Option<&SourceFile>, sources: &Sources<'_>) -> Result<Loaded, ConfigErrors> {
    let (settings, mut errors) = settings(source, sources.variables, sources.flags)?;
    if let Some(fault) = source.and_then(|source| source.permissions.changeable()) {
        errors.push(ConfigError::permission(Place::Whole, fault));
    }
    if let Some(source) = source.filter(|source| file::sets_nothing(&source.text)) {
        let told = "it sets nothing, as if it had been emptied: without --config and RESPGATE_CONFIG none is read";
        errors.push(ConfigError::new(Place::Named(source.path.display().to_string()), told));
    }
    let mut validated = validate::validate(purpose, settings, source, sources);
    let foreign = source.and_then(|source| source.permissions.foreign());
    validated.warnings.extend(foreign.map(|fault| ConfigError::new(Place::Whole, fault)));
    validated.warnings.extend(source.into_iter().flat_map(|source| overridden(source, sources)));
    // A variable that is not set is no address either: what is wrong with the form of a value is said once.
    let in_file = |error: &&ConfigError| matches!(error.place, Place::Spot(_));
    let formless: Vec<_> = errors.iter().filter(in_file).map(|error| error.place.order()).collect();
    errors.extend(validated.errors.into_iter().filter(|error| !formless.contains(&error.place.order())));
    if errors.is_empty() {
        return Ok(Loaded { config: validated.config, warnings: validated.warnings });
    }
    errors.sort_by_key(|error| error.place.order());
    Err(ConfigErrors(errors))
}

/// What the file says, and a variable or flag says otherwise: whoever looks into the file alone takes it for true.
fn overridden(source: &SourceFile, sources: &Sources<'_>) -> Vec<ConfigError> {
    let above = raw::given_above_the_file(sources.variables, sources.flags);
    let mut warnings = Vec::new();
    for (key, span, text) in file::settings_of(&source.text) {
        if let Some(given) = above.get(&key).filter(|given| text.as_ref() != Some(&given.text)) {
            let told = format!("`{key}` is not in force here: {} stands above the file", given.origin);
            warnings.push(ConfigError::new(Place::Spot(source.spot(&span, Disclosure::KeyOnly)), told));
        }
    }
    warnings
}

/// The settings of all three sources, and what is wrong with their form. A file that is no TOML has no settings at all.
fn settings(
    source: Option<&SourceFile>,
    variables: &Variables,
    flags: &Flags,
) -> Result<(Settings, Vec<ConfigError>), ConfigErrors> {
    let mut settings = Settings::default();
    let mut errors = Vec::new();
    if let Some(source) = source {
        let error = |fault: Fault| ConfigError {
            hint: fault.hint,
            ..ConfigError::new(Place::Spot(source.spot(&fault.span, Disclosure::KeyOnly)), fault.message)
        };
        let told = |faults: Vec<Fault>| faults.into_iter().map(error).collect();
        let (sound, faults) = file::parse(&source.text, variables).map_err(|faults| ConfigErrors(told(faults)))?;
        settings = sound;
        errors = told(faults);
    }
    if let Err(error) = settings.overlay(variables, flags) {
        errors.push(ConfigError::new(Place::Whole, error.to_string().trim_end()));
    }
    Ok((settings, errors))
}

fn source_file(
    file: Option<PathBuf>,
    variables: &Variables,
    files: &Files,
) -> Result<Option<SourceFile>, ConfigErrors> {
    let path = file.or_else(|| variables.get("RESPGATE_CONFIG").map(PathBuf::from));
    path.map(|path| read(path, files)).transpose()
}

fn read(path: PathBuf, files: &Files) -> Result<SourceFile, ConfigErrors> {
    let read = files.read(&path).and_then(|content| Ok((content.text()?.to_owned(), content.permissions.clone())));
    match read {
        Ok((text, permissions)) => match mistaken(text.as_bytes()) {
            None => Ok(SourceFile { path, text, permissions }),
            Some(mistaken) => Err(ConfigErrors(vec![ConfigError::new(
                Place::Named(path.display().to_string()),
                format!("{mistaken}, and no configuration"),
            )])),
        },
        Err(error) => Err(ConfigErrors(vec![ConfigError {
            permission: error.kind() == io::ErrorKind::PermissionDenied,
            ..ConfigError::new(Place::Named(path.display().to_string()), format!("cannot read it: {error}"))
        }])),
    }
}
