//! `respgate acl report`: who may do what, and by what, for those who have to look it over.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Deserialize;

use super::{policy_with_certificates, suggestion};
use crate::acl::{PasswordHash, SelectorDescription, User};
use crate::cli::door::print;
use crate::cli::say;
use crate::cli::table::one_line;
use crate::cli::{ConfigurationArgs, Exit};
use crate::config::{AuditTarget, Config, DEFAULT_BLOCKLIST};
use crate::files::Files;
use crate::identity::{RuleSpec, UserFrom};
use crate::policy::{Policy, UserSettings};

/// `acl report`.
#[derive(Debug, Args)]
pub struct AclReportArgs {
    /// As comma-separated values, with a heading (RFC 4180)
    #[arg(long)]
    pub csv: bool,
    /// A file of the audit log, for when each user came last; may be repeated [default: audit-file]
    #[arg(long, value_name = "FILE")]
    pub audit: Vec<PathBuf>,
    /// Where the users and everything about them come from.
    #[command(flatten)]
    pub configuration: ConfigurationArgs,
}

/// Prints what there is about each user.
pub(super) fn print_report(arguments: &AclReportArgs) -> Exit {
    let files = Files::default();
    let config = match arguments.configuration.load_rules(&files) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let policy = match policy_with_certificates(config.clone(), &files) {
        Ok(policy) => policy,
        Err(exit) => return exit,
    };
    let logins = match logins(&arguments.audit, &config) {
        Ok(logins) => logins,
        Err((path, error)) => {
            say::error(format_args!("{}: cannot read it: {error}", path.display()));
            return if error.kind() == io::ErrorKind::PermissionDenied { Exit::Permission } else { Exit::Failure };
        }
    };
    let rows: Vec<Row> = policy.acl.users().map(|user| Row::of(user, &config, &policy, logins.as_ref())).collect();
    print(&if arguments.csv { csv(&rows) } else { blocked(&config) + &text(&rows) });
    Exit::Success
}

/// What is said of one user, in the order of [`HEADINGS`].
struct Row([String; HEADINGS.len()]);

const HEADINGS: [&str; 9] =
    ["user", "state", "certificates", "passwords", "commands", "keys", "channels", "exceptions", "last login"];

const NONE: &str = "none";

impl Row {
    fn of(user: &User, config: &Config, policy: &Policy, logins: Option<&Logins>) -> Row {
        let name = user.name().as_str();
        let description = user.describe_as_given(&policy.table);
        let each = |part: fn(&SelectorDescription) -> String| {
            let selectors = std::iter::once(part(&description.root));
            let others = description.selectors.iter().enumerate();
            let others = others.map(|(at, selector)| format!("(selector {}: {})", at + 1, part(selector)));
            selectors.chain(others).collect::<Vec<_>>().join(" ")
        };
        let state = if user.is_enabled() { "on" } else { "off" };
        Row([
            name.to_owned(),
            state.to_owned(),
            list(certificates(name, config, policy)),
            passwords(user),
            each(|selector| match &selector.databases {
                None => selector.commands.clone(),
                Some(databases) => match databases.as_str() {
                    "alldbs" => selector.commands.clone(),
                    "" => format!("{} in no database", selector.commands),
                    _ => format!("{} {databases}", selector.commands),
                },
            }),
            each(|selector| lossy(&selector.keys)),
            each(|selector| lossy(&selector.channels)),
            list(exceptions(name, config, policy)),
            logins.map_or_else(|| "not known: no audit log".to_owned(), |logins| logins.of(name)),
        ])
    }
}

/// What the blocklist refuses to all who are no exception.
fn blocked(config: &Config) -> String {
    let commands = &config.block.commands;
    let is_default = commands.iter().eq(DEFAULT_BLOCKLIST.iter().map(|entry| entry.name));
    let what = match commands.as_slice() {
        [] => "nothing".to_owned(),
        _ if is_default => "what is blocked by default".to_owned(),
        commands => commands.join(" "),
    };
    format!("# Refused to all of these but the exceptions, whatever their rules: {what}\n")
}

/// The rules by which a certificate can make somebody this user.
fn certificates(name: &str, config: &Config, policy: &Policy) -> Vec<String> {
    let is_template = |rule: &RuleSpec| rule.user.contains("%{");
    let is_reserved = policy.is_reserved(name);
    let rules = config.certificates.iter().map(|rule| &rule.spec).enumerate();
    let own = rules.filter(|(at, _)| policy.certificates.may_name(*at, name));
    let own = own.map(|(_, rule)| rule).filter(|rule| !(is_reserved && is_template(rule))).map(|rule| {
        let asked = rule.fields.iter().map(|(field, values)| format!("{}={}", field.key(), values.join("|")));
        let asked: Vec<String> = asked.chain(rule.pinned.then(|| "pinned".to_owned())).collect();
        let whom = if is_template(rule) { format!(" as {}", rule.user) } else { String::new() };
        format!("{}{whom}", asked.join(" and "))
    });
    let by_itself = match config.tls_auth_clients_user {
        _ if is_reserved => None,
        UserFrom::Off => None,
        UserFrom::Cn => Some(format!("CN={name}")),
        UserFrom::Uri => Some(format!("URI={name}")),
    };
    own.chain(by_itself).collect()
}

fn passwords(user: &User) -> String {
    let count = |is_kind: fn(&PasswordHash) -> bool| user.passwords().iter().filter(|hash| is_kind(hash)).count();
    let kinds = [
        (count(|hash| matches!(hash, PasswordHash::Argon2(_))), "argon2id"),
        (count(|hash| matches!(hash, PasswordHash::Sha256(_))), "SHA-256 (fast)"),
    ];
    let nopass = user.is_nopass().then(|| "any (nopass)".to_owned());
    let kinds = kinds.into_iter().filter(|(count, _)| *count > 0).map(|(count, kind)| format!("{count} {kind}"));
    list(nopass.into_iter().chain(kinds).collect())
}

