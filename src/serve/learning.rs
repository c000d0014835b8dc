//! `learn-file`: what all workers have learnt, on the disk.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::mpsc;

use crate::audit::events;
use crate::learn::{Evidence, Learnt, Usage, from_text, to_text};
use crate::net::worker::Mailbox;

/// How often it is written.
const INTERVAL: Duration = Duration::from_secs(60);

/// It is never longer.
const LONGEST: u64 = 64 << 20;

/// What was learnt before this process, and where it is kept.
pub(super) struct LearnFile {
    path: PathBuf,
    before: Learnt,
    evidence: Evidence,
    is_failing: bool,
}

impl LearnFile {
    /// Reads what is there, and makes sure that it can be written.
    ///
    /// # Errors
    /// It is something else, or cannot be read or written.
    pub(super) fn open(path: &Path) -> io::Result<LearnFile> {
        let evidence = Evidence::of_traffic();
        let before = read(path, &evidence)?;
        let text = to_text(&before).map_err(io::Error::other)?;
        write(path, &text)?;
        Ok(LearnFile { path: path.to_owned(), before, evidence, is_failing: false })
    }

    /// What each worker learns with.
    pub(super) fn evidence(&self) -> Evidence {
        self.evidence.clone()
    }

    /// Writes for ever what the workers have learnt.
    pub(super) async fn keep(mut self, workers: Vec<Mailbox>, mut last: mpsc::Receiver<()>) {
        let mut ticks = tokio::time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        ticks.tick().await;
        loop {
            let is_last = tokio::select! {
                _ = ticks.tick() => false,
                // Whoever sends has gone where the process ends at once.
                asked = last.recv() => if asked.is_some() { true } else { return },
            };
            self.save(&workers).await;
            if is_last {
                return;
            }
        }
    }

    async fn save(&mut self, workers: &[Mailbox]) {
        let (told, mut usages) = mpsc::unbounded_channel();
        workers.iter().for_each(|worker| worker.tell_learnt(told.clone()));
        drop(told);
        let mut learnt = self.before.clone();
        while let Some((user, usage)) = usages.recv().await {
            learnt.entry(user.to_string()).or_insert_with(|| Usage::new(&self.evidence)).merge(&usage);
        }
        let path = self.path.clone();
        let written = tokio::task::spawn_blocking(move || {
            let text = to_text(&learnt).map_err(io::Error::other)?;
            write(&path, &text)
        });
        let written = written.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        match &written {
            Err(error) if !self.is_failing => events::learn_file_failed(&self.path, error),
            Ok(()) if self.is_failing => events::learn_file_goes_on(&self.path),
            _ => {}
        }
        self.is_failing = written.is_err();
    }
}

/// Says what a start would find wrong with it.
///
/// # Errors
/// It is something else, or cannot be read.
pub fn inspect(path: &Path) -> io::Result<()> {
    read(path, &Evidence::of_traffic()).map(drop)
}

/// What the file holds; nothing where there is none.
///
/// # Errors
/// It is something else, or cannot be read.
pub fn read(path: &Path, evidence: &Evidence) -> io::Result<Learnt> {
    let metadata = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Learnt::new()),
        metadata => metadata?,
    };
    if !metadata.is_file() || metadata.len() > LONGEST {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no file, or longer than 64 MiB"));
    }
    from_text(&fs::read_to_string(path)?, evidence).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Puts another file in its place, for its owner alone: whoever reads it sees the old or the new one.
fn write(path: &Path, text: &str) -> io::Result<()> {
    if text.len() as u64 > LONGEST {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "it would be longer than 64 MiB, which no start reads",
        ));
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let beside = path.with_file_name(name);
    let written = write_beside(&beside, text).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // If it cannot be removed either, the next attempt will say so.
        let _ = fs::remove_file(&beside);
    }
    written
}

fn write_beside(beside: &Path, text: &str) -> io::Result<()> {
    match fs::remove_file(beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file: File = OpenOptions::new().write(true).create_new(true).mode(0o600).open(beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_new_file_is_for_its_owner_alone_and_one_that_is_something_else_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("learnt");
        LearnFile::open(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        LearnFile::open(&path).unwrap();
        fs::write(&path, "mine\n").unwrap();
        let error = LearnFile::open(&path).err().unwrap().to_string();
        assert!(error.starts_with("line 1: it is no file of what was learnt"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine\n");
        assert!(LearnFile::open(&folder.path().join("none/learnt")).is_err());
    }
}
