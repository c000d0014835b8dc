//! What the service manager is told of the process [sd_notify(3)]. Where there is none, nobody is told anything.

use std::time::Duration;

use sd_notify::NotifyState;

use super::health::Health;
use crate::audit::events;

/// The proxy serves: it has been started, or a reload is over.
pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// Somebody has asked for a reload, which ends with [`ready`].
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => events::service_manager_not_told(&error),
    }
}

/// The end has begun.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// How the proxy is, for whoever asks the service manager.
pub(super) fn status(health: Health) {
    tell(&[NotifyState::Status(&health.to_string())]);
}

/// Nothing is stuck.
pub(super) fn ping() {
    tell(&[NotifyState::Watchdog]);
}

/// After how long without a [`ping`] the process is taken for stuck, if that is looked at.
pub(super) fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().filter(|time| !time.is_zero())
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        events::service_manager_not_told(&error);
    }
}
