//! How bytes become tables, and words of a rule line or a request.

#![allow(dead_code, reason = "a module of several targets")]

use std::sync::LazyLock;

use respgate::command::{CommandTable, Dialect};

static TABLES: LazyLock<[CommandTable; Dialect::ALL.len()]> = LazyLock::new(|| Dialect::ALL.map(CommandTable::builtin));

/// The table that `control` chooses.
pub fn table(control: u8) -> &'static CommandTable {
    &TABLES[usize::from(control) % TABLES.len()]
}

/// The words of `bytes`: separated by line feeds, or by 0xfe where a line feed is to be part of a word.
pub fn words(control: u8, bytes: &[u8]) -> Vec<&[u8]> {
    let separator = if control & 2 == 0 { b'\n' } else { 0xfe };
    bytes.split(|b| *b == separator).collect()
}
