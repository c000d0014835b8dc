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

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

use tracing::{error, info, warn};

use self::attempt::{Attempt, HeldUp, attempt};
use self::found::{ConfigSource, Found, Read, ReadConfig, Rest};
pub(super) use self::history::ReloadHistory;
pub use self::history::ReloadReport;
use self::reader::Reader;
use super::enforce::Enforcer;
use crate::acl::Acl;
use crate::audit::AuditLog;
use crate::audit::events::{self, ReloadCause as Cause};
use crate::command::CommandTable;
use crate::config::{AclSource, Config, ConfigErrors, Loaded, Restart};
use crate::files::{self, Files};
use crate::generation::{
    self, BuildError, Built, Generation, Kept, Look, Part, UpstreamKnowledge, Watch, contradictions,
    wanted_contradictions,
};
use crate::net::worker::Renewal;
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

/// What is read again. The rest is kept.
struct Reading {
    config: Option<Result<ReadConfig, ConfigErrors>>,
    users: bool,
    /// Certificates, keys, CAs and CRLs.
    trust: bool,
    /// Of these parts files are being written.
    unsettled: BTreeSet<Part>,
}

impl Reading {
    fn config_warnings(&self) -> &[String] {
        self.config.iter().flatten().next().map_or(&[], |read| &read.warnings)
    }
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

    /// Builds a new generation and puts it into force: without what is wrong, or not at all, and says why. Whoever is
    /// trusted no longer is gone before users and rules are others. Returns what has come of it, if it does not have to
    /// wait.
    async fn rebuild(&mut self, cause: Cause, reading: Reading, files: &Files) -> Option<ReloadReport> {
        let changes_rights = reading.config.is_some() || reading.users || !reading.trust;
        let is_withdrawn = (reading.config.is_some() || reading.users) && self.withdraw_trust(files).await;
        if changes_rights && !self.enforcer.is_reverified().await {
            self.defer(cause);
            return None;
        }
        let current = self.enforcer.current();
        let Attempt { errors, built } = self.attempt(&reading, &current, files);
        let mut report = ReloadReport { generation: current.number, ..ReloadReport::default() };
        if !errors.is_empty() {
            report.errors = errors.iter().map(ToString::to_string).collect();
            self.history.borrow_mut().note_failure(cause, report.errors.clone());
            errors.iter().for_each(|problem| events::reload_problem(cause, problem));
        }
        self.due.config &= reading.config.is_none();
        self.due.users &= !reading.users;
        self.due.new_trust &= !reading.trust;
        let Some((held_up, built)) = built else {
            events::reload_kept(cause, current.number);
            self.audit.config_reload_failed(cause, current.number);
            return Some(report);
        };
        report.held_up = held_up.iter().map(Part::to_string).collect();
        let told = [reading.config_warnings(), &built.warnings, &built.misnamed, &built.faults, &built.waiting];
        report.warnings = told.concat();
        if reading.trust {
            self.due.new_trust = !built.waiting.is_empty();
            self.waiting.clone_from(&built.waiting);
        }
        if reading.unsettled.is_empty() {
            self.tell_of_what_waits();
        }
        let is_whole = errors.is_empty() && (!reading.trust || reading.config.is_some() || reading.users);
        let is_new = is_whole || self.is_new(&built, &reading, &held_up, &current);
        if !is_new && !is_withdrawn {
            if !held_up.is_empty() {
                events::reload_kept(cause, current.number);
                self.audit.config_reload_failed(cause, current.number);
            }
            self.tell_if_mended();
            return Some(report);
        }
        if !held_up.is_empty() {
            events::reload_held_up(cause, &report.held_up.join(", "));
        }
        if is_new {
            report.generation = built.generation.number;
            self.put_in_force(built, reading, &held_up, files).await;
        }
        self.audit.config_reloaded(cause, report.generation, &report.held_up);
        match self.enforcer.confirm().await {
            Ok(()) => events::reloaded(cause, report.generation),
            Err(why) => {
                events::reload_not_confirmed(cause, report.generation, &why);
                report.not_confirmed = Some(why.to_string());
            }
        }
        self.tell_if_mended();
        self.tell_of_passed_over_users();
        report.restart_needed = self.restart.settings.iter().map(ToString::to_string).collect();
        Some(report)
    }

    /// Certificates are still being verified again: the rights of others wait for the next look.
    fn defer(&mut self, cause: Cause) {
        events::reload_deferred(cause);
        if matches!(cause, Cause::Signal | Cause::Request) {
            self.due.asked = Some(Asked { cause, keeps_users: false });
        }
        self.due.server |= cause == Cause::Upstream;
        self.due.retry = true;
    }

