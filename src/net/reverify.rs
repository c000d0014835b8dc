//! Which certificate chains a new generation no longer trusts.
//!
//! What a CRL lists is found in microseconds and ends at once; verifying all the others takes a hundred each.

use std::collections::HashMap;
use std::time::SystemTime;

use crate::generation::Generation;
use crate::identity::{CertificateRefusal, Fingerprint, PeerIdentity};
use crate::session::CloseReason;
use crate::tls::{CertificateChain, TlsMaterial, Voucher, handshake};

/// A certificate chain that has let sessions in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ChainKey {
    /// Whose trust it stands under.
    pub(super) listener: usize,
    /// Of the whole chain.
    pub(super) fingerprint: Fingerprint,
    /// What made it trusted, which is a part of whose it is.
    pub(super) voucher: Voucher,
}

/// Chains whose sessions have to end, and why.
pub(super) type ChainsToClose = HashMap<ChainKey, CloseReason>;

/// Chains and what they are known by.
pub(super) type Chains = Vec<(ChainKey, CertificateChain)>;

/// Those that a CRL lists, and those that have to be verified.
pub(super) fn split(generation: &Generation, chains: Chains) -> (ChainsToClose, Chains) {
    let (listed, unlisted): (Chains, Chains) = chains
        .into_iter()
        .partition(|(key, chain)| material(generation, key).is_some_and(|material| material.lists_as_revoked(chain)));
    (
        listed.into_iter().map(|(key, _)| (key, CloseReason::Certificate(CertificateRefusal::Revoked))).collect(),
        unlisted,
    )
}

/// Those that are not trusted any more, or for another reason, which makes them somebody else's.
pub(super) fn verify(
    generation: &Generation,
    chains: &[(ChainKey, CertificateChain)],
    now: SystemTime,
) -> ChainsToClose {
    let judged = chains.iter().map(|(key, chain)| (key, verdict(generation, key, chain, now)));
    judged.filter_map(|(key, verdict)| Some((*key, verdict.err()?))).collect()
}

fn material<'a>(generation: &'a Generation, key: &ChainKey) -> Option<&'a TlsMaterial> {
    generation.listeners.get(key.listener).and_then(Option::as_deref)
}

fn verdict(
    generation: &Generation,
    key: &ChainKey,
    chain: &CertificateChain,
    now: SystemTime,
) -> Result<(), CloseReason> {
    let material = material(generation, key).ok_or(CloseReason::Certificate(CertificateRefusal::NotAsked))?;
    match material.reverify_live(chain, now) {
        Ok(voucher) if is_still_the_same(generation, material, key, chain, voucher) => Ok(()),
        Ok(_) => Err(CloseReason::IdentityChanged),
        Err(refusal) => Err(CloseReason::Certificate(refusal)),
    }
}

/// Whether the certificate is the same user's as before, by whoever vouches for it now and with the names it may have.
fn is_still_the_same(
    generation: &Generation,
    material: &TlsMaterial,
    key: &ChainKey,
    chain: &CertificateChain,
    voucher: Voucher,
) -> bool {
    if voucher == key.voucher && material.permits_common_name(chain, voucher) {
        return true;
    }
    let user = |identity: PeerIdentity| generation.policy.certificates.user_for(&identity);
    let before = handshake::identity(chain, key.voucher).map(user);
    let now = handshake::permitted_identity(chain, voucher, material).map(user);
    before.is_ok() && before == now
}
