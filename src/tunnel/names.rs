//! What names mean at this moment, as the system's resolver says.
//!
//! It blocks its thread, for as long as a DNS server that does not answer is waited for. So of each name one question at most
//! is under way, however many applications connect meanwhile.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use tokio::net::lookup_host;
use tokio::sync::watch;
use tokio::task::spawn_local;

use crate::config::Endpoint;

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
            let found = lookup_host((key.0.as_str(), key.1)).await.map(Iterator::collect::<Vec<_>>);
            names.0.borrow_mut().remove(&key);
            let found = found.map_err(|error| error.to_string()).and_then(|addresses| match addresses.is_empty() {
                true => Err("the name has no address".to_owned()),
                false => Ok(addresses),
            });
            answer.send_replace(Some(found));
        });
        asked
    }
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

    #[tokio::test]
    async fn a_name_that_means_nothing_is_an_error() {
        let names = Rc::new(Names::default());
        let outcome = LocalSet::new().run_until(async { names.resolve(&endpoint("nowhere.invalid")).await }).await;
        assert!(outcome.is_err(), "{outcome:?}");
    }
}
