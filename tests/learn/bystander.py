"""What a user who makes up 100,000 key shapes a second costs another one, with learn-file and without, in turn.

    bystander.py [SECONDS [ROUNDS]]          default: 25 seconds of each, 3 rounds
"""

import multiprocessing
import os
import pathlib
import statistics
import sys
import tempfile
import threading
import time

from made_up import MadeUp
from gate import HONEST, HOSTILE, Gate, Pipeline, encoded, make_certificates, redis_in

A_SECOND = 100_000
LOT = 500
LOTS = 400
# Stands in every name, to be another text each time it is sent.
SALT = b"@salt@@"
PAUSE = 0.002


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 25
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    os.umask(0o022)  # respgate refuses files that others can change
    lots = made_up_lots()
    with tempfile.TemporaryDirectory(prefix="respgate-bystander.") as name:
        folder = pathlib.Path(name)
        make_certificates(folder)
        gates = {"on": Gate(folder, "on"), "off": Gate(folder, "off", learns=False)}
        taken = {"on": [], "off": []}
        with redis_in(folder), gates["on"].running(), gates["off"].running():
            for number in range(rounds):
                # On first: so each writing of the file, once a minute, falls into a turn that is on.
                for learns, gate in gates.items():
                    rate, times = turn(gate, lots, seconds)
                    taken[learns].append(times)
                    print(f"round {number + 1}  learn-file {learns:3}  {rate:9,.0f} shapes/s  {told(times)}", flush=True)
            idle = {learns: told(alone(gate, 5)) for learns, gate in gates.items()}
    together = {learns: [time for times in turns for time in times] for learns, turns in taken.items()}
    for learns, times in together.items():
        print(f"all      learn-file {learns:3}  {told(times)}   without a flood: {idle[learns]}")
    for what, of in QUANTILES.items():
        ratios = [of(on) / of(off) for on, off in zip(taken["on"], taken["off"], strict=True)]
        print(f"{what:6} on / off: {of(together['on']) / of(together['off']):.2f}   of each round: {' '.join(f'{ratio:.2f}' for ratio in ratios)}")


QUANTILES = {
    "median": statistics.median,
    "p99": lambda times: statistics.quantiles(times, n=100)[98],
    "p99.9": lambda times: statistics.quantiles(times, n=1000)[998],
}


def told(times):
    quantiles = "  ".join(f"{what} {of(times) * 1e6:6.0f} us" for what, of in QUANTILES.items())
    return f"{quantiles}  most {max(times) * 1e3:5.1f} ms  ({len(times)})"


def made_up_lots():
    source = MadeUp(9)
    salt = SALT.decode()
    return [b"".join(encoded("SET", f"{salt}{source.shape()}", "x") for _ in range(LOT)) for _ in range(LOTS)]


def turn(gate, lots, seconds):
    """Shapes a second that came through, and the round trips of the bystander meanwhile."""
    sent = multiprocessing.Value("Q")
    flood = multiprocessing.Process(target=make_up, args=(gate, lots, seconds, sent))
    flood.start()
    times = alone(gate, seconds)
    flood.join()
    assert flood.exitcode == 0
    return sent.value / seconds, times


def alone(gate, seconds):
    times = []
    with gate.connect(HONEST) as client:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            started = time.perf_counter()
            client.sendall(encoded("GET", "bank:rate:eur"))
            assert client.recv(64).endswith(b"\r\n")
            times.append(time.perf_counter() - started)
            time.sleep(PAUSE)
    return times


def make_up(gate, lots, seconds, sent):
    """Never more than so many a second; fewer where they do not come through."""
    salt = int.from_bytes(os.urandom(4))
    with gate.connect(HOSTILE) as client:
        pipeline = Pipeline(client)
        threading.Thread(target=read_all, args=(client, pipeline), daemon=True).start()
        started = time.monotonic()
        while (elapsed := time.monotonic() - started) < seconds:
            due = elapsed * A_SECOND - sent.value
            if due < LOT:
                time.sleep((LOT - due) / A_SECOND)
                continue
            salt += 1
            client.sendall(lots[salt % LOTS].replace(SALT, b"%07x" % (salt % 16**7)))
            sent.value += LOT
        sent.value = pipeline.answered


def read_all(client, pipeline):
    pipeline.read_until(1 << 60)


if __name__ == "__main__":
    main()
