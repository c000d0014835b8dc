//! `respgate reload`: has the running proxy read everything again, and waits for it.

use std::time::Duration;

use clap::Args;

use super::Exit;
use super::door::{DoorArgs, print};
use super::say;
use crate::serve::reload::ReloadReport;

/// Certificates of all sessions may have to be verified again, and Redis to finish what it executes.
const PATIENCE: Duration = Duration::from_secs(30);

/// What to ask.
#[derive(Debug, Args)]
pub struct ReloadArgs {
    /// Where.
    #[command(flatten)]
    pub door: DoorArgs,
    /// Print the document as the proxy gives it
    #[arg(long)]
    pub json: bool,
}

/// Prints what it has come to.
pub fn reload(arguments: &ReloadArgs) -> Exit {
    let door = match arguments.door.find() {
        Ok(door) => door,
        Err(exit) => return exit,
    };
    let answer = door.post("/reload", PATIENCE);
    let (report, answer) = match answer.and_then(|answer| Ok((answer.document::<ReloadReport>()?, answer))) {
        Ok(answered) => answered,
        Err(why) => return door.tell(&why),
    };
    if arguments.json {
        print(&answer.text());
    } else {
        tell(&report);
    }
    if report.errors.is_empty() { Exit::Success } else { Exit::Configuration }
}

fn tell(report: &ReloadReport) {
    let ReloadReport { generation, errors, held_up, warnings, restart_needed, not_confirmed } = report;
    errors.iter().for_each(say::error);
    warnings.iter().for_each(say::warning);
    if !restart_needed.is_empty() {
        say::warning(format_args!("only a restart gives: {}", restart_needed.join(", ")));
    }
    if let Some(why) = not_confirmed {
        say::warning(format_args!(
            "Redis may still execute requests that were sent before with rights that are gone: {why}"
        ));
    }
    if !held_up.is_empty() {
        say::line(format_args!("held up: {}; everything else is in force", held_up.join(", ")));
    }
    print(&format!("generation {generation} is in force\n"));
}
