//! A certificate out of a file, as plain data.

use std::path::Path;

use super::error::CertError;
use crate::identity::x509::{Certificate, ParseError};
use crate::tls::client_file;
use crate::tls::{CertificateChain, LoadError, Problem};

/// The first certificate of a PEM file.
pub(super) fn read(path: &Path) -> Result<Certificate, CertError> {
    parse(path, Certificate::parse(chain(path)?.leaf()))
}

/// Its subject alternative name extension as well, DER.
pub(super) fn read_with_names(path: &Path) -> Result<(Certificate, Option<Vec<u8>>), CertError> {
    let chain = chain(path)?;
    let names = parse(path, Certificate::subject_alternative_name_of(chain.leaf()))?;
    Ok((parse(path, Certificate::parse(chain.leaf()))?, names))
}

fn chain(path: &Path) -> Result<CertificateChain, CertError> {
    client_file::read(path, "--cert").map_err(|errors| {
        CertError::Certificate(errors.into_iter().map(|LoadError { problem, .. }| error(path, problem)).collect())
    })
}

fn parse<T>(path: &Path, parsed: Result<T, ParseError>) -> Result<T, CertError> {
    parsed.map_err(|flaw| CertError::Certificate(vec![error(path, Problem::Unusable(flaw.to_string()))]))
}

fn error(path: &Path, problem: Problem) -> LoadError {
    LoadError { setting: "the certificate", path: Some(path.to_owned()), problem }
}
