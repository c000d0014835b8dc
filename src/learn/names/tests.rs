use super::*;
use crate::command::Access;
use crate::learn::pattern::pattern;

fn seen(evidence: &Evidence, names: impl IntoIterator<Item = String>) -> Names {
    let mut seen = Names::new(evidence);
    names.into_iter().for_each(|name| seen.note(name.as_bytes(), Uses::once(1, Access::READ, false)));
    seen
}

fn patterns(names: &Names) -> Vec<String> {
    let mut patterns: Vec<String> = names.told().iter().map(|(pieces, _)| pattern(pieces)).collect();
    patterns.sort();
    patterns.dedup();
    patterns
}

fn times(count: usize, name: impl Fn(usize) -> String) -> Vec<String> {
    (0..count).map(name).collect()
}

#[test]
fn of_traffic_a_part_is_told_after_a_thousand_observations_of_its_place() {
    let of = |count| patterns(&seen(&Evidence::of_traffic(), times(count, |_| "cart:v2".to_owned())));
    assert_eq!(of(999), ["*"]);
    // The thousandth is kept, which until then was a hash.
    assert_eq!(of(1000), ["cart:v2"]);
}

#[test]
fn before_that_no_part_of_a_name_is_in_memory() {
    let names = seen(&Evidence::of_traffic(), times(999, |_| "marked@example.org:token".to_owned()));
    assert!(!format!("{names:?}").contains("109, 97, 114, 107"), "bytes of 'mark'");
    let names = seen(&Evidence::of_traffic(), times(1000, |_| "mark:token".to_owned()));
    assert!(format!("{names:?}").contains("109, 97, 114, 107"), "the test sees them where they are");
}

#[test]
fn what_reads_like_no_word_is_never_told_and_spoils_no_word_beside_it() {
    for secret in ["9f86d081884c7d659a2feaa0c55ad015", "ann@example", "441632960961"] {
        let names = seen(&Evidence::of_traffic(), times(4000, |n| format!("lock:{}", [secret, "mail"][n % 2])));
        let told: Vec<Piece> = names.told().into_iter().map(|(mut pieces, _)| pieces.remove(2)).collect();
        assert_eq!(told, [Piece::Text(b"mail".as_slice().into()), Piece::Any(Unnamed::Odd)]);
        let bytes: Vec<String> = secret.bytes().take(4).map(|byte| byte.to_string()).collect();
        assert!(!format!("{names:?}").contains(&bytes.join(", ")), "bytes of {secret}");
    }
    let whole = |evidence: &Evidence| {
        let mut names = Names::whole(evidence);
        (0..2000).for_each(|_| names.note(b"mail:4711:*", Uses::once(1, Access::READ, false)));
        patterns(&names)
    };
    assert_eq!(whole(&Evidence::of_traffic()), ["*"]);
    assert_eq!(whole(&Evidence::of_file(None)), ["mail:4711:\\*"], "whoever has the file knows it");
}

#[test]
fn a_place_with_more_than_eight_parts_tells_none_of_them_any_more() {
    let eight = seen(&Evidence::of_traffic(), times(2000, |n| format!("shop:{}", n % 8)));
    assert_eq!(patterns(&eight).len(), 8);
    let mut names = eight;
    names.note(b"shop:8", Uses::once(1, Access::READ, false));
    assert_eq!(patterns(&names), ["shop:*"]);
    assert!(!format!("{names:?}").contains("text: Some([48"), "nothing is left of 0");
}

#[test]
fn parts_behind_one_that_is_not_told_are_told() {
    let names = seen(&Evidence::of_traffic(), times(4000, |n| format!("user:{}:{}", n / 2, ["cart", "name"][n % 2])));
    assert_eq!(patterns(&names), ["user:*:cart", "user:*:name"]);
}

#[test]
fn behind_two_that_are_not_told_nothing_is() {
    let names = seen(&Evidence::of_traffic(), times(4000, |n| format!("page:{n}:{}:x", n * 7)));
    assert_eq!(patterns(&names), ["page:*"]);
}

