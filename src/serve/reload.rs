//! Replacing the generation in force: when files change, when the upstream is heard, when somebody edits users.
//!
//! - What was seen of a file may not be in force: it was wrong, or waits. Everything else takes effect without it, and it is
//!   tried again whenever anything changes.
//! - Whoever is new is let in only once the configuration and the ACL file on the disk are in force, since a rule there
//!   may confine him: by a client CA, a pinned key, or a CRL that does not list him any more. Whoever is trusted no
//!   longer is out at once.
//! - Users live in the generation. The ACL file is read again only when it is another than the one in force, or when
//!   somebody says so. Edits that are not saved are not given up for a file that merely changed.

mod attempt;
mod edit;
mod found;
mod history;
mod reader;
mod rebuild;
mod telling;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

use self::attempt::HeldUp;
use self::found::{ConfigSource, Found, Read, Rest};
pub(super) use self::history::ReloadHistory;
pub use self::history::ReloadReport;
use self::reader::Reader;
use self::rebuild::Reading;
pub(super) use self::telling::log_findings;
use super::enforce::Enforcer;
use crate::audit::AuditLog;
use crate::audit::events::{self, ReloadCause as Cause};
use crate::config::{AclSource, Config, ConfigErrors, Loaded, Restart};
use crate::files::{self, Files};
use crate::generation::{Look, Part, UpstreamKnowledge, Watch};
use crate::upstream::probe::ServerInfo;

/// What says who may do what, and with that what it is worth to be let in.
const RULES: [Part; 2] = [Part::Configuration, Part::Users];

/// Reads the configuration again, from where it was read first, out of these files.
pub type Reread = Arc<dyn Fn(&Files) -> Result<Loaded, ConfigErrors> + Send + Sync>;

/// Replaces generations.
pub struct Reloader {
    config: Config,
    /// What there is to be said about it.
    config_warnings: Vec<String>,
    reread: Reread,
    /// What was read at the start and is not read again.
    start_secrets: Arc<files::StartSecrets>,
    /// What of that which was written last only a restart gives.
    restart: Restart,
    server: Option<ServerInfo>,
    /// What was logged of the current generation: it is not repeated with every new one.
    logged: Vec<String>,
    /// Whoever waits, as it is told of them.
    waiting: Vec<String>,
    told_waiting: Vec<String>,
    enforcer: Enforcer,
    watch: Watch,
    reader: Reader<Found>,
    due: Due,
    /// Users were edited since the ACL file was read or written.
    unsaved: bool,
    history: Rc<RefCell<ReloadHistory>>,
    audit: Arc<AuditLog>,
    /// What the last reload that was asked for has come to, until that is told.
    report: Option<ReloadReport>,
}

/// What the first generation was built from.
pub struct Start {
    /// The configuration.
    pub config: Config,
    /// The watched files, as they were read for it.
    pub(super) watch: Watch,
    /// What was read for it and is not read again.
    pub start_secrets: Arc<files::StartSecrets>,
    /// What the upstream has told for it.
    pub server: Option<ServerInfo>,
    /// What was logged of it.
    pub logged: Vec<String>,
    /// Where it is noted how reloads go.
    pub(super) history: Rc<RefCell<ReloadHistory>>,
    /// Where it is proven later.
    pub(super) audit: Arc<AuditLog>,
}

/// What the next look at the files has to do, as soon as they allow it.
#[derive(Default)]
struct Due {
    /// Something has changed that no file tells: all that is held up is tried again.
    retry: bool,
    /// Somebody has asked for it.
    asked: Option<Asked>,
    /// What the upstream has told waited for certificates to be verified again.
    server: bool,
    /// Redis may have started with files that nobody has looked at as yet.
    compare: bool,
    config: bool,
    users: bool,
    trust: bool,
    /// Somebody waits for the configuration and the ACL file to be let in.
    new_trust: bool,
}

/// A reload that somebody has asked for.
struct Asked {
    cause: Cause,
    /// Users were edited after that: it leaves them as they are.
    keeps_users: bool,
}

