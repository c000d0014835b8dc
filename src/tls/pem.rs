//! The one file that names rustls-pemfile: certificates, keys and revocation lists out of files' contents.
//!
//! rustls-pemfile passes over what it does not know and what does not begin as it expects, and a revocation list that is
//! passed over revokes nothing. So the blocks are found here, and each is read, knowingly passed over, or an error with
//! its line. rustls-pemfile decodes them one by one.

use std::fmt;

use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls_pemfile::Item;
use zeroize::Zeroizing;

use crate::identity::x509::{Certificate, RevocationList};

/// Labels are shown up to this length, in bytes.
const MAX_LABEL: usize = 40;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What is wrong with a file's content, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PemError {
    /// From 1; `None` if it concerns the file as a whole.
    pub line: Option<usize>,
    /// What is wrong.
    pub fault: PemFault,
}

/// What is wrong with a file's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PemFault {
    /// No PEM block of the expected kind; these kinds were found.
    Missing {
        /// What was expected, such as `CERTIFICATE`.
        expected: &'static str,
        /// The labels found.
        found: Vec<String>,
    },
    /// It is DER, the binary form.
    Der,
    /// The line looks like the beginning or the end of a block and is neither: indented, joined to another, mistyped.
    Marker,
    /// The line stands outside of every block, and is no text for people: base64 without a marker, or binary.
    Stray,
    /// The block that begins here is not ended by its `-----END …-----`.
    Unended,
    /// The content of a block cannot be decoded.
    Damaged(String),
    /// A block with this label has no business in this file.
    Unexpected {
        /// What the file is for, such as `CERTIFICATE`.
        expected: &'static str,
        /// What was found.
        label: String,
    },
    /// A certificate in OpenSSL's form with trust settings, which nobody here would honour.
    TrustedCertificate,
    /// The private key is encrypted.
    EncryptedKey,
    /// More than one private key: it is unclear which is meant.
    SeveralKeys,
}

impl fmt::Display for PemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        match &self.fault {
            PemFault::Missing { expected, found } if found.is_empty() => {
                write!(f, "holds no PEM block; expected -----BEGIN {expected}-----")
            }
            PemFault::Missing { expected, found } => write!(f, "holds no {expected} but {}", found.join(", ")),
            PemFault::Der => f.write_str("is in DER form; convert it to PEM"),
            PemFault::Marker => f.write_str(
                "looks like the beginning or end of a PEM block, but is not one: -----BEGIN …----- and -----END …----- \
                 each stand alone on a line, unindented, in pairs (files joined without a newline look so)",
            ),
            PemFault::Stray => f.write_str(
                "stands outside of every PEM block and is no text: what is binary (DER, UTF-16), or base64 without its \
                 -----BEGIN …-----, would be lost; take it out, or write it as PEM",
            ),
            PemFault::Unended => f.write_str("the PEM block that begins here has no end"),
            PemFault::Damaged(why) => write!(f, "holds a damaged PEM block: {why}"),
            PemFault::Unexpected { expected, label } => {
                write!(f, "a PEM block {label:?} is nothing to read here, where {expected} is expected; take it out")?;
                if label == "CRL" {
                    f.write_str(" (a revocation list is labelled X509 CRL)")?;
                }
                Ok(())
            }
            PemFault::TrustedCertificate => {
                f.write_str("a TRUSTED CERTIFICATE has trust settings that are not honoured here")
            }
            PemFault::EncryptedKey => f.write_str("the private key is encrypted"),
            PemFault::SeveralKeys => f.write_str("holds several private keys; one file must hold one"),
        }
    }
}

/// A certificate and its intermediates; at least one. Keys and parameters may stand beside them.
pub(super) fn certificate_chain(content: &[u8]) -> Result<Vec<CertificateDer<'static>>, Vec<PemError>> {
    const ROLE: Role =
        Role { read: Kind::Certificate, passed_over: &[Kind::Key, Kind::EncryptedKey, Kind::Parameters] };
    ROLE.read(content)?.blocks.iter().map(Block::certificate).collect::<Result<_, _>>().map_err(|error| vec![error])
}

