#!/usr/bin/env python3
"""What a flood of wrong passwords does to everybody else.

    cargo build --release
    benches/password_flood.py target/release/respgate [SECONDS]

Starts a Redis and a respgate, measures the latency of one logged-in client at rest, then again while clients at several loopback addresses guess
passwords as fast as they are let, each on a new connection, from a process of their own. Prints both, how many guesses were made and how many of them were
computed, and the memory. On two quiet cores, which respgate, Redis, client and guessers share, three runs:
p99 4.30, 3.51 and 3.52 times that at rest (0.18 to 0.23 ms at rest, 0.65 to 0.80 ms then), at 1,471 to 1,476 guesses a second from 8 addresses. About half of it
is the guessers' own: the same flood at another server, beside the same respgate, made it 1.74, 2.25 and 1.74 times; a tenth of the guesses, 150 a second, 1.12
times. 66 hashes were computed each time in 10 s, where the limits allow a burst of 50 guesses at one user and 10 a second after it; 27.9 MiB, 26.9 MiB at rest.

Needs Python 3.9 and redis-server, nothing else; Linux, for the loopback addresses 127.0.0.2 to 127.0.0.9.
"""

import json
import multiprocessing
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time

from servers import request, running

ADDRESSES = [f"127.0.0.{last}" for last in range(2, 10)]
PASSWORD = "correct horse"


def main():
    respgate = pathlib.Path(sys.argv[1]).resolve()
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 10.0
    with running(respgate, lambda folder, port: configure(folder, respgate, port)) as (gate, folder, port):
        measure(gate, port, seconds)
        gate.send_signal(signal.SIGTERM)
        gate.wait(30)
        stopped = [json.loads(line) for line in (folder / "log").read_text().splitlines() if "hashes_computed" in line]
        print(f"password hashes computed by respgate: {stopped[0]['hashes_computed']}")


def configure(folder, respgate, port):
    made = subprocess.run([respgate, "hash-password"], input=PASSWORD, capture_output=True, text=True, check=True)
    (folder / "users.acl").write_text(f"user app on {made.stdout.strip()} +@all ~*\n")
    (folder / "respgate.toml").write_text(
        f'listen = "127.0.0.1:{port}"\ntls = "no"\nupstream = "unix:{folder}/redis.sock"\n'
        'aclfile = "users.acl"\nadmin-listen = "off"\nlog-format = "json"\nauth-timeout = "30s"\n'
    )


def measure(gate, port, seconds):
    client = log_in(port)
    quiet = latencies(client, seconds)
    memory = resident(gate.pid)
    flood = Flood(port)
    started = time.monotonic()
    flood.start()
    flooded = latencies(client, seconds)
    peak = resident(gate.pid)
    newcomer = time.monotonic()
    log_in(port)
    newcomer = time.monotonic() - newcomer
    sums = flood.end()
    lasted = time.monotonic() - started
    tell("quiet", quiet)
    tell("flood", flooded)
    print(f"p99 under the flood: {percentile(flooded, 99) / percentile(quiet, 99):.2f} times that at rest")
    print(f"{sum(sums) / lasted:.0f} guesses a second from {len(ADDRESSES)} addresses: {sums[0]} wrong, {sums[1]} throttled or busy")
    print(f"a login with the right password from another address in the middle of it took {newcomer * 1000:.0f} ms")
    print(f"memory: {memory / 1024:.1f} MiB at rest, {peak / 1024:.1f} MiB under the flood")


class Flood(multiprocessing.Process):
    """All guessers, in a process of their own: in that of the client they would keep the interpreter from it."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.over, self.sums = port, multiprocessing.Event(), multiprocessing.Queue()

    def run(self):
        guessers = [Guesser(self.port, address, self.over) for address in ADDRESSES for _ in range(4)]
        for guesser in guessers:
            guesser.start()
        for guesser in guessers:
            guesser.join()
        self.sums.put([sum(counts) for counts in zip(*(guesser.counts for guesser in guessers))])

    def end(self):
        """How many guesses were found wrong, and how many were not looked at."""
        self.over.set()
        return self.sums.get()


class Guesser(threading.Thread):
    """Makes one guess per connection until it is over; counts wrong passwords, and refusals to look at one."""

    def __init__(self, port, address, over):
        super().__init__(daemon=True)
        self.port, self.address, self.over = port, address, over
        self.counts = [0, 0]

    def run(self):
        number = 0
        while not self.over.is_set():
            number += 1
            try:
                with socket.create_connection(("127.0.0.1", self.port), source_address=(self.address, 0), timeout=30) as guess:
                    guess.sendall(request("AUTH", "app", f"{self.address} {self.ident} {number}"))
                    self.counts[0 if guess.recv(256).startswith(b"-WRONGPASS") else 1] += 1
            except OSError:
                self.counts[1] += 1
            # As fast as this machine's one interpreter allows would measure the interpreter.
            time.sleep(0.02)


def log_in(port):
    for _ in range(100):
        try:
            client = socket.create_connection(("127.0.0.1", port), timeout=30)
            break
        except OSError:
            time.sleep(0.05)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client.sendall(request("AUTH", "app", PASSWORD))
    assert client.recv(256) == b"+OK\r\n"
    return client


def latencies(client, seconds):
    ping, found, end = request("PING"), [], time.monotonic() + seconds
    while time.monotonic() < end:
        started = time.perf_counter()
        client.sendall(ping)
        client.recv(64)
        found.append(time.perf_counter() - started)
        time.sleep(0.001)
    return sorted(found)


def tell(what, found):
    print(f"{what}: p50 {percentile(found, 50) * 1000:.2f} ms, p99 {percentile(found, 99) * 1000:.2f} ms, {len(found)} requests")


def percentile(found, percent):
    return found[min(len(found) * percent // 100, len(found) - 1)]


def resident(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


main()
