//! Which content of the watched files takes effect, and when. The time is passed in.
//!
//! A file that is written in place is half written for a while, and half a file may give rights that no version of it
//! ever gave. So where half a file can be read as a whole one, content takes effect only once it has settled.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::part::Part;
use crate::config::FileKind;
use crate::files::{Content, Digest, Files};

/// How long content has to stay the same. A little less than the default `reload-interval`: two looks in a row are it.
const QUIET: Duration = Duration::from_millis(150);

/// The same where it looks like the beginning of something longer.
const QUIET_BEGINNING: Duration = Duration::from_secs(2);

/// How long a file may go without settling before somebody is told.
const PATIENCE: Duration = Duration::from_secs(5);

/// All watched files.
pub struct Watch {
    files: BTreeMap<(PathBuf, FileKind), Watched>,
    /// Counts the looks.
    looks: u64,
}

/// What has come of one look at all of them.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Files with content that is to take effect now.
    pub news: BTreeSet<PathBuf>,
    /// Files whose content has to stay as it is for a while before it takes effect.
    pub unsettled: BTreeSet<PathBuf>,
    /// Those of them that have been so for too long. Each is told of once.
    pub overdue: Vec<PathBuf>,
}

impl Watch {
    /// Watches these files. What `files` has read of them is in force.
    pub fn new(watched: BTreeSet<(PathBuf, FileKind)>, files: &Files) -> Watch {
        let mut watch = Watch { files: BTreeMap::new(), looks: 0 };
        watch.follow(watched, files);
        watch
    }

    /// Looks at every file, as `files` have been read in this time: what was seen was so at its end at the latest, and what
    /// is seen again, at its beginning at the earliest.
    pub fn look(&mut self, files: &Files, time: (Instant, Instant)) -> Look {
        self.looks += 1;
        self.look_further(files, time)
    }

    /// The same again, as part of the last look: these files have been read because of what that has shown.
    pub fn look_further(&mut self, files: &Files, (began, ended): (Instant, Instant)) -> Look {
        let mut look = Look::default();
        // As in `paths`.
        for is_trust in [true, false] {
            let mut of_kind: Vec<_> =
                self.files.iter_mut().filter(|((_, kind), _)| kind.has_to_settle() != is_trust).collect();
            of_kind.iter_mut().for_each(|((path, _), watched)| watched.see(path, files, self.looks, ended));
            let awaited: Vec<u64> = of_kind.iter().filter_map(|(_, watched)| watched.settling.awaits(began)).collect();
            for ((path, _), watched) in of_kind {
                match watched.settle(path, files, &awaited, began) {
                    ContentState::Taken => {}
                    ContentState::News => {
                        look.news.insert(path.clone());
                    }
                    ContentState::Unsettled { is_overdue } => {
                        look.unsettled.insert(path.clone());
                        look.overdue.extend(is_overdue.then(|| path.clone()));
                    }
                }
            }
        }
        look
    }

    /// From now on these are watched. What `files` has read of those that are new is in force.
    pub fn follow(&mut self, watched: BTreeSet<(PathBuf, FileKind)>, files: &Files) {
        self.files.retain(|file, _| watched.contains(file));
        for file in watched {
            self.files.entry(file).or_insert_with_key(|(path, kind)| Watched::taken(*kind, path, files));
        }
    }

    /// Watches what has been read and is not watched yet, none of which has settled. Says whether there was any.
    pub fn discover(&mut self, files: &Files, now: Instant) -> bool {
        let mut is_any = false;
        // A directory that a pattern names gives nothing, and never settles.
        let is_directory = |path: &Path| files.read(path).is_err_and(|error| error.kind() == ErrorKind::IsADirectory);
        let is_new = |path: &PathBuf| !self.is_watched(path) && !is_directory(path);
        for path in files.paths().into_iter().filter(is_new).collect::<Vec<_>>() {
            let mut watched = Watched::new(FileKind::Configuration);
            watched.see(&path, files, self.looks, now);
            self.files.insert((path, FileKind::Configuration), watched);
            is_any = true;
        }
        is_any
    }

