//! The file: global options, then sections, one option a line.

use std::fmt;
use std::path::{Path, PathBuf};

/// A stunnel.conf with all that it includes.
#[derive(Clone, Debug, Default)]
pub struct Conf {
    /// Before the first section. Of these, options of a service are what every section has that does not say otherwise.
    pub global: Vec<ConfLine>,
    /// The sections by name.
    pub services: Vec<(String, Vec<ConfLine>)>,
}

/// An option.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfLine {
    /// The file.
    pub path: PathBuf,
    /// Its line, from 1.
    pub number: usize,
    /// The option's name as it is written; stunnel does not tell capitals apart.
    pub name: String,
    /// What it is set to.
    pub value: String,
}

/// What stunnel would not read either.
#[derive(Debug)]
pub struct ConfError {
    path: PathBuf,
    number: usize,
    what: String,
}

impl fmt::Display for ConfError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number {
            0 => write!(f, "{}: {}", self.path.display(), self.what),
            number => write!(f, "{}:{number}: {}", self.path.display(), self.what),
        }
    }
}

impl ConfLine {
    /// Whether it sets this option.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

impl Conf {
    /// Reads the file at `path` and, where `include` names a folder, the files of it in the order of their names. `read` gives a
    /// file's text, `list` the files of a folder.
    ///
    /// # Errors
    /// A file or folder cannot be read, or a line is neither option, section nor comment.
    pub fn read(
        path: &Path,
        read: &dyn Fn(&Path) -> Result<String, String>,
        list: &dyn Fn(&Path) -> Result<Vec<PathBuf>, String>,
    ) -> Result<Conf, ConfError> {
        let mut conf = Conf::default();
        conf.add(path, read, list, true)?;
        Ok(conf)
    }

    fn add(
        &mut self,
        path: &Path,
        read: &dyn Fn(&Path) -> Result<String, String>,
        list: &dyn Fn(&Path) -> Result<Vec<PathBuf>, String>,
        may_include: bool,
    ) -> Result<(), ConfError> {
        let error = |number, what| ConfError { path: path.to_owned(), number, what };
        let text = read(path).map_err(|what| error(0, what))?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        for (number, line) in (1..).zip(text.lines().map(str::trim)) {
            if line.is_empty() || line.starts_with([';', '#']) {
                continue;
            }
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                self.services.push((name.to_owned(), Vec::new()));
                continue;
            }
            let Some((name, value)) = line.split_once('=') else {
                return Err(error(number, format!("no \"name = value\", [section] or comment: {line:?}")));
            };
            let (name, value) = (name.trim().to_owned(), value.trim().to_owned());
            if name.eq_ignore_ascii_case("include") {
                if !may_include {
                    return Err(error(number, "include within an included file".to_owned()));
                }
                let mut files = list(Path::new(&value)).map_err(|what| error(number, format!("{value}: {what}")))?;
                files.sort();
                files.iter().try_for_each(|file| self.add(file, read, list, false))?;
                continue;
            }
            let line = ConfLine { path: path.to_owned(), number, name, value };
            match self.services.last_mut() {
                Some((_, lines)) => lines.push(line),
                None => self.global.push(line),
            }
        }
        Ok(())
    }
}
