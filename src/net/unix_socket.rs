//! Listening unix sockets, for their owner, or for a group as well.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use rustix::fs::Mode;
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::{UnixListener, UnixStream};

/// Links that are followed on the way to a socket, as by the kernel.
const MOST_LINKS: usize = 40;

/// A bound socket. Its file goes with it.
#[derive(Debug)]
pub struct UnixSocket {
    listener: UnixListener,
    path: PathBuf,
}

/// Who may connect beside the owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Nobody.
    Owner,
    /// The group of the process.
    OwnGroup,
    /// The group of this number.
    Group(u32),
}

impl UnixSocket {
    /// Binds `path`, making its directory, for the same people, where that is missing. A socket where nobody answers any
    /// more is replaced. So many connections may wait to be accepted. Needs a tokio runtime.
    ///
    /// # Errors
    /// Somebody answers there, something else is there, or the directory belongs to others.
    pub fn bind(path: &Path, access: Access, backlog: i32) -> Result<UnixSocket, UnixSocketError> {
        prepare_directory(path, access)?;
        let socket = match bind_for_owner(path, backlog) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                remove_stale(path)?;
                bind_for_owner(path, backlog)
            }
            result => result,
        };
        let socket = socket.map_err(|error| UnixSocketError::Io(path.to_owned(), error))?;
        share(path, access, 0o660).map_err(|error| UnixSocketError::Group(path.to_owned(), error))?;
        let listener =
            UnixListener::from_std(socket.into()).map_err(|error| UnixSocketError::Io(path.to_owned(), error))?;
        Ok(UnixSocket { listener, path: path.to_owned() })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The next connection.
    ///
    /// # Errors
    /// The system's.
    pub async fn accept(&self) -> io::Result<UnixStream> {
        self.listener.accept().await.map(|(connection, _)| connection)
    }
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        // Somebody else may have cleaned up: it is gone either way.
        let _ = fs::remove_file(&self.path);
    }
}

/// A socket's own mode becomes its file's at bind (Linux), so that there is no moment in which others may connect.
fn bind_for_owner(path: &Path, backlog: i32) -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    socket.bind(&SockAddr::unix(path)?)?;
    socket.listen(backlog)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Lets those of `access` do with a file of ours what the mode says.
fn share(path: &Path, access: Access, mode: u32) -> io::Result<()> {
    match access {
        Access::Owner => return Ok(()),
        Access::OwnGroup => {}
        Access::Group(group) => std::os::unix::fs::lchown(path, None, Some(group))?,
    }
    fs::set_permissions(path, Permissions::from_mode(mode))
}

/// In a directory that others write to, the socket could be theirs the next time somebody asks it.
fn prepare_directory(path: &Path, access: Access) -> Result<(), UnixSocketError> {
    let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) else { return Ok(()) };
    // A socket is shared by its path, and whoever can change the way there could have root share any file.
    let is_root = rustix::process::geteuid().is_root();
    let shares_as_root = is_root && !matches!(access, Access::Owner);
    if shares_as_root && let Some(parent) = directory.parent() {
        judge_way(parent)?;
    }
    match fs::DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(UnixSocketError::Io(directory.to_owned(), error));
        }
        Err(_) => {}
        Ok(()) => {
            share(directory, access, 0o750).map_err(|error| UnixSocketError::Group(directory.to_owned(), error))?;
        }
    }
    if shares_as_root { judge_way(directory) } else { judge(directory, is_root) }
}

/// Judges every directory in which a name is looked up on the way to this one, itself among them, and who owns the links that are
/// followed there: who can change one of them leads us elsewhere after we have looked.
fn judge_way(directory: &Path) -> Result<(), UnixSocketError> {
    let names =
        |path: &Path| path.components().rev().map(|name| name.as_os_str().to_owned()).collect::<Vec<OsString>>();
    let io = |error| UnixSocketError::Io(directory.to_owned(), error);
    let mut reached = PathBuf::new();
    let mut ahead = names(&std::path::absolute(directory).map_err(io)?);
    let mut links = 0;
    while let Some(name) = ahead.pop() {
        if name == Component::ParentDir.as_os_str() {
            reached.pop();
            continue;
        }
        let next = reached.join(&name);
        let metadata = fs::symlink_metadata(&next).map_err(io)?;
        if metadata.is_symlink() {
            if !is_ours(metadata.uid()) {
                return Err(UnixSocketError::ForeignDirectory(next));
            }
            links += 1;
            if links > MOST_LINKS {
                return Err(io(rustix::io::Errno::LOOP.into()));
            }
            ahead.extend(names(&fs::read_link(&next).map_err(io)?));
        } else {
            judge(&next, false)?;
            reached = next;
        }
    }
    Ok(())
}

