//! The TLS side of tunnels.

use std::sync::Arc;
use std::time::SystemTime;

use super::Builder;
use crate::generation::BuildError;
use crate::tls::{ClientMaterial, client_material};

impl Builder<'_> {
    /// Of each tunnel, in their order; of fewer where something is wrong.
    pub(super) fn tunnels(&mut self) -> Vec<Arc<ClientMaterial>> {
        let mut loaded = Vec::new();
        for tunnel in &self.config.tunnels {
            match client_material::load(&tunnel.tls, self.files, SystemTime::now()) {
                Ok(material) => {
                    material.findings().iter().for_each(|finding| self.tell(finding));
                    loaded.push(Arc::new(material));
                }
                Err(errors) => {
                    self.errors.extend(errors.iter().map(|error| BuildError::of_tunnel(&tunnel.listen, error)));
                }
            }
        }
        loaded
    }

    /// As they are, and what there is to say of them.
    pub(super) fn kept_tunnels(&mut self, before: &[Arc<ClientMaterial>]) -> Vec<Arc<ClientMaterial>> {
        before.iter().flat_map(|material| material.findings()).for_each(|finding| self.tell(finding));
        before.to_vec()
    }
}
