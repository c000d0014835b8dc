//! Who uses what: what is kept of requests, and the line of an ACL file that allows just that. Pure.
//!
//! [`Usage`] is what one user was seen to do: commands, names of keys and channels. Names are kept in [`Names`], which
//! tell their parts apart as far as few enough were seen. [`suggest`] makes a line of it, and proves it.

mod evidence;
mod line;
mod monitor;
mod names;
mod part;
mod pattern;
mod plain;
mod proof;
mod record;
mod suggest;
mod traffic;
mod usage;

pub use evidence::Evidence;
pub use line::Line;
pub use monitor::{Client, MonitorLine, NotMonitor};
pub use names::Names;
pub use pattern::{Piece, Unnamed, pattern};
pub use proof::Replay;
pub use record::{Learnt, RecordError, from_text, to_text};
pub use suggest::{Context, SuggestError, Suggestion, Withheld, WithheldReason, suggest};
pub use traffic::TrafficLearner;
pub use usage::{Usage, Uses};