/// Judges this directory, but not its owner where `any_owner` may be.
fn judge(directory: &Path, any_owner: bool) -> Result<(), UnixSocketError> {
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let metadata = fs::metadata(directory).map_err(|error| UnixSocketError::Io(directory.to_owned(), error))?;
    if (any_owner || is_ours(metadata.uid())) && !is_open(metadata.mode(), metadata.gid()) {
        Ok(())
    } else {
        Err(UnixSocketError::ForeignDirectory(directory.to_owned()))
    }
}

/// Whether what belongs to this user is changed by nobody that we need not trust.
fn is_ours(owner: u32) -> bool {
    owner == 0 || owner == rustix::process::geteuid().as_raw()
}

/// Whether others than its owner can put something in the place of what is in a directory of this mode and group.
fn is_open(mode: u32, group: u32) -> bool {
    let is_sticky = mode & 0o1000 != 0;
    let is_others_group = group != 0 && group != rustix::process::getegid().as_raw();
    !is_sticky && (mode & 0o002 != 0 || is_others_group && mode & 0o020 != 0)
}

fn remove_stale(path: &Path) -> Result<(), UnixSocketError> {
    let io = |error| UnixSocketError::Io(path.to_owned(), error);
    if !fs::symlink_metadata(path).map_err(io)?.file_type().is_socket() {
        return Err(UnixSocketError::NoSocket(path.to_owned()));
    }
    let answer = Socket::new(Domain::UNIX, Type::STREAM, None).and_then(|socket| {
        // Whoever holds it may be stuck, with as many waiting as may.
        socket.set_nonblocking(true)?;
        socket.connect(&SockAddr::unix(path)?)
    });
    match answer {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path).map_err(io),
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(io(error)),
        Ok(()) | Err(_) => Err(UnixSocketError::Answered(path.to_owned())),
    }
}

/// Why there is no socket.
#[derive(Debug)]
pub enum UnixSocketError {
    /// Another process answers at this path.
    Answered(PathBuf),
    /// Something that is no socket is at this path.
    NoSocket(PathBuf),
    /// Others can write to this directory.
    ForeignDirectory(PathBuf),
    /// The group cannot be given this.
    Group(PathBuf, io::Error),
    /// The system said no.
    Io(PathBuf, io::Error),
}

impl fmt::Display for UnixSocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UnixSocketError::Answered(path) => {
                write!(f, "another process answers at {}: give each its own path", path.display())
            }
            UnixSocketError::NoSocket(path) => write!(f, "{} is there and no socket", path.display()),
            UnixSocketError::ForeignDirectory(path) => {
                write!(f, "others can write to {}: choose a directory of your own", path.display())
            }
            UnixSocketError::Group(path, error) => {
                write!(f, "{} cannot be given to its group: {error}", path.display())
            }
            UnixSocketError::Io(path, error) => write!(f, "{}: {error}", path.display()),
        }
    }
}

