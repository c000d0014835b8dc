//! The one form of a public key.
//!
//! Keys are told apart by the SHA-256 of their SubjectPublicKeyInfo, so one key in two forms would pass for two: as
//! another CA than the one that a rule speaks of or a CRL has revoked. Those who verify signatures take more forms than
//! one.

/// What every key of a kind begins with, up to the uncompressed point of a curve, and how long it is in all, in bytes.
const FIXED: [(&[u8], usize); 4] = [
    // P-256
    (
        b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00\x04",
        91,
    ),
    // P-384
    (b"\x30\x76\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22\x03\x62\x00\x04", 120),
    // P-521
    (b"\x30\x81\x9b\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x23\x03\x81\x86\x00\x04", 158),
    // Ed25519
    (b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00", 44),
];

/// rsaEncryption, its parameters NULL.
const RSA: &[u8] = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";

/// Whether a SubjectPublicKeyInfo, DER, is the usual form of a key on P-256, P-384 or P-521, of Ed25519 or of RSA. Of the
/// latter modulus and exponent are given, as they are encoded.
pub(super) fn has_usual_form(info: &[u8], rsa: Option<(&[u8], &[u8])>) -> bool {
    FIXED.iter().any(|(start, length)| info.len() == *length && info.starts_with(start))
        || rsa.is_some_and(|(modulus, exponent)| {
            is_shortest(modulus) && is_shortest(exponent) && rsa_info(modulus, exponent) == info
        })
}

/// Whether a positive number is encoded in as few bytes as possible.
fn is_shortest(number: &[u8]) -> bool {
    matches!(number, [0x01..=0x7f, ..] | [0, 0x80..=0xff, ..])
}

fn rsa_info(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    let numbers = [der(0x02, modulus), der(0x02, exponent)].concat();
    let key = [&[0], der(0x30, &numbers).as_slice()].concat();
    der(0x30, &[RSA, der(0x03, &key).as_slice()].concat())
}

/// An element with this tag, its length in as few bytes as possible.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let significant = &length[length.iter().take_while(|byte| **byte == 0).count()..];
    let mut out = vec![tag];
    match (significant, u8::try_from(significant.len())) {
        ([] | [0..=0x7f], _) => out.push(significant.first().copied().unwrap_or(0)),
        (_, count) => {
            out.push(0x80 | count.unwrap_or(u8::MAX));
            out.extend_from_slice(significant);
        }
    }
    out.extend_from_slice(content);
    out
}

#[cfg(test)]
mod tests {
    use rcgen::{KeyPair, PublicKeyData, RsaKeySize};

    use super::*;

    #[test]
    fn keys_as_they_are_made_have_the_usual_form() {
        for algorithm in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519] {
            let key = KeyPair::generate_for(algorithm).expect("a key");
            assert!(has_usual_form(&key.subject_public_key_info(), None), "{algorithm:?}");
        }
    }

    #[test]
    fn no_other_form_of_a_key_is_the_usual_one() {
        let info = KeyPair::generate().expect("a key").subject_public_key_info();
        for other in [0x02, 0x03, 0x06, 0x07] {
            let mut info = info.clone();
            info[26] = other;
            assert!(!has_usual_form(&info, None));
        }
        assert!(!has_usual_form(&info[..info.len() - 32], None));
        assert!(!has_usual_form(&[info.as_slice(), &[0]].concat(), None));
        assert!(!has_usual_form(&[], None));
    }

    #[test]
    fn an_rsa_key_has_the_usual_form_where_every_byte_of_it_has_to_be_there() {
        let key = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048).expect("a key");
        let info = key.subject_public_key_info();
        let (modulus, exponent) = (&info[32..32 + 257], &info[32 + 257 + 2..]);
        assert_eq!(exponent, [1, 0, 1]);
        assert!(has_usual_form(&info, Some((modulus, exponent))));
        let without_null = [&info[..17], &info[19..]].concat();
        assert!(!has_usual_form(&without_null, Some((modulus, exponent))));
        let longer = [&[0], modulus].concat();
        for (modulus, exponent) in
            [(longer.as_slice(), exponent), (modulus, &[0, 1, 0, 1]), (&modulus[1..], exponent), (modulus, &[])]
        {
            assert!(!has_usual_form(&rsa_info(modulus, exponent), Some((modulus, exponent))));
        }
    }
}
