//! The process, under the names that every Prometheus client uses.

use std::fmt;
use std::fs;
use std::time::{Duration, SystemTime};

use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

use super::page::Page;

/// The process at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Process {
    started: SystemTime,
    cpu: Duration,
    resident: u64,
    virtual_memory: u64,
    open_files: u64,
    most_open_files: Option<u64>,
    threads: u64,
}

impl Process {
    /// This one now. What the system does not tell is 0.
    pub fn now(started: SystemTime) -> Process {
        let pages = fs::read_to_string("/proc/self/statm").unwrap_or_default();
        let mut pages = pages.split_ascii_whitespace().map(|pages| pages.parse().unwrap_or(0));
        let mut bytes = || pages.next().unwrap_or(0) * rustix::param::page_size() as u64;
        let (virtual_memory, resident) = (bytes(), bytes());
        let entries = |folder| fs::read_dir(folder).map_or(0, |entries| entries.count() as u64);
        Process {
            started,
            cpu: cpu_time(ClockId::ProcessCPUTime),
            resident,
            virtual_memory,
            open_files: entries("/proc/self/fd").saturating_sub(1),
            most_open_files: getrlimit(Resource::Nofile).current,
            threads: entries("/proc/self/task"),
        }
    }

    pub(super) fn encode(&self, page: &mut Page<'_>) -> fmt::Result {
        let started = self.started.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        page.fractions("process_cpu_seconds", "CPU time of the process.", [([], self.cpu.as_secs_f64())])?;
        page.gauge("process_resident_memory_bytes", "Memory of the process that is in RAM.", self.resident as f64)?;
        page.gauge("process_virtual_memory_bytes", "Address space of the process.", self.virtual_memory as f64)?;
        page.gauge("process_open_fds", "Open file descriptors.", self.open_files as f64)?;
        let most = self.most_open_files.map_or(f64::INFINITY, |most| most as f64);
        page.gauge("process_max_fds", "File descriptors that may be open.", most)?;
        page.gauge("process_threads", "Threads of the process.", self.threads as f64)?;
        page.gauge("process_start_time_seconds", "When the process started, since 1970 UTC.", started)
    }
}

/// How long this clock has run.
pub fn cpu_time(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_tells_of_this_process() {
        let process = Process::now(SystemTime::now());
        assert!(process.resident > 0 && process.virtual_memory > process.resident, "{process:?}");
        assert!(process.open_files > 2 && process.threads > 0 && process.cpu > Duration::ZERO, "{process:?}");
    }
}
