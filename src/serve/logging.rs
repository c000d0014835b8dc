//! The log: tracing events as lines of text or JSON, to standard error or to a file that can be reopened.

use std::fmt::{self, Write as _};
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tracing::{Level, Subscriber};
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::debug_fn;

use crate::config::{LogFormat, LogLevel, LogSettings};

/// Starts the process's log. Once a process.
///
/// # Errors
/// The file cannot be opened, or there is a log already.
pub fn init(settings: &LogSettings) -> Result<LogHandle, LogError> {
    match &settings.file {
        Some(path) => {
            let file = LogFile::open(path.clone())?;
            install(subscriber(settings, false, file.clone()))?;
            Ok(LogHandle { file: Some(file) })
        }
        None => {
            let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            install(subscriber(settings, colours, io::stderr))?;
            Ok(LogHandle { file: None })
        }
    }
}

/// What SIGUSR1 needs.
#[derive(Debug, Clone)]
pub struct LogHandle {
    file: Option<LogFile>,
}

impl LogHandle {
    /// Opens the log file anew under its name, after somebody moved the old one away. Does nothing for standard error.
    ///
    /// # Errors
    /// The old file stays in use.
    pub fn reopen(&self) -> Result<(), LogError> {
        self.file.as_ref().map_or(Ok(()), LogFile::reopen)
    }
}

type BoxedSubscriber = Box<dyn Subscriber + Send + Sync>;

fn install(subscriber: BoxedSubscriber) -> Result<(), LogError> {
    tracing::subscriber::set_global_default(subscriber).map_err(|_| LogError::Installed)
}

fn subscriber<W>(settings: &LogSettings, colours: bool, writer: W) -> BoxedSubscriber
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let builder =
        tracing_subscriber::fmt().with_max_level(level(settings.level)).with_target(false).with_writer(writer);
    match settings.format {
        LogFormat::Text => {
            let fields = debug_fn(|writer, field, value| match field.name() {
                "message" => write!(OneLine(writer), "{value:?}"),
                name => write!(OneLine(writer), "{name}={value:?}"),
            });
            Box::new(builder.with_ansi(colours).fmt_fields(fields.delimited(" ")).finish())
        }
        LogFormat::Json => {
            Box::new(builder.json().flatten_event(true).with_current_span(false).with_span_list(false).finish())
        }
    }
}

fn level(level: LogLevel) -> Level {
    match level {
        LogLevel::Error => Level::ERROR,
        LogLevel::Warn => Level::WARN,
        LogLevel::Info => Level::INFO,
        LogLevel::Debug => Level::DEBUG,
        LogLevel::Trace => Level::TRACE,
    }
}

/// Writes control characters as escapes: names and texts of clients can neither begin a line nor drive a terminal.
struct OneLine<'a>(&'a mut dyn fmt::Write);

impl fmt::Write for OneLine<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for piece in text.split_inclusive(char::is_control) {
            let mut characters = piece.chars();
            match characters.next_back() {
                Some(last) if last.is_control() => {
                    self.0.write_str(characters.as_str())?;
                    write!(self.0, "{}", last.escape_default())?;
                }
                _ => self.0.write_str(piece)?,
            }
        }
        Ok(())
    }
}

/// An append-only file that can be opened again. Clones share it.
#[derive(Debug, Clone)]
struct LogFile {
    path: Arc<PathBuf>,
    file: Arc<ArcSwap<File>>,
}

impl LogFile {
    fn open(path: PathBuf) -> Result<LogFile, LogError> {
        let file = append(&path)?;
        Ok(LogFile { path: Arc::new(path), file: Arc::new(ArcSwap::from_pointee(file)) })
    }

    fn reopen(&self) -> Result<(), LogError> {
        self.file.store(Arc::new(append(&self.path)?));
        Ok(())
    }
}

fn append(path: &PathBuf) -> Result<File, LogError> {
    let file = OpenOptions::new().append(true).create(true).mode(0o640).open(path);
    file.map_err(|error| LogError::File(path.clone(), error))
}

