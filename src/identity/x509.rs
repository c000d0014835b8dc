//! The one file that names `x509-parser`: certificates and CRLs as plain data.

use std::collections::HashSet;
use std::fmt::{self, Write};

use x509_parser::asn1_rs::Tag;
use x509_parser::certificate::{X509Certificate, X509CertificateParser};
use x509_parser::der_parser::oid::Oid;
use x509_parser::extensions::{GeneralName, GeneralSubtree, ParsedExtension};
use x509_parser::nom::Parser;
use x509_parser::oid_registry::{
    OID_DOMAIN_COMPONENT, OID_PKCS9_EMAIL_ADDRESS, OID_X509_COMMON_NAME, OID_X509_COUNTRY_NAME,
    OID_X509_EXT_BASIC_CONSTRAINTS, OID_X509_EXT_CRL_DISTRIBUTION_POINTS, OID_X509_EXT_EXTENDED_KEY_USAGE,
    OID_X509_EXT_ISSUER_DISTRIBUTION_POINT, OID_X509_EXT_KEY_USAGE, OID_X509_EXT_NAME_CONSTRAINTS,
    OID_X509_EXT_SUBJECT_ALT_NAME, OID_X509_LOCALITY_NAME, OID_X509_ORGANIZATION_NAME, OID_X509_ORGANIZATIONAL_UNIT,
    OID_X509_STATE_OR_PROVINCE_NAME,
};
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::revocation_list::CertificateRevocationList;
use x509_parser::x509::X509Name;

use super::field::Flaw;
use super::peer::Fingerprint;
use super::public_key;

/// Longest name shown in logs, in characters.
const MAX_DISPLAY: usize = 512;

/// The bytes are not one X.509 structure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParseError;

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a well-formed X.509 structure")
    }
}

impl std::error::Error for ParseError {}

/// What the extended key usage extension allows a certificate to be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Purposes {
    /// `clientAuth`.
    pub client: bool,
    /// `serverAuth`.
    pub server: bool,
}

/// What the key usage extension allows the key to be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyUsage {
    /// `digitalSignature`: it may prove in a handshake that its holder is there.
    pub digital_signature: bool,
    /// `keyCertSign`: it may issue certificates.
    pub certificate_sign: bool,
    /// `cRLSign`: it may issue revocation lists.
    pub crl_sign: bool,
}

/// The parts of a certificate that this program looks at.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// 1, 2 or 3.
    pub version: u32,
    /// Lower-case hexadecimal, whole bytes, no leading zero bytes.
    pub serial: String,
    /// Whom it is for.
    pub subject: Name,
    /// Who signed it.
    pub issuer: Name,
    /// SHA-256 of its SubjectPublicKeyInfo.
    pub spki_sha256: Fingerprint,
    /// Its SubjectPublicKeyInfo is the usual form of a key that is RSA, P-256, P-384, P-521 or Ed25519.
    pub has_usual_key: bool,
    /// Seconds since 1970 UTC.
    pub not_before: i64,
    /// Seconds since 1970 UTC.
    pub not_after: i64,
    /// basicConstraints says CA:TRUE.
    pub is_ca: bool,
    /// pathLenConstraint: how many CA certificates may stand between it and a leaf; `None` is any number.
    pub path_length: Option<u32>,
    /// It has name constraints of any kind.
    pub has_name_constraints: bool,
    /// Which DNS names it may issue for; `None`: any.
    pub dns_constraints: Option<DnsConstraints>,
    /// `None`: no such extension, good for any use.
    pub key_usage: Option<KeyUsage>,
    /// `None`: no such extension, good for any purpose.
    pub purposes: Option<Purposes>,
    /// OID of the signature algorithm, dotted.
    pub signature_algorithm: String,
    /// The length of an RSA key, in bits; `None` of any other key, and of one that cannot be read.
    pub rsa_bits: Option<usize>,
    /// It names places where CRLs about it are to be had.
    pub has_distribution_points: bool,
    /// OIDs, dotted, of critical extensions that nobody here looks at.
    pub unknown_critical: Vec<String>,
    sans: Result<Option<SubjectAlternativeNames>, Flaw>,
}

