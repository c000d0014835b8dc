//! A session without sockets: the client's bytes and Redis's go in, what either is sent comes out.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use crate::acl::Acl;
use crate::command::{CommandTable, Dialect, UpstreamCommand};
use crate::identity::{CertificateMap, PeerIdentity, UserFrom};
use crate::policy::{AuditRules, Blocklist, Policy, Renames, ScriptRights, Unmapped};
use crate::resp::{Reply, RequestLimits, encode_request};
use crate::session::{
    Action, Administered, Administration, ClientIds, CloseReason, Credentials, LoginOutcome, MirrorFailure,
    MirrorLogin, MirrorSpec, Output, Peer, Queues, SessionCore, SessionLimits, Side, UpstreamFailure,
};

/// Bytes that the driver reads at once.
const SCRATCH: usize = 64 << 10;

pub(crate) const REQUEST_BUFFER: usize = 1 << 20;
pub(crate) const HOLD_BUFFER: usize = 256 << 10;
pub(crate) const AUTH_TIMEOUT: Duration = Duration::from_secs(10);
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(300);
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
pub(crate) const UPSTREAM_TIMEOUT: Duration = Duration::from_secs(1000);
pub(crate) const HALF_CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Everybody may do everything, but for what is blocked.
pub(crate) const OPEN: &str = "user default on nopass ~* &* +@all\n";

/// `default` has to log in; alice needs no password and has a part of the keyspace.
pub(crate) const CLOSED: &str = "user default on >secret ~* &* +@all\nuser alice on nopass ~a:* &news* +@all -debug\n";

/// A core with the buffers that a driver would keep for it.
pub(crate) struct Rig {
    pub(crate) core: SessionCore,
    pub(crate) policy: Policy,
    pub(crate) now: Instant,
    /// The client takes what it is sent.
    pub(crate) client_reads: bool,
    /// Redis takes what it is sent.
    pub(crate) redis_reads: bool,
    /// Connections are there as soon as they are asked for.
    pub(crate) connects: bool,
    pub(crate) connecting: bool,
    pub(crate) verifying: Option<Credentials>,
    /// What is asked of the outside is done at once.
    pub(crate) administers: bool,
    pub(crate) administering: Option<Administration>,
    /// Mirrors are there as soon as they are asked for.
    pub(crate) mirrors: bool,
    pub(crate) mirroring: Option<MirrorSpec>,
    /// So many turns for judgements that take long come as soon as they are asked for.
    pub(crate) long_turns: u32,
    /// It has asked for that.
    pub(crate) asks_for_long_turn: bool,
    is_long_turn: bool,
    /// How often Redis was to answer a blocking command.
    pub(crate) unblocking: u32,
    /// How many connections to Redis there have been.
    pub(crate) connections: u32,
    /// How often something was to be freed elsewhere.
    pub(crate) freed: u32,
    pub(crate) closed: Option<CloseReason>,
    /// How often the session was to wait for its turn.
    pub(crate) turns: u32,
    /// Bytes of requests that waited here, at the most.
    pub(crate) most_held: usize,
    /// What the sockets hold and the session has not read.
    client_socket: Vec<u8>,
    redis_socket: Vec<u8>,
    client_ended: bool,
    requests: Vec<u8>,
    replies: Vec<u8>,
    pub(crate) queues: Queues,
    to_client: Vec<u8>,
    to_redis: Vec<u8>,
    /// What went to connections that are no longer there.
    to_gone: Vec<u8>,
}

pub(crate) fn policy(acl: &str, generation: u64) -> Policy {
    policy_of(Dialect::Redis70, acl, generation)
}

fn policy_of(dialect: Dialect, acl: &str, generation: u64) -> Policy {
    let table = CommandTable::builtin(dialect);
    let blocked = ["FLUSHALL", "CONFIG", "@scripting"].map(str::to_owned);
    Policy {
        generation,
        restricted_since: 1,
        dialect,
        acl: Acl::parse(acl.as_bytes(), &table).expect("the ACL of a test is right"),
        certificates: CertificateMap::build(Vec::new(), UserFrom::Off).expect("no rule is wrong"),
        unmapped: Unmapped::Password,
        settings: HashMap::new(),
        ignore_stray_auth: false,
        blocklist: Blocklist::build(&blocked, &[], &[], &table).expect("the entries are commands"),
        renames: Renames::default(),
        script_rights: ScriptRights::Upstream,
        shadows: Default::default(),
        audit: AuditRules::default(),
        table,
    }
}

