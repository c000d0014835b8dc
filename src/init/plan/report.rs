//! What is said.

use std::path::Path;

use super::redis::{Change, Cutover};
use super::{Plan, Step};

impl Plan {
    /// What was read and written, and what is to be done now. `end` is the day on which certificates end.
    pub fn report(&self, folder: &Path, end: &str) -> String {
        let mut text = self.cutover.as_ref().map(read).unwrap_or_default();
        text += &self.wrote(folder, end);
        text += "check  ok\n";
        let mut heading = "note   ";
        for note in &self.notes {
            text += &format!("{heading}{note}\n");
            heading = INDENT;
        }
        text + "next   line by line; next.txt has them as well\n" + &self.next()
    }

    /// The lines to paste; what is no command is a comment.
    pub(super) fn next(&self) -> String {
        let step = |(number, Step { title, lines }): (usize, &Step)| {
            let lines: String = lines.iter().map(|line| format!("{INDENT}{line}\n")).collect();
            format!("{INDENT}# {}. {title}\n{lines}", number + 1)
        };
        self.next.iter().enumerate().map(step).collect()
    }

    fn wrote(&self, folder: &Path, end: &str) -> String {
        let mut rows: Vec<(String, String)> = Vec::new();
        for top in ["etc", "config", "tls", "redis", "deploy", "firewall"] {
            let made_later: &[&str] = if top == self.tls_folder { &MADE_LATER } else { &[] };
            let planned = self.files.iter().filter_map(|file| file.path.strip_prefix(top).ok());
            let names = planned.map(|name| name.display().to_string());
            let names: Vec<String> = names.chain(made_later.iter().map(|name| (*name).to_owned())).collect();
            if !names.is_empty() {
                rows.push((format!("{top}/"), names.join(" ")));
            }
        }
        rows.extend(self.clients.iter().map(|(name, about)| (format!("clients/{name}/"), about.clone())));
        rows.push(("pki/".to_owned(), format!("ca.key: move it off this host; certificates end on {end}")));
        let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
        let rows: String = rows.iter().map(|(name, what)| format!("{INDENT}{name:<width$} {what}\n")).collect();
        format!("wrote  {}\n{rows}", folder.display())
    }
}

/// Certificates and keys, which are in no plan.
const MADE_LATER: [&str; 4] = ["server.crt", "server.key", "ca.crt", "ca.crl"];

/// Beside a heading.
const INDENT: &str = "       ";

fn read(cutover: &Cutover) -> String {
    let mut text = format!("read   {}\n", cutover.conf.display());
    let width = |of: fn(&Change) -> usize| cutover.changes.iter().map(of).max().unwrap_or_default();
    let (line_width, becomes_width) =
        (width(|change| change.line.chars().count()), width(|change| change.becomes.chars().count()));
    let mut path = &cutover.conf;
    for change in &cutover.changes {
        if change.path != *path {
            path = &change.path;
            text += &format!("{INDENT}{}\n", path.display());
        }
        let number = if change.number == 0 { "-".to_owned() } else { format!(":{}", change.number) };
        let Change { line, becomes, step, .. } = change;
        let row = format!("  {number:<5} {line:<line_width$} -> {becomes:<becomes_width$} {step}");
        text += &format!("{}\n", row.trim_end());
    }
    for remark in &cutover.remarks {
        text += &format!("  !     {remark}\n");
    }
    text
}
