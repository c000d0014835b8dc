"""What is asked of each contender, and what one round of it finds."""

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import time

TICKS = os.sysconf("SC_CLK_TCK")
# Arguments of the load generator, benches/compare/load/main.rs.
SMALL, MEDIUM, LARGE = (["--size", size, "--keys", keys] for size, keys in ((64, 10_000), (16 << 10, 1_000), (1 << 20, 32)))
LOADS = {
    "64 B, 50 clients": ["requests", "--kind", "both", "--connections", 50, *SMALL],
    "64 B in pipelines of 16, 50 clients": ["requests", "--kind", "both", "--connections", 50, "--pipeline", 16, *SMALL],
    "16 KiB, 16 clients": ["requests", "--kind", "both", "--connections", 16, *MEDIUM],
    "GET of 1 MiB, 4 clients": ["requests", "--kind", "get", "--connections", 4, *LARGE],
    "SET of 1 MiB, 4 clients": ["requests", "--kind", "set", "--connections", 4, *LARGE],
    "Full handshakes, 8 at once": ["handshakes", "--connections", 8],
    "Resumed handshakes, 8 at once": ["handshakes", "--connections", 8, "--resume"],
}
IDLE = 1_000


class Loads:
    """`program` is the load generator, `redis` the process of the Redis that the proxies share."""

    def __init__(self, program, certs, redis):
        self.program, self.certs, self.redis = program, certs, redis

    def fill(self, contender):
        """Every key of all loads, so that each GET finds a value."""
        for values in (SMALL, MEDIUM, LARGE):
            with self.client(contender, "fill", *values):
                pass

    def round(self, contender, load, seconds):
        """What was done, and the CPU time of everybody between the two lines that the load generator says."""
        with self.client(contender, *LOADS[load], "--seconds", seconds) as client:
            hear(client, "begin")
            before = self.clocks(contender, client)
            hear(client, "end")
            after = self.clocks(contender, client)
            done = json.loads(client.stdout.readline())
        return figures(done, {clock: after[clock] - before[clock] for clock in before})

    def idle(self, contender):
        """KiB of memory for each of IDLE connections."""
        proxy, redis = self.parts(contender)
        before = resident(proxy), resident(redis)
        with self.client(contender, "idle", "--connections", IDLE) as client:
            hear(client, "idle")
            time.sleep(0.5)
            after = resident(proxy), resident(redis)
        return {"proxy_kib": (after[0] - before[0]) / IDLE, "redis_kib": (after[1] - before[1]) / IDLE}

    @contextlib.contextmanager
    def client(self, contender, *arguments):
        command = [str(word) for word in (self.program, "--port", contender.port, "--certs", self.certs, *arguments)]
        client = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            yield client
            # The end of its standard input is what idle ones wait for.
            client.stdin.close()
            if client.wait() != 0:
                sys.exit(f"{contender.name}: the load generator has failed: {' '.join(command)}")
        finally:
            client.kill()
            client.wait()

    def clocks(self, contender, client):
        proxy, redis = self.parts(contender)
        return {
            "wall": time.monotonic(),
            "proxy": sum(map(cpu_seconds, proxy)),
            "redis": sum(map(cpu_seconds, redis)),
            "client": cpu_seconds(client.pid),
            "machine": machine_seconds(),
        }

    def parts(self, contender):
        """The processes of the proxy, and those of Redis."""
        return ([], contender.pids()) if contender.is_redis else (contender.pids(), [self.redis.pid])


def hear(client, line):
    said = client.stdout.readline().strip()
    if said != line:
        sys.exit(f"the load generator says {said!r} instead of {line!r}: {' '.join(client.args)}")


def figures(done, spent):
    operations = done["operations"]
    if operations == 0:
        sys.exit("nothing was done in the measured time: try more --secs")
    other = spent["machine"] - spent["proxy"] - spent["redis"] - spent["client"]
    return {
        "operations": operations,
        "per_second": operations / spent["wall"],
        **{f"{who}_cpu_us": spent[who] * 1e6 / operations for who in ("proxy", "redis", "client")},
        "p50_us": done["p50"],
        "p99_us": done["p99"],
        "resumed_percent": done["resumed"] * 100 / operations,
        # Of one core. Clocks that tick differently may make it a little less than nothing.
        "other_percent": max(0, other * 100 / spent["wall"]),
    }


def cpu_seconds(pid):
    """User and system time of all its threads, those that have ended as well."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def machine_seconds():
    """Of all cores, without idling and waiting for disks."""
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, pathlib.Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / TICKS


def resident(pids):
    """KiB."""
    lines = (line for pid in pids for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
