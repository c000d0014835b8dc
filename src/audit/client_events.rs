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
use super::limit::{Key, Limit, Sum, Sums};
use super::record::{Record, beginning};
use super::refusals::{Refusal, Refusals};
use super::words::{self, AddressRefusal, Event, Exhausted};
use crate::acl::UserName;
use crate::identity::{CertificateRefusal, Fingerprint, PeerIdentity, x509};
use crate::metrics::EventCounts;
use crate::policy::{Policy, Principal, Proof, RequestKeys, UserRefusal};
use crate::session::{CloseReason, Peer, Report, Traffic};
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

    /// The audit log that is told, too.
    pub fn audit(&self) -> &AuditLog {
        &self.audit
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
        let is_revoked = *error == HandshakeError::Certificate(CertificateRefusal::Revoked);
        let revoked =
            shown.filter(|_| is_revoked).and_then(|leaf| PeerIdentity::from_der(leaf, None).ok()).map(Arc::new);
        let key = Key::new(Event::HandshakeFailed).from(client.ip()).because(reason).with(revoked.as_ref());
        // Once, and no more of it than is told: whoever connects may have anybody read 64 KiB.
        let head = shown.and_then(|leaf| x509::Head::parse(leaf).ok());
        self.audit.put_of_client(&key, 1, |record| record.client(client).shown_certificate(shown, head.as_ref()));
        self.note(&key, client, 1, |refusal| refusal.with_shown(head.as_ref()));
        if self.admits(key) {
            info!(
                event = words::event(Event::HandshakeFailed),
                outcome = words::outcome(Event::HandshakeFailed),
                %client,
                subject = head.as_ref().map(|head| head.subject.display()),
                serial = head.as_ref().map(|head| beginning(&head.serial)),
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
    pub fn turned_away(&self, client: SocketAddr, certificate: Option<&Arc<PeerIdentity>>, exhausted: Exhausted) {
        self.refused(client, certificate, words::exhausted(exhausted), "turned away");
    }

    /// A client with a trusted certificate is nobody here.
    pub fn refused_connection(&self, peer: &Peer, refusal: UserRefusal) {
        self.counts.logins(words::method(Proof::Certificate), words::outcome(Event::LoginRefused), 1);
        self.refused(peer.address, peer.certificate.as_ref(), words::user(refusal), "connection refused");
    }

    fn refused(
        &self,
        client: SocketAddr,
        certificate: Option<&Arc<PeerIdentity>>,
        reason: &'static str,
        message: &str,
    ) {
        self.counts.connection_refused(reason);
        let key = Key::new(Event::ConnectionRefused).from(client.ip()).because(reason).with(certificate);
        let certificate = certificate.map(|certificate| &**certificate);
        self.audit.put_of_client(&key, 1, |record| record.client(client).certificate(certificate));
        self.note(&key, client, 1, |refusal| refusal.with(certificate));
        if self.admits(key) {
            let certificate = CertificateFields::of(certificate);
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

    /// A client is connected, as a user or as nobody yet.
    pub fn connected(&self, session: Session<'_>) {
        let (peer, user) = (session.peer, session.user());
        if let Some(principal) = session.principal {
            self.counts.logins(words::method(principal.proof), words::outcome(Event::LoginAccepted), 1);
            self.counts.logged_in(principal.user.name(), SystemTime::now());
        }
        let key = session.key(Event::ConnectionAccepted).by(user);
        self.audit.put_of_client(&key, 1, |record| session.describe(record, user));
        if self.admits(key) {
            let certificate = CertificateFields::of(peer.certificate.as_deref());
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

    /// A session has ended: the one line that says who, from where, why, how long and how much.
    pub fn closed(
        &self,
        session: Session<'_>,
        traffic: Traffic,
        volume: Volume,
        reason: CloseReason,
        lasted: Duration,
    ) {
        let (peer, user) = (session.peer, session.user());
        let (reason, fault) = (words::close(reason), reason.fault());
        self.counts.closed(reason, words::side(fault));
        let key = session.key(Event::Close).by(user).because(reason);
        self.audit.put_of_client(&key, 1, |record| {
            session
                .describe(record, user)
                .with("side", words::side(fault))
                .with("seconds", lasted.as_secs_f64())
                .with("received", volume.received)
                .with("sent", volume.sent)
                .with("requests", traffic.requests())
                .with("refused", traffic.refused)
        });
        if self.admits(key) {
            let certificate = CertificateFields::of(peer.certificate.as_deref());
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

    /// What a session has had to tell: logins, refusals, and what of the permitted is told. Names that are no user's of
    /// `policy` are told, but not told apart: whoever makes them up could have as many as he likes.
    pub fn reports(&self, session: Session<'_>, reports: &[(Report, u64)], policy: &Policy) {
        let client = session.peer.address;
        let session_user = session.user();
        let audit = |key: &Key, count, login_user: &str| {
            self.audit.put_of_client(key, count, |record| {
                session.describe(record, session_user).with("login_user", login_user)
            });
        };
        let audit_request = |key: &Key, count, user: Option<&UserName>, keys: &RequestKeys| {
            self.audit.put_request(key, count, keys, policy.audit.key_names(), |record| session.describe(record, user));
        };
        let user_named = |name: &str| policy.acl.user(name.as_bytes()).map(|user| user.name());
        let key = |event, user| session.key(event).by(user);
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
                Report::Permitted { command, user, keys } => {
                    let key = key(Event::RequestPermitted, user.as_ref()).about(command);
                    audit_request(&key, count, user.as_ref(), keys);
                    if self.admits_of(key, count) {
                        debug!(
                            event = words::event(Event::RequestPermitted),
                            outcome = words::outcome(Event::RequestPermitted),
                            %client,
                            user = user.as_ref().map_or("", UserName::as_str),
                            command,
                            count = 1,
                            "request permitted"
                        );
                    }
                }
                Report::WouldRefuse { reason, command, user, keys } => {
                    let reason = words::refusal(*reason);
                    let key = key(Event::RequestWouldRefuse, user.as_ref()).because(reason).about(command);
                    audit_request(&key, count, user.as_ref(), keys);
                    if self.admits_of(key, count) {
                        info!(
                            event = words::event(Event::RequestWouldRefuse),
                            outcome = words::outcome(Event::RequestWouldRefuse),
                            %client,
                            user = user.as_ref().map_or("", UserName::as_str),
                            command,
                            reason,
                            count = 1,
                            "request let through, which the rules of its user refuse: shadow"
                        );
                    }
                }
                Report::Refused { reason, command, user, keys, .. } => {
                    let reason = words::refusal(*reason);
                    let command = words::command(command);
                    let key = key(Event::RequestRefused, user.as_ref()).because(reason).about(command);
                    audit_request(&key, count, user.as_ref(), keys);
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

    pub(super) fn admits(&self, key: Key) -> bool {
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
        Event::Probe | Event::RequestPermitted => Level::DEBUG,
        Event::AcceptFailed => Level::ERROR,
        Event::MirrorFailed | Event::UpstreamFailed | Event::TunnelFailed | Event::TunnelRefused => Level::WARN,
        _ => Level::INFO,
    }
}

fn tell(sums: &Sums) {
    for (key, sum) in &sums.by_key {
        tell_sum(key, sum);
    }
    if sums.others > 0 {
        info!(event = "others", count = sums.others, "events of more kinds than are told apart");
    }
}

fn tell_sum(key: &Key, Sum { count, commands }: &Sum) {
    let commands = commands.iter().map(|command| &**command).collect::<Vec<_>>().join(" ");
    let certificate = key.certificate.as_ref().map(|certificate| CertificateFields::of(Some(&certificate.0)));
    let certificate = certificate.as_ref();
    macro_rules! tell {
        ($level:ident) => {
            $level!(
                event = words::event(key.event),
                outcome = Some(words::outcome(key.event)).filter(|outcome| !outcome.is_empty()),
                network = key.network.map(tracing::field::display),
                user = key.user.as_ref().map(UserName::as_str),
                subject = certificate.map(|certificate| certificate.subject),
                serial = certificate.map(|certificate| certificate.serial),
                fingerprint = certificate.map(|certificate| certificate.fingerprint.as_str()),
                command = key.command.as_deref(),
                commands = Some(commands.as_str()).filter(|commands| !commands.is_empty()),
                tunnel = key.tunnel.as_deref(),
                reason = Some(key.reason).filter(|reason| !reason.is_empty()),
                count = *count,
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

/// A session, as it is told of.
#[derive(Debug, Clone, Copy)]
pub struct Session<'a> {
    /// Counted from the start of the process.
    pub number: u64,
    /// Redis's number of its connection there, where that is known.
    pub upstream_id: Option<u64>,
    /// The client.
    pub peer: &'a Peer,
    /// Whom it acts for.
    pub principal: Option<&'a Principal>,
}

impl<'a> Session<'a> {
    fn user(&self) -> Option<&'a UserName> {
        self.principal.map(|principal| principal.user.name())
    }

    fn key(&self, event: Event) -> Key {
        Key::new(event).from(self.peer.address.ip()).with(self.peer.certificate.as_ref())
    }

    /// A record of what this user has done in it. Who acts in it now may be another.
    fn describe(&self, record: Record, user: Option<&UserName>) -> Record {
        let principal = self.principal.filter(|principal| Some(principal.user.name()) == user);
        record
            .with("session", self.number)
            .with("upstream_id", self.upstream_id)
            .user(user)
            .with("proof", principal.map(|principal| principal.proof.to_string()))
            .client(self.peer.address)
            .certificate(self.peer.certificate.as_deref())
    }
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
    fn of(identity: Option<&'a PeerIdentity>) -> Self {
        let fields = |identity: &'a PeerIdentity| Self {
            subject: identity.subject(),
            serial: identity.serial(),
            fingerprint: identity.sha256().to_string(),
        };
        identity.map(fields).unwrap_or_default()
    }
}