impl std::error::Error for UnixSocketError {}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever the umask is.
    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        folder
    }

    fn bind(path: &Path, access: Access) -> Result<UnixSocket, UnixSocketError> {
        UnixSocket::bind(path, access, 16)
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
    }

    #[test]
    fn the_socket_is_for_its_owner_and_goes_with_the_proxy() {
        let directory = folder();
        let path = directory.path().join("new/admin.sock");
        let runtime = runtime();
        let _guard = runtime.enter();
        let socket = bind(&path, Access::Owner).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
        drop(socket);
        assert!(!path.exists());
    }

    #[test]
    fn a_group_may_open_it_where_it_is_given_one() {
        let directory = folder();
        let path = directory.path().join("new/admin.sock");
        let runtime = runtime();
        let _guard = runtime.enter();
        let own = rustix::process::getegid().as_raw();
        let _socket = bind(&path, Access::Group(own)).unwrap();
        for (path, mode) in [(path.as_path(), 0o660), (path.parent().unwrap(), 0o750)] {
            let metadata = fs::metadata(path).unwrap();
            assert_eq!((metadata.gid(), metadata.permissions().mode() & 0o777), (own, mode));
        }
    }

    #[test]
    fn the_group_of_the_process_may_open_it_where_that_is_meant() {
        let directory = folder();
        let path = directory.path().join("redis.sock");
        let runtime = runtime();
        let _guard = runtime.enter();
        let _socket = bind(&path, Access::OwnGroup).unwrap();
        let metadata = fs::metadata(&path).unwrap();
        let own = rustix::process::getegid().as_raw();
        assert_eq!((metadata.gid(), metadata.permissions().mode() & 0o777), (own, 0o660));
    }

    #[test]
    fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
        let directory = folder();
        let path = directory.path().join("admin.sock");
        let runtime = runtime();
        let _guard = runtime.enter();
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let socket = bind(&path, Access::Owner).unwrap();
        assert!(matches!(bind(&path, Access::Owner), Err(UnixSocketError::Answered(_))));
        assert!(path.exists());
        drop(socket);
    }

    #[test]
    fn a_socket_that_is_held_by_who_accepts_nothing_more_is_left_alone() {
        let directory = folder();
        let path = directory.path().join("admin.sock");
        let runtime = runtime();
        let _guard = runtime.enter();
        let _stuck = bind_for_owner(&path, 0).unwrap();
        let waiting = std::os::unix::net::UnixStream::connect(&path).unwrap();
        assert!(matches!(bind(&path, Access::Owner), Err(UnixSocketError::Answered(_))));
        drop(waiting);
    }

    #[test]
    fn a_file_that_is_no_socket_is_left_alone() {
        let directory = folder();
        let path = directory.path().join("admin.sock");
        fs::write(&path, "precious").unwrap();
        let runtime = runtime();
        let _guard = runtime.enter();
        assert!(matches!(bind(&path, Access::Owner), Err(UnixSocketError::NoSocket(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[test]
    fn every_directory_on_the_way_is_judged_also_those_that_links_lead_through() {
        let folder = folder();
        let at = |name: &str| folder.path().join(name);
        let make = |name: &str, mode: u32| {
            fs::create_dir(at(name)).unwrap();
            fs::set_permissions(at(name), Permissions::from_mode(mode)).unwrap();
        };
        let link = |name: &str, target: &str| std::os::unix::fs::symlink(target, at(name)).unwrap();
        for (name, mode) in
            [("ours", 0o755), ("ours/deep", 0o750), ("sticky", 0o1777), ("sticky/own", 0o700), ("open", 0o777)]
        {
            make(name, mode);
        }
        make("open/own", 0o700);
        link("to-ours", "ours");
        link("ours/up", "../ours/./deep");
        link("open/to-ours", "../ours");
        link("through-open", "open/to-ours/deep");
        link("absolute", at("open/own").to_str().unwrap());
        link("loop", "loop");
        for trusted in ["ours/deep", "sticky/own", "to-ours/deep", "ours/up", "to-ours/up/../deep"] {
            judge_way(&at(trusted)).unwrap_or_else(|error| panic!("{trusted}: {error}"));
        }
        for refused in ["open", "open/own", "open/to-ours", "through-open", "absolute", "open/../ours"] {
            let error = judge_way(&at(refused)).unwrap_err();
            assert!(
                matches!(&error, UnixSocketError::ForeignDirectory(told) if told.ends_with("open")),
                "{refused}: {error}"
            );
        }
        for broken in ["loop", "nowhere"] {
            assert!(matches!(judge_way(&at(broken)), Err(UnixSocketError::Io(..))), "{broken}");
        }
    }

    #[test]
    fn what_somebody_else_owns_on_the_way_is_refused_be_it_a_directory_or_a_link() {
        if !rustix::process::geteuid().is_root() {
            // Nothing can be given away.
            return;
        }
        let folder = folder();
        let (theirs, link) = (folder.path().join("theirs"), folder.path().join("link"));
        fs::create_dir_all(theirs.join("own")).unwrap();
        fs::create_dir(folder.path().join("ours")).unwrap();
        std::os::unix::fs::symlink("ours", &link).unwrap();
        for (path, way) in [(&theirs, theirs.join("own")), (&link, link.clone())] {
            judge_way(&way).unwrap();
            std::os::unix::fs::lchown(path, Some(65_534), None).unwrap();
            let error = judge_way(&way).unwrap_err();
            assert!(matches!(&error, UnixSocketError::ForeignDirectory(told) if told == path), "{error}");
            // Nothing is made there.
            let runtime = runtime();
            let _guard = runtime.enter();
            assert!(bind(&way.join("new/redis.sock"), Access::OwnGroup).is_err() && !way.join("new").exists());
        }
    }

    #[test]
    fn a_directory_is_open_that_everybody_or_another_group_writes_to_and_that_is_not_sticky() {
        let own = rustix::process::getegid().as_raw();
        let others = own + 1;
        for (mode, group, expected) in [
            (0o40755, others, false),
            (0o40757, own, true),
            (0o41757, own, false),
            (0o40775, others, true),
            (0o41775, others, false),
            (0o40775, own, false),
            (0o40775, 0, false),
        ] {
            assert_eq!(is_open(mode, group), expected, "{mode:o} of group {group}");
        }
    }

    #[test]
    fn a_directory_that_others_write_to_is_refused() {
        let directory = folder();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let runtime = runtime();
        let _guard = runtime.enter();
        let error = bind(&directory.path().join("admin.sock"), Access::Owner).unwrap_err();
        assert!(matches!(error, UnixSocketError::ForeignDirectory(_)), "{error}");
    }
}
