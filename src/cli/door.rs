//! Asking the running proxy, at its admin door.

use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::{LocalSet, spawn_local};

use super::Exit;
use super::configuration::{tell_errors, variables};
use super::say;
use crate::config::{self, AdminAddress, Host};

/// How long the proxy may take to answer, unless it has something to do first.
const PATIENCE: Duration = Duration::from_secs(3);

/// Where to ask.
#[derive(Debug, Args)]
pub struct DoorArgs {
    /// Configuration file of the running proxy [env: RESPGATE_CONFIG]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Admin door of the running proxy [default: as the configuration says]
    #[arg(long, value_name = "PATH|ADDRESS")]
    pub admin_listen: Option<String>,
}

/// Where the proxy is asked.
pub(super) struct AdminDoor {
    address: AdminAddress,
}

/// What was answered.
pub(super) struct Answer {
    status: StatusCode,
    body: Bytes,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Unanswered {
    /// Nobody is there.
    Nobody(io::Error),
    /// Somebody is, and does not answer in time.
    Silent,
    /// It may not be asked there; its own words.
    Forbidden(String),
    /// Or not in HTTP, or something else.
    Wrong(String),
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unanswered::Nobody(error) => write!(f, "{error}"),
            Unanswered::Silent => write!(f, "it says nothing"),
            Unanswered::Forbidden(words) => f.write_str(words),
            Unanswered::Wrong(what) => f.write_str(what),
        }
    }
}

impl DoorArgs {
    /// The door that they name, or the configuration.
    ///
    /// # Errors
    /// The exit that fits what was told.
    pub(super) fn find(&self) -> Result<AdminDoor, Exit> {
        let (file, variables) = match &self.admin_listen {
            // As if nothing else were said.
            Some(text) => (None, [("RESPGATE_ADMIN_LISTEN".to_owned(), text.into())].into()),
            None => (self.config.clone(), variables()),
        };
        match config::admin_door(file, &variables, &Host::current()) {
            Ok(Some(address)) => Ok(AdminDoor { address }),
            Ok(None) => {
                say::error("the configuration says admin-listen = \"off\": nobody to ask");
                Err(Exit::Configuration)
            }
            Err(errors) => Err(tell_errors(&errors)),
        }
    }
}

impl AdminDoor {
    /// The door at this address.
    pub(super) fn at(address: AdminAddress) -> AdminDoor {
        AdminDoor { address }
    }

    /// What is there.
    pub(super) fn get(&self, path: &str) -> Result<Answer, Unanswered> {
        self.ask(Method::GET, path, PATIENCE)
    }

    /// Has something done there.
    pub(super) fn post(&self, path: &str, patience: Duration) -> Result<Answer, Unanswered> {
        self.ask(Method::POST, path, patience)
    }

    /// Tells why there is no answer. Returns the exit that fits.
    pub(super) fn tell(&self, why: &Unanswered) -> Exit {
        say::error(format_args!("no answer at {}: {why}", self.address));
        match why {
            Unanswered::Nobody(error) if error.kind() == io::ErrorKind::PermissionDenied => Exit::Permission,
            Unanswered::Nobody(_) => Exit::Unavailable,
            Unanswered::Forbidden(_) => Exit::Permission,
            Unanswered::Silent | Unanswered::Wrong(_) => Exit::Failure,
        }
    }

    fn ask(&self, method: Method, path: &str, patience: Duration) -> Result<Answer, Unanswered> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Unanswered::Nobody)?;
        let asking = async {
            match &self.address {
                AdminAddress::Unix(socket) => {
                    let connection = UnixStream::connect(socket).await.map_err(|error| match error.kind() {
                        // So many wait there already that no more may.
                        io::ErrorKind::WouldBlock => Unanswered::Silent,
                        _ => Unanswered::Nobody(error),
                    });
                    exchange(connection?, method, path).await
                }
                AdminAddress::Tcp(address) => {
                    exchange(TcpStream::connect(address).await.map_err(Unanswered::Nobody)?, method, path).await
                }
            }
        };
        let asking = async { tokio::time::timeout(patience, asking).await.unwrap_or(Err(Unanswered::Silent)) };
        LocalSet::new().block_on(&runtime, asking)
    }
}

async fn exchange(
    connection: impl AsyncRead + AsyncWrite + Unpin + 'static,
    method: Method,
    path: &str,
) -> Result<Answer, Unanswered> {
    let wrong = |error: &dyn fmt::Display| Unanswered::Wrong(error.to_string());
    let (mut sender, connection) = http1::handshake(TokioIo::new(connection)).await.map_err(|error| wrong(&error))?;
    spawn_local(connection);
    let request = Request::builder().method(method).uri(path).header(header::HOST, "localhost");
    let request = request.body(Empty::<Bytes>::new()).map_err(|error| wrong(&error))?;
    let response = sender.send_request(request).await.map_err(|error| wrong(&error))?;
    let status = response.status();
    let body = response.into_body().collect().await.map_err(|error| wrong(&error))?.to_bytes();
    Ok(Answer { status, body })
}

/// Prints a document or a table. That nobody reads all of it is no reason to fail.
pub(super) fn print(text: &str) {
    let end = if text.ends_with('\n') { "" } else { "\n" };
    let _ = write!(io::stdout(), "{text}{end}");
}

impl Answer {
    /// The document that was asked for.
    pub(super) fn document<T: DeserializeOwned>(&self) -> Result<T, Unanswered> {
        match self.status {
            StatusCode::OK => {}
            StatusCode::FORBIDDEN => return Err(Unanswered::Forbidden(self.text().trim_end().to_owned())),
            status => return Err(Unanswered::Wrong(format!("{status}: {}", self.text().trim_end()))),
        }
        serde_json::from_slice(&self.body).map_err(|error| Unanswered::Wrong(error.to_string()))
    }

    /// As it came.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}
