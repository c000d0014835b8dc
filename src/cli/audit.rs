//! `respgate audit`: whether an audit log is whole.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::Exit;
use super::say;
use crate::audit::chain::{Finding, Head, Verifier};

/// The subcommands of `audit`.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Say whether lines were changed, taken away or moved: exit 1 where they were
    Verify(AuditVerifyArgs),
}

/// `audit verify`.
#[derive(Debug, Args)]
pub struct AuditVerifyArgs {
    /// The files of the audit log, from the oldest to the newest
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// A line that has to be there, as the log says (event `audit`, outcome `head`): without it nobody sees that the end was cut off
    #[arg(long, value_name = "SEQ:HASH")]
    pub head: Option<Head>,
}

/// Answers the question.
pub fn audit(command: &AuditCommand) -> Exit {
    let AuditCommand::Verify(arguments) = command;
    let mut verifier = Verifier::new(arguments.head.clone());
    let mut is_whole = true;
    for path in &arguments.files {
        match verify(path, &mut verifier) {
            Ok(is_file_whole) => is_whole &= is_file_whole,
            Err(error) => {
                say::error(format_args!("{}: {error}", path.display()));
                return Exit::Failure;
            }
        }
    }
    let place = arguments.files.last().map(|path| path.display().to_string()).unwrap_or_default();
    is_whole &= tell(&place, &verifier.end());
    match verifier.last() {
        Some(last) => println!("{} lines, the last is {last}", verifier.lines()),
        None => {
            say::error(format_args!("{place}: no line of an audit log"));
            return Exit::Failure;
        }
    }
    if is_whole { Exit::Success } else { Exit::Failure }
}

/// Takes a file, and says whether it has no fault.
fn verify(path: &Path, verifier: &mut Verifier) -> io::Result<bool> {
    let mut file = BufReader::new(File::open(path)?);
    verifier.begin_file();
    let (mut line, mut number, mut is_whole) = (Vec::new(), 0_u64, true);
    while file.read_until(b'\n', &mut line)? > 0 {
        number += 1;
        let findings = verifier.take(line.strip_suffix(b"\n").unwrap_or(&line));
        is_whole &= tell(&format!("{}:{number}", path.display()), &findings);
        line.clear();
    }
    Ok(is_whole)
}

/// Says what was found, and whether there is no fault among it.
fn tell(place: &str, findings: &[Finding]) -> bool {
    for finding in findings {
        match finding.is_fault() {
            true => say::error(format_args!("{place}: {finding}")),
            false => say::line(format_args!("note: {place}: {finding}")),
        }
    }
    !findings.iter().any(Finding::is_fault)
}