    /// Applies CRLs and the removal of CAs only, under the users and rules in force. What is wrong is told with the
    /// rest. Says whether there was any.
    async fn withdraw_trust(&mut self, files: &Files) -> bool {
        let may_go = |part: &Part| *part != Part::Certificates && self.watch.differs(part);
        if !self.watch.trust().iter().any(may_go) {
            return false;
        }
        let current = self.enforcer.current();
        let reading = Reading { config: None, users: false, trust: true, unsettled: RULES.into() };
        match self.attempt(&reading, &current, files).built {
            Some((held_up, built)) if self.is_new(&built, &reading, &held_up, &current) => {
                self.put_in_force(built, reading, &held_up, files).await;
                true
            }
            _ => false,
        }
    }

    /// Whether the ACL file that is in force is held against something else under this configuration.
    fn reads_users_otherwise(&self, config: &Config) -> bool {
        let rules = |config: &Config| (config.strict_permissions, config.acl_dialect);
        self.acl_file().is_some() && rules(config) != rules(&self.config)
    }

    fn differs_in_trust(&self) -> bool {
        self.watch.trust().iter().any(|part| self.watch.differs(part))
    }

    fn attempt(&self, reading: &Reading, current: &Generation, files: &Files) -> Attempt<Built> {
        let beside = |part: &Part| self.watch.beside(part);
        attempt(&self.news(reading), beside, |held_up| self.build(held_up, reading, current, files))
    }

    /// Whether anything of it is another than what is in force.
    fn is_new(&self, built: &Built, reading: &Reading, held_up: &HeldUp, current: &Generation) -> bool {
        let is_news = |part: &Part| self.is_taken(part, reading, held_up) && self.is_other(part, reading);
        self.news(reading).iter().any(is_news) || trusts_others(&built.generation, current)
    }

    /// What is read and not in force, or is read whatever is in force.
    fn news(&self, reading: &Reading) -> BTreeSet<Part> {
        let trust = if reading.trust { self.watch.trust() } else { BTreeSet::new() };
        let trust = trust.into_iter().filter(|part| self.watch.differs(part));
        let config = reading.config.is_some().then_some(Part::Configuration);
        trust.chain(config).chain(reading.users.then_some(Part::Users)).collect()
    }

    /// The next generation, with what is held up as it is in force.
    fn build(
        &self,
        held_up: &HeldUp,
        reading: &Reading,
        current: &Generation,
        files: &Files,
    ) -> Result<Built, Vec<BuildError>> {
        let config = match reading.config.as_ref().filter(|_| !held_up.contains(&Part::Configuration)) {
            None => None,
            Some(Ok(read)) => Some(&read.config),
            Some(Err(errors)) => return Err(errors.iter().map(BuildError::from).collect()),
        };
        let authorities = |part: &Part| match part {
            Part::Authorities(path) => Some(path.clone()),
            _ => None,
        };
        let authorities: Vec<_> = held_up.iter().filter_map(authorities).collect();
        let keeps_source = config.is_none_or(|config| config.acl == self.config.acl);
        let kept = Kept {
            before: Some(current),
            users: keeps_source && (!reading.users || held_up.contains(&Part::Users)),
            trust: !reading.trust,
            new_trust_waits: !self.is_as_on_disk(reading, held_up),
            authorities: &authorities,
            config: config.is_none(),
        };
        // CAs that are held up are read from no file.
        let read = held_up.iter().filter(|part| !matches!(part, Part::Authorities(_)));
        let files = files.with(read.flat_map(|part| self.watch.in_force(part)));
        let mut errors = config.map(|config| self.enforcer.faults(config)).unwrap_or_default();
        match generation::build(config.unwrap_or(&self.config), &files, self.upstream(), kept) {
            Ok(built) if errors.is_empty() => Ok(built),
            built => {
                errors.extend(built.err().into_iter().flatten());
                Err(errors)
            }
        }
    }

    /// Whether configuration and users will be those that the files have now.
    fn is_as_on_disk(&self, reading: &Reading, held_up: &HeldUp) -> bool {
        let is_as_on_disk = |part: &Part, is_read| {
            let is_as_written = is_read || !self.watch.differs(part);
            is_as_written && !reading.unsettled.contains(part) && !held_up.contains(part)
        };
        let restart = match &reading.config {
            Some(Ok(read)) => &read.restart,
            _ => &self.restart,
        };
        is_as_on_disk(&Part::Configuration, reading.config.is_some())
            && is_as_on_disk(&Part::Users, reading.users)
            && !restart.moves
    }

