//! Password hashes: making them, reading them, and comparing a password with them. Pure.
//!
//! Ours are argon2id PHC strings; Redis's unsalted SHA-256 is accepted so that an ACL file can be taken over as it is.

use std::fmt;

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash as Phc, Salt};
use argon2::password_hash::try_generate_salt;
use argon2::{ARGON2ID_IDENT, Algorithm, Argon2, Block, Params, Version};
use sha2::{Digest, Sha256};
use subtle::{ConditionallySelectable, ConstantTimeEq};
use zeroize::{Zeroize, Zeroizing};

use crate::acl;

const OUTPUT_LEN: usize = 32;

/// What one argon2id computation costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl Cost {
    /// Most memory that a hash may ask for: what every verification thread may come to hold.
    pub const MAX_MEMORY_KIB: u32 = 128 * 1024;
    /// Most passes over that memory.
    pub const MAX_PASSES: u32 = 10;
    /// Most lanes. They are computed one after another, so they bring no speed.
    pub const MAX_LANES: u32 = 8;

    /// Checks memory in KiB, passes and lanes against the caps above and argon2's own lower bounds.
    pub fn new(memory_kib: u32, passes: u32, lanes: u32) -> Result<Cost, HashError> {
        for (name, value, max) in
            [("m", memory_kib, Cost::MAX_MEMORY_KIB), ("t", passes, Cost::MAX_PASSES), ("p", lanes, Cost::MAX_LANES)]
        {
            if value > max {
                return Err(HashError::TooCostly { parameter: name, value, max });
            }
        }
        Params::new(memory_kib, passes, lanes, Some(OUTPUT_LEN)).map_err(|_| HashError::Parameters)?;
        Ok(Cost { memory_kib, passes, lanes })
    }

    /// KiB touched in all: how two costs compare.
    fn work(self) -> u64 {
        u64::from(self.memory_kib) * u64::from(self.passes)
    }
}

impl Default for Cost {
    /// 19 MiB, two passes, one lane: the OWASP recommendation, about 35 ms.
    fn default() -> Cost {
        Cost { memory_kib: 19 * 1024, passes: 2, lanes: 1 }
    }
}

/// A password hash that a user may have. Its `Debug` shows the kind only.
#[derive(Clone)]
pub enum PasswordHash {
    /// `$argon2id$…`
    Argon2id(Argon2Hash),
    /// Redis's `#…`: SHA-256 of the password, unsalted.
    Sha256([u8; 32]),
}

/// A parsed argon2id PHC string within the caps of [`Cost`].
#[derive(Clone)]
pub struct Argon2Hash {
    cost: Cost,
    salt: Salt,
    output: Output,
}

impl PasswordHash {
    /// Reads `$argon2id$v=19$m=…,t=…,p=…$salt$hash`. Parameters above the caps are refused: whoever writes the ACL
    /// file must not be able to stop logins by it.
    pub fn from_phc(text: &str) -> Result<PasswordHash, HashError> {
        let phc = Phc::new(text).map_err(|_| HashError::NotPhc)?;
        if phc.algorithm != ARGON2ID_IDENT {
            return Err(HashError::Algorithm);
        }
        if phc.version != Some(u32::from(Version::V0x13)) {
            return Err(HashError::Version);
        }
        let params = &phc.params;
        if params.iter().any(|(name, _)| !matches!(name.as_str(), "m" | "t" | "p")) {
            return Err(HashError::Parameters);
        }
        let number = |name| params.get_decimal(name).ok_or(HashError::Parameters);
        let cost = Cost::new(number("m")?, number("t")?, number("p")?)?;
        let salt = phc.salt.ok_or(HashError::NotPhc)?;
        let output = phc.hash.ok_or(HashError::NotPhc)?;
        if salt.len() < argon2::MIN_SALT_LEN || output.len() < 16 {
            return Err(HashError::TooShort);
        }
        Ok(PasswordHash::Argon2id(Argon2Hash { cost, salt, output }))
    }

    /// Reads the 64 hexadecimal digits of Redis's `#…`.
    pub fn from_sha256_hex(digits: &str) -> Result<PasswordHash, HashError> {
        let digits = digits.as_bytes();
        let mut digest = [0; 32];
        if digits.len() != 2 * digest.len() {
            return Err(HashError::Sha256Hex);
        }
        for (byte, pair) in digest.iter_mut().zip(digits.chunks_exact(2)) {
            let nibble = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
            *byte = nibble(pair[0]).ok_or(HashError::Sha256Hex)? << 4 | nibble(pair[1]).ok_or(HashError::Sha256Hex)?;
        }
        Ok(PasswordHash::Sha256(digest))
    }

