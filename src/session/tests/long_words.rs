//! However long a word is that a client says: little of it is told, and little of it kept.

use super::rig::{CLOSED, OPEN, Rig, request};
use crate::command::looks;
use crate::session::{LoginOutcome, Report};

const LONG: usize = 500_000;

/// What an answer has beside what it shows, and three bytes for each that is no UTF-8.
const SHORT: usize = 1_024;

/// A request, its arguments between blanks, with a long word in place of `…`.
fn with_long_word(line: &str, byte: u8) -> Vec<u8> {
    let mut request = b"*".to_vec();
    let words: Vec<&str> = line.split(' ').collect();
    request.extend(format!("{}\r\n", words.len()).bytes());
    for word in words {
        let word = if word == "…" { vec![byte; LONG] } else { word.as_bytes().to_vec() };
        request.extend(format!("${}\r\n", word.len()).bytes());
        request.extend(word);
        request.extend(b"\r\n");
    }
    request
}

#[test]
fn an_answer_of_ours_shows_little_of_a_long_word_wherever_it_stands() {
    let lines = [
        "…",
        "… a b",
        "NOSUCH …",
        "NOSUCH … …",
        "CONFIG …",
        "CLIENT …",
        "CLIENT REPLY …",
        "HELLO …",
        "HELLO 3 …",
        "HELLO 3 … a",
        "HELLO 3 SETNAME …",
        "HELLO 3 SETNAME a …",
        "HELLO 3 SETNAME a SETNAME …",
        "HELLO 3 AUTH a b …",
        "ACL …",
        "ACL … a",
        "ACL CAT …",
        "ACL CAT a …",
        "ACL GENPASS …",
        "ACL GETUSER …",
        "ACL LOG …",
        "ACL WHOAMI …",
        "ACL DRYRUN … GET a",
        "ACL DRYRUN alice …",
        "ACL DRYRUN alice … a",
        "ACL DRYRUN alice GET …",
        "ACL DRYRUN alice SUBSCRIBE …",
        "AUTH … …",
        "AUTH a b …",
        "QUIT …",
    ];
    let users = "user default on nopass ~a:* +@all\nuser alice on nopass ~a:* +@all\n";
    for line in lines.into_iter().chain(["GET …", "MSET a:1 b …  b", "SUBSCRIBE …"]) {
        for byte in [b'x', 0xff] {
            let mut rig = Rig::new(users);
            rig.client(&with_long_word(line, byte));
            let heard = rig.heard_bytes();
            assert!((1..SHORT).contains(&heard.len()), "{line}: {}", heard.len());
            let told = format!("{:?}", rig.core.take_reports());
            assert!(told.len() < 4 * SHORT, "{line}: {} bytes are told", told.len());
        }
    }
}

#[test]
fn what_is_answered_here_is_read_where_it_came_and_not_copied() {
    for line in ["ACL GETUSER …", "ACL LOG …", "HELLO 3 …", "AUTH a b …", "QUIT …"] {
        let mut rig = Rig::new(OPEN);
        rig.say("PING");
        looks::take();
        rig.client(&with_long_word(line, b'x'));
        let looked_at = looks::take();
        assert!(looked_at < 2 * LONG + SHORT, "{line}: {looked_at}");
    }
}

#[test]
fn hello_passes_on_a_name_of_1024_bytes_and_keeps_none_that_is_longer() {
    let mut rig = Rig::new(CLOSED);
    let name = "n".repeat(1024);
    rig.say(&format!("HELLO 3 AUTH default secret SETNAME {name}"));
    rig.verified(LoginOutcome::Accepted(0));
    assert_eq!(rig.forwarded(), format!("HELLO 3 SETNAME {name}"));
    rig.redis("%0\r\n");
    rig.core.take_reports();
    rig.client(&request(&format!("HELLO 3 AUTH default secret SETNAME {name}n")));
    assert_eq!(rig.heard(), "%0\r\n-ERR respgate: a client name in HELLO has 1024 bytes at most\r\n");
    assert!(rig.verifying.is_none() && rig.forwarded().is_empty());
    assert_eq!(rig.core.take_reports(), Vec::<(Report, u64)>::new());
}
