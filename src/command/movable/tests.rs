//! Every command whose keys move, and those whose key specs must be right.

use super::Extractor;
use crate::command::{Access, ArgvBuf, CommandTable, Dialect, Scope, Unextractable};

/// The keys of a request as text, `a:r b:w c:rw d:-`; words are separated by blanks, `_` is an empty word.
fn keys_of(table: &CommandTable, request: &str) -> Result<String, Unextractable> {
    let words = request.split(' ').map(|word| if word == "_" { "" } else { word });
    let argv = ArgvBuf::from_iter(words);
    let argv = argv.as_argv();
    let spec = table.resolve(&argv).unwrap_or_else(|_| panic!("{request}: unknown command"));
    assert!(spec.arity_ok(argv.len()), "{request}: wrong number of arguments");
    let mut keys = Vec::new();
    spec.try_keys::<Unextractable>(&argv, Scope::Whole, |key| {
        let access = match key.access {
            Access::READ => "r",
            Access::WRITE => "w",
            Access::READ_WRITE => "rw",
            _ => "-",
        };
        keys.push(format!("{}:{access}", String::from_utf8_lossy(argv.get(key.index).unwrap())));
        Ok(())
    })?;
    Ok(keys.join(" "))
}

#[track_caller]
fn assert_keys(cases: &[(&str, &str)]) {
    for dialect in Dialect::ALL {
        let table = CommandTable::builtin(dialect);
        for (request, keys) in cases {
            assert_eq!(keys_of(&table, request).as_deref(), Ok(*keys), "{request}, {dialect:?}");
        }
    }
}

#[track_caller]
fn assert_unknown(requests: &[&str]) {
    for dialect in Dialect::ALL {
        let table = CommandTable::builtin(dialect);
        for request in requests {
            assert_eq!(keys_of(&table, request), Err(Unextractable), "{request}, {dialect:?}");
        }
    }
}

#[test]
fn every_command_whose_specs_are_not_exact_has_an_extractor_of_ours() {
    for dialect in Dialect::ALL {
        for spec in CommandTable::builtin(dialect).iter() {
            assert_ne!(spec.extractor, Extractor::Unknown, "{} of {dialect:?}", spec.full_name());
        }
    }
}

#[test]
fn set_reads_too_with_get_anywhere_in_its_options() {
    assert_keys(&[
        ("SET k v", "k:w"),
        ("SET k get", "k:w"),
        ("SET k v EX 10 gEt", "k:rw"),
        ("SET k v GET NX", "k:rw"),
        ("GETSET k v", "k:rw"),
        ("GETDEL k", "k:rw"),
        ("GETEX k EX 1", "k:rw"),
        ("APPEND k v", "k:w"),
        ("INCR k", "k:rw"),
        ("MSET a 1 b 2", "a:w b:w"),
        ("MSETNX a 1 b 2", "a:w b:w"),
    ]);
}

#[test]
fn bitfield_only_reads_if_all_its_operations_do() {
    assert_keys(&[
        ("BITFIELD k", "k:r"),
        ("BITFIELD k GET u8 0", "k:r"),
        ("BITFIELD k OVERFLOW SAT GET u8 0", "k:r"),
        ("BITFIELD k GET u8 0 SET u8 0 1", "k:rw"),
        ("BITFIELD k INCRBY u8 0 1", "k:rw"),
        ("BITFIELD k GET u8", "k:rw"),
        ("BITFIELD k nonsense", "k:rw"),
        ("BITFIELD_RO k GET u8 0", "k:r"),
        ("BITOP AND d a b", "d:w a:r b:r"),
    ]);
}

#[test]
fn sort_writes_to_every_store() {
    assert_keys(&[
        ("SORT k", "k:r"),
        ("SORT k BY w_* GET # LIMIT 0 1 STORE d", "k:r d:w"),
        ("SORT k STORE a STORE b", "k:r a:w b:w"),
        ("SORT k STORE STORE STORE d", "k:r STORE:w STORE:w d:w"),
        ("SORT k LIMIT STORE a STORE b", "k:r a:w b:w"),
        ("SORT k BY STORE", "k:r"),
        ("SORT_RO k BY w_* GET #", "k:r"),
    ]);
}

