//! What takes effect when.

use std::fs;
use std::time::Duration;

use super::settling::{Seen, Settling};
use super::watched::{QUIET, QUIET_BEGINNING, is_beginning};
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
