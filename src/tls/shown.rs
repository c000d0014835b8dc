//! The certificate that a client shows in a handshake, for the log: rustls does not give it back where it is refused.

use std::cell::RefCell;
use std::future::Future;

use rustls::pki_types::CertificateDer;

tokio::task_local! {
    /// That of the handshake that goes on at the moment.
    static SHOWN: RefCell<Option<Vec<u8>>>;
}

/// Goes through with a handshake. Where it fails, the certificate is given that its client has shown by then, DER. He need
/// not have its key.
pub(super) async fn watch<T, E>(handshake: impl Future<Output = Result<T, E>>) -> Result<T, (E, Option<Vec<u8>>)> {
    let watched = async { handshake.await.map_err(|error| (error, SHOWN.with(RefCell::take))) };
    SHOWN.scope(RefCell::default(), watched).await
}

/// A client shows this one.
pub(super) fn note(leaf: &CertificateDer<'_>) {
    // Elsewhere nobody watches.
    let _ = SHOWN.try_with(|shown| shown.replace(Some(leaf.to_vec())));
}
