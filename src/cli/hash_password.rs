//! `respgate hash-password`: an argon2id hash for the ACL file.

use std::fmt;
use std::io::{self, BufRead, IsTerminal, Read, Stdin, Write};

use clap::Args;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use super::Exit;
use super::say;
use crate::auth::hash::{self, Cost};

/// Longer passwords are taken for a mistake, such as the wrong file on standard input.
const LONGEST: usize = 4096;

/// Of argon2, in KiB.
const LEAST_MEMORY_PER_LANE: u32 = 8;

/// A password that is just too long, and its newline.
const READ_AT_MOST: u64 = LONGEST as u64 + 3;

/// What a verification costs. The defaults are OWASP's for argon2id.
#[derive(Debug, Args)]
pub struct HashPasswordArgs {
    /// Memory of one verification, in KiB
    #[arg(long, value_name = "KIB", default_value_t = 19_456)]
    pub memory: u32,
    /// Passes over that memory
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub iterations: u32,
    /// Lanes
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub parallelism: u32,
}

/// Reads a password, from a prompt where standard input is a terminal, and prints its hash on standard output.
pub fn hash_password(arguments: &HashPasswordArgs) -> Exit {
    let stdin = io::stdin();
    let password = if stdin.is_terminal() { prompt_twice(&stdin) } else { read_password(&mut stdin.lock()) };
    match password.and_then(|password| hash(&password, arguments)) {
        Ok(hash) => {
            println!("{hash}");
            Exit::Success
        }
        Err(error) => {
            say::error(&error);
            error.exit()
        }
    }
}

/// The PHC string of a password with a random salt, one that `run` will accept.
fn hash(password: &[u8], arguments: &HashPasswordArgs) -> Result<String, HashError> {
    let HashPasswordArgs { memory, iterations, parallelism } = *arguments;
    for (flag, given, least) in [
        ("--iterations", iterations, 1),
        ("--parallelism", parallelism, 1),
        ("--memory", memory, LEAST_MEMORY_PER_LANE.saturating_mul(parallelism)),
    ] {
        if given < least {
            return Err(HashError::TooLittle { flag, given, least });
        }
    }
    let cost = Cost::new(memory, iterations, parallelism).map_err(HashError::Parameters)?;
    hash::make(password, cost).map_err(HashError::Hashing)
}

/// The whole input without its last newline.
fn read_password(input: &mut impl Read) -> Result<Zeroizing<Vec<u8>>, HashError> {
    let mut password = Zeroizing::new(Vec::with_capacity(LONGEST + 3));
    input.take(READ_AT_MOST).read_to_end(&mut password).map_err(HashError::Input)?;
    without_newline(&mut password);
    sound(password)
}

fn prompt_twice(stdin: &Stdin) -> Result<Zeroizing<Vec<u8>>, HashError> {
    let _echo = EchoOff::new(stdin).map_err(HashError::Input)?;
    let password = prompt(stdin, "Password: ")?;
    let again = prompt(stdin, "Again: ")?;
    if password != again {
        return Err(HashError::Different);
    }
    Ok(password)
}

fn prompt(stdin: &Stdin, text: &str) -> Result<Zeroizing<Vec<u8>>, HashError> {
    eprint!("{text}");
    io::stderr().flush().map_err(HashError::Input)?;
    let mut line = Zeroizing::new(Vec::with_capacity(LONGEST + 3));
    let read = stdin.lock().take(READ_AT_MOST).read_until(b'\n', &mut line);
    eprintln!();
    read.map_err(HashError::Input)?;
    without_newline(&mut line);
    sound(line)
}

fn without_newline(text: &mut Vec<u8>) {
    if text.ends_with(b"\n") {
        text.pop();
        if text.ends_with(b"\r") {
            text.pop();
        }
    }
}

fn sound(password: Zeroizing<Vec<u8>>) -> Result<Zeroizing<Vec<u8>>, HashError> {
    match password.len() {
        0 => Err(HashError::Empty),
        1..=LONGEST if password.contains(&b'\n') => Err(HashError::SeveralLines),
        1..=LONGEST => Ok(password),
        _ => Err(HashError::TooLong),
    }
}

/// The terminal does not show what is typed until this is dropped.
struct EchoOff<'a> {
    terminal: &'a Stdin,
    before: Termios,
}

impl<'a> EchoOff<'a> {
    fn new(terminal: &'a Stdin) -> io::Result<EchoOff<'a>> {
        let before = tcgetattr(terminal)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(terminal, OptionalActions::Flush, &silent)?;
        Ok(EchoOff { terminal, before })
    }
}

impl Drop for EchoOff<'_> {
    fn drop(&mut self) {
        // A terminal that is gone needs no restoring.
        let _ = tcsetattr(self.terminal, OptionalActions::Flush, &self.before);
    }
}

