//! `respgate sessions`: who is connected.

use clap::Args;

use super::Exit;
use super::door::{DoorArgs, print};
use super::say;
use super::table::aligned;
use crate::serve::sessions::{Chosen, Session, SessionList};

/// What to ask.
#[derive(Debug, Args)]
pub struct SessionsArgs {
    /// Where.
    #[command(flatten)]
    pub door: DoorArgs,
    /// Sessions of this user only
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// Print the document as the proxy gives it
    #[arg(long)]
    pub json: bool,
}

/// Prints them.
pub fn sessions(arguments: &SessionsArgs) -> Exit {
    let door = match arguments.door.find() {
        Ok(door) => door,
        Err(exit) => return exit,
    };
    let chosen = arguments.user.clone().map_or(Chosen::All, Chosen::User);
    let answer = door.get(&format!("/sessions{chosen}"));
    let answer = answer.and_then(|answer| Ok((answer.document::<SessionList>()?, answer)));
    let (list, answer) = match answer {
        Ok(answered) => answered,
        Err(why) => return door.tell(&why),
    };
    if arguments.json {
        print(&answer.text());
    } else {
        print(&table(&list.sessions));
    }
    if list.is_incomplete {
        say::warning("a worker did not answer in time: its sessions are missing");
    }
    Exit::Success
}

fn table(sessions: &[Session]) -> String {
    const HEADINGS: [&str; 11] = [
        "NUMBER",
        "USER",
        "BY",
        "ADDRESS",
        "SINCE",
        "IDLE",
        "REQUESTS",
        "REFUSED",
        "WAITS IN",
        "REDIS ID",
        "CERTIFICATE",
    ];
    let mut rows = vec![HEADINGS.map(str::to_owned)];
    rows.extend(sessions.iter().map(row));
    aligned(&rows)
}

fn row(session: &Session) -> [String; 11] {
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let certificate = session.certificate.as_ref().map(|shown| format!("{} serial {}", shown.subject, shown.serial));
    let waits_in = match &session.command {
        Some(command) => format!("{} {command}", session.waits_in),
        None => session.waits_in.clone(),
    };
    [
        session.number.to_string(),
        or_none(&session.user),
        or_none(&session.proof),
        session.address.clone(),
        session.since.clone(),
        format!("{}s", session.idle_seconds),
        session.requests.to_string(),
        session.refused.to_string(),
        waits_in,
        or_none(&session.upstream_id.map(|id| id.to_string())),
        or_none(&certificate),
    ]
}
