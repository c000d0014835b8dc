//! What one worker counts.

use std::collections::HashMap;
use std::time::Duration;

use super::histogram::Histogram;
use super::labels::{Labels, UserLabel};
use crate::session::Traffic;

/// Where there are too many commands to tell them apart. A blank is in no name of a command.
const OTHER_COMMANDS: &str = "other commands";

/// What one worker counts, without locks and without allocating for what is counted already.
#[derive(Debug, Clone, Default)]
pub struct WorkerCounts {
    /// By label.
    users: Vec<UserCounts>,
    /// By command.
    refused_commands: HashMap<Box<str>, ByReason>,
    /// Live sessions, by listener.
    sessions: Vec<u64>,
    received: u64,
    sent: u64,
    /// By number.
    tunnels: Vec<TunnelCounts>,
    replies: Histogram,
    connects: Histogram,
    /// How long it was not idle.
    busy: Duration,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct TunnelCounts {
    /// Those that are open.
    pub(super) open: u64,
    /// Bytes of applications.
    pub(super) received: u64,
    /// To them.
    pub(super) sent: u64,
}

#[derive(Debug, Clone, Default)]
pub(super) struct UserCounts {
    /// Live ones.
    pub(super) sessions: u64,
    pub(super) traffic: Traffic,
    pub(super) refused: ByReason,
    pub(super) would_refuse: ByReason,
}

/// How often something happened, by a word that says why. There are few words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ByReason(Vec<(&'static str, u64)>);

impl ByReason {
    pub(super) fn add(&mut self, reason: &'static str, count: u64) {
        match self.0.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, sum)) => *sum += count,
            None => self.0.push((reason, count)),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.0.iter().copied()
    }

    fn has(&self, reason: &'static str) -> bool {
        self.0.iter().any(|(known, _)| *known == reason)
    }
}

impl WorkerCounts {
    /// A user's requests, since they were counted last.
    pub fn requests(&mut self, user: UserLabel, traffic: Traffic) {
        entry(&mut self.users, user.index()).traffic.add(traffic);
    }

    /// So many of a user's requests were refused for this reason; their command is one of the table, or `unknown`.
    pub fn refused(&mut self, labels: &Labels, user: UserLabel, command: &str, reason: &'static str, count: u64) {
        entry(&mut self.users, user.index()).refused.add(reason, count);
        match self.refused_commands.get_mut(command) {
            Some(reasons) if reasons.has(reason) => reasons.add(reason, count),
            _ => {
                let command = if labels.has_label(command, reason) { command } else { OTHER_COMMANDS };
                self.refused_commands.entry(command.into()).or_default().add(reason, count);
            }
        }
    }

    /// So many of a user's requests were let through that its rules refuse for this reason.
    pub fn would_refuse(&mut self, user: UserLabel, reason: &'static str, count: u64) {
        entry(&mut self.users, user.index()).would_refuse.add(reason, count);
    }

    /// Bytes from clients and to them, decrypted.
    pub fn bytes(&mut self, received: u64, sent: u64) {
        self.received += received;
        self.sent += sent;
    }

    /// An application has this tunnel.
    pub fn tunnel_opened(&mut self, number: usize) {
        entry(&mut self.tunnels, number).open += 1;
    }

    /// Bytes from an application through this tunnel, and to it.
    pub fn tunnel_bytes(&mut self, number: usize, received: u64, sent: u64) {
        let tunnel = entry(&mut self.tunnels, number);
        tunnel.received += received;
        tunnel.sent += sent;
    }

    /// It has it no more.
    pub fn tunnel_closed(&mut self, number: usize) {
        entry(&mut self.tunnels, number).open -= 1;
    }

    /// How long Redis took for a reply.
    pub fn replied(&mut self, duration: Duration) {
        self.replies.observe(duration);
    }

    /// How long it took to get a connection to Redis.
    pub fn connected(&mut self, duration: Duration) {
        self.connects.observe(duration);
    }

    /// A session has begun, of a client that came in through this listener, as this user.
    pub fn session_started(&mut self, listener: usize, user: UserLabel) {
        *entry(&mut self.sessions, listener) += 1;
        entry(&mut self.users, user.index()).sessions += 1;
    }

    /// It acts for another one.
    pub fn session_passed(&mut self, from: UserLabel, to: UserLabel) {
        entry(&mut self.users, from.index()).sessions -= 1;
        entry(&mut self.users, to.index()).sessions += 1;
    }

    /// It has ended, as this user.
    pub fn session_ended(&mut self, listener: usize, user: UserLabel) {
        *entry(&mut self.sessions, listener) -= 1;
        entry(&mut self.users, user.index()).sessions -= 1;
    }

