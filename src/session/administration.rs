//! What an ACL command wants done outside of the session, and what came of it.

use zeroize::Zeroizing;

use crate::command::ArgvBuf;
use crate::resp::Reply;

/// What a session wants done. It holds passwords, so it has no `Debug`.
pub enum Administration {
    /// `ACL SETUSER name rules…`.
    SetUser {
        /// The user that is made or changed.
        name: Vec<u8>,
        /// The rules in order.
        rules: Zeroizing<Vec<Vec<u8>>>,
    },
    /// `ACL DELUSER names…`: none of them is `default`.
    DeleteUsers(Vec<Vec<u8>>),
    /// `ACL LOAD`.
    Load,
    /// `ACL SAVE`.
    Save,
    /// `ACL LOG count`.
    Log(usize),
    /// `ACL LOG RESET`.
    ResetLog,
    /// `ACL GENPASS bits`: from 1 to 4,096.
    GeneratePassword(u16),
}

impl Administration {
    /// Whether it may change users or their file: those are done one after the other.
    pub fn is_edit(&self) -> bool {
        match self {
            Self::SetUser { .. } | Self::DeleteUsers(_) | Self::Load | Self::Save => true,
            Self::Log(_) | Self::ResetLog | Self::GeneratePassword(_) => false,
        }
    }

    /// The request that asks for it.
    pub(super) fn request(&self) -> ArgvBuf {
        let count: String;
        let (subcommand, arguments): (&str, Vec<&[u8]>) = match self {
            Self::SetUser { name, rules } => {
                ("SETUSER", std::iter::once(name).chain(rules.iter()).map(Vec::as_slice).collect())
            }
            Self::DeleteUsers(names) => ("DELUSER", names.iter().map(Vec::as_slice).collect()),
            Self::Load => ("LOAD", Vec::new()),
            Self::Save => ("SAVE", Vec::new()),
            Self::Log(entries) => {
                count = entries.to_string();
                ("LOG", vec![count.as_bytes()])
            }
            Self::ResetLog => ("LOG", vec![b"RESET"]),
            Self::GeneratePassword(bits) => {
                count = bits.to_string();
                ("GENPASS", vec![count.as_bytes()])
            }
        };
        [b"ACL", subcommand.as_bytes()].into_iter().chain(arguments).collect()
    }

    /// Bytes of memory that it takes.
    pub(super) fn memory(&self) -> usize {
        let all = |words: &[Vec<u8>]| words.iter().map(|word| size_of_val(word) + word.capacity()).sum::<usize>();
        match self {
            Self::SetUser { name, rules } => name.capacity() + all(rules),
            Self::DeleteUsers(names) => all(names),
            Self::Load | Self::Save | Self::Log(_) | Self::ResetLog | Self::GeneratePassword(_) => 0,
        }
    }
}

/// What came of it.
#[derive(Debug)]
pub struct Administered {
    /// For the client.
    pub reply: Reply,
    /// The policy that the session itself made by this, by its number; of what LOAD reads it is judged as everybody is.
    pub generation: Option<u64>,
}
