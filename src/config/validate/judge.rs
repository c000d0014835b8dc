//! Reading single values and collecting what is wrong with them.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use super::Purpose;
use crate::config::error::{ConfigError, Disclosure, Place, SourceFile};
use crate::config::host::Host;
use crate::config::interpolate;
use crate::config::mistaken::{Mistaken, mistaken};
use crate::config::model::NamedUser;
use crate::config::secret::Redacted;
use crate::config::setting::{Origin, Setting};
use crate::files::Files;
use crate::permissions::Permissions;

/// A path in `sockaddr_un`, its final NUL left out.
const LONGEST_SOCKET_PATH: usize = 107;

/// Of a password that others are to fill in: compose, a template, a shell.
pub(super) const UNFILLED: &str = "the password is a variable, ${…}, that nobody has filled in";

/// Collects findings while settings are read.
pub(super) struct Judge<'a> {
    pub(super) source: Option<&'a SourceFile>,
    pub(super) host: &'a Host,
    pub(super) files: &'a Files,
    /// The files that were read.
    pub(super) sources: BTreeSet<PathBuf>,
    pub(super) strict_permissions: bool,
    pub(super) purpose: Purpose,
    /// There are tunnels and no listener, so that neither users nor an upstream are needed.
    pub(super) only_tunnels: bool,
    pub(super) named_users: Vec<NamedUser>,
    pub(super) errors: Vec<ConfigError>,
    pub(super) warnings: Vec<ConfigError>,
}

