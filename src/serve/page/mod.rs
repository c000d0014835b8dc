//! The page at the admin door: [`Status`] for people. Whatever it shows is in that document.

mod drawing;
mod tables;
mod text;

use std::sync::LazyLock;

use base64::prelude::{BASE64_STANDARD, Engine};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use self::text::{Shown, clock, span};
use super::health::Health;
use super::status::Status;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Black on white in every theme: browsers do not have it follow theirs.
const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E\
    %3Crect width='16' height='16' rx='3' fill='%23285f9e'/%3E\
    %3Cpath d='M4 12V6a4 4 0 0 1 8 0v6M8 6v6' fill='none' stroke='white' stroke-width='1.6'/%3E%3C/svg%3E";

/// The page as a whole.
pub(super) fn render(status: &Status) -> String {
    let state = State::of(status);
    let page = html! {
        (DOCTYPE)
        html lang="en" data-version=(status.version) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (state.mark()) " " (status.health) " – " (Shown(&status.host)) " – respgate" }
                link rel="icon" href=(PreEscaped(ICON));
                noscript { meta http-equiv="refresh" content="2"; }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a .skip href="#refusals" { "To what was refused" }
                p #stale role="alert" hidden {
                    "No answer since " span {} ". What stands here is old."
                }
                main { (content(status, state)) }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    page.into_string()
}

/// Its `Content-Security-Policy`: what stands in the page and nothing else, and nobody may frame it.
pub(super) fn policy() -> &'static str {
    static POLICY: LazyLock<String> = LazyLock::new(|| {
        let [style, script] = [STYLE, SCRIPT].map(|text| BASE64_STANDARD.encode(Sha256::digest(text)));
        format!(
            "default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{script}'; connect-src 'self'; \
             img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
    });
    &POLICY
}

/// How it is, as one sees from afar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Good,
    Doubtful,
    Bad,
}

impl State {
    fn of(status: &Status) -> State {
        match Health::from_word(&status.health) {
            Some(Health::Serving) if status.problems.is_empty() => State::Good,
            Some(Health::Serving | Health::Draining) => State::Doubtful,
            _ => State::Bad,
        }
    }

    fn class(self) -> &'static str {
        match self {
            State::Good => "good",
            State::Doubtful => "doubtful",
            State::Bad => "bad",
        }
    }

    /// Seen by those who see no colours, too.
    fn mark(self) -> &'static str {
        match self {
            State::Good => "✓",
            State::Doubtful => "!",
            State::Bad => "✕",
        }
    }
}

fn content(status: &Status, state: State) -> Markup {
    html! {
        header .state .(state.class()) {
            span .mark aria-hidden="true" { (state.mark()) }
            div role="status" {
                h1 { (status.health) }
                @if status.problems.is_empty() { p { "Clients are served. Nothing needs a look." } }
                @if !status.problems.is_empty() {
                    ul { @for problem in &status.problems { li { (Shown(problem)) } } }
                }
            }
            p .about {
                b { (Shown(&status.host)) } " "
                span { "respgate " (status.version) ", process " (status.pid) } " "
                span { "runs for " (span(&status.started, &status.time)) } " "
                span { "as of " (clock(&status.time)) }
            }
        }
        (drawing::drawings(status))
        (tables::refusals(status))
        (tables::users(status))
        div .pair {
            (tables::in_force(status))
            (tables::upstream(status))
        }
        (tables::expiries(status))
        footer {
            p { "Times are UTC. The same as JSON: " a href="/status" { "/status" } ", and "
                a href="/sessions" { "/sessions" } "." }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_asks_for_nothing_from_elsewhere() {
        for text in [STYLE, SCRIPT] {
            assert!(!text.contains("://") && !text.contains("@import") && !text.contains("url("), "{text}");
            // Either would end its element.
            assert!(!text.contains("</"), "{text}");
        }
        assert!(policy().starts_with("default-src 'none'; ") && !policy().contains("unsafe"), "{}", policy());
    }

    #[test]
    fn nothing_is_styled_or_run_where_the_policy_forbids_it() {
        let text = [include_str!("mod.rs"), include_str!("tables.rs"), include_str!("drawing.rs")].concat();
        let (style, handler) = (concat!("sty", "le="), concat!("on", "click"));
        assert!(!text.contains(style) && !text.contains(handler));
    }
}
