//! What one worker learns of its users, request by request.

use std::collections::HashMap;

use super::evidence::Evidence;
use super::usage::{Usage, Uses};
use crate::acl::UserName;
use crate::command::{Access, Argv, CommandSpec, CommandTable, Scope};

/// So many users are learnt of.
const MOST_USERS: usize = 1024;

/// So many names are learnt of one request, about 60 ns each.
const MOST_NAMES: usize = 1000;

/// What one worker has learnt. A request costs it neither a lock nor, where nothing is new, an allocation.
pub struct TrafficLearner {
    evidence: Evidence,
    learnt: Vec<(UserName, UserTraffic)>,
    by_name: HashMap<UserName, usize>,
    /// Of whom the last request was.
    last: usize,
    /// Seconds since 1970, as of the last [`TrafficLearner::tick`].
    now: u64,
}

struct UserTraffic {
    usage: Usage,
    /// By command id, of the table with this identity; not yet in `usage`.
    commands: Vec<Uses>,
    table: u64,
}

impl TrafficLearner {
    /// Nothing yet. What is to be merged has the same `evidence`.
    pub fn new(evidence: Evidence, now: u64) -> TrafficLearner {
        TrafficLearner { evidence, learnt: Vec::new(), by_name: HashMap::new(), last: 0, now }
    }

    /// What the time is, in seconds since 1970.
    pub fn tick(&mut self, now: u64) {
        self.now = now;
    }

    /// A request that is permitted, or let through although the user's rules refuse it. Returns how many names were learnt
    /// of it.
    #[inline]
    pub fn note(
        &mut self,
        user: &UserName,
        table: &CommandTable,
        spec: &CommandSpec,
        argv: &Argv<'_>,
        scope: Scope,
        would_refuse: bool,
    ) -> usize {
        if spec.is_no_auth() {
            return 0;
        }
        let once = Uses::once(self.now, Access::NAME, would_refuse);
        let Some(traffic) = self.of(user) else { return 0 };
        if traffic.table != table.identity() {
            traffic.begin_table(table);
        }
        if let Some(uses) = traffic.commands.get_mut(spec.id().index()) {
            uses.add(once);
        }
        traffic.usage.note_names(spec, argv, scope, MOST_NAMES, once)
    }

    #[inline]
    fn of(&mut self, user: &UserName) -> Option<&mut UserTraffic> {
        if self.learnt.get(self.last).is_none_or(|(name, _)| name != user) {
            self.last = match self.by_name.get(user) {
                Some(at) => *at,
                None if self.learnt.len() < MOST_USERS => {
                    let traffic = UserTraffic { usage: Usage::new(&self.evidence), commands: Vec::new(), table: 0 };
                    self.learnt.push((user.clone(), traffic));
                    self.by_name.insert(user.clone(), self.learnt.len() - 1);
                    self.learnt.len() - 1
                }
                None => return None,
            };
        }
        self.learnt.get_mut(self.last).map(|(_, traffic)| traffic)
    }

    /// How many users there are something about.
    pub fn users(&self) -> usize {
        self.learnt.len()
    }

    /// What there is about one of them. `table` is the one in force.
    pub fn usage(&mut self, at: usize, table: &CommandTable) -> Option<(UserName, Usage)> {
        let (name, traffic) = self.learnt.get_mut(at)?;
        if traffic.table == table.identity() {
            traffic.count_commands(table);
        }
        Some((name.clone(), traffic.usage.clone()))
    }
}

impl UserTraffic {
    /// Ids mean something else from now on. What was counted since the last look, under the former table, is lost.
    #[cold]
    fn begin_table(&mut self, table: &CommandTable) {
        self.commands = vec![Uses::NONE; table.len()];
        self.table = table.identity();
    }