impl<'a> MakeWriter<'a> for LogFile {
    type Writer = Arc<File>;

    fn make_writer(&'a self) -> Arc<File> {
        self.file.load_full()
    }
}

/// Why there is no log.
#[derive(Debug)]
pub enum LogError {
    /// The file cannot be opened.
    File(PathBuf, io::Error),
    /// The process has a log already.
    Installed,
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LogError::File(path, error) => write!(f, "log-file: {}: {error}", path.display()),
            LogError::Installed => f.write_str("the log is started already"),
        }
    }
}

impl std::error::Error for LogError {}

#[cfg(test)]
mod tests {
    use std::fs;

    use tracing::subscriber::with_default;

    use super::*;

    const HOSTILE: &str = "a\r\nb\u{1b}[31m\u{7f}\u{9b}c";

    fn settings(format: LogFormat) -> LogSettings {
        LogSettings { format, level: LogLevel::Info, file: None }
    }

    /// What is logged while `act` runs.
    fn logged(format: LogFormat, act: impl FnOnce()) -> String {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let file = LogFile::open(path.clone()).unwrap();
        with_default(subscriber(&settings(format), false, file), act);
        fs::read_to_string(path).unwrap()
    }

    #[test]
    fn text_has_one_line_an_event() {
        let log = logged(LogFormat::Text, || tracing::info!(address = "127.0.0.1:1", "listening"));
        assert!(log.ends_with(" INFO listening address=\"127.0.0.1:1\"\n"), "{log}");
        assert_eq!(log.lines().count(), 1);
    }

    #[test]
    fn json_has_the_fields_at_the_top() {
        let log = logged(LogFormat::Json, || tracing::info!(address = "127.0.0.1:1", "listening"));
        let event: serde_json::Value = serde_json::from_str(&log).unwrap();
        assert_eq!(event["message"], "listening");
        assert_eq!(event["address"], "127.0.0.1:1");
        assert_eq!(event["level"], "INFO");
        assert!(event["timestamp"].is_string());
    }

    #[test]
    fn control_characters_of_clients_break_no_line() {
        for format in [LogFormat::Text, LogFormat::Json] {
            let log = logged(format, || {
                tracing::info!(shown = %HOSTILE, debugged = ?HOSTILE, text = HOSTILE, "message {HOSTILE}");
                tracing::info_span!("client", name = %HOSTILE).in_scope(|| tracing::info!("in a span"));
            });
            assert_eq!(log.lines().count(), 2, "{log}");
            assert!(log.chars().all(|c| c == '\n' || !c.is_control() || (format == LogFormat::Json && c > '\u{7e}')));
        }
    }

    #[test]
    fn less_important_events_are_left_out() {
        assert_eq!(logged(LogFormat::Text, || tracing::debug!("detail")), "");
    }

    #[test]
    fn reopening_follows_the_name() {
        let directory = tempfile::tempdir().unwrap();
        let (path, moved) = (directory.path().join("log"), directory.path().join("log.1"));
        let handle = LogHandle { file: Some(LogFile::open(path.clone()).unwrap()) };
        let subscriber = subscriber(&settings(LogFormat::Text), false, handle.file.clone().unwrap());
        with_default(subscriber, || {
            tracing::info!("first");
            fs::rename(&path, &moved).unwrap();
            tracing::info!("second");
            handle.reopen().unwrap();
            tracing::info!("third");
        });
        let old = fs::read_to_string(&moved).unwrap();
        assert!(old.contains("first") && old.contains("second") && !old.contains("third"), "{old}");
        assert!(fs::read_to_string(&path).unwrap().contains("third"));
    }

    #[test]
    fn a_log_file_that_cannot_be_opened_is_an_error() {
        let error = LogFile::open(PathBuf::from("/nonexistent/log")).unwrap_err();
        assert_eq!(error.to_string(), "log-file: /nonexistent/log: No such file or directory (os error 2)");
    }
}
