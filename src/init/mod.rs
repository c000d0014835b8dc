//! `respgate init`: a folder with all that it takes to put respgate in front of a Redis, and the lines to paste. It
//! changes nothing but that folder, and makes all of it or nothing.
//!
//! [`found`] reads what is there, [`plan`] is pure and says what is written and what is to be done, [`write`] makes
//! the certificates and the folder.

mod error;
mod found;
pub mod plan;
mod write;

use std::time::SystemTime;

pub use self::error::{InitError, Sort};
use self::found::Found;
use self::plan::{Plan, Wanted};
use self::write::Written;

/// What was made.
#[must_use]
pub struct Made {
    /// What was read and written, and what is to be done now.
    pub report: String,
    /// What `respgate check` says against it.
    pub warnings: Vec<String>,
}

/// Makes it.
///
/// # Errors
/// Why it cannot be made; then nothing was written.
pub fn init(wanted: &Wanted, now: SystemTime) -> Result<Made, InitError> {
    let folder = write::free_folder(&wanted.folder)?;
    let Found { place, redis } = Found::look(wanted, folder, now)?;
    let plan = Plan::of(wanted, &place, redis.as_ref()).map_err(InitError::Plan)?;
    let Written { warnings, end } = write::write(&place.folder, &plan, now)?;
    Ok(Made { report: plan.report(&place.folder, &end), warnings })
}
