//! The fields of a certificate that can name somebody, and what makes a value unfit to.

use std::fmt;

/// Longest value, in bytes, that may identify anybody.
const MAX_VALUE: usize = 255;

/// A certificate field that rules and templates can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FieldName {
    /// URI subject alternative names.
    Uri,
    /// DNS subject alternative names; case is ignored.
    Dns,
    /// RFC 822 subject alternative names.
    Email,
    /// The subject's common name.
    Cn,
    /// The subject's organizational units.
    Ou,
    /// The subject's organizations.
    O,
    /// The issuer's common name.
    IssuerCn,
    /// The serial number, in hexadecimal.
    Serial,
    /// SHA-256 of the whole certificate.
    Sha256,
    /// SHA-256 of the certificate's SubjectPublicKeyInfo.
    SpkiSha256,
    /// SHA-256 of the SubjectPublicKeyInfo of the trust anchor that the verified chain ends in.
    CaSpkiSha256,
}

impl FieldName {
    /// Every field, in the order of the documentation.
    pub const ALL: [FieldName; 11] = [
        FieldName::Uri,
        FieldName::Dns,
        FieldName::Email,
        FieldName::Cn,
        FieldName::Ou,
        FieldName::O,
        FieldName::IssuerCn,
        FieldName::Serial,
        FieldName::Sha256,
        FieldName::SpkiSha256,
        FieldName::CaSpkiSha256,
    ];

    /// The field with this configuration key.
    pub fn from_key(key: &str) -> Option<FieldName> {
        FieldName::ALL.into_iter().find(|field| field.key() == key)
    }

    /// The name used in configuration files, templates, logs and errors.
    pub fn key(self) -> &'static str {
        match self {
            FieldName::Uri => "uri",
            FieldName::Dns => "dns",
            FieldName::Email => "email",
            FieldName::Cn => "cn",
            FieldName::Ou => "ou",
            FieldName::O => "o",
            FieldName::IssuerCn => "issuer-cn",
            FieldName::Serial => "serial",
            FieldName::Sha256 => "sha256",
            FieldName::SpkiSha256 => "spki-sha256",
            FieldName::CaSpkiSha256 => "ca-spki-sha256",
        }
    }

    /// Whether values of this field live in the subject alternative name extension.
    pub fn is_san(self) -> bool {
        matches!(self, FieldName::Uri | FieldName::Dns | FieldName::Email)
    }
}

impl fmt::Display for FieldName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key())
    }
}

/// Why a field of a certificate identifies nobody, whatever else it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Flaw {
    /// A value is empty.
    Empty,
    /// A value holds a NUL byte: what a C program would read differs from what is written.
    Nul,
    /// A value holds a control character.
    Control,
    /// A value is longer than 255 bytes.
    TooLong,
    /// A value is in a string type or encoding that has no one reading (BMPString, T61String, broken UTF-8).
    NotText,
    /// A value of a field that can only hold ASCII holds something else.
    NotAscii,
    /// A value is none of those that the CA is kept to.
    Forbidden,
    /// A field that must stand alone stands more than once.
    Several,
    /// The extension that holds the field is malformed or given twice.
    Malformed,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Flaw::Empty => "is empty",
            Flaw::Nul => "holds a NUL byte",
            Flaw::Control => "holds a control character",
            Flaw::TooLong => "is longer than 255 bytes",
            Flaw::NotText => "is not readable text",
            Flaw::NotAscii => "is not ASCII",
            Flaw::Forbidden => "is outside of what its CA may issue for",
            Flaw::Several => "is given more than once",
            Flaw::Malformed => "is malformed",
        })
    }
}

/// The values of one field, all of them fit to identify somebody, or the flaw that spoils the whole field.
///
/// One bad value spoils its neighbours too: a certificate that carries a hostile name was not made in good faith.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field(Result<Vec<String>, Flaw>);

impl Field {
    /// A field that may hold several values.
    pub(super) fn many(values: impl IntoIterator<Item = Result<String, Flaw>>) -> Field {
        Field(values.into_iter().map(|value| value.and_then(fit)).collect())
    }

    /// A field of which a second value makes it unclear who is meant.
    pub(super) fn lone(values: impl IntoIterator<Item = Result<String, Flaw>>) -> Field {
        match Field::many(values) {
            Field(Ok(values)) if values.len() > 1 => Field(Err(Flaw::Several)),
            field => field,
        }
    }

    pub(super) fn flawed(flaw: Flaw) -> Field {
        Field(Err(flaw))
    }

    /// The usable values: none if the field is absent or flawed.
    pub fn values(&self) -> &[String] {
        self.0.as_deref().unwrap_or_default()
    }

    /// The flaw that makes this field identify nobody.
    pub fn flaw(&self) -> Option<Flaw> {
        self.0.as_ref().err().copied()
    }

    /// The one value, `None` if the field is absent; several values are [`Flaw::Several`].
    pub fn only(&self) -> Result<Option<&str>, Flaw> {
        match &self.0 {
            Err(flaw) => Err(*flaw),
            Ok(values) => match values.as_slice() {
                [] => Ok(None),
                [value] => Ok(Some(value)),
                _ => Err(Flaw::Several),
            },
        }
    }
}

fn fit(value: String) -> Result<String, Flaw> {
    if value.is_empty() {
        Err(Flaw::Empty)
    } else if value.contains('\0') {
        Err(Flaw::Nul)
    } else if value.chars().any(char::is_control) {
        Err(Flaw::Control)
    } else if value.len() > MAX_VALUE {
        Err(Flaw::TooLong)
    } else {
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn many(values: &[&str]) -> Field {
        Field::many(values.iter().map(|value| Ok((*value).to_owned())))
    }

    #[test]
    fn every_field_is_found_by_its_key() {
        for field in FieldName::ALL {
            assert_eq!(FieldName::from_key(field.key()), Some(field));
        }
        assert_eq!(FieldName::from_key("CN"), None);
    }

    #[test]
    fn hostile_values_spoil_the_whole_field() {
        for (value, flaw) in [
            ("alice\0.evil", Flaw::Nul),
            ("alice\r\n", Flaw::Control),
            ("alice\u{85}", Flaw::Control),
            ("", Flaw::Empty),
        ] {
            let field = many(&["good", value]);
            assert_eq!(field.flaw(), Some(flaw), "{value:?}");
            assert!(field.values().is_empty());
        }
    }

    #[test]
    fn a_value_of_255_bytes_is_fit_and_256_is_not() {
        assert_eq!(many(&["a".repeat(255).as_str()]).flaw(), None);
        assert_eq!(many(&["a".repeat(256).as_str()]).flaw(), Some(Flaw::TooLong));
    }

    #[test]
    fn a_lone_field_with_two_values_identifies_nobody() {
        let field = Field::lone(["alice", "bob"].map(|value| Ok(value.to_owned())));
        assert_eq!(field.only(), Err(Flaw::Several));
        assert!(field.values().is_empty());
    }

    #[test]
    fn every_field_is_documented() {
        let documentation = include_str!("../../docs/certificates.md");
        for word in FieldName::ALL.map(FieldName::key) {
            assert!(documentation.contains(&format!("`{word}`")), "{word}");
        }
    }

    #[test]
    fn an_absent_field_has_no_flaw_and_no_value() {
        assert_eq!(many(&[]).only(), Ok(None));
    }
}
