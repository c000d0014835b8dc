//! Texts, times and numbers on the page.

use std::fmt::Write;

use maud::{Escaper, Markup, Render, html};

use crate::audit::escape::OneLine;
use crate::serve::status::seconds_between;

/// What somebody else has written: as text, in which nothing is hidden, and that does not turn what stands around it.
pub(super) struct Shown<'a>(pub(super) &'a str);

impl Render for Shown<'_> {
    fn render_to(&self, buffer: &mut String) {
        // A string takes everything.
        let _ = OneLine(&mut Escaper::new(buffer)).write_str(self.0);
    }
}

/// A name, of which one sees where it begins and ends.
pub(super) fn name(name: &str) -> Markup {
    html! { bdi { (Shown(name)) } }
}

/// A point in time: `2026-11-03 09:12:00`.
pub(super) fn clock(time: &str) -> Markup {
    let (date, clock) = time.trim_end_matches('Z').split_once('T').unwrap_or((time, ""));
    html! { time datetime=(time) { (date) " " (clock) } }
}

/// How long it was from one time to another.
pub(super) fn span(from: &str, to: &str) -> String {
    seconds_between(from, to).map(lasting).unwrap_or_default()
}

/// How long ago something was.
pub(super) fn ago(time: &str, now: &str) -> String {
    match seconds_between(time, now) {
        Some(..=0) => "now".to_owned(),
        Some(seconds) => format!("{} ago", lasting(seconds)),
        None => String::new(),
    }
}

/// In the largest unit of which there are two.
pub(super) fn lasting(seconds: i64) -> String {
    match seconds {
        ..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", number(u64::try_from(seconds / 86_400).unwrap_or_default())),
    }
}

/// In groups of three digits.
pub(super) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            // A narrow blank at which no line ends.
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    grouped
}

/// A number of bytes, in units of 1024.
pub(super) fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["B", "KiB", "MiB", "GiB"];
    let (mut value, mut unit) = (count as f64, 0);
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let digits = usize::from(unit > 0 && value < 100.0);
    format!("{value:.digits$} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_else_has_written_is_text() {
        let hostile = "<script>alert(1)</script>\"'&\u{202e}\u{2066}\n\u{0}";
        let expected = "<bdi>&lt;script&gt;alert(1)&lt;/script&gt;&quot;'&amp;\\u{202e}\\u{2066}\\n\\u{0}</bdi>";
        assert_eq!(name(hostile).into_string(), expected);
    }

    #[test]
    fn numbers_are_as_one_reads_them() {
        assert_eq!([0, 999, 1000, 1_234_567].map(number), ["0", "999", "1\u{202f}000", "1\u{202f}234\u{202f}567"]);
        assert_eq!([0, 1023, 1024, 1 << 30].map(bytes), ["0 B", "1023 B", "1.0 KiB", "1.0 GiB"]);
        assert_eq!([5, 119, 120, 7_200, 172_800].map(lasting), ["5 s", "119 s", "2 min", "2 h", "2 days"]);
        assert_eq!(ago("2026-11-03T09:12:00Z", "2026-11-03T09:12:03Z"), "3 s ago");
        assert_eq!(ago("", "2026-11-03T09:12:03Z"), "");
    }
}