/// Why there is no hash. Never holds the password.
#[derive(Debug)]
enum HashError {
    Input(io::Error),
    Empty,
    SeveralLines,
    TooLong,
    Different,
    TooLittle { flag: &'static str, given: u32, least: u32 },
    Parameters(hash::HashError),
    Hashing(hash::HashError),
}

impl HashError {
    fn exit(&self) -> Exit {
        match self {
            HashError::TooLittle { .. } | HashError::Parameters(_) => Exit::Usage,
            HashError::Hashing(_) => Exit::Internal,
            _ => Exit::Failure,
        }
    }
}

impl fmt::Display for HashError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HashError::Input(error) => write!(f, "cannot read the password: {error}"),
            HashError::Empty => f.write_str("the password is empty"),
            HashError::SeveralLines => f.write_str("the password has more than one line"),
            HashError::TooLong => write!(f, "the password is longer than {LONGEST} bytes"),
            HashError::Different => f.write_str("the two passwords differ"),
            HashError::TooLittle { flag: flag @ "--memory", given, least } => {
                write!(
                    f,
                    "{flag} {given}: at least {least}, which is {LEAST_MEMORY_PER_LANE} KiB for each of --parallelism"
                )
            }
            HashError::TooLittle { flag, given, least } => write!(f, "{flag} {given}: at least {least}"),
            HashError::Parameters(error) => write!(f, "--memory, --iterations or --parallelism: {error}"),
            HashError::Hashing(error) => write!(f, "cannot hash: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::hash::{Memory, ParsedHash};
    use crate::auth::verify::{RefusalWork, Verification, verify};

    const CHEAP: HashPasswordArgs = HashPasswordArgs { memory: 8, iterations: 1, parallelism: 1 };

    fn read(input: &str) -> Result<Zeroizing<Vec<u8>>, HashError> {
        read_password(&mut input.as_bytes())
    }

    #[test]
    fn the_hash_is_a_phc_string_that_verifies() {
        let text = hash(b"hunter2", &CHEAP).unwrap();
        assert!(text.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{text}");
        let hashes = [ParsedHash::from_phc(&text).unwrap()];
        let verdict =
            |password: &[u8]| verify(password, &hashes, &RefusalWork::covering([&hashes[..]]), &mut Memory::new());
        assert!(matches!(verdict(b"hunter2"), Verification::Match(0)));
        assert!(matches!(verdict(b"hunter3"), Verification::Mismatch));
    }

    #[test]
    fn two_hashes_of_one_password_differ() {
        assert_ne!(hash(b"x", &CHEAP).unwrap(), hash(b"x", &CHEAP).unwrap());
    }

    #[test]
    fn one_newline_is_no_part_of_the_password() {
        assert_eq!(*read("a b\n").unwrap(), b"a b");
        assert_eq!(*read("a b\r\n").unwrap(), b"a b");
        assert_eq!(*read(" a ").unwrap(), b" a ");
    }

    #[test]
    fn what_is_no_password_is_refused() {
        assert!(matches!(read(""), Err(HashError::Empty)));
        assert!(matches!(read("\n"), Err(HashError::Empty)));
        assert!(matches!(read("a\nb\n"), Err(HashError::SeveralLines)));
        assert!(matches!(read(&"a".repeat(LONGEST + 1)), Err(HashError::TooLong)));
        assert!(read(&"a".repeat(LONGEST)).is_ok());
    }

    #[test]
    fn parameters_that_are_impossible_or_that_run_would_refuse_are_a_usage_error() {
        for (memory, iterations, parallelism) in
            [(1, 1, 1), (Cost::MAX_MEMORY_KIB + 1, 1, 1), (8, Cost::MAX_PASSES + 1, 1)]
        {
            let error = hash(b"x", &HashPasswordArgs { memory, iterations, parallelism }).unwrap_err();
            assert_eq!(error.exit(), Exit::Usage, "{error}");
        }
    }

    #[test]
    fn what_is_too_little_is_told_with_the_least() {
        let told = |memory, iterations, parallelism| {
            hash(b"x", &HashPasswordArgs { memory, iterations, parallelism }).unwrap_err().to_string()
        };
        assert_eq!(told(1, 1, 1), "--memory 1: at least 8, which is 8 KiB for each of --parallelism");
        assert_eq!(told(8, 1, 2), "--memory 8: at least 16, which is 8 KiB for each of --parallelism");
        assert_eq!(told(8, 0, 1), "--iterations 0: at least 1");
        assert_eq!(told(8, 1, 0), "--parallelism 0: at least 1");
    }
}
