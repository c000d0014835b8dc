//! The tables of the page. On a narrow screen a row is a block, whose cells say themselves what they are.

use maud::{Markup, html};

use super::text::{Shown, ago, bytes, clock, lasting, name, number};
use crate::serve::status::{ExpiryStatus, RefusalStatus, Status, UserStatus, seconds_between};

/// So long something is of just now, in seconds.
const FRESH: i64 = 60;

/// What was refused, with what says more.
pub(super) fn refusals(status: &Status) -> Markup {
    let columns = [("Last", ""), ("Times", "number"), ("User", ""), ("From", ""), ("What and why", "")];
    let rows = html! {
        @for refusal in &status.refusals {
            tr .fresh[is_fresh(refusal, &status.time)] role="row" {
                td role="cell" data-label="Last" .when {
                    b { (ago(&refusal.time, &status.time)) } " " (clock(&refusal.time))
                }
                td role="cell" data-label="Times" .number { (number(refusal.count)) span .sign aria-hidden="true" { " ×" } }
                td role="cell" data-label="User" { (user_of(refusal)) }
                td role="cell" data-label="From" .from { (Shown(&refusal.client)) }
                td role="cell" data-label="What and why" { (what(refusal)) }
            }
        }
    };
    let hint =
        "The last of each user, network, command and reason. The commands that say more run where respgate does.";
    section("refusals", "Refused", hint, &columns, status.refusals.len(), "Nothing was refused since the start.", &rows)
}

fn is_fresh(refusal: &RefusalStatus, now: &str) -> bool {
    seconds_between(&refusal.time, now).is_some_and(|seconds| seconds < FRESH)
}

fn user_of(refusal: &RefusalStatus) -> Markup {
    html! {
        @match &refusal.user {
            Some(user) => (name(user)),
            None => span .none { "nobody" },
        }
    }
}

fn what(refusal: &RefusalStatus) -> Markup {
    let RefusalStatus { event, command, reason, login_user, certificate, explain, .. } = refusal;
    html! {
        p {
            @if let Some(kind) = event.split('.').next().filter(|kind| *kind != "request") { (kind) " " }
            @if let Some(command) = command { b { (Shown(&command.replace('|', " "))) } " " }
            @if let Some(user) = login_user { "as " b { (name(user)) } " " }
            @match reason {
                Some(reason) => span .reason { (reason) },
                None => span .reason { "not whom its certificate names" },
            }
            @if let Some(shown) = certificate {
                " " span .shown { (name(&shown.subject)) ", serial " (Shown(&shown.serial)) }
            }
        }
        @if let Some(explain) = explain {
            // A line ends between words, not at their hyphens.
            code { @for word in explain.split(' ') { span { (Shown(word)) } " " } }
        }
    }
}

/// Who is here, or was.
pub(super) fn users(status: &Status) -> Markup {
    let columns =
        [("User", ""), ("Sessions", "number"), ("Requests", "number"), ("Refused", "number"), ("Last login", "when")];
    let mut users: Vec<&UserStatus> = status.users.iter().collect();
    // Blanks are in no name of a user: those stand for others.
    users.sort_by_key(|user| (user.name.contains(' '), &user.name));
    let rows = html! {
        @for user in users {
            tr role="row" {
                th role="rowheader" scope="row" {
                    @if user.name.contains(' ') { span .none { (user.name) } } @else { (name(&user.name)) }
                }
                td role="cell" data-label="Sessions" .number { (number(user.sessions)) }
                td role="cell" data-label="Requests" .number { (number(user.requests)) }
                td role="cell" data-label="Refused" .number .zero[user.refused == 0] { (number(user.refused)) }
                td role="cell" data-label="Last login" .when {
                    @if let Some(login) = &user.last_login { b { (ago(login, &status.time)) } " " (clock(login)) }
                }
            }
        }
    };
    let hint = "Since the start. Refused are mere mistakes, too.";
    section("users", "Users", hint, &columns, status.users.len(), "Nobody was here since the start.", &rows)
}

/// Certificates and CRLs by when they end.
pub(super) fn expiries(status: &Status) -> Markup {
    let columns = [("File", ""), ("What", ""), ("Ends", "when"), ("Left", "number")];
    let rows = html! {
        @for expiry in &status.expiries {
            @let left = seconds_between(&status.time, &expiry.ends);
            tr role="row" {
                th role="rowheader" scope="row" { (name(&expiry.file)) }
                td role="cell" data-label="What" { (kind_of(expiry)) }
                td role="cell" data-label="Ends" .when { (clock(&expiry.ends)) }
                td role="cell" data-label="Left" .number {
                    @match left {
                        Some(..=0) => b .bad { "✕ over" },
                        Some(left) if is_named(status, expiry) => b .doubtful { "! " (lasting(left)) },
                        Some(left) => (lasting(left)),
                        None => {},
                    }
                }
            }
        }
    };
    let hint = "The first end in each file.";
    section("ends", "Certificates and CRLs", hint, &columns, status.expiries.len(), "There are none.", &rows)
}