impl Reloader {
    /// Goes on from the first generation.
    pub fn new(start: Start, reread: Reread, enforcer: Enforcer) -> Self {
        let Start { config, watch, start_secrets, server, logged, history, audit } = start;
        let reader = Reader::new(Rc::clone(&history));
        Self {
            config,
            config_warnings: Vec::new(),
            reread,
            start_secrets,
            restart: Restart::default(),
            server,
            logged,
            waiting: Vec::new(),
            told_waiting: Vec::new(),
            enforcer,
            watch,
            reader,
            due: Due::default(),
            unsaved: false,
            history,
            audit,
            report: None,
        }
    }

    /// What everything is built from.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Whether files are being read: what has come of that has to be [taken](Self::take) before anything else is read.
    pub fn is_reading(&self) -> bool {
        self.reader.is_busy()
    }

    /// What is found in files, for [`take`](Self::take). It may be dropped, and asked again.
    pub(super) async fn found(&mut self) -> Found {
        self.reader.found().await
    }

    /// Begins to look at the watched files, unless they are being read.
    pub async fn look_at_files(&mut self) {
        if std::mem::take(&mut self.due.server) {
            self.take_server().await;
        }
        if self.due.asked.is_some() {
            self.read_at_one_moment();
        } else {
            let watched = self.watch.paths();
            self.reader.begin(self.files(), move |files| Found::Look(found::look(files, &watched)));
        }
    }

    /// Begins to read everything again, as it is now, because somebody has asked for it.
    pub fn ask(&mut self, cause: Cause) {
        self.due.asked = Some(Asked { cause, keeps_users: false });
        self.read_at_one_moment();
    }

    /// Whether what somebody has asked for is still to be done.
    pub fn is_asked(&self) -> bool {
        self.due.asked.is_some()
    }

    fn read_at_one_moment(&mut self) {
        let (watched, source) = (self.watch.paths(), self.config_source());
        self.reader.begin(self.files(), move |files| {
            let (read, rest) = found::at_one_moment(files, &watched, &source);
            Found::Reload(read, rest)
        });
    }

    fn config_source(&self) -> ConfigSource {
        ConfigSource { reread: Arc::clone(&self.reread), in_force: self.config.clone() }
    }

    /// Builds a new generation if there is something in what was found that takes effect.
    pub(super) async fn take(&mut self, found: Found) {
        // Whoever asked while it was read wants what comes after that.
        let is_asked = self.due.asked.is_some();
        match found {
            Found::Reload(read, rest) => return self.reload(&read.files, rest).await,
            Found::Look(read) => {
                let look = self.watch.look(&read.files, read.time);
                let unsettled = self.take_note(&look);
                if self.is_any_due(&unsettled) {
                    self.read_all();
                } else {
                    self.tell_if_mended();
                }
            }
            Found::All(read, rest) => self.take_news(&read, rest).await,
            // Whoever has asked for it has been told that it takes too long.
            Found::Written(written) => drop(self.take_written(written)),
        }
        if is_asked {
            self.read_at_one_moment();
        }
    }

    /// What was seen is due as soon as it may be taken. Returns of which parts files are being written.
    fn take_note(&mut self, look: &Look) -> BTreeSet<Part> {
        for path in &look.overdue {
            events::file_does_not_settle(path);
            self.tell_of_what_waits();
        }
        if !look.news.is_empty() || std::mem::take(&mut self.due.retry) {
            self.due.config |= self.watch.differs(&Part::Configuration);
            self.due.users = self.watch.differs(&Part::Users);
            self.due.trust = self.differs_in_trust();
        }
        if self.watch.is_any_in(&Part::Users, &look.news) {
            self.tell_of_passed_over_users();
        }
        let is_unsettled = |part: &Part| self.watch.is_any_in(part, &look.unsettled);
        RULES.into_iter().filter(is_unsettled).collect()
    }

    /// Whether something may be taken, as far as the watched files tell.
    fn is_any_due(&self, unsettled: &BTreeSet<Part>) -> bool {
        let Due { compare, config, users, trust, new_trust, .. } = self.due;
        let config = config && !unsettled.contains(&Part::Configuration);
        let users = users && !self.unsaved && !unsettled.contains(&Part::Users);
        compare || config || users || trust || new_trust
    }

    /// Begins to read all that a generation is built of.
    fn read_all(&mut self) {
        let watched = self.watch.paths();
        let source = (self.due.config || self.due.compare).then(|| self.config_source());
        self.reader.begin(self.files(), move |files| {
            let (read, rest) = found::all(files, &watched, source.as_ref());
            Found::All(read, rest)
        });
    }

