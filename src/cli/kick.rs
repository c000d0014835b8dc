//! `respgate kick`: ends sessions.

use std::time::Duration;

use clap::Args;

use super::Exit;
use super::door::{DoorArgs, print};
use crate::serve::sessions::{Chosen, Kicked};

/// All workers are asked twice.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whom.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("whom").required(true).args(["id", "user", "serial"])))]
pub struct KickArgs {
    /// Where.
    #[command(flatten)]
    pub door: DoorArgs,
    /// The session with this number, as `sessions` shows it
    pub id: Option<u64>,
    /// Every session of this user
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// Every session whose certificate has this serial number
    #[arg(long, value_name = "SERIAL", value_parser = Chosen::serial)]
    pub serial: Option<Chosen>,
    /// Print the document as the proxy gives it
    #[arg(long)]
    pub json: bool,
}

/// Prints how many there were.
pub fn kick(arguments: &KickArgs) -> Exit {
    let door = match arguments.door.find() {
        Ok(door) => door,
        Err(exit) => return exit,
    };
    let KickArgs { id, user, serial, .. } = arguments;
    let chosen = id.map(Chosen::Number).or(user.clone().map(Chosen::User)).or(serial.clone());
    let Some(chosen) = chosen else { return Exit::Usage };
    let answer = door.post(&format!("/kick{chosen}"), PATIENCE);
    match answer.and_then(|answer| Ok((answer.document::<Kicked>()?, answer))) {
        Ok((Kicked { kicked }, answer)) => {
            let text = format!("{kicked} {} ended\n", if kicked == 1 { "session" } else { "sessions" });
            print(if arguments.json { answer.text() } else { text }.as_str());
            if kicked > 0 { Exit::Success } else { Exit::Failure }
        }
        Err(why) => door.tell(&why),
    }
}
