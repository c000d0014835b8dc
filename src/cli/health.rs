//! `respgate health`: asks the running proxy over its admin socket.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use crate::config::{self, Host};
use crate::serve::admin::{GENERATION_REQUEST, HEALTH_REQUEST, Health};

use super::Exit;
use super::configuration::{tell_errors, variables};

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
    /// Print which generation of certificates, users and rules is in force, since when (seconds since 1970), how many
    /// reloads have failed, and whether the last one did
    #[arg(long)]
    pub generation: bool,
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
            Err(errors) => return tell_errors(&errors),
        },
    };
    let request = if arguments.generation { GENERATION_REQUEST } else { HEALTH_REQUEST };
    match ask(&path, request) {
        Ok(answer) => {
            println!("{answer}");
            let is_good = arguments.generation || Health::from_word(&answer) == Some(Health::Serving);
            if is_good { Exit::Success } else { Exit::Failure }
        }
        Err(error) => {
            eprintln!("error: no answer at {}: {error}", path.display());
            Exit::Failure
        }
    }
}

/// The answer, if it is one to this request.
fn ask(path: &Path, request: &[u8]) -> io::Result<String> {
    let mut socket = UnixStream::connect(path)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    socket.write_all(request)?;
    let mut answer = String::new();
    BufReader::new(socket.take(128)).read_line(&mut answer)?;
    let answer = answer.trim_end();
    let is_one = match request {
        GENERATION_REQUEST => answer.starts_with("generation="),
        _ => Health::from_word(answer).is_some(),
    };
    if is_one { Ok(answer.to_owned()) } else { Err(io::Error::other("it answered something else")) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::thread;

    use super::*;

    /// What `ask` makes of an answer. The request is checked on the way.
    fn asked(request: &'static [u8], answer: &'static str) -> io::Result<String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("admin.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let proxy = thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            let mut heard = vec![0; request.len()];
            client.read_exact(&mut heard).unwrap();
            assert_eq!(heard, request);
            client.write_all(answer.as_bytes()).unwrap();
        });
        let asked = ask(&path, request);
        proxy.join().unwrap();
        asked
    }

    #[test]
    fn the_answer_is_one_of_the_words() {
        assert_eq!(asked(HEALTH_REQUEST, "serving\n").unwrap(), "serving");
        assert_eq!(asked(HEALTH_REQUEST, "upstream-down\n").unwrap(), "upstream-down");
        assert!(asked(HEALTH_REQUEST, "fine\n").is_err());
        assert!(asked(HEALTH_REQUEST, "").is_err());
    }

    #[test]
    fn the_answer_about_the_generation_is_passed_on() {
        let answer = "generation=7 since=1795512345 failed-reloads=3 last-reload=failed";
        assert_eq!(
            asked(GENERATION_REQUEST, "generation=7 since=1795512345 failed-reloads=3 last-reload=failed\n").unwrap(),
            answer
        );
        assert!(asked(GENERATION_REQUEST, "unknown request\n").is_err());
    }

    #[test]
    fn nobody_there_is_unhealthy() {
        let directory = tempfile::tempdir().unwrap();
        let admin_listen = Some(directory.path().join("admin.sock"));
        assert_eq!(health(&HealthArgs { config: None, admin_listen, generation: false }), Exit::Failure);
    }
}
