//! Edits of users: done one after the other, and each only if whoever asks for it still may when its turn comes.

use std::path::Path;
use std::sync::Arc;

use tokio::sync::oneshot;
use tracing::warn;

use super::Reloader;
use crate::acl::{Acl, RuleError};
use crate::audit::events;
use crate::files::Files;
use crate::generation::{self, BuildError, Edit, EditProgress, EditTicket, Generation, Part, contradictions};
use crate::net::worker::Renewal;
use crate::resp::Reply;
use crate::serve::enforce::PATIENCE;
use crate::session::{Administered, Administration};

const NO_FILE: &str = "ERR This instance is not configured to use an ACL file. Name one with aclfile.";
const REVERIFYING: &str = "ERR respgate: certificates are being verified again, try again later";
const NOT_CONFIRMED: &str = "ERR respgate: done, but not confirmed: Redis has not answered in time and may still execute \
                             requests that were sent before";
const NOT_SAVED: &str =
    "ERR There was an error trying to save the ACLs. Please check the server logs for more information";

impl Reloader {
    /// Does what a session asks for, if it still may: between its request and now users and trust may have changed.
    pub async fn edit(&mut self, ticket: EditTicket) {
        let Some(edit) = self.judged_again(ticket).await else { return };
        let (command, names) = edit.subject();
        let Edit { administration, editor, answer } = edit;
        let (before, was_unsaved) = (self.enforcer.current().number, self.unsaved);
        // What a file says is not the editor's own doing.
        let is_own = !matches!(administration, Administration::Load);
        let outcome = match administration {
            Administration::SetUser { name, rules } => self.set_user(&name, &rules).await,
            Administration::DeleteUsers(names) => self.delete_users(&names).await,
            Administration::Load => self.load().await,
            Administration::Save => self.save().await,
            // A worker does these itself.
            Administration::Log(_) | Administration::ResetLog | Administration::GeneratePassword(_) => return,
        };
        let reply = match outcome {
            Ok(reply) => {
                self.audit.acl_changed(&editor.user, editor.client, command, &names);
                match self.enforcer.confirm().await {
                    Ok(()) => {
                        events::administered(&editor.user, editor.client, command, &names, true);
                        reply
                    }
                    Err(why) => {
                        events::edit_not_confirmed(&editor.user, editor.client, command, &names, &why);
                        Reply::error(NOT_CONFIRMED)
                    }
                }
            }
            // Nothing has been done.
            Err(text) => {
                events::administered(&editor.user, editor.client, command, &names, false);
                Reply::error(text)
            }
        };
        let after = self.enforcer.current().number;
        // A session that is gone needs no answer.
        let generation = (is_own && after != before).then_some(after);
        let _ = answer.send(EditProgress::Done(Administered { reply, generation }));
        self.due.retry |= after != before;
        if self.unsaved && !was_unsaved {
            self.tell_of_passed_over_users();
        }
    }

    /// Has the session judge the edit once more, whose turn it is. Sessions that are no longer trusted know that by
    /// then, and while it is asked nothing changes. The others keep their places behind it: each comes to its turn.
    async fn judged_again(&mut self, ticket: EditTicket) -> Option<Edit> {
        if ticket.is_closed() {
            return None;
        }
        if self.due.asked.is_some() {
            // It came before, and would undo the edit later on.
            self.look_at_files().await;
        }
        if self.due.asked.is_some() || !self.enforcer.is_reverified().await {
            let reply = Reply::error(REVERIFYING);
            let _ = ticket.send(EditProgress::Done(Administered { reply, generation: None }));
            return None;
        }
        let (go_ahead, edit) = oneshot::channel();
        ticket.send(EditProgress::GoAhead(go_ahead)).ok()?;
        tokio::time::timeout(PATIENCE, edit).await.ok()?.ok()
    }

    async fn set_user(&mut self, name: &[u8], rules: &[Vec<u8>]) -> Result<Reply, String> {
        let current = self.enforcer.current();
        let rules: Vec<&[u8]> = rules.iter().map(Vec::as_slice).collect();
        let acl = current.policy.acl.set_user(name, &rules, &current.policy.table);
        let acl = acl.map_err(|error: RuleError| format!("ERR {error}"))?;
        generation::check_passwords(&acl, name).map_err(|error| format!("ERR Error in ACL SETUSER: {error}"))?;
        self.refuse_contradictions(&acl)?;
        self.enforce_users(&current, acl).await;
        Ok(Reply::OK)
    }