#[test]
fn names_with_other_separators_do_not_spoil_each_other() {
    let reply = |n: usize| format!("{n:08x}-{n:04x}-{n:04x}-{n:04x}-{n:012x}.reply.celery.pidbox");
    let result = |n: usize| format!("celery-task-meta-{n:08x}-{n:04x}-{n:04x}-{n:04x}-{n:012x}");
    let names = times(6000, |n| match n % 3 {
        0 => reply(n),
        1 => result(n),
        _ => "_kombu.binding.celery".to_owned(),
    });
    assert_eq!(patterns(&seen(&Evidence::of_traffic(), names)), ["*", "_kombu.binding.celery", "celery-task-meta-*"]);
}

#[test]
fn of_a_file_words_are_told_at_once_and_numbers_are_not() {
    let of = |names: &[&str]| patterns(&seen(&Evidence::of_file(None), names.iter().map(|name| (*name).to_owned())));
    assert_eq!(of(&["_kombu.binding.celery"]), ["_kombu.binding.celery"]);
    assert_eq!(of(&["lock:job-17", "lock:job-18"]), ["lock:job-*"]);
}

#[test]
fn ten_million_names_take_no_more_memory_than_is_theirs() {
    // As many as a test has time for: what is full after these is not fuller after more.
    let mut names = Names::new(&Evidence::of_traffic());
    for n in 0..200_000_u64 {
        let mixed = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let separator = |at: u32| b":{}-./|"[(mixed >> (8 * at)) as usize % 7] as char;
        let name = format!("{}{}{}{}{}", mixed % 7, separator(1), mixed % 31, separator(2), mixed % 1009);
        names.note(name.as_bytes(), Uses::once(1, Access::READ, false));
        // As many in each place as are told, and then one more.
        let most = if n < 100_000 { 8 } else { 9 };
        let name = format!("a{}.b{}.c{}.d{}", n % most, n / 8 % most, n / 64 % most, n / 512 % most);
        names.note(name.as_bytes(), Uses::once(1, Access::READ, false));
        if n % 10_000 == 0 {
            let counted: usize = names.outlines.iter().map(|(_, node)| node.count()).sum();
            assert_eq!(counted, names.kept.0, "{n}");
        }
    }
    let counted: usize = names.outlines.iter().map(|(_, node)| node.count()).sum();
    assert!(
        names.outlines.len() <= MOST_OUTLINES && names.kept.0 <= Kept::MOST && counted == names.kept.0,
        "{counted}"
    );
    assert!(names.told().len() <= Kept::MOST);
}

#[test]
fn a_place_that_had_no_room_for_others_tells_nothing_and_is_not_wider() {
    let mut names = seen(&Evidence::of_traffic(), times(2000, |_| "bank:open".to_owned()));
    names.kept = Kept(Kept::MOST);
    names.note(b"bank:other", Uses::once(1, Access::READ, false));
    assert_eq!(names.without_room().count, 1);
    let told = names.told();
    assert_eq!(told[0].0[2], Piece::Any(Unnamed::NoRoom));
    assert!(!format!("{names:?}").contains("111, 112, 101, 110"), "bytes of 'open'");
}

#[test]
fn what_two_have_seen_is_told_as_if_one_had() {
    let evidence = Evidence::of_traffic();
    let values = |from: usize| times(2000, move |n| format!("shop:{}", from + n % 5));
    let mut one = seen(&evidence, values(0));
    one.merge(&seen(&evidence, values(0)));
    assert_eq!(patterns(&one).len(), 5);
    one.merge(&seen(&evidence, values(5)));
    assert_eq!(patterns(&one), ["shop:*"], "ten values");
    assert_eq!(one.told()[0].1.count, 6000);
}

#[test]
fn a_long_name_is_one_that_is_not_told() {
    let long = |n: usize| format!("page:{}", "x".repeat(n));
    let why = |n: usize| seen(&Evidence::of_traffic(), times(2000, |_| long(n))).told().remove(0).0.remove(2);
    assert_eq!([65, 64, 33].map(why), [Unnamed::Many, Unnamed::Odd, Unnamed::Odd].map(Piece::Any));
    assert_eq!(why(20), Piece::Text("x".repeat(20).as_bytes().into()));
}
