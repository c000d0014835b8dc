//! A suggestion as text: a line of an ACL file, and comments.

use time::OffsetDateTime;

use crate::cli::table::one_line;
use crate::learn::{Suggestion, Unnamed, Usage, Uses, Withheld, WithheldReason};

/// No more of one kind of comments, however much was asked for.
const MOST_COMMENTS: usize = 64;

/// Behind this stands what is meant to be copied out of a comment.
const SETTING: &str = "#     ";

/// What is learnt from `source`, where what scripts do is seen or not, and what the replay of it gave.
pub(super) fn text(suggestion: &Suggestion, usage: &Usage, source: &str, sees_scripts: bool, proof: &str) -> String {
    let Suggestion { line, withheld, .. } = suggestion;
    let mut lines = vec![format!(
        "# {}, learnt {}: {} requests, {} shapes, from {source}.",
        line.user,
        period(usage.requests),
        usage.requests.count,
        suggestion.shapes
    )];
    if !suggestion.scripts.is_empty() {
        lines.push(format!(
            "# Runs scripts ({}). In respgate.toml, added to the [block] that is there:",
            suggestion.scripts.join(" ")
        ));
        lines.extend(
            ["[block]".to_owned(), format!("scripting-users = [\"{}\"]", line.user)].map(|it| format!("{SETTING}{it}")),
        );
    }
    if !suggestion.scripts.is_empty() && !sees_scripts {
        lines.push(
            "# What those scripts do is not seen here, and takes rules of its own: --monitor sees it.".to_owned(),
        );
    }
    if !suggestion.telling.is_empty() {
        lines.push(format!("# Shows names of keys of everybody: {}.", suggestion.telling.join(" ")));
    }
    let shared = suggestion.shared.iter().map(|(rule, other)| format!("# Used by {other} as well: {rule}"));
    lines.extend(bounded(shared, "# "));
    let untold = suggestion.untold.iter().map(|(other, uses)| {
        format!("# Whether {other} uses some of these as well is not known: of {uses} uses the names are not told.")
    });
    lines.extend(bounded(untold, "# "));
    lines.extend(unused(suggestion));
    if !withheld.is_empty() {
        lines.push("# Asked for, not suggested:".to_owned());
        let (commands, mut names): (Vec<_>, Vec<_>) =
            withheld.iter().partition(|withheld| withheld.rule.starts_with('+'));
        if names.len() > MOST_COMMENTS {
            names.sort_by_key(|withheld| std::cmp::Reverse(withheld.uses.count));
        }
        lines.extend(commands.into_iter().map(withheld_line));
        lines.extend(bounded(names.into_iter().map(withheld_line), "#   "));
    }
    let said = if withheld.is_empty() { "" } else { ", each for one of those" };
    lines.push(format!("# Replayed: {proof}{said}. Each + ~ % & below is needed for some of them."));
    let comments: String = lines.iter().map(|line| format!("{}\n", one_line(line))).collect();
    format!("{comments}{}\n", line.text())
}

fn bounded(comments: impl ExactSizeIterator<Item = String>, before: &str) -> Vec<String> {
    let more = comments.len().saturating_sub(MOST_COMMENTS);
    let said = (more > 0).then(|| format!("{before}and {more} more such lines"));
    comments.take(MOST_COMMENTS).chain(said).collect()
}

fn unused(suggestion: &Suggestion) -> Option<String> {
    let (allowed, unused) = suggestion.unused_commands?;
    let places = match suggestion.unused_places.as_slice() {
        [] => String::new(),
        places => format!("; {}", places.join(" ")),
    };
    Some(format!("# Not seen of what the line in force allows: {unused} of {allowed} commands{places}"))
}

fn withheld_line(withheld: &Withheld) -> String {
    let Withheld { rule, uses, reason } = withheld;
    let times = if uses.count == 1 { "once".to_owned() } else { format!("{} times", uses.count) };
    let last = if uses.last == 0 { String::new() } else { format!(", last {}", moment(uses.last)) };
    format!("#   {rule}   {times}{last}   {}", why(reason))
}

fn why(reason: &WithheldReason) -> String {
    match reason {
        WithheldReason::Dangerous => "is in @dangerous or @admin".to_owned(),
        WithheldReason::Blocked => "is on the blocklist".to_owned(),
        WithheldReason::Open(Unnamed::Many) => {
            "names without a beginning in common: it would open those of others".to_owned()
        }
        WithheldReason::Open(Unnamed::Odd) => {
            "names that look like tokens or numbers are not told: it would open those of others".to_owned()
        }
        WithheldReason::Open(_) => {
            "names that were seen too rarely to be told: it would open those of others".to_owned()
        }
        WithheldReason::NoRoom => "more different names than are kept".to_owned(),
        WithheldReason::TooMany => "more patterns than a line should have: the others are used more".to_owned(),
        WithheldReason::Shared(other) => format!("{other} uses such names as well"),
        WithheldReason::MaybeShared(other) => {
            format!("the line in force refuses it, and not all names that {other} uses are told")
        }
        WithheldReason::UnnamedKeys => "SORT with BY or GET reads keys that it does not name".to_owned(),
        WithheldReason::UntoldKeys => "the arguments do not tell which keys are used".to_owned(),
        WithheldReason::OnlyWithOthers => "only together with what is not suggested".to_owned(),
    }
}

fn period(uses: Uses) -> String {
    match (day(uses.first), day(uses.last)) {
        (first, last) if first == last => first,
        (first, last) => format!("{first} to {last}"),
    }
}

fn day(at: u64) -> String {
    moment(at).split(' ').next().unwrap_or_default().to_owned()
}

/// In UTC.
pub(super) fn moment(at: u64) -> String {
    let time = i64::try_from(at).ok().and_then(|at| OffsetDateTime::from_unix_timestamp(at).ok());
    time.map_or_else(|| "?".to_owned(), |time| format!("{} {:02}:{:02}", time.date(), time.hour(), time.minute()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acl::UserName;
    use crate::command::{ArgvBuf, CommandTable, Dialect};
    use crate::learn::{Context, Evidence, suggest};

    #[test]
    fn whoever_asks_for_much_gets_no_more_comments_than_somebody_reads() {
        let table = CommandTable::builtin(Dialect::Redis70);
        let mut usage = Usage::new(&Evidence::of_file(None));
        for request in ["GET a", "KEYS a"] {
            let argv: ArgvBuf = request.split(' ').collect();
            usage.note(table.resolve(&argv.as_argv()).unwrap(), &argv.as_argv(), 1, false);
        }
        let context = Context { table: &table, current: None, is_blocked: &|_| false, others: &[], shares: false };
        let mut suggestion = suggest(UserName::new(b"shop").unwrap(), &usage, &context).unwrap();
        suggestion.withheld.extend((0..1000).map(|count| Withheld {
            rule: format!("~*:{count}"),
            uses: Uses { count, ..Uses::NONE },
            reason: WithheldReason::Open(Unnamed::Many),
        }));
        suggestion.untold = (0..1000).map(|n| (format!("user{n}"), 1)).collect();
        suggestion.shared = (0..1000).map(|n| (format!("~{n}"), "bank".to_owned())).collect();
        let text = text(&suggestion, &usage, "learnt", false, "2 shapes, 0 refused");
        assert!(text.lines().count() < 3 * MOST_COMMENTS + 12, "{text}");
        assert!(text.contains("#   +keys ") && text.contains("#   ~*:999 ") && !text.contains("#   ~*:9 "), "{text}");
        assert_eq!(text.matches("and 936 more such lines").count(), 3);
    }
}
