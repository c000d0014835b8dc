//! A change of users that somebody asks for while the proxy runs.

use std::net::SocketAddr;

use tokio::sync::oneshot;

use crate::session::{Administered, Administration};

/// What a session asks for.
pub struct Edit {
    /// What is to be done.
    pub administration: Administration,
    /// Who wants it.
    pub editor: Editor,
    /// Where the session that wants it hears of it.
    pub answer: EditTicket,
}

/// Waits for the turn of an edit: where the session hears of it. What is to be done stays with the session until then,
/// counts to it, and ends with it.
pub type EditTicket = oneshot::Sender<EditProgress>;

/// How far an edit has come.
pub enum EditProgress {
    /// Its turn has come, and no other edit is done meanwhile: the session judges it once more, by what is in force now, and
    /// sends it here if it is still right.
    GoAhead(GoAhead),
    /// It is over, and every session is under the policy it made.
    Done(Administered),
}

/// Takes an edit whose turn it is.
pub type GoAhead = oneshot::Sender<Edit>;

/// Who edits users.
#[derive(Debug, Clone)]
pub struct Editor {
    /// The user.
    pub user: String,
    /// Where it comes from.
    pub client: SocketAddr,
}

impl Edit {
    /// The command, and the users it names, for log and audit log: of many or long names the beginning, since none of them need be
    /// a user's. Rules may hold passwords.
    pub fn subject(&self) -> (&'static str, String) {
        const SHOWN: usize = 256;
        fn beginning(name: &[u8]) -> &[u8] {
            &name[..name.len().min(SHOWN)]
        }
        let shown = |name: &[u8]| String::from_utf8_lossy(beginning(name)).into_owned();
        match &self.administration {
            Administration::SetUser { name, .. } => ("acl|setuser", shown(name)),
            Administration::DeleteUsers(names) => {
                let named: Vec<&[u8]> = names.iter().take(SHOWN).map(|name| beginning(name)).collect();
                ("acl|deluser", shown(&named.join(&b' ')))
            }
            Administration::Load => ("acl|load", String::new()),
            Administration::Save => ("acl|save", String::new()),
            Administration::Log(_) | Administration::ResetLog => ("acl|log", String::new()),
            Administration::GeneratePassword(_) => ("acl|genpass", String::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn of_many_or_long_names_the_beginning_is_told() {
        let name = vec![b'n'; 100_000];
        for administration in [
            Administration::SetUser { name: name.clone(), rules: Vec::new().into() },
            Administration::DeleteUsers(vec![name.clone()]),
            Administration::DeleteUsers(vec![b"bob".to_vec(); 1000]),
        ] {
            let editor = Editor { user: "ops".to_owned(), client: (Ipv4Addr::LOCALHOST, 1).into() };
            let edit = Edit { administration, editor, answer: oneshot::channel().0 };
            assert_eq!(edit.subject().1.len(), 256);
        }
    }
}
