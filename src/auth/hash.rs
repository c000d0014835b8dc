//! Password hashes: making them, reading them, and computing what a password has to match. Pure.
//!
//! Ours are argon2id PHC strings; Redis's unsalted SHA-256 is accepted so that an ACL file can be taken over as it is.

use std::fmt;

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash as Phc, Salt};
use argon2::password_hash::try_generate_salt;
use argon2::{ARGON2ID_IDENT, Algorithm, Argon2, Block, Params, Version};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use crate::acl;

const OUTPUT_LEN: usize = 32;

/// What one argon2id computation costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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
    pub(super) fn work(self) -> u64 {
        u64::from(self.memory_kib) * u64::from(self.passes)
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "m={},t={},p={}", self.memory_kib, self.passes, self.lanes)
    }
}

impl Default for Cost {
    /// 19 MiB, two passes, one lane: the OWASP recommendation, about 35 ms.
    fn default() -> Cost {
        Cost { memory_kib: 19 * 1024, passes: 2, lanes: 1 }
    }
}

/// A password hash that a user may have, read so far that passwords are verified against it. Its `Debug` shows the kind
/// only.
#[derive(Clone)]
pub enum ParsedHash {
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

impl Argon2Hash {
    /// What computing it costs.
    pub(super) fn cost(&self) -> Cost {
        self.cost
    }

    /// Whether it is of this password.
    pub(super) fn is_of(&self, password: &[u8], memory: &mut Memory) -> bool {
        let expected = self.output.as_bytes();
        let mut actual = Zeroizing::new(vec![0; expected.len()]);
        memory.compute(password, &self.salt, self.cost, &mut actual);
        bool::from(expected.ct_eq(&actual))
    }
}

impl ParsedHash {
    /// Reads `$argon2id$v=19$m=…,t=…,p=…$salt$hash`. Parameters above the caps are refused: whoever writes the ACL
    /// file must not be able to stop logins by it.
    pub fn from_phc(text: &str) -> Result<ParsedHash, HashError> {
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
        Ok(ParsedHash::Argon2id(Argon2Hash { cost, salt, output }))
    }

    /// Gives all that tells this hash from others, in parts that cannot be taken for those of another.
    pub(super) fn identify(&self, mut give: impl FnMut(&[u8])) {
        match self {
            ParsedHash::Sha256(digest) => {
                give(&[0]);
                give(digest);
            }
            ParsedHash::Argon2id(Argon2Hash { cost, salt, output }) => {
                give(&[1]);
                [cost.memory_kib, cost.passes, cost.lanes].iter().for_each(|number| give(&number.to_le_bytes()));
                for part in [&salt[..], output.as_bytes()] {
                    give(&part.len().to_le_bytes());
                    give(part);
                }
            }
        }
    }

    /// What Redis's `>password` becomes.
    #[cfg(test)]
    pub(super) fn sha256_of(password: &[u8]) -> ParsedHash {
        ParsedHash::Sha256(<sha2::Sha256 as sha2::Digest>::digest(password).into())
    }
}

impl TryFrom<&acl::PasswordHash> for ParsedHash {
    type Error = HashError;

    fn try_from(hash: &acl::PasswordHash) -> Result<ParsedHash, HashError> {
        match hash {
            acl::PasswordHash::Argon2(phc) => ParsedHash::from_phc(phc),
            acl::PasswordHash::Sha256(digest) => Ok(ParsedHash::Sha256(*digest)),
        }
    }
}

impl fmt::Debug for ParsedHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ParsedHash::Argon2id(_) => "Argon2id(..)",
            ParsedHash::Sha256(_) => "Sha256(..)",
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

/// Argon2's working memory, kept by a thread between computations and wiped after each.
#[derive(Default)]
pub struct Memory {
    blocks: Vec<Block>,
    computations: u64,
    /// What each of them cost.
    #[cfg(test)]
    pub(super) costs: Vec<Cost>,
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

    /// Does the work of one hash, for nothing.
    pub(super) fn waste(&mut self, password: &[u8], cost: Cost) {
        let mut ignored = Zeroizing::new([0; OUTPUT_LEN]);
        self.compute(password, b"no such user or password", cost, &mut ignored[..]);
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
        #[cfg(test)]
        self.costs.push(cost);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The cheapest that argon2 allows: tests count computations, not time.
    fn cheap() -> Cost {
        Cost::new(8, 1, 1).expect("within bounds")
    }

    fn hashed(password: &[u8]) -> ParsedHash {
        ParsedHash::from_phc(&make(password, cheap()).expect("a hash")).expect("our own hash reads back")
    }

    fn is_of(password: &[u8], hash: &ParsedHash) -> bool {
        match hash {
            ParsedHash::Argon2id(hash) => hash.is_of(password, &mut Memory::new()),
            ParsedHash::Sha256(_) => unreachable!("hashed makes argon2id"),
        }
    }

    #[test]
    fn a_hash_we_made_verifies_its_password_and_no_other() {
        let hash = hashed(b"secret");
        assert!(is_of(b"secret", &hash));
        assert!(!is_of(b"Secret", &hash) && !is_of(b"", &hash));
    }

    #[test]
    fn a_hash_of_the_reference_implementation_verifies() {
        // echo -n password | argon2 somesalt -id -t 2 -m 16 -p 1 -e
        let reference = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        let hash = ParsedHash::from_phc(reference).expect("a good PHC string");
        assert!(is_of(b"password", &hash) && !is_of(b"passwore", &hash));
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
        let hash = acl::PasswordHash::of_password(b"secret");
        let parsed = ParsedHash::try_from(&hash).expect("a hash");
        let hex = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";
        let shown = |digest: [u8; 32]| digest.map(|byte| format!("{byte:02x}")).concat();
        assert!(matches!(parsed, ParsedHash::Sha256(digest) if shown(digest) == hex));
    }

    #[test]
    fn parameters_above_the_caps_are_refused() {
        let phc =
            |params: &str| format!("$argon2id$v=19${params}$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc");
        assert!(ParsedHash::from_phc(&phc("m=131072,t=10,p=8")).is_ok());
        for (params, parameter) in
            [("m=131073,t=1,p=1", "m"), ("m=64,t=11,p=1", "t"), ("m=128,t=1,p=9", "p"), ("m=4294967295,t=1,p=1", "m")]
        {
            match ParsedHash::from_phc(&phc(params)) {
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
            assert_eq!(ParsedHash::from_phc(&text).err(), Some(error), "{text}");
        }
    }

    #[test]
    fn debug_shows_no_hash() {
        let shown = format!("{:?} {:?}", hashed(b"secret"), ParsedHash::sha256_of(b"secret"));
        assert_eq!(shown, "Argon2id(..) Sha256(..)");
    }

    #[test]
    fn the_working_memory_is_wiped() {
        let mut memory = Memory::new();
        memory.waste(b"secret", cheap());
        assert!(!memory.blocks.is_empty());
        assert!(memory.blocks.iter().all(|block| block.as_ref().iter().all(|word| *word == 0)));
    }
}