#[test]
fn georadius_writes_to_every_store_and_storedist() {
    assert_keys(&[
        ("GEORADIUS k 1 1 1 m", "k:r"),
        ("GEORADIUS k 1 1 1 m WITHCOORD store d", "k:r d:w"),
        ("GEORADIUS k 1 1 1 m STORE a STOREDIST b", "k:r a:w b:w"),
        ("GEORADIUS k 1 1 1 store d", "k:r d:w"),
        ("GEORADIUSBYMEMBER k m 1 m STOREDIST d", "k:r d:w"),
        ("GEORADIUSBYMEMBER k m 1 m STORE a STORE b", "k:r a:w b:w"),
        ("GEORADIUS_RO k 1 1 1 m", "k:r"),
        ("GEORADIUSBYMEMBER_RO k m 1 m", "k:r"),
        ("GEOSEARCHSTORE d s FROMMEMBER m BYRADIUS 1 m", "d:w s:r"),
        ("ZRANGESTORE d s 0 1", "d:w s:r"),
    ]);
}

#[test]
fn xread_reads_the_first_half_of_its_streams() {
    assert_keys(&[
        ("XREAD STREAMS a b 0 0", "a:r b:r"),
        ("XREAD BLOCK 0 COUNT 2 streams a 0", "a:r"),
        ("XREADGROUP GROUP g c STREAMS a b > >", "a:r b:r"),
        ("XREADGROUP GROUP g c COUNT 1 NOACK STREAMS a >", "a:r"),
        ("XREAD STREAMS STREAMS 0", "STREAMS:r"),
    ]);
    assert_unknown(&[
        "XREAD STREAMS a b 0",
        "XREAD COUNT STREAMS STREAMS a 0",
        "XREAD STREAMX a 0 STREAMS b 0",
        "XREAD COUNT 1 NOTHING x",
        "XREADGROUP GROUP g STREAMS COUNT 1 NOACK a b",
        "XREADGROUP NOACK GROUP g STREAMS STREAMS a >",
    ]);
}

#[test]
fn other_stream_commands_have_one_key() {
    assert_keys(&[
        ("XADD k * f v", "k:w"),
        ("XAUTOCLAIM k g c 0 0", "k:w"),
        ("XINFO STREAM k", "k:r"),
        ("XGROUP CREATE k g 0 MKSTREAM", "k:w"),
        ("XSETID k 0-1", "k:w"),
        ("XTRIM k MAXLEN 0", "k:w"),
    ]);
}

#[test]
fn counted_keys_are_exactly_as_many_as_the_count() {
    assert_keys(&[
        ("ZUNION 2 a b WEIGHTS 1 2", "a:r b:r"),
        ("ZINTER 1 a", "a:r"),
        ("ZDIFF 2 a b", "a:r b:r"),
        ("ZUNIONSTORE d 2 a b", "d:w a:r b:r"),
        ("ZINTERSTORE d 1 a AGGREGATE MAX", "d:w a:r"),
        ("ZDIFFSTORE d 2 a b", "d:w a:r b:r"),
        ("ZINTERCARD 2 a b LIMIT 1", "a:r b:r"),
        ("SINTERCARD 2 a b LIMIT 1", "a:r b:r"),
        ("LMPOP 2 a b LEFT", "a:rw b:rw"),
        ("BLMPOP 0 2 a b LEFT COUNT 1", "a:rw b:rw"),
        ("ZMPOP 1 a MIN", "a:rw"),
        ("BZMPOP 0 1 a MAX", "a:rw"),
    ]);
}

#[test]
fn a_count_that_is_none_or_does_not_fit_leaves_the_keys_unknown() {
    assert_unknown(&[
        "ZUNION 3 a b",
        "ZUNIONSTORE d 99 z",
        "ZUNIONSTORE d x z",
        "LMPOP 0 z LEFT",
        "LMPOP -1 z LEFT",
        "LMPOP 01 z LEFT",
        "LMPOP +1 z LEFT",
        "LMPOP 18446744073709551617 z LEFT",
        "BLMPOP 0 4 a b LEFT",
        "SINTERCARD 1a a b",
        "EVAL s 99 k",
        "EVAL s -1 k",
        "EVAL s k",
        "FCALL f 2 a",
    ]);
}

#[test]
fn scripts_may_have_no_keys() {
    assert_keys(&[
        ("EVAL s 0 argument", ""),
        ("EVAL s 2 a b argument", "a:rw b:rw"),
        ("EVALSHA s 1 a", "a:rw"),
        ("EVAL_RO s 1 a", "a:r"),
        ("EVALSHA_RO s 0", ""),
        ("FCALL f 1 a x", "a:rw"),
        ("FCALL_RO f 1 a", "a:r"),
    ]);
}

