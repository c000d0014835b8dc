//! The arrows between the modules, and what a pure file must not name. The sources themselves are the evidence.
//!
//! `docs/architecture.md` draws the same picture; when one changes, so does the other.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Which modules of ours each pure module may name. Itself always.
const ARROWS: &[(&str, &[&str])] = &[
    ("shell", &[]),
    ("origin", &[]),
    ("aging", &[]),
    ("resp", &[]),
    ("command", &[]),
    ("acl", &["command"]),
    ("identity", &[]),
    ("auth/hash", &["acl"]),
    ("auth/verify", &[]),
    ("auth/queue", &["origin"]),
    ("auth/throttle", &["origin", "aging"]),
    ("audit/limit", &["acl", "identity"]),
    ("audit/chain", &[]),
    ("preset", &["acl"]),
    ("learn", &["acl", "command"]),
    ("stunnel/conf", &[]),
    ("stunnel/address", &[]),
    ("stunnel/service", &[]),
    ("stunnel/translation", &[]),
    ("policy", &["acl", "command", "resp", "identity"]),
    ("doctor/judge", &["serve", "config", "tls", "acl", "command", "shell"]),
    ("init/plan", &["config", "preset", "acl", "command", "shell"]),
    ("session", &["policy", "learn", "acl", "command", "resp", "identity"]),
];

/// The stack: a module names those of its own storey no more than those above.
const STACK: &[&[&str]] = &[
    &["cli"],
    &["doctor", "init"],
    &["serve"],
    &["net"],
    &["tunnel"],
    &["audit"],
    &["metrics"],
    &["generation"],
    &["upstream"],
    &["session"],
    &["config"],
    &["preset"],
    &["stunnel"],
    &["policy"],
    &["learn"],
    &["auth"],
    &["pki"],
    &["tls"],
    &["acl"],
    &["command"],
    &["resp", "identity"],
    &["files", "shell"],
    &["permissions"],
    &["origin"],
    &["aging"],
    &["keepalive"],
];

/// What a pure file never names. Addresses are values and no sockets: the throttle counts by them, denials name them.
const IMPURE: &[&str] = &[
    "tokio",
    "rustls",
    "std::net",
    "std::fs",
    "std::thread",
    "async fn",
    "async move",
    ".await",
    "Instant::now",
    "SystemTime::now",
];

const VALUES: &[&str] = &["std::net::IpAddr", "std::net::SocketAddr", "std::net::Ipv4Addr", "std::net::Ipv6Addr"];

#[test]
fn every_module_that_has_arrows_exists() {
    for (module, _) in ARROWS {
        assert!(!files_of(module).is_empty(), "src/{module} is gone: the rules of this test guard nothing");
    }
}

#[test]
fn pure_modules_name_only_the_modules_below_them() {
    let mut crossings = Vec::new();
    for (module, below) in ARROWS {
        let own = module.split('/').next().unwrap();
        for file in files_of(module) {
            for named in modules_named_in(&file) {
                if named != own && !below.contains(&named.as_str()) {
                    crossings.push(format!("{}: crate::{named}", file.display()));
                }
            }
        }
    }
    assert_eq!(crossings, Vec::<String>::new());
}

#[test]
fn every_module_stands_in_the_stack_and_names_only_those_below_it() {
    let storey = |module: &str| STACK.iter().position(|storey| storey.contains(&module));
    let mut crossings = Vec::new();
    for file in rust_files(&src()) {
        let below_src = below_src(&file);
        let own = below_src.split(['/', '.']).next().unwrap();
        if ["main", "lib"].contains(&own) {
            continue;
        }
        let Some(own_storey) = storey(own) else { panic!("{own} stands nowhere") };
        for named in modules_named_in(&file) {
            if named != own && storey(&named).is_none_or(|storey| storey <= own_storey) {
                crossings.push(format!("{below_src}: crate::{named}"));
            }
        }
    }
    assert_eq!(crossings, Vec::<String>::new());
}

