//! `respgate health`: asks the running proxy over its admin socket.

use std::io::{self, BufRead, BufReader, Read, Write};
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
    BufReader::new(socket.take(64)).read_line(&mut answer)?;
    Health::from_word(answer.trim_end()).ok_or_else(|| io::Error::other("it answered something else"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::thread;

    use super::*;

    /// What `ask` makes of an answer. The request is checked on the way.
    fn asked(answer: &'static str) -> io::Result<Health> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("admin.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let proxy = thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            let mut request = [0; HEALTH_REQUEST.len()];
            client.read_exact(&mut request).unwrap();
            assert_eq!(request, HEALTH_REQUEST);
            client.write_all(answer.as_bytes()).unwrap();
        });
        let asked = ask(&path);
        proxy.join().unwrap();
        asked
    }

    #[test]
    fn the_answer_is_one_of_the_words() {
        assert_eq!(asked("serving\n").unwrap(), Health::Serving);
        assert_eq!(asked("upstream-down\n").unwrap(), Health::UpstreamDown);
        assert!(asked("fine\n").is_err());
        assert!(asked("").is_err());
    }

    #[test]
    fn nobody_there_is_unhealthy() {
        let directory = tempfile::tempdir().unwrap();
        let admin_listen = Some(directory.path().join("admin.sock"));
        assert_eq!(health(&HealthArgs { config: None, admin_listen }), Exit::Failure);
    }
}