/// Whether it is among the problems.
fn is_named(status: &Status, expiry: &ExpiryStatus) -> bool {
    let of = format!(" of {} ends in ", expiry.file);
    status.problems.iter().any(|problem| problem.contains(&of))
}

fn kind_of(expiry: &ExpiryStatus) -> &str {
    match expiry.kind.as_str() {
        "server" => "the server's certificate",
        "server-ca" => "CA of the server's certificate",
        "client-ca" => "CA of clients",
        "crl" => "CRL",
        other => other,
    }
}

/// What decides, and how it came there.
pub(super) fn in_force(status: &Status) -> Markup {
    let reloads = &status.reloads;
    html! {
        section aria-labelledby="in-force" {
            h2 id="in-force" { "In force" }
            dl {
                dt { "Generation" } dd { (number(status.generation.number)) }
                dt { "Loaded" } dd { (clock(&status.generation.since)) ", " (ago(&status.generation.since, &status.time)) }
                dt { "Failed reloads" } dd { (number(reloads.failed)) }
                @if let Some(failure) = &reloads.last_failure {
                    dt { "Last failure" }
                    dd {
                        @if failure.is_mended { "mended" } @else { b .bad { "✕ not mended" } }
                        ", " (clock(&failure.time)) ", by " (failure.cause)
                    }
                }
                dt { "Connections" } dd { (number(status.connections as u64)) }
                dt { "Memory held" } dd { (bytes(status.memory.held_bytes)) " of " (bytes(status.memory.limit_bytes)) }
            }
            @if let Some(failure) = &reloads.last_failure {
                div .problems .mended[failure.is_mended] tabindex="0" role="region" aria-label="What was wrong" {
                    @for line in failure.problems.iter().flat_map(|problem| problem.lines()) { pre { (Shown(line)) } }
                }
            }
        }
    }
}

/// How Redis is.
pub(super) fn upstream(status: &Status) -> Markup {
    let upstream = &status.upstream;
    html! {
        section aria-labelledby="upstream" {
            h2 id="upstream" { "Redis" }
            dl {
                dt { "State" }
                dd {
                    @if !upstream.is_up { b .bad { "✕ away" } }
                    @else if upstream.is_loading { b .doubtful { "! loads its data" } }
                    @else { "✓ answers" }
                }
                dt { "Where" } dd .from { (Shown(&upstream.address)) }
                @if let Some(said) = &upstream.said {
                    dt { "Version" } dd { (Shown(&said.server)) " " (Shown(&said.version)) }
                    dt { "Runs for" } dd { (lasting(i64::try_from(said.uptime_seconds).unwrap_or_default())) }
                    dt { "Its clients" } dd { (number(said.connected_clients)) }
                    dt { "Its memory" }
                    dd {
                        (bytes(said.memory_used_bytes))
                        @if said.memory_max_bytes > 0 { " of " (bytes(said.memory_max_bytes)) }
                    }
                }
                dt { "Times lost" } dd { (number(upstream.times_lost)) }
                @if let Some(failure) = &upstream.last_failure {
                    dt { "Last away" }
                    dd { (clock(&failure.time)) ": " (Shown(&failure.error)) }
                }
            }
        }
    }
}

/// A table under its heading, or the words that there is nothing.
fn section(
    id: &str,
    title: &str,
    hint: &str,
    columns: &[(&str, &str)],
    rows: usize,
    nothing: &str,
    body: &Markup,
) -> Markup {
    html! {
        section id=(id) tabindex="-1" aria-labelledby={ (id) "-title" } {
            h2 id={ (id) "-title" } { (title) @if rows > 0 { " " span .count { (rows) } } }
            @if rows == 0 { p .nothing { (nothing) } }
            @else {
                table role="table" aria-labelledby={ (id) "-title" } {
                    caption { (hint) }
                    thead role="rowgroup" {
                        tr role="row" {
                            @for (column, class) in columns {
                                th role="columnheader" scope="col" class=(class) { (column) }
                            }
                        }
                    }
                    tbody role="rowgroup" { (body) }
                }
            }
        }
    }
}
