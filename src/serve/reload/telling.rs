//! What there is to be said of what is in force, beside how a reload went.

use std::path::Path;

use tracing::{error, info, warn};

use super::{RULES, Reloader};
use crate::acl::Acl;
use crate::audit::events;
use crate::command::CommandTable;
use crate::files::Files;
use crate::generation::{self, BuildError, Built, Part, contradictions, wanted_contradictions};

impl Reloader {
    pub(super) fn read_acl(
        &self,
        path: &Path,
        files: &Files,
        table: &CommandTable,
    ) -> Result<(Acl, Vec<String>), Vec<BuildError>> {
        let unknown = self.upstream().unknown_rules(&self.config);
        generation::read_acl(path, files, table, unknown, self.config.strict_permissions)
    }

    /// Says that the configuration does not fit the users that the next start is going to find.
    pub(super) fn tell_of_unsaved_users(&self, files: &Files) {
        let Some(path) = self.acl_file().filter(|_| self.unsaved) else { return };
        let table = &self.enforcer.current().policy.table;
        let contradicts = |(acl, _): &(Acl, Vec<String>)| !contradictions(&self.config, acl).is_empty();
        if self.read_acl(path, files, table).is_ok_and(|saved| contradicts(&saved)) {
            events::unsaved_users_are_needed(path);
        }
    }

    /// Says that the ACL file, as it is now, is not in force because users were edited.
    pub(super) fn tell_of_passed_over_users(&self) {
        if let Some(path) = self.acl_file()
            && self.unsaved
            && self.watch.differs(&Part::Users)
        {
            events::acl_file_passed_over(path);
        }
    }

    /// Says that what was wrong is no more: the files say what is in force, if only because they say again what they did.
    pub(super) fn tell_if_mended(&self) {
        let differs = || self.differs_in_trust() || RULES.iter().any(|part| self.watch.differs(part));
        if self.history.borrow().is_failed() && !differs() {
            self.history.borrow_mut().note_mended();
            events::reload_mended();
        }
    }

    pub(super) fn tell_of_what_waits(&mut self) {
        self.waiting.iter().filter(|text| !self.told_waiting.contains(text)).for_each(|text| warn!("{text}"));
        self.told_waiting.clone_from(&self.waiting);
    }

    pub(super) fn tell_of_wanted_contradictions(&mut self, acl: &Acl) {
        for wanted in wanted_contradictions(&self.config, acl).iter().map(ToString::to_string) {
            if !self.logged.contains(&wanted) {
                warn!("{wanted}");
                self.logged.push(wanted);
            }
        }
    }
}

/// Logs what there is to say of a generation, but for what was logged of the one before it. Returns all of it.
pub(in crate::serve) fn log_findings(built: &Built, logged: &[String]) -> Vec<String> {
    let is_news = |text: &&String| !logged.contains(text);
    built.contents.iter().filter(is_news).for_each(|text| info!("{text}"));
    built.warnings.iter().chain(&built.misnamed).filter(is_news).for_each(|text| warn!("{text}"));
    built.faults.iter().filter(is_news).for_each(|text| error!("{text}"));
    [&built.contents, &built.warnings, &built.misnamed, &built.faults].into_iter().flatten().cloned().collect()
}