    async fn delete_users(&mut self, names: &[Vec<u8>]) -> Result<Reply, String> {
        let current = self.enforcer.current();
        let mut acl = current.policy.acl.clone();
        let mut deleted = 0;
        for name in names {
            if let Some(without) = acl.without_user(name) {
                acl = without;
                deleted += 1;
            }
        }
        self.refuse_contradictions(&acl)?;
        if deleted > 0 {
            self.enforce_users(&current, acl).await;
        }
        Ok(Reply::Integer(deleted))
    }

    async fn load(&mut self) -> Result<Reply, String> {
        let path = self.acl_file().ok_or(NO_FILE)?.to_owned();
        let files = self.look_with(&path).await;
        if !self.enforcer.is_reverified().await {
            return Err(REVERIFYING.to_owned());
        }
        let current = self.enforcer.current();
        let read = self.read_acl(&path, &files, &current.policy.table);
        let read = read.and_then(|(acl, warnings)| {
            let contradictions = contradictions(&self.config, &acl);
            let errors: Vec<_> = contradictions.iter().map(BuildError::from).collect();
            if errors.is_empty() { Ok((acl, warnings)) } else { Err(errors) }
        });
        match read {
            Ok((acl, warnings)) => {
                warnings.iter().for_each(|warning| warn!("{warning}"));
                self.enforce_users(&current, acl).await;
                self.watch.take_users(&path, &files);
                self.agree();
                Ok(Reply::OK)
            }
            Err(errors) => Err(load_error(&errors)),
        }
    }

    /// Reads the ACL file, and looks at all files after that: whoever is trusted no longer must not come to what these users
    /// may. Again where the ACL file has changed meanwhile, which the look may have put into force. What cannot be read is
    /// an error of its reader.
    async fn look_with(&mut self, path: &Path) -> Files {
        const TRIES: usize = 10;
        let mut files = self.files();
        for _ in 0..TRIES {
            files = self.files();
            drop(files.read(path));
            self.look_at_files().await;
            if !files.has_changed() {
                break;
            }
        }
        files
    }

    async fn save(&mut self) -> Result<Reply, String> {
        let path = self.acl_file().ok_or(NO_FILE)?.to_owned();
        let policy = Arc::clone(&self.enforcer.current().policy);
        let text = policy.acl.to_file(&policy.table);
        if self.holds_something_else(&path) {
            events::acl_file_overwritten(&path);
        }
        let (target, copy) = (path.clone(), text.clone());
        let written = tokio::task::spawn_blocking(move || generation::replace(&target, &copy)).await;
        match written.unwrap_or_else(|lost| Err(lost.into())) {
            Ok(()) => {
                let files = self.files();
                self.watch.take_written_users(&path, &text, &files);
                self.agree();
                Ok(Reply::OK)
            }
            Err(error) => {
                events::acl_file_not_saved(&path, &error);
                Err(NOT_SAVED.to_owned())
            }
        }
    }

    /// Whether the ACL file has changed since it was read or written.
    fn holds_something_else(&self, path: &Path) -> bool {
        let found = self.files().read(path).ok().map(|content| content.digest());
        self.watch.users_in_force(path) != Some(found)
    }

    /// An edit must not make users with which the next start would fail.
    fn refuse_contradictions(&self, acl: &Acl) -> Result<(), String> {
        generation::edit_refusal(&contradictions(&self.config, acl)).map_or(Ok(()), Err)
    }

    async fn enforce_users(&mut self, current: &Generation, acl: Acl) {
        self.tell_of_wanted_contradictions(&acl);
        self.unsaved = true;
        self.enforcer.enforce(current.with_users(acl), Renewal::Policy).await;
    }

    /// The ACL file and the users are the same now.
    fn agree(&mut self) {
        self.watch.put_in_force(&Part::Users, &self.files());
        self.unsaved = false;
        self.due.retry = true;
    }
}

/// All errors in one line, as Redis has them [ACLLoadFromFile].
fn load_error(errors: &[BuildError]) -> String {
    let listed: Vec<String> = errors.iter().map(|error| format!("{error}. ")).collect();
    format!(
        "ERR {}WARNING: ACL errors detected, no change to the previously active ACL rules was performed",
        listed.concat()
    )
}
