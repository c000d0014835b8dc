//! What the audit log of a generation is told of requests.

use super::Builder;
use super::blocklist::{may_be_a_modules, nearest_name};
use crate::command::CommandTable;
use crate::generation::error::BuildError;
use crate::policy::AuditRules;

impl Builder<'_> {
    /// Without an audit log nothing is to be told, but what is misspelt is an error all the same.
    pub(super) fn audit_rules(&mut self, table: &CommandTable) -> AuditRules {
        let audit = &self.config.audit;
        let (rules, unknown) = AuditRules::build(&audit.commands, audit.keys, table);
        for entry in unknown {
            let error =
                format!("audit-commands: `{entry}` is no command, subcommand (CLIENT|KILL) or category (@admin)");
            if self.kept.config || !self.upstream.tells_commands() && may_be_a_modules(entry) {
                self.warnings.push(format!("{error} that is known: it records nothing"));
            } else {
                let hint =
                    nearest_name(entry, table).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
                self.errors.push(BuildError::config(format!("{error}{hint}")));
            }
        }
        if audit.target.is_some() { rules } else { AuditRules::default() }
    }
}
