//! What rustls refuses, said before it does, in words that name the way out.

use std::time::SystemTime;

use time::OffsetDateTime;

use super::keys;
use crate::identity::x509::Certificate;

/// How long before a certificate or list expires it is worth a warning, in seconds.
pub const EXPIRY_NOTICE: i64 = 14 * 86_400;

const SHA1_SIGNATURES: [&str; 3] = [
    "1.2.840.113549.1.1.5", // sha1WithRSAEncryption
    "1.2.840.10045.4.1",    // ecdsa-with-SHA1
    "1.2.840.10040.4.3",    // dsa-with-SHA1
];

/// Seconds since 1970 UTC, as certificates count.
pub fn unix_seconds(time: SystemTime) -> i64 {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_secs()).map_or(i64::MIN, |seconds| -seconds),
    }
}

/// When something expires, in words, if that is soon; nothing if it has already.
pub(super) fn expires_soon(expires_at: i64, now: SystemTime) -> Option<String> {
    let left = expires_at.saturating_sub(unix_seconds(now));
    (0..=EXPIRY_NOTICE).contains(&left).then(|| format!("expires in {}", in_words(left)))
}

/// A time in seconds, in words.
pub fn in_words(seconds: i64) -> String {
    if seconds >= 2 * 86_400 { format!("{} days", seconds / 86_400) } else { format!("{} hours", seconds / 3600) }
}

/// The day of a time in seconds since 1970 UTC.
pub(super) fn date(seconds: i64) -> String {
    match OffsetDateTime::from_unix_timestamp(seconds) {
        Ok(time) => format!("{:04}-{:02}-{:02}", time.year(), u8::from(time.month()), time.day()),
        Err(_) => "a day that no calendar has".to_owned(),
    }
}

/// Whether its signature is of a kind that is too weak to be verified.
pub(super) fn is_signed_with_sha1(certificate: &Certificate) -> bool {
    SHA1_SIGNATURES.contains(&certificate.signature_algorithm.as_str())
}

/// Why a certificate cannot be one of the client CAs; nothing if it can. Whether it is valid now is another question.
pub(super) fn authority(certificate: &Certificate) -> Vec<String> {
    let mut reasons = Vec::new();
    if certificate.version != 3 {
        reasons.push(format!(
            "it is X.509 version {}, so nothing in it says that it is a CA; make it anew with the same key: \
             openssl req -x509 -new -key CA.KEY -subj SUBJECT -days N -addext basicConstraints=critical,CA:TRUE \
             -addext keyUsage=critical,keyCertSign,cRLSign",
            certificate.version
        ));
        return reasons;
    }
    if !certificate.is_ca {
        reasons.push("it is no CA certificate (no CA:TRUE)".to_owned());
    }
    if certificate.key_usage.is_some_and(|usage| !usage.certificate_sign) {
        reasons.push("its key usage does not allow keyCertSign".to_owned());
    }
    if certificate.purposes.is_some_and(|purposes| !purposes.client) {
        reasons.push("its extended key usage does not allow clientAuth, and so does nothing it has issued".to_owned());
    }
    if !certificate.unknown_critical.is_empty() {
        let extensions = certificate.unknown_critical.join(", ");
        reasons.push(format!("it has a critical extension that is not known here ({extensions})"));
    }
    reasons
}

/// How to trust a client's certificate for its key, which is what somebody wants who writes it into the CA file.
pub(super) fn pin(certificate: &Certificate) -> String {
    format!(
        ". To trust the holder of this key alone, take it out of the file and write a [[certificate]] with \
         trust = \"pin\", spki-sha256 = \"{}\" and its user",
        certificate.spki_sha256
    )
}

/// Why a certificate would be refused from a client whoever issued it; nothing if it would not.
pub fn client_certificate(certificate: &Certificate, now: SystemTime) -> Vec<String> {
    let mut reasons = shared(certificate, now);
    if !certificate.has_usual_key {
        reasons.push(format!("its key is of a kind or form that is not accepted: {}", keys::ACCEPTED));
    }
    if certificate.is_ca {
        reasons.push(
            "it is a CA certificate (CA:TRUE), which `openssl req -x509` makes by default, and cannot be a client's \
             own; issue one with basicConstraints=CA:FALSE"
                .to_owned(),
        );
    }
    if certificate.purposes.is_some_and(|purposes| !purposes.client) {
        reasons.push(
            "its extended key usage does not allow clientAuth; issue it with extendedKeyUsage=clientAuth, or with none"
                .to_owned(),
        );
    }
    if certificate.key_usage.is_some_and(|usage| !usage.digital_signature) {
        reasons.push(
            "its key usage does not allow digitalSignature; issue it with keyUsage=digitalSignature, or with none"
                .to_owned(),
        );
    }
    reasons
}

/// Why clients would refuse the server's certificate, or rustls would not load it.
pub fn server_certificate(certificate: &Certificate, now: SystemTime) -> Vec<String> {
    let mut reasons = shared(certificate, now);
    if certificate.is_ca {
        reasons.push(
            "it is a CA certificate (CA:TRUE), which `openssl req -x509` makes by default, and clients built on rustls \
             refuse it; issue one with basicConstraints=CA:FALSE"
                .to_owned(),
        );
    }
    if certificate.purposes.is_some_and(|purposes| !purposes.server) {
        reasons.push(
            "its extended key usage does not allow serverAuth; issue it with extendedKeyUsage=serverAuth".to_owned(),
        );
    }
    reasons
}

fn shared(certificate: &Certificate, now: SystemTime) -> Vec<String> {
    let mut reasons = Vec::new();
    let now = unix_seconds(now);
    if certificate.version != 3 {
        reasons.push(format!(
            "it is X.509 version {}, which plain `openssl x509 -req` makes; add `-extfile` with at least one extension \
             to get version 3",
            certificate.version
        ));
    }
    if certificate.not_after < now {
        reasons.push("it has expired".to_owned());
    }
    if certificate.not_before > now {
        reasons.push("it is not valid yet".to_owned());
    }
    if is_signed_with_sha1(certificate) {
        reasons.push("it is signed with SHA-1; issue it with -sha256".to_owned());
    }
    reasons
}
