//! Replacing the generation in force: when files change, when the upstream is heard, when somebody edits users.
//!
//! Users live in the generation. Another file's change builds a new one around them; the ACL file is read again only
//! when its content is not what was last read or written, or when somebody says so. Edits that are not saved are not
//! given up for a file that merely changed.

use std::cell::Cell;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{oneshot, watch};
use tracing::{error, info, warn};

use super::acl_file;
use super::contradictions::{self, contradictions, insisted_on};
use super::generation::{self, BuildError, Built, Contents, Generation, Hearing};
use crate::acl::{Acl, RuleError};
use crate::audit::events;
use crate::auth::pool::AuthPool;
use crate::config::{AclSource, Config, ConfigErrors};
use crate::files::{Digest, Files};
use crate::net::worker::{Mailbox, Renewal};
use crate::resp::Reply;
use crate::session::{Administered, Administration};
use crate::upstream::look::Facts;

/// How long workers are waited for: they do nothing that takes long.
const PATIENCE: Duration = Duration::from_secs(2);

const NO_FILE: &str = "ERR This instance is not configured to use an ACL file. Name one with aclfile.";
const NOT_SAVED: &str =
    "ERR There was an error trying to save the ACLs. Please check the server logs for more information";

/// What a session asks for.
pub struct Edit {
    /// What is to be done.
    pub administration: Administration,
    /// Who wants it.
    pub editor: Editor,
    /// Where the outcome goes, once every session is under the policy it made.
    pub answer: oneshot::Sender<Administered>,
}

/// Who edits users.
#[derive(Debug, Clone)]
pub struct Editor {
    /// The user.
    pub user: String,
    /// Where it comes from.
    pub client: SocketAddr,
}

/// Reads the configuration again, from where it was read first, out of these files.
pub type Reread = Box<dyn Fn(&Files) -> Result<Config, ConfigErrors>>;

/// Replaces generations.
pub struct Reloader {
    config: Config,
    reread: Reread,
    /// Where the looks at the upstream learn which new names of commands they have to ask for.
    declare: watch::Sender<Vec<String>>,
    /// The configuration asks for something that only a restart gives, and the log says so.
    outdated: bool,
    facts: Option<Facts>,
    /// What was told of the current generation: it is not repeated with every new one.
    told: Vec<String>,
    generation: Arc<ArcSwap<Generation>>,
    /// Digests of the watched files, as of when they were last looked at.
    seen: Contents,
    /// The digest of the ACL file as it was last read or written.
    agreed: Option<Digest>,
    /// Users were edited since.
    unsaved: bool,
    /// The ACL file is right, but was not taken because another file was wrong.
    held_up: bool,
    /// The configuration was not taken because it contradicts the users: an edit may put that right.
    waits_for_users: bool,
    failures: Rc<Cell<u64>>,
    mailboxes: Vec<Mailbox>,
    pool: Arc<AuthPool>,
}

/// What the first generation was built from.
pub struct Start {
    /// The configuration.
    pub config: Config,
    /// The watched files, as they were just before.
    pub seen: Contents,
    /// What was told of it.
    pub told: Vec<String>,
    /// Where reloads that fail are counted.
    pub failures: Rc<Cell<u64>>,
}

