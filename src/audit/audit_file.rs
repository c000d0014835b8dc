//! The file of the audit log: written by one process at a time, line behind line, each with its place in the chain.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::chain::{Chain, Head};
use super::events;
use super::lines::{Settled, Sink};
use super::lock::Lock;
use super::opening::{OthersAccess, open, tail};
use crate::config::AuditTarget;

/// How often the log is told what the last line is: after so long, and after so many lines.
const TOLD_EVERY: Duration = Duration::from_secs(60);
const TOLD_AFTER: u64 = 10_000;

/// Bytes of lines that are sealed at once.
const SEALED_AT_ONCE: usize = 64 << 10;

/// The file, as soon as no other process writes to it; or standard output.
pub(super) struct AuditFile {
    target: AuditTarget,
    /// What others may read is no file to begin with.
    is_strict: bool,
    /// What others may do with it that they should not, as was told last.
    told_access: OthersAccess,
    file: Option<File>,
    /// That of the file, if it is one, for as long as it may be written to and while another is opened under its name.
    lock: Option<Lock>,
    /// Up to the last line that was written in whole.
    chain: Chain,
    /// Bytes of the next line that are written already.
    begun: usize,
    /// What was written is perhaps not on the disk.
    is_unsynced: bool,
    /// Something went wrong, which has been told.
    is_failing: bool,
    told: Option<Head>,
    told_at: Instant,
    /// The number of the last line.
    sequence: Arc<AtomicU64>,
}

impl AuditFile {
    /// Opens the file, and locks it where no other process has.
    ///
    /// # Errors
    /// It cannot be opened, others may change it, or it holds something else.
    pub(super) fn open(target: &AuditTarget, is_strict: bool, run: String) -> io::Result<AuditFile> {
        let mut audit_file = AuditFile {
            target: target.clone(),
            is_strict,
            told_access: OthersAccess::default(),
            file: None,
            lock: None,
            chain: Chain::new(run),
            begun: 0,
            is_unsynced: false,
            is_failing: false,
            told: None,
            told_at: Instant::now(),
            sequence: Arc::default(),
        };
        let path = match target {
            AuditTarget::File(path) => path,
            AuditTarget::StandardOutput => {
                // A descriptor of our own: that of the standard library is locked while somebody waits for it.
                audit_file.file = Some(io::stdout().as_fd().try_clone_to_owned()?.into());
                return Ok(audit_file);
            }
        };
        let opened = open(path, is_strict)?;
        opened.access.into_warnings()?.iter().for_each(|warning| events::audit_access_warning(warning));
        match audit_file.lock(path, opened.file) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => audit_file.tell_failure(&error),
            locked => locked?,
        }
        Ok(audit_file)
    }

    /// The number of the last line that was written, as it will be at any time.
    pub(super) fn sequence(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.sequence)
    }

    /// Opens the file where it is not ours yet. Lines go on, whoever may change it by now.
    fn open_again(&mut self) -> io::Result<()> {
        let path = match &self.target {
            AuditTarget::File(path) if self.file.is_none() => path.clone(),
            _ => return Ok(()),
        };
        let opened = open(&path, self.is_strict)?;
        if opened.access != self.told_access {
            opened.access.faults.iter().for_each(|fault| events::audit_access_fault(fault));
            opened.access.warnings.iter().for_each(|warning| events::audit_access_warning(warning));
            self.told_access = opened.access;
        }
        self.lock(&path, opened.file)
    }

    /// Sees to it that the file is ours, and that the chain goes on behind its end.
    fn lock(&mut self, path: &Path, mut file: File) -> io::Result<()> {
        let ours = file.metadata()?;
        self.lock = self.lock.take().filter(|lock| lock.is_of(path));
        if self.lock.is_none() {
            self.lock = Some(Lock::take(path, &ours)?);
        }
        let named = fs::metadata(path)?;
        if (ours.dev(), ours.ino()) != (named.dev(), named.ino()) {
            // It was moved away just now.
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let tail = tail(&mut file)?;
        if tail.is_open {
            file.write_all(b"\n")?;
        }
        self.chain.follow(tail);
        self.note_sequence();
        self.begun = 0;
        self.file = Some(file);
        Ok(())
    }

    /// Writes lines in their order, not many at once, and says how many bytes of them are written in whole lines. A line that is
    /// written in part is finished by the next call, which is for the same lines.
    fn write_lines(&mut self, lines: &[u8]) -> (usize, io::Result<()>) {
        let Some(file) = self.file.as_mut() else { return (0, Ok(())) };
        let lines = first_of(lines);
        let mut chain = self.chain.clone();
        let objects = lines.split_inclusive(|byte| *byte == b'\n');
        let sealed: Vec<String> = objects.clone().map(|object| seal(&mut chain, object)).collect();
        let bytes = sealed.concat().into_bytes();
        let mut written = self.begun;
        let mut result = Ok(());
        while written < bytes.len() && result.is_ok() {
            match file.write(&bytes[written..]) {
                Ok(0) => result = Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => result = Err(error),
            }
        }
        self.is_unsynced |= written > self.begun;
        if written == bytes.len() {
            (self.chain, self.begun) = (chain, 0);
            self.note_sequence();
            return (lines.len(), result);
        }
        let mut whole = 0;
        self.begun = written;
        for (object, line) in objects.zip(&sealed) {
            if self.begun < line.len() {
                break;
            }
            self.begun -= line.len();
            whole += object.len();
            seal(&mut self.chain, object);
        }
        self.note_sequence();
        (whole, result)
    }

    fn note_sequence(&self) {
        self.sequence.store(self.chain.head().map_or(0, |head| head.seq), Ordering::Relaxed);
    }

    fn tell_failure(&mut self, error: &io::Error) {
        if std::mem::replace(&mut self.is_failing, true) {
            return;
        }
        match error.kind() {
            io::ErrorKind::ResourceBusy => events::audit_waits(&self.target),
            _ => events::audit_failed(&self.target, error),
        }
    }

    fn sync(&mut self) {
        if self.target == AuditTarget::StandardOutput {
            self.is_unsynced = false;
        }
        if let (true, Some(file)) = (self.is_unsynced, &self.file) {
            match file.sync_data() {
                Ok(()) => self.is_unsynced = false,
                Err(error) => self.tell_failure(&error),
            }
        }
    }

    /// Tells the log what the last line is. Whoever changes the file would have to change that as well.
    fn tell_head(&mut self) {
        if let Some(head) = self.chain.head().filter(|head| Some(*head) != self.told.as_ref()) {
            events::audit_head(head);
            self.told = Some(head.clone());
            self.told_at = Instant::now();
        }
    }

    /// Lines that the log does not know of.
    fn untold(&self) -> u64 {
        let seq = |head: Option<&Head>| head.map_or(0, |head| head.seq);
        seq(self.chain.head()).saturating_sub(seq(self.told.as_ref()))
    }
}

