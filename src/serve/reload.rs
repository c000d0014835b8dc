//! Replacing the generation in force: when files change, when the upstream is heard, when somebody edits users.
//!
//! - What was seen of a file may not be in force: it was wrong, or waits. Everything else takes effect without it, and it is
//!   tried again whenever anything changes.
//! - Client CAs that are new come into force with the configuration and the ACL file as they are, and no sooner: these may
//!   confine them. CAs that are gone are so at once.
//! - Users live in the generation. The ACL file is read again only when it is another than the one in force, or when
//!   somebody says so. Edits that are not saved are not given up for a file that merely changed.

mod attempt;
mod edit;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::path::Path;
use std::rc::Rc;
use std::time::Instant;

use tokio::sync::watch;
use tracing::{error, info, warn};

use self::attempt::{Attempt, HeldUp, attempt};
use super::enforce::Enforcer;
use crate::acl::Acl;
use crate::audit::events;
use crate::command::CommandTable;
use crate::config::{AclSource, Config, ConfigErrors, FileKind, Loaded};
use crate::files::{self, Files};
use crate::generation::{
    self, BuildError, Built, Generation, Kept, UpstreamKnowledge, Watch, contradictions, insisted_on,
};
use crate::net::worker::Renewal;
use crate::tls::Admit;
use crate::upstream::probe::ServerInfo;

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
    /// What was read last, if it asks for something that only a restart gives.
    outdated: Option<Config>,
    server: Option<ServerInfo>,
    /// What was told of the current generation: it is not repeated with every new one.
    told: Vec<String>,
    enforcer: Enforcer,
    watch: Watch,
    due: Due,
    /// Users were edited since the ACL file was read or written.
    unsaved: bool,
    failures: Rc<Cell<u64>>,
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
    pub server: Option<ServerInfo>,
    /// What was told of it.
    pub told: Vec<String>,
    /// Where reloads that fail are counted.
    pub failures: Rc<Cell<u64>>,
}

/// What the next look at the files has to do, as soon as they allow it.
#[derive(Default)]
struct Due {
    /// Something has changed that no file tells: all that is held up is tried again.
    retry: bool,
    config: bool,
    users: bool,
    trust: bool,
    /// Client CAs wait for the configuration and the ACL file.
    authorities: bool,
}

/// What is read again. The rest is kept.
struct Reading {
    config: Option<Result<Loaded, ConfigErrors>>,
    users: bool,
    /// Certificates, keys, CAs and CRLs.
    trust: bool,
    /// Of these kinds files are being written.
    unsettled: BTreeSet<FileKind>,
}

impl Reloader {
    /// Goes on from the first generation.
    pub fn new(start: Start, reread: Reread, declare: watch::Sender<Vec<String>>, enforcer: Enforcer) -> Self {
        let Start { config, watch, once, server, told, failures } = start;
        Self {
            config,
            config_warnings: Vec::new(),
            reread,
            once,
            declare,
            outdated: None,
            server,
            told,
            enforcer,
            watch,
            due: Due::default(),
            unsaved: false,
            failures,
        }
    }

    /// What everything is built from.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Looks at the watched files, and builds a new generation if there is something in them that takes effect.
    pub async fn look_at_files(&mut self) {
        let (files, now) = (self.files(), Instant::now());
        let look = self.watch.look(&files, now);
        look.overdue.iter().for_each(|path| events::file_does_not_settle(path));
        if !look.news.is_empty() || std::mem::take(&mut self.due.retry) {
            self.due.config |= self.watch.differs(FileKind::Configuration);
            self.due.users = self.watch.differs(FileKind::Users);
            self.due.trust = FileKind::TRUST.into_iter().any(|kind| self.watch.differs(kind));
        }
        if self.acl_file().is_some_and(|path| look.news.contains(path)) {
            self.tell_of_passed_over_users();
        }
        let is_unsettled = |kind: &FileKind| self.watch.of_kind(*kind).any(|path| look.unsettled.contains(path));
        let mut unsettled: BTreeSet<_> =
            [FileKind::Configuration, FileKind::Users].into_iter().filter(is_unsettled).collect();
        let mut config = None;
        if self.due.config && !unsettled.contains(&FileKind::Configuration) {
            config = self.settled_config(&files, now);
            unsettled.extend(config.is_none().then_some(FileKind::Configuration));
        }
        let users = self.due.users && !self.unsaved && !unsettled.contains(&FileKind::Users);
        let reading = Reading { config, users, trust: true, unsettled };
        let may_come = self.due.authorities && self.is_current(&reading, &HeldUp::new());
        let is_trust_due = std::mem::take(&mut self.due.trust);
        if reading.config.is_some() || users || is_trust_due || may_come {
            self.rebuild("files changed", reading, &files).await;
        }
    }

