//! Panics: they are in the log, and standard error, where nobody may read, hears nothing of them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "that is what it is about")]

use std::fs;

use respgate::config::{LogFormat, LogLevel, LogSettings};
use respgate::serve::logging;

#[test]
fn a_panic_is_one_line_of_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("log");
    let settings = LogSettings { format: LogFormat::Json, level: LogLevel::Info, file: Some(file.clone()) };
    let log = logging::init(&settings).unwrap();
    let panicked = std::thread::spawn(|| panic!("so it\nwent")).join();
    let _ = std::panic::take_hook();
    drop(log);
    assert!(panicked.is_err());
    let line: serde_json::Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    assert_eq!((&line["level"], &line["event"]), (&"ERROR".into(), &"panic".into()), "{line}");
    let message = line["message"].as_str().unwrap();
    assert!(message.contains("tests/panics.rs:") && message.ends_with("so it\nwent"), "{message}");
}
