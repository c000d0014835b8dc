//! Whether a proxy reads the revocation list: a revocation that nobody hears of is none.

use std::fs;
use std::path::{Path, PathBuf};

use crate::config::{self, ConfigErrors, Host, RevocationLists, Variables};

/// What a configuration makes of a list.
pub(super) struct Audience {
    /// The list, as the system names it.
    list: PathBuf,
    /// The file that was looked at, if there is one, and its listeners that ask for certificates.
    configuration: Option<(PathBuf, Vec<RevocationLists>)>,
}

impl Audience {
    /// Looks at the configuration, where one is known.
    pub(super) fn of(list: &Path, config: Option<PathBuf>, variables: &Variables) -> Result<Audience, ConfigErrors> {
        let list = fs::canonicalize(list).unwrap_or_else(|_| list.to_owned());
        let configuration = config::revocation_lists(config, variables, &Host::current())?;
        Ok(Audience { list, configuration })
    }

    /// Where the revocation does not take effect.
    pub(super) fn warnings(&self) -> Vec<String> {
        let Some((file, listeners)) = &self.configuration else { return Vec::new() };
        if listeners.is_empty() {
            return vec![format!(
                "the revocation has no effect: no listener of {} asks for certificates",
                file.display()
            )];
        }
        let deaf = listeners.iter().filter(|listener| !self.is_read_by(listener));
        deaf.map(|RevocationLists { listen, files }| {
            let there = match files.as_slice() {
                [] => "no tls-crl-file is set there:".to_owned(),
                files => {
                    let names: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
                    format!("tls-crl-file names {} there: copy the list to it, or", names.join(", "))
                }
            };
            format!(
                "the revocation has no effect at {listen}: {there} write in {}: tls-crl-file = {:?}",
                file.display(),
                self.list
            )
        })
        .collect()
    }

    /// What is well, or not known.
    pub(super) fn remark(&self) -> Option<String> {
        match &self.configuration {
            None => Some(format!(
                "the proxy has to read it, tls-crl-file = {:?}: --config FILE looks whether it does",
                self.list
            )),
            Some((file, listeners)) if listeners.iter().any(|listener| self.is_read_by(listener)) => {
                Some(format!("{} names it as tls-crl-file", file.display()))
            }
            Some(_) => None,
        }
    }

    fn is_read_by(&self, listener: &RevocationLists) -> bool {
        listener.files.iter().any(|file| fs::canonicalize(file).is_ok_and(|file| file == self.list))
    }
}
