//! Why the proxy does not run.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::capacity::TooFewDescriptors;
use crate::config::{AuditTarget, UpstreamAddress};
use crate::generation::BuildError;
use crate::net::listener::ListenError;
use crate::net::tunnel_listener::TunnelListenError;
use crate::net::{InheritedError, UnixSocketError};
use crate::upstream::ConnectError;

/// Why the proxy does not run (any more).
#[derive(Debug)]
pub enum RunError {
    /// What the configuration names cannot be loaded.
    Load(Vec<BuildError>),
    /// A listening address cannot be had.
    Bind(SocketAddr, io::Error),
    /// The unix socket of a tunnel cannot be made.
    UnixSocket(UnixSocketError),
    /// Sockets that are inherited and listeners do not fit.
    Inherited(InheritedError),
    /// Redis is not there, and `--require-upstream` says that it has to be.
    Upstream(UpstreamAddress, ConnectError),
    /// The file-descriptor limit allows fewer clients than `maxclients`, or none.
    Descriptors(TooFewDescriptors),
    /// The audit log cannot be written there.
    Audit(AuditTarget, io::Error),
    /// What was learnt cannot be read or written there.
    LearnFile(PathBuf, io::Error),
    /// The system denies something that every process needs.
    System(io::Error),
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Load(errors) => {
                let told: Vec<String> = errors.iter().map(ToString::to_string).collect();
                f.write_str(&told.join("\n"))
            }
            Self::Descriptors(error) => write!(f, "{error}"),
            Self::Bind(address, error) => write!(f, "cannot listen on {address}: {error}"),
            Self::UnixSocket(error) => write!(f, "listen: {error}"),
            Self::Inherited(error) => write!(f, "{error}"),
            Self::Upstream(address, error) => write!(f, "the upstream {address} does not answer: {error}"),
            Self::Audit(target, error) => write!(f, "audit-file: {target}: {error}"),
            Self::LearnFile(path, error) => write!(f, "learn-file: {}: {error}", path.display()),
            Self::System(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for RunError {}

impl From<ListenError> for RunError {
    fn from(error: ListenError) -> Self {
        match error {
            ListenError::Bind(address, error) => Self::Bind(address, error),
            ListenError::Inherited(error) => Self::Inherited(error),
            ListenError::System(error) => Self::System(error),
        }
    }
}

impl From<TunnelListenError> for RunError {
    fn from(error: TunnelListenError) -> Self {
        match error {
            TunnelListenError::Unix(error) => Self::UnixSocket(error),
            TunnelListenError::Bind(address, error) => Self::Bind(address, error),
            TunnelListenError::Inherited(error) => Self::Inherited(error),
            TunnelListenError::System(error) => Self::System(error),
        }
    }
}