/// The names in a subject alternative name extension, each readable or flawed.
#[derive(Debug, Clone, Default)]
pub(super) struct SubjectAlternativeNames {
    pub(super) uris: Vec<Result<String, Flaw>>,
    pub(super) dns: Vec<Result<String, Flaw>>,
    pub(super) emails: Vec<Result<String, Flaw>>,
}

impl Certificate {
    /// Reads one DER certificate with nothing after it.
    pub fn parse(der: &[u8]) -> Result<Certificate, ParseError> {
        let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| ParseError)?;
        if !rest.is_empty() {
            return Err(ParseError);
        }
        let purposes = match certificate.extended_key_usage() {
            Ok(extension) => extension.map(|extension| Purposes {
                client: extension.value.client_auth || extension.value.any,
                server: extension.value.server_auth || extension.value.any,
            }),
            Err(_) => Some(Purposes { client: false, server: false }),
        };
        let public_key = certificate.public_key();
        let rsa = match public_key.parsed() {
            Ok(PublicKey::RSA(key)) => Some(key),
            _ => None,
        };
        Ok(Certificate {
            version: certificate.version().0.saturating_add(1),
            serial: hex(certificate.raw_serial()),
            subject: Name::read(certificate.subject()),
            issuer: Name::read(certificate.issuer()),
            spki_sha256: Fingerprint::of(public_key.raw),
            has_usual_key: public_key::has_usual_form(
                public_key.raw,
                rsa.as_ref().map(|key| (key.modulus, key.exponent)),
            ),
            not_before: certificate.validity().not_before.timestamp(),
            not_after: certificate.validity().not_after.timestamp(),
            is_ca: certificate.is_ca(),
            path_length: path_length(&certificate),
            has_name_constraints: !matches!(certificate.name_constraints(), Ok(None)),
            dns_constraints: DnsConstraints::of(&certificate),
            key_usage: key_usage(&certificate),
            purposes,
            signature_algorithm: certificate.signature_algorithm.algorithm.to_id_string(),
            rsa_bits: rsa.map(|key| key.key_size()),
            has_distribution_points: certificate
                .iter_extensions()
                .any(|extension| extension.oid == OID_X509_EXT_CRL_DISTRIBUTION_POINTS),
            unknown_critical: certificate
                .iter_extensions()
                .filter(|extension| extension.critical && !KNOWN_EXTENSIONS.contains(&extension.oid))
                .map(|extension| extension.oid.to_id_string())
                .collect(),
            sans: read_sans(&certificate),
        })
    }

    /// What is signed of a DER certificate, and the signature over it.
    ///
    /// # Errors
    /// It is none.
    pub fn signature_of(der: &[u8]) -> Result<(Vec<u8>, Vec<u8>), ParseError> {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|_| ParseError)?;
        Ok((certificate.tbs_certificate.as_ref().to_vec(), certificate.signature_value.data.to_vec()))
    }

    /// The subject alternative name extension of a DER certificate, DER; `None` where it has none.
    ///
    /// # Errors
    /// It is no certificate, or has two.
    pub fn subject_alternative_name_of(der: &[u8]) -> Result<Option<Vec<u8>>, ParseError> {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|_| ParseError)?;
        let extension = certificate.get_extension_unique(&OID_X509_EXT_SUBJECT_ALT_NAME).map_err(|_| ParseError)?;
        Ok(extension.map(|extension| extension.value.to_vec()))
    }

    pub(super) fn subject_alternative_names(&self) -> Result<Option<SubjectAlternativeNames>, Flaw> {
        self.sans.clone()
    }
}

/// What a certificate says of itself before its extensions. Those are most of a large one, and are not looked into.
#[derive(Debug, Clone)]
pub struct Head {
    /// Whose it is to be.
    pub subject: Name,
    /// Who is to have issued it.
    pub issuer: Name,
    /// Hexadecimal, without leading zeros.
    pub serial: String,
}

impl Head {
    /// Reads that of one DER certificate with nothing after it.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(der: &[u8]) -> Result<Head, ParseError> {
        let mut parser = X509CertificateParser::new().with_deep_parse_extensions(false);
        match parser.parse(der) {
            Ok(([], certificate)) => Ok(Head {
                subject: Name::read(certificate.subject()),
                issuer: Name::read(certificate.issuer()),
                serial: hex(certificate.raw_serial()),
            }),
            _ => Err(ParseError),
        }
    }
}

