//! What all sessions of a process know together: which user is behind which of Redis's client ids, so that
//! `CLIENT TRACKING … REDIRECT` reaches sessions of the same user only: a session's invalidation messages name its keys, and
//! land among the replies of the other.
//!
//! A session is known by its id from when Redis has told it, in the reply to CLIENT ID or HELLO. Whoever means to be
//! redirected to has asked; so no connection costs anything more, and no id that was guessed is of use.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use memchr::memmem;

use crate::resp::parse_integer;

/// The table, shared by all sessions of all workers. Locked only when one learns its id, is asked for or ends:
/// forwarding a request touches none of it.
#[derive(Debug, Default)]
pub struct ClientIds {
    users: Mutex<HashMap<i64, String>>,
    /// How often somebody asked for an id: what tests of the amount of work count.
    #[cfg(test)]
    asked: std::sync::atomic::AtomicUsize,
}

impl ClientIds {
    /// Whether a session of `user` has this id.
    pub(super) fn is_of(&self, id: i64, user: &str) -> bool {
        #[cfg(test)]
        self.asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        self.users().get(&id).is_some_and(|known| known == user)
    }

    #[cfg(test)]
    pub(super) fn asked(&self) -> usize {
        self.asked.load(std::sync::atomic::Ordering::Relaxed)
    }

    fn users(&self) -> MutexGuard<'_, HashMap<i64, String>> {
        // Nothing panics while it is held, and if something did, the table would be whole.
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A session's own place in the table, given up when it is dropped.
pub(super) struct OwnId {
    id: i64,
    client_ids: Arc<ClientIds>,
}

impl OwnId {
    /// Registers the id for `user`. An earlier place of the session has to be given up before: it may be the same.
    pub(super) fn register(client_ids: &Arc<ClientIds>, id: i64, user: &str) -> Self {
        client_ids.users().insert(id, user.to_owned());
        Self { id, client_ids: Arc::clone(client_ids) }
    }

    /// The session acts for another user now.
    pub(super) fn is_now_of(&self, user: &str) {
        self.client_ids.users().insert(self.id, user.to_owned());
    }
}

impl Drop for OwnId {
    fn drop(&mut self) {
        self.client_ids.users().remove(&self.id);
    }
}

/// `:<id>` in the reply to CLIENT ID; the value of `id` in that to HELLO, in which nothing is of the client's choice.
pub(super) fn client_id(reply: &[u8]) -> Option<i64> {
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
        let client_ids = Arc::new(ClientIds::default());
        let own = OwnId::register(&client_ids, 7, "alice");
        assert!(client_ids.is_of(7, "alice") && !client_ids.is_of(7, "bob") && !client_ids.is_of(8, "alice"));
        own.is_now_of("bob");
        assert!(client_ids.is_of(7, "bob") && !client_ids.is_of(7, "alice"));
        drop(own);
        assert!(!client_ids.is_of(7, "bob"));
    }
}
