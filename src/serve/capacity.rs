//! How many clients there is room for.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::field::display;
use tracing::info;

use super::{RunError, door};
use crate::config::{Config, DEFAULT_MAXCLIENTS};
use crate::net::SURPLUS;

/// File descriptors for everything that is not a client: logs, listeners, looks at the upstream, files that are read, and who
/// is at the doors.
const OTHER_DESCRIPTORS: u64 = 32 + 2 * door::CONNECTIONS as u64;

/// File descriptors of a worker's event loop.
const WORKER_DESCRIPTORS: u64 = 4;

/// What there is room for, and by which file where nobody has written it.
pub(super) fn tell(maxclients: u32, config: &Config) {
    let limits = &config.limits;
    let (memory, source) =
        limits.memory.as_ref().map(|memory| (memory.bytes, display(memory.source.display()))).unzip();
    info!(maxclients, memory_budget = limits.memory_budget, memory, source, "capacity");
}

/// The connections that there may be: as many as wanted, or as the file-descriptor limit allows. Each needs two: the
/// client's and Redis's. Those over the limit need one, until they have been told so.
pub(super) fn find(wanted: Option<u32>, workers: usize) -> Result<u32, RunError> {
    let limit = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    let descriptors = match raised {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    let others = OTHER_DESCRIPTORS + WORKER_DESCRIPTORS * workers as u64 + u64::from(SURPLUS);
    let possible = descriptors.map_or(u64::MAX, |descriptors| descriptors.saturating_sub(others) / 2);
    let possible = u32::try_from(possible).unwrap_or(u32::MAX);
    let least = wanted.unwrap_or(1);
    if least > possible {
        return Err(RunError::Descriptors { wanted, possible, needed: u64::from(least) * 2 + others });
    }
    Ok(wanted.unwrap_or(possible.min(DEFAULT_MAXCLIENTS)))
}