#[test]
fn migrate_takes_its_one_key_and_all_behind_the_option_keys() {
    assert_keys(&[
        ("MIGRATE h 1 k 0 1", "k:rw"),
        ("MIGRATE h 1 k 0 1 COPY REPLACE AUTH2 u p", "k:rw"),
        ("MIGRATE h 1 _ 0 1 KEYS a b", "a:rw b:rw"),
        ("MIGRATE h 1 k 0 1 KEYS a", "k:rw a:rw"),
        ("MIGRATE h 1 _ 0 1 AUTH keys KEYS a", "a:rw"),
        ("MIGRATE h 1 _ 0 1 AUTH2 keys KEYS keys KEYS", "KEYS:rw"),
        ("MIGRATE h 1 k 0 1 AUTH keys", "k:rw"),
    ]);
    assert_unknown(&[
        "MIGRATE h 1 _ 0 1",
        "MIGRATE h 1 _ 0 1 COPY",
        "MIGRATE h 1 k 0 1 COPYING KEYS a",
        "MIGRATE h 1 _ 0 1 KEYS",
    ]);
}

#[test]
fn source_and_destination_differ() {
    assert_keys(&[
        ("COPY a b", "a:r b:w"),
        ("COPY a b DB 1 REPLACE", "a:r b:w"),
        ("RENAME a b", "a:rw b:w"),
        ("RENAMENX a b", "a:rw b:w"),
        ("RPOPLPUSH a b", "a:rw b:w"),
        ("BRPOPLPUSH a b 0", "a:rw b:w"),
        ("LMOVE a b LEFT RIGHT", "a:rw b:w"),
        ("BLMOVE a b LEFT RIGHT 0", "a:rw b:w"),
        ("SMOVE a b m", "a:rw b:w"),
        ("PFCOUNT a b", "a:r b:r"),
        ("PFMERGE d a b", "d:rw a:r b:r"),
        ("SUNIONSTORE d a b", "d:w a:r b:r"),
    ]);
}

#[test]
fn a_destination_without_sources_is_a_key_all_the_same() {
    assert_keys(&[("PFMERGE d", "d:rw")]);
}

#[test]
fn keys_that_are_only_named_need_neither_reading_nor_writing() {
    assert_keys(&[
        ("EXISTS a b", "a:- b:-"),
        ("TYPE a", "a:-"),
        ("WATCH a b", "a:- b:-"),
        ("TOUCH a", "a:-"),
        ("STRLEN a", "a:-"),
        ("OBJECT ENCODING a", "a:-"),
        ("MEMORY USAGE a", "a:-"),
        ("OBJECT HELP", ""),
    ]);
}

#[test]
fn deleting_is_writing() {
    assert_keys(&[
        ("DEL a b", "a:w b:w"),
        ("UNLINK a", "a:w"),
        ("DUMP a", "a:r"),
        ("RESTORE a 0 x", "a:w"),
        ("LPOP a", "a:rw"),
        ("BLPOP a b 0", "a:rw b:rw"),
        ("BZPOPMIN a b 0", "a:rw b:rw"),
    ]);
}

#[test]
fn channels_are_no_keys() {
    assert_keys(&[("SPUBLISH c m", ""), ("SSUBSCRIBE c", ""), ("SUNSUBSCRIBE c", ""), ("PUBLISH c m", "")]);
}

#[test]
fn commands_that_only_valkey_has_are_covered() {
    let table = CommandTable::builtin(Dialect::Valkey91);
    for (request, keys) in [
        ("MSETEX 2 a 1 b 2 EX 10", "a:w b:w"),
        ("DELIFEQ a v", "a:w"),
        ("HGETEX a EX 10 FIELDS 1 f", "a:rw"),
        ("HTTL a FIELDS 1 f", "a:r"),
        ("HEXPIRE a 10 FIELDS 1 f", "a:w"),
    ] {
        assert_eq!(keys_of(&table, request).as_deref(), Ok(keys), "{request}");
    }
    for request in ["MSETEX 3 a 1 b", "MSETEX 0 a 1", "MSETEX 9 a 1"] {
        assert_eq!(keys_of(&table, request), Err(Unextractable), "{request}");
    }
}

#[test]
fn a_nul_where_an_option_word_could_be_leaves_the_keys_unknown() {
    assert_unknown(&[
        "SET k v GET\0x",
        "SORT k STORE\0 d",
        "SORT_RO k GET\0 w_*",
        "SORT_RO k BY\0x w_*",
        "GEORADIUS k 1 1 1 m STORE\0x d",
        "BITFIELD k SET\0 u8 0 1",
        "XREADGROUP GROUP g STREAMS\0 STREAMS a >",
        "MIGRATE h 1 k 0 1 KEYS\0 a",
    ]);
}

#[test]
fn a_nul_in_a_value_or_key_is_only_a_byte() {
    assert_keys(&[
        ("SET a\0b v\0w", "a\0b:w"),
        ("MIGRATE h 1 _ 0 1 KEYS a\0", "a\0:rw"),
        ("XREAD STREAMS a\0 0", "a\0:r"),
    ]);
}
