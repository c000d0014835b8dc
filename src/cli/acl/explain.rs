//! `respgate acl explain`: whether a user may run a command, and what decides that.

use std::os::unix::ffi::OsStrExt;

use super::{AclExplainArgs, policy};
use crate::acl::{AclDenial, ArgumentExplanation, Effort, SelectorExplanation, User};
use crate::audit::words;
use crate::cli::Exit;
use crate::cli::say;
use crate::command::{Access, Argv, ArgvBuf, CommandSpec};
use crate::config::Block;
use crate::files::Files;
use crate::generation::nearest_user;
use crate::policy::{Policy, Requester, SessionMode, Verdict, deciding_entry};

/// The database that a session begins with.
const DATABASE: Option<u32> = Some(0);

/// Prints the verdict on one request: exit 0 where it would be forwarded or answered, 1 where it would be refused.
pub(super) fn explain(arguments: &AclExplainArgs) -> Exit {
    let files = Files::default();
    let read = arguments.configuration.load_rules(&files).and_then(|config| {
        let block = config.block.clone();
        Ok((policy(config, &files)?, block))
    });
    let (policy, block) = match read {
        Ok(read) => read,
        Err(exit) => return exit,
    };
    let Some(user) = policy.acl.user(arguments.user.as_bytes()) else {
        let nearest = nearest_user(&arguments.user, &policy.acl);
        let hint = nearest.map(|name| format!("; did you mean {name}?")).unwrap_or_default();
        say::error(format_args!("there is no user {}{hint}", arguments.user));
        return Exit::Failure;
    };
    let argv: ArgvBuf = arguments.command.iter().map(|argument| argument.as_bytes()).collect();
    let argv = argv.as_argv();
    let (verdict, exit) = verdict(&policy, user, &argv);
    let mut lines = vec![verdict];
    if policy.shadows.names().any(|name| name == user.name().as_str()) {
        lines.push("the user is in shadow: much that the ACL refuses here is let through and recorded".to_owned());
    }
    if !user.is_enabled() {
        lines.push(format!("user {} is off and cannot log in", user.name()));
    }
    if let Ok(spec) = policy.table.resolve(&argv) {
        lines.push(format!("blocklist: {}", blocklist(&policy, &block, user, spec, &argv)));
        lines.extend(acl(&policy, user, spec, &argv));
    }
    lines.extend(user.unknown_rules().iter().map(|rule| format!("not known as long as Redis is not asked: {rule}")));
    lines.push(String::from_utf8_lossy(&user.to_line(&policy.table)).into_owned());
    lines.iter().for_each(|line| println!("{line}"));
    exit
}

fn verdict(policy: &Policy, user: &User, argv: &Argv<'_>) -> (String, Exit) {
    let effort = &Effort::default();
    let requester = Requester { user: Some(user), mode: SessionMode::default(), database: DATABASE, effort };
    match policy.decide(requester, argv) {
        Verdict::Forward(permit) => (format!("allowed: {}", permit.spec().full_name()), Exit::Success),
        Verdict::Local(local) => (format!("answered by the proxy: {}", local.spec.full_name()), Exit::Success),
        Verdict::Deny(denial) => {
            let text = policy.denial_text(&denial, Some(user), argv);
            (format!("refused ({}): {text}", words::denial(denial.reason())), Exit::Failure)
        }
    }
}

fn blocklist(policy: &Policy, block: &Block, user: &User, spec: &CommandSpec, argv: &Argv<'_>) -> String {
    let (name, command) = (user.name().as_str(), spec.full_name());
    let entry = deciding_entry(&block.commands, spec, &policy.table);
    let Some(entry) = entry.filter(|entry| !entry.starts_with('-')) else {
        return format!("does not name {command}");
    };
    let whom = if policy.blocklist.exempts(name.as_bytes()) {
        "exempt-users has this user"
    } else if !policy.blocklist.blocks(name.as_bytes(), spec) {
        "scripting-users has this user"
    } else if policy.lifts_for_parameters(user, spec, argv) {
        "config-get or config-set of this user has all parameters"
    } else {
        return format!("refuses {command}, by {entry}; no rule of the ACL changes that");
    };
    format!("names {command} by {entry}, but {whom}")
}

