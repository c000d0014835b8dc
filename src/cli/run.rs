//! `respgate run`: the proxy.

use std::sync::Arc;

use crate::files::Files;
use crate::net::{InheritedSockets, UnixSocketError};
use crate::serve::logging;
use crate::serve::reload::Reread;
use crate::serve::{self, RunError};

use super::say;
use super::{ConfigurationArgs, Exit, configuration};

/// Loads the configuration and serves until told to stop.
pub fn run(arguments: &ConfigurationArgs) -> Exit {
    let sources = arguments.clone();
    serve(Arc::new(move |files: &Files| sources.read(files)))
}

/// Serves what is configured until told to stop.
pub(super) fn serve(reread: Reread) -> Exit {
    let inherited = match InheritedSockets::from_environment() {
        Ok(inherited) => inherited,
        Err(error) => {
            say::error(&error);
            return Exit::Configuration;
        }
    };
    // A CA and the rules that confine it may be replaced at this moment, too.
    let (files, read) = Files::default().at_one_moment(|files| {
        let read = reread(files);
        let watched = read.iter().flat_map(|loaded| loaded.config.watched_files());
        // What cannot be read is told when it is loaded.
        watched.for_each(|(path, _)| drop(files.read(&path)));
        read
    });
    let config = match configuration::tell(read) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let log = match logging::init(&config.log) {
        Ok(log) => log,
        Err(error) => {
            say::error(&error);
            return if error.is_permission() { Exit::Permission } else { Exit::Configuration };
        }
    };
    let outcome = serve::run(config, files, inherited, reread, &log);
    // What is queued comes before the last words.
    drop(log);
    match outcome {
        Ok(()) => Exit::Success,
        Err(error) => {
            match &error {
                RunError::Load(errors) => errors.iter().for_each(say::error),
                error => say::error(error),
            }
            exit_of(&error)
        }
    }
}

fn exit_of(error: &RunError) -> Exit {
    let is_permission = |error: &std::io::Error| error.kind() == std::io::ErrorKind::PermissionDenied;
    match error {
        RunError::Load(errors) if errors.iter().any(|error| error.is_permission()) => Exit::Permission,
        RunError::Bind(_, error)
        | RunError::Audit(_, error)
        | RunError::LearnFile(_, error)
        | RunError::System(error)
            if is_permission(error) =>
        {
            Exit::Permission
        }
        RunError::Bind(_, error) if error.kind() == std::io::ErrorKind::AddrInUse => Exit::AddressInUse,
        RunError::UnixSocket(UnixSocketError::Io(_, error)) if is_permission(error) => Exit::Permission,
        RunError::UnixSocket(UnixSocketError::Answered(_)) => Exit::AddressInUse,
        RunError::Load(_)
        | RunError::UnixSocket(_)
        | RunError::Bind(..)
        | RunError::Audit(..)
        | RunError::LearnFile(..)
        | RunError::Inherited(_)
        | RunError::Descriptors { .. } => Exit::Configuration,
        RunError::Upstream(..) => Exit::Unavailable,
        RunError::System(_) => Exit::Internal,
    }
}
