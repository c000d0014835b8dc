//! Replacing the generation in force: when files change, when the upstream is heard, when somebody edits users.
//!
//! Users live in the generation. Another file's change builds a new one around them; the ACL file is read again only
//! when its content is not what was last read or written, or when somebody says so. Edits that are not saved are not
//! given up for a file that merely changed. Likewise the configuration is read again only when one of its files has
//! changed: one that is being written holds up nothing else.
//!
//! What has been seen of a file may not be in force: it was wrong, or something it belongs to was. Then everything else
//! takes effect without it, and it is tried again whenever anything changes.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::{oneshot, watch};
use tracing::{error, info, warn};

use crate::acl::{Acl, RuleError};
use crate::audit::events;
use crate::auth::pool::AuthPool;
use crate::command::CommandTable;
use crate::config::{AclSource, Config, ConfigErrors, FileKind, Loaded};
use crate::files::{self, Digest, Files};
use crate::generation::{
    self, BuildError, Built, Edit, EditProgress, Generation, Hearing, Kept, Look, Watch, contradictions, insisted_on,
};
use crate::net::worker::{Mailbox, Renewal};
use crate::resp::Reply;
use crate::session::{Administered, Administration};
use crate::upstream::look::Facts;

/// How long workers are waited for: they do nothing that takes long.
const PATIENCE: Duration = Duration::from_secs(2);

const NO_FILE: &str = "ERR This instance is not configured to use an ACL file. Name one with aclfile.";
const NOT_SAVED: &str =
    "ERR There was an error trying to save the ACLs. Please check the server logs for more information";

/// Reads the configuration again, from where it was read first, out of these files.
pub type Reread = Box<dyn Fn(&Files) -> Result<Loaded, ConfigErrors>>;

/// Replaces generations.
pub struct Reloader {
    config: Config,
    /// What there is to be said about it.
    config_warnings: Vec<String>,
    reread: Reread,
    /// What was read at the start and is not read again.
    once: Rc<files::Start>,
    /// Where the looks at the upstream learn which new names of commands they have to ask for.
    declare: watch::Sender<Vec<String>>,
    /// The configuration asks for something that only a restart gives, and the log says so.
    outdated: bool,
    facts: Option<Facts>,
    /// What was told of the current generation: it is not repeated with every new one.
    told: Vec<String>,
    generation: Arc<ArcSwap<Generation>>,
    watch: Watch,
    /// What its files say and is not in force.
    pending_config: Pending,
    /// The same of the ACL file.
    pending_users: Pending,
    /// The digest of the ACL file as it was last read or written.
    agreed: Option<Digest>,
    /// Users were edited since.
    unsaved: bool,
    /// Something has changed that no file tells: what is held up is tried again.
    is_retry_due: bool,
    /// CAs, certificates and keys that changed together with files that settle: they wait for those, and are held up with them.
    together: BTreeSet<PathBuf>,
    /// Some of them waited at the last look.
    waited: bool,
    /// The configuration was not taken because it contradicts the users: an edit may put that right.
    waits_for_users: bool,
    failures: Rc<Cell<u64>>,
    mailboxes: Vec<Mailbox>,
    /// Workers that may still be verifying certificates again.
    reverifying: Vec<oneshot::Receiver<()>>,
    pool: Arc<AuthPool>,
}

/// What the first generation was built from.
pub struct Start {
    /// The configuration.
    pub config: Config,
    /// The watched files, as they were read for it.
    pub(super) watch: Watch,
    /// What was read for it and is not read again.
    pub once: Rc<files::Start>,
    /// What the upstream has told for it.
    pub facts: Option<Facts>,
    /// What was told of it.
    pub told: Vec<String>,
    /// Where reloads that fail are counted.
    pub failures: Rc<Cell<u64>>,
}

/// Whether a file says something that is not in force.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pending {
    /// It does not, or what it says was refused for good.
    Nothing,
    /// It was not taken, perhaps because something else was wrong: it is read with whatever is read next.
    HeldUp,
    /// It is to be read.
    Due,
}

/// What is read again. The rest is kept.
struct Reading {
    config: Option<Result<Loaded, ConfigErrors>>,
    users: bool,
    /// Certificates, keys, CAs and CRLs.
    trust: bool,
    /// But for those that changed together with files that have not settled.
    waits: bool,
}

