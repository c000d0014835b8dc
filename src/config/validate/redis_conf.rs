//! The redis.conf of the upstream, with all that it includes: what Redis calls its commands.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::judge::Judge;
use crate::config::error::{ConfigError, Place, Spot};
use crate::config::mistaken::mistaken;
use crate::config::redis_conf::{self, Directive, Line, LineFault, RedisConfLine, RedisConfText};
use crate::config::setting::Setting;
use crate::files::{Content, Files};

/// No redis.conf is longer; a device or a log given by mistake must not fill the memory.
const MAX_FILE: usize = 4 << 20;
/// More are no configuration but an accident, such as two files that each include all the others twice.
const MAX_FILES: usize = 256;

/// What a redis.conf comes to.
#[derive(Default)]
struct RedisConf {
    renames: Vec<RenamedCommand>,
    /// Every line that sets something, in the order in which Redis reads them.
    lines: Vec<RedisConfLine>,
    /// It, and what it includes.
    files: Vec<PathBuf>,
}

/// A command under another name. No `Debug`: that name is meant to stay unknown.
pub(super) struct RenamedCommand {
    pub(super) original: String,
    /// Empty where it is disabled. Redis takes any bytes.
    pub(super) name: Vec<u8>,
    /// The line that gave it this name.
    pub(super) place: Place,
}

/// Reads a redis.conf, and what it includes, for those who look at it: who else may change it is not asked.
pub fn redis_conf(path: &Path, files: &Files) -> RedisConfText {
    let mut reading = Reading { judges_permissions: false, ..Reading::of(files) };
    match contents(path, files) {
        Ok(content) => reading.read(vec![(path.to_owned(), content)]),
        Err(error) => reading.errors.push(ConfigError::unreadable(Place::Whole, path, &error)),
    }
    let RedisConf { renames, lines, .. } = reading.found;
    let renames = renames.into_iter().map(|RenamedCommand { original, name, .. }| (original, name)).collect();
    RedisConfText { lines, renames, errors: reading.errors }
}

impl Judge<'_> {
    /// Reads a redis.conf as Redis does when it starts.
    pub(super) fn redis_conf(&mut self, setting: Setting) -> Vec<RenamedCommand> {
        let origin = setting.origin.clone();
        let Some(path) = self.path(Some(setting)) else { return Vec::new() };
        let mut reading = Reading::of(self.files);
        match contents(&path, self.files) {
            Ok(content) => {
                if let Some(fault) = content.permissions.changeable() {
                    self.permission_error(&origin, fault);
                }
                reading.read(vec![(path, content)]);
            }
            Err(error) => self.unreadable(&origin, &path, &error),
        }
        if reading.errors.is_empty() && reading.found.renames.is_empty() && !reading.found.files.is_empty() {
            self.warn(&origin, "no rename-command is in it, and nothing else is read from it");
        }
        self.errors.append(&mut reading.errors);
        self.sources.extend(reading.found.files);
        reading.found.renames
    }
}

struct Reading<'a> {
    files: &'a Files,
    found: RedisConf,
    /// The files that are being read, each included by the one before, as the system names them.
    open: Vec<PathBuf>,
    /// Where relative paths start, once `dir` has said so.
    directory: Option<PathBuf>,
    /// Whether it is an error that others may change a file.
    judges_permissions: bool,
    errors: Vec<ConfigError>,
}

