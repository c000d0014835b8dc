//! Which user is behind which of Redis's client ids, so that `CLIENT TRACKING … REDIRECT` reaches sessions of the same user
//! only: a session's invalidation messages name its keys, and land among the replies of the other.
//!
//! A session is known by its id from when Redis has told it, in the reply to CLIENT ID or HELLO. Whoever means to be
//! redirected to has asked; so no connection costs anything more, and no id that was guessed is of use.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use memchr::memmem;

use super::core::SessionCore;
use super::shared::Shared;
use crate::command::{Argv, Role};
use crate::policy::Permit;
use crate::resp::parse_integer;

/// What Redis says where there is no such client [clientTrackingCommand].
pub(super) const NO_SUCH_CLIENT: &str = "ERR The client ID you want redirect to does not exist";

/// The sessions of a process that know their client id, and their users. Locked only when one learns its id, is asked for
/// or ends.
#[derive(Debug, Default)]
pub(super) struct ClientIds(Mutex<HashMap<i64, String>>);

impl ClientIds {
    fn is_of(&self, id: i64, user: &str) -> bool {
        self.lock().get(&id).is_some_and(|known| known == user)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<i64, String>> {
        // Nothing panics while it is held, and if something did, the table would be whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A session's own place in the table, given up when it is dropped.
pub(super) struct OwnId {
    id: i64,
    shared: Arc<Shared>,
}

impl OwnId {
    fn enter(shared: &Arc<Shared>, id: i64, user: &str) -> Self {
        shared.clients.lock().insert(id, user.to_owned());
        Self { id, shared: Arc::clone(shared) }
    }
}

impl Drop for OwnId {
    fn drop(&mut self) {
        self.shared.clients.lock().remove(&self.id);
    }
}

impl SessionCore {
    /// Notes the client id in a whole reply to CLIENT ID or HELLO, if it holds one.
    pub(super) fn learn_id(&mut self, reply: &[u8]) {
        let Some(id) = client_id(reply) else { return };
        // First the old place is given up: it may be the same.
        self.own_id = None;
        self.own_id = self.user_name().map(|user| OwnId::enter(&self.shared, id, user));
    }

    /// The session acts for another user now.
    pub(super) fn id_changes_hands(&mut self) {
        if let (Some(own), Some(user)) = (&self.own_id, self.user_name()) {
            own.shared.clients.lock().insert(own.id, user.to_owned());
        }
    }

    /// Whether a request redirects invalidation messages to anybody but a session of the same user. Where Redis reads
    /// the word as a prefix, what follows is an option and no number.
    pub(super) fn redirects_to_a_stranger(&self, permit: &Permit<'_>, argv: &Argv<'_>) -> bool {
        if permit.spec().role() != Role::ClientTracking {
            return false;
        }
        let targets = argv.iter_from(3).filter(|(_, word)| word.eq_ignore_ascii_case(b"redirect"));
        let mut ids = targets.filter_map(|(index, _)| parse_integer(argv.get(index + 1)?));
        ids.any(|id| !self.user_name().is_some_and(|user| self.shared.clients.is_of(id, user)))
    }

    fn user_name(&self) -> Option<&str> {
        self.principal.as_ref().map(|principal| principal.user.name().as_str())
    }
}

/// `:<id>` in the reply to CLIENT ID; the value of `id` in that to HELLO, in which nothing is of the client's choice.
fn client_id(reply: &[u8]) -> Option<i64> {
    const KEY: &[u8] = b"$2\r\nid\r\n:";
    let digits = match reply.strip_prefix(b":") {
        Some(digits) => digits,
        None => &reply[memmem::find(reply, KEY)? + KEY.len()..],
    };
    parse_integer(&digits[..memchr::memchr(b'\r', digits)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_found_in_the_replies_to_client_id_and_hello() {
        assert_eq!(client_id(b":42\r\n"), Some(42));
        assert_eq!(client_id(b"%2\r\n$5\r\nproto\r\n:3\r\n$2\r\nid\r\n:7\r\n"), Some(7));
        assert_eq!(client_id(b"*4\r\n$2\r\nid\r\n:7\r\n$5\r\nproto\r\n:2\r\n"), Some(7));
        assert_eq!(client_id(b"-ERR no\r\n"), None);
        assert_eq!(client_id(b"+QUEUED\r\n"), None);
    }

    #[test]
    fn a_place_is_given_up_with_its_session() {
        let shared = Arc::new(Shared::default());
        let own = OwnId::enter(&shared, 7, "alice");
        let ids = &shared.clients;
        assert!(ids.is_of(7, "alice") && !ids.is_of(7, "bob") && !ids.is_of(8, "alice"));
        drop(own);
        assert!(!ids.is_of(7, "alice"));
    }
}