    /// All content is taken as it is, also that of files that were read without being watched.
    pub fn take_all(&mut self, files: &Files) {
        let unknown: Vec<PathBuf> = files.paths().into_iter().filter(|path| !self.is_watched(path)).collect();
        let kind = FileKind::Configuration;
        self.files.extend(unknown.into_iter().map(|path| ((path, kind), Watched::new(kind))));
        for ((path, _), watched) in &mut self.files {
            watched.take(path, files);
        }
    }

    fn is_watched(&self, path: &Path) -> bool {
        self.files.keys().any(|(known, _)| known == path)
    }

    /// The content of the ACL file is taken as it is.
    pub fn take_users(&mut self, path: &Path, files: &Files) {
        if let Some(watched) = self.files.get_mut(&(path.to_owned(), FileKind::Users)) {
            watched.take(path, files);
        }
    }

    /// The ACL file holds this, which was written by us, unless `files` finds something else there already.
    pub fn take_written_users(&mut self, path: &Path, bytes: &[u8], files: &Files) {
        if let Some(watched) = self.files.get_mut(&(path.to_owned(), FileKind::Users)) {
            let found = files.read(path).ok().filter(|content| *content.bytes == bytes);
            watched.settling.take(Some(found.map_or_else(|| Digest::of(bytes), |content| content.digest())));
            watched.keep(bytes);
        }
    }

    /// The digest of what is in force of the ACL file, inside `None` if that could not be read; `None` if nothing is.
    pub fn users_in_force(&self, path: &Path) -> Option<Option<Digest>> {
        self.files.get(&(path.to_owned(), FileKind::Users))?.digest_in_force
    }

    /// All files, in the order in which they are to be read: what settles is at least as new as the trust that is read
    /// before it, where all are replaced at once by way of a link.
    pub fn paths(&self) -> Vec<PathBuf> {
        let (settling, trust): (Vec<_>, Vec<_>) = self.files.keys().partition(|(_, kind)| kind.has_to_settle());
        trust.into_iter().chain(settling).map(|(path, _)| path.clone()).collect()
    }

    /// All parts that say who is trusted, or who the server is.
    pub fn trust(&self) -> BTreeSet<Part> {
        self.files.keys().map(|(path, kind)| Part::of(path, *kind)).filter(Part::is_trust).collect()
    }

    fn of_part<'a>(&'a self, part: &'a Part) -> impl Iterator<Item = (&'a Path, &'a Watched)> {
        let files = self.files.iter().filter(move |((path, kind), _)| Part::of(path, *kind) == *part);
        files.map(|((path, _), watched)| (path.as_path(), watched))
    }

    /// The parts that are read from files of this one, itself among them: what is cut or damaged is so for all.
    pub fn beside(&self, part: &Part) -> BTreeSet<Part> {
        let paths: BTreeSet<&Path> = self.of_part(part).map(|(path, _)| path).collect();
        let keys = self.files.keys().filter(|(path, _)| paths.contains(path.as_path()));
        keys.map(|(path, kind)| Part::of(path, *kind)).chain([part.clone()]).collect()
    }

    /// Whether a file of this part is among these.
    pub fn is_any_in(&self, part: &Part, paths: &BTreeSet<PathBuf>) -> bool {
        self.of_part(part).any(|(path, _)| paths.contains(path))
    }

    /// Whether what was seen of this part is not in force.
    pub fn differs(&self, part: &Part) -> bool {
        self.of_part(part).any(|(_, watched)| !watched.is_in_force())
    }

    /// What is in force of the files of this part, of those that could be read.
    pub fn in_force(&self, part: &Part) -> Vec<(PathBuf, Arc<Content>)> {
        let content = |(path, watched): (&Path, &Watched)| Some((path.to_owned(), watched.content_in_force.clone()?));
        self.of_part(part).filter_map(content).collect()
    }

    /// What was taken of this part is in force; if it does not settle, what `files` has read.
    pub fn put_in_force(&mut self, part: &Part, files: &Files) {
        for ((path, _), watched) in self.files.iter_mut().filter(|((path, kind), _)| Part::of(path, *kind) == *part) {
            watched.put_in_force(path, files);
        }
    }

    /// Something else than any content of its files is in force of this part.
    pub fn put_out_of_force(&mut self, part: &Part) {
        let files = self.files.iter_mut().filter(|((path, kind), _)| Part::of(path, *kind) == *part);
        files.for_each(|(_, watched)| watched.digest_in_force = None);
    }
}

