//! The admin socket: a unix socket for its owner alone.

use std::fmt;
use std::fs::{self, Permissions};
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::{UnixListener, UnixStream};

use super::http::Accept;

/// A bound admin socket. Its file goes with it.
#[derive(Debug)]
pub(super) struct AdminSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl AdminSocket {
    /// Binds `path` with mode 0600, making its directory (mode 0700) where that is missing; a group may open both. A
    /// socket where nobody answers any more is replaced. Needs a tokio runtime.
    ///
    /// # Errors
    /// Somebody answers there, something else is there, or the directory belongs to others.
    pub(super) fn bind(path: &Path, group: Option<u32>) -> Result<AdminSocket, AdminError> {
        prepare_directory(path, group)?;
        let socket = match bind_for_owner(path) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                remove_stale(path)?;
                bind_for_owner(path)
            }
            result => result,
        };
        let socket = socket.map_err(|error| AdminError::Io(path.to_owned(), error))?;
        if let Some(group) = group {
            share(path, group, 0o660).map_err(|error| AdminError::Group(path.to_owned(), error))?;
        }
        let listener = UnixListener::from_std(socket.into()).map_err(|error| AdminError::Io(path.to_owned(), error))?;
        Ok(AdminSocket { listener, path: path.to_owned() })
    }
}

impl Accept for AdminSocket {
    type Connection = UnixStream;

    async fn accept(&self) -> io::Result<(UnixStream, Option<IpAddr>)> {
        self.listener.accept().await.map(|(connection, _)| (connection, None))
    }
}

impl Drop for AdminSocket {
    fn drop(&mut self) {
        // Somebody else may have cleaned up: it is gone either way.
        let _ = fs::remove_file(&self.path);
    }
}

/// A socket's own mode becomes its file's at bind (Linux), so that there is no moment in which others may connect.
fn bind_for_owner(path: &Path) -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    socket.bind(&SockAddr::unix(path)?)?;
    socket.listen(16)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Gives a file of ours to a group, which may do with it what the mode says.
fn share(path: &Path, group: u32, mode: u32) -> io::Result<()> {
    std::os::unix::fs::chown(path, None, Some(group))?;
    fs::set_permissions(path, Permissions::from_mode(mode))
}

/// In a directory that others write to, the socket could be theirs the next time somebody asks it.
fn prepare_directory(path: &Path, group: Option<u32>) -> Result<(), AdminError> {
    let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) else { return Ok(()) };
    match fs::DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(AdminError::Io(directory.to_owned(), error));
        }
        Err(_) => {}
        Ok(()) => {
            if let Some(group) = group {
                share(directory, group, 0o750).map_err(|error| AdminError::Group(directory.to_owned(), error))?;
            }
        }
    }
    let metadata = fs::metadata(directory).map_err(|error| AdminError::Io(directory.to_owned(), error))?;
    let us = rustix::process::geteuid().as_raw();
    let trusted_owner = us == 0 || metadata.uid() == us || metadata.uid() == 0;
    let sticky = metadata.mode() & 0o1000 != 0;
    let others_write = metadata.mode() & 0o002 != 0;
    if !trusted_owner || (others_write && !sticky) {
        return Err(AdminError::ForeignDirectory(directory.to_owned()));
    }
    Ok(())
}

fn remove_stale(path: &Path) -> Result<(), AdminError> {
    let io = |error| AdminError::Io(path.to_owned(), error);
    if !fs::symlink_metadata(path).map_err(io)?.file_type().is_socket() {
        return Err(AdminError::NoSocket(path.to_owned()));
    }
    match BlockingStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path).map_err(io),
        Err(error) => Err(io(error)),
        Ok(_) => Err(AdminError::Answered(path.to_owned())),
    }
}

/// Why there is no admin socket.
#[derive(Debug)]
pub(super) enum AdminError {
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

impl fmt::Display for AdminError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AdminError::Answered(path) => {
                write!(f, "admin-listen: another process answers at {}: give each its own path", path.display())
            }
            AdminError::NoSocket(path) => write!(f, "admin-listen: {} is there and no socket", path.display()),
            AdminError::ForeignDirectory(path) => {
                write!(f, "admin-listen: others can write to {}: choose a directory of your own", path.display())
            }
            AdminError::Group(path, error) => {
                write!(f, "admin-socket-group: {} cannot be given to it: {error}", path.display())
            }
            AdminError::Io(path, error) => write!(f, "admin-listen: {}: {error}", path.display()),
        }
    }
}

impl std::error::Error for AdminError {}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever the umask is.
    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        folder
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
        let socket = AdminSocket::bind(&path, None).unwrap();
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
        let _socket = AdminSocket::bind(&path, Some(own)).unwrap();
        for (path, mode) in [(path.as_path(), 0o660), (path.parent().unwrap(), 0o750)] {
            let metadata = fs::metadata(path).unwrap();
            assert_eq!((metadata.gid(), metadata.permissions().mode() & 0o777), (own, mode));
        }
    }

    #[test]
    fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
        let directory = folder();
        let path = directory.path().join("admin.sock");
        let runtime = runtime();
        let _guard = runtime.enter();
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let socket = AdminSocket::bind(&path, None).unwrap();
        assert!(matches!(AdminSocket::bind(&path, None), Err(AdminError::Answered(_))));
        assert!(path.exists());
        drop(socket);
    }

    #[test]
    fn a_file_that_is_no_socket_is_left_alone() {
        let directory = folder();
        let path = directory.path().join("admin.sock");
        fs::write(&path, "precious").unwrap();
        let runtime = runtime();
        let _guard = runtime.enter();
        assert!(matches!(AdminSocket::bind(&path, None), Err(AdminError::NoSocket(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[test]
    fn a_directory_that_others_write_to_is_refused() {
        let directory = folder();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let runtime = runtime();
        let _guard = runtime.enter();
        let error = AdminSocket::bind(&directory.path().join("admin.sock"), None).unwrap_err();
        assert!(matches!(error, AdminError::ForeignDirectory(_)), "{error}");
    }
}
