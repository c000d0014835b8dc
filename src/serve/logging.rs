//! The log: tracing events as lines of text or JSON, to standard error or to a file that can be reopened, all of which can be
//! changed while it runs. Nobody who has something to log waits for that.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Access, OFlags, access};
use rustix::io::Errno;
use tracing::{Dispatch, Metadata, dispatcher, error};
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::debug_fn;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::{Registry, reload};

use crate::audit::escape::{self, OneLine};
use crate::audit::events;
use crate::audit::lines::{Lines, Sink};
use crate::config::{LogFormat, LogLevel, LogSettings};

/// How long the end of the process waits for what is still to be written.
const PATIENCE: Duration = Duration::from_secs(1);

/// Bytes that a pipe takes without waiting for its reader, where it takes any [pipe(7)].
const PIPE_BUF: usize = 4096;

/// Starts the process's log, which also hears of panics. Once a process.
///
/// # Errors
/// The file cannot be opened, there is no thread to be had, or there is a log already.
pub fn init(settings: &LogSettings) -> Result<LogHandle, LogError> {
    let (log, dispatch) = LogHandle::start(settings)?;
    dispatcher::set_global_default(dispatch).map_err(|_| LogError::Installed)?;
    std::panic::set_hook(Box::new(|panic| error!(event = "panic", "{panic}")));
    Ok(log)
}

/// The running log. When it is dropped, what is queued is written, if that is possible, and standard error is told how many lines
/// are lost.
#[derive(Debug)]
pub struct LogHandle(LogControl);

/// What can be done with the running log.
#[derive(Clone)]
pub struct LogControl {
    lines: Lines,
    next: NextTarget,
    layer: reload::Handle<BoxedLayer, Registry>,
    lost_line: Arc<LostLine>,
}

impl LogHandle {
    fn start(settings: &LogSettings) -> Result<(LogHandle, Dispatch), LogError> {
        let next = NextTarget::default();
        let sink = ChangingTarget { target: Target::open(settings)?, next: Arc::clone(&next) };
        let lost_line = Arc::new(LostLine::new(settings));
        let tell_lost = Arc::clone(&lost_line);
        let lines = Lines::start("log", sink, move |lost| tell_lost.of(lost)).map_err(LogError::Thread)?;
        let (layer, handle) = reload::Layer::new(layer(settings, Queued::new(&lines, settings)));
        let control = LogControl { lines, next, layer: handle, lost_line };
        Ok((LogHandle(control), Dispatch::new(Registry::default().with(layer))))
    }

    /// For those who change it.
    pub fn control(&self) -> LogControl {
        self.0.clone()
    }

    /// Where its lines wait.
    pub fn lines(&self) -> &Lines {
        &self.0.lines
    }
}

impl Drop for LogHandle {
    fn drop(&mut self) {
        let lost = self.0.lines.close(PATIENCE);
        if lost > 0 && takes_more(io::stderr()) {
            let _ = writeln!(io::stderr(), "lines of the log were lost: {lost} could not be written before the end");
        }
    }
}

/// Whether a short line can be written there without waiting for its reader.
fn takes_more(file: impl AsFd) -> bool {
    let mut polled = [PollFd::new(&file, PollFlags::OUT)];
    // It fails where the process may have no descriptors.
    !matches!(poll(&mut polled, Some(&Timespec::default())), Ok(0))
}

impl LogControl {
    /// Opens the log file anew under its name, after somebody moved the old one away. Does nothing for standard error.
    pub fn reopen(&self) {
        self.lines.reopen();
    }

    /// Goes on with other settings. What is queued goes where the rest goes. No file system is waited for.
    pub(super) fn change(&self, mut opened: OpenedLog) {
        let settings = &opened.settings;
        // It fails where nobody logs any more.
        let _ = self.layer.reload(layer(settings, Queued::new(&self.lines, settings)));
        self.lost_line.change(settings);
        self.next.lock().unwrap_or_else(PoisonError::into_inner).extend(opened.target.take());
        self.lines.reopen();
    }
}

impl fmt::Debug for LogControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogControl").finish_non_exhaustive()
    }
}

type BoxedLayer = Box<dyn Layer<Registry> + Send + Sync>;

