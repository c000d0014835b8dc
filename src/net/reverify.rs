//! Which certificate chains a new generation no longer trusts.
//!
//! What a CRL lists is found in microseconds and ends at once; verifying all the others takes a hundred each.

use std::collections::HashMap;
use std::time::SystemTime;

use crate::identity::Fingerprint;
use crate::ops::generation::Generation;
use crate::session::CloseReason;
use crate::tls::{CertificateChain, CertificateRefusal, TlsMaterial};

/// Chains that are verified before the condemned ones among them are told of.
const BATCH: usize = 64;

/// A certificate chain, by the listener whose trust it stands under.
pub(super) type ChainKey = (usize, Fingerprint);

/// Chains whose sessions have to end, and why.
pub(super) type Condemned = HashMap<ChainKey, CloseReason>;

/// Judges every chain under the trust of `generation`, and tells of the condemned ones as they are found.
pub(super) fn judge(
    generation: &Generation,
    chains: Vec<(ChainKey, CertificateChain)>,
    now: SystemTime,
    mut tell: impl FnMut(Condemned),
) {
    let material = |key: &ChainKey| generation.listeners.get(key.0).and_then(Option::as_deref);
    let (listed, unlisted): (Vec<_>, Vec<_>) = chains
        .into_iter()
        .partition(|(key, chain)| material(key).is_some_and(|material| material.lists_as_revoked(chain)));
    tell(listed.into_iter().map(|(key, _)| (key, CloseReason::CertificateRevoked)).collect());
    for batch in unlisted.chunks(BATCH) {
        let condemned: Condemned = batch
            .iter()
            .filter_map(|(key, chain)| Some((*key, close_reason(verdict(material(key), chain, now).err()?))))
            .collect();
        if !condemned.is_empty() {
            tell(condemned);
        }
    }
}

fn verdict(
    material: Option<&TlsMaterial>,
    chain: &CertificateChain,
    now: SystemTime,
) -> Result<(), CertificateRefusal> {
    match material.ok_or(CertificateRefusal::NotAsked)?.reverify(chain, now) {
        // No word against a session that is there already: only new ones have to wait for the next list.
        Err(CertificateRefusal::RevocationListExpired) => Ok(()),
        verdict => verdict,
    }
}

fn close_reason(refusal: CertificateRefusal) -> CloseReason {
    match refusal {
        CertificateRefusal::Revoked => CloseReason::CertificateRevoked,
        CertificateRefusal::Expired => CloseReason::CertificateExpired,
        refusal => CloseReason::CertificateUntrusted(refusal.label()),
    }
}
