//! Files as they are at one moment.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{self, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::OFlags;
use zeroize::Zeroizing;

use crate::permissions::{self, Permissions};

/// No file that is named in a configuration is longer; a device or a log given by mistake must not fill the memory.
pub const MAX_FILE: u64 = 64 * 1024 * 1024;

const NONBLOCK: i32 = OFlags::NONBLOCK.bits().cast_signed();

/// Reads each file once, however often it is asked for: what was found to have changed is what is parsed.
#[derive(Debug, Default)]
pub struct Files {
    read: RefCell<BTreeMap<PathBuf, Result<Arc<Content>, Unreadable>>>,
    /// Of paths that were looked at whether a regular file is there, `None` where nothing is that can be seen.
    regular: RefCell<BTreeMap<PathBuf, Option<bool>>>,
    secrets: RefCell<BTreeSet<PathBuf>>,
    /// `None` at the start.
    start: Option<Arc<StartSecrets>>,
    asked_for: AskedFor,
}

/// The file that was asked for last, for whoever waits for it on another thread.
#[derive(Debug, Clone, Default)]
pub struct AskedFor(Arc<Mutex<PathBuf>>);

impl AskedFor {
    /// Its path.
    pub fn path(&self) -> PathBuf {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// This one is asked for now.
    pub fn note(&self, path: &Path) {
        path.clone_into(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// The secrets that the start read, which need not be there any more.
#[derive(Debug, Default)]
pub struct StartSecrets(BTreeMap<PathBuf, Arc<Content>>);

/// What a file held when it was read. It may be a secret.
pub struct Content {
    /// All of it.
    pub bytes: Zeroizing<Vec<u8>>,
    /// Of the file that was read, not of what the path leads to by now.
    pub metadata: Metadata,
    /// Who else may change and read that file.
    pub permissions: Permissions,
}

/// SHA-256 of a content, for telling whether it has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Digest([u8; 32]);

impl Files {
    /// Files that are read again later on.
    pub fn again(start: &Arc<StartSecrets>) -> Files {
        Files { start: Some(Arc::clone(start)), ..Files::default() }
    }

    /// What these files, which are those of the start, keep for [`Files::again`].
    pub fn into_start(self) -> StartSecrets {
        let secrets = self.secrets.into_inner();
        let read = self.read.into_inner().into_iter();
        let found = read.filter_map(|(path, content)| Some((path, content.ok()?)));
        StartSecrets(found.filter(|(path, _)| secrets.contains(path)).collect())
    }

    /// A secret, which only a start needs. Later on it is what it was then where it cannot be read, and that is said, too.
    ///
    /// # Errors
    /// As for [`Files::read`], at the start.
    pub fn secret(&self, path: &Path) -> io::Result<(Arc<Content>, Option<io::Error>)> {
        self.secrets.borrow_mut().insert(path.to_owned());
        self.read(path).map(|content| (content, None)).or_else(|error| match self.at_start(path) {
            Some(content) => Ok((content, Some(error))),
            None => Err(error),
        })
    }

    fn at_start(&self, path: &Path) -> Option<Arc<Content>> {
        self.start.as_ref()?.0.get(path).cloned()
    }

    /// The content of a file, as it was when it was first asked for.
    ///
    /// # Errors
    /// It could not be read then, is a directory or a pipe, or longer than 64 MiB.
    pub fn read(&self, path: &Path) -> io::Result<Arc<Content>> {
        let mut read = self.read.borrow_mut();
        match read.entry(path.to_owned()).or_insert_with(|| self.content(path)) {
            Ok(content) => Ok(Arc::clone(content)),
            Err(unreadable) => Err(unreadable.to_error()),
        }
    }

    /// Whether a regular file is there, as it was when that was first asked for; `None` where nothing is that can be seen.
    pub fn is_regular(&self, path: &Path) -> Option<bool> {
        let look = || {
            self.asked_for.note(path);
            fs::metadata(path).ok().map(|metadata| metadata.is_file())
        };
        *self.regular.borrow_mut().entry(path.to_owned()).or_insert_with(look)
    }

    /// Which file is asked for at the moment, wherever these files are by then.
    pub fn asked_for(&self) -> AskedFor {
        self.asked_for.clone()
    }

    fn content(&self, path: &Path) -> Result<Arc<Content>, Unreadable> {
        self.asked_for.note(path);
        Content::read(path).map_err(Unreadable::from)
    }

    /// The same files, but for those that were read before and are to stay what they were then.
    pub fn with(&self, before: impl IntoIterator<Item = (PathBuf, Arc<Content>)>) -> Files {
        let mut read: BTreeMap<_, _> = self.read.borrow().clone();
        read.extend(before.into_iter().map(|(path, content)| (path, Ok(content))));
        self.having(read)
    }

    /// Reads files that belong together: again where one of them has changed meanwhile, so that what comes of it is of one
    /// moment. Of files that never stop changing it is what the last try found.
    pub fn at_one_moment<T>(self, mut read: impl FnMut(&Files) -> T) -> (Files, T) {
        const TRIES: usize = 10;
        let mut files = self;
        for _ in 1..TRIES {
            let outcome = read(&files);
            match files.has_changed() {
                false => return (files, outcome),
                true => files = files.anew(),
            }
        }
        let outcome = read(&files);
        (files, outcome)
    }

    /// Whether a file that was read holds something else by now. What a pipe or a device gave is gone there.
    pub fn has_changed(&self) -> bool {
        let digest = |content: &Result<Arc<Content>, Unreadable>| content.as_deref().ok().map(Content::digest);
        let read = self.read.borrow();
        let mut regular = read.iter().filter(|(_, content)| content.as_deref().ok().is_none_or(Content::is_regular));
        regular.any(|(path, before)| digest(before) != digest(&self.content(path)))
    }

    /// To be read anew, but for what only pipes and devices gave.
    fn anew(&self) -> Files {
        let mut read = self.read.borrow().clone();
        read.retain(|_, content| content.as_deref().is_ok_and(|content| !content.is_regular()));
        self.having(read)
    }

    fn having(&self, read: BTreeMap<PathBuf, Result<Arc<Content>, Unreadable>>) -> Files {
        Files {
            read: RefCell::new(read),
            regular: RefCell::default(),
            secrets: self.secrets.clone(),
            start: self.start.clone(),
            asked_for: self.asked_for.clone(),
        }
    }

    /// Every file that was asked for, those that could not be read among them.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.read.borrow().keys().cloned().collect()
    }
}

impl Content {
    fn read(path: &Path) -> io::Result<Arc<Content>> {
        // Without waiting for somebody to write to a pipe.
        let file =
            OpenOptions::new().read(true).custom_flags(NONBLOCK).open(path).map_err(|error| refused(path, error))?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a directory"));
        }
        if metadata.file_type().is_fifo() {
            let words = "it is a pipe, which can be read only once: files are read again when they change";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, words));
        }
        // Room for all of it, so that a secret is not left behind where the buffer was before it grew.
        let room = metadata.len().min(MAX_FILE) + 1;
        let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(room).unwrap_or_default()));
        file.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_FILE {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is longer than 64 MiB"));
        }
        let permissions = Permissions::of(path, &metadata);
        Ok(Arc::new(Content { bytes, metadata, permissions }))
    }

    fn is_regular(&self) -> bool {
        self.metadata.is_file()
    }

    /// What tells this content from another. A file that others can change or read is not the same as one that they cannot:
    /// once its mode is right it is read again.
    pub fn digest(&self) -> Digest {
        let Digest(mut digest) = Digest::of(&self.bytes);
        if self.permissions.changeable().is_some() {
            digest[0] ^= 1;
        }
        if self.permissions.readable().is_some() {
            digest[0] ^= 2;
        }
        if self.permissions.is_open() {
            digest[0] ^= 4;
        }
        Digest(digest)
    }

    /// As text.
    ///
    /// # Errors
    /// It is none.
    pub fn text(&self) -> io::Result<&str> {
        std::str::from_utf8(&self.bytes)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not valid UTF-8"))
    }
}

