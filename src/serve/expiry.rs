//! Certificates and CRLs that end while the process runs. What a load finds it says itself; here it is said when time
//! has gone on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;

use crate::audit::events;
use crate::config::Listener;
use crate::generation::Generation;
use crate::tls::explain::{EXPIRY_NOTICE, unix_seconds};
use crate::tls::{CrlExpired, Expiry, TlsMaterial};

/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(5);

const DAY: i64 = 86_400;

/// Says for ever what ends soon, once a day, and what has ended.
pub(super) async fn watch(generation: Arc<ArcSwap<Generation>>) {
    let mut calendar = Calendar::default();
    let mut looks = tokio::time::interval(INTERVAL);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let now = unix_seconds(SystemTime::now());
        let news = calendar.look(&expiries(&generation.load()), now);
        news.iter().for_each(|expiry| events::expiry(expiry, now));
    }
}

/// But for CRLs that are good enough when they have ended.
fn expiries(generation: &Generation) -> BTreeSet<Expiry> {
    let listeners = generation.config.listeners.iter().zip(&generation.listeners);
    let of_listener = |(settings, material): (&Listener, &Option<Arc<TlsMaterial>>)| {
        let may_end = settings.tls.as_ref().is_some_and(|settings| settings.crl_expired == CrlExpired::Ignore);
        let all: Vec<Expiry> = material.iter().flat_map(|material| material.expiries().iter()).collect();
        all.into_iter().filter(move |expiry| !(may_end && expiry.kind.is_crl()))
    };
    let of_tunnels = generation.tunnels.iter().flat_map(|material| material.expiries().iter());
    listeners.flat_map(of_listener).chain(of_tunnels).collect()
}

/// How many days were left of each, when it was seen last; one number for all that is more than the notice.
#[derive(Default)]
struct Calendar(BTreeMap<Expiry, i64>);

impl Calendar {
    /// What there is to say at this time, in seconds since 1970 UTC. Of what is new the load has told.
    fn look(&mut self, expiries: &BTreeSet<Expiry>, now: i64) -> Vec<Expiry> {
        let days = |expiry: &Expiry| expiry.at.saturating_sub(now).min(EXPIRY_NOTICE).div_euclid(DAY);
        let seen = std::mem::take(&mut self.0);
        self.0 = expiries.iter().map(|expiry| (expiry.clone(), days(expiry))).collect();
        let is_news = |(expiry, days): &(&Expiry, &i64)| seen.get(expiry).is_some_and(|before| before != *days);
        self.0.iter().filter(is_news).map(|(expiry, _)| expiry.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::ExpiryKind;

    #[test]
    fn what_ends_is_told_once_a_day_from_14_days_before() {
        let expiry = |at| Expiry { kind: ExpiryKind::Crl, file: "ca.crl".to_owned(), at };
        let end = 100 * DAY;
        let files = BTreeSet::from([expiry(end), expiry(300 * DAY)]);
        let mut calendar = Calendar::default();
        let mut told = Vec::new();
        for hour in 0..=102 * 24 {
            for news in calendar.look(&files, hour * 3600) {
                assert_eq!(news.at, end);
                told.push((end - hour * 3600).div_euclid(3600));
            }
        }
        let days = (1..=14).rev().map(|day| day * 24 - 1);
        assert_eq!(told, days.chain([-1, -25]).collect::<Vec<_>>(), "in hours before its end");
    }

    #[test]
    fn what_a_load_has_told_of_is_not_told_again_on_that_day() {
        let files = BTreeSet::from([Expiry { kind: ExpiryKind::Server, file: "server.crt".to_owned(), at: 10 * DAY }]);
        let mut calendar = Calendar::default();
        assert_eq!(calendar.look(&files, 5 * DAY), []);
        assert_eq!(calendar.look(&files, 5 * DAY), []);
        assert_eq!(calendar.look(&files, 6 * DAY + 1).len(), 1);
        assert_eq!(calendar.look(&BTreeSet::new(), 7 * DAY), []);
    }
}
