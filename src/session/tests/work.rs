//! However a request is cut, what is done about it is in proportion to its bytes.

use super::rig::{Rig, request};
use crate::command::looks;
use crate::resp::encode_request;
use crate::session::LoginOutcome;

/// More than is waited for where what stands before it decides.
const LARGE: usize = 70_000;

/// As many pieces show what is done for each.
const MOST_PIECES: usize = 10_000;

const APP: &str = "user default on nopass ~app:*:a ~app:*:b &* +@all (~other:*:c +@all)\n";

/// Bytes of arguments that are looked at while the pieces come, each by itself.
fn looked_at<'a>(acl: &str, prepare: fn(&mut Rig), pieces: impl IntoIterator<Item = &'a [u8]>) -> usize {
    let mut rig = Rig::new(acl);
    prepare(&mut rig);
    looks::take();
    pieces.into_iter().for_each(|piece| rig.client(piece));
    assert_eq!(rig.closed, None);
    looks::take()
}

/// Cuts that are neither of one length nor the same for every request.
fn irregular(bytes: &[u8], seed: usize) -> Vec<&[u8]> {
    let (mut pieces, mut rest, mut state) = (Vec::new(), bytes, seed);
    while !rest.is_empty() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (piece, behind) = rest.split_at(((state >> 33) % 2000 + 1).min(rest.len()));
        pieces.push(piece);
        rest = behind;
    }
    pieces
}

/// Looks at no more, but for a few times, where the request comes cut than where it comes whole.
#[track_caller]
fn assert_linear(acl: &str, prepare: fn(&mut Rig), arguments: &[&[u8]]) {
    let mut bytes = Vec::new();
    encode_request(arguments, &mut bytes);
    assert_linear_of(acl, prepare, &bytes);
}

#[track_caller]
fn assert_linear_of(acl: &str, prepare: fn(&mut Rig), bytes: &[u8]) {
    let whole = looked_at(acl, prepare, [bytes]);
    let most = 2 * whole + 2 * bytes.len();
    // One byte each where the request is not too large for that.
    let small = looked_at(acl, prepare, bytes.chunks(1 + bytes.len() / MOST_PIECES));
    assert!(small <= most, "in small pieces {small}, whole {whole}, {} bytes", bytes.len());
    for seed in 0..3 {
        let cut = looked_at(acl, prepare, irregular(bytes, seed));
        assert!(cut <= most, "in pieces {cut}, whole {whole}, {} bytes", bytes.len());
    }
}

fn as_it_is(_: &mut Rig) {}

#[test]
fn a_refused_key_is_not_judged_anew_for_every_piece_of_the_value() {
    let key = [b"bpp:".as_slice(), &[b'x'; LARGE]].concat();
    assert_linear(APP, as_it_is, &[b"SET", &key, &[b'v'; LARGE]]);
    assert_linear("user default on nopass %W~* +@all\n", as_it_is, &[b"SET", &key, &[b'v'; LARGE], b"GET"]);
}

#[test]
fn a_permitted_key_is_not_judged_anew_for_every_piece_of_the_value() {
    let key = [b"app:".as_slice(), &[b'x'; LARGE], b":a"].concat();
    assert_linear(APP, as_it_is, &[b"SET", &key, &[b'v'; LARGE]]);
}

#[test]
fn what_is_blocked_or_unknown_is_not_judged_anew_for_every_piece() {
    for name in ["CONFIG", "NOSUCH"] {
        assert_linear(APP, as_it_is, &[name.as_bytes(), b"SET", &[b'x'; LARGE], &[b'v'; LARGE]]);
    }
}

#[test]
fn what_is_refused_for_the_state_of_the_session_is_not_judged_anew_for_every_piece() {
    let key = [b"app:".as_slice(), &[b'x'; LARGE], b":a"].concat();
    let subscribe = |rig: &mut Rig| {
        rig.say("SUBSCRIBE c");
        rig.redis("*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n");
    };
    assert_linear(APP, subscribe, &[b"SET", &key, &[b'v'; LARGE]]);
}

#[test]
fn what_is_permitted_and_has_to_be_held_is_not_judged_anew_for_every_piece() {
    let key = [b"app:".as_slice(), &[b'x'; LARGE], b":a"].concat();
    assert_linear(APP, |rig| rig.rename(&[("SET", "PUT")]), &[b"SET", &key, &[b'v'; LARGE]]);
    assert_linear(APP, as_it_is, &[b"BLMOVE", b"app::a", &key, &[b'v'; LARGE], b"LEFT", b"0"]);
}

#[test]
fn arguments_that_come_one_by_one_are_not_judged_anew_for_each() {
    let names: Vec<String> = (0..MOST_PIECES).map(|number| format!("app:{number}:a")).collect();
    for command in ["MSET", "DEL", "SUBSCRIBE"] {
        let words = [command].into_iter().chain(names.iter().map(String::as_str)).collect::<Vec<_>>().join(" ");
        assert_linear_of(APP, as_it_is, &request(&words));
    }
}

#[test]
fn large_arguments_that_come_one_by_one_are_not_judged_anew_for_each() {
    let large = [b'v'; LARGE];
    let mut arguments = vec![b"SET".as_slice(), b"bpp"];
    arguments.resize(10, &large);
    assert_linear(APP, as_it_is, &arguments);
    arguments[0] = b"MSET";
    assert_linear(APP, as_it_is, &arguments);
}

#[test]
fn an_inline_request_is_judged_once() {
    let line = [b"SET bpp:1 ".as_slice(), &[b'v'; 60_000], b"\r\n"].concat();
    assert_linear_of(APP, as_it_is, &line);
}

#[test]
fn what_is_held_is_not_judged_anew_for_every_reply_or_wake_up() {
    let mut request_of_held = Vec::new();
    let key = [b"bpp:".as_slice(), &[b'x'; LARGE]].concat();
    encode_request(&[b"SET".as_slice(), &key, &[b'v'; LARGE]], &mut request_of_held);
    let mut rig = Rig::new(APP);
    rig.client(&request("ECHO 1").repeat(50));
    rig.client(&request_of_held[..request_of_held.len() - 10]);
    looks::take();
    (0..50).for_each(|_| rig.redis("$1\r\n1\r\n"));
    (0..50).for_each(|_| rig.wait(std::time::Duration::from_millis(1)));
    assert_eq!(looks::take(), 0);
}

#[test]
fn a_login_that_comes_slowly_is_looked_at_once() {
    let login = request("AUTH default secret");
    let mut rig = Rig::new("user default on >secret ~* +@all\n");
    looks::take();
    login.chunks(1).for_each(|byte| rig.client(byte));
    assert!(looks::take() <= 4 * login.len());
    rig.verified(LoginOutcome::Accepted(0));
    assert_eq!(rig.heard(), "+OK\r\n");
}
