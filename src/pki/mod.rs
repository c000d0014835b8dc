//! A small certificate authority in a directory, so that certificates per client need no openssl.
//!
//! [`store`] keeps the directory, [`index`] is its list of what was issued, [`authority`] makes what is signed.

mod authority;
mod certificate_file;
mod error;
mod index;
mod store;

pub use authority::{Names, random_name};
pub use error::CertError;
pub use index::{Choice, ChoiceError, Entry, Kind, date};
pub use store::{AUTHORITY, CRL_FILE, Store};
