//! Facts to findings. Pure.

mod announced;
mod clients;
mod compose;
mod exposure;
mod gate;
mod outside;
mod redis;

pub use self::announced::{addresses, announced};
pub use self::clients::{Client, Clients, clients};
pub use self::compose::compose;
pub use self::exposure::{Exposure, exposure};
pub use self::gate::{Gate, gate};
pub use self::outside::outside;
pub use self::redis::{Instance, redis};

/// The rules with `resetpass` in the place of `nopass`. Passwords and hashes are left out: what is printed shows none, and
/// `nopass` had made them void.
fn without_nopass(rules: &str) -> String {
    let is_password = |word: &&str| word.starts_with(['>', '<', '#', '!', '$']);
    let words = rules.split_whitespace().filter(|word| !is_password(word));
    words.map(|word| if word.eq_ignore_ascii_case("nopass") { "resetpass" } else { word }).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fix_of_nopass_shows_no_password() {
        let rules = "user a on >s3cret #1f $argon2id$v=19$x NOPASS ~a:* (+get ~b:*)";
        assert_eq!(without_nopass(rules), "user a on resetpass ~a:* (+get ~b:*)");
    }
}
