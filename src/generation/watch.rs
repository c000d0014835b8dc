//! Which content of the watched files takes effect, and when. The time is passed in.
//!
//! A file that is written in place is half written for a while, and half a file may give rights that no version of it
//! ever gave. So where half a file can be read as a whole one, content takes effect only once it has settled.

mod settling;
#[cfg(test)]
mod tests;
mod watched;

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use self::settling::ContentState;
use self::watched::Watched;
use super::part::Part;
use crate::config::FileKind;
use crate::files::{Content, Digest, Files};

/// All watched files.
pub struct Watch {
    files: BTreeMap<(PathBuf, FileKind), Watched>,
    /// Counts the looks.
    looks: u64,
}

/// What has come of one look at all of them.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Files with content that is to take effect now.
    pub news: BTreeSet<PathBuf>,
    /// Files whose content has to stay as it is for a while before it takes effect.
    pub unsettled: BTreeSet<PathBuf>,
    /// Those of them that have been so for too long. Each is told of once.
    pub overdue: Vec<PathBuf>,
}

impl Watch {
    /// Watches these files. What `files` has read of them is in force.
    pub fn new(watched: BTreeSet<(PathBuf, FileKind)>, files: &Files) -> Watch {
        let mut watch = Watch { files: BTreeMap::new(), looks: 0 };
        watch.follow(watched, files);
        watch
    }

    /// Looks at every file, as `files` have been read in this time: what was seen was so at its end at the latest, and what
    /// is seen again, at its beginning at the earliest.
    pub fn look(&mut self, files: &Files, time: (Instant, Instant)) -> Look {
        self.looks += 1;
        self.look_further(files, time)
    }

    /// The same again, as part of the last look: these files have been read because of what that has shown.
    pub fn look_further(&mut self, files: &Files, (began, ended): (Instant, Instant)) -> Look {
        let mut look = Look::default();
        // As in `paths`.
        for is_trust in [true, false] {
            let mut of_kind: Vec<_> =
                self.files.iter_mut().filter(|((_, kind), _)| kind.has_to_settle() != is_trust).collect();
            of_kind.iter_mut().for_each(|((path, _), watched)| watched.see(path, files, self.looks, ended));
            let awaited: Vec<u64> = of_kind.iter().filter_map(|(_, watched)| watched.settling.awaits(began)).collect();
            for ((path, _), watched) in of_kind {
                match watched.settle(path, files, &awaited, began) {
                    ContentState::Taken => {}
                    ContentState::News => {
                        look.news.insert(path.clone());
                    }
                    ContentState::Unsettled { is_overdue } => {
                        look.unsettled.insert(path.clone());
                        look.overdue.extend(is_overdue.then(|| path.clone()));
                    }
                }
            }
        }
        look
    }

    /// From now on these are watched. What `files` has read of those that are new is in force.
    pub fn follow(&mut self, watched: BTreeSet<(PathBuf, FileKind)>, files: &Files) {
        self.files.retain(|file, _| watched.contains(file));
        for file in watched {
            self.files.entry(file).or_insert_with_key(|(path, kind)| Watched::taken(*kind, path, files));
        }
    }

    /// Watches what has been read and is not watched yet, none of which has settled. Says whether there was any.
    pub fn discover(&mut self, files: &Files, now: Instant) -> bool {
        let mut is_any = false;
        // A directory that a pattern names gives nothing, and never settles.
        let is_directory = |path: &Path| files.read(path).is_err_and(|error| error.kind() == ErrorKind::IsADirectory);
        let is_new = |path: &PathBuf| !self.is_watched(path) && !is_directory(path);
        for path in files.paths().into_iter().filter(is_new).collect::<Vec<_>>() {
            let mut watched = Watched::new(FileKind::Configuration);
            watched.see(&path, files, self.looks, now);
            self.files.insert((path, FileKind::Configuration), watched);
            is_any = true;
        }
        is_any
    }

    /// All content is taken as it is, also that of files that were read without being watched.
    pub fn take_all(&mut self, files: &Files) {
        let unknown: Vec<PathBuf> = files.paths().into_iter().filter(|path| !self.is_watched(path)).collect();
        let kind = FileKind::Configuration;
        self.files.extend(unknown.into_iter().map(|path| ((path, kind), Watched::new(kind))));
        for ((path, _), watched) in &mut self.files {
            watched.take(path, files);
        }
    }

