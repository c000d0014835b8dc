//! What is found in files. All of this runs on the thread that may wait for them.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::Reread;
use crate::config::{Config, ConfigErrors, Loaded, Restart};
use crate::files::{Digest, Files};
use crate::generation;
use crate::serve::logging::{LogError, OpenedLog};

/// What has come of something that takes as long as a file system likes.
pub(in crate::serve) enum Found {
    /// A look at the watched files.
    Look(Read),
    /// Everything that a generation is built of.
    All(Read, Rest),
    /// The same, for a reload that somebody had asked for.
    Reload(Read, Rest),
    /// Of writing the ACL file.
    Written(Written),
}

/// Files that were read.
pub(in crate::serve) struct Read {
    pub(super) files: Files,
    /// When that began and ended.
    pub(super) time: (Instant, Instant),
}

/// What else is found where a generation is to be built.
pub(in crate::serve) struct Rest {
    /// `None` if nobody wanted to know.
    pub(super) config: Option<Result<ReadConfig, ConfigErrors>>,
    /// Something has changed while it was read.
    pub(super) has_changed: bool,
}

/// A configuration, as far as a reload takes it.
pub(in crate::serve) struct ReadConfig {
    pub(super) config: Config,
    pub(super) warnings: Vec<String>,
    pub(super) restart: Restart,
    /// Where its log goes, if that is another than the one in force.
    pub(super) log: Option<Result<OpenedLog, LogError>>,
}

/// Of writing the ACL file.
pub(in crate::serve) struct Written {
    pub(super) path: PathBuf,
    pub(super) text: Vec<u8>,
    /// The digest of what was there before, if it could be read.
    pub(super) before: Option<Digest>,
    pub(super) outcome: io::Result<()>,
    /// The file, read again.
    pub(super) files: Files,
    /// The generation whose users it are.
    pub(super) generation: u64,
}

/// Where the configuration comes from, and what of it only a restart takes.
pub(super) struct ConfigSource {
    pub(super) reread: Reread,
    pub(super) in_force: Config,
}

impl ConfigSource {
    /// What is configured now, as far as a reload takes it, and what the files hold that it names.
    fn read(&self, files: &Files) -> Result<ReadConfig, ConfigErrors> {
        let Loaded { config: written, warnings } = (self.reread)(files)?;
        let (config, restart) = self.in_force.reloaded(&written);
        // What cannot be read is an error of the build.
        config.watched_files().iter().for_each(|(path, _)| drop(files.read(path)));
        Ok(ReadConfig { config, warnings: warnings.iter().map(ToString::to_string).collect(), restart, log: None })
    }

    /// What was read, with its log opened.
    fn with_log(&self, read: ReadConfig, files: &Files) -> ReadConfig {
        let settings = &read.config.log;
        if *settings == self.in_force.log {
            return read;
        }
        settings.file.iter().for_each(|path| files.asked_for().note(path));
        ReadConfig { log: Some(OpenedLog::open(settings)), ..read }
    }
}

/// Looks at these files. What pipes and devices give is gone after that, and left there.
pub(super) fn look(files: Files, watched: &[PathBuf]) -> Read {
    let began = Instant::now();
    for path in watched {
        if files.is_regular(path) != Some(false) {
            drop(files.read(path));
        }
    }
    Read { files, time: (began, Instant::now()) }
}

/// Looks at these files, and reads all that a generation is built of, with the configuration where somebody wants to know.
pub(super) fn all(files: Files, watched: &[PathBuf], source: Option<&ConfigSource>) -> (Read, Rest) {
    let began = Instant::now();
    let Read { files, .. } = look(files, watched);
    // What a generation is built of may be a device.
    watched.iter().for_each(|path| drop(files.read(path)));
    let found = source.map(|source| (source, source.read(&files)));
    finish(files, began, found)
}

/// The same, again where something has changed meanwhile, and always with the configuration.
pub(super) fn at_one_moment(files: Files, watched: &[PathBuf], source: &ConfigSource) -> (Read, Rest) {
    let mut began = Instant::now();
    let (files, config) = files.at_one_moment(|files| {
        began = Instant::now();
        watched.iter().for_each(|path| drop(files.read(path)));
        source.read(files)
    });
    finish(files, began, Some((source, config)))
}

/// What a configuration was read from, and what came of it.
type FoundConfig<'a> = (&'a ConfigSource, Result<ReadConfig, ConfigErrors>);

fn finish(files: Files, began: Instant, found: Option<FoundConfig<'_>>) -> (Read, Rest) {
    for path in files.paths() {
        files.is_regular(&path);
    }
    let ended = Instant::now();
    let has_changed = files.has_changed();
    // Once, however often the configuration was read.
    let config = found.map(|(source, config)| config.map(|read| source.with_log(read, &files)));
    (Read { files, time: (began, ended) }, Rest { config, has_changed })
}

/// Replaces the ACL file.
pub(super) fn write(files: &Files, again: Files, path: &Path, text: Vec<u8>, generation: u64) -> Written {
    let before = files.read(path).ok().map(|content| content.digest());
    let outcome = generation::replace(path, &text);
    drop(again.read(path));
    Written { path: path.to_owned(), text, before, outcome, files: again, generation }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::sync::Arc;

    use super::*;
    use crate::config::{self, Flags, Host, Sources};

    const MINIMAL: &str = "listen = \"127.0.0.1:6380\"\nupstream = \"unix:/run/redis/redis.sock\"\n\
        tls-cert-file = \"server.crt\"\ntls-key-file = \"server.key\"\ntls-ca-cert-file = \"ca.crt\"\naclfile = \"users.acl\"\n";

    #[test]
    fn another_log_file_is_opened_where_files_are_read_and_told_of_as_the_one_that_is_waited_for() {
        let folder = tempfile::Builder::new().permissions(private()).tempdir().unwrap();
        let file = folder.path().join("respgate.toml");
        let log = folder.path().join("log");
        let load = |file: &Path, files: &Files| {
            let (variables, flags, host) = (BTreeMap::new(), Flags::none(), Host::current());
            let file = Some(file.to_owned());
            config::load(&Sources { file, variables: &variables, flags: &flags, host: &host, files })
        };
        fs::write(&file, MINIMAL).unwrap();
        let in_force = load(&file, &Files::default()).unwrap().config;
        let named = file.clone();
        let source = ConfigSource { reread: Arc::new(move |files| load(&named, files)), in_force };
        let opened = || {
            let (of_all, of_one_moment) = (Files::default(), Files::default());
            let asked_for = [of_all.asked_for(), of_one_moment.asked_for()];
            let rests = [all(of_all, &[], Some(&source)).1, at_one_moment(of_one_moment, &[], &source).1];
            let logs = rests.map(|rest| rest.config.unwrap().unwrap().log);
            let outcomes = logs.map(|log| log.map(|log| log.map(drop).map_err(|error| error.to_string())));
            (outcomes, asked_for.map(|asked_for| asked_for.path()))
        };
        assert_eq!(opened().0, [None, None], "it is the same");
        fs::write(&file, format!("log-file = {log:?}\n{MINIMAL}")).unwrap();
        assert_eq!(opened(), ([Some(Ok(())), Some(Ok(()))], [log.clone(), log.clone()]));
        assert!(log.exists());
        fs::remove_file(&log).unwrap();
        fs::create_dir(&log).unwrap();
        let error = format!("log-file: {}: Is a directory (os error 21)", log.display());
        assert_eq!(opened().0, [Some(Err(error.clone())), Some(Err(error))]);
    }

    fn private() -> fs::Permissions {
        std::os::unix::fs::PermissionsExt::from_mode(0o700)
    }
}
