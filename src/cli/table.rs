//! Tables on the terminal.

use std::fmt::Write;

use crate::audit::escape::OneLine;

/// Rows under each other, the first of them the headings; what clients have chosen cannot drive the terminal.
pub(super) fn aligned<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> String {
    let rows: Vec<[String; COLUMNS]> = rows.iter().map(|row| row.each_ref().map(|cell| one_line(cell))).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..COLUMNS).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// With its hidden characters as escapes.
pub(super) fn one_line(text: &str) -> String {
    let mut line = String::new();
    // A string takes everything.
    let _ = OneLine(&mut line).write_str(text);
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_each_other_and_nothing_drives_the_terminal() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned);
        let rows = [row(["a", "bb", "c"]), row(["käse", "\u{1b}[2J", ""])];
        assert_eq!(aligned(&rows), "a     bb         c\nkäse  \\u{1b}[2J\n");
    }
}
