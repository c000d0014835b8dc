//! The admin socket: a unix socket for its owner alone, where the proxy says how it is.
//!
//! One line in, one line out: `health` is answered `serving`, `draining`, `upstream-down` or `stuck`; `generation` is
//! answered with what is in force, since when, how often a reload has failed, and whether the last one did.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::Mode;
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

/// What a client sends to learn how the proxy is.
pub const HEALTH_REQUEST: &[u8] = b"health\n";

/// What a client sends to learn what is in force.
pub const GENERATION_REQUEST: &[u8] = b"generation\n";

/// Longer lines are no request of ours.
const LONGEST_REQUEST: u64 = 64;

/// For one request and its answer. Clients are served one after the other, and all of them belong to our own user.
const PATIENCE: Duration = Duration::from_secs(1);

/// How the proxy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// Clients are served.
    Serving,
    /// Shutting down: no new clients.
    Draining,
    /// Redis does not answer.
    UpstreamDown,
    /// A worker has not turned for 5 seconds: its clients wait, and so does every newcomer that it is given.
    Stuck,
}

impl Health {
    const ALL: [Health; 4] = [Health::Serving, Health::Draining, Health::UpstreamDown, Health::Stuck];

    /// The same where so many workers are stuck. They are the worse news, but where the process ends.
    #[must_use]
    pub fn with_stuck_workers(self, stuck: usize) -> Health {
        match self {
            Health::Serving | Health::UpstreamDown if stuck > 0 => Health::Stuck,
            health => health,
        }
    }

    /// The state of a word on the wire.
    pub fn from_word(word: &str) -> Option<Health> {
        Health::ALL.into_iter().find(|health| health.word() == word)
    }

    fn word(self) -> &'static str {
        match self {
            Health::Serving => "serving",
            Health::Draining => "draining",
            Health::UpstreamDown => "upstream-down",
            Health::Stuck => "stuck",
        }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What is in force. `Display` is the answer on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InForce {
    /// The number of the generation.
    pub generation: u64,
    /// When it was built.
    pub since: SystemTime,
    /// The reloads that failed.
    pub failures: ReloadFailures,
}

/// How reloads have gone since the start of the process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReloadFailures {
    /// So many failed.
    pub count: u64,
    /// Something is wrong with the files still: what is in force is not what they say.
    pub lasts: bool,
}

impl fmt::Display for InForce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = self.since.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let ReloadFailures { count, lasts } = self.failures;
        let last = if lasts { "failed" } else { "done" };
        write!(f, "generation={} since={since} failed-reloads={count} last-reload={last}", self.generation)
    }
}

/// A bound admin socket. Its file goes with it.
#[derive(Debug)]
pub struct AdminSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl AdminSocket {
    /// Binds `path` with mode 0600, making its directory (mode 0700) where that is missing. A socket where nobody
    /// answers any more is replaced. Needs a tokio runtime.
    ///
    /// # Errors
    /// Somebody answers there, something else is there, or the directory belongs to others.
    pub fn bind(path: &Path) -> Result<AdminSocket, AdminError> {
        prepare_directory(path)?;
        let socket = match bind_for_owner(path) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                remove_stale(path)?;
                bind_for_owner(path)
            }
            result => result,
        };
        let socket = socket.map_err(|error| AdminError::Io(path.to_owned(), error))?;
        let listener = UnixListener::from_std(socket.into()).map_err(|error| AdminError::Io(path.to_owned(), error))?;
        Ok(AdminSocket { listener, path: path.to_owned() })
    }

    /// The listener, for [`serve`].
    pub fn listener(&self) -> &UnixListener {
        &self.listener
    }
}

impl Drop for AdminSocket {
    fn drop(&mut self) {
        // Somebody else may have cleaned up: it is gone either way.
        let _ = fs::remove_file(&self.path);
    }
}

/// Answers clients for as long as it is polled.
pub async fn serve(listener: &UnixListener, health: impl Fn() -> Health, in_force: impl Fn() -> InForce) {
    loop {
        match listener.accept().await {
            Ok((client, _)) => {
                // A client that went away or took too long has no use for an error either.
                let _ = tokio::time::timeout(PATIENCE, answer(client, &health, &in_force)).await;
            }
            Err(error) => {
                tracing::warn!(%error, "admin socket cannot accept");
                tokio::time::sleep(PATIENCE).await;
            }
        }
    }
}