impl Sink for AuditFile {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        let (written, result) = match self.open_again() {
            Ok(()) => self.write_lines(lines),
            Err(error) => (0, Err(error)),
        };
        match result {
            Ok(()) if std::mem::take(&mut self.is_failing) => events::audit_goes_on(&self.target),
            Ok(()) => {}
            Err(error) => {
                // Whoever reads standard output may be slow.
                if error.kind() != io::ErrorKind::WouldBlock {
                    self.tell_failure(&error);
                }
                // What is written is not written again.
                return if written > 0 { Ok(written) } else { Err(error) };
            }
        }
        Ok(written)
    }

    fn reopen(&mut self) -> bool {
        self.sync();
        self.tell_head();
        let AuditTarget::File(path) = &self.target else { return false };
        let both = fs::metadata(path).ok().zip(self.file.as_ref().and_then(|file| file.metadata().ok()));
        if both.is_some_and(|(named, ours)| (named.dev(), named.ino()) == (ours.dev(), ours.ino())) {
            return false;
        }
        self.file = None;
        if let Err(error) = self.open_again() {
            self.tell_failure(&error);
        }
        true
    }

    fn settle(&mut self) -> Settled {
        self.sync();
        let untold = self.untold();
        if untold >= TOLD_AFTER || self.told_at.elapsed() >= TOLD_EVERY {
            self.tell_head();
        }
        if self.untold() > 0 || self.is_unsynced { Settled::Again } else { Settled::Done }
    }
}

impl Drop for AuditFile {
    fn drop(&mut self) {
        self.sync();
        self.tell_head();
    }
}

/// As many of these lines as are sealed at once, which is done anew where they are not taken.
fn first_of(lines: &[u8]) -> &[u8] {
    let within = memchr::memrchr(b'\n', &lines[..lines.len().min(SEALED_AT_ONCE)]);
    let end = within.or_else(|| memchr::memchr(b'\n', lines)).map_or(lines.len(), |end| end + 1);
    &lines[..end]
}

