//! The running proxy: what is started, and what it does until it is told to stop.

use std::cell::RefCell;
use std::future::pending;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{Interval, MissedTickBehavior};
use tracing::{info, warn};

use super::acceptor::Acceptor;
use super::bounds::Bounds;
use super::door::{self, Proxy};
use super::enforce::Enforcer;
use super::error::RunError;
use super::health::Condition;
use super::history::{self, History};
use super::learning::LearnFile;
use super::logging::LogHandle;
use super::reload::{self, ReloadHistory, ReloadReport, Reloader, Reread, Start};
use super::scrape::{Scraper, Sources};
use super::signals::Signals;
use super::{capacity, drain, expiry, heartbeat, service_manager, workers};
use crate::audit::AuditLog;
use crate::audit::client_events::ClientEvents;
use crate::audit::events::ReloadCause;
use crate::auth::pool::{AuthPool, PoolSettings};
use crate::config::{AuditTarget, Config};
use crate::files::Files;
use crate::generation::{self, Built, Kept, UpstreamKnowledge, Watch};
use crate::net::tunnel_listener::{self, TunnelSocket};
use crate::net::{Applications, InheritedSockets, listener};
use crate::upstream::probe::{self, ProbeResult, ServerInfo};
use crate::upstream::{ConnectError, Target, Upstream};

/// How long what was learnt last may take to be written at the end.
const LAST_LEARNT: Duration = Duration::from_secs(2);

/// Runs the proxy until it is told to stop and all is drained. `files` is what the configuration was read from,
/// `reread` reads the configuration again, for reloads. Every one of the `inherited` sockets has to be some listener's.
///
/// # Errors
/// Nothing was started, or everything has been stopped again.
pub fn run(
    config: Config,
    files: Files,
    inherited: InheritedSockets,
    reread: Reread,
    log: &LogHandle,
) -> Result<(), RunError> {
    // Before anything fails for want of descriptors in words of its own.
    let bounds = Bounds::new(&config).map_err(RunError::Descriptors)?;
    let audit = AuditLog::start(&config.audit, config.strict_permissions)
        .map_err(|error| RunError::Audit(config.audit.target.clone().unwrap_or(AuditTarget::StandardOutput), error))?;
    let learn_file = config
        .learn_file
        .as_deref()
        .map(|path| LearnFile::open(path).map_err(|error| RunError::LearnFile(path.to_owned(), error)));
    let records = Records { audit: Arc::new(audit), learn_file: learn_file.transpose()? };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(RunError::System)?;
    let ended = LocalSet::new().block_on(&runtime, serve(config, files, inherited, bounds, records, reread, log));
    runtime.shutdown_background();
    ended
}

/// What is kept beside the log.
struct Records {
    audit: Arc<AuditLog>,
    learn_file: Option<LearnFile>,
}