#[test]
fn the_modules_are_declared_in_the_order_of_the_stack() {
    let root = code(&src().join("lib.rs"));
    let declared: Vec<usize> = root
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'))
        .map(|module| STACK.iter().position(|storey| storey.contains(&module)).unwrap())
        .collect();
    assert!(declared.is_sorted() && declared.len() == STACK.concat().len(), "{declared:?}");
}

#[test]
fn the_crate_root_re_exports_nothing() {
    // A re-export would let a module be named by a path that the other tests do not see.
    let root = code(&src().join("lib.rs"));
    assert!(!root.contains("pub use") && !root.contains("pub(crate) use"), "{root}");
}

#[test]
fn pure_modules_re_export_nothing_from_outside_their_arrows() {
    for (module, below) in ARROWS {
        for file in files_of(module) {
            for statement in code(&file).split(';').filter(|statement| statement.contains("pub use crate::")) {
                let named = modules_in(statement);
                assert!(named.iter().all(|name| below.contains(&name.as_str())), "{}: {statement}", file.display());
            }
        }
    }
}

#[test]
fn pure_files_name_no_runtime_no_socket_no_file_and_no_clock() {
    let mut found = Vec::new();
    for (module, _) in ARROWS {
        for file in files_of(module) {
            let code = VALUES.iter().fold(expand_groups(&code(&file)), |code, value| code.replace(value, ""));
            found.extend(
                IMPURE.iter().filter(|word| names(&code, word)).map(|word| format!("{}: {word}", file.display())),
            );
        }
    }
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn the_files_of_a_session_name_each_other_in_no_circle() {
    let files: BTreeMap<Vec<String>, PathBuf> =
        rust_files(&src().join("session")).into_iter().map(|file| (module_path(&file), file)).collect();
    assert!(files.len() > 20, "{files:?}");
    // A parent declares its children, and what they add to it is theirs.
    let is_kin = |a: &[String], b: &[String]| a.starts_with(b) || b.starts_with(a);
    let mut named: BTreeMap<_, BTreeSet<_>> = files
        .iter()
        .map(|(module, file)| {
            let named = paths_in(&code(file), module).into_iter().filter_map(|path| {
                (0..=path.len()).rev().map(|len| path[..len].to_vec()).find(|path| files.contains_key(path))
            });
            (module.clone(), named.filter(|named| !is_kin(module, named)).collect())
        })
        .collect();
    while let Some(free) = named.iter().find(|(_, named)| named.is_empty()).map(|(module, _)| module.clone()) {
        named.remove(&free);
        named.values_mut().for_each(|named| named.retain(|other| *other != free));
    }
    assert_eq!(named, BTreeMap::new(), "what is left goes round in circles");
}

#[test]
fn no_part_of_a_session_shows_its_fields_to_other_files() {
    let is_field = |line: &str| {
        let words = line.trim_start().strip_prefix("pub(").and_then(|rest| rest.split_once(") "));
        words.is_some_and(|(_, rest)| rest.split_once(':').is_some_and(|(name, _)| !name.contains([' ', '('])))
    };
    let shown: Vec<_> = rust_files(&src().join("session"))
        .iter()
        .flat_map(|file| code(file).lines().filter(|line| is_field(line)).map(str::to_owned).collect::<Vec<_>>())
        .collect();
    assert_eq!(shown, Vec::<String>::new());
}

#[test]
fn x509_parsing_is_named_in_one_file_of_identity() {
    let files = files_naming("x509_parser");
    assert!(files.len() <= 1 && files.iter().all(|file| file.starts_with("identity/")), "{files:?}");
}

#[test]
fn pem_loading_is_named_in_one_file_of_tls() {
    let files = files_naming("rustls_pemfile");
    assert!(files.iter().all(|file| file == "tls/pem.rs"), "{files:?}");
}

#[test]
fn redis_protocol_is_named_by_resp_and_upstream_only() {
    let files = files_naming("redis_protocol");
    assert!(files.iter().all(|file| file.starts_with("resp/") || file.starts_with("upstream/")), "{files:?}");
}

#[test]
fn rustls_is_named_by_the_modules_that_own_connections_only() {
    let owners = ["tls/", "net/", "upstream/"];
    let files = files_naming("rustls");
    assert!(files.iter().all(|file| owners.iter().any(|owner| file.starts_with(owner))), "{files:?}");
}

#[test]
fn files_that_the_sources_include_are_there_where_the_image_is_built() {
    let root = fs::canonicalize(env!("CARGO_MANIFEST_DIR")).unwrap();
    let ignore = fs::read_to_string(root.join(".dockerignore")).unwrap();
    let sent: Vec<_> = ignore.lines().filter_map(|line| line.strip_prefix('!')).map(|path| root.join(path)).collect();
    let mut missing = BTreeSet::new();
    for file in rust_files(&src()) {
        for included in code(&file).split("include_str!(\"").skip(1) {
            let path = file.parent().unwrap().join(included.split('"').next().unwrap());
            let path = fs::canonicalize(path).unwrap();
            if !sent.iter().any(|sent| path.starts_with(sent)) {
                missing.insert(path);
            }
        }
    }
    assert!(missing.is_empty(), ".dockerignore keeps them out: {missing:?}");
}

#[test]
fn grouped_and_nested_imports_are_seen() {
    let code = "use crate::{acl::{User, texts}, net, self}; use super::x; let a = crate::tls::load();";
    assert_eq!(modules_in(code), ["acl", "net", "tls"].map(str::to_owned).into());
    assert!(names(&expand_groups("use std::{collections::HashMap, net::TcpStream};"), "std::net"));
    assert!(names(&expand_groups("use std::{fs, io};"), "std::fs"));
    assert!(!names("let my_tokio_like = 1;", "tokio"));
}

#[test]
fn comments_and_unit_tests_are_not_read() {
    let text = "//! tokio\nfn a() {} // rustls\n/* std::fs */\n#[cfg(test)]\nmod tests {\n use std::fs;\n}\n";
    assert_eq!(strip(text).split_whitespace().collect::<String>(), "fna(){}");
}

// --- reading the sources

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Every file of a module, given as a path below `src` without `.rs`; tests left out.
fn files_of(module: &str) -> Vec<PathBuf> {
    let mut files = rust_files(&src().join(module));
    files.extend(Some(src().join(format!("{module}.rs"))).filter(|file| file.is_file()));
    files
}

/// The files below a folder that are compiled outside of tests.
fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut files = Vec::new();
    for path in entries.map(|entry| entry.unwrap().path()).filter(|path| !is_test_only(path)) {
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// Whether a file or folder is declared by a `mod` that only tests have.
fn is_test_only(path: &Path) -> bool {
    let dir = path.parent().unwrap();
    let name = path.file_stem().unwrap().to_str().unwrap();
    let declares = |text: &str| text.contains(&format!("mod {name};"));
    [dir.join("mod.rs"), dir.with_extension("rs")]
        .iter()
        .filter_map(|parent| fs::read_to_string(parent).ok())
        .any(|parent| declares(&parent) && !declares(&strip(&parent)))
}

fn files_naming(word: &str) -> Vec<String> {
    let files = rust_files(&src());
    files.iter().filter(|file| names(&code(file), word)).map(|file| below_src(file)).collect()
}

fn below_src(file: &Path) -> String {
    file.strip_prefix(src()).unwrap().to_str().unwrap().to_owned()
}

fn code(file: &Path) -> String {
    strip(&fs::read_to_string(file).unwrap())
}

/// The code without comments and without `#[cfg(test)]` items.
///
/// String literals stay: a comment marker inside one would cut the line short, which can only hide what follows it in
/// that line.
fn strip(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("/*") {
        code.push_str(&rest[..start]);
        rest = rest[start..].split_once("*/").map_or("", |(_, after)| after);
    }
    code.push_str(rest);
    let code: String =
        code.lines().map(|line| line.split("//").next().unwrap()).flat_map(|line| [line, "\n"]).collect();
    without_tests(&code)
}

fn without_tests(code: &str) -> String {
    let Some((before, item)) = code.split_once("#[cfg(test)]") else { return code.to_owned() };
    let end = match (item.find(';'), item.find('{')) {
        (Some(semicolon), brace) if brace.is_none_or(|brace| semicolon < brace) => semicolon + 1,
        (_, Some(brace)) => brace + closing_brace(&item[brace..]),
        (_, None) => item.len(),
    };
    format!("{before}{}", without_tests(&item[end..]))
}

/// How far it is from an opening brace to the end of its block. Braces in literals come in pairs in our sources.
fn closing_brace(text: &str) -> usize {
    let mut depth = 0;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => continue,
        }
        if depth == 0 {
            return at + 1;
        }
    }
    text.len()
}

