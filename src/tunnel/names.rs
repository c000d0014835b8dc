//! What names mean at this moment, as the system's resolver says.
//!
//! It blocks its thread, for as long as a DNS server that does not answer is waited for. So each question has a thread of its
//! own, on which nothing else waits and which nobody waits for at the end; of each name one question at most is under way,
//! however many applications connect meanwhile, and few in all.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::rc::Rc;
use std::thread;

use tokio::sync::{Semaphore, oneshot, watch};
use tokio::task::spawn_local;

use crate::config::Endpoint;

/// Questions that may be under way at once, of all threads.
const MOST: usize = 64;

static PLACES: Semaphore = Semaphore::const_new(MOST);

/// What has come of a question: the addresses, or why there are none.
type Answer = Result<Vec<SocketAddr>, String>;

/// One that may be yet to come.
type Awaited = watch::Receiver<Option<Answer>>;

/// Questions that are under way, by host and port.
#[derive(Debug, Default)]
pub(super) struct Names(RefCell<HashMap<(String, u16), Awaited>>);

impl Names {
    /// The addresses of a server, in the order of the resolver. Needs a `LocalSet`.
    ///
    /// # Errors
    /// There are none, in words.
    pub(super) async fn resolve(self: &Rc<Self>, Endpoint { host, port, .. }: &Endpoint) -> Answer {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, *port)]);
        }
        let mut answer = self.question(host, *port);
        match answer.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(answer)) => answer.clone(),
            Ok(None) | Err(_) => Err("the resolver has broken down".to_owned()),
        }
    }

    fn question(self: &Rc<Self>, host: &str, port: u16) -> Awaited {
        let key = (host.to_owned(), port);
        if let Some(asked) = self.0.borrow().get(&key) {
            return asked.clone();
        }
        let (answer, asked) = watch::channel(None);
        self.0.borrow_mut().insert(key.clone(), asked.clone());
        let names = Rc::clone(self);
        // Whoever asked may give up before it is answered; others wait for the same.
        spawn_local(async move {
            let found = look_up(key.clone()).await.map_err(|error| error.to_string());
            names.0.borrow_mut().remove(&key);
            let found = found.and_then(|addresses| match addresses.is_empty() {
                true => Err("the name has no address".to_owned()),
                false => Ok(addresses),
            });
            answer.send_replace(Some(found));
        });
        asked
    }
}

async fn look_up(name: (String, u16)) -> io::Result<Vec<SocketAddr>> {
    let gone = || io::Error::other("the resolver has broken down");
    let place = PLACES.acquire().await.map_err(|_| gone())?;
    let (answer, answered) = oneshot::channel();
    thread::Builder::new().name("resolver".to_owned()).spawn(move || {
        let _place = place;
        // Whoever asked may be gone.
        let _ = answer.send(name.to_socket_addrs().map(Iterator::collect));
    })?;
    answered.await.unwrap_or_else(|_| Err(gone()))
}

#[cfg(test)]
mod tests {
    use tokio::task::LocalSet;

    use super::*;
    use crate::tls::ServerName;

    fn endpoint(host: &str) -> Endpoint {
        Endpoint { host: host.to_owned(), port: 6380, name: ServerName::parse("redis.example").unwrap() }
    }

    #[tokio::test]
    async fn an_address_is_what_it_says_and_a_name_is_asked_for_once_at_a_time() {
        let names = Rc::new(Names::default());
        let local = LocalSet::new();
        local
            .run_until(async {
                assert_eq!(names.resolve(&endpoint("::1")).await, Ok(vec!["[::1]:6380".parse().unwrap()]));
                assert!(names.0.borrow().is_empty());
                let localhost = endpoint("localhost");
                let (first, second) = (names.question("localhost", 6380), names.question("localhost", 6380));
                assert!(first.same_channel(&second));
                let found = names.resolve(&localhost).await.unwrap();
                assert!(found.iter().all(|address| address.ip().is_loopback()), "{found:?}");
                assert!(names.0.borrow().is_empty());
            })
            .await;
    }

    #[test]
    fn names_are_asked_for_on_no_thread_that_something_else_is_to_be_done_on() {
        let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build().unwrap();
        let (done, is_done) = std::sync::mpsc::channel::<()>();
        let other = runtime.spawn_blocking(move || is_done.recv());
        let names = Rc::new(Names::default());
        let found = runtime.block_on(LocalSet::new().run_until(async { names.resolve(&endpoint("localhost")).await }));
        assert!(found.is_ok(), "{found:?}");
        drop(done);
        assert!(runtime.block_on(other).unwrap().is_err());
    }

    #[tokio::test]
    async fn a_name_that_means_nothing_is_an_error() {
        let names = Rc::new(Names::default());
        let outcome = LocalSet::new().run_until(async { names.resolve(&endpoint("nowhere.invalid")).await }).await;
        assert!(outcome.is_err(), "{outcome:?}");
    }
}
