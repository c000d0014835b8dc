//! The few sums that one looks at, where [`Scrape`](super::Scrape) is all there is.

use std::time::SystemTime;

use super::events::Events;
use super::worker::WorkerCounts;

/// What has been counted of all users together and of each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Live sessions.
    pub sessions: u64,
    /// Requests since the start of the process.
    pub requests: u64,
    /// Those who have a session, or had one and did something.
    pub users: Vec<UserTally>,
}

/// What has been counted of one user, or of all without a label of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserTally {
    /// As in metrics.
    pub name: String,
    /// Live sessions.
    pub sessions: u64,
    /// Requests since the start of the process, whatever became of them.
    pub requests: u64,
    /// Those that were refused, mere mistakes included.
    pub refused: u64,
    /// When the last session or login of the user was.
    pub last_login: Option<SystemTime>,
}

impl Tally {
    /// Of what workers have counted, with the names of users by label.
    pub fn new(workers: &[WorkerCounts], events: &Events, names: &[String]) -> Tally {
        let mut all = WorkerCounts::default();
        workers.iter().for_each(|worker| all.add(worker));
        let mut tally = Tally::default();
        for (label, name) in names.iter().enumerate() {
            let last_login = events.last_logins.get(label).copied().flatten();
            let Some(user) = all.all_users().get(label) else { continue };
            let requests = user.traffic.requests();
            tally.sessions += user.sessions;
            tally.requests += requests;
            if user.sessions > 0 || requests > 0 {
                let (sessions, refused) = (user.sessions, user.traffic.all_refused());
                tally.users.push(UserTally { name: name.clone(), sessions, requests, refused, last_login });
            }
        }
        tally
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acl::UserName;
    use crate::metrics::EventCounts;
    use crate::session::Traffic;

    #[test]
    fn a_session_is_that_of_the_user_it_acts_for_by_now() {
        let (events, mut one, mut other) = (EventCounts::default(), WorkerCounts::default(), WorkerCounts::default());
        let labels = events.labels();
        let [alice, bob] = ["alice", "bob"].map(|name| UserName::new(name.as_bytes()).unwrap());
        let (nobody, alices, bobs) = (labels.user(None), labels.user(Some(&alice)), labels.user(Some(&bob)));
        one.session_started(0, nobody);
        one.session_passed(nobody, alices);
        one.requests(alices, Traffic { forwarded: 2, refused: 1, ..Traffic::default() });
        other.session_started(0, alices);
        other.session_started(0, bobs);
        other.session_ended(0, bobs);
        events.logged_in(&alice, SystemTime::UNIX_EPOCH);
        let tally = Tally::new(&[one, other], &events.so_far(), &labels.users());
        let user = UserTally {
            name: "alice".to_owned(),
            sessions: 2,
            requests: 3,
            refused: 1,
            last_login: Some(SystemTime::UNIX_EPOCH),
        };
        assert_eq!(tally, Tally { sessions: 2, requests: 3, users: vec![user] });
    }
}
