//! `respgate health`: asks the running proxy whether it is well.

use clap::Args;

use super::Exit;
use super::door::{DoorArgs, Unanswered};
use crate::serve::health::Health;
use crate::serve::status::Status;

/// What to ask.
#[derive(Debug, Args)]
pub struct HealthArgs {
    /// Where.
    #[command(flatten)]
    pub door: DoorArgs,
    /// Exit 0 only where clients are served: not while Redis is away, nor while the proxy ends
    #[arg(long)]
    pub ready: bool,
}

/// Prints one word.
pub fn health(arguments: &HealthArgs) -> Exit {
    let door = match arguments.door.find() {
        Ok(door) => door,
        Err(exit) => return exit,
    };
    let health = door.get("/status").and_then(|answer| answer.document()).and_then(|status: Status| {
        Health::from_word(&status.health).ok_or_else(|| Unanswered::Wrong(format!("it is {}", status.health)))
    });
    match health {
        Ok(health) => {
            println!("{health}");
            let is_good = if arguments.ready { health.is_ready() } else { health.is_live() };
            if is_good { Exit::Success } else { Exit::Failure }
        }
        Err(why) => door.tell(&why),
    }
}
