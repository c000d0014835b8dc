//! What Redis is sent, and what it is expected to answer.

use std::sync::Arc;

use super::UpstreamState;
use super::database::Databases;
use super::expected::ExpectedReply;
use super::pending::Slot;
use super::replication::Replication;
use super::transaction::Queueing;
use crate::acl::User;
use crate::command::{CommandSpec, Role};
use crate::resp::{Protocol, encode_request};
use crate::session::intake::Visibility;
use crate::session::output::{Output, Side};

/// Sent in place of a request that Redis is to refuse: no Redis knows the name.
///
/// An unknown name is refused before anything else is looked at, whatever Redis is doing and whatever the proxy's user may
/// do, and flags the transaction [rejectCommand]. EXEC comes later on the same connection, so it executes nothing, whether
/// we have seen the error by then or not. Should Redis know the name after all, its reply is no error, and the session is
/// closed.
const REFUSED: &[u8] = b"*1\r\n$16\r\nrespgate:refused\r\n";

/// Of whom the requests are.
#[derive(Clone, Copy)]
pub(in crate::session) struct Sender<'a> {
    user: &'a Arc<User>,
    /// The identity of the table that the command is of.
    table: u64,
}

impl<'a> Sender<'a> {
    pub(in crate::session) fn new(user: &'a Arc<User>, table: u64) -> Self {
        Self { user, table }
    }
}

impl UpstreamState {
    /// A permitted request is about to be sent, and this is what answers it.
    pub(in crate::session) fn expect(
        &mut self,
        spec: &CommandSpec,
        expected: ExpectedReply,
        sender: Option<Sender<'_>>,
        visibility: Visibility,
    ) {
        let queueing = self.transaction.queueing();
        self.one_shot.sent(spec, queueing);
        match spec.role() {
            Role::Multi => {
                if let Some(Sender { user, table }) = sender {
                    self.transaction.multi_sent(user, table);
                }
            }
            Role::Discard => self.transaction.discard_sent(),
            // Not queued, but answered with an error.
            Role::Watch | Role::Exec => {}
            _ => self.transaction.sent(spec),
        }
        let slot = match expected {
            ExpectedReply::Confirmations(kind, request) => {
                Slot::Subscription { kind, left: request.as_argv().len() as u64 - 1, request: Some(request) }
            }
            ExpectedReply::Cancellations { kind, named } => {
                let left = if named > 0 { named as u64 } else { self.subscriptions.count(kind).max(1) };
                Slot::Subscription { kind, left, request: None }
            }
            ExpectedReply::Exec => {
                let selects = self.transaction.exec_sent().map_or(Databases::NONE, |queue| queue.selected());
                self.database.select_sent(selects);
                Slot::Exec { selects }
            }
            ExpectedReply::Slot(Slot::Select(database)) => {
                self.transaction.select_sent(database);
                if queueing == Queueing::Yes {
                    Slot::Pass(1)
                } else {
                    self.database.select_sent(Databases::named(database));
                    Slot::Select(database)
                }
            }
            ExpectedReply::Slot(Slot::Blocking(_)) if queueing == Queueing::Yes => Slot::Pass(1),
            ExpectedReply::Slot(slot) => slot,
        };
        self.replies.expect(slot, visibility);
    }

    /// HELLO is about to be sent.
    pub(in crate::session) fn expect_hello(&mut self, protocol: Protocol, visibility: Visibility) {
        self.replies.expect(Slot::Hello(protocol), visibility);
    }

    /// A login as a mirror is about to be sent.
    pub(in crate::session) fn expect_mirror_login(&mut self) {
        self.replies.expect(Slot::MirrorLogin, Visibility::Hidden);
    }

    /// SYNC or PSYNC has been sent, and nothing was outstanding.
    pub(in crate::session) fn replicate(&mut self, role: Role) {
        self.replication = Some(Replication::asked_for(role));
    }

    /// A request is refused, and the client is to be told so in place of an error of Redis's. Whether there has to be one:
    /// the first time in a transaction, so that EXEC aborts; and where Redis keeps something in mind for the next request.
    #[must_use]
    pub(in crate::session) fn take_refusal_due(&mut self) -> bool {
        self.transaction.mark_aborted() || self.take_one_shot()
    }

    /// Redis does not get a request that is answered here. What it keeps in mind for the next one is used up.
    pub(in crate::session) fn use_up_one_shot(&mut self, out: &mut Output<'_>) {
        if self.take_one_shot() {
            self.send_to_be_refused(Box::default(), Visibility::Hidden, out);
        }
    }

    /// Inside a transaction it is for all of that, and EXEC uses it up.
    fn take_one_shot(&mut self) -> bool {
        !self.transaction.may_be_open() && self.one_shot.take()
    }

    /// Has Redis refuse a request, which aborts its transaction; the client is shown `ours` in place of the error.
    pub(in crate::session) fn send_to_be_refused(
        &mut self,
        ours: Box<[u8]>,
        visibility: Visibility,
        out: &mut Output<'_>,
    ) {
        out.send(Side::Upstream, REFUSED);
        self.replies.expect(Slot::Replace(ours), visibility);
    }

    /// Has Redis refuse an EXEC, for an argument too many: that ends a transaction and gives up what is watched all the same
    /// [execCommandAbort].
    pub(in crate::session) fn send_refused_exec(
        &mut self,
        exec: &[u8],
        ours: Box<[u8]>,
        visibility: Visibility,
        out: &mut Output<'_>,
    ) {
        self.transaction.exec_sent();
        let mut request = Vec::new();
        encode_request(&[exec, b"refused"], &mut request);
        out.send(Side::Upstream, &request);
        self.replies.expect(Slot::ReplaceExec(ours), visibility);
    }

    /// Whether EXEC would be taken for one: a monitor's is not.
    pub(in crate::session) fn takes_exec(&self) -> bool {
        self.is_connected() && !self.is_monitoring
    }
}
