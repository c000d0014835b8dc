//! How respgate is set up, beyond what `respgate check` has to say.

use std::path::{Path, PathBuf};

use super::redis::TRIED_FIRST;
use crate::acl::{Acl, PasswordHash};
use crate::command::CommandTable;
use crate::config::{AclSource, Config, Listener, METRICS_PORT};
use crate::doctor::{Finding, Fix, Position, kind};
use crate::serve::status::Status;
use crate::tls::AuthClients;

/// A configuration of respgate, and the one that runs.
#[derive(Clone, Copy)]
pub struct Gate<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// Its users, where they can be read.
    pub users: Option<(&'a Acl, &'a CommandTable)>,
    /// The configuration file and its lines; `None` where there is none.
    pub file: Option<(&'a Path, &'a [String])>,
    /// The ACL file's lines.
    pub users_file: &'a [String],
    /// Lists of what is revoked that are there: of each file of CAs the one beside it.
    pub lists: &'a [PathBuf],
    /// What the running proxy says, or why it does not.
    pub running: &'a Result<Status, String>,
}

/// Everything about it.
pub fn gate(gate: &Gate<'_>) -> Vec<Finding> {
    let mut findings = running(gate.running);
    findings.extend(gate.config.listeners.iter().filter_map(|listener| revocation(gate, listener)));
    if let Some((acl, table)) = gate.users {
        findings.extend(users(gate, acl, table));
    }
    findings.push(audit(gate));
    findings.push(metrics(gate));
    findings.push(stray(gate));
    findings
}

impl Gate<'_> {
    /// A line after that of one of these keys.
    fn line_after(&self, keys: &[&str], text: String) -> Option<Fix> {
        let (path, lines) = self.file?;
        let at = keys.iter().find_map(|key| lines.iter().position(|line| sets(line, key)))?;
        Some(Fix::Line { text, path: path.to_owned(), position: Position::After(at + 1) })
    }

    /// A line before the first section: what stands behind its heading belongs to that.
    fn top_line(&self, text: String) -> Option<Fix> {
        let (path, lines) = self.file?;
        let top = lines.iter().take_while(|line| !line.trim_start().starts_with('['));
        let at = top.enumerate().filter(|(_, line)| ["upstream", "listen"].iter().any(|key| sets(line, key)));
        let after = at.last().map_or(0, |(at, _)| at + 1);
        Some(Fix::Line { text, path: path.to_owned(), position: Position::After(after) })
    }

    fn is_certificate_asked(&self, user: &str) -> bool {
        let settings = self.config.users.get(user);
        settings.is_some_and(|settings| settings.certificate_required || settings.certificate_only)
    }
}

/// Whether a line of a respgate.toml sets this key.
fn sets(line: &str, key: &str) -> bool {
    line.trim_start().strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('='))
}

fn running(status: &Result<Status, String>) -> Vec<Finding> {
    match status {
        Err(why) => vec![Finding::unknown(&kind::GATE_RUNNING, format!("no running respgate answers: {why}"))],
        Ok(status) => {
            let generation = &status.generation;
            let subject = format!(
                "respgate[{}] is {}, generation {} since {}",
                status.pid, status.health, generation.number, generation.since
            );
            let running = match status.health.as_str() {
                "serving" => Finding::green(&kind::GATE_RUNNING, subject),
                _ => Finding::amber(&kind::GATE_RUNNING, subject),
            };
            let failure = status.reloads.last_failure.as_ref().filter(|failure| !failure.is_mended);
            let reload = match failure {
                None => Finding::green(&kind::GATE_RELOAD, "what runs is what the files say"),
                Some(failure) => {
                    let problem = failure.problems.first().map(String::as_str).unwrap_or_default();
                    Finding::red(
                        &kind::GATE_RELOAD,
                        format!("since {} what the files say is not in force: {problem}", failure.time),
                    )
                }
            };
            vec![running, reload]
        }
    }
}

/// Whether certificates can be taken back at a listener.
fn revocation(gate: &Gate<'_>, listener: &Listener) -> Option<Finding> {
    let tls = listener.tls.as_ref().filter(|tls| tls.auth_clients != AuthClients::No)?;
    let kind = &kind::CRL_MISSING;
    if !tls.crl_files.is_empty() {
        return Some(Finding::green(kind, format!("{} reads lists of what is revoked", listener.address)));
    }
    let list =
        tls.ca_cert_file.as_ref().map(|file| file.with_extension("crl")).filter(|list| gate.lists.contains(list));
    let fix = list.and_then(|list| gate.line_after(&["tls-ca-cert-file"], format!("tls-crl-file = {list:?}")));
    let subject = format!("{} has no tls-crl-file: `cert revoke` does nothing there", listener.address);
    Some(Finding::red(kind, subject).fix(fix))
}