    /// What Redis's `>password` becomes.
    pub fn sha256_of(password: &[u8]) -> PasswordHash {
        PasswordHash::Sha256(Sha256::digest(password).into())
    }
}

impl TryFrom<&acl::PasswordHash> for PasswordHash {
    type Error = HashError;

    fn try_from(hash: &acl::PasswordHash) -> Result<PasswordHash, HashError> {
        match hash {
            acl::PasswordHash::Argon2(phc) => PasswordHash::from_phc(phc),
            acl::PasswordHash::Sha256(digest) => Ok(PasswordHash::Sha256(*digest)),
        }
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PasswordHash::Argon2id(_) => "Argon2id(..)",
            PasswordHash::Sha256(_) => "Sha256(..)",
        })
    }
}

/// Why a hash cannot be made or read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HashError {
    /// Not of the form `$argon2id$v=19$m=…,t=…,p=…$salt$hash`.
    NotPhc,
    /// Another algorithm than argon2id.
    Algorithm,
    /// Another version than 19.
    Version,
    /// m, t or p missing, below argon2's own bounds, or joined by others.
    Parameters,
    /// A parameter above its cap.
    TooCostly {
        /// m, t or p.
        parameter: &'static str,
        /// What was asked for.
        value: u32,
        /// The most that is accepted.
        max: u32,
    },
    /// Salt under 8 bytes or hash under 16 bytes.
    TooShort,
    /// Not 64 hexadecimal digits.
    Sha256Hex,
    /// The operating system gave no random bytes.
    Random,
}

impl fmt::Display for HashError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HashError::NotPhc => {
                f.write_str("not a password hash of the form $argon2id$v=19$m=19456,t=2,p=1$salt$hash")
            }
            HashError::Algorithm => f.write_str("not argon2id, the only algorithm accepted"),
            HashError::Version => f.write_str("not argon2 version 19 (v=19)"),
            HashError::Parameters => f.write_str("the argon2 parameters m, t and p are incomplete or too small"),
            HashError::TooCostly { parameter, value, max } => {
                write!(f, "the argon2 parameter {parameter}={value} is above the accepted {max}")
            }
            HashError::TooShort => f.write_str("the salt is under 8 bytes or the hash under 16 bytes"),
            HashError::Sha256Hex => f.write_str("not a SHA-256: 64 hexadecimal digits"),
            HashError::Random => f.write_str("the operating system gave no random bytes"),
        }
    }
}

impl std::error::Error for HashError {}

/// Makes the PHC string of a password under a fresh random salt.
pub fn make(password: &[u8], cost: Cost) -> Result<String, HashError> {
    let salt = try_generate_salt().map_err(|_| HashError::Random)?;
    let mut output = Zeroizing::new([0; OUTPUT_LEN]);
    Memory::new().compute(password, &salt, cost, &mut output[..]);
    let mut params = ParamsString::new();
    for (name, value) in [("m", cost.memory_kib), ("t", cost.passes), ("p", cost.lanes)] {
        params.add_decimal(name, value).map_err(|_| HashError::Parameters)?;
    }
    let phc = Phc {
        algorithm: ARGON2ID_IDENT,
        version: Some(Version::V0x13.into()),
        params,
        salt: Some(Salt::new(&salt).map_err(|_| HashError::NotPhc)?),
        hash: Some(Output::new(&output[..]).map_err(|_| HashError::NotPhc)?),
    };
    Ok(phc.to_string())
}

/// The least work that a failed verification does, whoever the user is, so that the time a refusal takes does not
/// tell which users exist, are on, or have a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MinimumWork {
    cost: Cost,
    hashes: usize,
}

impl MinimumWork {
    /// The minimum_work that hides these users among each other: the costliest hash, as often as the user with most hashes
    /// has them. Users whose hashes all cost the same, which is the normal case, cannot then be told apart.
    pub fn covering<'a>(users: impl IntoIterator<Item = &'a [PasswordHash]>) -> MinimumWork {
        let mut minimum_work = MinimumWork::default();
        for hashes in users {
            let costs = || {
                hashes.iter().filter_map(|hash| match hash {
                    PasswordHash::Argon2id(hash) => Some(hash.cost),
                    PasswordHash::Sha256(_) => None,
                })
            };
            minimum_work.hashes = minimum_work.hashes.max(costs().count());
            minimum_work.cost = costs().chain([minimum_work.cost]).max_by_key(|cost| cost.work()).unwrap_or_default();
        }
        minimum_work
    }
}

impl Default for MinimumWork {
    /// One hash of the default cost.
    fn default() -> MinimumWork {
        MinimumWork { cost: Cost::default(), hashes: 1 }
    }
}

/// Whether a password is one of a user's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Verification {
    /// It is the one of this index.
    Match(usize),
    /// It is none of them, or there are none.
    Mismatch,
}