// --- reading paths

fn modules_named_in(file: &Path) -> BTreeSet<String> {
    modules_in(&code(file))
}

/// The top-level modules of this crate that are named, `use crate::{a::…, b}` included.
fn modules_in(code: &str) -> BTreeSet<String> {
    let ours =
        |name: &str| !name.is_empty() && (src().join(name).is_dir() || src().join(format!("{name}.rs")).is_file());
    let code = expand_groups(code);
    let paths = code.split("crate::").skip(1).chain(code.split("respgate::").skip(1));
    paths
        .map(|path| path.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>())
        .filter(|name| ours(name))
        .collect()
}

/// `a/b.rs` and `a/b/mod.rs` are `a::b`.
fn module_path(file: &Path) -> Vec<String> {
    let below = below_src(file);
    let path = below.strip_suffix("/mod.rs").or(below.strip_suffix(".rs")).unwrap();
    path.split('/').map(str::to_owned).collect()
}

/// The paths that code in `module` names, from the root of the crate, as far as they are of this crate.
fn paths_in(code: &str, module: &[String]) -> Vec<Vec<String>> {
    let paths = expand_groups(code);
    let paths =
        paths.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).filter(|path| path.contains("::"));
    paths
        .filter_map(|path| {
            let words: Vec<&str> = path.split("::").collect();
            let supers = words.iter().take_while(|word| **word == "super").count();
            let (base, rest) = match words[0] {
                "crate" => (&module[..0], &words[1..]),
                "self" => (module, &words[1..]),
                "super" => (&module[..module.len().checked_sub(supers)?], &words[supers..]),
                _ => return None,
            };
            Some(base.iter().cloned().chain(rest.iter().map(|word| (*word).to_owned())).collect())
        })
        .collect()
}