fn users(gate: &Gate<'_>, acl: &Acl, table: &CommandTable) -> Vec<Finding> {
    let mut findings = Vec::new();
    for user in acl.users().filter(|user| user.is_enabled()) {
        let name = user.name().as_str();
        let (place, number) = place(gate, name);
        if user.is_nopass() {
            let fix = number.and_then(|number| without_nopass(gate, number));
            findings.push(Finding::red(&kind::ACL_NOPASS, format!("user {name} is nopass ({place})")).fix(fix));
        }
        let is_tried =
            |hash: &PasswordHash| TRIED_FIRST.iter().any(|word| PasswordHash::of_password(word.as_bytes()) == *hash);
        if user.passwords().iter().any(is_tried) {
            findings.push(Finding::red(
                &kind::ACL_WEAK,
                format!("user {name} has a password that everybody tries ({place})"),
            ));
        }
        let line = user.to_line(table);
        let rules: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
        let is_wide = rules.contains(&&b"+@all"[..])
            && rules.contains(&&b"~*"[..])
            && !rules.iter().any(|rule| rule.starts_with(b"-") && *rule != b"-@all");
        let is_exempt = gate.config.block.exempt_users.iter().any(|exempt| exempt == name);
        if is_wide && !gate.is_certificate_asked(name) {
            let subject = format!("user {name} may do everything to every key, with no more than a password ({place})");
            findings.push(Finding::amber(&kind::ACL_WIDE, subject));
        }
        if is_exempt {
            findings.push(exempt(gate, name));
        }
        if gate.config.users.get(name).is_some_and(|settings| settings.shadow.is_some()) {
            findings.push(Finding::amber(&kind::ACL_SHADOW, format!("user {name} has shadow-until ({place})")));
        }
    }
    let has = |wanted: &'static kind::Kind| findings.iter().any(|finding| finding.kind == wanted);
    let (has_open, has_wide) = (has(&kind::ACL_NOPASS), has(&kind::ACL_WIDE));
    if !has_open {
        findings.push(Finding::green(&kind::ACL_NOPASS, "no user is nopass"));
    }
    if !has_wide {
        findings.push(Finding::green(&kind::ACL_WIDE, "nobody may do everything with no more than a password"));
    }
    findings
}

/// A user whom the blocklist does not hold for, and what that takes.
fn exempt(gate: &Gate<'_>, name: &str) -> Finding {
    let kind = &kind::ACL_EXEMPT;
    if gate.is_certificate_asked(name) {
        return Finding::green(kind, format!("exempt user {name} needs its certificate"));
    }
    let finding = Finding::red(kind, format!("exempt user {name} may log in by a password alone"));
    let Some((path, lines)) = gate.file else { return finding };
    let has_table =
        |line: &String| line.trim() == format!("[user.{name}]") || line.trim() == format!("[user.{name:?}]");
    let line = "certificate = \"required\"";
    let fix = match lines.iter().position(has_table) {
        Some(at) => Some(Fix::Line { text: line.to_owned(), path: path.to_owned(), position: Position::After(at + 1) }),
        None => gate.top_line(format!("user.{name:?}.{line}")),
    };
    finding.fix(fix)
}

/// Where a user stands in the ACL file.
fn place(gate: &Gate<'_>, name: &str) -> (String, Option<usize>) {
    let is_of = |line: &String| {
        let mut words = line.split_whitespace();
        words.next() == Some("user") && words.next() == Some(name)
    };
    match (&gate.config.acl, gate.users_file.iter().position(is_of)) {
        (AclSource::File(path), Some(at)) => (format!("{}:{}", path.display(), at + 1), Some(at + 1)),
        (AclSource::File(path), None) => (path.display().to_string(), None),
        _ => ("no aclfile".to_owned(), None),
    }
}

fn without_nopass(gate: &Gate<'_>, number: usize) -> Option<Fix> {
    let AclSource::File(path) = &gate.config.acl else { return None };
    let line = gate.users_file.get(number.checked_sub(1)?)?;
    let text = super::without_nopass(line);
    Some(Fix::Line { text, path: path.clone(), position: Position::Instead(number) })
}

fn audit(gate: &Gate<'_>) -> Finding {
    let kind = &kind::GATE_AUDIT;
    match &gate.config.audit.target {
        Some(target) => Finding::green(kind, format!("audit-file {target}")),
        None => {
            let line = "audit-file = \"/var/log/respgate/audit.log\"".to_owned();
            Finding::amber(kind, "no audit-file").fix(gate.top_line(line))
        }
    }
}

fn metrics(gate: &Gate<'_>) -> Finding {
    let kind = &kind::GATE_METRICS;
    match &gate.config.metrics {
        Some(door) => Finding::green(kind, format!("metrics-listen {}", door.address)),
        None => {
            let line = format!("metrics-listen = \"127.0.0.1:{METRICS_PORT}\"");
            Finding::amber(kind, "no metrics-listen").fix(gate.top_line(line))
        }
    }
}