/// One file.
struct Watched {
    kind: FileKind,
    settling: Settling,
    /// What was taken last of a file that has to settle.
    whole: Zeroizing<Vec<u8>>,
    /// What is in force of it: what was taken may have been refused.
    whole_in_force: Zeroizing<Vec<u8>>,
    /// What is in force, `None` where nothing was ever.
    digest_in_force: Option<Option<Digest>>,
    /// What is in force of a file that does not have to settle.
    content_in_force: Option<Arc<Content>>,
    /// Pipes and devices are read when they are taken, and never again: what they gave is gone.
    is_regular: bool,
}

impl Watched {
    fn new(kind: FileKind) -> Watched {
        Watched {
            kind,
            settling: Settling::default(),
            whole: Zeroizing::default(),
            whole_in_force: Zeroizing::default(),
            digest_in_force: None,
            content_in_force: None,
            is_regular: true,
        }
    }

    fn taken(kind: FileKind, path: &Path, files: &Files) -> Watched {
        let mut watched = Watched::new(kind);
        watched.take(path, files);
        watched.put_in_force(path, files);
        watched
    }

    fn is_in_force(&self) -> bool {
        self.settling.taken == self.digest_in_force
    }

    fn put_in_force(&mut self, path: &Path, files: &Files) {
        if self.kind.has_to_settle() {
            self.whole_in_force = self.whole.clone();
            self.digest_in_force = self.settling.taken;
        } else {
            self.content_in_force = files.read(path).ok();
            self.digest_in_force = Some(self.content_in_force.as_deref().map(Content::digest));
        }
    }

    fn take(&mut self, path: &Path, files: &Files) {
        let content = files.read(path).ok();
        self.is_regular = content.as_deref().is_none_or(|content| content.metadata.is_file());
        self.settling.take(content.as_deref().map(Content::digest));
        self.keep(content.as_deref().map_or(&[], |content| &content.bytes));
    }

    /// Takes note of what the file holds at this look.
    fn see(&mut self, path: &Path, files: &Files, look: u64, now: Instant) {
        let is_regular = files.is_regular(path) == Some(true);
        if !self.is_regular && !is_regular {
            return;
        }
        self.is_regular = true;
        // A device may have no end.
        let content = is_regular.then(|| files.read(path).ok()).flatten();
        let digest = content.as_deref().map(Content::digest);
        let quiet = if self.kind.has_to_settle() {
            let of_what_was = |content: &Content| {
                [&self.whole, &self.whole_in_force].into_iter().any(|whole| is_beginning(&content.bytes, whole))
            };
            if content.as_deref().is_none_or(of_what_was) { QUIET_BEGINNING } else { QUIET }
        } else {
            Duration::ZERO
        };
        self.settling.see(Seen { content: digest, quiet, look }, now);
    }

    /// How the file stands, after all have been seen: see [`Settling::settle`].
    fn settle(&mut self, path: &Path, files: &Files, awaited: &[u64], now: Instant) -> ContentState {
        let standing = self.settling.settle(awaited, now);
        if standing == ContentState::News {
            let content = self.settling.taken.flatten().and_then(|_| files.read(path).ok());
            self.keep(content.as_deref().map_or(&[], |content| &content.bytes));
        }
        standing
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.kind.has_to_settle() {
            self.whole = Zeroizing::new(bytes.to_vec());
        }
    }
}

/// Whether content looks as if more were to come: its last line has no end, or it is what `whole` begins with.
fn is_beginning(content: &[u8], whole: &[u8]) -> bool {
    // What is the same can only have another mode by now.
    content != whole && (!content.ends_with(b"\n") || whole.starts_with(content))
}

/// What one look at a file has shown.
#[derive(Clone, Copy)]
struct Seen {
    /// `None` if it cannot be read.
    content: Option<Digest>,
    /// How long it has to stay so.
    quiet: Duration,
    /// The number of the look.
    look: u64,
}

/// How a file stands after a look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum ContentState {
    /// What it holds is what was taken last.
    Taken,
    /// What it holds is taken now.
    News,
    /// What it holds may not be all of it.
    Unsettled { is_overdue: bool },
}