/// The next line, with its end.
fn seal(chain: &mut Chain, object: &[u8]) -> String {
    chain.seal(String::from_utf8_lossy(object).trim_end()) + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::chain::{Finding, Verifier};

    fn verify(paths: &[&Path], head: Option<Head>) -> Vec<Finding> {
        let mut verifier = Verifier::new(head);
        let mut findings = Vec::new();
        for path in paths {
            verifier.begin_file();
            let text = fs::read_to_string(path).unwrap();
            text.lines().for_each(|line| findings.extend(verifier.take(line.as_bytes())));
        }
        findings.extend(verifier.end());
        findings
    }

    fn start(path: &Path, run: &str) -> AuditFile {
        AuditFile::open(&AuditTarget::File(path.to_owned()), false, run.to_owned()).unwrap()
    }

    fn write(file: &mut AuditFile, event: &str) {
        let line = format!("{{\"event\":{event:?}}}\n");
        assert_eq!(file.write(line.as_bytes()).unwrap(), line.len());
    }

    #[test]
    fn a_process_goes_on_behind_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit");
        for run in ["a", "b"] {
            let mut file = start(&path, run);
            write(&mut file, "x");
            write(&mut file, "y");
            let head = file.chain.head().cloned();
            assert_eq!(head.as_ref().map(|head| head.seq), Some(file.sequence().load(Ordering::Relaxed)));
            drop(file);
            assert_eq!(verify(&[&path], head), []);
        }
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 4);
    }

    #[test]
    fn few_lines_are_sealed_at_once_but_one_however_long_it_is() {
        let lines = [&[b'x'; SEALED_AT_ONCE][..], b"\n", b"short\n".repeat(SEALED_AT_ONCE).as_slice()].concat();
        let first = first_of(&lines);
        assert_eq!(first.len(), SEALED_AT_ONCE + 1);
        let second = first_of(&lines[first.len()..]);
        assert_eq!(second.len(), SEALED_AT_ONCE / 6 * 6);
        assert_eq!((first_of(b"a\nb"), first_of(b"b"), first_of(b"")), (&b"a\n"[..], &b"b"[..], &b""[..]));
    }

    #[test]
    fn a_moved_file_is_gone_on_with_in_a_new_one_once_it_is_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let (path, old) = (folder.path().join("audit"), folder.path().join("audit.1"));
        let mut file = start(&path, "a");
        write(&mut file, "x");
        fs::rename(&path, &old).unwrap();
        write(&mut file, "y");
        assert!(file.reopen());
        write(&mut file, "z");
        assert!(!file.reopen(), "it is the same");
        assert_eq!(verify(&[&old, &path], file.chain.head().cloned()), []);
    }

    #[test]
    fn of_two_processes_the_second_waits_for_the_end_of_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit");
        let mut first = start(&path, "a");
        write(&mut first, "x");
        let mut second = start(&path, "b");
        assert_eq!(second.write(b"{\"event\":\"y\"}\n").unwrap_err().kind(), io::ErrorKind::ResourceBusy);
        write(&mut first, "z");
        drop(first);
        write(&mut second, "y");
        assert_eq!(verify(&[&path], second.chain.head().cloned()), []);
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 3);
    }

    #[test]
    fn a_lock_of_the_file_itself_which_takes_no_more_than_to_read_it_holds_nothing_up() {
        let folder = tempfile::tempdir().unwrap();
        let (path, old) = (folder.path().join("audit"), folder.path().join("audit.1"));
        let lock_by_reader = || {
            let reader = File::open(&path).unwrap();
            rustix::fs::flock(&reader, rustix::fs::FlockOperation::NonBlockingLockExclusive).unwrap();
            reader
        };
        fs::write(&path, "").unwrap();
        let _at_start = lock_by_reader();
        let mut file = start(&path, "a");
        write(&mut file, "x");
        fs::rename(&path, &old).unwrap();
        fs::write(&path, "").unwrap();
        let _later = lock_by_reader();
        assert!(file.reopen());
        write(&mut file, "y");
        assert_eq!(verify(&[&old, &path], file.chain.head().cloned()), []);
    }

    #[test]
    fn a_second_process_waits_for_the_first_also_where_that_opens_another_file() {
        let folder = tempfile::tempdir().unwrap();
        let (path, old) = (folder.path().join("audit"), folder.path().join("audit.1"));
        let mut first = start(&path, "a");
        write(&mut first, "x");
        let mut second = start(&path, "b");
        fs::rename(&path, &old).unwrap();
        let mut is_busy = || second.write(b"{\"event\":\"z\"}\n").unwrap_err().kind() == io::ErrorKind::ResourceBusy;
        assert!(is_busy() && first.reopen() && is_busy());
        write(&mut first, "y");
        drop(first);
        write(&mut second, "z");
        assert_eq!(verify(&[&old, &path], second.chain.head().cloned()), []);
    }

    #[test]
    fn a_file_that_holds_something_else_is_not_written_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit");
        fs::write(&path, "notes\n").unwrap();
        let error = AuditFile::open(&AuditTarget::File(path.clone()), false, "a".to_owned()).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert_eq!(fs::read_to_string(&path).unwrap(), "notes\n");
    }
}