/// The certificates of a CA file, at least one, and how many revocation lists stand beside them.
pub(super) fn authorities(content: &[u8]) -> Result<(Vec<CertificateDer<'static>>, usize), Vec<PemError>> {
    const ROLE: Role = Role { read: Kind::Certificate, passed_over: &[Kind::RevocationList] };
    let found = ROLE.read(content)?;
    let certificates: Result<_, _> = found.blocks.iter().map(Block::certificate).collect();
    Ok((certificates.map_err(|error| vec![error])?, found.passed_over))
}

/// The one private key, in PKCS #8, PKCS #1 (RSA) or SEC 1 (EC) form. Certificates and parameters may stand beside it.
pub(super) fn private_key(content: &[u8]) -> Result<PrivateKeyDer<'static>, Vec<PemError>> {
    const ROLE: Role =
        Role { read: Kind::Key, passed_over: &[Kind::Certificate, Kind::TrustedCertificate, Kind::Parameters] };
    let found = ROLE.read(content)?;
    match found.blocks.as_slice() {
        [only] => only.private_key().map_err(|error| vec![error]),
        several => Err(vec![PemError { line: several.get(1).map(|block| block.line), fault: PemFault::SeveralKeys }]),
    }
}

/// All revocation lists of a PEM file, at least one, or the one of a DER file. Certificates may stand beside them.
pub(super) fn revocation_lists(content: &[u8]) -> Result<Vec<CertificateRevocationListDer<'static>>, Vec<PemError>> {
    const ROLE: Role = Role { read: Kind::RevocationList, passed_over: &[Kind::Certificate, Kind::TrustedCertificate] };
    if is_der(content) {
        return Ok(vec![content.to_vec().into()]);
    }
    let found = ROLE.read(content)?;
    found.blocks.iter().map(Block::revocation_list).collect::<Result<_, _>>().map_err(|error| vec![error])
}

/// A DER SEQUENCE starts with 0x30 and, from 128 bytes on, a length byte of 0x80 or more, which no PEM text does.
fn is_der(content: &[u8]) -> bool {
    matches!(content, [0x30, length, ..] if *length >= 0x80)
}

/// What the blocks of a file are for.
struct Role {
    read: Kind,
    passed_over: &'static [Kind],
}

/// The blocks to be read, at least one.
struct Found<'a> {
    blocks: Vec<Block<'a>>,
    passed_over: usize,
}

impl Role {
    /// # Errors
    /// Every block that is neither to be read nor to be passed over; or what keeps blocks from being told apart.
    fn read<'a>(&self, content: &'a [u8]) -> Result<Found<'a>, Vec<PemError>> {
        let expected = self.read.label();
        if is_der(content) {
            return Err(vec![PemError { line: None, fault: PemFault::Der }]);
        }
        let all = blocks(content).map_err(|error| vec![error])?;
        let labels: Vec<String> = all.iter().map(Block::shown_label).collect();
        let mut errors = Vec::new();
        let mut found = Found { blocks: Vec::new(), passed_over: 0 };
        for block in all {
            let fault = match block.kind() {
                kind if kind == self.read => {
                    found.blocks.push(block);
                    continue;
                }
                // What is passed over has to be what it says: a list under another label would be lost.
                kind if self.passed_over.contains(&kind) => match block.check(kind) {
                    Ok(()) => {
                        found.passed_over += 1;
                        continue;
                    }
                    Err(error) => error.fault,
                },
                Kind::TrustedCertificate if self.read == Kind::Certificate => PemFault::TrustedCertificate,
                Kind::EncryptedKey if self.read == Kind::Key => PemFault::EncryptedKey,
                _ => PemFault::Unexpected { expected, label: block.shown_label() },
            };
            errors.push(PemError { line: Some(block.line), fault });
        }
        if errors.is_empty() && found.blocks.is_empty() {
            errors.push(PemError { line: None, fault: PemFault::Missing { expected, found: labels } });
        }
        if errors.is_empty() { Ok(found) } else { Err(errors) }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Certificate,
    TrustedCertificate,
    Key,
    EncryptedKey,
    /// Of a curve or a group: OpenSSL writes them beside keys.
    Parameters,
    RevocationList,
    Other,
}

