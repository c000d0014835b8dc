"""A primary behind respgate, and a replica on another host, through a tunnel and with its own TLS."""

import functools
import re
import shutil
import socket
import ssl
import subprocess
import time

import redis
from lab import HERE, Lab, check, eventually, has_tls, played, raises, redis_server, respgate, step

FILES = HERE / "replication"
# Seconds: of either end of the link, which hears something each second.
REPL_TIMEOUT = 4
# Seconds: of respgate. A link without traffic outlives them.
GATE_TIMEOUT = 2


def play(way, lab):
    primary, replica = lab.hosts
    step(f"A replica {way}")
    pki = lab.authority("pki", ["replica"])
    lab.equip(pki, "ca.crt", "ca.crl", "replica.crt", "replica.key")
    for name in ("primary.conf", "gate.toml", "users.acl"):
        primary.copy(FILES / name)
    start_primary(primary)
    timeouts = [word for name in ("timeout", "auth-timeout", "request-timeout") for word in (f"--{name}", GATE_TIMEOUT)]
    primary.start("gate", respgate(), "run", "--config", "gate.toml", *timeouts)
    put(primary, "before")
    if way == "through a tunnel":
        replica.copy(FILES / "tunnel.toml")
        replica.start("tunnel", respgate(), "run", "--config", "tunnel.toml")
    start_replica(replica, way)
    follows(primary, replica, "a first full resynchronisation")
    print(f"  by {asked(primary)}")

    lab.enter()
    nothing_else(primary, pki)
    idle(primary, replica)
    cut(primary, replica)
    both_ways_of_snapshots(primary, replica, way)
    restart(primary, replica)
    revoke(primary, replica, pki)


def nothing_else(primary, pki):
    step("What else its certificate is good for")
    tls = {"ssl": True, "ssl_ca_certs": pki / "ca.crt", "ssl_certfile": pki / "replica.crt", "ssl_keyfile": pki / "replica.key"}
    client = redis.Redis(primary.address, 6380, **tls)
    refused = ["GET before", "SET before x", "DEL before", "KEYS *", "INFO", "CONFIG GET dir", "ACL LIST", "MONITOR", "FLUSHALL"]
    refused += ["REPLICAOF NO ONE", "SHUTDOWN NOSAVE", "EVAL return(1) 0", "CLUSTER SYNCSLOTS ACK"]
    allowed = [line for line in refused if not raises(client.execute_command, *line.split())]
    check(allowed == [] and client.ping(), f"PING, and none of {', '.join(refused)}")
    for line in ("GET before", "SET before x", "CONFIG GET dir", "PSYNC ? -1", "FLUSHALL"):
        before = calls(primary, line)
        context = ssl.create_default_context(cafile=pki / "ca.crt")
        context.load_cert_chain(pki / "replica.crt", pki / "replica.key")
        link = context.wrap_socket(socket.create_connection((primary.address, 6380), timeout=10), server_hostname=primary.address)
        link.sendall(b"PSYNC ? -1\r\n")
        said = link.recv(1 << 16)
        link.sendall(line.encode() + b"\r\n")
        while piece := link.recv(1 << 16):
            said += piece
        link.close()
        allowance = 1 if line.startswith("PSYNC") else 0
        is_refused = said.startswith(b"+FULLRESYNC") and calls(primary, line) == before + allowance
        check(is_refused, f"{line} behind PSYNC ends the link, and does not reach Redis")


def idle(primary, replica):
    step(f"Nobody writes for {3 * GATE_TIMEOUT} s, with timeouts of {GATE_TIMEOUT} s at respgate")
    before = syncs(primary)
    time.sleep(3 * GATE_TIMEOUT)
    check(syncs(primary) == before and is_up(replica), "the link is the one that was there")


def cut(primary, replica):
    step("The network between them fails")
    full, partial = syncs(primary)
    replica.lab.ip(replica.space, "link set eth0 down")
    put(primary, "while-cut")
    eventually("the primary to miss it", lambda: "connected_slaves:0" in info(primary))
    eventually("the replica to miss it", lambda: not is_up(replica))
    replica.lab.ip(replica.space, "link set eth0 up")
    follows(primary, replica, "the network is back")
    now_full, now_partial = syncs(primary)
    check(now_full == full and now_partial > partial, f"a partial resynchronisation: sync_partial_ok {partial} -> {now_partial}")