pub(crate) fn limits() -> SessionLimits {
    SessionLimits {
        request: RequestLimits::AUTHENTICATED,
        request_buffer: REQUEST_BUFFER,
        hold_buffer: HOLD_BUFFER,
        auth_timeout: AUTH_TIMEOUT,
        idle_timeout: Some(IDLE_TIMEOUT),
        request_timeout: Some(REQUEST_TIMEOUT),
        upstream_timeout: Some(UPSTREAM_TIMEOUT),
        half_close_timeout: HALF_CLOSE_TIMEOUT,
    }
}

/// A request, its arguments between blanks.
pub(crate) fn request(line: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_request(&line.split(' ').collect::<Vec<_>>(), &mut bytes);
    bytes
}

impl Rig {
    pub(crate) fn new(acl: &str) -> Rig {
        Rig::among(&Arc::default(), acl)
    }

    /// One that has sent this and heard nothing.
    pub(crate) fn with_outstanding(mut self, line: &str) -> Rig {
        self.say(line);
        self
    }

    /// Under an ACL of Valkey's, which has rights to databases.
    pub(crate) fn valkey(acl: &str) -> Rig {
        Rig::of(&Arc::default(), policy_of(Dialect::Valkey91, acl, 1), None)
    }

    /// One of several sessions of a process.
    pub(crate) fn among(client_ids: &Arc<ClientIds>, acl: &str) -> Rig {
        Rig::of(client_ids, policy(acl, 1), None)
    }

    /// A session of whoever holds this certificate.
    pub(crate) fn with_certificate(policy: Policy, certificate: PeerIdentity) -> Rig {
        Rig::of(&Arc::default(), policy, Some(Arc::new(certificate)))
    }

    fn of(client_ids: &Arc<ClientIds>, policy: Policy, certificate: Option<Arc<PeerIdentity>>) -> Rig {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let now = Instant::now();
        let peer = Rc::new(Peer { address, certificate });
        let core =
            SessionCore::new(peer, Arc::new(limits()), Arc::clone(client_ids), &policy, now).expect("anybody may try");
        Rig {
            core,
            policy,
            now,
            client_reads: true,
            redis_reads: true,
            connects: true,
            connecting: false,
            verifying: None,
            administers: true,
            administering: None,
            mirrors: false,
            mirroring: None,
            long_turns: u32::MAX,
            asks_for_long_turn: false,
            is_long_turn: false,
            unblocking: 0,
            connections: 0,
            freed: 0,
            closed: None,
            turns: 0,
            most_held: 0,
            client_socket: Vec::new(),
            redis_socket: Vec::new(),
            client_ended: false,
            requests: Vec::new(),
            replies: Vec::new(),
            queues: Queues::default(),
            to_client: Vec::new(),
            to_redis: Vec::new(),
            to_gone: Vec::new(),
        }
    }

    /// The client sends bytes.
    pub(crate) fn client(&mut self, bytes: &[u8]) {
        self.client_socket.extend_from_slice(bytes);
        self.run();
    }

    /// The client sends one request, its arguments between blanks.
    pub(crate) fn say(&mut self, line: &str) {
        self.client(&request(line));
    }

    /// Redis sends bytes, if there is a connection.
    pub(crate) fn redis(&mut self, bytes: impl AsRef<[u8]>) {
        if self.core.has_upstream() {
            self.redis_socket.extend_from_slice(bytes.as_ref());
        }
        self.run();
    }

    /// The client closes its direction.
    pub(crate) fn client_leaves(&mut self) {
        self.client_ended = true;
        self.run();
    }

    /// Redis closes the connection.
    pub(crate) fn redis_leaves(&mut self) {
        let ended = self.core.handle_eof(Side::Upstream, self.now);
        self.note(ended);
        self.run();
    }

