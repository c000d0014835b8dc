//! The events of the log that clients cause, as often as they like: each has a line, or is summed with others of its
//! kind. One schema, words of [`words`] as reasons, and never a value or a password.

use std::fmt::Display;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tracing::level_filters::LevelFilter;
use tracing::{Level, debug, error, info, warn};

use super::AuditLog;
use super::limit::{Key, Limit, Sums};
use super::record::{Record, beginning};
use super::refusals::{Refusal, Refusals};
use super::words::{self, AddressRefusal, Event, Exhausted};
use crate::acl::{Acl, UserName};
use crate::identity::{Fingerprint, PeerIdentity, x509};
use crate::metrics::EventCounts;
use crate::policy::{Principal, Proof, UserRefusal};
use crate::session::{CloseReason, Peer, Report, SessionCore};
use crate::tls::handshake::HandshakeError;
use crate::upstream::ConnectError;

/// Who tells of them, for all threads.
#[derive(Debug, Default)]
pub struct ClientEvents {
    /// Locked for one look-up an event.
    limit: Mutex<Limit>,
    /// How often they happen, whether anybody is told of them or not.
    counts: EventCounts,
    /// Locked where something is refused, and while somebody looks.
    refusals: Mutex<Refusals>,
    audit: Arc<AuditLog>,
}

impl ClientEvents {
    /// Those that tell this audit log, too.
    pub fn new(audit: Arc<AuditLog>) -> ClientEvents {
        ClientEvents { audit, ..ClientEvents::default() }
    }

    /// How often what happens.
    pub fn counts(&self) -> &EventCounts {
        &self.counts
    }

    /// What was refused of late, the latest first.
    pub fn refusals(&self) -> Vec<Refusal> {
        self.noted().latest()
    }

    /// How often something was since the start.
    pub fn refusals_in_all(&self) -> u64 {
        self.noted().in_all()
    }

    /// Tells what was summed in a second that is over. To be called several times a second.
    pub fn tell_sums(&self) {
        self.audit.put_sums();
        let sums = self.limit().end_second(Instant::now());
        if let Some(sums) = sums {
            tell(&sums);
        }
    }

    /// Tells what was summed so far.
    pub fn tell_last_sums(&self) {
        self.audit.put_last_sums();
        let sums = self.limit().end();
        tell(&sums);
    }

    /// A client did not get through its handshake. It may have shown a certificate, DER, which nobody vouches for: it is
    /// read for this line only.
    pub fn handshake_failed(&self, client: SocketAddr, error: &HandshakeError, shown: Option<&[u8]>) {
        if *error == HandshakeError::Silent {
            return self.probed(client);
        }
        let reason = words::handshake(*error);
        self.counts.handshake_failed(reason);
        let key = Key::new(Event::HandshakeFailed).from(client.ip()).because(reason);
        self.audit.put_of_client(&key, 1, |record| record.client(client).shown_certificate(shown));
        self.note(&key, client, 1, |refusal| refusal.with_leaf(shown));
        if self.admits(key) {
            let certificate = shown.and_then(|leaf| x509::Certificate::parse(leaf).ok());
            info!(
                event = words::event(Event::HandshakeFailed),
                outcome = words::outcome(Event::HandshakeFailed),
                %client,
                subject = certificate.as_ref().map(|certificate| certificate.subject.display()),
                serial = certificate.as_ref().map(|certificate| beginning(&certificate.serial)),
                fingerprint = shown.map(|leaf| tracing::field::display(Fingerprint::of(leaf))),
                reason,
                %error,
                count = 1,
                "handshake failed"
            );
        }
    }

    /// A client came and went without a word, as port scans and health checks do.
    pub fn probed(&self, client: SocketAddr) {
        let reason = words::handshake(HandshakeError::Silent);
        self.counts.handshake_failed(reason);
        if self.admits(Key::new(Event::Probe).from(client.ip()).because(reason)) {
            debug!(
                event = words::event(Event::Probe),
                outcome = words::outcome(Event::Probe),
                %client,
                reason,
                count = 1,
                "nothing came"
            );
        }
    }

    /// A balancer did not say in the PROXY protocol whom it speaks for.
    pub fn announcement_refused(&self, balancer: SocketAddr, error: &dyn Display) {
        let (client, reason) = (balancer, words::PROXY_HEADER);
        self.counts.handshake_failed(reason);
        let key = Key::new(Event::HandshakeFailed).from(client.ip()).because(reason);
        self.audit.put_of_client(&key, 1, |record| record.client(client));
        self.note(&key, client, 1, |refusal| refusal);
        if self.admits(key) {
            info!(
                event = words::event(Event::HandshakeFailed),
                outcome = words::outcome(Event::HandshakeFailed),
                %client,
                reason,
                %error,
                count = 1,
                "no usable PROXY protocol header"
            );
        }
    }

