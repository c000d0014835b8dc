//! What is found in files. All of this runs on the thread that may wait for them.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::Reread;
use crate::config::{Config, ConfigErrors, Loaded, Restart};
use crate::files::{Digest, Files};
use crate::generation;

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
        Ok(ReadConfig { config, warnings: warnings.iter().map(ToString::to_string).collect(), restart })
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
    let config = source.map(|source| source.read(&files));
    finish(files, began, config)
}

/// The same, again where something has changed meanwhile, and always with the configuration.
pub(super) fn at_one_moment(files: Files, watched: &[PathBuf], source: &ConfigSource) -> (Read, Rest) {
    let mut began = Instant::now();
    let (files, config) = files.at_one_moment(|files| {
        began = Instant::now();
        watched.iter().for_each(|path| drop(files.read(path)));
        source.read(files)
    });
    finish(files, began, Some(config))
}

fn finish(files: Files, began: Instant, config: Option<Result<ReadConfig, ConfigErrors>>) -> (Read, Rest) {
    for path in files.paths() {
        files.is_regular(&path);
    }
    let ended = Instant::now();
    let has_changed = files.has_changed();
    (Read { files, time: (began, ended) }, Rest { config, has_changed })
}

/// Replaces the ACL file.
pub(super) fn write(files: &Files, again: Files, path: &Path, text: Vec<u8>, generation: u64) -> Written {
    let before = files.read(path).ok().map(|content| content.digest());
    let outcome = generation::replace(path, &text);
    drop(again.read(path));
    Written { path: path.to_owned(), text, before, outcome, files: again, generation }
}