    /// The connection that was asked for is there, or is not to be had.
    pub(crate) fn connected(&mut self, result: Result<(), UpstreamFailure>) {
        self.connecting = false;
        self.connections += u32::from(result.is_ok());
        self.core.handle_connected(result);
        self.run();
    }

    /// The connection is there, and the client has left before anything was made of it.
    pub(crate) fn connected_and_left(&mut self) {
        self.connecting = false;
        self.connections += 1;
        self.core.handle_connected(Ok(()));
        let ended = self.core.handle_eof(Side::Downstream, self.now);
        self.note(ended);
        self.run();
    }

    /// The password that was to be verified has been.
    pub(crate) fn verified(&mut self, outcome: LoginOutcome) {
        self.verifying = None;
        let mut out = Output::new(&[], Side::Downstream, &mut self.queues);
        let result = self.core.handle_verified(outcome, &self.policy, self.now, &mut out);
        self.note(result);
        self.run();
    }

    /// The edit that was asked for has come to its turn, under another ACL than it was asked for where one is given.
    pub(crate) fn its_turn(&mut self, acl: Option<&str>) {
        let administration = self.administering.take().expect("an edit was asked for");
        if let Some(acl) = acl {
            let acl = policy(acl, 0).acl;
            self.policy = Policy { generation: self.policy.generation + 1, acl, ..self.policy.clone() };
        }
        let mut out = Output::new(&[], Side::Downstream, &mut self.queues);
        let result = self.core.handle_go_ahead(&administration, &self.policy, &mut out);
        self.note(result);
        self.run();
    }

    /// What was asked of the outside is done; with an ACL, that is what it made.
    pub(crate) fn administered(&mut self, acl: Option<&str>) {
        self.administering = None;
        if let Some(acl) = acl {
            let acl = policy(acl, 0).acl;
            self.policy = Policy { generation: self.policy.generation + 1, acl, ..self.policy.clone() };
        }
        let generation = acl.map(|_| self.policy.generation);
        let done = Administered { reply: Reply::OK, generation };
        let mut out = Output::new(&[], Side::Downstream, &mut self.queues);
        self.core.handle_administered(done, &self.policy, self.now, &mut out);
        self.run();
    }

    /// The mirror that was asked for is there, under a name made of its user's, or Redis refuses it.
    pub(crate) fn mirrored(&mut self, is_there: bool) {
        let spec = self.mirroring.take().expect("a mirror was asked for");
        let password = Zeroizing::new("between-us".to_owned());
        let login = MirrorLogin { name: format!("mirror:{}", spec.user), password };
        self.told_of_mirror(is_there.then_some(login).ok_or(MirrorFailure::Refused));
    }

    /// It is not to be had, for this reason.
    pub(crate) fn not_mirrored(&mut self, why: MirrorFailure) {
        self.mirroring = None;
        self.told_of_mirror(Err(why));
    }

    fn told_of_mirror(&mut self, result: Result<MirrorLogin, MirrorFailure>) {
        let mut out = Output::new(&[], Side::Downstream, &mut self.queues);
        let result = self.core.handle_mirrored(result, &self.policy, &mut out);
        self.note(result);
        self.run();
    }

    /// Scripts are not blocked, and have the rights of those who send them, at a Redis that has all commands of the table.
    pub(crate) fn mirror_users(&mut self) {
        self.policy.script_rights = ScriptRights::Mirrored { present: vec![true; self.policy.table.len()] };
        self.block(&["FLUSHALL", "CONFIG"]);
    }

    /// Another ACL is in force.
    pub(crate) fn reload(&mut self, acl: &str) {
        let acl = policy_of(self.policy.dialect, acl, 0).acl;
        self.follow(Policy { acl, ..self.policy.clone() });
    }

    /// Another ACL, and with it the commands of another server.
    pub(crate) fn reload_under(&mut self, dialect: Dialect, acl: &str) {
        self.follow(policy_of(dialect, acl, 0));
    }

