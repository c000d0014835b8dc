//! Any rules: a user they make is written and read back the same, and no error that may be logged tells a password.
#![no_main]

mod input;

use libfuzzer_sys::fuzz_target;
use respgate::acl::{Acl, User};
use respgate::command::{ArgvBuf, CommandTable};

const SECRET: &str = "Hunter2";

fuzz_target!(|data: &[u8]| {
    let Some((control, bytes)) = data.split_first() else { return };
    let table = input::table(*control);
    let rules = input::words(*control, bytes);
    match Acl::new(table).set_user(b"bob", &rules, table) {
        Ok(acl) => {
            let user = acl.user(b"bob").expect("just set");
            assert_reads_back(&acl, user, table);
            let again = acl.set_user(b"bob", &[b"reset"], table).expect("reset is a rule");
            assert!(!again.user(b"bob").expect("just set").is_enabled());
        }
        Err(error) => assert!(rules.iter().any(|rule| !rule.is_empty()), "{error:?}"),
    }
    // Where it stands on its own already, it is no password.
    if !bytes.windows(SECRET.len()).any(|part| part == SECRET.as_bytes()) {
        assert_no_password_told(&rules, table);
    }
});

fn assert_reads_back(acl: &Acl, user: &User, table: &CommandTable) {
    let file = acl.to_file(table);
    let read = Acl::parse(&file, table).unwrap_or_else(|errors| panic!("{}: {errors:?}", file.escape_ascii()));
    assert_eq!(read.to_file(table).escape_ascii().to_string(), file.escape_ascii().to_string());
    assert_same(user, read.user(b"bob").expect("in the file"), table);

    // As servers do, a line lists `%RW~*` as `~*`, after which no other pattern may stand.
    if !file.windows(5).any(|part| part == b"%RW~*") {
        let line = user.to_line(table);
        let read = Acl::parse(&line, table).unwrap_or_else(|errors| panic!("{}: {errors:?}", line.escape_ascii()));
        let read = read.user(b"bob").expect("in the line");
        assert_eq!(read.to_line(table).escape_ascii().to_string(), line.escape_ascii().to_string());
        assert_same(user, read, table);
    }

    assert_same(user, acl.recompiled(table).user(b"bob").expect("still there"), table);
}

/// The same logins, and the same verdict on every command.
fn assert_same(one: &User, other: &User, table: &CommandTable) {
    assert_eq!((one.is_enabled(), one.is_nopass()), (other.is_enabled(), other.is_nopass()));
    assert_eq!(one.passwords(), other.passwords());
    for spec in table.iter() {
        let argv = ArgvBuf::from_iter(spec.full_name().split('|').chain(["0", "1", "a"]));
        let verdict = |user: &User| user.check(spec, &argv.as_argv(), Some(1));
        assert_eq!(verdict(one), verdict(other), "{}", spec.full_name());
    }
}

/// Whatever is refused, with a secret behind every sign that can begin a password.
fn assert_no_password_told(rules: &[&[u8]], table: &CommandTable) {
    let rules: Vec<Vec<u8>> = rules.iter().map(|rule| with_secrets(rule)).collect();
    let words: Vec<&[u8]> = rules.iter().map(Vec::as_slice).collect();
    if let Err(error) = Acl::new(table).set_user(b"bob", &words, table) {
        let told = format!("{error:?} {}", error.redacted_token().unwrap_or_default());
        assert!(!told.contains(SECRET), "{told}");
    }
    // A line feed within a password begins another line, of which nobody knows that it is one.
    let line = [b"user bob ".as_slice(), &words.join(&b' ')].concat();
    if let Err(errors) = Acl::parse(&line, table)
        && !line.contains(&b'\n')
    {
        let told = format!("{} {errors:?}", errors[0]);
        assert!(!told.contains(SECRET), "{told}");
    }
}

fn with_secrets(rule: &[u8]) -> Vec<u8> {
    let secret_after = |byte: &u8| match byte {
        b'>' | b'<' | b'#' | b'!' | b'$' => SECRET.as_bytes(),
        _ => b"",
    };
    rule.iter().flat_map(|byte| std::iter::once(*byte).chain(secret_after(byte).iter().copied())).collect()
}