    /// A copy, of a worker that was busy for so long by now.
    #[must_use]
    pub fn as_of(&self, busy: Duration) -> WorkerCounts {
        WorkerCounts { busy, ..self.clone() }
    }

    /// What another worker has counted comes to it. How long that was busy is left out.
    pub(super) fn add(&mut self, other: &WorkerCounts) {
        for (label, user) in other.users.iter().enumerate() {
            let sum = entry(&mut self.users, label);
            sum.sessions += user.sessions;
            sum.traffic.add(user.traffic);
            user.refused.iter().for_each(|(reason, count)| sum.refused.add(reason, count));
            user.would_refuse.iter().for_each(|(reason, count)| sum.would_refuse.add(reason, count));
        }
        for (command, reasons) in &other.refused_commands {
            let sum = self.refused_commands.entry(command.clone()).or_default();
            reasons.iter().for_each(|(reason, count)| sum.add(reason, count));
        }
        for (listener, sessions) in other.sessions.iter().enumerate() {
            *entry(&mut self.sessions, listener) += sessions;
        }
        for (number, tunnel) in other.tunnels.iter().enumerate() {
            entry(&mut self.tunnels, number).open += tunnel.open;
            self.tunnel_bytes(number, tunnel.received, tunnel.sent);
        }
        self.bytes(other.received, other.sent);
        self.replies.add(&other.replies);
        self.connects.add(&other.connects);
    }

    /// Those who have asked for something, with the label of each.
    pub(super) fn users(&self) -> impl Iterator<Item = (usize, &UserCounts)> {
        self.users.iter().enumerate().filter(|(_, user)| user.traffic.requests() > 0)
    }

    /// By label, with everybody who has none of anything.
    pub(super) fn all_users(&self) -> &[UserCounts] {
        &self.users
    }

    pub(super) fn refused_commands(&self) -> impl Iterator<Item = (&str, &'static str, u64)> {
        self.refused_commands
            .iter()
            .flat_map(|(command, reasons)| reasons.iter().map(move |(reason, count)| (&**command, reason, count)))
    }

    pub(super) fn sessions(&self, listener: usize) -> u64 {
        self.sessions.get(listener).copied().unwrap_or_default()
    }

    pub(super) fn tunnel(&self, number: usize) -> TunnelCounts {
        self.tunnels.get(number).copied().unwrap_or_default()
    }

    pub(super) fn busy(&self) -> Duration {
        self.busy
    }

    pub(super) fn received(&self) -> u64 {
        self.received
    }

    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    pub(super) fn replies(&self) -> &Histogram {
        &self.replies
    }

    pub(super) fn connects(&self) -> &Histogram {
        &self.connects
    }
}

fn entry<T: Default + Clone>(values: &mut Vec<T>, position: usize) -> &mut T {
    if values.len() <= position {
        values.resize(position + 1, T::default());
    }
    &mut values[position]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acl::UserName;

    #[test]
    fn the_sum_of_two_workers_is_what_one_would_have_counted() {
        let labels = Labels::default();
        let count = |counts: &mut WorkerCounts, name: &str| {
            let user = labels.user(UserName::new(name.as_bytes()).as_ref());
            counts.requests(user, Traffic { forwarded: 2, refused: 1, ..Traffic::default() });
            counts.refused(&labels, user, "flushall", "blocked", 1);
            counts.bytes(10, 20);
            counts.session_started(1, user);
            counts.replied(Duration::from_millis(1));
        };
        let (mut one, mut other, mut both) =
            (WorkerCounts::default(), WorkerCounts::default(), WorkerCounts::default());
        [(&mut one, "a"), (&mut other, "b")].into_iter().for_each(|(counts, name)| count(counts, name));
        ["a", "b"].into_iter().for_each(|name| count(&mut both, name));
        one.add(&other);
        assert_eq!(format!("{one:?}"), format!("{both:?}"));
        assert_eq!((one.received(), one.sessions(0), one.sessions(1)), (20, 0, 2));
    }

    #[test]
    fn commands_without_a_label_are_counted_together() {
        let (labels, mut counts) = (Labels::default(), WorkerCounts::default());
        for number in 0..5_000 {
            counts.refused(&labels, labels.user(None), &format!("command{number}"), "arity", 1);
        }
        assert_eq!(counts.refused_commands().count(), 3_001);
        let others = counts.refused_commands().find(|(command, ..)| *command == OTHER_COMMANDS);
        assert_eq!(others, Some((OTHER_COMMANDS, "arity", 2_000)));
    }
}