impl<'a> Reading<'a> {
    fn of(files: &'a Files) -> Reading<'a> {
        let found = RedisConf::default();
        Reading { files, found, open: Vec::new(), directory: None, judges_permissions: true, errors: Vec::new() }
    }

    /// Reads files as one text.
    fn read(&mut self, files: Vec<(PathBuf, Arc<Content>)>) {
        let depth = self.open.len();
        let mut sound = Vec::new();
        for (path, content) in &files {
            let text = content.bytes.as_slice();
            let canonical = fs::canonicalize(path).unwrap_or_else(|_| path.clone());
            self.open.push(canonical);
            self.found.files.push(path.clone());
            match mistaken(text) {
                Some(mistaken) => {
                    let place = Place::Named(path.display().to_string());
                    self.errors.push(ConfigError::new(place, format!("{mistaken}, and no redis.conf")));
                }
                None => sound.push((path.as_path(), text)),
            }
        }
        for line in redis_conf::lines(sound) {
            self.found.lines.extend(line.setting());
            match redis_conf::directive(&line.content) {
                Ok(Directive::Rename { original, name }) => self.rename(&line, &original, name),
                Ok(Directive::Include(path)) => self.include(&line, &path),
                Ok(Directive::Directory(path)) => {
                    let path = PathBuf::from(OsString::from_vec(path));
                    self.directory = self.resolve(&path);
                }
                Ok(Directive::Other) => {}
                Err(fault) => {
                    self.error(&line, fault.to_string());
                    // The rest of another kind of file is of no interest.
                    if fault == LineFault::NoDirective {
                        break;
                    }
                }
            }
        }
        self.open.truncate(depth);
    }

    /// Looks the command up by the name that it has by now, as Redis does.
    fn rename(&mut self, line: &Line, original: &[u8], name: Vec<u8>) {
        let place = spot(line);
        let renames = &mut self.found.renames;
        let by_new_name = |known: &&mut RenamedCommand| known.name.eq_ignore_ascii_case(original);
        if let Some(known) = renames.iter_mut().filter(|known| !known.name.is_empty()).find(by_new_name) {
            (known.name, known.place) = (name, place);
            return;
        }
        let original = String::from_utf8_lossy(original).to_ascii_uppercase();
        if renames.iter().any(|known| known.original == original) {
            self.error(line, format!("{original} is renamed before: Redis does not know it by this name any more"));
        } else {
            renames.push(RenamedCommand { original, name, place });
        }
    }

    /// Reads what a path or a pattern names. What is not there is an error, unless it is a pattern.
    fn include(&mut self, line: &Line, path: &[u8]) {
        let path = Path::new(OsStr::from_bytes(path));
        let Some(resolved) = self.resolve(path) else {
            let words = "a relative path starts in the directory where Redis was started, which is not known here: write \
                         the whole path, or `dir` with a whole path before it";
            self.error(line, format!("include {}: {words}", path.display()));
            return;
        };
        let paths = if is_pattern(path.as_os_str().as_bytes()) {
            match matches(self.directory.as_deref(), path) {
                Ok(paths) => paths,
                Err(why) => return self.error(line, format!("include {}: {why}", path.display())),
            }
        } else {
            vec![resolved]
        };
        let mut files = Vec::new();
        for path in paths {
            let canonical = fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
            if self.open.contains(&canonical) {
                self.error(line, format!("include {}: it includes itself", path.display()));
                continue;
            }
            if self.found.files.len() + files.len() >= MAX_FILES {
                return self.error(line, format!("more than {MAX_FILES} files are included"));
            }
            match contents(&path, self.files) {
                Ok(content) => {
                    let fault = content.permissions.changeable().filter(|_| self.judges_permissions);
                    self.errors.extend(fault.map(|fault| ConfigError::permission(spot(line), fault)));
                    files.push((path, content));
                }
                // Redis opens a directory, and reads nothing from it.
                Err(error) if error.kind() == io::ErrorKind::IsADirectory => {}
                Err(error) => self.errors.push(ConfigError::unreadable(spot(line), &path, &error)),
            }
        }
        self.read(files);
    }

    fn resolve(&self, path: &Path) -> Option<PathBuf> {
        match &self.directory {
            _ if path.is_absolute() => Some(path.to_owned()),
            Some(directory) => Some(directory.join(path)),
            None => None,
        }
    }

    fn error(&mut self, line: &Line, message: String) {
        self.errors.push(ConfigError::new(spot(line), message));
    }
}

fn spot(line: &Line) -> Place {
    Place::Spot(Spot { path: line.path.clone(), line: line.number, column: 1, excerpt: None })
}

fn contents(path: &Path, files: &Files) -> io::Result<Arc<Content>> {
    let content = files.read(path)?;
    if content.bytes.len() > MAX_FILE {
        return Err(io::Error::other("it is longer than any redis.conf"));
    }
    Ok(content)
}

fn is_pattern(path: &[u8]) -> bool {
    path.iter().any(|byte| b"*?[".contains(byte))
}

/// The paths that a pattern names, in their order; of glob(3), `*` and `?`.
fn matches(directory: Option<&Path>, pattern: &Path) -> Result<Vec<PathBuf>, String> {
    if pattern.as_os_str().as_bytes().iter().any(|byte| b"[\\".contains(byte)) {
        return Err("of patterns, only * and ? are understood here: include the files one by one".to_owned());
    }
    let mut paths = vec![directory.unwrap_or(Path::new("/")).to_owned()];
    for component in pattern.components() {
        paths = match component {
            Component::Normal(name) if is_pattern(name.as_bytes()) => {
                let mut found = Vec::new();
                for path in &paths {
                    let names = names(path, name.as_bytes())
                        .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
                    found.extend(names.iter().map(|name| path.join(name)));
                }
                found
            }
            other => paths.iter().map(|path| path.join(other)).collect(),
        };
    }
    paths.retain(|path| path.symlink_metadata().is_ok());
    Ok(paths)
}

/// What in a directory fits a pattern; nothing where there is no directory.
fn names(directory: &Path, pattern: &[u8]) -> io::Result<Vec<OsString>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(error),
    };
    let mut names = entries.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?;
    let is_hidden = |name: &[u8]| name.starts_with(b".") && !pattern.starts_with(b".");
    names.retain(|name| !is_hidden(name.as_bytes()) && fits(name.as_bytes(), pattern));
    names.sort();
    Ok(names)
}

fn fits(name: &[u8], pattern: &[u8]) -> bool {
    match (pattern, name) {
        ([], name) => name.is_empty(),
        ([b'*', rest @ ..], name) => (0..=name.len()).any(|from| fits(&name[from..], rest)),
        ([b'?', rest @ ..], [_, name @ ..]) => fits(name, rest),
        ([byte, rest @ ..], [first, name @ ..]) => byte == first && fits(name, rest),
        (_, []) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// Debian's /etc/redis belongs to the group redis, mode 2770.
    #[test]
    fn who_else_may_change_it_is_no_fault_of_a_file_that_is_only_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        let [conf, more] = ["redis.conf", "more.conf"].map(|name| folder.path().join(name));
        fs::write(&conf, format!("include {}\n", more.display())).unwrap();
        fs::write(&more, "port 7001\n").unwrap();
        fs::set_permissions(&more, fs::Permissions::from_mode(0o666)).unwrap();
        let text = redis_conf(&conf, &Files::default());
        assert_eq!((text.errors.len(), text.lines.len()), (0, 2), "{:?}", text.errors);
    }

    #[test]
    fn patterns_know_stars_and_question_marks() {
        for (name, pattern) in [("a.conf", "*.conf"), ("a.conf", "?.c*f"), (".conf", "*.conf"), ("", "*"), ("a*", "a*")]
        {
            assert!(fits(name.as_bytes(), pattern.as_bytes()), "{name} {pattern}");
        }
        for (name, pattern) in [("a.conf~", "*.conf"), ("ab.conf", "?.conf"), ("", "?"), ("a", "b"), ("a", "")] {
            assert!(!fits(name.as_bytes(), pattern.as_bytes()), "{name} {pattern}");
        }
    }
}
