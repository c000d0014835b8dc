#!/usr/bin/env python3
"""What the client's end costs: the CPU time of `respgate tunnel` and of stunnel for the same work, in turns. See docs/tunnel.md for the figures.

    cargo build --release
    benches/tunnel.py target/release/respgate [ROUNDS]

Starts a Redis, a respgate in front of it, and both client's ends, on unix sockets, to that respgate. redis-benchmark does the work through one of them
and then through the other, ROUNDS times (3). What counts is user and system time of the client's end, for one request or for one GiB; fails where
respgate's for one request is more than 0.6 of stunnel's.

Needs Python 3.9, redis-server, redis-benchmark, openssl 3 and stunnel4; Linux, for /proc.
"""

import contextlib
import os
import pathlib
import statistics
import subprocess
import sys

from servers import ended, running, wait_for

MOST = 0.6

# Name, arguments of redis-benchmark, requests, bytes that go through with each.
LOADS = [
    ("GET of 64 bytes, 50 clients", ["-t", "get", "-d", 64, "-c", 50], 200_000, None),
    ("SET of 16 KiB, 50 clients", ["-t", "set", "-d", 16 << 10, "-c", 50], 60_000, None),
    ("GET of 64 bytes, 50 clients, pipelines of 16", ["-t", "get", "-d", 64, "-c", 50, "-P", 16], 1_000_000, None),
    ("SET of 64 MiB, 1 client", ["-t", "set", "-d", 64 << 20, "-c", 1], 24, 64 << 20),
    ("GET of 64 MiB, 1 client", ["-t", "get", "-d", 64 << 20, "-c", 1], 24, 64 << 20),
]


def main():
    respgate = pathlib.Path(sys.argv[1]).resolve()
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    with running(respgate, lambda folder, port: prepare(folder, respgate, port)) as (_, folder, port):
        with tunnel(respgate, folder, port) as ours, stunnel(folder, port) as theirs:
            ends = {"respgate": (ours, folder / "respgate.sock"), "stunnel": (theirs, folder / "stunnel.sock")}
            for _, path in ends.values():
                wait_for(path)
            ratios = [(measure(load, ends, rounds), load[3]) for load in LOADS]
    return 0 if all(ratio <= MOST for ratio, size in ratios if size is None) else 1


def measure(load, ends, rounds):
    name, arguments, requests, size = load
    # For GET there has to be something to get.
    fill(arguments, ends["respgate"][1])
    spent = {end: [] for end in ends}
    for _ in range(rounds):
        for end, (process, path) in ends.items():
            before = cpu_seconds(process.pid)
            benchmark(path, requests, arguments)
            spent[end].append(cpu_seconds(process.pid) - before)
    unit, divisor = ("s/GiB", requests * size / (1 << 30)) if size else ("µs/request", requests / 1e6)
    medians = {end: statistics.median(seconds) / divisor for end, seconds in spent.items()}
    ratio = statistics.median(ours / theirs for ours, theirs in zip(spent["respgate"], spent["stunnel"]))
    print(f"{name}: respgate {medians['respgate']:.2f} {unit}, stunnel {medians['stunnel']:.2f}, ratio {ratio:.2f}", flush=True)
    return ratio


def fill(arguments, path):
    if "get" in arguments:
        benchmark(path, 1, ["set" if argument == "get" else argument for argument in arguments])


def benchmark(path, requests, arguments):
    command = ["redis-benchmark", "-s", path, "-n", requests, "-q", *arguments]
    output = subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True).stdout
    if "requests per second" not in output:
        sys.exit(f"redis-benchmark did nothing: {output}")


def cpu_seconds(pid):
    """User and system time of all its threads, those that have ended as well."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def prepare(folder, respgate, port):
    def cert(*arguments):
        subprocess.run([respgate, "cert", "--dir", folder / "ca", *arguments], check=True, capture_output=True)

    cert("ca")
    cert("server", "localhost")
    cert("client", "shop")
    (folder / "users.acl").write_text("user shop on +@all ~* &*\n")
    (folder / "users.acl").chmod(0o600)
    (folder / "respgate.toml").write_text(
        f'''listen = "127.0.0.1:{port}"
upstream = "unix:{folder}/redis.sock"
tls-cert-file = "ca/localhost.crt"
tls-key-file = "ca/localhost.key"
tls-ca-cert-file = "ca/ca.crt"
tls-auth-clients-user = "CN"
aclfile = "users.acl"
admin-listen = "off"
log-level = "warn"
'''
    )


def tunnel(respgate, folder, port):
    ca = folder / "ca"
    return started([
        respgate, "tunnel", f"--listen=unix:{folder}/respgate.sock", f"--connect=localhost:{port}",
        f"--tls-ca-cert-file={ca}/ca.crt", f"--tls-cert-file={ca}/shop.crt", f"--tls-key-file={ca}/shop.key",
        "--admin-listen=off", "--log-level=warn",
    ])  # fmt: skip


def stunnel(folder, port):
    ca, configuration = folder / "ca", folder / "stunnel.conf"
    configuration.write_text(
        f'''foreground = yes
pid =
debug = 4
[redis]
client = yes
accept = {folder}/stunnel.sock
connect = 127.0.0.1:{port}
CAfile = {ca}/ca.crt
verifyChain = yes
checkHost = localhost
cert = {ca}/shop.crt
key = {ca}/shop.key
socket = r:TCP_NODELAY=1
'''
    )
    return started(["stunnel", configuration])


@contextlib.contextmanager
def started(command):
    process = subprocess.Popen([str(word) for word in command])
    with ended(process):
        yield process


if __name__ == "__main__":
    sys.exit(main())