impl Reading {
    const NOTHING: Reading = Reading { config: None, users: false, trust: false, waits: false };
}

/// What can be wrong, and held up, by itself. In this order each is done without.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Trust(FileKind),
    Config,
    Users,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Part::Trust(FileKind::Revokes) => "CRLs",
            Part::Trust(FileKind::Admits) => "CAs",
            Part::Trust(FileKind::Presents | FileKind::Settles) => "certificate and key",
            Part::Config => "configuration",
            Part::Users => "users",
        }
    }
}

impl Reloader {
    /// Goes on from the first generation.
    pub fn new(
        start: Start,
        reread: Reread,
        declare: watch::Sender<Vec<String>>,
        generation: Arc<ArcSwap<Generation>>,
        mailboxes: Vec<Mailbox>,
        pool: Arc<AuthPool>,
    ) -> Self {
        let Start { config, watch, once, facts, told, failures } = start;
        let mut reloader = Self {
            config,
            config_warnings: Vec::new(),
            reread,
            once,
            declare,
            outdated: false,
            facts,
            told,
            generation,
            watch,
            pending_config: Pending::Nothing,
            pending_users: Pending::Nothing,
            agreed: None,
            unsaved: false,
            is_retry_due: false,
            together: BTreeSet::new(),
            waited: false,
            waits_for_users: false,
            failures,
            mailboxes,
            reverifying: Vec::new(),
            pool,
        };
        reloader.agreed = reloader.digest_of_acl_file();
        reloader
    }

    fn files(&self) -> Files {
        Files::again(&self.once)
    }

    /// What everything is built from.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Looks at the watched files, and builds a new generation if there is something in them that takes effect.
    pub async fn look_at_files(&mut self) {
        let (files, now) = (self.files(), Instant::now());
        let look = self.watch.look(&files, now);
        for path in &look.overdue {
            let file = path.display();
            warn!(event = "reload", %file, "the file does not settle: it takes effect once it stays as it is");
        }
        let users = self.users_are_to_be_read(&look);
        if self.watch.of_kind(FileKind::Settles).any(|path| look.news.contains(path) && !self.is_acl_file(path)) {
            self.pending_config = Pending::Due;
        }
        let is_retry = std::mem::take(&mut self.is_retry_due) || users && self.pending_users == Pending::Due;
        let config = match self.pending_config {
            Pending::Due => self.settled_config(&look, &files, now),
            Pending::HeldUp if is_retry || self.waited || !look.news.is_empty() => {
                self.settled_config(&look, &files, now)
            }
            Pending::HeldUp | Pending::Nothing => None,
        };
        let waits = look.may_settle_soon || self.pending_config == Pending::Due && config.is_none();
        self.keep_together(&look, waits);
        let has_waited = std::mem::replace(&mut self.waited, waits && !self.together.is_empty());
        let is_news = look.news.iter().any(|path| !waits || !self.together.contains(path));
        let is_reason = is_news || is_retry || has_waited && !waits;
        if config.is_some() || is_reason && (users || self.watch.not_in_force().next().is_some()) {
            self.rebuild("files changed", Reading { config, users, trust: true, waits }, &files).await;
        }
    }

    /// A CA and the rules that confine it may be replaced at once: neither is taken without the other.
    fn keep_together(&mut self, look: &Look, waits: bool) {
        if waits || self.pending_config == Pending::Due || self.pending_users == Pending::Due {
            let joins = |(path, kind): &(&Path, FileKind)| *kind != FileKind::Revokes && look.news.contains(*path);
            self.together.extend(self.watch.not_in_force().filter(joins).map(|(path, _)| path.to_owned()));
        } else if self.pending_config == Pending::Nothing && self.digest_of_acl_file() == self.agreed {
            if !look.unsettled.is_empty() && !self.together.is_empty() {
                warn!(event = "reload", "CAs, certificates or keys that changed with that file take effect without it");
            }
            self.together.clear();
        }
    }

    /// The ACL file says something else than what was taken of it, and not because of edits.
    fn is_other_acl(&self) -> bool {
        !self.unsaved && self.digest_of_acl_file() != self.agreed
    }

