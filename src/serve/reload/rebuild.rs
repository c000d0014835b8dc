//! A new generation of what was read, and how it comes into force.

use std::collections::BTreeSet;

use super::attempt::{Attempt, HeldUp, attempt};
use super::found::ReadConfig;
use super::telling::log_findings;
use super::{Asked, RULES, ReloadReport, Reloader};
use crate::audit::events::{self, ReloadCause as Cause};
use crate::config::{Config, ConfigErrors};
use crate::files::Files;
use crate::generation::{self, BuildError, Built, Generation, Kept, Part};
use crate::net::worker::Renewal;
use crate::serve::enforce::Enforcer;

/// What is read again. The rest is kept.
pub(super) struct Reading {
    pub(super) config: Option<Result<ReadConfig, ConfigErrors>>,
    pub(super) users: bool,
    /// Certificates, keys, CAs and CRLs.
    pub(super) trust: bool,
    /// Of these parts files are being written.
    pub(super) unsettled: BTreeSet<Part>,
}

impl Reading {
    fn config_warnings(&self) -> &[String] {
        self.config.iter().flatten().next().map_or(&[], |read| &read.warnings)
    }
}

impl Reloader {
    /// Builds a new generation and puts it into force: without what is wrong, or not at all, and says why. Whoever is
    /// trusted no longer is gone before users and rules are others. Returns what has come of it, if it does not have to
    /// wait.
    pub(super) async fn rebuild(&mut self, cause: Cause, reading: Reading, files: &Files) -> Option<ReloadReport> {
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
    pub(super) fn reads_users_otherwise(&self, config: &Config) -> bool {
        let rules = |config: &Config| (config.strict_permissions, config.acl_dialect);
        self.acl_file().is_some() && rules(config) != rules(&self.config)
    }

    pub(super) fn differs_in_trust(&self) -> bool {
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
        let read = match reading.config.as_ref().filter(|_| !held_up.contains(&Part::Configuration)) {
            None => None,
            Some(Ok(read)) => Some(read),
            Some(Err(errors)) => return Err(errors.iter().map(BuildError::from).collect()),
        };
        let config = read.map(|read| &read.config);
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
        let as_before = held_up.iter().filter(|part| !matches!(part, Part::Authorities(_)));
        let files = files.with(as_before.flat_map(|part| self.watch.in_force(part)));
        let capacity = config.and_then(Enforcer::fault);
        let log = read.and_then(|read| read.log.as_ref()?.as_ref().err()).map(BuildError::config);
        let mut errors: Vec<_> = capacity.into_iter().chain(log).collect();
        match generation::build(config.unwrap_or(&self.config), &files, self.upstream(), kept) {
            Ok(built) if errors.is_empty() => Ok(built),
            built => {
                errors.extend(built.err().into_iter().flatten());
                Err(errors)
            }
        }
    }

    /// Whether configuration and users will be those that the files have now.
    pub(super) fn is_as_on_disk(&self, reading: &Reading, held_up: &HeldUp) -> bool {
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
        let (mut is_other_source, mut other_log) = (false, None);
        if let Some(Ok(ReadConfig { config, warnings, restart, log })) =
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
            other_log = log.and_then(Result::ok);
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
        if let Some(opened) = other_log {
            self.enforcer.change_log(opened);
        }
        let renewal = if reading.trust { Renewal::Trust } else { Renewal::Policy };
        self.enforcer.enforce(built.generation, renewal).await;
    }
}

/// Whether a listener trusts other client CAs or keys.
fn trusts_others(built: &Generation, current: &Generation) -> bool {
    let mut pairs = built.listeners.iter().flatten().zip(current.listeners.iter().flatten());
    pairs.any(|(built, current)| !built.in_force().has_same_trust_as(current.in_force()))
}