/// Compares a password with a user's hashes (none for a user that is unknown, off or without password), and does at
/// least the work of `minimum_work` before it says [`Verification::Mismatch`].
pub fn verify(
    password: &[u8],
    hashes: &[PasswordHash],
    minimum_work: &MinimumWork,
    memory: &mut Memory,
) -> Verification {
    let digest: Zeroizing<[u8; 32]> = Zeroizing::new(Sha256::digest(password).into());
    let mut matched = subtle::Choice::from(0);
    let mut position = 0;
    for (index, hash) in hashes.iter().enumerate() {
        if let PasswordHash::Sha256(expected) = hash {
            let equal = expected[..].ct_eq(&digest[..]);
            matched |= equal;
            position.conditional_assign(&(index as u64), equal);
        }
    }
    if bool::from(matched) {
        return Verification::Match(usize::try_from(position).unwrap_or(usize::MAX));
    }
    let mut computed = 0;
    for (index, hash) in hashes.iter().enumerate() {
        if let PasswordHash::Argon2id(Argon2Hash { cost, salt, output }) = hash {
            let expected = output.as_bytes();
            let mut actual = Zeroizing::new(vec![0; expected.len()]);
            memory.compute(password, salt, *cost, &mut actual);
            if bool::from(expected.ct_eq(&actual)) {
                return Verification::Match(index);
            }
            computed += 1;
        }
    }
    for _ in computed..minimum_work.hashes {
        let mut ignored = Zeroizing::new([0; OUTPUT_LEN]);
        memory.compute(password, b"no such user or password", minimum_work.cost, &mut ignored[..]);
    }
    Verification::Mismatch
}

/// Argon2's working memory, kept by a thread between computations and wiped after each.
#[derive(Default)]
pub struct Memory {
    blocks: Vec<Block>,
    computations: u64,
}

impl Memory {
    /// Empty; it grows to what the costliest hash needs.
    pub fn new() -> Memory {
        Memory::default()
    }

    /// How many argon2 computations were done in it.
    pub fn computations(&self) -> u64 {
        self.computations
    }

    fn compute(&mut self, password: &[u8], salt: &[u8], cost: Cost, output: &mut [u8]) {
        let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(output.len()))
            .expect("Cost::new checked the parameters");
        if self.blocks.len() < params.block_count() {
            self.blocks.resize(params.block_count(), Block::new());
        }
        let used = params.block_count();
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into_with_memory(password, salt, output, &mut self.blocks[..used])
            .expect("salt and output lengths are checked when a hash is read, and passwords are under 4 GiB");
        self.blocks[..used].iter_mut().for_each(Zeroize::zeroize);
        self.computations += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The cheapest that argon2 allows: tests count computations, not time.
    fn cheap() -> Cost {
        Cost::new(8, 1, 1).expect("within bounds")
    }

    fn hashed(password: &[u8]) -> PasswordHash {
        PasswordHash::from_phc(&make(password, cheap()).expect("a hash")).expect("our own hash reads back")
    }

    fn minimum_work() -> MinimumWork {
        MinimumWork { cost: cheap(), hashes: 1 }
    }

    fn check(password: &[u8], hashes: &[PasswordHash]) -> (Verification, u64) {
        let mut memory = Memory::new();
        let verification = verify(password, hashes, &minimum_work(), &mut memory);
        (verification, memory.computations())
    }

    #[test]
    fn a_hash_we_made_verifies_its_password_and_no_other() {
        let hashes = [hashed(b"secret")];
        assert_eq!(check(b"secret", &hashes).0, Verification::Match(0));
        assert_eq!(check(b"Secret", &hashes).0, Verification::Mismatch);
        assert_eq!(check(b"", &hashes).0, Verification::Mismatch);
    }

    #[test]
    fn a_hash_of_the_reference_implementation_verifies() {
        // echo -n password | argon2 somesalt -id -t 2 -m 16 -p 1 -e
        let reference = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        let hashes = [PasswordHash::from_phc(reference).expect("a good PHC string")];
        assert_eq!(check(b"password", &hashes).0, Verification::Match(0));
        assert_eq!(check(b"passwore", &hashes).0, Verification::Mismatch);
    }

    #[test]
    fn the_same_password_gets_another_salt_each_time() {
        assert_ne!(make(b"secret", cheap()), make(b"secret", cheap()));
    }

    #[test]
    fn the_default_cost_is_written_into_the_hash() {
        let phc = make(b"secret", Cost::default()).expect("a hash");
        assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{phc}");
    }