async fn answer(
    mut client: UnixStream,
    health: &impl Fn() -> Health,
    in_force: &impl Fn() -> InForce,
) -> io::Result<()> {
    let mut request = Vec::new();
    let mut input = (&mut client).take(LONGEST_REQUEST);
    while !request.ends_with(b"\n") {
        match input.read_u8().await {
            Ok(byte) => request.push(byte),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
            Err(error) => return Err(error),
        }
    }
    let answer = match request.as_slice() {
        HEALTH_REQUEST => format!("{}\n", health()),
        GENERATION_REQUEST => format!("{}\n", in_force()),
        _ => "unknown request\n".to_owned(),
    };
    client.write_all(answer.as_bytes()).await?;
    client.shutdown().await
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

/// In a directory that others write to, the socket could be theirs the next time somebody asks it.
fn prepare_directory(path: &Path) -> Result<(), AdminError> {
    let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) else { return Ok(()) };
    match fs::DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(AdminError::Io(directory.to_owned(), error));
        }
        Ok(()) | Err(_) => {}
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
pub enum AdminError {
    /// Another process answers at this path.
    Answered(PathBuf),
    /// Something that is no socket is at this path.
    NoSocket(PathBuf),
    /// Others can write to this directory.
    ForeignDirectory(PathBuf),
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
            AdminError::Io(path, error) => write!(f, "admin-listen: {}: {error}", path.display()),
        }
    }
}

impl std::error::Error for AdminError {}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

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

    async fn ask(path: &Path, request: &[u8]) -> String {
        let mut client = UnixStream::connect(path).await.unwrap();
        client.write_all(request).await.unwrap();
        client.shutdown().await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        answer
    }

    fn answer_to(request: &'static [u8], health: Health) -> String {
        let directory = folder();
        let path = directory.path().join("admin.sock");
        let since = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_512_345);
        let in_force = InForce { generation: 7, since, failures: ReloadFailures { count: 3, lasts: true } };
        runtime().block_on(async {
            let socket = AdminSocket::bind(&path).unwrap();
            tokio::select! {
                () = serve(socket.listener(), || health, || in_force) => unreachable!(),
                answer = ask(&path, request) => answer,
            }
        })
    }

    #[test]
    fn health_is_answered_with_one_word() {
        assert_eq!(answer_to(b"health\n", Health::Serving), "serving\n");
        assert_eq!(answer_to(b"health\n", Health::Draining), "draining\n");
        assert_eq!(answer_to(b"health\n", Health::UpstreamDown), "upstream-down\n");
    }

    #[test]
    fn a_stuck_worker_makes_all_of_it_stuck_unless_it_ends() {
        assert_eq!(Health::Serving.with_stuck_workers(0), Health::Serving);
        assert_eq!(Health::Serving.with_stuck_workers(1), Health::Stuck);
        assert_eq!(Health::UpstreamDown.with_stuck_workers(2), Health::Stuck);
        assert_eq!(Health::Draining.with_stuck_workers(2), Health::Draining);
    }

    #[test]
    fn what_is_in_force_is_answered_in_one_line() {
        let answer = answer_to(b"generation\n", Health::Serving);
        assert_eq!(answer, "generation=7 since=1795512345 failed-reloads=3 last-reload=failed\n");
    }

    #[test]
    fn anything_else_is_unknown() {
        assert_eq!(answer_to(b"shutdown\n", Health::Serving), "unknown request\n");
        assert_eq!(answer_to(b"health", Health::Serving), "unknown request\n");
        assert_eq!(answer_to(&[b'x'; 60], Health::Serving), "unknown request\n");
    }

    #[test]
    fn every_word_is_read_back() {
        for health in Health::ALL {
            assert_eq!(Health::from_word(&health.to_string()), Some(health));
        }
        assert_eq!(Health::from_word(""), None);
    }

    #[test]
    fn the_socket_is_for_its_owner_and_goes_with_the_proxy() {
        let directory = folder();
        let path = directory.path().join("new/admin.sock");
        let runtime = runtime();
        let _guard = runtime.enter();
        let socket = AdminSocket::bind(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
        drop(socket);
        assert!(!path.exists());
    }

    #[test]
    fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
        let directory = folder();
        let path = directory.path().join("admin.sock");
        let runtime = runtime();
        let _guard = runtime.enter();
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let socket = AdminSocket::bind(&path).unwrap();
        assert!(matches!(AdminSocket::bind(&path), Err(AdminError::Answered(_))));
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
        assert!(matches!(AdminSocket::bind(&path), Err(AdminError::NoSocket(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[test]
    fn a_directory_that_others_write_to_is_refused() {
        let directory = folder();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let runtime = runtime();
        let _guard = runtime.enter();
        let error = AdminSocket::bind(&directory.path().join("admin.sock")).unwrap_err();
        assert!(matches!(error, AdminError::ForeignDirectory(_)), "{error}");
    }
}