async fn serve(
    config: Config,
    files: Files,
    inherited: InheritedSockets,
    bounds: Bounds,
    records: Records,
    reread: Reread,
    log: &LogHandle,
) -> Result<(), RunError> {
    let Records { audit, learn_file } = records;
    // Whoever sees it listen may send it signals, which would end it as long as nobody listens for them.
    let mut signals = Signals::new().map_err(RunError::System)?;
    // Before anything is loaded: a client that comes in between is better kept waiting than refused.
    let acceptor = Acceptor::start().map_err(RunError::System)?;
    let Sockets { listeners, tunnels } = listen(&config, inherited, &acceptor)?;
    let target = Target::from(&config);
    let (built, server) = tokio::select! {
        biased;
        built = first_generation(&config, &files, &target) => built?,
        () = signals.end.asked_for() => return Ok(()),
    };
    let watch = Watch::new(config.watched_files(), &files);
    let start_secrets = Arc::new(files.into_start());
    let logged = reload::log_findings(&built, &[]);
    let first = built.generation;
    capacity::tell(&config);
    let pool = Arc::new(AuthPool::start(PoolSettings::default()).map_err(RunError::System)?);
    let generation = Arc::new(ArcSwap::from_pointee(first));
    let upstream = Arc::new(Upstream::new(target).map_err(RunError::System)?);
    let (edits, mut edited) = mpsc::unbounded_channel();
    let events = Arc::new(ClientEvents::new(Arc::clone(&audit)));
    audit.service_started();
    let shared = workers::Shared {
        generation: Arc::clone(&generation),
        upstream: Arc::clone(&upstream),
        pool: Arc::clone(&pool),
        edits,
        events: Arc::clone(&events),
        learns: learn_file.as_ref().map(LearnFile::evidence),
    };
    let (mailboxes, threads) = workers::start(&config, &bounds, &shared).map_err(RunError::System)?;
    let (last_learnt, last) = mpsc::channel(1);
    let keeping = learn_file.map(|file| spawn_local(file.keep(mailboxes.clone(), last)));
    let condition = Rc::new(Condition::default());
    spawn_local(tell_sums(Arc::clone(&events), Rc::clone(&condition)));
    let heartbeats = spawn_local(heartbeat::watch(mailboxes.clone(), Rc::clone(&condition)));
    let expiries = spawn_local(expiry::watch(Arc::clone(&generation)));
    let history = Rc::new(RefCell::new(ReloadHistory::default()));
    let (reload, mut asked) = mpsc::unbounded_channel();
    let started = SystemTime::now();
    let scraper = Scraper::new(Sources {
        started,
        listeners: addresses(&listeners, config.listeners.len()).map_err(RunError::System)?,
        tunnels: config.tunnels.iter().map(|tunnel| tunnel.listen.to_string()).collect(),
        workers: mailboxes.clone(),
        events: Arc::clone(&events),
        budget: Arc::clone(&bounds.budget),
        upstream: Arc::clone(&upstream),
        generation: Arc::clone(&generation),
        reloads: Rc::clone(&history),
        log: log.lines().clone(),
        audit: Arc::clone(&audit),
    });
    let proxy = Rc::new(Proxy {
        started,
        condition: Rc::clone(&condition),
        generation: Arc::clone(&generation),
        reloads: Rc::clone(&history),
        workers: mailboxes.clone(),
        reload,
        events: Arc::clone(&events),
        scraper,
        history: RefCell::new(History::new(Instant::now().into())),
    });
    if let Some(address) = &config.admin_listen {
        door::open_admin(address, config.admin_socket_group, &proxy);
        spawn_local(history::keep(Rc::clone(&proxy)));
    }
    let metrics = config
        .metrics
        .as_ref()
        .map(|metrics| door::open_metrics(metrics, &proxy).map_err(|error| RunError::Bind(metrics.address, error)));
    let metrics = metrics.transpose()?;
    let (findings, mut found) = mpsc::unbounded_channel();
    if config.listeners.is_empty() {
        condition.note_no_need_of_upstream();
    } else {
        let findings = findings.clone();
        spawn_local(probe::watch(Arc::clone(&upstream), move |finding| {
            // The receiver lives as long as the process serves.
            let _ = findings.send(finding);
        }));
    }
    let mut acceptors = Vec::new();
    for (number, socket) in listeners {
        let address = socket.local_addr().map_err(RunError::System)?;
        let tls = config.listeners.get(number).is_some_and(|listener| listener.tls.is_some());
        info!(%address, tls, "listening");
        let accept = listener::accept(
            socket,
            number,
            Arc::clone(&generation),
            Arc::clone(&bounds.gate),
            mailboxes.clone(),
            Arc::clone(&events),
        );
        acceptors.push(acceptor.spawn(accept));
    }
    let applications: Vec<Arc<Applications>> = config.tunnels.iter().map(|_| Arc::default()).collect();
    for (number, socket) in tunnels {
        let Some(applications) = applications.get(number) else { continue };
        let address = socket.address().map_err(RunError::System)?;
        info!(address, tunnel = true, "listening");
        let accept = tunnel_listener::accept(
            socket,
            number,
            Arc::clone(&generation),
            Arc::clone(applications),
            mailboxes.clone(),
            Arc::clone(&events),
        );
        acceptors.push(acceptor.spawn(accept));
    }

    let start = Start { config, watch, start_secrets, server, logged, history, audit: Arc::clone(&audit) };
    let enforcer = Enforcer::new(generation, mailboxes.clone(), Arc::clone(&upstream), bounds, log.control());
    let mut reloader = Reloader::new(start, reread, enforcer);
    let mut poll = every(reloader.config().reload_interval);
    let mut seconds = every(Duration::from_secs(1));
    service_manager::ready();
    // When nobody is accepted any more.
    let mut closes_at = None;
    // Who has asked for a reload and has to be told what it has come to.
    let mut askers: Vec<oneshot::Sender<ReloadReport>> = Vec::new();
    let mut was_asked = false;
    let is_cut_short = loop {
        let is_asked = reloader.is_asked();
        if std::mem::replace(&mut was_asked, is_asked) && !is_asked {
            service_manager::ready();
        }
        if let Some(report) = reloader.take_report() {
            // Whoever asked may be gone.
            askers.drain(..).for_each(|asker| drop(asker.send(report.clone())));
        }
        tokio::select! {
            // `findings` is held here.
            Some(finding) = found.recv() => {
                take_finding(finding, &upstream, &mut reloader, &condition).await;
            }
            // The password may have been changed, here as well as there.
            () = upstream.login_refused.notified(), if !reloader.is_reading() => reloader.look_at_files().await,
            _ = poll.tick(), if !reloader.is_reading() => reloader.look_at_files().await,
            found = reloader.found() => reloader.take(found).await,
            _ = seconds.tick() => reloader.end_shadows().await,
            // `shared` is held here, so there is always somebody who may send.
            Some(edit) = edited.recv() => reloader.edit(edit).await,
            // Each begins to read once the one before has been done.
            _ = signals.reload.recv(), if !reloader.is_asked() => {
                service_manager::reloading();
                reloader.ask(ReloadCause::Signal);
            }
            // `proxy` is held here.
            Some(asker) = asked.recv(), if !reloader.is_asked() => {
                askers.push(asker);
                service_manager::reloading();
                reloader.ask(ReloadCause::Request);
            }
            _ = signals.reopen.recv() => {
                log.control().reopen();
                audit.reopen();
            }
            () = signals.end.asked_for() => {
                // A second signal ends it at once.
                if closes_at.is_some() {
                    break true;
                }
                service_manager::stopping();
                condition.note_draining();
                closes_at = Some(Instant::now() + reloader.config().limits.shutdown_delay);
            }
            () = reached(closes_at) => break false,
        }
        if poll.period() != reloader.config().reload_interval {
            poll = every(reloader.config().reload_interval);
        }
    };
    if let Some(keeping) = keeping.filter(|_| !is_cut_short) {
        // It is asked once, and has room for that.
        let _ = last_learnt.try_send(());
        let _ = tokio::time::timeout(LAST_LEARNT, keeping).await;
    }
    heartbeats.abort();
    expiries.abort();
    spawn_local(heartbeat::ping());
    // Sessions that wait for an edit are told that there will be none, and so is who waits for a reload.
    drop((edited, asked, askers));
    acceptors.iter().chain(&metrics).for_each(tokio::task::JoinHandle::abort);
    for accepting in acceptors {
        // Its socket is closed by then, and removed where it was made.
        let _ = accepting.await;
    }
    let deadline = Instant::now() + reloader.config().limits.shutdown_timeout;
    tokio::select! {
        () = drain::end(&upstream, &mailboxes, threads, deadline), if !is_cut_short => {}
        // A second signal ends it at once.
        () = signals.end.asked_for(), if !is_cut_short => {}
        else => {}
    }
    events.tell_last_sums();
    audit.service_stopped();
    audit.close();
    info!(hashes_computed = pool.computations(), "stopped");
    Ok(())
}