/// One file over time. The outer `None` is a file that nothing was taken of, the inner one content that cannot be read.
#[derive(Default)]
struct Settling {
    taken: Option<Option<Digest>>,
    pending: Option<PendingChange>,
}

/// Since something else was seen than what had been taken.
struct PendingChange {
    began: Instant,
    /// The look that was first to see it.
    look: u64,
    /// What was seen last, since when without a change, and how long that has to last.
    content: Option<Digest>,
    since: Instant,
    quiet: Duration,
    is_told: bool,
}

impl PendingChange {
    fn has_settled(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= self.quiet
    }

    fn is_old(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.began) >= PATIENCE
    }
}

impl Settling {
    fn take(&mut self, content: Option<Digest>) {
        *self = Settling { taken: Some(content), pending: None };
    }

    fn see(&mut self, seen: Seen, now: Instant) {
        let Seen { content, quiet, look } = seen;
        if self.taken == Some(content) {
            self.pending = None;
            return;
        }
        self.pending = Some(match self.pending.take() {
            Some(pending) if pending.content == content => PendingChange { quiet, ..pending },
            Some(pending) => PendingChange { content, since: now, quiet, ..pending },
            None => PendingChange { began: now, look, content, since: now, quiet, is_told: false },
        });
    }

    /// The look that first saw a change that has not settled.
    fn awaits(&self, now: Instant) -> Option<u64> {
        self.pending.as_ref().filter(|pending| !pending.has_settled(now)).map(|pending| pending.look)
    }

