//! Edits of users: done one after the other, and each only if whoever asks for it still may when its turn comes.

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};
use tracing::warn;

use super::found::{self, Found, Read, Rest, Written};
use super::{Reloader, reader};
use crate::acl::{Acl, RuleError, UserName};
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
const NOT_READ: &str = "ERR respgate: the files do not answer, try again later";
const NOT_SAVED: &str =
    "ERR There was an error trying to save the ACLs. Please check the server logs for more information";

impl Reloader {
    /// Does what a session asks for, if it still may: between its request and now users and trust may have changed.
    pub async fn edit(&mut self, ticket: EditTicket) {
        let Some(edit) = self.judged_again(ticket).await else { return };
        let (command, named) = edit.subject();
        let Edit { administration, editor, answer } = edit;
        let mut lines = vec![named];
        let (before, was_unsaved) = (self.enforcer.current().number, self.unsaved);
        // What a file says is not the editor's own doing.
        let is_own = !matches!(administration, Administration::Load);
        let outcome = match administration {
            Administration::SetUser { name, rules } => self.set_user(&name, &rules).await,
            Administration::DeleteUsers(names) => self.delete_users(&names).await.map(|deleted| {
                if !deleted.is_empty() {
                    lines = listed(&deleted);
                }
                Reply::Integer(deleted.len().try_into().unwrap_or(i64::MAX))
            }),
            Administration::Load => self.load().await,
            Administration::Save => self.save().await,
            // A worker does these itself.
            Administration::Log(_) | Administration::ResetLog | Administration::GeneratePassword(_) => return,
        };
        let reply = match outcome {
            Ok(reply) => {
                for names in &lines {
                    self.audit.acl_changed(&editor.user, editor.client, command, names);
                }
                let confirmed = self.enforcer.confirm().await;
                for names in &lines {
                    match &confirmed {
                        Ok(()) => events::administered(&editor.user, editor.client, command, names, true),
                        Err(why) => events::edit_not_confirmed(&editor.user, editor.client, command, names, why),
                    }
                }
                if confirmed.is_ok() { reply } else { Reply::error(NOT_CONFIRMED) }
            }
            // Nothing has been done.
            Err(text) => {
                for names in &lines {
                    events::administered(&editor.user, editor.client, command, names, false);
                }
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
            self.has_read(Instant::now() + PATIENCE).await;
        }
        // Where files do not answer, the edit comes before what they say.
        if self.due.asked.is_some() && !self.is_reading() || !self.enforcer.is_reverified().await {
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

    /// Says who was deleted.
    async fn delete_users(&mut self, names: &[Vec<u8>]) -> Result<Vec<UserName>, String> {
        let current = self.enforcer.current();
        let (acl, deleted) = current.policy.acl.without_users(names);
        self.refuse_contradictions(&acl)?;
        if !deleted.is_empty() {
            self.enforce_users(&current, acl).await;
        }
        Ok(deleted)
    }

    async fn load(&mut self) -> Result<Reply, String> {
        let path = self.acl_file().ok_or(NO_FILE)?.to_owned();
        let (read, rest) = self.read_with_users().await.ok_or(NOT_READ)?;
        self.take_news(&read, rest).await;
        let files = read.files;
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

    /// Reads all files of one moment: whoever is trusted no longer must not come to what the users of the ACL file may.
    /// `None` if they do not answer.
    async fn read_with_users(&mut self) -> Option<(Read, Rest)> {
        let deadline = Instant::now() + reader::PATIENCE;
        if !self.has_read(deadline).await {
            return None;
        }
        let (watched, source) = (self.watch.paths(), self.config_source());
        self.reader.begin(self.files(), move |files| {
            let (read, rest) = found::at_one_moment(files, &watched, &source);
            Found::All(read, rest)
        });
        match timeout_at(deadline, self.reader.found()).await {
            Ok(Found::All(read, rest)) => Some((read, rest)),
            _ => None,
        }
    }

    /// Takes what is being read. Says whether that has come to its end until then.
    async fn has_read(&mut self, deadline: Instant) -> bool {
        while self.reader.is_busy() {
            match timeout_at(deadline, self.reader.found()).await {
                Ok(found) => self.take(found).await,
                Err(_elapsed) => return false,
            }
        }
        true
    }

    async fn save(&mut self) -> Result<Reply, String> {
        let path = self.acl_file().ok_or(NO_FILE)?.to_owned();
        let deadline = Instant::now() + reader::PATIENCE;
        if !self.has_read(deadline).await {
            return Err(NOT_READ.to_owned());
        }
        let current = self.enforcer.current();
        let text = current.policy.acl.to_file(&current.policy.table);
        let (again, generation, target) = (self.files(), current.number, path.clone());
        let write = move |files: Files| Found::Written(found::write(&files, again, &target, text, generation));
        self.reader.begin(self.files(), write);
        match timeout_at(deadline, self.reader.found()).await {
            Ok(Found::Written(written)) => self.take_written(written),
            _ => {
                events::acl_file_is_late(&path);
                Err(NOT_SAVED.to_owned())
            }
        }
    }

    /// The ACL file has been written, or could not be.
    pub(super) fn take_written(&mut self, written: Written) -> Result<Reply, String> {
        let Written { path, text, before, outcome, files, generation } = written;
        match outcome {
            Ok(()) => {
                if self.watch.users_in_force(&path) != Some(before) {
                    events::acl_file_overwritten(&path);
                }
                self.watch.take_written_users(&path, &text, &files);
                // It may have taken so long that users are others by now.
                if self.enforcer.current().number == generation {
                    self.agree();
                }
                Ok(Reply::OK)
            }
            Err(error) => {
                events::acl_file_not_saved(&path, &error);
                Err(NOT_SAVED.to_owned())
            }
        }
    }

    /// An edit must not make users with which the next start would fail.
    fn refuse_contradictions(&self, acl: &Acl) -> Result<(), String> {
        generation::edit_refusal(&contradictions(&self.config, acl)).map_or(Ok(()), Err)
    }

    async fn enforce_users(&mut self, current: &Generation, acl: Acl) {
        self.tell_of_wanted_contradictions(&acl);
        self.unsaved = true;
        if let Some(asked) = &mut self.due.asked {
            asked.keeps_users = true;
        }
        self.enforcer.enforce(current.with_users(acl), Renewal::Policy).await;
    }

    /// The ACL file and the users are the same now.
    fn agree(&mut self) {
        self.watch.put_in_force(&Part::Users, &self.files());
        self.unsaved = false;
        self.due.retry = true;
    }
}

/// All of these users, so many in a line that none is cut, whatever other names a request has.
fn listed(users: &[UserName]) -> Vec<String> {
    const IN_A_LINE: usize = 32;
    let line = |users: &[UserName]| users.iter().map(UserName::as_str).collect::<Vec<_>>().join(" ");
    users.chunks(IN_A_LINE).map(line).collect()
}

/// All errors in one line, as Redis has them [ACLLoadFromFile].
fn load_error(errors: &[BuildError]) -> String {
    let listed: Vec<String> = errors.iter().map(|error| format!("{error}. ")).collect();
    format!(
        "ERR {}WARNING: ACL errors detected, no change to the previously active ACL rules was performed",
        listed.concat()
    )
}