    /// Nobody may connect from this address, whoever announced it.
    pub fn refused_address(&self, client: SocketAddr, balancer: Option<SocketAddr>, refusal: AddressRefusal) {
        let reason = words::address(refusal);
        self.counts.connection_refused(reason);
        let key = Key::new(Event::ConnectionRefused).from(client.ip()).because(reason);
        self.audit.put_of_client(&key, 1, |record| {
            record.client(client).with("balancer", balancer.map(|balancer| balancer.to_string()))
        });
        self.note(&key, client, 1, |refusal| refusal);
        if self.admits(key) {
            let balancer = balancer.map(tracing::field::display);
            info!(
                event = words::event(Event::ConnectionRefused),
                outcome = words::outcome(Event::ConnectionRefused),
                %client,
                balancer,
                reason,
                count = 1,
                "address not allowed"
            );
        }
    }

    /// There is no place for a client, who may have shown a certificate.
    pub fn turned_away(&self, client: SocketAddr, certificate: Option<&PeerIdentity>, exhausted: Exhausted) {
        self.refused(client, certificate, words::exhausted(exhausted), "turned away");
    }

    /// A client with a trusted certificate is nobody here.
    pub fn refused_connection(&self, peer: &Peer, refusal: UserRefusal) {
        self.counts.logins(words::method(Proof::Certificate), words::outcome(Event::LoginRefused), 1);
        self.refused(peer.address, peer.certificate.as_deref(), words::user(refusal), "connection refused");
    }

    fn refused(&self, client: SocketAddr, certificate: Option<&PeerIdentity>, reason: &'static str, message: &str) {
        self.counts.connection_refused(reason);
        let key = Key::new(Event::ConnectionRefused).from(client.ip()).because(reason);
        self.audit.put_of_client(&key, 1, |record| record.client(client).certificate(certificate));
        self.note(&key, client, 1, |refusal| refusal.with(certificate));
        if self.admits(key) {
            let certificate = certificate.map(CertificateFields::new).unwrap_or_default();
            info!(
                event = words::event(Event::ConnectionRefused),
                outcome = words::outcome(Event::ConnectionRefused),
                %client,
                subject = certificate.subject,
                serial = certificate.serial,
                fingerprint = certificate.fingerprint,
                reason,
                count = 1,
                "{message}"
            );
        }
    }

    /// A client is connected, as a user or as nobody yet, in the session of this number.
    pub fn connected(&self, number: u64, peer: &Peer, principal: Option<&Principal>) {
        let user = name_of(principal);
        if let Some(principal) = principal {
            self.counts.logins(words::method(principal.proof), words::outcome(Event::LoginAccepted), 1);
            self.counts.logged_in(principal.user.name(), SystemTime::now());
        }
        let key = Key::new(Event::ConnectionAccepted).from(peer.address.ip()).by(user);
        self.audit.put_of_client(&key, 1, |record| of_session(record, number, peer, user, principal));
        if self.admits(key) {
            let certificate = CertificateFields::of(peer);
            info!(
                event = words::event(Event::ConnectionAccepted),
                outcome = words::outcome(Event::ConnectionAccepted),
                client = %peer.address,
                user = user.map_or("", UserName::as_str),
                subject = certificate.subject,
                serial = certificate.serial,
                fingerprint = certificate.fingerprint,
                count = 1,
                "connected"
            );
        }
    }

    /// The session of this number has ended: the one line that says who, from where, why, how long and how much.
    pub fn closed(&self, number: u64, core: &SessionCore, volume: Volume, reason: CloseReason, lasted: Duration) {
        let (peer, user, traffic) = (core.peer(), name_of(core.principal()), core.traffic());
        let (reason, fault) = (words::close(reason), reason.fault());
        self.counts.closed(reason, words::side(fault));
        let key = Key::new(Event::Close).from(peer.address.ip()).by(user).because(reason);
        self.audit.put_of_client(&key, 1, |record| {
            of_session(record, number, peer, user, core.principal())
                .with("side", words::side(fault))
                .with("seconds", lasted.as_secs_f64())
                .with("received", volume.received)
                .with("sent", volume.sent)
                .with("requests", traffic.requests())
                .with("refused", traffic.refused)
        });
        if self.admits(key) {
            let certificate = CertificateFields::of(peer);
            info!(
                event = words::event(Event::Close),
                client = %peer.address,
                user = user.map_or("", UserName::as_str),
                subject = certificate.subject,
                serial = certificate.serial,
                fingerprint = certificate.fingerprint,
                reason,
                side = words::side(fault),
                seconds = lasted.as_secs_f64(),
                received = volume.received,
                sent = volume.sent,
                requests = traffic.requests(),
                refused = traffic.all_refused(),
                count = 1,
                "closed"
            );
        }
    }