impl Kind {
    /// The usual label.
    fn label(self) -> &'static str {
        match self {
            Kind::Certificate => "CERTIFICATE",
            Kind::TrustedCertificate => "TRUSTED CERTIFICATE",
            Kind::Key => "PRIVATE KEY",
            Kind::EncryptedKey => "ENCRYPTED PRIVATE KEY",
            Kind::Parameters => "EC PARAMETERS",
            Kind::RevocationList => "X509 CRL",
            Kind::Other => "",
        }
    }
}

/// From `-----BEGIN` to `-----END`.
struct Block<'a> {
    /// Where it begins, from 1.
    line: usize,
    label: &'a [u8],
    /// Without line ends and the blanks before them.
    content: Vec<&'a [u8]>,
}

impl Block<'_> {
    fn kind(&self) -> Kind {
        match self.label {
            b"CERTIFICATE" | b"X509 CERTIFICATE" => Kind::Certificate,
            b"TRUSTED CERTIFICATE" => Kind::TrustedCertificate,
            b"ENCRYPTED PRIVATE KEY" => Kind::EncryptedKey,
            // PKCS #8 says so in the label, the older forms in a header (RFC 1421).
            b"PRIVATE KEY" | b"RSA PRIVATE KEY" | b"EC PRIVATE KEY" => {
                let encrypted = self.content.first().is_some_and(|line| line.starts_with(b"Proc-Type:"));
                if encrypted { Kind::EncryptedKey } else { Kind::Key }
            }
            b"EC PARAMETERS" | b"DH PARAMETERS" | b"X9.42 DH PARAMETERS" => Kind::Parameters,
            b"X509 CRL" => Kind::RevocationList,
            _ => Kind::Other,
        }
    }

    fn shown_label(&self) -> String {
        let is_label = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || b" .".contains(byte);
        match self.label.len() <= MAX_LABEL && self.label.iter().all(is_label) {
            true => String::from_utf8_lossy(self.label).into_owned(),
            // It may be anything, a part of a key too.
            false => "of an unusual label".to_owned(),
        }
    }

    /// Whether it holds what its label says.
    fn check(&self, kind: Kind) -> Result<(), PemError> {
        let is_one = match kind {
            Kind::Certificate => Certificate::parse(&self.certificate()?).is_ok(),
            Kind::RevocationList => RevocationList::parse(&self.revocation_list()?).is_ok(),
            // Behind the certificate stands whom to trust it for.
            Kind::TrustedCertificate => Certificate::signature_of(&self.certificate()?).is_ok(),
            // Nobody looks for a list or a certificate in these, and keys are none of this file's business.
            Kind::Key | Kind::EncryptedKey | Kind::Parameters | Kind::Other => true,
        };
        if is_one { Ok(()) } else { Err(self.damaged("it is not what its label says")) }
    }

    fn certificate(&self) -> Result<CertificateDer<'static>, PemError> {
        match self.decode(Kind::Certificate.label().as_bytes())? {
            Item::X509Certificate(der) => Ok(der),
            _ => Err(self.damaged("it is no certificate")),
        }
    }

    fn revocation_list(&self) -> Result<CertificateRevocationListDer<'static>, PemError> {
        match self.decode(self.label)? {
            Item::Crl(der) => Ok(der),
            _ => Err(self.damaged("it is no revocation list")),
        }
    }

    fn private_key(&self) -> Result<PrivateKeyDer<'static>, PemError> {
        match self.decode(self.label)? {
            Item::Pkcs8Key(der) => Ok(der.into()),
            Item::Pkcs1Key(der) => Ok(der.into()),
            Item::Sec1Key(der) => Ok(der.into()),
            _ => Err(self.damaged("it is no private key")),
        }
    }

    fn decode(&self, label: &[u8]) -> Result<Item, PemError> {
        // It may be a key.
        let length = self.content.iter().map(|line| line.len() + 1).sum::<usize>() + 2 * (label.len() + 20);
        let mut text = Zeroizing::new(Vec::with_capacity(length));
        text.extend([b"-----BEGIN ", label, b"-----\n"].concat());
        for line in &self.content {
            text.extend_from_slice(line);
            text.push(b'\n');
        }
        text.extend([b"-----END ", label, b"-----\n"].concat());
        match rustls_pemfile::read_one_from_slice(&text) {
            Ok(Some((item, _))) => Ok(item),
            Ok(None) => Err(self.damaged("it is empty")),
            Err(rustls_pemfile::Error::Base64Decode(why)) => Err(self.damaged(&why)),
            Err(_) => Err(self.damaged("it cannot be read")),
        }
    }

    fn damaged(&self, why: &str) -> PemError {
        PemError { line: Some(self.line), fault: PemFault::Damaged(why.to_owned()) }
    }
}

