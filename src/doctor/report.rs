//! What was found, for people and for programs.

use std::fmt::Write;
use std::time::SystemTime;

use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::kind::POINTS;
use super::{Finding, Fix, Position, Severity};
use crate::audit::escape::OneLine;

/// Where the text of a finding begins.
const INDENT: usize = 28;

/// Which machine was looked at, when, and by whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The name of this host.
    pub host: String,
    /// Now.
    pub time: SystemTime,
    /// The user who looks.
    pub user: String,
}

/// Everything that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Report {
    subject: Subject,
    /// The worst first.
    findings: Vec<Finding>,
}

impl Report {
    /// Of these findings, each of which is told once.
    pub fn new(subject: Subject, findings: Vec<Finding>) -> Report {
        let mut once: Vec<Finding> = Vec::new();
        for finding in findings {
            if !once.contains(&finding) {
                once.push(finding);
            }
        }
        once.sort_by_key(|finding| finding.severity);
        Report { subject, findings: once }
    }

    /// Whether nothing in it is as bad as this, or worse.
    #[must_use]
    pub fn is_better_than(&self, severity: Severity) -> bool {
        self.findings.iter().all(|finding| finding.severity > severity)
    }

    /// For people. Green findings are only counted, unless `all` are wanted.
    #[must_use]
    pub fn text(&self, all: bool) -> String {
        let Subject { host, user, .. } = &self.subject;
        let mut text = format!("{} · {} · as {}\n", one_line(host), self.time(), one_line(user));
        for finding in self.findings.iter().filter(|finding| all || finding.severity != Severity::Green) {
            text.push_str(&entry(finding));
        }
        if !all && self.count(Severity::Green) > 0 {
            let _ = writeln!(text, "GREEN   {:<19} --all lists them", self.count(Severity::Green));
        }
        text + &self.summary()
    }

    /// The points of `docs/hardening.md`, ticked where everything that belongs to them is green.
    #[must_use]
    pub fn checklist(&self) -> String {
        let mut text = String::new();
        for (index, title) in POINTS.iter().enumerate() {
            let of_point = self.findings.iter().filter(|finding| finding.kind.point == index + 1);
            let (tick, why) = match of_point.min_by_key(|finding| finding.severity) {
                None => ("[-]", "nothing that this program looks at".to_owned()),
                Some(Finding { severity: Severity::Green, .. }) => ("[x]", String::new()),
                Some(worst) => {
                    ("[ ]", format!("{} {}: {}", worst.severity.word(), worst.kind.id, one_line(&worst.subject)))
                }
            };
            let _ = writeln!(text, "{}", format!("{tick} {:>2}. {title:<26} {why}", index + 1).trim_end());
        }
        text + &self.summary()
    }

    /// For programs: `docs/hardening.md` describes it.
    #[must_use]
    pub fn json(&self) -> String {
        let document = Document {
            host: &self.subject.host,
            time: self.time(),
            user: &self.subject.user,
            findings: self.findings.iter().map(Entry::from).collect(),
            red: self.count(Severity::Red),
            amber: self.count(Severity::Amber),
            unknown: self.count(Severity::Unknown),
            green: self.count(Severity::Green),
        };
        serde_json::to_string_pretty(&document).unwrap_or_default() + "\n"
    }

    fn summary(&self) -> String {
        let counts = Severity::ALL.map(|severity| format!("{} {}", self.count(severity), severity.word()));
        counts.join(", ") + "\n"
    }

    fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }

    /// As RFC 3339 has it, in whole seconds.
    fn time(&self) -> String {
        let time = OffsetDateTime::from(self.subject.time);
        // It fails for years of more than four digits.
        time.replace_nanosecond(0).unwrap_or(time).format(&Rfc3339).unwrap_or_default()
    }
}

/// One finding, with why and fix where it is not green.
fn entry(finding: &Finding) -> String {
    let Finding { kind, severity, subject, fix } = finding;
    let mut text = format!("{:<7} {:<19} {}\n", severity.word().to_ascii_uppercase(), kind.id, one_line(subject));
    if matches!(severity, Severity::Red | Severity::Amber) {
        let _ = writeln!(text, "{:INDENT$}{}   docs/hardening.md#{}", "", kind.why, kind.point);
    }
    if let Some(fix) = fix {
        let _ = writeln!(text, "        {:<19} {}", "fix", one_line(&fix.to_string()));
    }
    text
}

/// With its hidden characters as escapes: some of it was chosen by others.
fn one_line(text: &str) -> String {
    let mut line = String::new();
    // A string takes everything.
    let _ = OneLine(&mut line).write_str(text);
    line
}

#[derive(Serialize)]
struct Document<'a> {
    host: &'a str,
    time: String,
    user: &'a str,
    findings: Vec<Entry<'a>>,
    red: usize,
    amber: usize,
    unknown: usize,
    green: usize,
}

#[derive(Serialize)]
struct Entry<'a> {
    id: &'a str,
    severity: &'a str,
    subject: &'a str,
    why: &'a str,
    point: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<FixEntry<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case", tag = "do")]
