//! How many clients there is room for.

use std::fmt;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::field::display;
use tracing::info;

use super::door;
use crate::config::{Config, DEFAULT_MAXCLIENTS};
use crate::net::SURPLUS;

/// File descriptors for everything that is not a client: logs, listeners, looks at the upstream, files that are read,
/// and who is at the doors.
const OTHER_DESCRIPTORS: u64 = 32 + 2 * door::CONNECTIONS as u64;

/// File descriptors of the event loop of a worker, and of the acceptor.
const LOOP_DESCRIPTORS: u64 = 4;

/// The file-descriptor limit allows fewer clients than `maxclients`, or none.
#[derive(Debug)]
pub struct TooFewDescriptors {
    /// What is configured.
    wanted: Option<u32>,
    /// What is possible.
    possible: u32,
    /// The limit that it takes, for one client where nothing is configured.
    needed: u64,
}

impl fmt::Display for TooFewDescriptors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { wanted, possible, needed } = self;
        match wanted {
            Some(wanted) => write!(
                f,
                "maxclients = {wanted}, but the file-descriptor limit allows {possible} clients; raise it with: \
                 ulimit -n {needed}"
            ),
            None => write!(f, "the file-descriptor limit allows no client; one takes at least: ulimit -n {needed}"),
        }
    }
}

/// What there is room for, and by which file where nobody has written it.
pub(super) fn tell(config: &Config) {
    let limits = &config.limits;
    let (memory, source) =
        limits.memory.as_ref().map(|memory| (memory.bytes, display(memory.source.display()))).unzip();
    info!(maxclients = find(config).ok(), memory_budget = limits.memory_budget, memory, source, "capacity");
}

/// The connections that there may be: as many as wanted, or as the file-descriptor limit allows. Each needs two: the
/// client's and Redis's. Those over the limit need one, until they have been told so.
///
/// # Errors
/// These are too few.
pub(super) fn find(config: &Config) -> Result<u32, TooFewDescriptors> {
    let wanted = config.limits.maxclients;
    let limit = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    let descriptors = match raised {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    // An application of a tunnel needs two as well.
    let applications: u64 = config.tunnels.iter().map(|tunnel| 2 * u64::from(tunnel.maxclients)).sum();
    let others = OTHER_DESCRIPTORS + applications + LOOP_DESCRIPTORS * (1 + config.threads as u64) + u64::from(SURPLUS);
    let possible = descriptors.map_or(u64::MAX, |descriptors| descriptors.saturating_sub(others) / 2);
    let possible = u32::try_from(possible).unwrap_or(u32::MAX);
    let least = wanted.unwrap_or(1);
    if least > possible {
        return Err(TooFewDescriptors { wanted, possible, needed: u64::from(least) * 2 + others });
    }
    Ok(wanted.unwrap_or(possible.min(DEFAULT_MAXCLIENTS)))
}
