//! Randomness of the operating system.

use std::fmt::Write;
use std::io;

use argon2::password_hash::try_generate_salt;
use zeroize::Zeroizing;

/// Fills `bytes`.
///
/// # Errors
/// The system gives none.
pub fn fill(bytes: &mut [u8]) -> io::Result<()> {
    for piece in bytes.chunks_mut(16) {
        let random = try_generate_salt().map_err(io::Error::other)?;
        piece.copy_from_slice(&random[..piece.len()]);
    }
    Ok(())
}

/// A password in hexadecimal digits, of at least so many bits.
///
/// # Errors
/// The system gives no randomness.
pub fn password(bits: u16) -> io::Result<Zeroizing<String>> {
    let digits = usize::from(bits).div_ceil(4);
    let mut bytes = Zeroizing::new(vec![0; digits.div_ceil(2)]);
    fill(&mut bytes)?;
    let mut text = Zeroizing::new(String::with_capacity(2 * bytes.len()));
    for byte in bytes.iter() {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text.truncate(digits);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_has_four_bits_a_digit_and_is_another_each_time() {
        for (bits, digits) in [(1, 1), (4, 1), (5, 2), (256, 64), (4096, 1024)] {
            let password = password(bits).unwrap();
            assert_eq!(password.len(), digits);
            assert!(password.bytes().all(|digit| digit.is_ascii_hexdigit()));
        }
        assert_ne!(*password(256).unwrap(), *password(256).unwrap());
    }
}
