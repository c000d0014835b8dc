//! Which certificate chains a new generation no longer trusts.
//!
//! What a CRL lists is found in microseconds and ends at once; verifying all the others takes a hundred each.

use std::collections::HashMap;
use std::time::SystemTime;

use crate::identity::CertificateRefusal;
use crate::identity::Fingerprint;
use crate::ops::generation::Generation;
use crate::session::CloseReason;
use crate::tls::{CertificateChain, TlsMaterial};

/// A certificate chain, by the listener whose trust it stands under.
pub(super) type ChainKey = (usize, Fingerprint);

/// Chains whose sessions have to end, and why.
pub(super) type Condemned = HashMap<ChainKey, CloseReason>;

/// Chains and what they are known by.
pub(super) type Chains = Vec<(ChainKey, CertificateChain)>;

/// Those that a CRL lists, and those that have to be verified.
pub(super) fn split(generation: &Generation, chains: Chains) -> (Condemned, Chains) {
    let (listed, unlisted): (Chains, Chains) = chains
        .into_iter()
        .partition(|(key, chain)| material(generation, key).is_some_and(|material| material.lists_as_revoked(chain)));
    (
        listed.into_iter().map(|(key, _)| (key, CloseReason::Certificate(CertificateRefusal::Revoked))).collect(),
        unlisted,
    )
}

/// Those that are not trusted any more.
pub(super) fn verify(generation: &Generation, chains: &[(ChainKey, CertificateChain)], now: SystemTime) -> Condemned {
    let judged = chains.iter().map(|(key, chain)| (key, verdict(material(generation, key), chain, now)));
    judged.filter_map(|(key, verdict)| Some((*key, CloseReason::Certificate(verdict.err()?)))).collect()
}

fn material<'a>(generation: &'a Generation, key: &ChainKey) -> Option<&'a TlsMaterial> {
    generation.listeners.get(key.0).and_then(Option::as_deref)
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