def both_ways_of_snapshots(primary, replica, way):
    for diskless in ("no", "yes"):
        step(f"A replica that has nothing, repl-diskless-sync {diskless}")
        replica.kill("redis")
        (replica.folder / "dump.rdb").unlink(missing_ok=True)
        primary.redis_cli("redis.sock", "CONFIG", "SET", "repl-diskless-sync", diskless)
        full, given_up = syncs(primary)[0], times_given_up(primary)
        # Each key takes time to load: all of them take longer than either end waits for a sign of life.
        slow = ["--key-load-delay", 3 * REPL_TIMEOUT * 1_000_000 // KEYS, "--loading-process-events-interval-bytes", 1024]
        start_replica(replica, way, *slow)
        follows(primary, replica, f"a full resynchronisation, and loading for {2 * REPL_TIMEOUT} s and more")
        is_one = syncs(primary)[0] == full + 1 and times_given_up(primary) == given_up
        check(is_one, f"one, and repl-timeout {REPL_TIMEOUT} has not ended it: sync_full {full} -> {full + 1}")


def restart(primary, replica):
    step("The primary is killed, and starts again")
    primary.kill("redis")
    eventually("the replica to miss it", lambda: not is_up(replica))
    start_primary(primary)
    follows(primary, replica, "it is back")


def revoke(primary, replica, pki):
    step("The certificate of the replica is revoked")
    primary.lab.respgate("cert", "revoke", "replica", "--dir", pki)
    fresh = primary.folder / "ca.crl.new"
    shutil.copy2(pki / "ca.crl", fresh)
    since = time.monotonic()
    fresh.rename(primary.folder / "ca.crl")
    eventually("the end of the link", lambda: "connected_slaves:0" in info(primary), pause=0.01)
    check(True, f"the link has ended after {time.monotonic() - since:.2f} s")
    put(primary, "revoked")
    eventually("it to be refused", lambda: 'reason="revoked"' in primary.log("gate"))
    eventually("the replica to know", lambda: not is_up(replica))
    check(get(replica, "revoked") == "", "it is not let in again, and has nothing that was written since")


# --- what either is asked and told

KEYS = 2000


def start_primary(host):
    host.start("redis", redis_server(), "primary.conf", *common())
    eventually(f"the Redis of {host.address}", lambda: host.redis_cli("redis.sock", "PING") == "PONG")


def start_replica(host, way, *more):
    name = "replica-tunnel.conf" if way == "through a tunnel" else "replica-tls.conf"
    host.copy(FILES / name)
    host.start("redis", redis_server(), name, *common(), *more)


def common():
    words = ["--repl-timeout", REPL_TIMEOUT, "--repl-ping-replica-period", 1]
    if "Valkey" in subprocess.run([redis_server(), "--version"], check=True, capture_output=True, text=True).stdout:
        words += ["--dual-channel-replication-enabled", "yes"]
    return words


def put(host, key):
    """This key, and enough others that loading them takes a while."""
    pipe = "".join(f"SET {key}:{number} x\r\n" for number in range(KEYS // 4)) + f"SET {key} is-there\r\n"
    subprocess.run(["redis-cli", "-s", host.folder / "redis.sock", "--pipe"], input=pipe, text=True, check=True, capture_output=True)


def get(host, key):
    return host.redis_cli("redis.sock", "GET", key)


def follows(primary, replica, why):
    key = f"now-{time.monotonic_ns()}"
    eventually(f"the link: {why}", lambda: is_up(replica))
    put(primary, key)
    eventually("what is written", lambda: get(replica, key) == "is-there")
    same = lambda: primary.redis_cli("redis.sock", "DBSIZE") == replica.redis_cli("redis.sock", "DBSIZE")
    eventually("all of it", same)
    check(True, f"{why}: it has all keys, and follows")


def info(host):
    return host.redis_cli("redis.sock", "INFO", "replication")


def is_up(host):
    return "master_link_status:up" in info(host)


def syncs(primary):
    """Full resynchronisations, and partial ones."""
    said = primary.redis_cli("redis.sock", "INFO", "stats")
    return tuple(int(re.search(rf"sync_{kind}:(\d+)", said)[1]) for kind in ("full", "partial_ok"))


def times_given_up(primary):
    """How often the primary took the replica for dead."""
    return primary.log("redis").count("Disconnecting timedout replica")


def calls(primary, line):
    """How often Redis has executed this command, or refused it."""
    name = line.split()[0].lower()
    said = primary.redis_cli("redis.sock", "INFO", "commandstats")
    return sum(map(int, re.findall(rf"cmdstat_{name}(?:\|\w+)?:calls=(\d+)", said)))


def asked(primary):
    return ", ".join(f"{calls(primary, name)} {name}" for name in ("PSYNC", "SYNC"))


for way in ["through a tunnel", *(["with its own TLS"] if has_tls() else [])]:
    played(functools.partial(play, way), Lab("replication", 2))
if not has_tls():
    print(f"{redis_server()} has no TLS of its own: left out")
