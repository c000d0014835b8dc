#!/usr/bin/env python3
"""Writes redis70.rs and valkey91.rs, beside this file, from what running servers say about their commands.

  generate.py --redis-server /usr/bin/redis-server --valkey-server PATH

Every fact comes from COMMAND (names, arity, flags, categories, key specs) and, for Valkey, from ACL DRYRUN of a user
that may only use database 1 (which commands need the selected database, or all of them).
"""
import argparse
import os
import shutil
import socket
import subprocess
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
FLAGS = """write readonly denyoom module admin pubsub noscript blocking loading stale skip_monitor skip_slowlog asking
fast no_auth may_replicate no_mandatory_keys no_async_loading no_multi movablekeys allow_busy""".split()
SAME = {"skip_commandlog": "skip_slowlog"}  # one flag, renamed by Valkey
KEY_FLAGS = "RO RW OW RM access update insert delete not_key incomplete variable_flags".split()


class Server:
    def __init__(self, binary, port):
        self.dir = tempfile.mkdtemp()
        self.process = subprocess.Popen(
            [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", self.dir],
            stdout=subprocess.DEVNULL,
        )
        for _ in range(100):
            try:
                self.socket = socket.create_connection(("127.0.0.1", port))
                break
            except OSError:
                time.sleep(0.05)
        self.file = self.socket.makefile("rb")

    def close(self):
        self.socket.close()
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.dir)

    def call(self, *args):
        parts = [str(a).encode() for a in args]
        self.socket.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts))
        return self.read()

    def read(self):
        line = self.file.readline()[:-2]
        kind, rest = line[:1], line[1:]
        if kind in b"+-":
            return rest.decode()
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else self.file.read(int(rest) + 2)[:-2].decode()
        return [self.read() for _ in range(int(rest))]


def pairs(flat):
    return dict(zip(flat[::2], flat[1::2]))


def key_spec(raw):
    spec = pairs(raw)
    begin, find = pairs(spec["begin_search"]), pairs(spec["find_keys"])
    b, f = pairs(begin["spec"]), pairs(find["spec"])
    begin_text = {
        "index": lambda: f"Begin::Index({b['index']})",
        "keyword": lambda: f"Begin::Keyword {{ word: Cow::Borrowed({rust_string(b['keyword'])}), start_from: {b['startfrom']} }}",
        "unknown": lambda: "Begin::Unknown",
    }[begin["type"]]()
    find_text = {
        "range": lambda: f"Find::Range {{ last: {f['lastkey']}, step: {f['keystep']}, limit: {f['limit']} }}",
        "keynum": lambda: f"Find::KeyNum {{ number: {f['keynumidx']}, first: {f['firstkey']}, step: {f['keystep']} }}",
        "unknown": lambda: "Find::Unknown",
    }[find["type"]]()
    unknown = set(spec["flags"]) - set(KEY_FLAGS)
    assert not unknown, unknown
    flags = " | ".join(f"K::{x.upper()}" for x in KEY_FLAGS if x in spec["flags"]) or "0"
    return f"KeySpec {{ flags: {flags}, begin: {begin_text}, find: {find_text} }}"


def rust_string(text):
    return '"' + text.replace('"', '\\"') + '"'


def database_need(server, name, arity):
    """Asks a user of database 1 alone, first from database 0, then from database 1."""
    if server is None or name in ("acl|dryrun", "select"):
        return "None"
    argv = name.split("|")
    argv += ["x"] * (abs(arity) - len(argv))
    answers = []
    for db in (0, 1):
        server.call("SELECT", db)
        answers.append("access database" in server.call("ACL", "DRYRUN", "probe", *argv))
    return {(False, False): "None", (True, False): "Selected", (True, True): "All"}[tuple(answers)]


def entries(commands, server, out):
    for raw in sorted(commands, key=lambda c: c[0]):
        name, arity, flags, _first, _last, _step, categories, _tips, specs, subcommands = raw
        flags = [SAME.get(f, f) for f in flags]
        unknown = set(flags) - set(FLAGS)
        assert not unknown, unknown
        flag_text = " | ".join(f"F::{f.upper()}" for f in FLAGS if f in flags) or "0"
        category_text = " | ".join("C::" + c[1:].upper() for c in categories) or "0"
        spec_text = ", ".join(key_spec(s) for s in specs)
        out.append(
            f"    Entry {{ name: {rust_string(name)}, arity: {arity}, flags: {flag_text}, categories: {category_text}, "
            f"database: DatabaseNeed::{database_need(server, name, arity)}, keys: &[{spec_text}] }},"
        )
        entries(subcommands, server, out)


def write(binary, port, title, file_name, with_databases):
    server = Server(binary, port)
    try:
        if with_databases:
            server.call("ACL", "SETUSER", "probe", "on", "+@all", "~*", "&*", "db=1")
        out = []
        entries(server.call("COMMAND"), server if with_databases else None, out)
    finally:
        server.close()
    text = f"""//! The commands of {title}. Written by generate.py; do not edit.
//!
//! Facts (names, arity, flags, categories, key specs) as the running server reports them through COMMAND; the server
//! is BSD-3-Clause software. A subcommand follows its container and is named `container|subcommand`.

use std::borrow::Cow;

use super::entry::{{C, Entry, F, K}};
use crate::command::database::DatabaseNeed;
use crate::command::keyspec::{{Begin, Find, KeySpec}};

#[rustfmt::skip]
pub(super) static COMMANDS: &[Entry] = &[
""" + "\n".join(out) + "\n];\n"
    with open(os.path.join(HERE, file_name), "w") as f:
        f.write(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--redis-server", default="/usr/bin/redis-server")
    parser.add_argument("--valkey-server", required=True)
    parser.add_argument("--port", type=int, default=7390)
    args = parser.parse_args()
    write(args.redis_server, args.port, "Redis 7.0", "redis70.rs", False)
    write(args.valkey_server, args.port + 1, "Valkey 9.1", "valkey91.rs", True)


main()
