//! `respgate status`: how the running proxy is, and what is in force.

use clap::Args;

use super::Exit;
use super::door::{DoorArgs, print};
use super::table::aligned;
use crate::serve::status::{FailedReload, Status};

/// What to ask.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Where.
    #[command(flatten)]
    pub door: DoorArgs,
    /// Print the document as the proxy gives it
    #[arg(long)]
    pub json: bool,
}

/// Prints it.
pub fn status(arguments: &StatusArgs) -> Exit {
    let door = match arguments.door.find() {
        Ok(door) => door,
        Err(exit) => return exit,
    };
    match door.get("/status").and_then(|answer| Ok((answer.document::<Status>()?, answer))) {
        Ok((_, answer)) if arguments.json => print(&answer.text()),
        Ok((status, _)) => print(&table(&status)),
        Err(why) => return door.tell(&why),
    }
    Exit::Success
}

fn table(status: &Status) -> String {
    let Status { version, pid, started, health, problems, connections, generation, reloads, .. } = status;
    let mut rows = vec![("health", health.clone())];
    rows.extend(problems.iter().map(|problem| ("problem", problem.clone())));
    rows.extend([
        ("version", version.clone()),
        ("process", format!("{pid}, since {started}")),
        ("connections", connections.to_string()),
        ("generation", format!("{}, since {}", generation.number, generation.since)),
        ("failed reloads", reloads.failed.to_string()),
    ]);
    if let Some(FailedReload { time, cause, problems, is_mended }) = &reloads.last_failure {
        let outcome = if *is_mended { "mended" } else { "not mended" };
        rows.push(("last failure", format!("{time}, {cause}, {outcome}")));
        rows.extend(problems.iter().flat_map(|problem| problem.lines()).map(|line| ("", line.to_owned())));
    }
    aligned(&rows.into_iter().map(|(name, value)| [name.to_owned(), value]).collect::<Vec<_>>())
}