    /// Builds a new generation with what the upstream has told. No file is read, so none can keep it from being heard.
    pub async fn learn(&mut self, facts: Facts) {
        self.facts = Some(facts);
        // What was refused may be right for this one.
        if self.acl_file().is_some() && !self.unsaved && self.digest_of_acl_file() != self.agreed {
            self.pending_users = Pending::Due;
        }
        let files = self.files();
        self.rebuild("upstream", Reading::NOTHING, &files).await;
        self.is_retry_due = true;
        let is_held_up = self.pending_config == Pending::HeldUp;
        // A pattern may name files that nobody looked at as yet: Redis has started with them.
        let files = self.files();
        if is_held_up || self.read_config(&files).is_ok_and(|read| self.is_new(Some(&Ok(read)))) {
            self.pending_config = Pending::Due;
        }
    }

    /// Reads everything again, as it is now, whatever has been edited since.
    pub async fn reload(&mut self) {
        let files = self.files();
        let config = Some(self.read_config(&files));
        self.watch.take_all(&files);
        let users = self.acl_file().is_some();
        if self.is_new(config.as_ref()) || self.is_other_acl() {
            let admits = self.watch.not_in_force().filter(|(_, kind)| *kind != FileKind::Revokes);
            self.together.extend(admits.map(|(path, _)| path.to_owned()));
        }
        self.rebuild("signal", Reading { config, users, trust: true, waits: false }, &files).await;
    }

    /// Does what a session asks for, if it still may: between its request and now users and trust may have changed.
    pub async fn edit(&mut self, edit: Edit) {
        let Some(edit) = self.confirmed(edit).await else { return };
        let (command, names) = edit.subject();
        let Edit { administration, editor, answer } = edit;
        let before = self.generation.load().number;
        let outcome = match administration {
            Administration::SetUser { name, rules } => self.set_user(&name, &rules).await,
            Administration::DeleteUsers(names) => self.delete_users(&names).await,
            Administration::Load => self.load().await,
            Administration::Save => self.save().await,
            // A worker does these itself.
            Administration::Log(_) | Administration::ResetLog | Administration::GeneratePassword(_) => return,
        };
        events::administered(&editor.user, editor.client, command, &names, outcome.is_ok());
        let reply = outcome.unwrap_or_else(Reply::error);
        let after = self.generation.load().number;
        // A session that is gone needs no answer.
        let generation = (after != before).then_some(after);
        let _ = answer.send(EditProgress::Done(Administered { reply, generation }));
        if self.unsaved && self.pending_users != Pending::Nothing {
            // What the file says is not taken any more.
            self.pending_users = Pending::Nothing;
            self.tell_of_passed_over_users();
        }
        self.is_retry_due |= after != before;
        if after != before && self.waits_for_users && self.agrees_with_users() {
            self.pending_config = Pending::Due;
        }
    }

    /// Has the session judge the edit once more, whose turn it is. Sessions that are no longer trusted know that by then, and
    /// while it is asked nothing changes. The others keep their places behind it: each comes to its turn.
    async fn confirmed(&mut self, edit: Edit) -> Option<Edit> {
        let Edit { administration, answer, .. } = edit;
        if !self.is_reverified().await {
            let reply = Reply::error("ERR respgate: certificates are being verified again, try again later");
            let _ = answer.send(EditProgress::Done(Administered { reply, generation: None }));
            return None;
        }
        let (confirm, confirmed) = oneshot::channel();
        answer.send(EditProgress::Turn { administration, confirm }).ok()?;
        tokio::time::timeout(PATIENCE, confirmed).await.ok()?.ok()
    }

    /// Whether all certificates have been verified again since trust changed.
    async fn is_reverified(&mut self) -> bool {
        let all = async {
            while let Some(verified) = self.reverifying.last_mut() {
                // A worker that has ended has no sessions.
                let _ = verified.await;
                self.reverifying.pop();
            }
        };
        tokio::time::timeout(PATIENCE, all).await.is_ok()
    }

    /// Whether the configuration, as it is written now, fits the users in force.
    fn agrees_with_users(&mut self) -> bool {
        let policy = Arc::clone(&self.generation.load().policy);
        let files = self.files();
        self.read_config(&files).is_ok_and(|loaded| contradictions(&loaded.config, &policy.acl).is_empty())
    }