    fn is_watched(&self, path: &Path) -> bool {
        self.files.keys().any(|(known, _)| known == path)
    }

    /// The content of the ACL file is taken as it is.
    pub fn take_users(&mut self, path: &Path, files: &Files) {
        if let Some(watched) = self.files.get_mut(&(path.to_owned(), FileKind::Users)) {
            watched.take(path, files);
        }
    }

    /// The ACL file holds this, which was written by us, unless `files` finds something else there already.
    pub fn take_written_users(&mut self, path: &Path, bytes: &[u8], files: &Files) {
        if let Some(watched) = self.files.get_mut(&(path.to_owned(), FileKind::Users)) {
            let found = files.read(path).ok().filter(|content| *content.bytes == bytes);
            watched.settling.take(Some(found.map_or_else(|| Digest::of(bytes), |content| content.digest())));
            watched.keep(bytes);
        }
    }

    /// The digest of what is in force of the ACL file, inside `None` if that could not be read; `None` if nothing is.
    pub fn users_in_force(&self, path: &Path) -> Option<Option<Digest>> {
        self.files.get(&(path.to_owned(), FileKind::Users))?.digest_in_force
    }

    /// All files, in the order in which they are to be read: what settles is at least as new as the trust that is read
    /// before it, where all are replaced at once by way of a link.
    pub fn paths(&self) -> Vec<PathBuf> {
        let (settling, trust): (Vec<_>, Vec<_>) = self.files.keys().partition(|(_, kind)| kind.has_to_settle());
        trust.into_iter().chain(settling).map(|(path, _)| path.clone()).collect()
    }

    /// All parts that say who is trusted, or who the server is.
    pub fn trust(&self) -> BTreeSet<Part> {
        self.files.keys().map(|(path, kind)| Part::of(path, *kind)).filter(Part::is_trust).collect()
    }

    fn of_part<'a>(&'a self, part: &'a Part) -> impl Iterator<Item = (&'a Path, &'a Watched)> {
        let files = self.files.iter().filter(move |((path, kind), _)| Part::of(path, *kind) == *part);
        files.map(|((path, _), watched)| (path.as_path(), watched))
    }

    /// The parts that are read from files of this one, itself among them: what is cut or damaged is so for all.
    pub fn beside(&self, part: &Part) -> BTreeSet<Part> {
        let paths: BTreeSet<&Path> = self.of_part(part).map(|(path, _)| path).collect();
        let keys = self.files.keys().filter(|(path, _)| paths.contains(path.as_path()));
        keys.map(|(path, kind)| Part::of(path, *kind)).chain([part.clone()]).collect()
    }

    /// Whether a file of this part is among these.
    pub fn is_any_in(&self, part: &Part, paths: &BTreeSet<PathBuf>) -> bool {
        self.of_part(part).any(|(path, _)| paths.contains(path))
    }

    /// Whether what was seen of this part is not in force.
    pub fn differs(&self, part: &Part) -> bool {
        self.of_part(part).any(|(_, watched)| !watched.is_in_force())
    }

    /// What is in force of the files of this part, of those that could be read.
    pub fn in_force(&self, part: &Part) -> Vec<(PathBuf, Arc<Content>)> {
        let content = |(path, watched): (&Path, &Watched)| Some((path.to_owned(), watched.content_in_force.clone()?));
        self.of_part(part).filter_map(content).collect()
    }

    /// What was taken of this part is in force; if it does not settle, what `files` has read.
    pub fn put_in_force(&mut self, part: &Part, files: &Files) {
        for ((path, _), watched) in self.files.iter_mut().filter(|((path, kind), _)| Part::of(path, *kind) == *part) {
            watched.put_in_force(path, files);
        }
    }

    /// Something else than any content of its files is in force of this part.
    pub fn put_out_of_force(&mut self, part: &Part) {
        let files = self.files.iter_mut().filter(|((path, kind), _)| Part::of(path, *kind) == *part);
        files.for_each(|(_, watched)| watched.digest_in_force = None);
    }
}