/// The DNS names in the name constraints of a CA (RFC 5280 section 4.2.1.10).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DnsConstraints {
    /// Empty: all but the excluded ones.
    permitted: Vec<String>,
    excluded: Vec<String>,
    /// The extension cannot be read, and nothing is permitted.
    is_unreadable: bool,
}

impl DnsConstraints {
    fn of(certificate: &X509Certificate<'_>) -> Option<DnsConstraints> {
        let constraints = match certificate.name_constraints() {
            Ok(extension) => extension?.value,
            Err(_) => return Some(DnsConstraints { is_unreadable: true, ..DnsConstraints::default() }),
        };
        let dns = |subtrees: &Option<Vec<GeneralSubtree<'_>>>| {
            let bases = subtrees.iter().flatten().filter_map(|subtree| match subtree.base {
                GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
                _ => None,
            });
            bases.collect::<Vec<_>>()
        };
        let (permitted, excluded) = (dns(&constraints.permitted_subtrees), dns(&constraints.excluded_subtrees));
        let subtrees =
            [&constraints.permitted_subtrees, &constraints.excluded_subtrees].into_iter().flatten().flatten();
        let is_unreadable = subtrees.into_iter().any(|subtree| matches!(subtree.base, GeneralName::Invalid(..)));
        let is_any = is_unreadable || !permitted.is_empty() || !excluded.is_empty();
        is_any.then_some(DnsConstraints { permitted, excluded, is_unreadable })
    }

    /// Whether a certificate by this CA may say who it is for. Where it has no DNS name, its common names stand for
    /// one: they name users, and what keeps a CA to the names of a domain must keep it to its users.
    #[must_use]
    pub fn permits(&self, certificate: &Certificate) -> bool {
        if certificate.sans.as_ref().is_ok_and(|sans| sans.as_ref().is_some_and(|sans| !sans.dns.is_empty())) {
            // webpki has looked at these.
            return true;
        }
        self.permits_common_names(certificate)
    }

    /// Whether the common names are within them, whatever else the certificate says.
    #[must_use]
    pub fn permits_common_names(&self, certificate: &Certificate) -> bool {
        certificate.subject.common_names().iter().all(|name| name.as_ref().is_ok_and(|name| self.permits_name(name)))
    }

    fn permits_name(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        let is_within = |base: &String| match base.strip_prefix('.') {
            Some(_) => name.ends_with(base.as_str()),
            None => {
                base.is_empty()
                    || name.strip_suffix(base.as_str()).is_some_and(|head| head.is_empty() || head.ends_with('.'))
            }
        };
        let is_permitted = self.permitted.is_empty() || self.permitted.iter().any(is_within);
        !self.is_unreadable && is_permitted && !self.excluded.iter().any(is_within)
    }
}

/// The extensions that decide here or in webpki.
const KNOWN_EXTENSIONS: [Oid<'static>; 6] = [
    OID_X509_EXT_BASIC_CONSTRAINTS,
    OID_X509_EXT_KEY_USAGE,
    OID_X509_EXT_EXTENDED_KEY_USAGE,
    OID_X509_EXT_SUBJECT_ALT_NAME,
    OID_X509_EXT_NAME_CONSTRAINTS,
    OID_X509_EXT_CRL_DISTRIBUTION_POINTS,
];

/// An extension that cannot be read allows no CA below.
fn path_length(certificate: &X509Certificate<'_>) -> Option<u32> {
    match certificate.basic_constraints() {
        Ok(extension) => extension.and_then(|extension| extension.value.path_len_constraint),
        Err(_) => Some(0),
    }
}

/// An extension that cannot be read allows nothing.
fn key_usage(certificate: &X509Certificate<'_>) -> Option<KeyUsage> {
    match certificate.key_usage() {
        Ok(extension) => extension.map(|extension| KeyUsage {
            digital_signature: extension.value.digital_signature(),
            certificate_sign: extension.value.key_cert_sign(),
            crl_sign: extension.value.crl_sign(),
        }),
        Err(_) => Some(KeyUsage { digital_signature: false, certificate_sign: false, crl_sign: false }),
    }
}

