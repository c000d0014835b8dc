//! Which chains would take long to find a path through. Whoever shows one has paid nothing for it yet: nobody has to vouch for
//! what is in it.

use rustls::pki_types::CertificateDer;
use webpki::EndEntityCert;

/// More certificates than this are shown by nobody who means well: webpki goes up six CAs at most.
const MOST_INTERMEDIATES: usize = 10;

/// So many CAs of one name may be shown: the key of one was replaced, or others have cross-signed it.
const MOST_NAMESAKES: usize = 2;

/// webpki tries every way through them, and the ways multiply: where two names are there twice there are four.
const MOST_WAYS: usize = 4;

/// Whether these are more than are searched.
pub(super) fn is_too_wide(intermediates: &[CertificateDer<'_>]) -> bool {
    if intermediates.len() > MOST_INTERMEDIATES {
        return true;
    }
    // What cannot be read is left to webpki, which passes over it.
    let shown: Vec<EndEntityCert<'_>> =
        intermediates.iter().filter_map(|der| EndEntityCert::try_from(der).ok()).collect();
    let mut ways = 1;
    for (at, certificate) in shown.iter().enumerate() {
        let is_namesake = |other: &EndEntityCert<'_>| other.subject() == certificate.subject();
        if shown[..at].iter().any(is_namesake) {
            continue;
        }
        let namesakes = shown[at..].iter().filter(|other| is_namesake(other)).count();
        ways *= namesakes;
        if namesakes > MOST_NAMESAKES || ways > MOST_WAYS {
            return true;
        }
    }
    false
}