/// The ACL's own verdict, and under it what each selector says.
fn acl(policy: &Policy, user: &User, spec: &CommandSpec, argv: &Argv<'_>) -> Vec<String> {
    let mut lines = vec![match user.check(spec, argv, DATABASE) {
        Ok(()) => "ACL: allows it".to_owned(),
        Err(denial) => format!("ACL: refuses it: {}", reason(denial, spec, argv)),
    }];
    for (number, selector) in user.explain(&policy.table, spec, argv, DATABASE).iter().enumerate() {
        let indent = if number == 0 { "  " } else { "    " };
        if number > 0 {
            lines.push(format!("  or by the selector ({}):", String::from_utf8_lossy(&selector.rules)));
        }
        lines.extend(selector_lines(selector, spec, argv).into_iter().map(|line| format!("{indent}{line}")));
    }
    lines
}

fn reason(denial: AclDenial, spec: &CommandSpec, argv: &Argv<'_>) -> String {
    match denial {
        AclDenial::Command => format!("the user may not run {}", spec.full_name()),
        AclDenial::Key { index } => format!("no rule allows the key {}", argument(argv, index)),
        AclDenial::Channel { index } => format!("no rule allows the channel {}", argument(argv, index)),
        AclDenial::Database { index: 0 } => "the user may not use the selected database, 0".to_owned(),
        AclDenial::Database { index } => format!("the user may not use the database {}", argument(argv, index)),
        AclDenial::Unextractable => "its arguments do not tell for certain which keys it uses".to_owned(),
        AclDenial::Effort => "its keys and the user's patterns are more than one judgement may compare".to_owned(),
        AclDenial::SortBy => "BY reads keys that the request does not name, which takes ~* or %R~*".to_owned(),
        AclDenial::SortGet => "GET reads keys that the request does not name, which takes ~* or %R~*".to_owned(),
    }
}

fn selector_lines(selector: &SelectorExplanation, spec: &CommandSpec, argv: &Argv<'_>) -> Vec<String> {
    let command = spec.full_name();
    let mut lines = vec![match selector.command_rule.as_deref() {
        None => format!("command {command}: everyone may run it"),
        Some("-@all") => format!("command {command}: refused, no rule adds it"),
        Some(rule) if rule.starts_with('-') => format!("command {command}: refused by {rule}"),
        Some(rule) => format!("command {command}: allowed by {rule}"),
    }];
    lines.extend(selector.arguments.iter().map(|explained| argument_line(explained, argv)));
    if let Err(AclDenial::Database { .. }) = selector.verdict {
        lines.push(format!("database: refused by {}", selector.databases));
    }
    lines
}

fn argument_line(explained: &ArgumentExplanation, argv: &Argv<'_>) -> String {
    let name = argument(argv, explained.index);
    let (kind, used) = match explained.access {
        None => ("channel", ""),
        Some(Access::READ) => ("key", " (read)"),
        Some(Access::WRITE) => ("key", " (written)"),
        Some(Access::READ_WRITE) => ("key", " (read and written)"),
        Some(_) => ("key", ""),
    };
    let shown = |rule: &Vec<u8>| String::from_utf8_lossy(rule).into_owned();
    let decided = match (&explained.rule, explained.others.as_slice()) {
        (Some(rule), _) => format!("allowed by {}", shown(rule)),
        (None, []) => format!("refused, there is no rule about {kind}s"),
        (None, others) => format!("refused, fits none of {}", others.iter().map(shown).collect::<Vec<_>>().join(" ")),
    };
    format!("{kind} {name}{used}: {decided}")
}

/// Quoted, so that its end is seen and a terminal comes to no harm.
fn argument(argv: &Argv<'_>, index: usize) -> String {
    format!("'{}'", String::from_utf8_lossy(argv.get(index).unwrap_or_default()).escape_debug())
}
