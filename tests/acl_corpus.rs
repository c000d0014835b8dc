//! Holds the ACL engine against verdicts that real servers gave with ACL DRYRUN, and against their ACL LIST lines.
//!
//! The samples in `tests/data` are committed. `RESPGATE_ACL_CORPUS` names a folder with the full files instead.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that panics has failed, and says what it saw")]

#[path = "acl_shared/mod.rs"]
mod shared;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;

use flate2::read::GzDecoder;
use serde_json::Value;

use respgate::acl::Acl;
use respgate::command::{ArgvBuf, CommandTable, Dialect};

use shared::{answer, stricter_class};

#[test]
fn verdicts_agree_with_redis_70() {
    hold_verdicts(Dialect::Redis70, "acl_corpus_redis70");
}

#[test]
fn verdicts_agree_with_valkey_91() {
    hold_verdicts(Dialect::Valkey91, "acl_corpus_valkey9");
}

#[test]
fn listed_rules_agree_with_redis_70() {
    hold_lists(Dialect::Redis70, "acl_corpus_redis70_list");
}

#[test]
fn listed_rules_agree_with_valkey_91() {
    hold_lists(Dialect::Valkey91, "acl_corpus_valkey9_list");
}

/// The same verdict, and but for denials the same words; or a refusal in one of the documented classes.
fn hold_verdicts(dialect: Dialect, name: &str) {
    let table = CommandTable::builtin(dialect);
    let (mut agreed, mut reworded, mut wrong) = (0, 0, Vec::new());
    let mut stricter: BTreeMap<&str, usize> = BTreeMap::new();
    for record in records(name) {
        let argv = record["argv"].is_array().then(|| ArgvBuf::from_iter(byte_strings(&record["argv"])));
        let db = u32::try_from(record["db"].as_u64().unwrap()).unwrap();
        let ours = answer(&table, &byte_strings(&record["rules"]), argv.as_ref(), db);
        let verdict = record["verdict"].as_str().unwrap();
        let message = String::from_utf8_lossy(&latin1(record["message"].as_str().unwrap())).into_owned();
        let class = ours.denial.and_then(|denial| stricter_class(&table, &argv.as_ref().unwrap().as_argv(), denial));
        match (ours.verdict, verdict, class) {
            (one, other, _) if one == other && ours.message == message => agreed += 1,
            ("deny", "deny", _) => reworded += 1,
            ("deny", "allow", Some(class)) => *stricter.entry(class).or_default() += 1,
            _ => wrong.push(format!("{record}\n  we say {}: {}", ours.verdict, ours.message)),
        }
    }
    println!("{name}: {agreed} agree, {reworded} denied in other words, stricter {stricter:?}, {} wrong", wrong.len());
    assert!(agreed > 1000, "the corpus was read");
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong[..wrong.len().min(20)].join("\n"));
}

fn hold_lists(dialect: Dialect, name: &str) {
    let table = CommandTable::builtin(dialect);
    let (mut agreed, mut wrong) = (0, Vec::new());
    for record in records(name) {
        let rules = byte_strings(&record["rules"]);
        let rules: Vec<&[u8]> = std::iter::once(b"reset".as_slice()).chain(rules.iter().map(Vec::as_slice)).collect();
        let acl = Acl::new(&table).set_user(b"difftest", &rules, &table).unwrap();
        let line: String = acl.user(b"difftest").unwrap().to_line(&table).iter().map(|b| char::from(*b)).collect();
        let listed = record["list"].as_str().unwrap();
        if words_by_selector(&as_servers_list(&line)) == words_by_selector(listed) {
            agreed += 1;
        } else {
            wrong.push(format!("{}\n  server {listed}\n  we     {line}", record["rules"]));
        }
    }
    println!("{name}: {agreed} agree, {} wrong", wrong.len());
    assert!(agreed > 100, "the corpus was read");
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong[..wrong.len().min(10)].join("\n"));
}

/// Within a selector we quote a rule that ends in `)`, so that it reads back; servers do not. No other difference.
fn as_servers_list(line: &str) -> String {
    let word =
        |word: &str| match word.trim_start_matches('(').strip_prefix('"').and_then(|word| word.strip_suffix(")\"")) {
            Some(rule) if !rule.contains('"') => word.replace('"', ""),
            _ => word.to_owned(),
        };
    line.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

/// Redis 7.0 lists the commands of a selector in an order that is random per process.
fn words_by_selector(line: &str) -> Vec<BTreeSet<String>> {
    let words = |selector: &str| selector.trim_end_matches(')').split(' ').map(str::to_owned).collect();
    line.split(" (").map(words).collect()
}

fn records(name: &str) -> impl Iterator<Item = Value> {
    let folder = std::env::var_os("RESPGATE_ACL_CORPUS")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data")), PathBuf::from);
    let file = File::open(folder.join(format!("{name}.jsonl.gz"))).unwrap();
    BufReader::new(GzDecoder::new(file)).lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap())
}

/// Strings of the corpus are bytes read as latin-1.
fn byte_strings(list: &Value) -> Vec<Vec<u8>> {
    list.as_array().unwrap().iter().map(|text| latin1(text.as_str().unwrap())).collect()
}

fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect()
}