    fn count_commands(&mut self, table: &CommandTable) {
        for (spec, uses) in table.iter().zip(&mut self.commands).filter(|(_, uses)| uses.count > 0) {
            self.usage.note_command(spec.full_name(), *uses);
            *uses = Uses::NONE;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{ArgvBuf, Dialect};

    fn note(learner: &mut TrafficLearner, table: &CommandTable, user: &str, request: &[&str]) {
        let argv = ArgvBuf::from_iter(request);
        let argv = argv.as_argv();
        let user = UserName::new(user.as_bytes()).unwrap();
        learner.note(&user, table, table.resolve(&argv).unwrap(), &argv, Scope::Whole, false);
    }

    #[test]
    fn commands_and_keys_are_counted_by_user() {
        let table = CommandTable::builtin(Dialect::Redis70);
        let mut learner = TrafficLearner::new(Evidence::of_traffic(), 7);
        for _ in 0..3 {
            note(&mut learner, &table, "shop", &["GET", "a"]);
            note(&mut learner, &table, "bank", &["SET", "b", "v"]);
        }
        note(&mut learner, &table, "shop", &["HELLO", "3"]);
        assert_eq!(learner.users(), 2);
        let (name, shop) = learner.usage(0, &table).unwrap();
        let get = shop.commands["get"];
        assert_eq!((name.as_str(), shop.requests.count, get.count, get.last), ("shop", 3, 3, 7));
        assert_eq!((shop.commands.len(), shop.keys.told()[0].1.count), (1, 3));
        note(&mut learner, &table, "shop", &["GET", "a"]);
        assert_eq!(learner.usage(0, &table).unwrap().1.commands["get"].count, 4, "and goes on");
    }

    #[test]
    fn of_one_request_so_many_names_are_learnt_and_the_others_counted() {
        let table = CommandTable::builtin(Dialect::Redis70);
        for command in ["exists", "subscribe"] {
            let mut learner = TrafficLearner::new(Evidence::of_traffic(), 7);
            let user = UserName::new(b"shop").unwrap();
            let mut note = |names: usize| {
                let argv: ArgvBuf = std::iter::once(command).chain(["a"].into_iter().cycle().take(names)).collect();
                learner.note(&user, &table, table.by_name(command).unwrap(), &argv.as_argv(), Scope::Whole, false)
            };
            assert_eq!([note(MOST_NAMES), note(3 * MOST_NAMES)], [MOST_NAMES; 2]);
            let (_, usage) = learner.usage(0, &table).unwrap();
            let names = if command == "exists" { &usage.keys } else { &usage.channels };
            let (told, without_room) = (names.told()[0].1.count, names.without_room().count);
            assert_eq!((told, without_room), (2 * MOST_NAMES as u64, 2 * MOST_NAMES as u64));
            assert_eq!((usage.requests.count, usage.untold_keys.count), (2, 0));
        }
    }

    #[test]
    fn under_another_table_commands_are_not_taken_for_others() {
        let (old, new) = (CommandTable::builtin(Dialect::Redis70), CommandTable::builtin(Dialect::Valkey91));
        let mut learner = TrafficLearner::new(Evidence::of_traffic(), 7);
        note(&mut learner, &old, "shop", &["ZSCORE", "a", "m"]);
        assert_eq!(learner.usage(0, &new).unwrap().1.commands.len(), 0);
        note(&mut learner, &new, "shop", &["ZSCORE", "a", "m"]);
        let (_, usage) = learner.usage(0, &new).unwrap();
        assert_eq!(usage.commands.keys().map(|name| &**name).collect::<Vec<_>>(), ["zscore"]);
    }

    #[test]
    fn no_more_users_are_kept_than_there_is_room_for() {
        let table = CommandTable::builtin(Dialect::Redis70);
        let mut learner = TrafficLearner::new(Evidence::of_traffic(), 7);
        for n in 0..MOST_USERS + 10 {
            note(&mut learner, &table, &format!("u{n}"), &["PING"]);
        }
        assert_eq!(learner.users(), MOST_USERS);
    }

    #[test]
    fn what_was_seen_before_costs_no_allocation() {
        let table = CommandTable::builtin(Dialect::Redis70);
        let mut learner = TrafficLearner::new(Evidence::of_traffic(), 7);
        let user = UserName::new(b"shop").unwrap();
        let argv = ArgvBuf::from_iter(["MGET", "shop:cart:1", "shop:cart:2"]);
        let spec = table.by_name("mget").unwrap();
        let mut note = || {
            learner.note(&user, &table, spec, &argv.as_argv(), Scope::Whole, false);
        };
        (0..2000).for_each(|_| note());
        let allocated = allocation_counter::measure(|| (0..100).for_each(|_| note()));
        assert_eq!(allocated.count_total, 0);
    }
}