enum FixEntry<'a> {
    Run { command: &'a str },
    ReplaceLine { text: &'a str, file: String, line: usize },
    AddAfterLine { text: &'a str, file: String, line: usize },
    Append { text: &'a str, file: String },
}

impl<'a> From<&'a Finding> for Entry<'a> {
    fn from(finding: &'a Finding) -> Entry<'a> {
        let Finding { kind, severity, subject, fix } = finding;
        let fix = fix.as_ref().map(|fix| match fix {
            Fix::Command(command) => FixEntry::Run { command },
            Fix::Line { text, path, position } => {
                let file = path.display().to_string();
                match *position {
                    Position::Instead(line) => FixEntry::ReplaceLine { text, file, line },
                    Position::After(line) => FixEntry::AddAfterLine { text, file, line },
                    Position::End => FixEntry::Append { text, file },
                }
            }
        });
        let point = format!("docs/hardening.md#{}", kind.point);
        Entry { id: kind.id, severity: severity.word(), subject, why: kind.why, point, fix }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::doctor::kind;

    fn report(findings: Vec<Finding>) -> Report {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_944_612);
        Report::new(Subject { host: "redis.example".into(), time, user: "root".into() }, findings)
    }

    fn findings() -> Vec<Finding> {
        let line = |text: &str, position| Fix::Line { text: text.into(), path: "redis.conf".into(), position };
        vec![
            Finding::green(&kind::REDIS_FOUND, "redis-server[812]"),
            Finding::unknown(&kind::GATE_CONFIG, "no --config"),
            Finding::red(&kind::REDIS_OPEN, "127.0.0.1:6379\u{1b}[2J").fix(Fix::command("x")),
            Finding::red(&kind::REDIS_EXPOSED, "0.0.0.0:6379").fix(line("bind 127.0.0.1 -::1", Position::Instead(75))),
            Finding::red(&kind::REDIS_EXPOSED, "0.0.0.0:6379").fix(line("bind 127.0.0.1 -::1", Position::Instead(75))),
        ]
    }

    #[test]
    fn the_worst_comes_first_each_once_with_why_and_fix_and_greens_are_counted() {
        let text = report(findings()).text(false);
        assert_eq!(
            text,
            "redis.example · 2026-11-29T09:30:12Z · as root\n\
             RED     redis.open          127.0.0.1:6379\\u{1b}[2J\n                            it asks for no password: whoever \
             connects reads, changes and deletes everything   docs/hardening.md#4\n        fix                 x\n\
             RED     redis.exposed       0.0.0.0:6379\n                            whoever reaches this host reaches \
             Redis   docs/hardening.md#4\n        fix                 bind 127.0.0.1 -::1   # redis.conf:75\n\
             UNKNOWN gate.config         no --config\n\
             GREEN   1                   --all lists them\n\
             2 red, 0 amber, 1 unknown, 1 green\n"
        );
        assert!(report(findings()).text(true).contains("\nGREEN   redis.found         redis-server[812]\n"));
    }

    #[test]
    fn what_is_unknown_is_better_than_what_is_amber_and_worse_than_what_is_green() {
        let is_better =
            |finding: Finding| Severity::ALL.map(|severity| report(vec![finding.clone()]).is_better_than(severity));
        let kind = &kind::REDIS_OPEN;
        assert_eq!(is_better(Finding::red(kind, "")), [false, false, false, false]);
        assert_eq!(is_better(Finding::amber(kind, "")), [true, false, false, false]);
        assert_eq!(is_better(Finding::unknown(kind, "")), [true, true, false, false]);
        assert_eq!(is_better(Finding::green(kind, "")), [true, true, true, false]);
    }

    #[test]
    fn the_document_holds_everything() {
        let document: serde_json::Value = serde_json::from_str(&report(findings()).json()).unwrap();
        assert_eq!(document["time"], "2026-11-29T09:30:12Z");
        assert_eq!(document["red"], 2);
        let exposed = &document["findings"][1];
        assert_eq!(
            *exposed,
            serde_json::json!({
                "id": "redis.exposed", "severity": "red", "subject": "0.0.0.0:6379",
                "why": "whoever reaches this host reaches Redis", "point": "docs/hardening.md#4",
                "fix": {"do": "replace-line", "text": "bind 127.0.0.1 -::1", "file": "redis.conf", "line": 75},
            })
        );
    }

    #[test]
    fn a_point_is_ticked_where_all_that_belongs_to_it_is_green() {
        let checklist = report(findings()).checklist();
        assert!(checklist.contains("[x]  1. What an open Redis means\n"), "{checklist}");
        assert!(
            checklist.contains("[ ]  4. redis.conf                 red redis.open: 127.0.0.1:6379\\u{1b}"),
            "{checklist}"
        );
        assert!(
            checklist.contains("[ ]  9. Validate                   unknown gate.config: no --config\n"),
            "{checklist}"
        );
        assert!(checklist.contains("[-]  8. Firewall                   nothing that"), "{checklist}");
    }
}