/// What is accepted on, each with the number of its listener or tunnel.
struct Sockets {
    listeners: Vec<(usize, TcpListener)>,
    tunnels: Vec<(usize, TunnelSocket)>,
}

/// Every socket of every listener and tunnel.
fn listen(config: &Config, mut inherited: InheritedSockets, acceptor: &Acceptor) -> Result<Sockets, RunError> {
    let _entered = acceptor.enter();
    let mut listeners = Vec::new();
    for (number, settings) in config.listeners.iter().enumerate() {
        let sockets = listener::open(&settings.address, &mut inherited)?;
        listeners.extend(sockets.into_iter().map(|socket| (number, socket)));
    }
    let mut tunnels = Vec::new();
    for (number, settings) in config.tunnels.iter().enumerate() {
        let sockets = tunnel_listener::open(settings, &mut inherited)?;
        tunnels.extend(sockets.into_iter().map(|socket| (number, socket)));
    }
    inherited.all_claimed().map_err(RunError::Inherited)?;
    Ok(Sockets { listeners, tunnels })
}

/// The addresses of each of so many listeners.
fn addresses(sockets: &[(usize, TcpListener)], listeners: usize) -> io::Result<Vec<String>> {
    let mut addresses = vec![Vec::new(); listeners];
    for (number, socket) in sockets {
        addresses[*number].push(socket.local_addr()?.to_string());
    }
    Ok(addresses.into_iter().map(|addresses| addresses.join(" ")).collect())
}

