//! `respgate health`: asks the running proxy over its admin socket.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use crate::config::{self, Host};
use crate::ops::admin::{HEALTH_REQUEST, Health};

use super::Exit;
use super::configuration::{tell, variables};

/// How long the proxy may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Where to ask.
#[derive(Debug, Args)]
pub struct HealthArgs {
    /// Configuration file of the running proxy [env: RESPGATE_CONFIG]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Admin socket of the running proxy [default: as the configuration says]
    #[arg(long, value_name = "PATH")]
    pub admin_listen: Option<PathBuf>,
}

/// Prints what the proxy answers.
pub fn health(arguments: &HealthArgs) -> Exit {
    let path = match &arguments.admin_listen {
        Some(path) => path.clone(),
        None => match config::admin_socket(arguments.config.clone(), &variables(), &Host::current()) {
            Ok(Some(path)) => path,
            Ok(None) => {
                eprintln!("error: the configuration says admin-listen = \"off\": nobody to ask");
                return Exit::Configuration;
            }
            Err(errors) => return tell(&errors),
        },
    };
    match ask(&path) {
        Ok(health) => {
            println!("{health}");
            if health == Health::Serving { Exit::Success } else { Exit::Failure }
        }
        Err(error) => {
            eprintln!("error: no answer at {}: {error}", path.display());
            Exit::Failure
        }
    }
}

fn ask(path: &Path) -> io::Result<Health> {
    let mut socket = UnixStream::connect(path)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    socket.write_all(HEALTH_REQUEST)?;
    let mut answer = String::new();
    BufReader::new(io::Read::take(socket, 64)).read_line(&mut answer)?;
    Health::from_word(answer.trim_end()).ok_or_else(|| io::Error::other("it answered something else"))
}
