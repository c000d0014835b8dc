//! Bounds of the process as a whole, which sessions of all workers share.

use std::sync::Arc;

use super::capacity::{self, TooFewDescriptors};
use crate::config::Config;
use crate::net::{Gate, GateLimits, MemoryBudget, Places};

/// How many clients and handshakes there may be, and how many bytes may be held.
#[derive(Clone)]
pub(super) struct Bounds {
    pub(super) gate: Arc<Gate>,
    pub(super) handshakes: Arc<Places>,
    pub(super) budget: Arc<MemoryBudget>,
}

impl Bounds {
    /// Of a process that begins with this configuration.
    ///
    /// # Errors
    /// There are too few file descriptors.
    pub(super) fn new(config: &Config) -> Result<Self, TooFewDescriptors> {
        Ok(Self {
            gate: Gate::new(gate_limits(config)?),
            handshakes: Places::new(config.limits.max_handshakes),
            budget: MemoryBudget::new(config.limits.memory_budget),
        })
    }

    /// From now on they are what this configuration says.
    ///
    /// # Errors
    /// There are too few file descriptors: the clients may be as many as before.
    pub(super) fn set(&self, config: &Config) -> Result<(), TooFewDescriptors> {
        self.handshakes.resize(config.limits.max_handshakes);
        self.budget.set_limit(config.limits.memory_budget);
        self.gate.set_limits(gate_limits(config)?);
        Ok(())
    }
}

fn gate_limits(config: &Config) -> Result<GateLimits, TooFewDescriptors> {
    Ok(GateLimits { connections: capacity::find(config)?, per_address: config.limits.max_connections_per_address })
}