/// All blocks of a text. What stands between them is for people, and may be anything that does not look like a marker.
///
/// # Errors
/// The first place from where on blocks cannot be told apart.
fn blocks(content: &[u8]) -> Result<Vec<Block<'_>>, PemError> {
    let mut blocks = Vec::new();
    let mut open: Option<Block<'_>> = None;
    for (line, text) in lines(content) {
        let marker = || PemError { line: Some(line), fault: PemFault::Marker };
        match &mut open {
            None => {
                let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
                match label(text, b"-----BEGIN ") {
                    Some(label) => open = Some(Block { line, label, content: Vec::new() }),
                    None if resembles_marker(text) => return Err(marker()),
                    None if is_no_text(text) => return Err(PemError { line: Some(line), fault: PemFault::Stray }),
                    None => {}
                }
            }
            Some(block) => match label(text, b"-----END ") {
                Some(label) if label == block.label => blocks.extend(open.take()),
                Some(_) => return Err(marker()),
                None if resembles_marker(text) => return Err(marker()),
                None => block.content.push(text),
            },
        }
    }
    match (open, lines(content).last()) {
        (Some(block), _) => Err(PemError { line: Some(block.line), fault: PemFault::Unended }),
        // A file that is cut within a marker.
        (None, Some((line, text))) if text.starts_with(b"-") && label(text, b"-----END ").is_none() => {
            Err(PemError { line: Some(line), fault: PemFault::Marker })
        }
        (None, _) => Ok(blocks),
    }
}

/// Lines by any of the three line ends, with their numbers from 1, without blanks at their end.
fn lines(content: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut rest = Some(content);
    let mut number = 0;
    std::iter::from_fn(move || {
        let text = rest?;
        number += 1;
        let line = match memchr::memchr2(b'\n', b'\r', text) {
            Some(end) => {
                let length = if text[end..].starts_with(b"\r\n") { 2 } else { 1 };
                rest = Some(&text[end + length..]);
                &text[..end]
            }
            None => {
                rest = None;
                text
            }
        };
        Some((number, line.trim_ascii_end()))
    })
}

/// The label of a line that is a marker and nothing else.
fn label<'a>(line: &'a [u8], start: &[u8]) -> Option<&'a [u8]> {
    let label = line.strip_prefix(start)?.strip_suffix(b"-----")?;
    (!label.contains(&b'-')).then_some(label)
}

/// Whether a line that is no marker was meant as one, however it was typed, indented or joined.
fn resembles_marker(line: &[u8]) -> bool {
    let word = |wanted: &[&[u8]]| {
        line.split(|byte| !byte.is_ascii_alphanumeric())
            .any(|word| wanted.iter().any(|wanted| word.eq_ignore_ascii_case(wanted)))
    };
    let has_dashes = |dashes: &[u8]| memchr::memmem::find(line, dashes).is_some();
    let is_rule = line.iter().all(|byte| b"-#=* \t".contains(byte));
    has_dashes(b"-----") && !is_rule
        || word(&[b"BEGIN", b"END"]) && (has_dashes(b"--") || word(&[b"CERTIFICATE", b"CRL", b"KEY", b"PARAMETERS"]))
}