    /// The same policy, but that these commands are blocked.
    pub(crate) fn block(&mut self, commands: &[&str]) {
        let commands: Vec<String> = commands.iter().map(|name| (*name).to_owned()).collect();
        let blocklist = Blocklist::build(&commands, &[], &[], &self.policy.table).expect("the entries are commands");
        self.follow(Policy { blocklist, ..self.policy.clone() });
    }

    /// The same policy, but that Redis has this command of a module beyond its own, and only this.
    pub(crate) fn load_module(&mut self, command: &str) {
        let command = UpstreamCommand { name: command.to_owned(), arity: -1, ..UpstreamCommand::default() };
        let table = CommandTable::builtin(self.policy.dialect).extended(&[command]);
        let acl = self.policy.acl.recompiled(&table);
        let blocklist = Blocklist::build(&[], &[], &[], &table).expect("nothing is wrong with nothing");
        self.follow(Policy { table, acl, blocklist, ..self.policy.clone() });
    }

    /// The same policy, but that Redis calls these commands otherwise; with an empty name it has none.
    pub(crate) fn rename(&mut self, pairs: &[(&str, &str)]) {
        let pairs: Vec<_> = pairs.iter().map(|(original, name)| ((*original).to_owned(), (*name).to_owned())).collect();
        let renames = Renames::build(&pairs, &self.policy.table).expect("the names are free");
        self.follow(Policy { renames, ..self.policy.clone() });
    }

    /// This policy is in force now.
    fn follow(&mut self, policy: Policy) {
        let generation = self.policy.generation + 1;
        self.policy = Policy { generation, ..policy }.following(&self.policy);
        let result = self.core.handle_policy(&self.policy);
        self.note(result);
        self.run();
    }

    /// Time passes.
    pub(crate) fn wait(&mut self, time: Duration) {
        self.now += time;
        self.core.note_time(self.now);
        let mut out = Output::new(&[], Side::Downstream, &mut self.queues);
        let result = self.core.handle_timeout(self.now, &mut out);
        self.note(result);
        self.run();
    }

    /// The client reads again, or no longer.
    pub(crate) fn client_reads(&mut self, reads: bool) {
        self.client_reads = reads;
        self.run();
    }

    /// What the client was sent since this was last asked.
    pub(crate) fn heard(&mut self) -> String {
        String::from_utf8_lossy(&self.heard_bytes()).into_owned()
    }