    /// Builds a new generation with what the upstream has told. No file is read, so none can keep it from being heard.
    pub async fn learn(&mut self, server: ServerInfo) {
        self.server = Some(server);
        let nothing = Reading { config: None, users: false, trust: false, unsettled: BTreeSet::new() };
        self.rebuild("upstream", nothing, &self.files()).await;
        // What was refused may be right for this one.
        self.due.retry = true;
        // A pattern may name files that nobody looked at as yet: Redis has started with them.
        let read = self.read_config(&self.files());
        self.due.config |= read.is_ok_and(|loaded| loaded.config != self.config);
    }

    /// Reads everything again, as it is now, whatever has been edited since.
    pub async fn reload(&mut self) {
        let trust: Vec<_> = FileKind::TRUST.into_iter().flat_map(|kind| self.watch.of_kind(kind)).collect();
        let trust: Vec<_> = trust.into_iter().map(Path::to_owned).collect();
        let acl = self.acl_file().map(Path::to_owned);
        let (files, config) = self.files().at_one_moment(|files| {
            // What cannot be read is an error of the build.
            trust.iter().chain(&acl).for_each(|path| drop(files.read(path)));
            self.read_config(files)
        });
        self.watch.take_all(&files);
        let reading = Reading { config: Some(config), users: acl.is_some(), trust: true, unsettled: BTreeSet::new() };
        self.rebuild("signal", reading, &files).await;
    }

    /// Builds a new generation and puts it into force: without what is wrong, or not at all, and says why.
    async fn rebuild(&mut self, cause: &str, reading: Reading, files: &Files) {
        let current = self.enforcer.current();
        let read = self.news(&reading);
        let Attempt { errors, built } = attempt(&read, |held_up| self.build(held_up, &reading, &current, files));
        if !errors.is_empty() {
            self.failures.set(self.failures.get() + 1);
            errors.iter().for_each(|problem| events::reload_problem(cause, problem));
        }
        if reading.config.is_some() {
            self.due.config = false;
        }
        if reading.users {
            self.due.users = false;
        }
        let Some((held_up, built)) = built else {
            return events::reload_kept(cause, current.number);
        };
        if reading.trust {
            self.due.authorities = !built.waiting.is_empty();
        }
        if reading.unsettled.is_empty() {
            built.waiting.iter().filter(|text| !self.told.contains(text)).for_each(|text| warn!("{text}"));
        }
        let is_whole = errors.is_empty() && (!reading.trust || reading.config.is_some() || reading.users);
        let is_news = |kind: &FileKind| self.is_taken(*kind, &reading, &held_up) && self.is_other(*kind, &reading);
        if is_whole || read.iter().any(is_news) || has_other_authorities(&built.generation, &current) {
            if !held_up.is_empty() {
                events::reload_held_up(cause, &names(&held_up));
            }
            self.put_in_force(cause, built, reading, &held_up, files).await;
        } else if !held_up.is_empty() {
            events::reload_kept(cause, current.number);
        }
    }