/// Names who may open the file instead, where that is what is wrong.
fn refused(path: &Path, error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::PermissionDenied => match permissions::owner_in_the_way(path) {
            Some(owner) => io::Error::new(error.kind(), format!("{error}: {owner}")),
            None => error,
        },
        _ => error,
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Content({} bytes)", self.bytes.len())
    }
}

impl Digest {
    /// Of this content.
    pub fn of(content: &[u8]) -> Digest {
        use sha2::Digest as _;

        Digest(sha2::Sha256::digest(content).into())
    }
}

/// An error that can be told more than once.
#[derive(Debug, Clone)]
struct Unreadable {
    kind: io::ErrorKind,
    words: String,
}

impl From<io::Error> for Unreadable {
    fn from(error: io::Error) -> Unreadable {
        Unreadable { kind: error.kind(), words: error.to_string() }
    }
}

impl Unreadable {
    fn to_error(&self) -> io::Error {
        io::Error::new(self.kind, self.words.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_that_changes_is_what_it_was_when_it_was_first_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.acl");
        fs::write(&path, "before").unwrap();
        let files = Files::default();
        assert_eq!(*files.read(&path).unwrap().bytes, b"before");
        fs::write(&path, "after").unwrap();
        assert_eq!(*files.read(&path).unwrap().bytes, b"before");
        assert_eq!(*Files::default().read(&path).unwrap().bytes, b"after");
    }

    #[test]
    fn a_file_is_another_one_when_others_may_change_or_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.acl");
        fs::write(&path, "same").unwrap();
        let digest = |mode| {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            Files::default().read(&path).unwrap().digest()
        };
        let [own, readable, changeable, both] = [0o600, 0o644, 0o602, 0o646].map(digest);
        assert_eq!(own, digest(0o400));
        let all = [own, readable, changeable, both];
        assert!(all.iter().enumerate().all(|(index, one)| !all[..index].contains(one)));
    }