    /// Whether this comes into force as the files have it.
    fn is_taken(&self, part: &Part, reading: &Reading, held_up: &HeldUp) -> bool {
        let may_come = !matches!(part, Part::Authorities(_)) || self.is_as_on_disk(reading, held_up);
        may_come && !held_up.contains(part)
    }

    /// Whether what is read of it is another than what is in force.
    fn is_other(&self, part: &Part, reading: &Reading) -> bool {
        let is_other_config = |read: &ReadConfig| read.config != self.config;
        self.watch.differs(part)
            || match part {
                Part::Configuration => matches!(&reading.config, Some(Ok(read)) if is_other_config(read)),
                Part::Users => self.unsaved,
                Part::Certificates | Part::Authorities(_) | Part::RevocationLists(_) => false,
            }
    }

    async fn put_in_force(&mut self, mut built: Built, reading: Reading, held_up: &HeldUp, files: &Files) {
        if reading.trust {
            let (taken, left): (Vec<_>, Vec<_>) =
                self.watch.trust().into_iter().partition(|part| self.is_taken(part, &reading, held_up));
            taken.iter().for_each(|part| self.watch.put_in_force(part, files));
            // CAs may have gone that stand in what was in force before.
            let authorities = left.iter().filter(|part| matches!(part, Part::Authorities(_)));
            authorities.for_each(|part| self.watch.put_out_of_force(part));
        }
        let mut is_other_source = false;
        if let Some(Ok(ReadConfig { config, warnings, restart })) =
            reading.config.filter(|_| !held_up.contains(&Part::Configuration))
        {
            if restart.is_needed() {
                events::restart_is_needed(&restart.settings.join(", "));
            }
            is_other_source = config.acl != self.config.acl;
            self.restart = restart;
            self.watch.follow(config.watched_files(), files);
            self.watch.put_in_force(&Part::Configuration, files);
            self.config = config;
            self.config_warnings = warnings;
            if !is_other_source {
                self.tell_of_unsaved_users(files);
            }
        }
        if is_other_source || reading.users && !held_up.contains(&Part::Users) {
            if self.unsaved {
                events::edits_given_up();
            }
            self.unsaved = false;
            self.watch.put_in_force(&Part::Users, files);
        }
        built.warnings.extend(self.config_warnings.iter().cloned());
        self.logged = log_findings(&built, &self.logged);
        let renewal = if reading.trust { Renewal::Trust } else { Renewal::Policy };
        self.enforcer.enforce(built.generation, renewal).await;
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
            && self.watch.differs(&Part::Users)
        {
            events::acl_file_passed_over(path);
        }
    }

    /// Says that what was wrong is no more: the files say what is in force, if only because they say again what they did.
    fn tell_if_mended(&self) {
        let differs = || self.differs_in_trust() || RULES.iter().any(|part| self.watch.differs(part));
        if self.history.borrow().is_failed() && !differs() {
            self.history.borrow_mut().note_mended();
            events::reload_mended();
        }
    }

    fn tell_of_what_waits(&mut self) {
        self.waiting.iter().filter(|text| !self.told_waiting.contains(text)).for_each(|text| warn!("{text}"));
        self.told_waiting.clone_from(&self.waiting);
    }

    fn tell_of_wanted_contradictions(&mut self, acl: &Acl) {
        for wanted in wanted_contradictions(&self.config, acl).iter().map(ToString::to_string) {
            if !self.logged.contains(&wanted) {
                warn!("{wanted}");
                self.logged.push(wanted);
            }
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

/// Whether a listener trusts other client CAs or keys.
fn trusts_others(built: &Generation, current: &Generation) -> bool {
    let mut pairs = built.listeners.iter().flatten().zip(current.listeners.iter().flatten());
    pairs.any(|(built, current)| !built.in_force().has_same_trust_as(current.in_force()))
}

/// Logs what there is to say of a generation, but for what was logged of the one before it. Returns all of it.
pub(super) fn log_findings(built: &Built, logged: &[String]) -> Vec<String> {
    let is_news = |text: &&String| !logged.contains(text);
    built.contents.iter().filter(is_news).for_each(|text| info!("{text}"));
    built.warnings.iter().chain(&built.misnamed).filter(is_news).for_each(|text| warn!("{text}"));
    built.faults.iter().filter(is_news).for_each(|text| error!("{text}"));
    [&built.contents, &built.warnings, &built.misnamed, &built.faults].into_iter().flatten().cloned().collect()
}