    /// What is read and not in force, or is read whatever is in force.
    fn news(&self, reading: &Reading) -> BTreeSet<FileKind> {
        let trust = FileKind::TRUST.into_iter().filter(|kind| reading.trust && self.watch.differs(*kind));
        let config = reading.config.is_some().then_some(FileKind::Configuration);
        trust.chain(config).chain(reading.users.then_some(FileKind::Users)).collect()
    }

    /// The next generation, with what is held up as it is in force.
    fn build(
        &self,
        held_up: &HeldUp,
        reading: &Reading,
        current: &Generation,
        files: &Files,
    ) -> Result<Built, Vec<BuildError>> {
        let config = match reading.config.as_ref().filter(|_| !held_up.contains(&FileKind::Configuration)) {
            None => None,
            Some(Ok(loaded)) => Some(&loaded.config),
            Some(Err(errors)) => return Err(errors.iter().map(BuildError::from).collect()),
        };
        let kept = Kept {
            before: Some(current),
            users: !reading.users || held_up.contains(&FileKind::Users),
            trust: !reading.trust,
            authorities: self.admits(reading, held_up),
            config: config.is_none(),
        };
        let files = files.with(held_up.iter().flat_map(|kind| self.watch.in_force(*kind)));
        generation::build(config.unwrap_or(&self.config), &files, self.upstream(), kept)
    }

    /// Which client CAs may be in force with what is not held up.
    fn admits(&self, reading: &Reading, held_up: &HeldUp) -> Admit {
        match self.is_current(reading, held_up) {
            _ if held_up.contains(&FileKind::Authorities) => Admit::Known,
            true => Admit::OfFile,
            false => Admit::KnownOfFile,
        }
    }

    /// Whether configuration and users will be those that the files have now.
    fn is_current(&self, reading: &Reading, held_up: &HeldUp) -> bool {
        let is_current = |kind, is_read| {
            let is_in_force = !self.watch.differs(kind) && !reading.unsettled.contains(&kind);
            (is_read || is_in_force) && !held_up.contains(&kind)
        };
        is_current(FileKind::Configuration, reading.config.is_some()) && is_current(FileKind::Users, reading.users)
    }

    /// Whether this comes into force as the files have it.
    fn is_taken(&self, kind: FileKind, reading: &Reading, held_up: &HeldUp) -> bool {
        match kind {
            FileKind::Authorities => self.admits(reading, held_up) == Admit::OfFile,
            kind => !held_up.contains(&kind),
        }
    }

    /// Whether what is read of it is another than what is in force.
    fn is_other(&self, kind: FileKind, reading: &Reading) -> bool {
        let is_other_config = |loaded: &Loaded| loaded.config != self.config;
        self.watch.differs(kind)
            || match kind {
                FileKind::Configuration => matches!(&reading.config, Some(Ok(loaded)) if is_other_config(loaded)),
                FileKind::Users => self.unsaved,
                FileKind::Certificate | FileKind::Authorities | FileKind::RevocationLists => false,
            }
    }

    async fn put_in_force(&mut self, cause: &str, mut built: Built, reading: Reading, held_up: &HeldUp, files: &Files) {
        if reading.trust {
            let is_taken = |kind: &FileKind| self.is_taken(*kind, &reading, held_up);
            let taken: Vec<_> = FileKind::TRUST.into_iter().filter(is_taken).collect();
            taken.into_iter().for_each(|kind| self.watch.put_in_force(kind, files));
        }
        if let Some(Ok(Loaded { config, warnings })) =
            reading.config.filter(|_| !held_up.contains(&FileKind::Configuration))
        {
            self.watch.follow(config.watched_files(), files);
            self.watch.put_in_force(FileKind::Configuration, files);
            self.config = config;
            self.config_warnings = warnings.iter().map(ToString::to_string).collect();
            self.tell_of_unsaved_users(files);
        }
        if reading.users && !held_up.contains(&FileKind::Users) {
            if self.unsaved {
                events::edits_given_up(cause);
            }
            self.unsaved = false;
            self.watch.put_in_force(FileKind::Users, files);
        }
        built.warnings.extend(self.config_warnings.iter().cloned());
        let declared = generation::declared_names(&self.config);
        self.declare.send_if_modified(|known| declared != std::mem::replace(known, declared.clone()));
        self.told = tell(&built, &self.told);
        self.told.append(&mut built.waiting);
        let number = built.generation.number;
        let renewal = if reading.trust { Renewal::Trust } else { Renewal::Policy };
        self.enforcer.enforce(built.generation, renewal).await;
        events::reloaded(cause, number);
        self.tell_of_passed_over_users();
    }