fn stray(gate: &Gate<'_>) -> Finding {
    let kind = &kind::GATE_STRAY_AUTH;
    match gate.config.ignore_stray_auth {
        true => Finding::amber(kind, "stray-auth = \"ignore\""),
        false => Finding::green(kind, "stray passwords are refused"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acl::Unknown;
    use crate::command::Dialect;
    use crate::config::{self, Flags, Host, Sources, Variables};
    use crate::doctor::{Kind, Severity};
    use crate::files::Files;
    use crate::serve::status::{FailedReload, Status};

    const SETTINGS: &str = "listen = \"127.0.0.1:6380\"\nupstream = \"127.0.0.1:6379\"\ntls-cert-file = \"a\"\ntls-key-file = \
                            \"b\"\ntls-ca-cert-file = \"/pki/ca.crt\"\naclfile = \"/etc/users.acl\"\n";

    /// What is said of a configuration of these lines and more, and of these users.
    fn judged(more: &str, users: &str, lists: &[PathBuf], running: &Result<Status, String>) -> Vec<Finding> {
        judged_file(&format!("{SETTINGS}{more}"), users, lists, running)
    }

    fn judged_file(text: &str, users: &str, lists: &[PathBuf], running: &Result<Status, String>) -> Vec<Finding> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("respgate.toml");
        std::fs::write(&path, text).unwrap();
        let (variables, host, files) = (Variables::new(), Host::current(), Files::default());
        let flags = Flags::none();
        let sources = Sources { file: Some(path), variables: &variables, flags: &flags, host: &host, files: &files };
        let config = config::load(&sources).unwrap().config;
        let table = CommandTable::builtin(Dialect::Redis70);
        let acl = Acl::read(users.as_bytes(), &table, Unknown::Refuse).ok().unwrap().acl;
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        gate(&Gate {
            config: &config,
            users: Some((&acl, &table)),
            file: Some((Path::new("respgate.toml"), &lines(text))),
            users_file: &lines(users),
            lists,
            running,
        })
    }

    fn of_users(more: &str, users: &str) -> Vec<Finding> {
        judged(more, users, &[], &Err("nobody".to_owned()))
    }

    /// How severe what is said of a kind is, and what puts it right.
    fn one(findings: &[Finding], kind: &Kind) -> (Severity, String) {
        let found = findings.iter().find(|finding| finding.kind.id == kind.id).unwrap();
        (found.severity, found.fix.as_ref().map(ToString::to_string).unwrap_or_default())
    }

    #[test]
    fn who_is_in_shadow_is_told() {
        let day = time::OffsetDateTime::now_utc().date() + time::Duration::days(3);
        let found = of_users(&format!("[user.a]\nshadow-until = \"{day}\"\n"), "user a on +get\n");
        assert_eq!(one(&found, &kind::ACL_SHADOW).0, Severity::Amber);
        assert!(of_users("", "user a on +get\n").iter().all(|finding| finding.kind != &kind::ACL_SHADOW));
    }

    #[test]
    fn a_setting_of_the_whole_file_goes_before_its_first_section() {
        let tunnel = "[[tunnel]]\nlisten = \"127.0.0.1:6379\"\nconnect = \"a:1\"\ntls-ca-cert-file = \"ca.crt\"\n";
        let of = |text: &str| one(&judged_file(text, "", &[], &Err("nobody".to_owned())), &kind::GATE_AUDIT).1;
        assert!(of(tunnel).ends_with("# respgate.toml, at its beginning"), "{}", of(tunnel));
        let both = format!("{SETTINGS}{tunnel}");
        assert!(of(&both).contains("# respgate.toml, after line "), "{}", of(&both));
    }

    #[test]
    fn a_user_without_a_password_is_red_where_it_is_on() {
        let found = of_users("", "user a off nopass +get\n\nuser b on nopass ~b:* +get\n");
        let fix = "user b on resetpass ~b:* +get   # /etc/users.acl:3".to_owned();
        assert_eq!(one(&found, &kind::ACL_NOPASS), (Severity::Red, fix));
        assert_eq!(one(&of_users("", "user a off nopass +get\n"), &kind::ACL_NOPASS).0, Severity::Green);
    }

    #[test]
    fn a_password_that_everybody_tries_is_red() {
        assert_eq!(one(&of_users("", "user a on >foobared +get\n"), &kind::ACL_WEAK).0, Severity::Red);
        let found = of_users("", "user a on >0f3c9a7be1d24586 +get\n");
        assert!(found.iter().all(|finding| finding.kind != &kind::ACL_WEAK));
    }

    #[test]
    fn a_user_who_may_do_everything_is_amber_unless_it_needs_its_certificate() {
        for (rules, severity) in
            [("+@all ~*", Severity::Amber), ("+@all ~a:*", Severity::Green), ("+@all -@dangerous ~*", Severity::Green)]
        {
            let found = of_users("", &format!("user a on >0f3c9a7be1d24586 {rules}\n"));
            assert_eq!(one(&found, &kind::ACL_WIDE).0, severity, "{rules}");
        }
        let more = "tls-auth-clients-user = \"CN\"\n[user.a]\ncertificate = \"required\"\n";
        assert_eq!(one(&of_users(more, "user a on +@all ~*\n"), &kind::ACL_WIDE).0, Severity::Green);
    }

    #[test]
    fn an_exempt_user_who_needs_no_certificate_is_red() {
        let judge = |more: &str| {
            let rule = "[[certificate]]\ncn = \"ops\"\nuser = \"ops\"\n";
            one(&of_users(&format!("{more}{rule}"), "user ops on >0f3c9a7be1d24586 +@all ~*\n"), &kind::ACL_EXEMPT)
        };
        let exempt = "[block]\nexempt-users = [\"ops\"]\n";
        let line = "user.\"ops\".certificate = \"required\"   # respgate.toml, after line 2".to_owned();
        assert_eq!(judge(exempt), (Severity::Red, line));
        let line = "certificate = \"required\"   # respgate.toml, after line 9".to_owned();
        assert_eq!(judge(&format!("{exempt}[user.ops]\nallow-from = \"192.0.2.0/24\"\n")), (Severity::Red, line));
        assert_eq!(judge(&format!("{exempt}[user.ops]\ncertificate = \"required\"\n")).0, Severity::Green);
    }

    #[test]
    fn a_listener_that_reads_no_list_of_what_is_revoked_is_red_and_the_list_beside_the_authorities_is_proposed() {
        let judge =
            |more, lists: &[PathBuf]| one(&judged(more, "user a on\n", lists, &Err(String::new())), &kind::CRL_MISSING);
        assert_eq!(judge("", &[]), (Severity::Red, String::new()));
        let line = "tls-crl-file = \"/pki/ca.crl\"   # respgate.toml, after line 5".to_owned();
        assert_eq!(judge("", &["/pki/ca.crl".into()]), (Severity::Red, line));
        assert_eq!(judge("tls-crl-file = \"x.crl\"\n", &[]).0, Severity::Green);
        let findings = of_users("tls-auth-clients = \"no\"\n", "user a on\n");
        assert!(findings.iter().all(|finding| finding.kind != &kind::CRL_MISSING), "nobody shows a certificate there");
    }

    #[test]
    fn what_does_not_run_is_unknown_and_what_failed_to_reload_is_red() {
        let status = |health: &str, is_mended| {
            let failure =
                FailedReload { time: "then".into(), cause: "file".into(), problems: vec!["bad".into()], is_mended };
            let text = serde_json::json!({
                "version": "0", "pid": 7, "started": "", "health": health, "connections": 0,
                "generation": {"number": 1, "since": ""}, "reloads": {"failed": 1, "last_failure": failure},
            });
            let status = serde_json::from_value::<Status>(text).unwrap();
            let found = judged("", "user a on\n", &[], &Ok(status));
            (one(&found, &kind::GATE_RUNNING).0, one(&found, &kind::GATE_RELOAD).0)
        };
        assert_eq!(status("serving", true), (Severity::Green, Severity::Green));
        assert_eq!(status("upstream-down", false), (Severity::Amber, Severity::Red));
        assert_eq!(one(&of_users("", "user a on\n"), &kind::GATE_RUNNING).0, Severity::Unknown);
    }

    #[test]
    fn what_is_off_comes_with_the_line_that_turns_it_on() {
        let found = of_users("stray-auth = \"ignore\"\n", "user a on\n");
        let audit = "audit-file = \"/var/log/respgate/audit.log\"   # respgate.toml, after line 2".to_owned();
        assert_eq!(one(&found, &kind::GATE_AUDIT), (Severity::Amber, audit));
        let metrics = "metrics-listen = \"127.0.0.1:9180\"   # respgate.toml, after line 2".to_owned();
        assert_eq!(one(&found, &kind::GATE_METRICS), (Severity::Amber, metrics));
        assert_eq!(one(&found, &kind::GATE_STRAY_AUTH).0, Severity::Amber);
        let found = of_users("audit-file = \"a\"\nmetrics-listen = \"127.0.0.1:9180\"\n", "user a on\n");
        for kind in [&kind::GATE_AUDIT, &kind::GATE_METRICS, &kind::GATE_STRAY_AUTH] {
            assert_eq!(one(&found, kind).0, Severity::Green);
        }
    }
}
