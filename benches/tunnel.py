#!/usr/bin/env python3
"""What the client's end costs: the CPU time of `respgate tunnel` and of stunnel for the same work, in turns. See docs/tunnel.md for the figures.

    cargo build --release
    benches/tunnel.py target/release/respgate [ROUNDS]

Starts a Redis, a respgate in front of it, and both client's ends, on unix sockets, to that respgate. The same work is done through one of them
and then through the other, ROUNDS times (3): small requests by redis-benchmark, and those of 64 MiB here, since redis-benchmark moves all that is left
of a value in memory each time that it writes a part of it, which takes it seconds. What counts is user and system time of the client's end, for one
request or for one GiB; fails where respgate's is more than 0.6 of stunnel's.

Needs Python 3.9, redis-server, redis-benchmark, openssl 3 and stunnel4; Linux, for /proc.
"""

import contextlib
import functools
import os
import pathlib
import socket
import statistics
import subprocess
import sys

from servers import bulk, ended, request, running, wait_for

MOST = 0.6

BIG, TIMES = 64 << 20, 32

# Name, arguments of redis-benchmark, requests.
SMALL = [
    ("GET of 64 bytes, 50 clients", ["-t", "get", "-d", 64, "-c", 50], 200_000),
    ("SET of 16 KiB, 50 clients", ["-t", "set", "-d", 16 << 10, "-c", 50], 60_000),
    ("GET of 64 bytes, 50 clients, pipelines of 16", ["-t", "get", "-d", 64, "-c", 50, "-P", 16], 1_000_000),
]


def main():
    respgate = pathlib.Path(sys.argv[1]).resolve()
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    with running(respgate, lambda folder, port: prepare(folder, respgate, port)) as (_, folder, port):
        with tunnel(respgate, folder, port) as ours, stunnel(folder, port) as theirs:
            ends = {"respgate": (ours, folder / "respgate.sock"), "stunnel": (theirs, folder / "stunnel.sock")}
            for _, path in ends.values():
                wait_for(path)
            ratios = []
            for name, arguments, requests in SMALL:
                # For GET there has to be something to get.
                fill(arguments, ends["respgate"][1])
                work = functools.partial(benchmark, requests=requests, arguments=arguments)
                ratios.append(measure(name, work, "µs/request", requests / 1e6, ends, rounds))
            for name, work in (("SET of 64 MiB, 1 client", set_big), ("GET of 64 MiB, 1 client", get_big)):
                ratios.append(measure(name, work, "s/GiB", TIMES * BIG / (1 << 30), ends, rounds))
    return 0 if all(ratio <= MOST for ratio in ratios) else 1


def measure(name, work, unit, divisor, ends, rounds):
    spent = {end: [] for end in ends}
    for _ in range(rounds):
        for end, (process, path) in ends.items():
            before = cpu_seconds(process.pid)
            work(path)
            spent[end].append(cpu_seconds(process.pid) - before)
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


def set_big(path):
    ask(path, request("SET", "big", b"x" * BIG), len("+OK\r\n"))


def get_big(path):
    ask(path, request("GET", "big"), len(bulk(b"x" * BIG)))


def ask(path, asked, expected):
    """`expected` is how long an answer is. It is read in pieces of 64 KiB, as by redis-py."""
    buffer = bytearray(64 << 10)
    with socket.socket(socket.AF_UNIX) as application:
        application.connect(str(path))
        for _ in range(TIMES):
            application.sendall(asked)
            left = expected
            while left:
                count = application.recv_into(buffer)
                if count == 0:
                    sys.exit("the tunnel has ended")
                left -= count


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
