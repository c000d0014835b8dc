#!/usr/bin/env python3
"""1,000 reloads while clients work, half of them of something broken. See docs/reload.md for the figures.

    cargo build --release
    benches/reload.py target/release/respgate [RELOADS]

Starts a Redis and a respgate. Clients send pipelines, transactions, values of 1 MiB and messages to themselves, and come and go; each compares every
byte that it is sent with what it has to be. Meanwhile the ACL file, the server's certificate and key, the CRL and the configuration are replaced in turn,
by something right or by something broken, each followed by SIGHUP. Fails if a reply is missing or wrong, if a session ends, or if a reload does not end as it
has to.

Needs Python 3.9, redis-server and openssl 3, nothing else; Linux, for /proc.
"""

import json
import multiprocessing
import os
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time

from servers import bulk, request, running

ACL = "user bench on +@all ~* &*\n"
BLOCK = '[block]\ncommands = ["FLUSHALL"'


def main():
    respgate = pathlib.Path(sys.argv[1]).resolve()
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    with running(respgate, lambda folder, port: prepare(folder, respgate, port)) as (gate, folder, port):
        measure(gate, folder, port, count)


def prepare(folder, respgate, port):
    make_certificates(folder, respgate)
    replace(folder / "users.acl", ACL)
    configure(folder, port)