    /// Takes what has settled, but for what changed together with something that has not: all may have been replaced at
    /// once, between two looks or within one. `awaited` has the looks that first saw such.
    fn settle(&mut self, awaited: &[u64], now: Instant) -> ContentState {
        let Some(pending) = &mut self.pending else { return ContentState::Taken };
        let is_held = awaited.iter().any(|look| look.abs_diff(pending.look) <= 1) && !pending.is_old(now);
        if pending.has_settled(now) && !is_held {
            let content = pending.content;
            self.take(content);
            return ContentState::News;
        }
        let is_overdue = !pending.is_told && pending.is_old(now);
        pending.is_told |= is_overdue;
        ContentState::Unsettled { is_overdue }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const UNSETTLED: ContentState = ContentState::Unsettled { is_overdue: false };
    const OVERDUE: ContentState = ContentState::Unsettled { is_overdue: true };

    /// One file that held `whole` at the beginning, looked at every so often.
    struct Case {
        settling: Settling,
        whole: &'static str,
        start: Instant,
    }

    impl Case {
        fn of(whole: &'static str) -> Case {
            let mut settling = Settling::default();
            settling.take(Some(Digest::of(whole.as_bytes())));
            Case { settling, whole, start: Instant::now() }
        }

        /// What becomes of this text, seen so many milliseconds after the start.
        fn sees(&mut self, text: &str, after: u64) -> ContentState {
            let content = Some(Digest::of(text.as_bytes()));
            let is_beginning = is_beginning(text.as_bytes(), self.whole.as_bytes());
            self.looks(content, if is_beginning { QUIET_BEGINNING } else { QUIET }, after)
        }

        fn sees_nothing(&mut self, after: u64) -> ContentState {
            self.looks(None, QUIET_BEGINNING, after)
        }

        fn looks(&mut self, content: Option<Digest>, quiet: Duration, after: u64) -> ContentState {
            let now = self.start + Duration::from_millis(after);
            self.settling.see(Seen { content, quiet, look: 1 }, now);
            self.settling.settle(&[], now)
        }
    }

    #[test]
    fn what_two_looks_in_a_row_have_seen_is_taken() {
        let mut file = Case::of("old\n");
        assert_eq!(file.sees("new\n", 0), UNSETTLED);
        assert_eq!(file.sees("new\n", 200), ContentState::News);
        assert_eq!(file.sees("new\n", 400), ContentState::Taken);
    }

    #[test]
    fn looks_that_come_close_together_are_one() {
        let mut file = Case::of("old\n");
        assert_eq!(file.sees("new\n", 0), UNSETTLED);
        assert_eq!(file.sees("new\n", 1), UNSETTLED);
        assert_eq!(file.sees("new\n", 150), ContentState::News);
    }

    #[test]
    fn what_changes_between_two_looks_starts_anew() {
        let mut file = Case::of("old\n");
        assert_eq!(file.sees("a\n", 0), UNSETTLED);
        assert_eq!(file.sees("a\nb\n", 200), UNSETTLED);
        assert_eq!(file.sees("a\nb\n", 400), ContentState::News);
    }

    #[test]
    fn without_a_final_newline_it_takes_two_seconds() {
        let mut file = Case::of("old\n");
        assert_eq!(file.sees("user bob +@all", 0), UNSETTLED);
        assert_eq!(file.sees("user bob +@all", 1999), UNSETTLED);
        assert_eq!(file.sees("user bob +@all", 2000), ContentState::News);
    }

    #[test]
    fn the_beginning_of_what_was_there_takes_two_seconds() {
        let mut file = Case::of("a\nb\n");
        for beginning in ["", "a\n"] {
            let mut file = Case::of("a\nb\n");
            assert_eq!(file.sees(beginning, 0), UNSETTLED);
            assert_eq!(file.sees(beginning, 1999), UNSETTLED, "{beginning:?}");
            assert_eq!(file.sees(beginning, 2000), ContentState::News, "{beginning:?}");
        }
        assert_eq!(file.sees("b\n", 0), UNSETTLED);
        assert_eq!(file.sees("b\n", 200), ContentState::News, "it is no beginning");
    }

    #[test]
    fn what_is_back_to_what_it_was_is_no_news() {
        let mut file = Case::of("old\n");
        assert_eq!(file.sees("o", 0), UNSETTLED);
        assert_eq!(file.sees("old\n", 200), ContentState::Taken);
        assert_eq!(file.sees("o", 2100), UNSETTLED, "the time before does not count");
    }

    #[test]
    fn what_never_settles_is_told_of_once_until_it_has_settled() {
        let mut file = Case::of("old\n");
        let texts = ["a\n", "b\n"];
        for look in 0..25 {
            assert_eq!(file.sees(texts[look as usize % 2], look * 200), UNSETTLED, "{look}");
        }
        assert_eq!(file.sees("b\n", 5000), OVERDUE);
        assert_eq!(file.sees("a\n", 60_000), UNSETTLED, "told of already");
        assert_eq!(file.sees("a\n", 60_200), ContentState::News);
        assert_eq!(file.sees("b\n", 70_000), UNSETTLED);
        assert_eq!(file.sees("a", 75_000), OVERDUE);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_news_after_a_while() {
        let mut file = Case::of("old\n");
        assert_eq!(file.sees_nothing(0), UNSETTLED, "it may be on its way to another place");
        assert_eq!(file.sees_nothing(1999), UNSETTLED);
        assert_eq!(file.sees_nothing(2000), ContentState::News);
        assert_eq!(file.sees_nothing(4000), ContentState::Taken);
    }

    #[test]
    fn what_takes_effect_at_once_has_nothing_to_wait_for() {
        let mut file = Case::of("old");
        let mut at_once = |content| file.looks(content, Duration::ZERO, 0);
        let cut = Some(Digest::of(b"n"));
        assert_eq!([at_once(cut), at_once(cut)], [ContentState::News, ContentState::Taken]);
        assert_eq!([at_once(None), at_once(None)], [ContentState::News, ContentState::Taken]);
    }

    fn looked(watch: &mut Watch, now: Instant) -> Look {
        watch.look(&Files::default(), (now, now))
    }

    fn at_once() -> (Instant, Instant) {
        (Instant::now(), Instant::now())
    }

    #[test]
    fn a_file_that_does_not_settle_holds_no_other_up() {
        let folder = tempfile::tempdir().unwrap();
        let [acl, crl] = ["users.acl", "ca.crl"].map(|name| folder.path().join(name));
        fs::write(&acl, "old\n").unwrap();
        fs::write(&crl, "old").unwrap();
        let watched = [(acl.clone(), FileKind::Users), (crl.clone(), FileKind::RevocationLists)];
        let mut watch = Watch::new(watched.into(), &Files::default());
        let start = Instant::now();
        assert_eq!(looked(&mut watch, start), Look::default());
        fs::write(&acl, "ne").unwrap();
        fs::write(&crl, "new").unwrap();
        let look = looked(&mut watch, start);
        assert_eq!((look.news, look.unsettled), ([crl].into(), [acl.clone()].into()));
        fs::write(&acl, "new\n").unwrap();
        assert_eq!(looked(&mut watch, start + QUIET).unsettled, [acl.clone()].into());
        assert_eq!(looked(&mut watch, start + 2 * QUIET).news, [acl].into());
    }

    #[test]
    fn what_was_replaced_together_is_taken_together_unless_one_does_not_settle() {
        let folder = tempfile::tempdir().unwrap();
        let [acl, config] = ["users.acl", "respgate.toml"].map(|name| folder.path().join(name));
        let all: BTreeSet<PathBuf> = [acl.clone(), config.clone()].into();
        let start = Instant::now();
        let after = |millis| start + Duration::from_millis(millis);
        let watch_both = || {
            fs::write(&acl, "a\nb\n").unwrap();
            fs::write(&config, "old\n").unwrap();
            let watched = [(acl.clone(), FileKind::Users), (config.clone(), FileKind::Configuration)];
            Watch::new(watched.into(), &Files::default())
        };
        // All of a look sees the change of both, or the end of it.
        for is_cut in [false, true] {
            let mut watch = watch_both();
            fs::write(&config, "new\n").unwrap();
            if is_cut {
                looked(&mut watch, start);
            }
            fs::write(&acl, "a\n").unwrap();
            for millis in [100, 300, 2000] {
                assert_eq!(looked(&mut watch, after(millis)).unsettled, all, "{is_cut} {millis}");
            }
            assert_eq!(looked(&mut watch, after(2100)).news, all, "{is_cut}");
        }
        let mut watch = watch_both();
        fs::write(&config, "new\n").unwrap();
        for millis in (0..5000).step_by(500) {
            fs::write(&acl, format!("{millis}\n")).unwrap();
            assert_eq!(looked(&mut watch, after(millis)).unsettled, all, "{millis}");
        }
        fs::write(&acl, "never\n").unwrap();
        assert_eq!(looked(&mut watch, after(5000)).news, [config].into());
    }

    #[test]
    fn the_beginning_of_what_is_in_force_takes_two_seconds_also_after_something_was_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("respgate.toml");
        fs::write(&path, "a\nb\n").unwrap();
        let mut watch = Watch::new([(path.clone(), FileKind::Users)].into(), &Files::default());
        let start = Instant::now();
        let mut sees = |text: &str, after: u64| {
            fs::write(&path, text).unwrap();
            !looked(&mut watch, start + Duration::from_millis(after)).news.is_empty()
        };
        assert_eq!([sees("slip\n", 0), sees("slip\n", 200)], [false, true]);
        assert_eq!([sees("a\n", 400), sees("a\n", 2300), sees("a\n", 2400)], [false, false, true]);
        watch.put_in_force(&Part::Users, &Files::default());
        let mut sees = |text: &str, after: u64| {
            fs::write(&path, text).unwrap();
            !looked(&mut watch, start + Duration::from_millis(after)).news.is_empty()
        };
        assert_eq!([sees("b\n", 2600), sees("b\n", 2800)], [false, true]);
        assert_eq!([sees("", 3000), sees("", 3200)], [false, false]);
    }

    #[test]
    fn the_content_that_was_looked_at_is_the_one_that_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.acl");
        fs::write(&path, "old\n").unwrap();
        let mut watch = Watch::new([(path.clone(), FileKind::RevocationLists)].into(), &Files::default());
        fs::write(&path, "new\n").unwrap();
        let files = Files::default();
        assert_eq!(watch.look(&files, at_once()).news, [path.clone()].into());
        fs::write(&path, "newer\n").unwrap();
        assert_eq!(*files.read(&path).unwrap().bytes, b"new\n");
        assert_eq!(looked(&mut watch, Instant::now()).news, [path].into());
    }

