//! The files.

use std::fs;
use std::path::{Path, PathBuf};

use super::conf::{Conf, ConfError};
use super::translation::Pinned;
use crate::files::Files;
use crate::identity::Fingerprint;
use crate::identity::x509::Certificate;
use crate::tls::client_file;

/// Reads a stunnel.conf with all that it includes.
///
/// # Errors
/// What cannot be read, and where.
pub fn read(path: &Path) -> Result<Conf, ConfError> {
    let text = |path: &Path| {
        let content = Files::default().read(path).map_err(|error| error.to_string())?;
        String::from_utf8(content.bytes.to_vec()).map_err(|_| "is no UTF-8".to_owned())
    };
    let list = |folder: &Path| -> Result<Vec<PathBuf>, String> {
        let entries = fs::read_dir(folder).map_err(|error| error.to_string())?;
        let paths = entries.map(|entry| entry.map(|entry| entry.path()).map_err(|error| error.to_string()));
        // stunnel passes over what begins with a dot.
        let is_shown = |path: &PathBuf| path.file_name().is_some_and(|name| !name.to_string_lossy().starts_with('.'));
        Ok(paths.collect::<Result<Vec<_>, _>>()?.into_iter().filter(|path| is_shown(path) && path.is_file()).collect())
    };
    Conf::read(path, &text, &list)
}

/// The certificates of a PEM file.
///
/// # Errors
/// It cannot be read, or holds something that is none.
pub fn pinned(path: &Path) -> Result<Vec<Pinned>, String> {
    let chain = client_file::read(path, "CAfile")
        .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))?;
    let pinned = |der: &[u8]| {
        let certificate = Certificate::parse(der).map_err(|_| format!("{}: no certificate", path.display()))?;
        let (sha256, spki_sha256) = (Fingerprint::of(der).to_string(), certificate.spki_sha256.to_string());
        let names = (certificate.subject.display(), certificate.issuer.display());
        Ok(Pinned { sha256, spki_sha256, is_ca: certificate.is_ca, names })
    };
    chain.certificates().map(pinned).collect()
}
