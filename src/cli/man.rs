//! `respgate man`: the manual pages, one of each subcommand.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory};
use clap_mangen::Man;

use super::say;
use super::{Cli, Exit};

/// Which pages, and where to.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Write a page of each subcommand into this folder; without it the first page goes to standard output
    #[arg(value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// Writes the pages.
pub fn man(arguments: &ManArgs) -> Exit {
    let (written, place) = match &arguments.dir {
        Some(dir) => (pages(dir), format!(" into {}", dir.display())),
        None => (first_page().and_then(|page| io::stdout().write_all(&page)), String::new()),
    };
    match written {
        Ok(()) => Exit::Success,
        Err(error) => {
            say::error(format_args!("cannot write{place}: {error}"));
            Exit::Failure
        }
    }
}

/// Writes `respgate.1`, `respgate-run.1` and so on.
fn pages(dir: &Path) -> io::Result<()> {
    clap_mangen::generate_to(Cli::command(), dir)
}

/// The page of the whole program.
fn first_page() -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    Man::new(Cli::command()).render(&mut page)?;
    Ok(page)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use clap::Command;

    use super::*;

    #[test]
    fn every_subcommand_has_its_page() {
        let dir = tempfile::tempdir().unwrap();
        pages(dir.path()).unwrap();
        let written = fs::read_dir(dir.path()).unwrap().map(|page| page.unwrap().file_name().into_string().unwrap());
        assert_eq!(written.collect::<BTreeSet<_>>(), names(&Cli::command(), "respgate"));
    }

    #[test]
    fn the_first_page_refers_to_the_others() {
        let page = String::from_utf8(first_page().unwrap()).unwrap();
        for subcommand in Cli::command().get_subcommands() {
            let name = subcommand.get_name().replace('-', "\\-");
            assert!(page.contains(&format!("respgate\\-{name}(1)")), "{name}");
        }
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        let dir = tempfile::tempdir().unwrap().path().join("gone");
        assert_eq!(man(&ManArgs { dir: Some(dir) }), Exit::Failure);
    }

    fn names(command: &Command, name: &str) -> BTreeSet<String> {
        let below = command.get_subcommands().flat_map(|sub| names(sub, &format!("{name}-{}", sub.get_name())));
        below.chain([format!("{name}.1")]).collect()
    }
}