fn read_sans(certificate: &X509Certificate<'_>) -> Result<Option<SubjectAlternativeNames>, Flaw> {
    let mut found = certificate.iter_extensions().filter(|extension| extension.oid == OID_X509_EXT_SUBJECT_ALT_NAME);
    let Some(extension) = found.next() else { return Ok(None) };
    if found.next().is_some() {
        return Err(Flaw::Malformed);
    }
    let ParsedExtension::SubjectAlternativeName(names) = extension.parsed_extension() else {
        return Err(Flaw::Malformed);
    };
    let ascii = |text: &str| if text.is_ascii() { Ok(text.to_owned()) } else { Err(Flaw::NotAscii) };
    let mut sans = SubjectAlternativeNames::default();
    for name in &names.general_names {
        match name {
            GeneralName::URI(uri) => sans.uris.push(ascii(uri)),
            GeneralName::DNSName(dns) => sans.dns.push(ascii(dns)),
            GeneralName::RFC822Name(email) => sans.emails.push(ascii(email)),
            GeneralName::Invalid(..) => return Err(Flaw::Malformed),
            _ => {}
        }
    }
    Ok(Some(sans))
}

/// A distinguished name. Two are equal if their encodings are.
#[derive(Debug, Clone)]
pub struct Name {
    /// Its DER.
    raw: Vec<u8>,
    /// In the order of the certificate.
    attributes: Vec<Attribute>,
}

impl PartialEq for Name {
    fn eq(&self, other: &Name) -> bool {
        self.raw == other.raw
    }
}

impl Eq for Name {}

#[derive(Debug, Clone)]
struct Attribute {
    kind: AttributeKind,
    /// What may name a user: of string types that everybody reads alike.
    value: Result<String, Flaw>,
    /// What it comes to in any string type, to compare names of CAs by, and for people.
    text: String,
}

/// A name as RFC 5280 section 7.1 compares names: without regard to string types, case, and blanks but for those between
/// words. Which attributes stand together in a set is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CanonicalName(Vec<(AttributeKind, String)>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum AttributeKind {
    CommonName,
    OrganizationalUnit,
    Organization,
    /// The short name, or the dotted OID.
    Other(String),
}

impl Name {
    fn read(name: &X509Name<'_>) -> Name {
        let attributes = name
            .iter_attributes()
            .map(|attribute| Attribute {
                kind: AttributeKind::of(attribute.attr_type()),
                value: attribute.as_str().map(str::to_owned).map_err(|_| Flaw::NotText),
                text: text(attribute.attr_value().tag(), attribute.as_slice()),
            })
            .collect();
        Name { raw: name.as_raw().to_vec(), attributes }
    }

    /// The name in the form of RFC 4514 (most specific part first), control characters escaped, cut at 512 characters.
    pub fn display(&self) -> String {
        let mut out = String::new();
        for attribute in self.attributes.iter().rev() {
            if !out.is_empty() {
                out.push(',');
            }
            out.push_str(attribute.kind.short_name());
            out.push('=');
            escape(&attribute.text, &mut out);
        }
        match out.char_indices().nth(MAX_DISPLAY) {
            Some((cut, _)) => format!("{}…", &out[..cut]),
            None => out,
        }
    }

    /// What names that mean the same have in common.
    pub fn canonical(&self) -> CanonicalName {
        let value =
            |attribute: &Attribute| attribute.text.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ");
        CanonicalName(self.attributes.iter().map(|attribute| (attribute.kind.clone(), value(attribute))).collect())
    }

    /// Its one common name, if that can be read.
    pub fn common_name(&self) -> Option<String> {
        match self.common_names().as_slice() {
            [Ok(name)] => Some(name.clone()),
            _ => None,
        }
    }

    pub(super) fn common_names(&self) -> Vec<Result<String, Flaw>> {
        self.values(&AttributeKind::CommonName)
    }

    pub(super) fn organizational_units(&self) -> Vec<Result<String, Flaw>> {
        self.values(&AttributeKind::OrganizationalUnit)
    }

    pub(super) fn organizations(&self) -> Vec<Result<String, Flaw>> {
        self.values(&AttributeKind::Organization)
    }

    fn values(&self, kind: &AttributeKind) -> Vec<Result<String, Flaw>> {
        self.attributes
            .iter()
            .filter(|attribute| attribute.kind == *kind)
            .map(|attribute| attribute.value.clone())
            .collect()
    }
}

