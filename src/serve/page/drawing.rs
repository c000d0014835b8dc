//! Small drawings of the last quarter of an hour.

use std::fmt::Write;

use maud::{Markup, html};

use super::text::number;
use crate::serve::history::INTERVALS;
use crate::serve::status::Status;

/// How high a drawing is, in its own units; it is as wide as there are intervals.
const HEIGHT: f64 = 30.0;

pub(super) fn drawings(status: &Status) -> Markup {
    let history = &status.history;
    let seconds = history.interval_seconds.max(1);
    let rate = |count: u64| match count as f64 / seconds as f64 {
        rate if rate > 0.0 && rate < 10.0 => format!("{rate:.1}"),
        rate => number(rate.round() as u64),
    };
    let most = |values: &[u64]| values.iter().copied().max().unwrap_or_default();
    let latest = |values: &[u64]| values.last().copied().unwrap_or_default();
    // Of the running interval one cannot say how many there will be.
    let requests = history.requests.split_last().map_or(&[][..], |(_, ended)| ended);
    let sessions = status.users.iter().map(|user| user.sessions).sum();
    let refused: u64 = history.refusals.iter().sum();
    html! {
        section .drawings aria-label="The last 15 minutes" {
            (figure(
                "Requests",
                &format!("{}/s", rate(latest(requests))),
                &format!("at most {}/s", rate(most(requests))),
                &line(requests),
                "requests",
            ))
            (figure(
                "Refused in 15 min",
                &number(refused),
                &format!("at most {} in {seconds} s", number(most(&history.refusals))),
                &bars(&history.refusals),
                "refused",
            ))
            (figure(
                "Sessions",
                &number(sessions),
                &format!("at most {}", number(most(&history.sessions))),
                &line(&history.sessions),
                "sessions",
            ))
        }
    }
}

fn figure(title: &str, value: &str, most: &str, path: &str, class: &str) -> Markup {
    html! {
        figure {
            figcaption { span { (title) } b { (value) } }
            svg .(class) viewBox={ "0 0 " (INTERVALS) " " (HEIGHT) } preserveAspectRatio="none" role="img"
                aria-label={ (title) " in the last 15 minutes: " (value) ", " (most) } {
                path d=(path) {}
            }
            p .scale aria-hidden="true" { span { "15 min ago" } span { (most) } span { "now" } }
        }
    }
}

/// Each value with its place, counted from now, and its height.
fn points(values: &[u64]) -> impl Iterator<Item = (usize, f64)> {
    let most = values.iter().copied().max().unwrap_or_default().max(1) as f64;
    let first = INTERVALS.saturating_sub(values.len());
    values.iter().enumerate().map(move |(place, value)| (first + place, *value as f64 / most * (HEIGHT - 2.0)))
}

/// An outline with what is under it.
fn line(values: &[u64]) -> String {
    let mut path = String::new();
    for (x, height) in points(values) {
        let begin = if path.is_empty() { format!("M{x} {HEIGHT}") } else { String::new() };
        // A string takes everything.
        let _ = write!(path, "{begin}V{:.1}H{}", HEIGHT - height, x + 1);
    }
    if !path.is_empty() {
        let _ = write!(path, "V{HEIGHT}");
    }
    path
}

/// A bar for each value that is not nothing.
fn bars(values: &[u64]) -> String {
    let mut path = String::new();
    for (x, height) in points(values).filter(|(_, height)| *height > 0.0) {
        let _ = write!(path, "M{x}.1 {HEIGHT}v-{:.1}h.8V{HEIGHT}z", height.max(1.5));
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawing_ends_now_and_is_as_high_as_its_most() {
        assert_eq!(line(&[]), "");
        assert_eq!(line(&[0, 4, 2]), "M87 30V30.0H88V2.0H89V16.0H90V30");
        assert_eq!(bars(&[0, 0, 3]), "M89.1 30v-28.0h.8V30z");
        assert_eq!(bars(&[0; INTERVALS]), "");
        assert!(line(&[u64::MAX; INTERVALS]).starts_with("M0 30V2.0H1"));
    }
}
