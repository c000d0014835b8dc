//! The cryptography behind TLS: aws-lc-rs, or ring in a build without it. Always passed on explicitly.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::server::ProducesTickets;

#[cfg(feature = "aws-lc-rs")]
use rustls::crypto::aws_lc_rs as chosen;
#[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
use rustls::crypto::ring as chosen;
#[cfg(not(any(feature = "aws-lc-rs", feature = "ring")))]
compile_error!("one of the features `aws-lc-rs` and `ring` is needed");

/// The provider of this build.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(chosen::default_provider())
}

/// A ticketer under fresh keys. Tickets of another one do not decrypt under it.
pub(super) fn ticketer() -> Result<Arc<dyn ProducesTickets>, rustls::Error> {
    chosen::Ticketer::new()
}