    /// What is configured now, as far as a reload takes it.
    fn read_config(&mut self, files: &Files) -> Result<Loaded, ConfigErrors> {
        let Loaded { config: written, warnings } = (self.reread)(files)?;
        let config = self.config.reloaded(&written);
        let settings = config.restart_needed_for(&written);
        if !settings.is_empty() && self.outdated.as_ref() != Some(&written) {
            events::restart_is_needed(&settings.join(", "));
        }
        self.outdated = (!settings.is_empty()).then_some(written);
        Ok(Loaded { config, warnings })
    }

    /// The configuration, unless it names a file that it did not name before: that has to settle first.
    fn settled_config(&mut self, files: &Files, now: Instant) -> Option<Result<Loaded, ConfigErrors>> {
        let config = self.read_config(files);
        (!self.watch.discover(files, now)).then_some(config)
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

    /// Says that the configuration does not fit the users that the next start is going to find.
    fn tell_of_unsaved_users(&self, files: &Files) {
        let Some(path) = self.acl_file().filter(|_| self.unsaved) else { return };
        let table = &self.enforcer.current().policy.table;
        let contradicts = |(acl, _): &(Acl, Vec<String>)| !contradictions(&self.config, acl).is_empty();
        if self.read_acl(path, files, table).is_ok_and(|saved| contradicts(&saved)) {
            events::unsaved_users_are_needed(path);
        }
    }

    /// Says that the ACL file, as it is now, is not in force because users were edited.
    fn tell_of_passed_over_users(&self) {
        if let Some(path) = self.acl_file()
            && self.unsaved
            && self.watch.differs(FileKind::Users)
        {
            events::acl_file_passed_over(path);
        }
    }

    fn tell_of_insisted_on(&mut self, acl: &Acl) {
        for wanted in insisted_on(&self.config, acl).iter().map(ToString::to_string) {
            if !self.told.contains(&wanted) {
                warn!("{wanted}");
                self.told.push(wanted);
            }
        }
    }

    fn files(&self) -> Files {
        Files::again(&self.once)
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

/// Whether a listener trusts other client CAs.
fn has_other_authorities(built: &Generation, current: &Generation) -> bool {
    let pairs = built.listeners.iter().flatten().zip(current.listeners.iter().flatten());
    pairs.into_iter().any(|(built, current)| !built.in_force().has_authorities_of(current.in_force()))
}

fn names(held_up: &HeldUp) -> String {
    let name = |kind: &FileKind| match kind {
        FileKind::Certificate => "certificate and key",
        FileKind::Authorities => "CAs",
        FileKind::RevocationLists => "CRLs",
        FileKind::Configuration => "configuration",
        FileKind::Users => "users",
    };
    held_up.iter().map(name).collect::<Vec<_>>().join(", ")
}

/// Logs what there is to say of a generation, but for what was told of the one before it. Returns all of it.
pub(super) fn tell(built: &Built, told: &[String]) -> Vec<String> {
    let is_news = |text: &&String| !told.contains(text);
    built.contents.iter().filter(is_news).for_each(|text| info!("{text}"));
    built.warnings.iter().chain(&built.misnamed).filter(is_news).for_each(|text| warn!("{text}"));
    built.faults.iter().filter(is_news).for_each(|text| error!("{text}"));
    [&built.contents, &built.warnings, &built.misnamed, &built.faults].into_iter().flatten().cloned().collect()
}
