//! A secret that can be carried around but not printed.

use std::fmt;

use zeroize::Zeroizing;

/// A password. Its memory is wiped on drop and nothing but [`Redacted::expose`] gives it out.
#[derive(Clone, PartialEq, Eq)]
pub struct Redacted(Zeroizing<Vec<u8>>);

impl Redacted {
    /// Takes ownership of a secret.
    pub fn new(secret: Vec<u8>) -> Redacted {
        Redacted(Zeroizing::new(secret))
    }

    /// The secret itself. Every call of this is a place to review.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

/// Written by hand so that structs holding a secret may derive `Debug`.
impl fmt::Debug for Redacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_holds_no_byte_of_the_secret() {
        assert_eq!(format!("{:?}", Redacted::new(b"hunter2".to_vec())), "[redacted]");
    }
}