/// Whether a line outside of blocks holds what nobody reads: bytes that no text has, or base64 as it stands in blocks.
fn is_no_text(line: &[u8]) -> bool {
    const TEXT: &[u8] = b"\t\x0b\x0c";
    let is_base64 = line.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(byte));
    line.iter().any(|byte| byte.is_ascii_control() && !TEXT.contains(byte))
        || is_base64 && (line.len() >= 60 || line.starts_with(b"MII"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CERTIFICATE: &str = include_str!("testdata/key-ca.pem");
    const LIST: &str = include_str!("testdata/crl-delta.pem");

    /// The DER of the block is `0`.
    fn block(label: &str) -> String {
        format!("-----BEGIN {label}-----\nMA==\n-----END {label}-----\n")
    }

    fn faults<T: std::fmt::Debug>(result: Result<T, Vec<PemError>>) -> Vec<(Option<usize>, PemFault)> {
        result.expect_err("something wrong").into_iter().map(|error| (error.line, error.fault)).collect()
    }

    #[test]
    fn every_certificate_is_read_whatever_stands_around_it() {
        let one = block("CERTIFICATE");
        for text in [
            format!("{one}{one}"),
            format!("\u{feff}{one}\u{feff}{one}"),
            format!("{one}{one}").replace('\n', "\r\n"),
            format!("{one}{one}").replace('\n', "\r"),
            format!("{one}{one}").replace('\n', " \t\n"),
            format!("{one}{}", one.trim_end()),
            format!("Bag Attributes\n    friendlyName: x\n{one}\nCertificate:\n    Data: --\n{one}# the end\n"),
            format!("{one}{}", block("X509 CERTIFICATE")),
            format!("{}{one}{}{one}{}", block("EC PRIVATE KEY"), block("EC PARAMETERS"), block("DH PARAMETERS")),
        ] {
            let read = certificate_chain(text.as_bytes()).unwrap_or_else(|errors| panic!("{errors:?} in {text:?}"));
            assert_eq!(read, [CertificateDer::from(vec![0x30]), CertificateDer::from(vec![0x30])], "{text:?}");
        }
    }

    #[test]
    fn a_marker_that_is_none_is_an_error_with_its_line() {
        let one = block("CERTIFICATE");
        for (text, line) in [
            (format!("{}{one}", one.trim_end()), 3),
            (format!("{one}{}", one.replace("-----B", "  -----B")), 4),
            (one.replace("-----E", " -----E"), 3),
            (one.replace("-----BEGIN", "----BEGIN"), 1),
            (one.replace("-----BEGIN", "\u{2013}\u{2013}BEGIN"), 1),
            (one.replace("CERTIFICATE-----\nM", "CERTIFICATE----\nM"), 1),
            (one.replace("CERTIFICATE-----\nM", "CERTIFICATE----- M"), 1),
            (one.to_lowercase(), 1),
            (one.replace("END CERTIFICATE", "END X509 CRL"), 3),
            (one.replace("-----END CERTIFICATE-----\n", &one), 3),
            (one.replace("-----BEGIN CERTIFICATE-----\n", ""), 2),
            (one.replace("BEGIN C", "BEGINC"), 1),
            (one.replace("BEGIN", "BEG\u{200b}IN"), 1),
        ] {
            assert_eq!(faults(certificate_chain(text.as_bytes())), [(Some(line), PemFault::Marker)], "{text}");
        }
    }

    #[test]
    fn what_is_binary_or_base64_outside_of_blocks_is_an_error_with_its_line() {
        let one = block("X509 CRL");
        let utf16: Vec<u8> = one.encode_utf16().flat_map(u16::to_le_bytes).collect();
        for stray in [
            b"0\x82\x01\x0a\x02\x01\x01".to_vec(),
            utf16,
            vec![0x1f, 0x8b, 8, 0],
            b"MIIBrzCCAVWgAwIBAgIUOFjE\n".to_vec(),
            [b"Ab+/".repeat(16), b"\n".to_vec()].concat(),
        ] {
            let text = [one.as_bytes(), &stray].concat();
            let told = faults(revocation_lists(&text));
            assert!(
                matches!(told.as_slice(), [(Some(4), PemFault::Stray | PemFault::Marker)]),
                "{told:?} of {stray:?}"
            );
        }
        let text =
            format!("Certificate Revocation List (CRL):\n        Version 2 (0x1)\n\t# ----------\n==========\n{one}");
        assert_eq!(revocation_lists(text.as_bytes()).map(|lists| lists.len()), Ok(1));
    }

    #[test]
    fn a_file_that_is_cut_is_an_error_unless_it_is_cut_between_blocks() {
        let text = block("X509 CRL") + &block("X509 CRL");
        for end in 1..text.len() {
            let cut = &text[..end];
            let whole_blocks = cut.trim_end_matches('\n').ends_with("-----END X509 CRL-----");
            assert_eq!(revocation_lists(cut.as_bytes()).is_ok(), whole_blocks, "{cut:?}");
        }
    }

    #[test]
    fn what_a_file_is_not_for_is_an_error_with_its_line_and_every_one_is_told() {
        let text = [block("CERTIFICATE"), block("CRL"), block("TRUSTED CERTIFICATE"), block("PUBLIC KEY")].concat();
        let unexpected = |label: &str| PemFault::Unexpected { expected: "CERTIFICATE", label: label.to_owned() };
        assert_eq!(
            faults(authorities(text.as_bytes())),
            [
                (Some(4), unexpected("CRL")),
                (Some(7), PemFault::TrustedCertificate),
                (Some(10), unexpected("PUBLIC KEY"))
            ]
        );
    }

    #[test]
    fn what_each_file_may_hold_beside_is_passed_over_and_nothing_else() {
        type Reader = fn(&[u8]) -> Result<(), Vec<PemError>>;
        const LABELS: [&str; 8] = [
            "CERTIFICATE",
            "TRUSTED CERTIFICATE",
            "PRIVATE KEY",
            "ENCRYPTED PRIVATE KEY",
            "EC PARAMETERS",
            "DH PARAMETERS",
            "X509 CRL",
            "CERTIFICATE REQUEST",
        ];
        let pem = |label: &str| match label {
            "CERTIFICATE" => CERTIFICATE.to_owned(),
            "TRUSTED CERTIFICATE" => CERTIFICATE.replace("CERTIFICATE", label),
            "X509 CRL" => LIST.to_owned(),
            other => block(other),
        };
        let readers: [(&str, Reader, &[&str]); 4] = [
            (
                "CERTIFICATE",
                |text| certificate_chain(text).map(drop),
                &["CERTIFICATE", "PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "EC PARAMETERS", "DH PARAMETERS"],
            ),
            ("CERTIFICATE", |text| authorities(text).map(drop), &["CERTIFICATE", "X509 CRL"]),
            (
                "PRIVATE KEY",
                |text| private_key(text).map(drop),
                &["CERTIFICATE", "TRUSTED CERTIFICATE", "EC PARAMETERS", "DH PARAMETERS"],
            ),
            ("X509 CRL", |text| revocation_lists(text).map(drop), &["CERTIFICATE", "TRUSTED CERTIFICATE", "X509 CRL"]),
        ];
        for (own, read, beside) in readers {
            for label in LABELS {
                let is_read = read((block(own) + &pem(label)).as_bytes()).is_ok();
                assert_eq!(is_read, beside.contains(&label), "{label} beside {own}");
            }
        }
    }

    #[test]
    fn revocation_lists_in_a_ca_file_are_counted() {
        let text = block("CERTIFICATE") + LIST + LIST;
        assert_eq!(authorities(text.as_bytes()).map(|(certificates, lists)| (certificates.len(), lists)), Ok((1, 2)));
    }

    #[test]
    fn what_is_passed_over_has_to_be_what_its_label_says() {
        let second = LIST.lines().count() + 1;
        for label in ["CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE"] {
            let mislabelled = LIST.replace("X509 CRL", label);
            let told = faults(revocation_lists((LIST.to_owned() + &mislabelled).as_bytes()));
            assert!(matches!(told.as_slice(), [(Some(line), PemFault::Damaged(_))] if *line == second), "{told:?}");
        }
    }

    #[test]
    fn no_content_of_a_key_is_told() {
        let text = "-----BEGIN PRIVATE KEY-----\nhunter2*\n-----END PRIVATE KEY-----\n";
        let told = faults(private_key(text.as_bytes()));
        assert!(!format!("{told:?}").contains("hunter"), "{told:?}");
        let label = format!("-----BEGIN {}\u{1b}-----\n", "x".repeat(100));
        let told = faults(private_key(format!("{label}{}", label.replace("BEGIN", "END")).as_bytes()));
        assert!(format!("{told:?}").len() < 200, "{told:?}");
    }
}