    #[test]
    fn redis_sha256_hashes_are_accepted() {
        let hex = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";
        let from_hex = PasswordHash::from_sha256_hex(hex).expect("64 digits");
        assert_eq!(check(b"secret", &[from_hex]).0, Verification::Match(0));
        assert_eq!(check(b"secret", &[PasswordHash::sha256_of(b"secret")]).0, Verification::Match(0));
        assert_eq!(check(b"other", &[PasswordHash::sha256_of(b"secret")]).0, Verification::Mismatch);
        for bad in ["", "2bb8", &"g".repeat(64), &"a".repeat(63), &"ä".repeat(32)] {
            assert_eq!(PasswordHash::from_sha256_hex(bad).err(), Some(HashError::Sha256Hex), "{bad}");
        }
    }

    #[test]
    fn any_of_several_passwords_is_accepted_and_named() {
        let hashes = [hashed(b"old"), PasswordHash::sha256_of(b"older"), hashed(b"new")];
        for (index, password) in [&b"old"[..], b"older", b"new"].into_iter().enumerate() {
            assert_eq!(check(password, &hashes).0, Verification::Match(index));
        }
        assert_eq!(check(b"newest", &hashes).0, Verification::Mismatch);
    }

    #[test]
    fn a_refusal_costs_the_same_whoever_the_user_is() {
        let one = check(b"wrong", &[hashed(b"secret")]);
        assert_eq!(one, (Verification::Mismatch, 1));
        assert_eq!(check(b"wrong", &[]), one, "unknown user");
        assert_eq!(check(b"wrong", &[PasswordHash::sha256_of(b"secret")]), one, "user with a Redis hash");
    }

    #[test]
    fn the_floor_covers_the_costliest_user() {
        let [one, two] = [hashed(b"a"), hashed(b"b")];
        let costly = PasswordHash::Argon2id(match hashed(b"c") {
            PasswordHash::Argon2id(hash) => Argon2Hash { cost: Cost::new(65_536, 3, 1).expect("in caps"), ..hash },
            PasswordHash::Sha256(_) => unreachable!("hashed makes argon2id"),
        });
        let minimum_work = MinimumWork::covering([&[one, two][..], &[costly], &[]]);
        assert_eq!(minimum_work, MinimumWork { cost: Cost::new(65_536, 3, 1).expect("in caps"), hashes: 2 });
    }

    #[test]
    fn parameters_above_the_caps_are_refused() {
        let phc =
            |params: &str| format!("$argon2id$v=19${params}$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc");
        assert!(PasswordHash::from_phc(&phc("m=131072,t=10,p=8")).is_ok());
        for (params, parameter) in
            [("m=131073,t=1,p=1", "m"), ("m=64,t=11,p=1", "t"), ("m=128,t=1,p=9", "p"), ("m=4294967295,t=1,p=1", "m")]
        {
            match PasswordHash::from_phc(&phc(params)) {
                Err(HashError::TooCostly { parameter: reported, .. }) => assert_eq!(reported, parameter),
                other => panic!("{params}: {other:?}"),
            }
        }
    }

    #[test]
    fn other_algorithms_versions_and_forms_are_refused() {
        let tail = "c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        for (text, error) in [
            (format!("$argon2i$v=19$m=64,t=1,p=1${tail}"), HashError::Algorithm),
            (format!("$argon2d$v=19$m=64,t=1,p=1${tail}"), HashError::Algorithm),
            (format!("$argon2id$v=16$m=64,t=1,p=1${tail}"), HashError::Version),
            (format!("$argon2id$m=64,t=1,p=1${tail}"), HashError::Version),
            (format!("$argon2id$v=19$m=64,t=1${tail}"), HashError::Parameters),
            (format!("$argon2id$v=19$m=64,t=0,p=1${tail}"), HashError::Parameters),
            (format!("$argon2id$v=19$m=1,t=1,p=1${tail}"), HashError::Parameters),
            (format!("$argon2id$v=19$m=64,t=1,p=1,keyid=QUJD${tail}"), HashError::Parameters),
            ("$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ".to_owned(), HashError::NotPhc),
            ("$argon2id$v=19$m=64,t=1,p=1".to_owned(), HashError::NotPhc),
            ("hunter2".to_owned(), HashError::NotPhc),
            (String::new(), HashError::NotPhc),
        ] {
            assert_eq!(PasswordHash::from_phc(&text).err(), Some(error), "{text}");
        }
    }

    #[test]
    fn debug_shows_no_hash() {
        let shown = format!("{:?} {:?}", hashed(b"secret"), PasswordHash::sha256_of(b"secret"));
        assert_eq!(shown, "Argon2id(..) Sha256(..)");
    }

    #[test]
    fn the_working_memory_is_wiped() {
        let mut memory = Memory::new();
        let _ = verify(b"secret", &[hashed(b"secret")], &minimum_work(), &mut memory);
        assert!(memory.blocks.iter().all(|block| block.as_ref().iter().all(|word| *word == 0)));
    }
}
