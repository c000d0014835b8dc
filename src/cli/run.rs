//! `respgate run`: the proxy.

use crate::config::Config;

use super::{ConfigurationArgs, Exit};

/// The configuration to run with; what is wrong with it has been told.
///
/// # Errors
/// The exit that fits what was told.
pub fn configuration(arguments: &ConfigurationArgs) -> Result<Config, Exit> {
    arguments.load()
}