    /// Builds a new generation if there is something in these files that takes effect.
    async fn take_news(&mut self, read: &Read, rest: Rest) {
        let look = self.watch.look_further(&read.files, read.time);
        let mut unsettled = self.take_note(&look);
        if rest.config.is_some() && std::mem::take(&mut self.due.compare) {
            self.due.config |= matches!(&rest.config, Some(Ok(read)) if read.config != self.config);
        }
        let mut config = None;
        if self.due.config && !unsettled.contains(&Part::Configuration) {
            // A file that it did not name before has to settle first.
            config = rest.config.filter(|_| !self.watch.discover(&read.files, read.time.1));
            unsettled.extend(config.is_none().then_some(Part::Configuration));
        }
        self.due.users |= matches!(&config, Some(Ok(read)) if self.reads_users_otherwise(&read.config));
        let users = self.due.users && !self.unsaved && !unsettled.contains(&Part::Users);
        let is_trust_due = std::mem::take(&mut self.due.trust);
        if config.is_none() && !users && !is_trust_due && !self.due.new_trust {
            return self.tell_if_mended();
        }
        let mut reading = Reading { config, users, trust: true, unsettled };
        if self.is_as_on_disk(&reading, &HeldUp::new()) && rest.has_changed {
            // One file may be older than a change of all, and another younger.
            reading.unsettled.extend(RULES);
            self.due.retry = true;
        }
        let may_come = self.due.new_trust && self.is_as_on_disk(&reading, &HeldUp::new());
        if reading.config.is_some() || users || is_trust_due || may_come {
            self.rebuild(Cause::Files, reading, &read.files).await;
        }
    }

    /// Builds a new generation with what the upstream has told. No file is read, so none can keep it from being heard.
    pub async fn learn(&mut self, server: ServerInfo) {
        self.server = Some(server);
        self.take_server().await;
        // What was refused may be right for this one.
        self.due.retry = true;
        // A pattern may name files that nobody looked at as yet: Redis has started with them.
        self.due.compare = true;
    }

    /// Builds a new generation once the first of those in shadow is to be that no more. No file is read, so none can keep
    /// it from that.
    pub async fn end_shadows(&mut self) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        if self.enforcer.current().policy.shadows.next_end().is_some_and(|end| end <= now) {
            let nothing = Reading { config: None, users: false, trust: false, unsettled: BTreeSet::new() };
            self.rebuild(Cause::ShadowOver, nothing, &self.files()).await;
        }
    }

    async fn take_server(&mut self) {
        let nothing = Reading { config: None, users: false, trust: false, unsettled: BTreeSet::new() };
        self.rebuild(Cause::Upstream, nothing, &self.files()).await;
    }

    /// Takes what a reload that was asked for has come to. There is none while it waits for certificates to be verified
    /// again.
    pub(super) fn take_report(&mut self) -> Option<ReloadReport> {
        self.report.take()
    }

    /// Takes everything as it was read, whatever had been edited before somebody asked for that.
    async fn reload(&mut self, files: &Files, rest: Rest) {
        let Some(Asked { cause, keeps_users }) = self.due.asked.take() else { return };
        self.watch.take_all(files);
        self.due.retry |= rest.has_changed;
        let unsettled = if rest.has_changed { RULES.into() } else { BTreeSet::new() };
        let users = self.acl_file().is_some() && !keeps_users;
        let reading = Reading { config: rest.config, users, trust: true, unsettled };
        self.report = self.rebuild(cause, reading, files).await;
        if let Some(deferred) = &mut self.due.asked {
            deferred.keeps_users = keeps_users;
        }
    }

    fn files(&self) -> Files {
        Files::again(&self.start_secrets)
    }

    fn acl_file(&self) -> Option<&Path> {
        match &self.config.acl {
            AclSource::File(path) => Some(path),
            AclSource::Password(_) | AclSource::None => None,
        }
    }

    fn upstream(&self) -> UpstreamKnowledge<'_> {
        self.server.as_ref().map_or(UpstreamKnowledge::NotYetKnown, UpstreamKnowledge::Known)
    }
}