/// Where the users of a new generation come from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Users {
    /// The one before it.
    Kept,
    /// The ACL file.
    Read,
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
        let Start { config, seen, told, failures } = start;
        let mut reloader = Self {
            config,
            reread,
            declare,
            outdated: false,
            facts: None,
            told,
            generation,
            seen,
            agreed: None,
            unsaved: false,
            held_up: false,
            waits_for_users: false,
            failures,
            mailboxes,
            pool,
        };
        reloader.agreed = reloader.digest_of_acl_file();
        reloader
    }

    /// What everything is built from.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Builds a new generation if a watched file has changed.
    pub async fn look_at_files(&mut self) {
        self.refresh("files changed", false).await;
    }

    /// Builds a new generation with what the upstream has told.
    pub async fn learn(&mut self, facts: Facts) {
        self.facts = Some(facts);
        self.refresh("upstream", true).await;
    }

    /// Reads everything again, whatever has been edited since.
    pub async fn reload(&mut self) {
        let files = Files::default();
        let contents = generation::contents(&self.config, &files);
        let users = match self.acl_file() {
            Some(_) => Users::Read,
            None => Users::Kept,
        };
        self.rebuild("signal", users, contents, &files).await;
    }

    /// Does what a session asks for.
    pub async fn edit(&mut self, edit: Edit) {
        let Edit { administration, editor, answer } = edit;
        let (command, names) = subject(&administration);
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
        let _ = answer.send(Administered { reply, generation: (after != before).then_some(after) });
        if after != before && self.waits_for_users && self.agrees_with_users() {
            self.refresh("users edited", true).await;
        }
    }

    /// Whether the configuration, as it is written now, fits the users in force.
    fn agrees_with_users(&mut self) -> bool {
        let policy = Arc::clone(&self.generation.load().policy);
        self.current_config(&Files::default()).is_ok_and(|config| contradictions(&config, &policy.acl).is_empty())
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
        let files = Files::default();
        let digest = generation::digest(&path, &files);
        let read = generation::read_acl(&path, &files, &current.policy.table, self.config.strict_permissions);
        let read = read.and_then(|(acl, warnings)| {
            let contradictions = contradictions(&self.config, &acl);
            let errors: Vec<_> = contradictions.iter().map(BuildError::from).collect();
            if errors.is_empty() { Ok((acl, warnings)) } else { Err(errors) }
        });
        match read {
            Ok((acl, warnings)) => {
                warnings.iter().for_each(|warning| warn!("{warning}"));
                self.enforce_users(&current, acl).await;
                self.agree(path, digest);
                Ok(Reply::OK)
            }
            Err(errors) => Err(load_error(&errors)),
        }
    }

    /// An edit must not make users with which the next start would fail.
    fn refuse_contradictions(&self, acl: &Acl) -> Result<(), String> {
        contradictions::refusal(&contradictions(&self.config, acl)).map_or(Ok(()), Err)
    }

    async fn save(&mut self) -> Result<Reply, String> {
        let path = self.acl_file().ok_or(NO_FILE)?.to_owned();
        let policy = Arc::clone(&self.generation.load().policy);
        let text = policy.acl.to_file(&policy.table);
        if generation::digest(&path, &Files::default()) != self.agreed {
            warn!(event = "acl", file = %path.display(), "the file had changed: what it said is overwritten");
        }
        let digest = Digest::of(&text);
        let target = path.clone();
        let written = tokio::task::spawn_blocking(move || acl_file::replace(&target, &text)).await;
        match written.unwrap_or_else(|lost| Err(lost.into())) {
            Ok(()) => {
                self.agree(path, Some(digest));
                Ok(Reply::OK)
            }
            Err(error) => {
                error!(event = "acl", file = %path.display(), %error, "cannot save the users");
                Err(NOT_SAVED.to_owned())
            }
        }
    }

    /// File and users are the same now.
    fn agree(&mut self, path: PathBuf, digest: Option<Digest>) {
        self.seen.insert(path, digest);
        self.agreed = digest;
        self.unsaved = false;
    }

    /// Builds a new generation if there is a reason to.
    async fn refresh(&mut self, cause: &str, forced: bool) {
        let files = Files::default();
        let contents = generation::contents(&self.config, &files);
        let users = self.users_for(&contents);
        let acl_file = self.acl_file().filter(|_| users == Users::Kept);
        let is_new = |path: &Path| Some(path) != acl_file && contents.get(path) != self.seen.get(path);
        if forced || self.config.watched().any(is_new) {
            self.rebuild(cause, users, contents, &files).await;
        } else {
            self.seen = contents;
        }
    }

    /// Where the users come from when the files are like this. A file that would undo edits is not taken, but reported.
    fn users_for(&self, contents: &Contents) -> Users {
        let Some(path) = self.acl_file() else { return Users::Kept };
        let content = contents.get(path);
        let is_new = content != self.seen.get(path);
        if content == Some(&self.agreed) || !(is_new || self.held_up) {
            return Users::Kept;
        }
        if !self.unsaved {
            return Users::Read;
        }
        if is_new {
            error!(
                event = "reload",
                outcome = "refused",
                file = %path.display(),
                "the file has changed, but users were edited since it was read: ACL SAVE overwrites it, ACL LOAD or SIGHUP \
                 gives the edits up"
            );
        }
        Users::Kept
    }

    /// Builds a new generation and puts it into force, or keeps the old one and says why.
    async fn rebuild(&mut self, cause: &str, users: Users, contents: Contents, files: &Files) {
        self.seen = contents;
        let current = self.generation.load_full();
        let kept = (users == Users::Kept).then_some(&current.policy.acl);
        let config = self.current_config(files);
        let built = match &config {
            Ok(config) => {
                let upstream = self.facts.as_ref().map_or(Hearing::NotYet, Hearing::Heard);
                generation::build(config, files, upstream, Some(&current), kept)
            }
            Err(errors) => Err(errors.iter().map(BuildError::from).collect()),
        };
        match built {
            Ok(built) => {
                self.config = config.unwrap_or_else(|_| self.config.clone());
                let declared = generation::declared_names(&self.config);
                self.declare.send_if_modified(|known| declared != std::mem::replace(known, declared.clone()));
                self.told = tell(&built, &self.told);
                self.waits_for_users = false;
                if users == Users::Read {
                    if self.unsaved {
                        warn!(event = "reload", cause, "edits of users that were not saved are given up");
                    }
                    self.agreed = self.digest_of_acl_file();
                    (self.unsaved, self.held_up) = (false, false);
                }
                let number = built.generation.number;
                self.enforce(built.generation, Renewal::Trust).await;
                info!(event = "reload", outcome = "done", cause, generation = number, "new generation");
            }
            Err(errors) => {
                self.failures.set(self.failures.get() + 1);
                for problem in &errors {
                    error!(event = "reload", outcome = "failed", cause, "{problem}");
                }
                error!(event = "reload", outcome = "failed", cause, generation = current.number, "kept the old one");
                self.waits_for_users =
                    config.is_ok_and(|config| !contradictions(&config, &current.policy.acl).is_empty());
                if users == Users::Read {
                    let strict_permissions = self.config.strict_permissions;
                    let is_right =
                        |path| generation::read_acl(path, files, &current.policy.table, strict_permissions).is_ok();
                    self.held_up = self.acl_file().is_some_and(is_right);
                }
            }
        }
    }

    /// What is configured now. Who is who and what is refused follows the sources; everything else stays as it was at
    /// the start.
    fn current_config(&mut self, files: &Files) -> Result<Config, ConfigErrors> {
        let now = (self.reread)(files)?;
        let config = Config {
            certificates: now.certificates.clone(),
            tls_auth_clients_user: now.tls_auth_clients_user,
            unmapped: now.unmapped,
            ignore_stray_auth: now.ignore_stray_auth,
            block: now.block.clone(),
            renames: now.renames.clone(),
            redis_conf_files: now.redis_conf_files.clone(),
            users: now.users.clone(),
            named_users: now.named_users.clone(),
            unsafe_nopass: now.unsafe_nopass,
            ..self.config.clone()
        };
        let outdated = config != now;
        if outdated && !self.outdated {
            warn!(event = "reload", "settings have changed that take effect only with a restart");
        }
        self.outdated = outdated;
        Ok(config)
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
    async fn enforce(&self, generation: Generation, renewal: Renewal) {
        self.pool.begin_generation(generation.number, generation.floor);
        self.generation.store(Arc::new(generation));
        let renewed: Vec<_> = self.mailboxes.iter().map(|mailbox| mailbox.renewed(renewal)).collect();
        let all = async {
            for worker in renewed {
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

    /// As it was when all files were last looked at.
    fn digest_of_acl_file(&self) -> Option<Digest> {
        self.acl_file().and_then(|path| *self.seen.get(path)?)
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

/// The command, and the users it names, for the audit log: of many or long names the beginning. Rules may hold passwords.
fn subject(administration: &Administration) -> (&'static str, String) {
    const SHOWN: usize = 256;
    let shown = |name: &[u8]| String::from_utf8_lossy(&name[..name.len().min(SHOWN)]).into_owned();
    match administration {
        Administration::SetUser { name, .. } => ("acl|setuser", shown(name)),
        Administration::DeleteUsers(names) => {
            let named: Vec<&[u8]> = names.iter().take(SHOWN).map(Vec::as_slice).collect();
            ("acl|deluser", shown(&named.join(&b' ')))
        }
        Administration::Load => ("acl|load", String::new()),
        Administration::Save => ("acl|save", String::new()),
        Administration::Log(_) | Administration::ResetLog => ("acl|log", String::new()),
        Administration::GeneratePassword(_) => ("acl|genpass", String::new()),
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