    #[test]
    fn a_file_that_was_not_there_stays_so_and_is_among_those_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.acl");
        let files = Files::default();
        let first = files.read(&path).unwrap_err();
        fs::write(&path, "late").unwrap();
        let second = files.read(&path).unwrap_err();
        assert_eq!((first.kind(), first.to_string()), (second.kind(), second.to_string()));
        assert_eq!(first.kind(), io::ErrorKind::NotFound);
        assert_eq!(files.paths(), [path]);
    }

    #[test]
    fn what_changes_while_it_is_read_with_others_is_read_again_with_them() {
        let folder = tempfile::tempdir().unwrap();
        let [one, other] = ["ca.crt", "respgate.toml"].map(|name| folder.path().join(name));
        let text = |files: &Files, path| files.read(path).map(|content| content.bytes.to_vec()).unwrap_or_default();
        let write = |value: &str| [&one, &other].into_iter().for_each(|path| fs::write(path, value).unwrap());
        write("old");
        let mut reads = 0;
        let (_, read) = Files::default().at_one_moment(|files| {
            reads += 1;
            let first = text(files, &one);
            if reads == 1 {
                write("new");
            }
            (first, text(files, &other))
        });
        assert_eq!((reads, read), (2, (b"new".to_vec(), b"new".to_vec())));
        let mut reads = 0;
        Files::default().at_one_moment(|files| {
            reads += 1;
            text(files, &one);
            write(&reads.to_string());
        });
        assert_eq!(reads, 10, "there is an end to it");
    }

    #[test]
    fn what_a_device_gave_is_not_asked_for_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.acl");
        fs::write(&path, "old").unwrap();
        let files = Files::default();
        let device = files.read(Path::new("/dev/null")).unwrap();
        files.read(&path).unwrap();
        fs::write(&path, "new").unwrap();
        assert!(files.has_changed());
        let again = files.anew();
        assert!(Arc::ptr_eq(&device, &again.read(Path::new("/dev/null")).unwrap()));
        assert_eq!(*again.read(&path).unwrap().bytes, b"new");
    }

    #[test]
    fn a_pipe_is_no_file_whether_or_not_somebody_writes_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.acl");
        let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        assert!(Files::default().read(&path).unwrap_err().to_string().starts_with("it is a pipe"));
        let _writer = fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
        assert!(Files::default().read(&path).unwrap_err().to_string().starts_with("it is a pipe"));
    }

    #[test]
    fn a_secret_that_is_gone_is_what_it_was_at_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        fs::write(&path, "secret").unwrap();
        let files = Files::default();
        assert!(files.secret(&path).unwrap().1.is_none());
        let start = Arc::new(files.into_start());
        fs::remove_file(&path).unwrap();
        let (content, error) = Files::again(&start).secret(&path).unwrap();
        assert_eq!((&**content.bytes, error.unwrap().kind()), (&b"secret"[..], io::ErrorKind::NotFound));
        assert!(Files::default().secret(&path).is_err());
    }

    #[test]
    fn a_directory_and_a_device_without_end_are_no_files() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Files::default().read(folder.path()).unwrap_err().to_string(), "it is a directory");
        assert_eq!(Files::default().read(Path::new("/dev/zero")).unwrap_err().to_string(), "it is longer than 64 MiB");
    }
}
