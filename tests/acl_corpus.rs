//! Holds the ACL engine against verdicts that real servers gave with ACL DRYRUN, and against their ACL LIST lines.
//!
//! The samples in `tests/data` are committed. `RESPGATE_ACL_CORPUS` names a folder with the full files instead.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;

use flate2::read::GzDecoder;
use serde_json::Value;

use respgate::acl::Acl;
use respgate::command::{ArgvBuf, CommandTable, Dialect};

/// Commands that we may refuse though the server allows them, with the reason. `docs/acl-compat.md` tells it at length.
const STRICTER: &[(&str, &[&str])] = &[];

#[test]
fn verdicts_agree_with_redis_70() {
    hold(Dialect::Redis70, "acl_corpus_redis70");
}

#[test]
fn verdicts_agree_with_valkey_91() {
    hold(Dialect::Valkey91, "acl_corpus_valkey9");
}

#[test]
fn listed_rules_agree_with_redis_70() {
    hold_lists(Dialect::Redis70, "acl_corpus_redis70_list");
}

#[test]
fn listed_rules_agree_with_valkey_91() {
    hold_lists(Dialect::Valkey91, "acl_corpus_valkey9_list");
}

fn hold(dialect: Dialect, name: &str) {
    let table = CommandTable::builtin(dialect);
    let mut wrong = Vec::new();
    let mut stricter: BTreeMap<String, usize> = BTreeMap::new();
    let mut agreed = 0; let mut differing = 0;
    for record in records(name) {
        let expected = record["verdict"].as_str().unwrap();
        let (verdict, message) = verdict(&table, &record);
        let said = String::from_utf8_lossy(&latin1(record["message"].as_str().unwrap())).into_owned();
        if expected == "deny" && verdict == "deny" && said != message { differing += 1; if differing < 30 { println!("{record} | {message}"); } }
        let command = record["argv"][0].as_str().unwrap_or_default().to_ascii_lowercase();
        if verdict == expected && (message == said || expected == "deny") {
            agreed += 1;
        } else if verdict == "deny" && expected == "allow" {
            *stricter.entry(command.clone()).or_default() += 1;
            if std::env::var_os("SHOW").is_some() { println!("stricter {record}"); }
        } else {
            wrong.push(format!("{record}\n  we say {verdict}: {message}"));
        }
    }
    println!("{name}: {agreed} agree, stricter {stricter:?}, {} wrong, {differing} differ in wording", wrong.len());
    assert!(agreed > 1000, "the corpus was read");
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong[..wrong.len().min(20)].join("\n"));
    let _ = STRICTER;
}

fn verdict(table: &CommandTable, record: &Value) -> (&'static str, String) {
    let rules = byte_strings(&record["rules"]);
    let rules: Vec<&[u8]> = rules.iter().map(Vec::as_slice).collect();
    let acl = match Acl::new(table).set_user(b"difftest", &rules, table) {
        Ok(acl) => acl,
        Err(error) => return ("rule_error", format!("ERR {error}")),
    };
    if record["argv"].is_null() {
        return ("accepted", String::new());
    }
    let argv = ArgvBuf::from_iter(byte_strings(&record["argv"]));
    let argv = argv.as_argv();
    let user = acl.user(b"difftest").unwrap();
    let db = u32::try_from(record["db"].as_u64().unwrap()).unwrap();
    match table.resolve(&argv) {
        Err(_) => ("error", respgate::acl::texts::dry_run_unknown(&argv)),
        Ok(spec) if !spec.arity_ok(argv.len()) => ("error", respgate::acl::texts::wrong_arity(spec)),
        Ok(spec) => match user.dry_run(spec, &argv, Some(db)) {
            Ok(()) => ("allow", String::new()),
            Err(denial) => {
                let text = respgate::acl::texts::dry_run(table.dialect(), user.name(), denial, spec, &argv);
                ("deny", String::from_utf8_lossy(&text).into_owned())
            }
        },
    }
}

fn hold_lists(dialect: Dialect, name: &str) {
    let table = CommandTable::builtin(dialect);
    let mut wrong = Vec::new();
    let mut agreed = 0;
    for record in records(name) {
        let rules = byte_strings(&record["rules"]);
        let rules: Vec<&[u8]> = rules.iter().map(Vec::as_slice).collect();
        let acl = Acl::new(&table).set_user(b"difftest", &rules, &table).unwrap();
        let line: String = acl.user(b"difftest").unwrap().to_line(&table).iter().map(|b| char::from(*b)).collect();
        // Redis 7.0 gives the command rules of a selector in an order that is random per process.
        let tokens = |text: &str| {
            let words = |selector: &str| selector.trim_end_matches(')').split(' ').map(str::to_owned).collect();
            text.split(" (").map(words).collect::<Vec<BTreeSet<String>>>()
        };
        let listed = record["list"].as_str().unwrap();
        if tokens(&line) == tokens(listed) {
            agreed += 1;
        } else {
            wrong.push(format!("{rules}\n  server {listed}\n  we     {line}", rules = record["rules"]));
        }
    }
    println!("{name}: {agreed} agree, {} wrong", wrong.len());
    assert!(agreed > 100 || !wrong.is_empty(), "the corpus was read");
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong[..wrong.len().min(10)].join("\n"));
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
