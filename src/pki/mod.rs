//! A small certificate authority in a directory, so that certificates per client need no openssl.
//!
//! [`store`] keeps the directory, [`index`] is its list of what was issued, [`authority`] makes what is signed,
//! [`renewal`] makes again what ends.

mod authority;
mod certificate_file;
mod error;
mod index;
mod renewal;
mod store;
mod throwaway;

pub use authority::{Names, random_name};
pub use error::CertError;
pub use index::{Choice, ChoiceError, Entry, Kind, date};
pub use renewal::{Due, NotRenewed, Renewal, Renewed};
pub use store::{AUTHORITY, AUTHORITY_DAYS, CERTIFICATE_DAYS, CRL_FILE, Store};
pub use throwaway::throwaway;