/// What decides from the start, with what Redis is if it has to be there.
async fn first_generation(
    config: &Config,
    files: &Files,
    target: &Target,
) -> Result<(Built, Option<ServerInfo>), RunError> {
    let build = |heard| generation::build(config, files, heard, Kept::default()).map_err(RunError::Load);
    if !config.require_upstream {
        return Ok((build(UpstreamKnowledge::NotYetKnown)?, None));
    }
    match probe::once(target).await {
        Ok(server) => Ok((build(UpstreamKnowledge::Known(&server))?, Some(server))),
        Err(error) => {
            // What is wrong without it comes first.
            build(UpstreamKnowledge::NotYetKnown)?;
            Err(RunError::Upstream(config.upstream.address.clone(), error))
        }
    }
}

/// What was found out about Redis takes effect.
async fn take_finding(finding: ProbeResult, upstream: &Upstream, reloader: &mut Reloader, condition: &Condition) {
    match finding {
        ProbeResult::Up(server) => {
            info!(server = server.server, version = server.full_version, "upstream is there");
            upstream.refuses_us.store(false, Ordering::Relaxed);
            upstream.stuck.store(false, Ordering::Relaxed);
            reloader.learn(*server).await;
            condition.note_upstream(true);
        }
        ProbeResult::Down(error) => {
            let refuses_us = matches!(error, ConnectError::Refused(_)) && !error.is_passing();
            upstream.refuses_us.store(refuses_us, Ordering::Relaxed);
            upstream.stuck.store(matches!(error, ConnectError::Timeout), Ordering::Relaxed);
            let address = &reloader.config().upstream.address;
            warn!(%address, %error, "upstream is not there");
            condition.note_no_upstream(&error);
        }
        ProbeResult::Loading(is_loading) => condition.note_loading(is_loading),
        ProbeResult::FormerLogin => {
            warn!("the upstream refuses the login that is configured: the one before is used, which it still knows");
        }
    }
}

/// Ends at this time, if there is one.
async fn reached(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time.into()).await,
        None => pending().await,
    }
}

/// Ticks, the first of them at once.
fn every(period: Duration) -> Interval {
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Tells for ever what was summed in each second, and whether requests wait for the audit log.
async fn tell_sums(events: Arc<ClientEvents>, condition: Rc<Condition>) {
    let mut poll = every(Duration::from_millis(250));
    loop {
        poll.tick().await;
        events.tell_sums();
        condition.note_audit(events.audit().is_blocking());
    }
}