impl AttributeKind {
    fn of(oid: &Oid<'_>) -> AttributeKind {
        let short_names = [
            (OID_X509_COUNTRY_NAME, "C"),
            (OID_X509_STATE_OR_PROVINCE_NAME, "ST"),
            (OID_X509_LOCALITY_NAME, "L"),
            (OID_DOMAIN_COMPONENT, "DC"),
            (OID_PKCS9_EMAIL_ADDRESS, "emailAddress"),
        ];
        if *oid == OID_X509_COMMON_NAME {
            AttributeKind::CommonName
        } else if *oid == OID_X509_ORGANIZATIONAL_UNIT {
            AttributeKind::OrganizationalUnit
        } else if *oid == OID_X509_ORGANIZATION_NAME {
            AttributeKind::Organization
        } else {
            let short = short_names.iter().find(|(known, _)| known == oid).map(|(_, name)| (*name).to_owned());
            AttributeKind::Other(short.unwrap_or_else(|| oid.to_id_string()))
        }
    }

    fn short_name(&self) -> &str {
        match self {
            AttributeKind::CommonName => "CN",
            AttributeKind::OrganizationalUnit => "OU",
            AttributeKind::Organization => "O",
            AttributeKind::Other(name) => name,
        }
    }
}

/// The characters of a string of this type. T61String is Latin-1 in fact, unless it is UTF-8; what is out of order is
/// replaced.
fn text(string_type: Tag, bytes: &[u8]) -> String {
    let wide = match string_type {
        Tag::BmpString => {
            let (units, rest) = bytes.as_chunks::<2>();
            let characters = char::decode_utf16(units.iter().map(|unit| u16::from_be_bytes(*unit)));
            characters.collect::<Result<String, _>>().ok().filter(|_| rest.is_empty())
        }
        Tag::UniversalString => {
            let (units, rest) = bytes.as_chunks::<4>();
            let characters = units.iter().map(|unit| char::from_u32(u32::from_be_bytes(*unit)));
            characters.collect::<Option<String>>().filter(|_| rest.is_empty())
        }
        Tag::T61String if std::str::from_utf8(bytes).is_err() => Some(bytes.iter().copied().map(char::from).collect()),
        _ => None,
    };
    wide.unwrap_or_else(|| String::from_utf8_lossy(bytes).into_owned())
}

/// RFC 4514 section 2.4, and every control character as hexadecimal pairs.
fn escape(value: &str, out: &mut String) {
    for character in value.chars() {
        if character.is_control() {
            let mut buffer = [0; 4];
            for byte in character.encode_utf8(&mut buffer).bytes() {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\{byte:02X}");
            }
        } else {
            if matches!(character, ',' | '+' | '"' | '\\' | '<' | '>' | ';' | '=') {
                out.push('\\');
            }
            out.push(character);
        }
    }
}

