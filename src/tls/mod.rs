//! TLS: configuration, verification, handshake and an orderly close.
//!
//! [`material::load`] turns [`TlsSettings`] into [`TlsMaterial`], fresh at every call and never changed afterwards;
//! [`handshake`] uses it on one connection. [`client_material::load`] and [`server_connection`] are the same of a tunnel, where
//! we are the client. Types of rustls stay inside this module.

mod anchors;
mod authority;
mod barren;
pub mod chain;
pub mod client;
pub mod client_file;
pub mod client_material;
mod client_stream;
pub mod close;
mod editions;
mod expiry;
pub mod explain;
pub mod handshake;
mod in_force;
mod keys;
pub mod list_file;
pub mod load_error;
mod loader;
pub mod material;
mod pem;
mod provider;
mod read_ahead;
mod refusal;
mod revocation;
pub mod server_connection;
mod server_verdicts;
mod server_verifier;
pub mod settings;
mod shown;
#[cfg(test)]
mod test_files;
mod verifier;
mod width;

pub use chain::{CertificateChain, Voucher};
pub use client_material::ClientMaterial;
pub use client_stream::ClientStream;
pub use expiry::{Expiries, Expiry, ExpiryKind};
pub use in_force::{InForce, NewTrust, Subordinate};
pub use load_error::{Finding, LoadError, Problem, Severity};
pub use material::TlsMaterial;
pub use pem::{PemError, PemFault};
pub use server_connection::{ServerConnection, ServerError, ServerFault, ServerName};
pub use server_verdicts::ServerVerdicts;
pub use server_verifier::ServerRefusal;
pub use settings::{AuthClients, ClientTlsSettings, CrlCheck, CrlExpired, Protocols, RuleKeys, TlsSettings};
