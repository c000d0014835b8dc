//! ASKING and CLIENT CACHING, which Redis keeps in mind for the next request.

use super::transaction::Queueing;
use crate::command::{CommandSpec, Role};

/// Whether Redis keeps one of them in mind. A request that Redis does not get must use it up all the same, or it would be
/// for another one.
#[derive(Debug, Default)]
pub(super) struct OneShot {
    is_set: bool,
}

impl OneShot {
    /// Redis has been sent a command. Inside MULTI both are kept until EXEC, and what belongs to CLIENT leaves CACHING
    /// [resetClient].
    pub(super) fn sent(&mut self, spec: &CommandSpec, queueing: Queueing) {
        self.is_set = match spec.role() {
            Role::Asking | Role::ClientCaching => true,
            Role::Exec => false,
            Role::Multi | Role::Discard => self.is_set,
            _ => self.is_set && (queueing != Queueing::No || spec.full_name().starts_with("client|")),
        };
    }

    /// Whether something has to be sent to Redis in place of a request that it does not get: an error uses it up as well.
    pub(super) fn take(&mut self) -> bool {
        std::mem::take(&mut self.is_set)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{CommandTable, Dialect};

    #[test]
    fn it_is_there_until_a_request_that_is_executed() {
        let table = CommandTable::builtin(Dialect::Redis70);
        let after = |names: &[&str], queueing| {
            let mut one_shot = OneShot::default();
            names.iter().for_each(|name| one_shot.sent(table.by_name(name).unwrap(), queueing));
            one_shot.take()
        };
        assert!(after(&["asking"], Queueing::No) && after(&["client|caching", "client|id"], Queueing::No));
        assert!(!after(&["asking", "get"], Queueing::No) && !after(&["client|caching", "ping"], Queueing::No));
        assert!(after(&["asking", "multi"], Queueing::No) && after(&["asking", "get"], Queueing::Undecided));
        assert!(!after(&["asking", "exec"], Queueing::Yes));
    }
}
