//! A certificate out of a file, as plain data.

use std::path::Path;

use super::error::CertError;
use crate::identity::x509::Certificate;
use crate::tls::client_file;
use crate::tls::{LoadError, Problem};

/// The first certificate of a PEM file.
pub(super) fn read(path: &Path) -> Result<Certificate, CertError> {
    let error = |problem| LoadError { setting: "the certificate", path: Some(path.to_owned()), problem };
    let chain = client_file::read(path).map_err(|errors| {
        CertError::Certificate(errors.into_iter().map(|LoadError { problem, .. }| error(problem)).collect())
    })?;
    let parsed = Certificate::parse(chain.leaf());
    parsed.map_err(|flaw| CertError::Certificate(vec![error(Problem::Unusable(flaw.to_string()))]))
}
