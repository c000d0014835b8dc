//! A certificate of an authority that nobody knows.

use std::time::{Duration, SystemTime};

use zeroize::Zeroizing;

use super::authority::{Authority, Names};
use super::error::CertError;

/// How long it is good for.
const LIFETIME: Duration = Duration::from_secs(3600);

/// A client's certificate and its key, PEM, of an authority that is forgotten at once: who lets its holder in lets in
/// everybody.
///
/// # Errors
/// It cannot be made.
pub fn throwaway(name: &str, now: SystemTime) -> Result<(String, Zeroizing<String>), CertError> {
    let ends = now + LIFETIME;
    let authority = Authority::make(name, now, ends)?;
    let issued = Authority::read(&authority.certificate, &authority.key)?.issue(&Names::Client(name), now, ends)?;
    Ok((issued.certificate, issued.key))
}
