//! CRLs out of a file, as plain data: nobody asks here who has signed them.

use std::path::Path;

use super::load_error::{LoadError, Problem};
use super::pem;
use crate::files::Files;
use crate::identity::x509::RevocationList;

/// The CRLs in a file, at least one.
///
/// # Errors
/// It cannot be read, or holds none or something else.
pub fn read(path: &Path) -> Result<Vec<RevocationList>, Vec<LoadError>> {
    let error = |problem| LoadError { setting: "the CRL", path: Some(path.to_owned()), problem };
    let content = Files::default().read(path).map_err(|io| vec![error(Problem::Read(io))])?;
    let lists = pem::revocation_lists(&content.bytes)
        .map_err(|errors| errors.into_iter().map(|pem| error(Problem::Pem(pem))).collect::<Vec<_>>())?;
    let lists: Result<_, _> = lists.iter().map(|der| RevocationList::parse(der)).collect();
    lists.map_err(|flaw| vec![error(Problem::Unusable(flaw.to_string()))])
}