fn layer<W>(settings: &LogSettings, writer: W) -> BoxedLayer
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    // Internal errors would be told on standard error, and whoever tells them would wait for it, or panic where it is gone.
    let builder = tracing_subscriber::fmt::layer().with_target(false).with_writer(writer).log_internal_errors(false);
    let layer: BoxedLayer = match settings.format {
        LogFormat::Text => {
            let fields = debug_fn(|writer, field, value| match field.name() {
                "message" => fmt::Write::write_fmt(&mut OneLine(writer), format_args!("{value:?}")),
                name => fmt::Write::write_fmt(&mut OneLine(writer), format_args!("{name}={value:?}")),
            });
            Box::new(builder.with_ansi(wants_colours(settings)).fmt_fields(fields.delimited(" ")))
        }
        LogFormat::Json => Box::new(builder.json().flatten_event(true).with_current_span(false).with_span_list(false)),
    };
    Box::new(layer.and_then(level(settings.level)))
}

fn wants_colours(settings: &LogSettings) -> bool {
    settings.file.is_none() && io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

fn level(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

/// Makes the line that says how many lines were lost, as the others look.
struct LostLine {
    dispatch: ArcSwap<Dispatch>,
    made: Arc<Made>,
}

impl LostLine {
    fn new(settings: &LogSettings) -> LostLine {
        let made = Arc::default();
        LostLine { dispatch: ArcSwap::from_pointee(LostLine::dispatch(settings, &made)), made }
    }

    fn change(&self, settings: &LogSettings) {
        self.dispatch.store(Arc::new(LostLine::dispatch(settings, &self.made)));
    }

    fn dispatch(settings: &LogSettings, made: &Arc<Made>) -> Dispatch {
        Dispatch::new(Registry::default().with(layer(settings, Arc::clone(made))))
    }

    fn of(&self, lost: u64) -> Vec<u8> {
        dispatcher::with_default(&self.dispatch.load(), || events::lines_lost(lost));
        std::mem::take(&mut *self.made.lock())
    }
}

/// A line that is not for the queue.
#[derive(Default)]
struct Made(Mutex<Vec<u8>>);

impl Made {
    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for &Made {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.lock().write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Puts lines into the queue, which takes them or counts them.
struct Queued {
    lines: Lines,
    format: LogFormat,
}

impl Queued {
    fn new(lines: &Lines, settings: &LogSettings) -> Queued {
        Queued { lines: lines.clone(), format: settings.format }
    }
}

/// Takes the line of one event.
struct QueuedLine<'a> {
    queue: &'a Queued,
    is_of_clients: bool,
}

impl<'a> MakeWriter<'a> for Queued {
    type Writer = QueuedLine<'a>;

    fn make_writer(&'a self) -> QueuedLine<'a> {
        QueuedLine { queue: self, is_of_clients: false }
    }

    /// What is summed, and so has a `count`, is what clients can cause.
    fn make_writer_for(&'a self, event: &Metadata<'_>) -> QueuedLine<'a> {
        QueuedLine { queue: self, is_of_clients: event.fields().field("count").is_some() }
    }
}

impl QueuedLine<'_> {
    fn put(&self, line: &[u8]) {
        match self.is_of_clients {
            true => self.queue.lines.put_of_clients(line),
            false => self.queue.lines.put(line),
        }
    }
}

impl Write for QueuedLine<'_> {
    /// An event is written at once.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match (self.queue.format, std::str::from_utf8(line)) {
            (LogFormat::Json, Ok(line)) => self.put(escape::json(line).as_bytes()),
            _ => self.put(line),
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Where the log goes.
enum Target {
    /// A descriptor of our own: that of the standard library is locked while somebody waits for it.
    StandardError(File),
    /// Append-only.
    File(PathBuf, File),
}

impl Target {
    fn open(settings: &LogSettings) -> Result<Target, LogError> {
        match &settings.file {
            Some(path) => {
                let file = append(path).map_err(|error| LogError::File(path.clone(), error))?;
                Ok(Target::File(path.clone(), file))
            }
            None => {
                let standard_error = io::stderr().as_fd().try_clone_to_owned().map_err(LogError::StandardError)?;
                Ok(Target::StandardError(standard_error.into()))
            }
        }
    }
}

/// Where the log can go on, and how. To open and to close it takes as long as a file system likes.
pub(super) struct OpenedLog {
    settings: LogSettings,
    /// `None` once the log goes on there.
    target: Option<Target>,
}

impl OpenedLog {
    /// Opens what these settings name.
    ///
    /// # Errors
    /// It cannot be opened.
    pub(super) fn open(settings: &LogSettings) -> Result<OpenedLog, LogError> {
        Target::open(settings).map(|target| OpenedLog { settings: settings.clone(), target: Some(target) })
    }
}

impl Drop for OpenedLog {
    /// Whoever has no use for it does not wait for its end.
    fn drop(&mut self) {
        if let Some(target) = self.target.take() {
            // Where no thread is to be had it is closed here.
            let _ = thread::Builder::new().name("close".to_owned()).spawn(move || drop(target));
        }
    }
}

/// Where the log goes from its next reopening on: the last of these. They are closed where it is written, all of them.
type NextTarget = Arc<Mutex<Vec<Target>>>;

/// Where the log goes, until there is something next.
struct ChangingTarget {
    target: Target,
    next: NextTarget,
}

impl Sink for ChangingTarget {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.target {
            Target::StandardError(file) if !takes_more(&*file) => Err(io::ErrorKind::WouldBlock.into()),
            Target::StandardError(file) => file.write(&bytes[..bytes.len().min(PIPE_BUF)]),
            Target::File(_, file) => file.write(bytes),
        }
    }

    fn reopen(&mut self) -> bool {
        // Nothing is closed while that is locked.
        let mut next = std::mem::take(&mut *self.next.lock().unwrap_or_else(PoisonError::into_inner));
        if let Some(last) = next.pop() {
            self.target = last;
            return true;
        }
        let Target::File(path, file) = &mut self.target else { return false };
        match append(path) {
            Ok(opened) => {
                *file = opened;
                true
            }
            Err(error) => {
                error!(%error, "cannot reopen the log file");
                false
            }
        }
    }
}

/// Of a pipe nobody waits for its reader, who may never come, and of a terminal we become no part.
fn append(path: &PathBuf) -> io::Result<File> {
    const FLAGS: i32 = OFlags::NONBLOCK.union(OFlags::NOCTTY).bits().cast_signed();
    let opened = OpenOptions::new().append(true).create(true).mode(0o640).custom_flags(FLAGS).open(path);
    opened.map_err(|error| match Errno::from_io_error(&error) {
        Some(Errno::NXIO) => io::Error::new(error.kind(), "a pipe, and nobody reads it"),
        _ => error,
    })
}

/// Whether a start could write its log to where these say. Nothing is made.
///
/// # Errors
/// It could not.
pub fn inspect(settings: &LogSettings) -> Result<(), LogError> {
    let Some(path) = &settings.file else { return Ok(()) };
    let outcome = match fs::metadata(path) {
        // To open a pipe may wait for whoever reads it.
        Ok(found) if !found.is_file() && !found.is_dir() => access(path, Access::WRITE_OK).map_err(io::Error::from),
        Ok(_) => OpenOptions::new().append(true).open(path).map(drop),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            access(folder, Access::WRITE_OK | Access::EXEC_OK).map_err(io::Error::from)
        }
        Err(error) => Err(error),
    };
    outcome.map_err(|error| LogError::File(path.clone(), error))
}