/// Of equal numbers the same digits, also where the encoding is longer than it has to be.
fn hex(serial: &[u8]) -> String {
    let negative = serial.windows(2).take_while(|pair| pair[0] == 0xff && pair[1] >= 0x80).count();
    let serial = serial.get(negative..).unwrap_or_default();
    let significant = serial.iter().position(|byte| *byte != 0).map_or(&[0][..], |first| &serial[first..]);
    significant.iter().fold(String::with_capacity(2 * significant.len()), |mut out, byte| {
        // Writing to a String cannot fail.
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// The parts of a certificate revocation list that this program looks at.
#[derive(Debug, Clone)]
pub struct RevocationList {
    /// Whose certificates it speaks of.
    pub issuer: Name,
    /// When its next edition is due, in seconds since 1970 UTC.
    pub next_update: Option<i64>,
    /// The serial numbers it revokes, in the form of [`Certificate::serial`].
    pub serials: HashSet<String>,
    /// 1 or 2.
    pub version: u32,
    /// It has extensions, which every list of today has.
    pub has_extensions: bool,
    /// Its issuingDistributionPoint, DER: it may cover a part of what its CA has issued.
    pub scope: Option<Vec<u8>>,
    /// Its cRLNumber, big-endian, no leading zero bytes.
    pub number: Option<Vec<u8>>,
    /// When it was made, in seconds since 1970 UTC.
    pub this_update: i64,
    /// What is signed, DER.
    pub signed: Vec<u8>,
    /// The signature over it.
    pub signature: Vec<u8>,
}

impl RevocationList {
    /// Reads one DER list with nothing after it.
    pub fn parse(der: &[u8]) -> Result<RevocationList, ParseError> {
        let (rest, list) = CertificateRevocationList::from_der(der).map_err(|_| ParseError)?;
        if !rest.is_empty() {
            return Err(ParseError);
        }
        let extension = |oid: &Oid<'_>| {
            let mut extensions = list.extensions().iter();
            extensions.find(|extension| extension.oid == *oid).map(|extension| extension.value.to_vec())
        };
        Ok(RevocationList {
            issuer: Name::read(list.issuer()),
            next_update: list.next_update().map(|time| time.timestamp()),
            serials: list.iter_revoked_certificates().map(|revoked| hex(revoked.raw_serial())).collect(),
            version: list.version().map_or(1, |version| version.0.saturating_add(1)),
            has_extensions: !list.extensions().is_empty(),
            scope: extension(&OID_X509_EXT_ISSUER_DISTRIBUTION_POINT),
            number: list.crl_number().map(|number| number.to_bytes_be()),
            this_update: list.last_update().timestamp(),
            signed: list.tbs_cert_list.as_ref().to_vec(),
            signature: list.signature_value.data.to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::test_pki::{Authority, client};

    /// A name of one common name.
    fn name(Tag(string_type): Tag, text: &[u8]) -> Name {
        let within = |tag: u8, content: &[u8]| [&[tag, content.len().try_into().expect("short")], content].concat();
        let value = within(string_type.try_into().expect("low"), text);
        let attribute = within(0x30, &[&[0x06, 3, 0x55, 4, 3], &*value].concat());
        let der = within(0x30, &within(0x31, &attribute));
        Name::read(&X509Name::from_der(&der).expect("a name").1)
    }

    #[test]
    fn the_head_of_a_certificate_is_read_as_the_whole_is() {
        let der = Authority::new("root").issue(client("alice")).der;
        let (head, whole) = (Head::parse(&der).unwrap(), Certificate::parse(&der).unwrap());
        assert_eq!((head.subject, head.issuer, head.serial), (whole.subject, whole.issuer, whole.serial));
        assert_eq!(Head::parse(&[&*der, b"x"].concat()).err(), Some(ParseError));
        assert_eq!(Head::parse(&der[..der.len() - 1]).err(), Some(ParseError));
    }

    #[test]
    fn names_are_compared_by_their_characters_whatever_their_string_type() {
        let utf8 = name(Tag::Utf8String, "Bäcker CA".as_bytes());
        let utf16: Vec<u8> = "Bäcker CA".encode_utf16().flat_map(u16::to_be_bytes).collect();
        let utf32: Vec<u8> = "Bäcker CA".chars().flat_map(|it| u32::from(it).to_be_bytes()).collect();
        for other in [
            name(Tag::BmpString, &utf16),
            name(Tag::UniversalString, &utf32),
            name(Tag::T61String, b"B\xe4cker CA"),
            name(Tag::T61String, "Bäcker CA".as_bytes()),
            name(Tag::Utf8String, "BÄCKER  ca ".as_bytes()),
        ] {
            assert_eq!(other.canonical(), utf8.canonical(), "{other:?}");
        }
        for other in [name(Tag::Utf8String, b"Backer CA"), name(Tag::BmpString, &utf16[..utf16.len() - 1])] {
            assert_ne!(other.canonical(), utf8.canonical(), "{other:?}");
        }
    }

    #[test]
    fn a_common_name_in_another_string_type_names_nobody() {
        for (string_type, text) in [
            (Tag::BmpString, &b"\0b\0o\0b"[..]),
            // The same bytes are other characters to who takes them for ASCII.
            (Tag::BmpString, b"bobb"),
            (Tag::UniversalString, b"\0\0\0b"),
            (Tag::T61String, b"bob"),
            (Tag::Utf8String, b"b\xf6b"),
        ] {
            assert_eq!(name(string_type, text).common_names(), [Err(Flaw::NotText)]);
        }
        assert_eq!(name(Tag::PrintableString, b"bob").common_names(), [Ok("bob".to_owned())]);
    }
}
