//! What `respgate check` says, as findings.

use super::{Finding, Fix, Severity, kind};

/// The commands with which it ends where the permissions of a file are at fault.
const COMMANDS: [&str; 3] = ["chmod ", "chown ", "setfacl "];

/// One thing that it says. Who else may read or change files is a finding of its own, with the command that ends that.
pub fn told(severity: Severity, text: String) -> Finding {
    let is_command = |tail: &&str| COMMANDS.iter().any(|command| tail.starts_with(command));
    let command = text
        .rsplit_once(": ")
        .map(|(_, tail)| tail)
        .filter(is_command)
        .map(|tail| tail.replace(", chmod", " && chmod"));
    let kind = if command.is_some() { &kind::FILES } else { &kind::GATE_CONFIG };
    let severity = if command.is_some() && severity == Severity::Amber { Severity::Red } else { severity };
    Finding { kind, severity, subject: text, fix: command.map(Fix::Command) }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::files::Files;

    #[test]
    fn what_is_wrong_with_the_permissions_of_a_file_comes_with_the_command_that_ends_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("server.key");
        fs::write(&path, "x").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let words = Files::default().read(&path).unwrap().permissions.readable().unwrap();
        let finding = told(Severity::Amber, words);
        assert_eq!((finding.kind.id, finding.severity), ("files", Severity::Red));
        assert_eq!(finding.fix, Some(Fix::Command(format!("chmod o-r {}", path.display()))));
        let other = told(Severity::Amber, "respgate.toml:3:1: something: else".to_owned());
        assert_eq!((other.kind.id, other.severity, other.fix), ("gate.config", Severity::Amber, None));
    }
}
