//! Measures how fast a revoked certificate loses its live sessions. See the README beside this file.

#![allow(clippy::print_stdout, reason = "a measurement tells its figures")]
#![allow(clippy::unwrap_used, reason = "a measurement that cannot go on ends")]

mod pki;
mod servers;
mod sessions;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use tokio::task::LocalSet;
use tokio::time::sleep;

use self::pki::Pki;
use self::servers::Servers;
use self::sessions::{Bystander, Pending, Session};

#[derive(Parser)]
struct Options {
    /// The program to measure
    #[arg(long, value_name = "FILE")]
    respgate: PathBuf,
    /// Live sessions, each with its own certificate; every second one is idle
    #[arg(long, default_value_t = 5000)]
    sessions: usize,
    /// How many of their certificates the list names
    #[arg(long, default_value_t = 2500)]
    revoke: usize,
    /// Clients in the middle of their handshake at the swap; every second one is revoked
    #[arg(long, default_value_t = 20)]
    handshakes: usize,
    /// How often it is all done
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Milliseconds between two PINGs of a busy session
    #[arg(long, value_name = "MS", default_value_t = 500)]
    pace: u64,
}

/// What one run found.
struct Figures {
    last_end: Duration,
    quiet: Vec<Duration>,
    during: Vec<Duration>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    // respgate refuses files that others can change.
    rustix::process::umask(rustix::fs::Mode::WGRP | rustix::fs::Mode::WOTH);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    match LocalSet::new().block_on(&runtime, measure(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(what) => {
            println!("FAILED: {what}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(options: &Options) -> Result<(), String> {
    let count = options.sessions + options.handshakes + 1;
    let pki = Pki::make(count);
    println!("{count} client certificates made");
    let servers = Servers::start(&options.respgate, &pki, count + 64);
    let mut all = Vec::new();
    for number in 1..=options.runs {
        let figures = run(options, &pki, &servers).await?;
        let [quiet, during] = [&figures.quiet, &figures.during].map(|latencies| percentile(latencies, 99));
        println!(
            "run {number}: last of {} revoked sessions ended {:.0} ms after rename(); no other did; \
             bystander p99 {:.2} ms before, {:.2} ms during",
            options.revoke,
            milliseconds(figures.last_end),
            milliseconds(quiet),
            milliseconds(during),
        );
        all.push(figures.last_end);
    }
    all.sort();
    println!("median of {}: {:.0} ms", all.len(), milliseconds(all[all.len() / 2]));
    Ok(())
}

async fn run(options: &Options, pki: &Pki, servers: &Servers) -> Result<Figures, String> {
    pki.swap_crl(&[]);
    sleep(Duration::from_secs(2)).await;
    let connect = |index: usize| pki.connector(index, servers.address());
    let pace = Duration::from_millis(options.pace);
    // Idle and busy ones alternate in pairs, so that each kind has revoked ones.
    let paces = (0..options.sessions).map(|index| (index / 2 % 2 == 1).then_some(pace));
    let sessions = Session::open_all(paces.enumerate().map(|(index, pace)| (connect(index), pace))).await;
    let revoked = |index: usize| index.is_multiple_of(2) && index / 2 < options.revoke;
    let bystander = Bystander::begin(connect(options.sessions + options.handshakes));
    let mut pending = Vec::new();
    for index in options.sessions..options.sessions + options.handshakes {
        pending.push((index.is_multiple_of(2), Pending::begin(&connect(index)).await));
    }
    sleep(Duration::from_secs(1)).await;
    let quiet = bystander.take();

    let list: Vec<usize> = (0..options.sessions)
        .filter(|index| revoked(*index))
        .chain((options.sessions..options.sessions + options.handshakes).filter(|index| index.is_multiple_of(2)))
        .collect();
    let swapped = pki.swap_crl(&list);
    let condemned: Vec<&Session> =
        (0..options.sessions).filter(|index| revoked(*index)).map(|i| &sessions[i]).collect();
    until(|| condemned.iter().any(|session| session.ended().is_some())).await?;
    for (is_revoked, pending) in pending {
        if pending.answers().await == is_revoked {
            return Err(format!("a handshake in flight was judged wrongly (revoked: {is_revoked})"));
        }
    }
    until(|| condemned.iter().all(|session| session.ended().is_some())).await?;
    let during = bystander.take();
    let last_end = condemned.iter().filter_map(|session| session.ended()).max().unwrap_or(swapped) - swapped;

    sleep(Duration::from_secs(1)).await;
    for (index, session) in sessions.into_iter().enumerate() {
        if !revoked(index) && !session.still_answers().await {
            return Err(format!("session {index} ended and was not revoked"));
        }
    }
    Ok(Figures { last_end, quiet, during })
}

/// Waits for something that has to come within 10 s.
async fn until(mut condition: impl FnMut() -> bool) -> Result<(), String> {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        if Instant::now() > deadline {
            return Err("a revoked session lives on".to_owned());
        }
        sleep(Duration::from_millis(2)).await;
    }
    Ok(())
}

fn percentile(latencies: &[Duration], percent: usize) -> Duration {
    let mut sorted = latencies.to_vec();
    sorted.sort();
    sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
