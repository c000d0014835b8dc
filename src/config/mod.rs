//! From flags, environment and file to one validated configuration.

mod model;
mod secret;

pub use model::{
    AclDialect, AclSource, AuthClients, Block, CertificateRule, ClientsUser, Config, CrlCheck, CrlExpired, Limits,
    Listener, LogFormat, LogLevel, LogSettings, Rename, TlsFiles, TlsProtocols, Unmapped, Upstream, UpstreamAddress,
    UserSettings,
};
pub use secret::Redacted;