    #[test]
    fn a_file_that_is_read_for_the_first_time_has_to_settle_like_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("redis.conf");
        fs::write(&path, "rename-command a b\n").unwrap();
        let mut watch = Watch::new(BTreeSet::new(), &Files::default());
        let files = Files::default();
        files.read(&path).unwrap();
        files.read(folder.path()).unwrap_err();
        let start = Instant::now();
        assert!(watch.discover(&files, start));
        assert!(!watch.discover(&files, start), "it is known now");
        assert_eq!(looked(&mut watch, start).unsettled, [path.clone()].into());
        assert_eq!(looked(&mut watch, start + QUIET).news, [path].into());
    }

    #[test]
    fn what_a_look_that_took_long_has_seen_has_still_to_stay_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.acl");
        fs::write(&path, "old\n").unwrap();
        let mut watch = Watch::new([(path.clone(), FileKind::Users)].into(), &Files::default());
        fs::write(&path, "new\n").unwrap();
        let start = Instant::now();
        let after = |times| start + times * QUIET;
        let mut look = |began, ended| watch.look(&Files::default(), (after(began), after(ended)));
        assert_eq!(look(0, 9).unsettled, [path.clone()].into());
        assert_eq!(look(9, 19).unsettled, [path.clone()].into());
        assert_eq!(look(19, 19).news, [path].into());
    }

    #[test]
    fn what_is_taken_as_it_is_has_settled() {
        let folder = tempfile::tempdir().unwrap();
        let [acl, included] = ["users.acl", "redis.conf"].map(|name| folder.path().join(name));
        fs::write(&acl, "old\n").unwrap();
        let mut watch = Watch::new([(acl.clone(), FileKind::Users)].into(), &Files::default());
        fs::write(&acl, "half").unwrap();
        fs::write(&included, "half").unwrap();
        let files = Files::default();
        files.read(&included).unwrap();
        watch.take_all(&files);
        assert_eq!(looked(&mut watch, Instant::now()), Look::default());
        for path in [&acl, &included] {
            assert!(watch.is_watched(path));
        }
        watch.follow([(acl, FileKind::Users)].into(), &files);
        assert!(!watch.is_watched(&included), "nobody reads it any more");
    }

    #[test]
    fn a_file_whose_mode_is_put_right_is_read_again() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.acl");
        fs::write(&path, "user bob on").unwrap();
        let chmod = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        chmod(0o666);
        let mut watch = Watch::new([(path.clone(), FileKind::Users)].into(), &Files::default());
        chmod(0o600);
        let start = Instant::now();
        assert_eq!(looked(&mut watch, start).unsettled, [path.clone()].into());
        assert_eq!(looked(&mut watch, start + QUIET).news, [path.clone()].into());
    }

    #[test]
    fn what_takes_the_place_of_a_device_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.acl");
        std::os::unix::fs::symlink("/dev/null", &path).unwrap();
        let mut watch = Watch::new([(path.clone(), FileKind::RevocationLists)].into(), &Files::default());
        fs::remove_file(&path).unwrap();
        fs::write(&path, "new").unwrap();
        assert_eq!(looked(&mut watch, Instant::now()).news, [path].into());
    }

    #[test]
    fn a_file_of_two_kinds_is_in_force_as_one_and_not_as_the_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.crt");
        fs::write(&path, "old").unwrap();
        let kinds = [FileKind::Authorities, FileKind::RevocationLists];
        let parts = kinds.map(|kind| Part::of(&path, kind));
        let mut watch = Watch::new(kinds.map(|kind| (path.clone(), kind)).into(), &Files::default());
        fs::write(&path, "new").unwrap();
        let files = Files::default();
        assert_eq!(watch.look(&files, at_once()).news, [path.clone()].into());
        watch.put_in_force(&parts[1], &files);
        assert_eq!(parts.each_ref().map(|part| watch.differs(part)), [true, false]);
        let contents = parts.each_ref().map(|part| watch.in_force(part)[0].1.bytes.to_vec());
        assert_eq!(contents, [b"old".to_vec(), b"new".to_vec()]);
        assert_eq!(watch.beside(&parts[0]), parts.clone().into());
        watch.put_in_force(&parts[0], &files);
        watch.put_out_of_force(&parts[0]);
        assert!(watch.differs(&parts[0]));
    }

    #[test]
    fn what_is_no_file_is_read_once() {
        let null = PathBuf::from("/dev/null");
        let mut watch = Watch::new([(null.clone(), FileKind::Users)].into(), &Files::default());
        let files = Files::default();
        assert_eq!(watch.look(&files, at_once()), Look::default());
        assert_eq!(files.paths(), [""; 0].map(PathBuf::from), "what a pipe gave is gone");
    }
}