def measure(gate, folder, port, count):
    log = Log(folder / "log")
    number = log.outcome()["generation"]
    show("before any client", gate.pid)
    clients = [Client(kind, folder, port) for kind in (pipelines, pipelines, transactions, large_values, messages, newcomers)]
    for client in clients:
        client.begun.wait()
    show("clients at work", gate.pid)
    changes = list(make_changes(folder, port))
    took, wrong = {True: [], False: []}, 0
    for at in range(count):
        change, is_right = changes[at % len(changes)]
        change()
        started = time.perf_counter()
        gate.send_signal(signal.SIGHUP)
        outcome = log.outcome()
        took[is_right].append(time.perf_counter() - started)
        before, number = number, outcome["generation"]
        if (outcome["outcome"] == "done", number > before) != (is_right, is_right):
            wrong += 1
            print(f"reload {at + 1}, {change.__name__}: {outcome}")
        if (at + 1) % max(count // 5, 1) == 0:
            show(f"after {at + 1} reloads", gate.pid)
    results = [client.end() for client in clients]
    time.sleep(2)
    show("clients gone", gate.pid)
    for name, latencies in (("taken", took[True]), ("refused", took[False])):
        if latencies:
            print(f"{len(latencies)} {name}: {spread(latencies)} from SIGHUP to the line in the log")
    closed = [line for line in log.read_all() if line.get("event") == "close"]
    ended = [line for line in closed if line["side"] != "downstream"]
    failed = [result for result in results if result["error"]]
    for result in results:
        print(f"{result['kind']}: {result['replies']} replies checked, {result['connections']} connections{result['error']}")
    print(f"reloads that did not end as they had to: {wrong}; sessions that the proxy ended: {len(ended)} of {len(closed)}")
    print(f"clients that missed a reply or got a wrong one: {len(failed)} of {len(results)}")
    if wrong or ended or failed:
        sys.exit(1)


# What is replaced.


def make_changes(folder, port):
    """Ten changes, and whether each is right. The last one of each file is."""
    pki = folder / "pki"
    right, other = (pki / "localhost", pki / "spare")
    toggle = [False]

    def acl():
        toggle[0] = not toggle[0]
        replace(folder / "users.acl", ACL + ("user guest on +@read ~*\n" if toggle[0] else ""))

    def broken_acl():
        replace(folder / "users.acl", ACL + "user guest sometimes\n")

    def certificate():
        acl()
        pair = other if toggle[0] else right
        replace(folder / "server.crt", pair.with_suffix(".crt").read_bytes())
        replace(folder / "server.key", pair.with_suffix(".key").read_bytes())

    def garbage_certificate():
        replace(folder / "server.crt", "-----BEGIN CERTIFICATE-----\ngarbage\n-----END CERTIFICATE-----\n")

    def key_of_another():
        replace(folder / "server.crt", right.with_suffix(".crt").read_bytes())
        replace(folder / "server.key", other.with_suffix(".key").read_bytes())

    def crl():
        replace(folder / "ca.crl", (pki / "ca.crl").read_bytes())

    def half_a_crl():
        replace(folder / "ca.crl", (pki / "ca.crl").read_bytes()[:100])

    def configuration():
        toggle[0] = not toggle[0]
        configure(folder, port, ', "SWAPDB"]' if toggle[0] else "]")

    def broken_configuration():
        configure(folder, port, "")

    yield acl, True
    yield broken_acl, False
    yield acl, True
    yield garbage_certificate, False
    yield key_of_another, False
    yield certificate, True
    yield half_a_crl, False
    yield crl, True
    yield broken_configuration, False
    yield configuration, True


def replace(path, content):
    new = path.with_suffix(".new")
    new.write_bytes(content.encode() if isinstance(content, str) else content)
    new.chmod(0o600)
    new.rename(path)


def configure(folder, port, end="]"):
    replace(
        folder / "respgate.toml",
        f'listen = "127.0.0.1:{port}"\nupstream = "unix:{folder}/redis.sock"\naclfile = "users.acl"\n'
        'tls-cert-file = "server.crt"\ntls-key-file = "server.key"\ntls-ca-cert-file = "pki/ca.crt"\ntls-crl-file = "ca.crl"\n'
        f'tls-auth-clients-user = "CN"\nadmin-listen = "off"\nlog-format = "json"\nreload-interval = "1h"\n{BLOCK}{end}\n',
    )


def make_certificates(folder, respgate):
    pki = folder / "pki"
    for words in ("ca", "server localhost", "server spare localhost", "client bench", "client gone", "revoke gone"):
        subprocess.run([respgate, "cert", *words.split(), "--dir", pki], stdout=subprocess.DEVNULL, check=True)
    for name, source in (("server.crt", "localhost.crt"), ("server.key", "localhost.key"), ("ca.crl", "ca.crl")):
        shutil.copy(pki / source, folder / name)


# The clients: each a process that works until it is told to end.


class Client:
    def __init__(self, kind, folder, port):
        self.kind = kind
        self.begun, self.over, self.results = multiprocessing.Event(), multiprocessing.Event(), multiprocessing.Queue()
        self.process = multiprocessing.Process(target=self.work, args=(folder, port), daemon=True)
        self.process.start()

    def work(self, folder, port):
        result = {"kind": self.kind.__name__, "replies": 0, "connections": 0, "error": ""}
        try:
            for replies in self.kind(lambda: self.connect(folder, port, result)):
                result["replies"] += replies
                self.begun.set()
                if self.over.is_set():
                    break
        except (OSError, AssertionError) as error:
            result["error"] = f", then: {error!r}"
        self.begun.set()
        self.results.put(result)

    @staticmethod
    def connect(folder, port, result):
        for _ in range(100):
            try:
                plain = socket.create_connection(("127.0.0.1", port), timeout=30)
                break
            except ConnectionRefusedError:
                time.sleep(0.05)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        context = ssl.create_default_context(cafile=folder / "pki/ca.crt")
        context.load_cert_chain(folder / "pki/bench.crt", folder / "pki/bench.key")
        result["connections"] += 1
        return context.wrap_socket(plain, server_hostname="localhost")

    def end(self):
        self.over.set()
        result = self.results.get(timeout=60)
        self.process.join()
        return result


def pipelines(connect):
    client, number, key = connect(), 0, f"pipeline:{os.getpid()}"
    refused = b"-NOPERM this user has no permissions to run the 'flushall' command (blocked by respgate)\r\n"
    while True:
        number += 1
        value = f"{number}"
        client.sendall((request("SET", key, value) + request("GET", key) + request("ECHO", value) + request("FLUSHALL")) * 25)
        expect(client, (b"+OK\r\n" + bulk(value) + bulk(value) + refused) * 25)
        yield 100


def transactions(connect):
    client, number = connect(), 0
    while True:
        number += 1
        for args in (("MULTI",), ("SET", "t", f"{number}"), ("INCR", "count"), ("GET", "t")):
            client.sendall(request(*args))
            expect(client, b"+OK\r\n" if args == ("MULTI",) else b"+QUEUED\r\n")
        client.sendall(request("EXEC"))
        expect(client, b"*3\r\n+OK\r\n:%d\r\n%s" % (number, bulk(f"{number}")))
        yield 5


def large_values(connect):
    client, number = connect(), 0
    while True:
        number += 1
        value = f"{number % 10}" * (1 << 20)
        client.sendall(request("SET", "large", value))
        expect(client, b"+OK\r\n")
        client.sendall(request("GET", "large"))
        expect(client, bulk(value))
        yield 2


def messages(connect):
    subscriber, publisher, number = connect(), connect(), 0
    subscriber.sendall(request("SUBSCRIBE", "news"))
    expect(subscriber, b"*3\r\n" + bulk("subscribe") + bulk("news") + b":1\r\n")
    while True:
        number += 1
        publisher.sendall(request("PUBLISH", "news", f"{number}"))
        expect(publisher, b":1\r\n")
        expect(subscriber, b"*3\r\n" + bulk("message") + bulk("news") + bulk(f"{number}"))
        yield 2


def newcomers(connect):
    number = 0
    while True:
        number += 1
        with connect() as client:
            client.sendall(request("ECHO", f"{number}"))
            expect(client, bulk(f"{number}"))
        yield 1


def expect(client, expected):
    got = bytearray()
    while len(got) < len(expected):
        piece = client.recv(min(len(expected) - len(got), 1 << 16))
        assert piece, f"the end after {bytes(got[-80:])!r}"
        got += piece
    assert got == expected, f"{bytes(got[:80])!r} instead of {expected[:80]!r}"


# What is seen of the proxy.


class Log:
    def __init__(self, path):
        self.path, self.file, self.rest = path, open(path, "rb"), b""

    def outcome(self):
        """The next line about a reload as a whole. Only it has the number of a generation."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            self.rest += self.file.readline()
            if not self.rest.endswith(b"\n"):
                time.sleep(0.0005)
                continue
            line, self.rest = self.rest, b""
            if b'"event":"reload"' in line and b'"generation":' in line:
                return json.loads(line)
        raise TimeoutError("a reload without an outcome")

    def read_all(self):
        return [json.loads(line) for line in self.path.read_bytes().splitlines()]


def show(when, pid):
    status = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
    resident, highest = (int(status[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))
    descriptors = len(os.listdir(f"/proc/{pid}/fd"))
    print(f"{when}: {resident:.1f} MiB (at most {highest:.1f}), {descriptors} descriptors, {status['Threads'].strip()} threads")


def spread(latencies):
    ordered = sorted(latencies)
    at = lambda percent: ordered[min(len(ordered) * percent // 100, len(ordered) - 1)] * 1000
    return f"median {at(50):.1f}, p99 {at(99):.1f}, worst {at(100):.1f} ms"


main()
