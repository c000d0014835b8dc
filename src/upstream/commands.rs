//! The reply to COMMAND, plainly decoded.

use crate::command::{UpstreamBegin, UpstreamCommand, UpstreamFind, UpstreamKeySpec};
use crate::resp::Reply;

/// The entries of a COMMAND reply (RESP2). Entries that are not understood are left out: what is not known is refused.
pub(super) fn decode(reply: &Reply) -> Vec<UpstreamCommand> {
    items(reply).iter().filter_map(command).collect()
}

/// The names in a COMMAND INFO reply, in the order they were asked for, in lower case; `None` where there is nothing.
pub(super) fn names(info: &Reply) -> Vec<Option<String>> {
    items(info).iter().map(|entry| Some(text(items(entry).first()?)?.to_ascii_lowercase())).collect()
}

/// `[name, arity, [flags], first key, last key, step, [categories], [tips], [key specs], [subcommands]]`; what follows
/// the step came with later versions.
fn command(entry: &Reply) -> Option<UpstreamCommand> {
    let fields = items(entry);
    Some(UpstreamCommand {
        name: text(fields.first()?)?,
        arity: integer(fields.get(1)?)?,
        flags: texts(fields.get(2)?),
        first_key: integer(fields.get(3)?)?,
        last_key: integer(fields.get(4)?)?,
        step: integer(fields.get(5)?)?,
        categories: fields.get(6).map(texts).unwrap_or_default(),
        key_specs: fields.get(8).map(items).unwrap_or_default().iter().map(key_spec).collect(),
        subcommands: fields.get(9).map(items).unwrap_or_default().iter().filter_map(command).collect(),
    })
}

/// A map as RESP2 writes it: `[flags, [..], begin_search, [type, .., spec, [..]], find_keys, [type, .., spec, [..]]]`.
fn key_spec(entry: &Reply) -> UpstreamKeySpec {
    UpstreamKeySpec {
        flags: value(entry, "flags").map(texts).unwrap_or_default(),
        begin: value(entry, "begin_search").and_then(begin).unwrap_or(UpstreamBegin::Unknown),
        find: value(entry, "find_keys").and_then(find).unwrap_or(UpstreamFind::Unknown),
    }
}

fn begin(search: &Reply) -> Option<UpstreamBegin> {
    let spec = value(search, "spec")?;
    match text(value(search, "type")?)?.as_str() {
        "index" => Some(UpstreamBegin::Index { index: number(spec, "index")? }),
        "keyword" => Some(UpstreamBegin::Keyword {
            keyword: text(value(spec, "keyword")?)?,
            startfrom: number(spec, "startfrom")?,
        }),
        _ => None,
    }
}

fn find(keys: &Reply) -> Option<UpstreamFind> {
    let spec = value(keys, "spec")?;
    match text(value(keys, "type")?)?.as_str() {
        "range" => Some(UpstreamFind::Range {
            lastkey: number(spec, "lastkey")?,
            keystep: number(spec, "keystep")?,
            limit: number(spec, "limit")?,
        }),
        "keynum" => Some(UpstreamFind::KeyNum {
            keynumidx: number(spec, "keynumidx")?,
            firstkey: number(spec, "firstkey")?,
            keystep: number(spec, "keystep")?,
        }),
        _ => None,
    }
}

fn value<'a>(map: &'a Reply, key: &str) -> Option<&'a Reply> {
    items(map).chunks_exact(2).find(|pair| text(&pair[0]).as_deref() == Some(key)).map(|pair| &pair[1])
}

fn number(map: &Reply, key: &str) -> Option<i64> {
    integer(value(map, key)?)
}

fn items(reply: &Reply) -> &[Reply] {
    match reply {
        Reply::Array(items) | Reply::Set(items) => items,
        _ => &[],
    }
}

fn integer(reply: &Reply) -> Option<i64> {
    match reply {
        Reply::Integer(value) => Some(*value),
        _ => None,
    }
}

fn text(reply: &Reply) -> Option<String> {
    match reply {
        Reply::Bulk(bytes) => String::from_utf8(bytes.clone()).ok(),
        Reply::Simple(text) => Some(text.clone().into_owned()),
        _ => None,
    }
}

fn texts(reply: &Reply) -> Vec<String> {
    items(reply).iter().filter_map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulks(words: &[&str]) -> Reply {
        Reply::Array(words.iter().map(|word| Reply::bulk(*word)).collect())
    }

    #[test]
    fn an_entry_is_decoded_with_its_key_specs_and_subcommands() {
        let range = Reply::Array(vec![
            Reply::bulk("lastkey"),
            Reply::Integer(-1),
            Reply::bulk("keystep"),
            Reply::Integer(2),
            Reply::bulk("limit"),
            Reply::Integer(0),
        ]);
        let index = Reply::Array(vec![Reply::bulk("index"), Reply::Integer(1)]);
        let typed = |kind: &str, spec: Reply| {
            Reply::Array(vec![Reply::bulk("type"), Reply::bulk(kind), Reply::bulk("spec"), spec])
        };
        let spec = Reply::Array(vec![
            Reply::bulk("flags"),
            bulks(&["OW", "update"]),
            Reply::bulk("begin_search"),
            typed("index", index),
            Reply::bulk("find_keys"),
            typed("range", range),
        ]);
        let entry = |name: &str, subcommands: Vec<Reply>| {
            Reply::Array(vec![
                Reply::bulk(name),
                Reply::Integer(-3),
                bulks(&["write"]),
                Reply::Integer(1),
                Reply::Integer(-1),
                Reply::Integer(2),
                bulks(&["@write"]),
                bulks(&[]),
                Reply::Array(vec![spec.clone()]),
                Reply::Array(subcommands),
            ])
        };
        let commands = decode(&Reply::Array(vec![entry("mod.set", vec![entry("mod.set|sub", vec![])])]));
        let [command] = commands.as_slice() else { panic!("one command, not {commands:?}") };
        assert_eq!((command.name.as_str(), command.arity, command.step), ("mod.set", -3, 2));
        assert_eq!(
            (command.flags.as_slice(), command.categories.as_slice()),
            (&["write".into()][..], &["@write".into()][..])
        );
        assert_eq!(command.subcommands[0].name, "mod.set|sub");
        let spec = &command.key_specs[0];
        assert!(matches!(spec.begin, UpstreamBegin::Index { index: 1 }));
        assert!(matches!(spec.find, UpstreamFind::Range { lastkey: -1, keystep: 2, limit: 0 }));
    }

    #[test]
    fn an_entry_that_is_not_understood_is_left_out() {
        assert!(decode(&Reply::Array(vec![Reply::Array(vec![Reply::Integer(1)]), Reply::Null])).is_empty());
    }
}
