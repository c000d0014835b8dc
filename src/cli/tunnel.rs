//! `respgate tunnel`: the client's end, by flags alone.

use std::sync::Arc;

use clap::Args;

use crate::config::{self, ConfigErrors, Host, Loaded, TunnelFlags};
use crate::files::Files;

use super::{Exit, configuration, run};

/// One tunnel, and the process that has it.
#[derive(Debug, Clone, Args)]
pub struct TunnelArgs {
    /// Every setting; each is a variable RESPGATE_… as well.
    #[command(flatten)]
    pub flags: TunnelFlags,
}

impl TunnelArgs {
    fn read(&self, files: &Files) -> Result<Loaded, ConfigErrors> {
        config::load_tunnel(&self.flags, &configuration::variables(), &Host::current(), files)
    }
}

/// Carries what applications say to the server until told to stop.
pub fn tunnel(arguments: &TunnelArgs) -> Exit {
    let sources = arguments.clone();
    run::serve(Arc::new(move |files: &Files| sources.read(files)))
}