/// Why there is no log.
#[derive(Debug)]
pub enum LogError {
    /// The file cannot be opened.
    File(PathBuf, io::Error),
    /// Standard error cannot be had.
    StandardError(io::Error),
    /// The thread that writes cannot be started.
    Thread(io::Error),
    /// The process has a log already.
    Installed,
}

impl LogError {
    /// Whether it is for want of a permission.
    pub fn is_permission(&self) -> bool {
        matches!(self, LogError::File(_, error) if error.kind() == io::ErrorKind::PermissionDenied)
    }
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LogError::File(path, error) => write!(f, "log-file: {}: {error}", path.display()),
            LogError::StandardError(error) => write!(f, "standard error: {error}"),
            LogError::Thread(error) => write!(f, "the thread of the log: {error}"),
            LogError::Installed => f.write_str("the log is started already"),
        }
    }
}

impl std::error::Error for LogError {}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "a\r\nb\u{1b}[31m\u{7f}\u{9b}c\u{2028}d\u{202e}e";

    fn settings(format: LogFormat) -> LogSettings {
        LogSettings { format, level: LogLevel::Info, file: None }
    }

    /// What is logged while `act` runs.
    fn logged_while(format: LogFormat, act: impl FnOnce(&LogControl, &Path)) -> String {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let settings = LogSettings { file: Some(path.clone()), ..settings(format) };
        let (log, dispatch) = LogHandle::start(&settings).unwrap();
        dispatcher::with_default(&dispatch, || act(&log.control(), &path));
        drop(log);
        fs::read_to_string(path).unwrap()
    }

    fn logged(format: LogFormat, act: impl FnOnce()) -> String {
        logged_while(format, |_, _| act())
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
            assert!(log.bytes().all(|byte| matches!(byte, b'\n' | b' '..=b'~')), "{log}");
        }
    }

    #[test]
    fn less_important_events_are_left_out() {
        assert_eq!(logged(LogFormat::Text, || tracing::debug!("detail")), "");
    }

    #[test]
    fn reopening_follows_the_name() {
        let mut moved = String::new();
        let log = logged_while(LogFormat::Text, |log, path| {
            tracing::info!("first");
            let wait_for = |what: &str, path: &Path| {
                while !fs::read_to_string(path).is_ok_and(|text| text.contains(what)) {
                    std::thread::yield_now();
                }
            };
            wait_for("first", path);
            let other = path.with_extension("1");
            fs::rename(path, &other).unwrap();
            tracing::info!("second");
            wait_for("second", &other);
            log.reopen();
            tracing::info!("third");
            moved = fs::read_to_string(&other).unwrap();
        });
        assert!(moved.contains("first") && moved.contains("second") && !moved.contains("third"), "{moved}");
        assert!(log.contains("third"), "{log}");
    }

    #[test]
    fn level_format_and_file_are_those_that_they_were_changed_to_last() {
        let mut other_log = String::new();
        let log = logged_while(LogFormat::Text, |log, path| {
            tracing::debug!("detail");
            let other = path.with_extension("other");
            let changed = LogSettings { file: Some(other.clone()), level: LogLevel::Debug, format: LogFormat::Json };
            while !fs::read_to_string(path).is_ok_and(|text| text.contains("first")) {
                tracing::info!("first");
            }
            log.change(OpenedLog::open(&changed).unwrap());
            tracing::debug!("more detail");
            log.change(OpenedLog::open(&LogSettings { level: LogLevel::Warn, ..changed }).unwrap());
            tracing::info!("less");
            assert_eq!(log.lines.close(PATIENCE), 0);
            other_log = fs::read_to_string(&other).unwrap();
        });
        assert!(!log.contains("detail") && log.starts_with("20"), "{log}");
        let last: serde_json::Value = serde_json::from_str(other_log.lines().last().unwrap()).unwrap();
        assert_eq!((&last["level"], &last["message"]), (&"DEBUG".into(), &"more detail".into()), "{other_log}");
    }

    #[test]
    fn the_log_goes_on_in_the_last_that_was_opened_whatever_its_name_leads_to_by_then() {
        let mut moved = String::new();
        logged_while(LogFormat::Text, |log, path| {
            let folder = tempfile::tempdir().unwrap();
            let [one, other] = ["one", "other"].map(|name| {
                let file = Some(folder.path().join(name).join("log"));
                fs::create_dir(folder.path().join(name)).unwrap();
                OpenedLog::open(&LogSettings { file, ..settings(LogFormat::Text) }).unwrap()
            });
            // To ask for these names again would be an error.
            let elsewhere = path.with_extension("moved");
            fs::rename(folder.path(), &elsewhere).unwrap();
            log.change(one);
            log.change(other);
            tracing::info!("last");
            assert_eq!(log.lines.close(PATIENCE), 0);
            moved = fs::read_to_string(elsewhere.join("other/log")).unwrap();
        });
        assert!(moved.contains("last"), "{moved}");
    }

    #[test]
    fn a_log_file_that_cannot_be_opened_is_an_error() {
        let settings = LogSettings { file: Some("/nonexistent/log".into()), ..settings(LogFormat::Text) };
        let error = Target::open(&settings).err().unwrap();
        assert_eq!(error.to_string(), "log-file: /nonexistent/log: No such file or directory (os error 2)");
    }

    #[test]
    fn lost_lines_are_told_of_in_the_format_of_the_others() {
        let settings = LogSettings { level: LogLevel::Error, ..settings(LogFormat::Json) };
        let lost_line = LostLine::new(&settings);
        for lost in [7, 8] {
            let line: serde_json::Value = serde_json::from_slice(&lost_line.of(lost)).unwrap();
            assert_eq!((&line["event"], &line["lines"]), (&"log".into(), &lost.into()), "{line}");
        }
        lost_line.change(&LogSettings { format: LogFormat::Text, ..settings });
        let line = String::from_utf8(lost_line.of(9)).unwrap();
        assert!(line.contains("lines=9"), "{line}");
    }
}