    async fn set_user(&mut self, name: &[u8], rules: &[Vec<u8>]) -> Result<Reply, String> {
        let current = self.generation.load_full();
        let rules: Vec<&[u8]> = rules.iter().map(Vec::as_slice).collect();
        let acl = current.policy.acl.set_user(name, &rules, &current.policy.table);
        let acl = acl.map_err(|error: RuleError| format!("ERR {error}"))?;
        generation::check_passwords(&acl, name).map_err(|error| format!("ERR Error in ACL SETUSER: {error}"))?;
        self.refuse_contradictions(&acl)?;
        self.enforce_users(&current, acl).await;
        Ok(Reply::OK)
    }

    async fn delete_users(&mut self, names: &[Vec<u8>]) -> Result<Reply, String> {
        let current = self.generation.load_full();
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
        let current = self.generation.load_full();
        let files = self.files();
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
                self.watch.take(&path, &files);
                self.agree(&path);
                Ok(Reply::OK)
            }
            Err(errors) => Err(load_error(&errors)),
        }
    }

    /// An edit must not make users with which the next start would fail.
    fn refuse_contradictions(&self, acl: &Acl) -> Result<(), String> {
        generation::refusal(&contradictions(&self.config, acl)).map_or(Ok(()), Err)
    }

    async fn save(&mut self) -> Result<Reply, String> {
        let path = self.acl_file().ok_or(NO_FILE)?.to_owned();
        let policy = Arc::clone(&self.generation.load().policy);
        let text = policy.acl.to_file(&policy.table);
        let found = self.files().read(&path).ok().map(|content| content.digest());
        if found != self.agreed {
            warn!(event = "acl", file = %path.display(), "the file had changed, or its mode: what it said is overwritten");
        }
        let (target, copy) = (path.clone(), text.clone());
        let written = tokio::task::spawn_blocking(move || generation::replace(&target, &copy)).await;
        match written.unwrap_or_else(|lost| Err(lost.into())) {
            Ok(()) => {
                let files = self.files();
                self.watch.take_written(&path, &text, &files);
                self.agree(&path);
                Ok(Reply::OK)
            }
            Err(error) => {
                error!(event = "acl", file = %path.display(), %error, "cannot save the users");
                Err(NOT_SAVED.to_owned())
            }
        }
    }

    fn read_acl(
        &self,
        path: &Path,
        files: &Files,
        table: &CommandTable,
    ) -> Result<(Acl, Vec<String>), Vec<BuildError>> {
        let unknown = self.upstream().unknown_rules(&self.config);
        generation::read_acl(path, files, table, unknown, self.config.strict_permissions)
    }

    /// File and users are the same now.
    fn agree(&mut self, path: &Path) {
        self.agreed = self.watch.taken(path);
        self.watch.confirm(path);
        self.unsaved = false;
        self.pending_users = Pending::Nothing;
        self.is_retry_due = true;
    }

    /// Whether the ACL file is to be read, if anything is. A file that would undo edits is not taken, but reported.
    fn users_are_to_be_read(&mut self, look: &Look) -> bool {
        let Some(path) = self.acl_file() else { return false };
        if look.news.contains(path) {
            let is_agreed = self.watch.taken(path) == self.agreed;
            self.pending_users = if self.unsaved || is_agreed { Pending::Nothing } else { Pending::Due };
            self.tell_of_passed_over_users();
            return self.pending_users == Pending::Due;
        }
        self.pending_users != Pending::Nothing && !self.unsaved && !look.unsettled.contains(path)
    }

    /// Says that the configuration does not fit the users that the next start is going to find.
    fn tell_of_unsaved_users(&self, files: &Files) {
        let Some(path) = self.acl_file().filter(|_| self.unsaved) else { return };
        let table = &self.generation.load().policy.table;
        let contradicts = |(acl, _): &(Acl, Vec<String>)| !contradictions(&self.config, acl).is_empty();
        if self.read_acl(path, files, table).is_ok_and(|saved| contradicts(&saved)) {
            let file = path.display();
            warn!(event = "reload", %file, "the configuration fits users that are not saved: ACL SAVE, or the next start fails");
        }
    }

    /// Says that the ACL file, as it is now, is not in force, where nothing will be done about that by itself.
    fn tell_of_passed_over_users(&self) {
        let Some(path) = self.acl_file() else { return };
        if self.pending_users != Pending::Nothing || self.watch.taken(path) == self.agreed {
            return;
        }
        let why = match self.unsaved {
            true => {
                "the file has changed, or its mode, but users were edited since it was read: ACL SAVE overwrites it, ACL LOAD or \
                 SIGHUP gives the edits up"
            }
            false => "the file has changed and was refused: users are as it had them before",
        };
        error!(event = "reload", outcome = "refused", file = %path.display(), "{why}");
    }

    /// The configuration, if none of its files is being written. A file that it names now and did not name before has to
    /// settle first.
    fn settled_config(&mut self, look: &Look, files: &Files, now: Instant) -> Option<Result<Loaded, ConfigErrors>> {
        if look.unsettled.iter().any(|path| !self.is_acl_file(path)) {
            return None;
        }
        let config = self.read_config(files);
        (!self.watch.discover(files, now)).then_some(config)
    }

    /// Builds a new generation and puts it into force: without what is wrong, or not at all, and says why.
    async fn rebuild(&mut self, cause: &str, reading: Reading, files: &Files) {
        let current = self.generation.load_full();
        let (built, read) = self.build_without(&[], &reading, &current, files);
        let errors = match built {
            Ok(built) => {
                self.tell_of_what_stays(&[], &reading);
                if !self.is_without_others(&[], &reading) {
                    self.together.clear();
                }
                self.put_in_force(cause, built, &reading, &[], &read).await;
                self.tell_of_passed_over_users();
                return;
            }
            Err(errors) => errors,
        };
        self.failures.set(self.failures.get() + 1);
        for problem in &errors {
            error!(event = "reload", outcome = "failed", cause, "{problem}");
        }
        let sound = self.subsets(&reading).into_iter().find_map(|held_up| {
            let (built, read) = self.build_without(&held_up, &reading, &current, files);
            built.ok().map(|built| (held_up, built, read))
        });
        let held_up = match sound {
            Some((held_up, built, read)) => {
                let names = held_up.iter().map(|part| part.name()).collect::<Vec<_>>().join(", ");
                error!(event = "reload", outcome = "failed", cause, "held up: {names}; everything else takes effect");
                self.tell_of_what_stays(&held_up, &reading);
                self.put_in_force(cause, built, &reading, &held_up, &read).await;
                held_up
            }
            None => {
                error!(event = "reload", outcome = "failed", cause, generation = current.number, "kept the old one");
                vec![Part::Config, Part::Users]
            }
        };
        let policy = Arc::clone(&self.generation.load().policy);
        if let Some(read) = reading.config.filter(|_| held_up.contains(&Part::Config)) {
            self.pending_config = Pending::HeldUp;
            self.waits_for_users = read.is_ok_and(|loaded| !contradictions(&loaded.config, &policy.acl).is_empty());
        }
        if reading.users && held_up.contains(&Part::Users) {
            let is_right = |path| self.read_acl(path, files, &policy.table).is_ok();
            let is_held_up = self.acl_file().is_some_and(is_right);
            self.pending_users = if is_held_up { Pending::HeldUp } else { Pending::Nothing };
        }
    }

    /// The next generation, with these parts as they are in force, and the files it was built from.
    fn build_without(
        &self,
        held_up: &[Part],
        reading: &Reading,
        current: &Generation,
        files: &Files,
    ) -> (Result<Built, Vec<BuildError>>, Files) {
        let config = reading.config.as_ref().filter(|_| !held_up.contains(&Part::Config));
        let users = reading.users && !held_up.contains(&Part::Users);
        let stays = self.watch.not_in_force().filter(|(path, kind)| self.stays(path, *kind, held_up, reading));
        let files = files.with(stays.filter_map(|(path, _)| Some((path.to_owned(), self.watch.in_force(path)?))));
        let kept = Kept { before: Some(current), users: !users, trust: !reading.trust, config: config.is_none() };
        let built = match config {
            None => generation::build(&self.config, &files, self.upstream(), kept),
            Some(Ok(loaded)) => generation::build(&loaded.config, &files, self.upstream(), kept),
            Some(Err(errors)) => Err(errors.iter().map(BuildError::from).collect()),
        };
        (built, files)
    }

    /// Whether a file of trust stays what it was.
    fn stays(&self, path: &Path, kind: FileKind, held_up: &[Part], reading: &Reading) -> bool {
        held_up.contains(&Part::Trust(kind)) || self.is_without_others(held_up, reading) && self.together.contains(path)
    }

    /// Whether the configuration or the ACL file stays behind what it says now: because it waits, or was refused, now or before.
    fn is_without_others(&self, held_up: &[Part], reading: &Reading) -> bool {
        let config = reading.config.is_none() && self.pending_config == Pending::HeldUp;
        let users = !reading.users && self.digest_of_acl_file() != self.agreed;
        reading.waits || config || users || held_up.contains(&Part::Config) || held_up.contains(&Part::Users)
    }

    /// Says what of trust stays what it was because of what it changed together with.
    fn tell_of_what_stays(&self, held_up: &[Part], reading: &Reading) {
        if reading.waits || !reading.trust || !self.is_without_others(held_up, reading) {
            return;
        }
        for (path, _) in self.watch.not_in_force().filter(|(path, _)| self.together.contains(*path)) {
            let file = path.display();
            error!(event = "reload", %file, "held up with the configuration or the ACL file, which changed together with it");
        }
    }

    /// What can be done without so that something new is left, little of it first.
    fn subsets(&self, reading: &Reading) -> Vec<Vec<Part>> {
        if !reading.trust {
            return Vec::new();
        }
        let is_new = |part: Part| match part {
            Part::Trust(kind) => self.watch.not_in_force().any(|(_, known)| known == kind),
            Part::Config => self.is_new(reading.config.as_ref()),
            Part::Users => reading.users && (self.unsaved || self.digest_of_acl_file() != self.agreed),
        };
        let trust = [FileKind::Presents, FileKind::Admits, FileKind::Revokes].map(Part::Trust);
        let is_read = |part: &Part| match part {
            Part::Trust(_) => is_new(*part),
            Part::Config => reading.config.is_some(),
            Part::Users => reading.users,
        };
        let parts: Vec<Part> = trust.into_iter().chain([Part::Config, Part::Users]).filter(is_read).collect();
        let without = |set: u32| parts.iter().enumerate().filter(move |(at, _)| set & 1 << at != 0);
        let mut sets: Vec<Vec<Part>> =
            (1..1 << parts.len()).map(|set| without(set).map(|(_, part)| *part).collect()).collect();
        sets.retain(|held_up| {
            let is_left = |part: &&Part| match part {
                Part::Trust(kind) => {
                    let of_kind = |(_, known): &(&Path, FileKind)| known == kind;
                    let mut files = self.watch.not_in_force().filter(of_kind);
                    files.any(|(path, kind)| !self.stays(path, kind, held_up, reading))
                }
                Part::Config | Part::Users => !held_up.contains(*part) && is_new(**part),
            };
            let is_readable = held_up.contains(&Part::Config) || !matches!(reading.config, Some(Err(_)));
            is_readable && parts.iter().any(|part| is_left(&part))
        });
        sets.sort_by_key(Vec::len);
        sets
    }

    /// Whether this is another configuration than the one in force.
    fn is_new(&self, read: Option<&Result<Loaded, ConfigErrors>>) -> bool {
        read.is_some_and(|read| read.as_ref().map_or(true, |loaded| loaded.config != self.config))
    }

    async fn put_in_force(
        &mut self,
        cause: &str,
        mut built: Built,
        reading: &Reading,
        held_up: &[Part],
        files: &Files,
    ) {
        if let Some(Ok(Loaded { config, warnings })) =
            reading.config.as_ref().filter(|_| !held_up.contains(&Part::Config))
        {
            self.watch.follow(config.watched_files(), files);
            self.config = config.clone();
            self.config_warnings = warnings.iter().map(ToString::to_string).collect();
            self.pending_config = Pending::Nothing;
            self.waits_for_users = false;
            let sources = self.config.sources.iter();
            sources.for_each(|path| self.watch.confirm(path));
            self.tell_of_unsaved_users(files);
        }
        built.warnings.extend(self.config_warnings.iter().cloned());
        let declared = generation::declared_names(&self.config);
        self.declare.send_if_modified(|known| declared != std::mem::replace(known, declared.clone()));
        self.told = tell(&built, &self.told);
        if reading.users && !held_up.contains(&Part::Users) {
            if self.unsaved {
                warn!(event = "reload", cause, "edits of users that were not saved are given up");
            }
            self.agreed = self.digest_of_acl_file();
            if let Some(path) = self.acl_file().map(Path::to_owned) {
                self.watch.confirm(&path);
            }
            self.unsaved = false;
            self.pending_users = Pending::Nothing;
        }
        if reading.trust {
            self.watch.put_in_force(files);
        }
        let number = built.generation.number;
        let renewal = if reading.trust { Renewal::Trust } else { Renewal::Policy };
        self.enforce(built.generation, renewal).await;
        info!(event = "reload", outcome = "done", cause, generation = number, "new generation");
    }

    /// What is configured now. Who is who and what is refused follows the sources; everything else stays as it was at
    /// the start.
    fn read_config(&mut self, files: &Files) -> Result<Loaded, ConfigErrors> {
        let Loaded { config: now, warnings } = (self.reread)(files)?;
        let config = Config {
            certificates: now.certificates.clone(),
            tls_auth_clients_user: now.tls_auth_clients_user,
            unmapped: now.unmapped,
            ignore_stray_auth: now.ignore_stray_auth,
            block: now.block.clone(),
            renames: now.renames.clone(),
            users: now.users.clone(),
            named_users: now.named_users.clone(),
            unsafe_nopass: now.unsafe_nopass,
            sources: now.sources.clone(),
            ..self.config.clone()
        };
        let outdated = config != now;
        if outdated && !self.outdated {
            warn!(event = "reload", "settings have changed that take effect only with a restart");
        }
        self.outdated = outdated;
        Ok(Loaded { config, warnings })
    }

    async fn enforce_users(&mut self, current: &Generation, acl: Acl) {
        for wanted in insisted_on(&self.config, &acl).iter().map(ToString::to_string) {
            if !self.told.contains(&wanted) {
                warn!("{wanted}");
                self.told.push(wanted);
            }
        }
        self.unsaved = true;
        self.enforce(current.with_users(acl), Renewal::Policy).await;
    }

    /// Puts a generation into force and returns when every session is under it.
    async fn enforce(&mut self, generation: Generation, renewal: Renewal) {
        self.pool.begin_generation(generation.number, generation.floor);
        self.generation.store(Arc::new(generation));
        let renewed: Vec<_> = self.mailboxes.iter().map(|mailbox| mailbox.renewed(renewal)).collect();
        let (under, verified): (Vec<_>, Vec<_>) = renewed.into_iter().map(|it| (it.under, it.verified)).unzip();
        if renewal == Renewal::Trust {
            self.reverifying.extend(verified);
        }
        let all = async {
            for worker in under {
                // One that has ended has no sessions.
                let _ = worker.await;
            }
        };
        if tokio::time::timeout(PATIENCE, all).await.is_err() {
            warn!(event = "reload", "a worker is slow to put the new generation into force");
        }
    }

    fn acl_file(&self) -> Option<&Path> {
        match &self.config.acl {
            AclSource::File(path) => Some(path),
            AclSource::Password(_) | AclSource::None => None,
        }
    }

    fn upstream(&self) -> Hearing<'_> {
        self.facts.as_ref().map_or(Hearing::NotYet, Hearing::Heard)
    }

    fn is_acl_file(&self, path: &Path) -> bool {
        self.acl_file() == Some(path)
    }

    /// As it was taken last.
    fn digest_of_acl_file(&self) -> Option<Digest> {
        self.watch.taken(self.acl_file()?)
    }
}

/// Logs what there is to say of a generation, but for what was told of the one before it. Returns all of it.
pub(super) fn tell(built: &Built, told: &[String]) -> Vec<String> {
    let is_news = |text: &&String| !told.contains(text);
    built.contents.iter().filter(is_news).for_each(|text| info!("{text}"));
    built.warnings.iter().chain(&built.misnamed).filter(is_news).for_each(|text| warn!("{text}"));
    built.faults.iter().filter(is_news).for_each(|text| error!("{text}"));
    [&built.contents, &built.warnings, &built.misnamed, &built.faults].into_iter().flatten().cloned().collect()
}

/// All errors in one line, as Redis has them [ACLLoadFromFile].
fn load_error(errors: &[BuildError]) -> String {
    let listed: Vec<String> = errors.iter().map(|error| format!("{error}. ")).collect();
    format!(
        "ERR {}WARNING: ACL errors detected, no change to the previously active ACL rules was performed",
        listed.concat()
    )
}
