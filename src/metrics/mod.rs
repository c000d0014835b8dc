//! What is counted, and how Prometheus is told of it. `docs/metrics.md` lists every family.
//!
//! Each worker counts in [`WorkerCounts`], plain integers of its own that it hands out when somebody asks. What happens rarely,
//! wherever it happens, is counted in [`EventCounts`]. A [`Scrape`] is all of it at one moment, and makes the text of it.

mod events;
mod histogram;
mod labels;
mod page;
mod process;
mod redis;
mod scrape;
mod tally;
mod worker;

pub use self::events::{EventCounts, Events};
pub use self::histogram::Histogram;
pub use self::labels::{Labels, UserLabel};
pub use self::process::{Process, cpu_time};
pub use self::scrape::{CONTENT_TYPE, Reloads, Scrape, UpstreamHealth};
pub use self::tally::{Tally, UserTally};
pub use self::worker::WorkerCounts;