    /// What the session of this number has had to tell: logins, refusals. Names that are no user's in `acl` are told, but not
    /// told apart: whoever makes them up could have as many as he likes.
    pub fn reports(&self, number: u64, core: &SessionCore, reports: &[(Report, u64)], acl: &Acl) {
        let client = core.peer().address;
        let session_user = name_of(core.principal());
        let audit = |key: &Key, count, login_user: &str| {
            self.audit.put_of_client(key, count, |record| {
                of_session(record, number, core.peer(), session_user, core.principal()).with("login_user", login_user)
            });
        };
        let user_named = |name: &str| acl.user(name.as_bytes()).map(|user| user.name());
        let key = |event, user| Key::new(event).from(client.ip()).by(user);
        let user = session_user.map_or("", UserName::as_str);
        for (report, count) in reports {
            let count = *count;
            match report {
                Report::LoggedIn { user } => {
                    self.count_logins(words::outcome(Event::LoginAccepted), count);
                    if let Some(user) = user_named(user) {
                        self.counts.logged_in(user, SystemTime::now());
                    }
                    let key = key(Event::LoginAccepted, user_named(user));
                    audit(&key, count, user);
                    if self.admits_of(key, count) {
                        info!(
                            event = words::event(Event::LoginAccepted),
                            outcome = words::outcome(Event::LoginAccepted),
                            %client,
                            user,
                            count = 1,
                            "login"
                        );
                    }
                }
                Report::LoginFailed { user, reason } => {
                    self.count_logins(words::login_result(*reason), count);
                    let reason = words::login(*reason);
                    let key = key(Event::LoginFailed, user_named(user)).because(reason);
                    audit(&key, count, user);
                    self.note(&key, client, count, |refusal| refusal.as_user(user));
                    if self.admits_of(key, count) {
                        info!(
                            event = words::event(Event::LoginFailed),
                            outcome = words::outcome(Event::LoginFailed),
                            %client,
                            user,
                            reason,
                            count = 1,
                            "login failed"
                        );
                    }
                }
                Report::StrayAuth { attempted, is_ignored } => {
                    let event = if *is_ignored { Event::LoginIgnored } else { Event::LoginRefused };
                    self.count_logins(words::outcome(event), count);
                    let key = key(event, session_user);
                    audit(&key, count, attempted);
                    if !is_ignored {
                        self.note(&key, client, count, |refusal| refusal.as_user(attempted));
                    }
                    if self.admits_of(key, count) {
                        info!(
                            event = words::event(event),
                            outcome = words::outcome(event),
                            %client,
                            user,
                            attempted,
                            count = 1,
                            "a password where the certificate says who it is"
                        );
                    }
                }
                Report::Refused { is_told: false, .. } => {}
                Report::Refused { reason, command, user, .. } => {
                    let reason = words::refusal(*reason);
                    let command = words::command(command);
                    let key = key(Event::RequestRefused, user.as_ref()).because(reason).about(command);
                    let principal = core.principal();
                    self.audit.put_of_client(&key, count, |record| {
                        of_session(record, number, core.peer(), user.as_ref(), principal)
                    });
                    self.note(&key, client, count, |refusal| refusal);
                    if self.admits_of(key, count) {
                        let user = user.as_ref().map_or("", UserName::as_str);
                        info!(
                            event = words::event(Event::RequestRefused),
                            %client,
                            user,
                            command,
                            reason,
                            count = 1,
                            "request refused"
                        );
                    }
                }
            }
        }
    }

    /// Scripts of this user are refused: Redis does not let us make the user that they would run as.
    pub fn no_mirror(&self, user: &str, error: &ConnectError) {
        if self.admits(Key::new(Event::MirrorFailed).by(UserName::new(user.as_bytes()).as_ref())) {
            warn!(
                event = words::event(Event::MirrorFailed),
                outcome = words::outcome(Event::MirrorFailed),
                user,
                %error,
                count = 1,
                "no user for scripts at the upstream"
            );
        }
    }