/// Writes `a::{b, c::{d, e}}` out as `a::b a::c::d a::c::e`, appended to the code.
fn expand_groups(code: &str) -> String {
    let mut written_out = code.to_owned();
    let mut at = 0;
    while let Some(open) = code[at..].find("::{").map(|found| at + found) {
        let prefix_start = code[..open].rfind(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
        let prefix = &code[prefix_start.map_or(0, |start| start + 1)..open];
        let block = &code[open + 2..open + 2 + closing_brace(&code[open + 2..])];
        for member in members(block) {
            written_out.push_str(&format!("\n{}", expand_groups(&format!("{prefix}::{member}"))));
        }
        at = open + 2 + block.len();
    }
    written_out
}

/// The members of a `{…}` group, split at its own commas only.
fn members(block: &str) -> Vec<String> {
    let inner = block.strip_prefix('{').and_then(|block| block.strip_suffix('}')).expect("a balanced group");
    let mut members = vec![String::new()];
    let mut depth = 0;
    for c in inner.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        match c {
            ',' if depth == 0 => members.push(String::new()),
            _ => members.last_mut().unwrap().push(c),
        }
    }
    members.into_iter().map(|member| member.trim().to_owned()).filter(|member| !member.is_empty()).collect()
}

/// Whether a word or path occurs as such, not as a part of a longer name.
fn names(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| {
        let part_of_name = |c: char| c.is_alphanumeric() || c == '_';
        let before = code[..at].chars().next_back().is_some_and(part_of_name);
        let after = code[at + word.len()..].chars().next().is_some_and(part_of_name);
        let starts_with_name = word.starts_with(part_of_name);
        !(after || before && starts_with_name)
    })
}