impl<'a> Judge<'a> {
    pub(super) fn new(source: Option<&'a SourceFile>, host: &'a Host, files: &'a Files) -> Judge<'a> {
        Judge {
            source,
            host,
            files,
            sources: BTreeSet::new(),
            strict_permissions: false,
            purpose: Purpose::Serving,
            only_tunnels: false,
            named_users: Vec::new(),
            errors: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// The files that were read, of which there are no more to come.
    pub(super) fn sources(&mut self) -> Vec<PathBuf> {
        std::mem::take(&mut self.sources).into_iter().collect()
    }

    /// The value of a setting that is there; what is wrong with it is noted.
    pub(super) fn read<T>(&mut self, setting: Option<Setting>, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let setting = setting?;
        match parse(&setting.text) {
            Ok(value) => Some(value),
            Err(message) => {
                self.error(&setting.origin, message);
                None
            }
        }
    }

    pub(super) fn or<T>(
        &mut self,
        setting: Option<Setting>,
        parse: impl Fn(&str) -> Result<T, String>,
        default: T,
    ) -> T {
        self.read(setting, parse).unwrap_or(default)
    }

    pub(super) fn all<T>(
        &mut self,
        settings: Option<Vec<Setting>>,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<T> {
        settings.into_iter().flatten().filter_map(|setting| self.read(Some(setting), &parse)).collect()
    }

    pub(super) fn names(&mut self, settings: Option<Vec<Setting>>) -> Vec<String> {
        self.all(
            settings,
            |text| if text.is_empty() { Err("must not be empty".to_owned()) } else { Ok(text.to_owned()) },
        )
    }

    /// Notes that `key` names a user there.
    pub(super) fn names_user(&mut self, name: &str, key: impl Into<String>, origin: &Origin) {
        let location = match (self.source, origin) {
            (Some(source), Origin::File(span)) => source.location(span),
            _ => origin.to_string(),
        };
        self.named_users.push(NamedUser { name: name.to_owned(), key: key.into(), location });
    }

    /// Paths in the file start from its directory, so that it means the same wherever the program is started.
    pub(super) fn path(&mut self, setting: Option<Setting>) -> Option<PathBuf> {
        let setting = setting?;
        if setting.text.is_empty() || setting.text.contains('\0') {
            self.error(&setting.origin, "a path is missing here");
            return None;
        }
        match (self.source, &setting.origin) {
            (Some(source), Origin::File(_)) => Some(source.directory().join(setting.text)),
            _ => Some(PathBuf::from(setting.text)),
        }
    }

    pub(super) fn paths(&mut self, settings: Option<Vec<Setting>>) -> Vec<PathBuf> {
        settings.into_iter().flatten().filter_map(|setting| self.path(Some(setting))).collect()
    }

    pub(super) fn socket_path(&mut self, setting: Setting) -> Option<PathBuf> {
        let origin = setting.origin.clone();
        let path = self.path(Some(setting))?;
        if path.as_os_str().len() > LONGEST_SOCKET_PATH {
            self.error(
                &origin,
                format!("longer than a unix socket's path can be, which is {LONGEST_SOCKET_PATH} bytes"),
            );
        }
        Some(path)
    }

    /// A secret given directly or as the name of a file, but not both. A file named by flag or variable stands above
    /// what the configuration file says, as every flag and variable does.
    pub(super) fn secret(&mut self, direct: Option<Setting>, file: Option<Setting>, name: &str) -> Option<Redacted> {
        let in_file = |setting: &Setting| !setting.origin.is_above_the_file();
        match (direct, file) {
            (Some(direct), Some(file)) if in_file(&direct) && !in_file(&file) => self.secret_file(file),
            (Some(_), Some(file)) => {
                self.error(&file.origin, format!("`{name}` is given directly and as a file: keep one"));
                None
            }
            (Some(direct), None) if direct.text.is_empty() => {
                self.secret_error(&direct.origin, "the password is empty");
                None
            }
            (Some(direct), None) => {
                self.judge_source(&direct.origin);
                Some(Redacted::new(direct.text.into_bytes()))
            }
            (None, Some(file)) => self.secret_file(file),
            (None, None) => None,
        }
    }

    /// The content of a file without its last newline, as editors add one.
    fn secret_file(&mut self, file: Setting) -> Option<Redacted> {
        let origin = file.origin.clone();
        let path = self.path(Some(file))?;
        self.sources.insert(path.clone());
        let (content, gone) = match self.files.secret(&path) {
            Ok(read) => read,
            Err(error) => {
                self.unreadable(&origin, &path, &error);
                return None;
            }
        };
        if let Some(fault) = content.permissions.changeable() {
            self.permission_error(&origin, fault);
        }
        if let Some(fault) = content.permissions.foreign() {
            self.warnings.push(ConfigError::new(self.secret_place(&origin), fault));
        }
        if let Some(error) = gone {
            let told = format!("{}: cannot read it: {error}: the next start would fail", path.display());
            self.warn(&origin, told);
        }
        self.judge_readers(&origin, &content.permissions);
        let line = content.bytes.strip_suffix(b"\n");
        let password = line.map_or(content.bytes.as_slice(), |line| line.strip_suffix(b"\r").unwrap_or(line));
        if password.is_empty() {
            self.error(&origin, format!("{}: the password is empty", path.display()));
            return None;
        }
        // Any bytes may be a password, but nobody means to send the whole of a key.
        if let Some(mistaken @ Mistaken::Pem) = mistaken(password) {
            self.error(&origin, format!("{}: {mistaken}, and no password", path.display()));
            return None;
        }
        if interpolate::is_reference(password) {
            self.error(&origin, format!("{}: {UNFILLED}", path.display()));
            return None;
        }
        Some(Redacted::new(password.to_vec()))
    }

    /// A password that stands in the configuration file itself.
    fn judge_source(&mut self, origin: &Origin) {
        if let (Some(source), Origin::File(span)) = (self.source, origin)
            && source.is_written_out(span)
        {
            self.judge_readers(origin, &source.permissions);
        }
    }

    /// Secrets of Kubernetes and compose are 0644 by default: only a warning, unless `strict-permissions`.
    fn judge_readers(&mut self, origin: &Origin, permissions: &Permissions) {
        match permissions.readable() {
            Some(fault) if self.strict_permissions => self.permission_error(origin, fault),
            Some(fault) => {
                let warning = ConfigError::new(self.secret_place(origin), fault);
                self.warnings.push(warning);
            }
            None => {}
        }
    }

    pub(super) fn permission_error(&mut self, origin: &Origin, message: String) {
        self.errors.push(ConfigError::permission(self.secret_place(origin), message));
    }

    pub(super) fn unreadable(&mut self, origin: &Origin, path: &Path, error: &io::Error) {
        self.errors.push(ConfigError::unreadable(self.place(origin), path, error));
    }

    pub(super) fn error(&mut self, origin: &Origin, message: impl Into<String>) {
        self.errors.push(ConfigError::new(self.place(origin), message));
    }

    /// An error about a value that must not be shown.
    pub(super) fn secret_error(&mut self, origin: &Origin, message: impl Into<String>) {
        self.errors.push(ConfigError::new(self.secret_place(origin), message));
    }

    pub(super) fn warn(&mut self, origin: &Origin, message: impl Into<String>) {
        self.warnings.push(ConfigError::new(self.place(origin), message));
    }

    /// Nobody is served without it.
    pub(super) fn missing(&mut self, message: &str) {
        if self.purpose != Purpose::Asking && !self.only_tunnels {
            self.errors.push(ConfigError::new(Place::Whole, message));
        }
    }

    fn secret_place(&self, origin: &Origin) -> Place {
        match (self.source, origin) {
            (Some(source), Origin::File(span)) => Place::Spot(source.spot(span, Disclosure::KeyOnly)),
            _ => Place::Named(origin.to_string()),
        }
    }

    fn place(&self, origin: &Origin) -> Place {
        match (self.source, origin) {
            (Some(source), Origin::File(span)) => Place::Spot(source.spot(span, Disclosure::Value)),
            _ => Place::Named(origin.to_string()),
        }
    }
}