    /// The system lets no connection be accepted: most likely there are no file descriptors left.
    pub fn accept_failed(&self, error: &io::Error) {
        if self.admits(Key::new(Event::AcceptFailed)) {
            error!(
                event = words::event(Event::AcceptFailed),
                outcome = words::outcome(Event::AcceptFailed),
                %error,
                count = 1,
                "cannot accept connections; going on trying"
            );
        }
    }

    /// A session gets no connection to Redis.
    pub fn upstream_failed(&self, error: &ConnectError) {
        if self.admits(Key::new(Event::UpstreamFailed)) {
            warn!(
                event = words::event(Event::UpstreamFailed),
                outcome = words::outcome(Event::UpstreamFailed),
                %error,
                count = 1,
                "cannot connect to the upstream"
            );
        }
    }

    fn count_logins(&self, result: &'static str, count: u64) {
        self.counts.logins(words::method(Proof::Password), result, count);
    }

    fn admits(&self, key: Key) -> bool {
        self.admits_of(key, 1)
    }

    fn admits_of(&self, key: Key, count: u64) -> bool {
        level(key.event) <= LevelFilter::current() && self.limit().admit(key, count, Instant::now())
    }

    /// So many of one kind were refused.
    fn note(&self, key: &Key, client: SocketAddr, count: u64, detail: impl FnOnce(Refusal) -> Refusal) {
        let refusal = detail(Refusal::new(key.clone(), client, count, SystemTime::now()));
        self.noted().note(refusal);
    }

    fn noted(&self) -> MutexGuard<'_, Refusals> {
        // Nothing panics while it is held.
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn limit(&self) -> MutexGuard<'_, Limit> {
        // Nothing panics while it is held.
        self.limit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn level(event: Event) -> Level {
    match event {
        Event::Probe => Level::DEBUG,
        Event::AcceptFailed => Level::ERROR,
        Event::MirrorFailed | Event::UpstreamFailed => Level::WARN,
        _ => Level::INFO,
    }
}

fn tell(sums: &Sums) {
    for (key, count) in &sums.by_key {
        tell_sum(key, *count);
    }
    if sums.others > 0 {
        info!(event = "others", count = sums.others, "events of more kinds than are told apart");
    }
}

fn tell_sum(key: &Key, count: u64) {
    macro_rules! tell {
        ($level:ident) => {
            $level!(
                event = words::event(key.event),
                outcome = Some(words::outcome(key.event)).filter(|outcome| !outcome.is_empty()),
                network = key.network.map(tracing::field::display),
                user = key.user.as_ref().map(UserName::as_str),
                command = key.command.as_deref(),
                reason = Some(key.reason).filter(|reason| !reason.is_empty()),
                count,
                "more of the same"
            )
        };
    }
    match level(key.event) {
        Level::ERROR => tell!(error),
        Level::WARN => tell!(warn),
        Level::INFO => tell!(info),
        _ => tell!(debug),
    }
}

/// A record of what this user has done in a session. Who acts in it now may be another.
fn of_session(
    record: Record,
    number: u64,
    peer: &Peer,
    user: Option<&UserName>,
    principal: Option<&Principal>,
) -> Record {
    let proof = principal.filter(|principal| Some(principal.user.name()) == user).map(|principal| principal.proof);
    record
        .with("session", number)
        .user(user)
        .with("proof", proof.map(|proof| proof.to_string()))
        .client(peer.address)
        .certificate(peer.certificate.as_deref())
}

fn name_of(principal: Option<&Principal>) -> Option<&UserName> {
    principal.map(|principal| principal.user.name())
}

/// Bytes of one connection, decrypted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Volume {
    /// From the client.
    pub received: u64,
    /// To the client.
    pub sent: u64,
}

/// The certificate's words for the log, empty without one.
#[derive(Default)]
struct CertificateFields<'a> {
    subject: &'a str,
    serial: &'a str,
    fingerprint: String,
}

impl<'a> CertificateFields<'a> {
    fn of(peer: &'a Peer) -> Self {
        peer.certificate.as_deref().map(Self::new).unwrap_or_default()
    }

    fn new(identity: &'a PeerIdentity) -> Self {
        Self { subject: identity.subject(), serial: identity.serial(), fingerprint: identity.sha256().to_string() }
    }
}