    /// The same, as bytes.
    pub(crate) fn heard_bytes(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.to_client)
    }

    /// The bytes that Redis was sent since this was last asked.
    pub(crate) fn sent(&mut self) -> Vec<u8> {
        let (gone, now) = self.conversations();
        [gone, now].concat()
    }

    /// The same, to connections that are gone and to the one that is there.
    pub(crate) fn conversations(&mut self) -> (Vec<u8>, Vec<u8>) {
        (std::mem::take(&mut self.to_gone), std::mem::take(&mut self.to_redis))
    }

    /// The requests that Redis was sent since this was last asked, one a line. Fails if they are anything else.
    pub(crate) fn forwarded(&mut self) -> String {
        let bytes = self.sent();
        let (requests, rest) = super::redis::requests(&bytes);
        assert!(rest.is_empty(), "only whole requests: {}", rest.escape_ascii());
        let lines = requests.iter().map(|arguments| String::from_utf8_lossy(&arguments.join(&b' ')).into_owned());
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Bytes that wait inside the session, for whichever reason.
    pub(crate) fn held(&self) -> usize {
        self.requests.len() + self.replies.len() + self.queues.downstream.len() + self.queues.upstream.len()
    }

    /// What the driver does, one wake-up after the other, until nothing moves any more.
    fn run(&mut self) {
        while self.closed.is_none() {
            let is_long_turn = self.long_turns > 0 && std::mem::take(&mut self.asks_for_long_turn);
            self.long_turns -= u32::from(is_long_turn);
            if self.core.waits_for_its_turn() || is_long_turn || self.is_long_turn {
                self.turns += 1;
                self.is_long_turn = is_long_turn;
                self.core.begin_turn(is_long_turn);
            }
            let mut progress = self.read_client() | self.read_redis();
            if self.closed.is_none() && self.core.can_go_on() {
                progress |= self.feed_requests(&[]) > 0 || !self.core.can_go_on();
            }
            progress |= self.write();
            progress |= self.perform();
            if !progress && !self.core.waits_for_its_turn() {
                break;
            }
        }
        self.write();
    }

    fn read_client(&mut self) -> bool {
        if !self.core.wants(Side::Downstream) {
            return false;
        }
        if self.client_socket.is_empty() {
            let ended = std::mem::take(&mut self.client_ended);
            if ended {
                let result = self.core.handle_eof(Side::Downstream, self.now);
                self.note(result);
            }
            return ended;
        }
        let some = self.client_socket.len().min(SCRATCH);
        let fresh: Vec<u8> = self.client_socket.drain(..some).collect();
        self.feed_requests(&fresh);
        true
    }

    fn read_redis(&mut self) -> bool {
        if self.closed.is_some() || self.redis_socket.is_empty() || !self.core.wants(Side::Upstream) {
            return false;
        }
        let some = self.redis_socket.len().min(SCRATCH);
        self.replies.extend(self.redis_socket.drain(..some));
        let mut out = Output::new(&self.replies, Side::Upstream, &mut self.queues);
        let result = self.core.handle_upstream(self.now, &mut out);
        let passed = out.finish();
        self.queues.downstream.extend(&self.replies[passed]);
        match result {
            Ok(consumed) => drop(self.replies.drain(..consumed)),
            Err(reason) => self.closed = Some(reason),
        }
        true
    }

    fn feed_requests(&mut self, fresh: &[u8]) -> usize {
        self.requests.extend_from_slice(fresh);
        let mut out = Output::new(&self.requests, Side::Downstream, &mut self.queues);
        let result = self.core.handle_downstream(&self.policy, self.now, &mut out);
        let passed = out.finish();
        self.queues.upstream.extend(&self.requests[passed]);
        match result {
            Ok(consumed) => {
                let consumed = self.requests.drain(..consumed).len();
                self.most_held = self.most_held.max(self.requests.len());
                consumed
            }
            Err(reason) => {
                self.closed = Some(reason);
                0
            }
        }
    }

    fn write(&mut self) -> bool {
        let waiting = self.queues.downstream.len() + self.queues.upstream.len();
        if self.client_reads || self.closed.is_some() {
            self.to_client.extend_from_slice(self.queues.downstream.as_slice());
            self.queues.downstream.advance(usize::MAX);
        }
        if self.redis_reads && self.core.has_upstream() {
            self.to_redis.extend_from_slice(self.queues.upstream.as_slice());
            self.queues.upstream.advance(usize::MAX);
        }
        let left = [self.queues.downstream.len(), self.queues.upstream.len()];
        self.core.handle_backlog(Side::Downstream, left[0], self.now);
        self.core.handle_backlog(Side::Upstream, left[1], self.now);
        left.iter().sum::<usize>() < waiting
    }

    fn perform(&mut self) -> bool {
        let mut progress = false;
        while let (None, Some(action)) = (self.closed, self.core.poll_action()) {
            progress = true;
            match action {
                Action::Connect if self.connects => self.connected(Ok(())),
                Action::Connect => self.connecting = true,
                Action::Disconnect => {
                    self.connecting = false;
                    self.to_gone.append(&mut self.to_redis);
                    self.redis_socket.clear();
                    self.replies.clear();
                    self.queues.upstream.advance(usize::MAX);
                }
                Action::Free(_) => self.freed += 1,
                Action::Administer(_) if self.administers => self.administered(None),
                Action::Administer(administration) => self.administering = Some(administration),
                Action::Mirror(spec) => {
                    self.mirroring = Some(spec);
                    if self.mirrors {
                        self.mirrored(true);
                    }
                }
                Action::Verify(credentials) => self.verifying = Some(credentials),
                Action::QueueLongJudgement => self.asks_for_long_turn = true,
                Action::Unblock => self.unblocking += 1,
                Action::Close(reason) => self.closed = Some(reason),
            }
        }
        progress
    }

    fn note(&mut self, result: Result<(), CloseReason>) {
        if let Err(reason) = result {
            self.closed = Some(reason);
        }
    }
}