/// What holds for this user and not for others.
fn exceptions(name: &str, config: &Config, policy: &Policy) -> Vec<String> {
    let is_in = |names: &[String], word: &str| names.iter().any(|known| known == name).then(|| word.to_owned());
    let lists = [
        is_in(&config.block.exempt_users, "exempt from the blocklist"),
        is_in(&config.block.scripting_users, "may run scripts"),
    ];
    let settings = config.users.get(name).map(settings).unwrap_or_default();
    let shadow = config.users.get(name).and_then(|settings| settings.shadow);
    let shadow = shadow.filter(|_| policy.shadows.names().any(|user| user == name)).map(|shadow| {
        let what = if shadow.opens_names { "commands, keys and channels" } else { "commands" };
        format!("in shadow until {}: {what} beyond the rules are let through", suggestion::moment(shadow.until))
    });
    lists.into_iter().flatten().chain(settings).chain(shadow).collect()
}

fn settings(settings: &UserSettings) -> Vec<String> {
    let UserSettings { certificate_required, certificate_only, reauth, ignore_stray_auth, allow_from, config, .. } =
        settings;
    let named = |what: &str, names: &[String]| (!names.is_empty()).then(|| format!("{what} {}", names.join(" ")));
    let networks: Vec<String> = allow_from.iter().map(ToString::to_string).collect();
    [
        certificate_required.then(|| "password only with a certificate of this user".to_owned()),
        certificate_only.then(|| "certificate only".to_owned()),
        reauth.then(|| "may become others by password".to_owned()),
        ignore_stray_auth.map(|ignored| format!("stray passwords {}", if ignored { "ignored" } else { "refused" })),
        named("only from", &networks),
        named("CONFIG GET", &config.get),
        named("CONFIG SET", &config.set),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// When users came, as far as an audit log tells.
struct Logins {
    last: BTreeMap<String, String>,
    since: Option<String>,
}

impl Logins {
    fn of(&self, name: &str) -> String {
        let never = || match &self.since {
            Some(since) => format!("not since {since}"),
            None => "not known: the audit log is empty".to_owned(),
        };
        self.last.get(name).cloned().unwrap_or_else(never)
    }

    fn read(&mut self, path: &Path) -> io::Result<()> {
        /// What of a line says who came.
        #[derive(Deserialize)]
        struct Line {
            time: String,
            event: String,
            user: Option<String>,
            login_user: Option<String>,
        }
        let mut reader = BufReader::new(File::open(path)?);
        let mut text = Vec::new();
        while {
            text.clear();
            reader.read_until(b'\n', &mut text)?
        } > 0
        {
            // Whether it is whole is for `audit verify` to say.
            let Ok(line) = serde_json::from_slice::<Line>(&text) else { continue };
            let user = match line.event.as_str() {
                "session.started" => line.user,
                "login.accepted" => line.login_user.or(line.user),
                _ => None,
            };
            if self.since.as_ref().is_none_or(|since| line.time < *since) {
                self.since = Some(line.time.clone());
            }
            if let Some(user) = user {
                let last = self.last.entry(user).or_default();
                if *last < line.time {
                    *last = line.time;
                }
            }
        }
        Ok(())
    }
}

/// `None` where there is no audit log to read.
fn logins(named: &[PathBuf], config: &Config) -> Result<Option<Logins>, (PathBuf, io::Error)> {
    let configured = match &config.audit.target {
        Some(AuditTarget::File(path)) if named.is_empty() => std::slice::from_ref(path),
        _ => named,
    };
    if configured.is_empty() {
        return Ok(None);
    }
    let mut logins = Logins { last: BTreeMap::new(), since: None };
    for path in configured {
        logins.read(path).map_err(|error| (path.clone(), error))?;
    }
    Ok(Some(logins))
}

fn text(rows: &[Row]) -> String {
    let mut text = String::new();
    for Row(cells) in rows {
        let [user, state, rest @ ..] = cells.each_ref().map(|cell| one_line(cell));
        text.push_str(&format!("{user}  {state}\n"));
        for (heading, cell) in HEADINGS[2..].iter().zip(rest) {
            text.push_str(&format!("  {heading:<13} {}\n", if cell.is_empty() { NONE } else { &cell }));
        }
    }
    text
}

fn csv(rows: &[Row]) -> String {
    let headings = Row(HEADINGS.map(str::to_owned));
    let line = |Row(cells): &Row| cells.iter().map(|cell| quoted(cell)).collect::<Vec<_>>().join(",") + "\r\n";
    std::iter::once(&headings).chain(rows).map(line).collect()
}

/// A cell. What a spreadsheet would take for a formula has a blank before it.
fn quoted(cell: &str) -> String {
    let blank = if cell.starts_with(['=', '+', '-', '@']) { " " } else { "" };
    format!("\"{blank}{}\"", cell.replace('"', "\"\""))
}

fn list(entries: Vec<String>) -> String {
    if entries.is_empty() { NONE.to_owned() } else { entries.join("; ") }
}

fn lossy(bytes: &[u8]) -> String {
    if bytes.is_empty() { NONE.to_owned() } else { String::from_utf8_lossy(bytes).into_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_has_its_quotes_doubled_and_is_no_formula() {
        assert_eq!(quoted("a \"b\",\nc"), "\"a \"\"b\"\",\nc\"");
        assert_eq!(quoted("+@all"), "\" +@all\"");
        assert_eq!(quoted(""), "\"\"");
    }
}
