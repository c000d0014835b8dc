"""Users make up millions of key shapes beside one who does not: memory, learn-file and the suggested lines stay as they are.

    hostile.py [NAMES]          default: 13,600,000, of which ten million have a shape of their own
"""

import json
import multiprocessing
import os
import pathlib
import random
import sys
import tempfile
import time

from made_up import MARK, WORDS, Filler, MadeUp
from gate import FILLING, HONEST, HOSTILE, Gate, Pipeline, encoded, make_certificates, redis_in

PROCESSES = 2
LOT = 500
RATES = ["eur", "usd", "gbp"]
# Each of these stands alone in its place, and is asked for again and again.
SECRETS = ["4d61726b6564deadbeef00", f"ann@{MARK}", "441632960961", "bWFya2VkIHNlY3JldA"]
ALONE = [f"lock:{SECRETS[0]}", f"mail/{SECRETS[1]}", f"phone|{SECRETS[2]}", f"cookie.{SECRETS[3]}"]
MAY_BE_TOLD = {
    HOSTILE: WORDS,
    FILLING: {*Filler.FIRST, *Filler.OTHERS},
    HONEST: {"bank", "account", "rate", "session", "lock", "mail", "phone", "cookie", *RATES},
}

# What a gate may have grown by: MiB of memory over what it held when it began, MiB of the file, and KiB of the line with its comments.
MOST_MEMORY, MOST_FILE, MOST_LINE = 32, 4, 64
# MiB that the second half of the names may take on top of the first.
MOST_LATER = 4


def main():
    names = int(sys.argv[1]) if len(sys.argv) > 1 else 13_600_000
    os.umask(0o022)  # respgate refuses files that others can change
    with tempfile.TemporaryDirectory(prefix="respgate-hostile.") as name:
        folder = pathlib.Path(name)
        make_certificates(folder)
        with redis_in(folder):
            play(folder, names)


def play(folder, names):
    gate = Gate(folder, "wide")
    asked = multiprocessing.Array("Q", 3)
    # A restart in the middle goes on with the file, and takes as much memory again.
    for half in range(2):
        with gate.running():
            look(gate, half, names // 2, asked)
        check_file(gate)
    names, shapes, honest = asked
    print(f"asked  {names:,} names, {shapes:,} of them with a shape of their own; {honest:,} requests of the other user", flush=True)
    opened(folder, [suggested(gate, user) for user in (HOSTILE, FILLING, HONEST)])


def look(gate, half, names, asked):
    """Lets both of them work, and looks at the gate meanwhile."""
    before = gate.memory("VmRSS")
    done = multiprocessing.Event()
    sources = [(HOSTILE, MadeUp(PROCESSES * half + number), names // PROCESSES) for number in range(PROCESSES)]
    sources.append((FILLING, Filler(), names // 8))
    hostile = [multiprocessing.Process(target=make_up, args=(gate, *source, asked)) for source in sources]
    honest = multiprocessing.Process(target=bank, args=(gate, done, asked))
    for process in (*hostile, honest):
        process.start()
    at_half, read_at = None, 0
    while any(process.is_alive() for process in hostile):
        time.sleep(0.5)
        if at_half is None and asked[0] >= names * (half + 0.5):
            at_half = gate.memory("VmHWM")
        if gate.learnt.stat().st_mtime != read_at:
            read_at = gate.learnt.stat().st_mtime
            check_file(gate)
    done.set()
    honest.join()
    assert all(process.exitcode == 0 for process in (*hostile, honest))
    most, grown = gate.memory("VmHWM"), gate.memory("VmHWM") - before
    print(f"memory {before:.0f} MiB before, {at_half:.0f} after half of these names, {most:.0f} at most", flush=True)
    assert grown < MOST_MEMORY and most - at_half < MOST_LATER


def make_up(gate, user, source, count, asked):
    with gate.connect(user) as client:
        pipeline = Pipeline(client)
        for start in range(0, count, LOT):
            names = [source.name() for _ in range(min(LOT, count - start))]
            # Every other one is written, and some are channels too.
            requests = [encoded("SET", name, "x") if at % 2 else encoded("GET", name) for at, name in enumerate(names)]
            requests += [encoded("PUBLISH", name, "x") for name in names[:: LOT // 10]]
            pipeline.send(requests)
            with asked.get_lock():
                asked[0] += len(names)
        pipeline.finish()
    assert not pipeline.refused
    with asked.get_lock():
        asked[1] += source.shapes


def bank(gate, done, asked):
    with gate.connect(HONEST) as client:
        pipeline = Pipeline(client)
        # At least as often as it takes until all of it may be told.
        while not done.is_set() or pipeline.sent < 3000 * len(work()):
            pipeline.send(work())
            time.sleep(0.005)
        pipeline.finish()
    assert not pipeline.refused
    with asked.get_lock():
        asked[2] += pipeline.sent


def work():
    """What the honest user does."""
    account, session, rate = random.randrange(10**6), random.getrandbits(128), random.choice(RATES)
    return [
        encoded("SET", f"bank:account:{account}", "x"),
        encoded("GET", f"bank:account:{account}"),
        encoded("GET", f"bank:rate:{rate}"),
        encoded("SET", f"session:{session:032x}", "x"),
        encoded("GET", f"session:{session:032x}"),
        *[encoded("GET", name) for name in ALONE],
    ]


def check_file(gate):
    """Nothing is told in it but what is known to be alone in its place."""
    text = gate.learnt.read_text()
    assert len(text) < MOST_FILE << 20, f"{len(text)} bytes"
    assert not any(marked in text for marked in (MARK, *SECRETS)), text
    told = {user: set() for user in MAY_BE_TOLD}
    lines = [json.loads(line) for line in text.splitlines()][1:]
    for line in lines:
        name = line.get("key") or line.get("channel") or {"parts": []}
        told[line["user"]] |= {part[1:] for part in name["parts"] if part.startswith("=")}
    more = {user: parts - MAY_BE_TOLD[user] for user, parts in told.items()}
    assert not any(more.values()), more
    count = {user: (sum(line["user"] == user for line in lines), len(parts)) for user, parts in told.items()}
    said = "; ".join(f"{user} {lines} lines, {parts} parts told" for user, (lines, parts) in count.items())
    print(f"file   {len(text) >> 10} KiB: {said}", flush=True)


def suggested(gate, user):
    started = time.monotonic()
    suggestion = gate.suggest(user)
    took = time.monotonic() - started
    *comments, line = suggestion.splitlines()
    print(f"line   {len(line):,} characters, {len(comments)} of comments, after {took:.1f} s: {line[:140]}")
    assert len(suggestion) < MOST_LINE << 10, suggestion
    assert not any(marked in suggestion for marked in (MARK, *SECRETS)), suggestion
    return line


def opened(folder, lines):
    """Asks for names of the honest user under the lines that were suggested."""
    gate = Gate(folder, "narrow", "\n".join(["user default off", *lines, ""]))
    requests = [request for _ in range(2000) for request in work()]
    with gate.running():
        for user, refused in ((HOSTILE, len(requests)), (FILLING, len(requests)), (HONEST, 0)):
            with gate.connect(user) as client:
                pipeline = Pipeline(client)
                pipeline.send(requests)
                pipeline.finish()
            print(f"under  its line {user} is refused {pipeline.refused:,} of {len(requests):,} requests of the honest user")
            assert pipeline.refused == refused


if __name__ == "__main__":
    main()
