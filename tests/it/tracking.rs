//! CLIENT TRACKING through the proxy: whose connection the invalidation messages may go to.

use crate::support::{RedisServer, RespClient, Respgate, eventually, request};

const ACL: &str = "user alice on +@all ~* &*\nuser bob on +@all ~* &*\n";
const STRANGER: &str = "-ERR The client ID you want redirect to does not exist";

#[test]
fn invalidation_messages_reach_another_session_of_the_same_user() {
    let (_redis, gate) = start();
    let (mut target, id) = with_id(gate.connect("alice"));
    target.call(&["SUBSCRIBE", "__redis__:invalidate"]);
    let mut reader = gate.connect("alice");
    assert_eq!(redirect(&mut reader, &id), "+OK");
    assert_eq!(reader.text(&["GET", "a"]), "$-1");
    assert_eq!(gate.connect("bob").text(&["SET", "a", "1"]), "+OK");
    assert!(target.reply_text().ends_with("*1\r\n$1\r\na"));
}

#[test]
fn an_id_from_hello_will_do_as_well() {
    let (_redis, gate) = start();
    let mut target = gate.connect("alice");
    let hello = String::from_utf8(target.call(&["HELLO", "3"])).unwrap();
    let id = hello.split("$2\r\nid\r\n:").nth(1).unwrap().split("\r\n").next().unwrap();
    assert_eq!(redirect(&mut gate.connect("alice"), id), "+OK");
}

#[test]
fn nobody_redirects_to_a_session_of_another_user_nor_to_a_client_of_redis_itself() {
    let (redis, gate) = start();
    let mut reader = gate.connect("alice");
    for other in [gate.connect("bob"), redis.direct()] {
        let (_other, id) = with_id(other);
        assert_eq!(redirect(&mut reader, &id), STRANGER);
    }
    assert_eq!(reader.text(&["CLIENT", "GETREDIR"]), ":-1", "Redis never heard of it");
    gate.wait_for_log(&["refusal", "redirect", "client|tracking", "alice"]);
}

#[test]
fn caching_is_for_the_request_behind_it_also_where_that_is_refused() {
    let (_redis, gate) = start();
    for refused in ["FLUSHALL", "ACL"] {
        let mut client = gate.connect("alice");
        client.call(&["HELLO", "3"]);
        assert_eq!(client.text(&["CLIENT", "TRACKING", "ON", "OPTIN"]), "+OK");
        assert_eq!(client.text(&["CLIENT", "CACHING", "YES"]), "+OK");
        assert!(client.text(&[refused]).starts_with('-'), "{refused}");
        client.text(&["GET", "unwatched"]);
        assert_eq!(client.text(&["CLIENT", "CACHING", "YES"]), "+OK");
        client.text(&["GET", "watched"]);
        let mut other = gate.connect("bob");
        for key in ["unwatched", "watched"] {
            assert_eq!(other.text(&["SET", key, "1"]), "+OK");
        }
        let first = client.reply_text();
        assert!(first.ends_with("$7\r\nwatched"), "{refused}: {first}");
    }
}

#[test]
fn a_session_that_is_gone_or_was_reset_is_redirected_to_no_more() {
    let (_redis, gate) = start();
    let mut reader = gate.connect("alice");
    let (target, id) = with_id(gate.connect("alice"));
    assert_eq!(redirect(&mut reader, &id), "+OK");
    drop(target);
    eventually("the session to end", || (redirect(&mut reader, &id) == STRANGER).then_some(()));
    let (mut target, id) = with_id(gate.connect("alice"));
    assert_eq!(target.text(&["RESET"]), "+RESET");
    assert_eq!(redirect(&mut reader, &id), STRANGER);
    let (_target, id) = with_id(target);
    assert_eq!(redirect(&mut reader, &id), "+OK");
}

fn with_id(mut client: RespClient) -> (RespClient, String) {
    let id = client.text(&["CLIENT", "ID"]);
    (client, id.trim_start_matches(':').to_owned())
}

fn redirect(client: &mut RespClient, id: &str) -> String {
    client.send(&request(&["CLIENT", "TRACKING", "ON", "REDIRECT", id]));
    client.reply_text()
}

fn start() -> (RedisServer, Respgate) {
    let redis = RedisServer::start();
    let gate = Respgate::start(&redis, ACL);
    (redis, gate)
}
