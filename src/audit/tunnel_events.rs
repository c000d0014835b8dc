//! The events of tunnels: applications cause them, as often as they connect.

use std::fmt::Display;
use std::net::SocketAddr;
use std::time::Duration;

use tracing::{info, warn};

use super::client_events::{ClientEvents, Volume};
use super::limit::Key;
use super::words::{self, Event, TunnelEnd, TunnelFault};
use crate::config::{Endpoint, TunnelAddress};

/// One tunnel of the configuration.
#[derive(Debug, Clone, Copy)]
pub struct TunnelLabel<'a> {
    /// Counted from 0.
    pub number: usize,
    /// Where applications connect.
    pub listen: &'a TunnelAddress,
}

impl TunnelLabel<'_> {
    fn key(&self, event: Event, reason: &'static str) -> Key {
        Key::new(event).of(&self.listen.to_string()).because(reason)
    }
}

impl ClientEvents {
    /// An application has its tunnel to the server at this address, so long after it came.
    pub fn tunnel_opened(&self, tunnel: TunnelLabel<'_>, server: SocketAddr, took: Duration) {
        if self.admits(tunnel.key(Event::TunnelOpened, "")) {
            info!(
                event = words::event(Event::TunnelOpened),
                outcome = words::outcome(Event::TunnelOpened),
                tunnel = %tunnel.listen,
                %server,
                seconds = took.as_secs_f64(),
                count = 1,
                "tunnel opened"
            );
        }
    }

    /// A server cannot be had, or is lost. Its address is not known where its name means none.
    pub fn tunnel_failed(
        &self,
        tunnel: TunnelLabel<'_>,
        server: Option<&Endpoint>,
        address: Option<SocketAddr>,
        fault: TunnelFault,
        error: &dyn Display,
    ) {
        let reason = words::tunnel_fault(fault);
        self.counts().tunnel_failed(tunnel.number, reason);
        if self.admits(tunnel.key(Event::TunnelFailed, reason)) {
            warn!(
                event = words::event(Event::TunnelFailed),
                outcome = words::outcome(Event::TunnelFailed),
                tunnel = %tunnel.listen,
                server = server.map(tracing::field::display),
                address = address.map(tracing::field::display),
                reason,
                %error,
                count = 1,
                "tunnel failed"
            );
        }
    }

    /// An application has its tunnel no more.
    pub fn tunnel_closed(
        &self,
        tunnel: TunnelLabel<'_>,
        server: SocketAddr,
        end: Result<TunnelEnd, TunnelFault>,
        volume: Volume,
        lasted: Duration,
    ) {
        let reason = end.map_or_else(words::tunnel_fault, words::tunnel_end);
        if self.admits(tunnel.key(Event::TunnelClosed, reason)) {
            info!(
                event = words::event(Event::TunnelClosed),
                outcome = words::outcome(Event::TunnelClosed),
                tunnel = %tunnel.listen,
                %server,
                reason,
                seconds = lasted.as_secs_f64(),
                received = volume.received,
                sent = volume.sent,
                count = 1,
                "tunnel closed"
            );
        }
    }

    /// There is no place for an application.
    pub fn tunnel_refused(&self, tunnel: TunnelLabel<'_>, exhausted: words::Exhausted) {
        let reason = words::exhausted(exhausted);
        self.counts().tunnel_failed(tunnel.number, reason);
        if self.admits(tunnel.key(Event::TunnelRefused, reason)) {
            warn!(
                event = words::event(Event::TunnelRefused),
                outcome = words::outcome(Event::TunnelRefused),
                tunnel = %tunnel.listen,
                reason,
                count = 1,
                "no place for an application"
            );
        }
    }
}
