//! `respgate check --stunnel-conf`: what a stunnel.conf means here.

use std::path::Path;

use super::Exit;
use super::say;
use crate::stunnel::{self, Translation};

/// Prints what becomes of each line, then the files that do the same.
pub(super) fn check(path: &Path) -> Exit {
    let conf = match stunnel::read(path) {
        Ok(conf) => conf,
        Err(error) => {
            say::error(error);
            return Exit::Configuration;
        }
    };
    let translation = stunnel::translate(&conf, &stunnel::pinned);
    print!("{}", shown(&translation));
    if translation.is_complete() { Exit::Success } else { Exit::Failure }
}

fn shown(translation: &Translation) -> String {
    let width = |column: fn(&stunnel::Told) -> &str| {
        translation.told.iter().map(|told| column(told).chars().count()).max().unwrap_or_default()
    };
    let (places, texts) = (width(|told| &told.place), width(|told| &told.text).min(LONGEST));
    let mut shown = String::new();
    for told in &translation.told {
        shown.push_str(&format!("{:places$}  {:texts$}  {}\n", told.place, told.text, told.became));
    }
    for note in &translation.notes {
        shown.push_str(&format!("note: {note}\n"));
    }
    shown.push_str(&format!("\n# respgate.toml\n{}", translation.settings));
    if let Some(users) = &translation.users {
        shown.push_str(&format!("\n# users.acl\n{users}"));
    }
    shown
}

/// Characters to which the second column is filled up.
const LONGEST: usize = 44;
