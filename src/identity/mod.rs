//! From a client certificate to a user name. Pure.
//!
//! [`PeerIdentity`] is what a certificate says about its holder, with every hostile or ambiguous value already taken
//! out. [`CertificateMap`] is the operator's ordered list of rules that turns such an identity into a user name.
//! Whether that user exists, is on, or may be reached by a template is for `policy` to judge.

mod field;
mod glob;
mod map;
mod peer;
mod public_key;
mod refusal;
mod rule;
mod template;
#[cfg(test)]
pub(crate) mod test_pki;
pub mod x509;

pub use field::{Field, FieldName, Flaw};
#[cfg(test)]
pub(crate) use map::asked;
pub use map::{CertificateMap, FieldFault, Mapping, MappingRefusal, UserFrom};
pub use peer::{Fingerprint, IdentityError, PeerIdentity};
pub use refusal::CertificateRefusal;
pub use rule::{RuleError, RuleSpec, parse_serial};
