//! `respgate status`: how the running proxy is, and what is in force.

use clap::Args;

use super::Exit;
use super::door::DoorArgs;
use crate::serve::status::Status;

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
    let answer = door.get("/status").and_then(|answer| Ok((answer.document::<Status>()?, answer)));
    match answer {
        Ok((_, answer)) if arguments.json => println!("{}", answer.text()),
        Ok((status, _)) => print_status(&status),
        Err(why) => return door.tell(&why),
    }
    Exit::Success
}

fn print_status(status: &Status) {
    let Status { version, pid, started, health, connections, generation, reloads } = status;
    let row = |name: &str, value: String| println!("{name:<12} {value}");
    row("health", health.clone());
    row("version", version.clone());
    row("process", format!("{pid}, since {started}"));
    row("connections", connections.to_string());
    row("generation", format!("{}, since {}", generation.number, generation.since));
    let last = if reloads.is_failed { "the last one failed" } else { "all is in force" };
    row("reloads", format!("{} failed, {last}", reloads.failed));
}
