"""What answers on a host, as `respgate doctor --from-outside` says it. Started by outside.sh, in a network and a process space
of its own. Whoever answers is in that network, each at an address of its own; who looks is in another."""

import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import threading
import time

RESPGATE, STAGE = sys.argv[1], pathlib.Path(sys.argv[2])
NET = "192.0.2."
LOOKER = NET + "2"
# Nothing takes longer: src/doctor/outside/mod.rs has the sum. One second is for the program to start.
LONGEST = 16 + 1

OPEN, PASSWORD, PROTECTED, GATE, OPTIONAL, STUNNEL, STUNNEL_MTLS, HAPROXY, HTTP, TCP, MUTE, TRICKLE, BANNER, NOBODY, HOLE, NO_HOST, TLS_REDIS = (
    NET + str(number) for number in range(11, 28)
)


def main():
    network()
    certificates()
    serve()
    recorder = Recorder()

    step("An open Redis, one with a password, one in protected mode")
    for address, words in [
        (OPEN, "is a Redis that asks for no password"),
        (PASSWORD, "is a Redis that asks for a password"),
        (PROTECTED, "is a Redis in protected mode"),
    ]:
        look(address).expect("outside.redis", "red", words).expect("outside.gate", "unknown", f"{address}:6380 is closed")
    look(f"{OPEN}:6379").expect("outside.plaintext", "red", "is a Redis that asks for no password, without TLS")

    step("respgate, with a certificate and without")
    whole = look(GATE, *mine("shop"), status=0)
    for id, words in [
        ("outside.redis", ":6379 is closed"),
        ("outside.gate", "is respgate"),
        ("outside.plaintext", "does not answer without TLS"),
        ("outside.certificate", "refuses whoever has no certificate (certificate_required)"),
        ("outside.authority", "refuses a certificate of an unknown authority (unknown_ca)"),
        ("outside.versions", "refuses TLS 1.1 and older"),
        ("outside.name", "has a certificate of this name"),
        ("outside.commands", "refuses FLUSHALL"),
        ("outside.commands", "refuses CONFIG"),
    ]:
        whole.expect(id, "green", words)
    whole.expect_only("green")
    look("redis.example", *mine("shop"), addresses=[GATE]).expect_only("green")
    look(GATE, *mine("shop", ca="other/ca.crt")).expect("outside.name", "red", "does not stand up to --cacert")
    look("gate.example", *mine("shop"), addresses=[GATE]).expect("outside.name", "red", "not valid for name")
    bare = look(GATE, status=0)
    bare.expect("outside.gate", "unknown", "--cert FILE").expect("outside.commands", "unknown", "--cert FILE")
    bare.expect("outside.certificate", "green", "refuses").expect("outside.name", "unknown", "--cacert FILE")
    exempt = look(GATE, *mine("ops"))
    exempt.expect("outside.commands", "red", "allows FLUSHALL").expect("outside.commands", "red", "allows CONFIG")
    exempt.expect("outside.gate", "amber", "not respgate, or respgate without its blocklist")
    seen = look(GATE, *mine("nobody"), status=0)
    seen.expect("outside.gate", "green", "is respgate").expect("outside.commands", "unknown", "is a Redis that says")
    look(GATE, *mine("stranger", own="other")).expect("outside.commands", "unknown", "refuses this certificate")
    look(OPTIONAL).expect("outside.certificate", "amber", "for no more than a password")

    step("Its port 6379 filtered, and not closed")
    subprocess.run(["iptables", "-A", "INPUT", "-p", "tcp", "-d", GATE, "--dport", "6379", "-j", "DROP"], check=True)
    look(GATE, status=0).expect("outside.redis", "green", ":6379 is not let through to (no answer)")

    step("stunnel, with certificates and without")
    seen = look(STUNNEL, *mine("shop"))
    seen.expect("outside.certificate", "red", "without a certificate and without a password")
    seen.expect("outside.gate", "amber", "before a Redis and not respgate")
    seen.expect("outside.commands", "red", "allows FLUSHALL").expect("outside.commands", "red", "allows CONFIG")
    look(STUNNEL).expect("outside.certificate", "red", "without a certificate and without a password")
    seen = look(STUNNEL_MTLS, *mine("shop"))
    seen.expect("outside.certificate", "green", "refuses whoever has no certificate")
    seen.expect("outside.authority", "green", "refuses a certificate of an unknown authority")
    seen.expect("outside.gate", "amber", "not respgate").expect("outside.commands", "red", "allows FLUSHALL")

    step("HAProxy: with TLS 1.0 and careless about authorities, before HTTP, and without TLS")
    seen = look(HAPROXY, *mine("shop"))
    seen.expect("outside.versions", "amber", "speaks TLS 1.1")
    seen.expect("outside.authority", "red", "of an authority that this program has made up")
    seen.expect("outside.gate", "amber", "not respgate").expect("outside.commands", "red", "allows FLUSHALL")
    look(HTTP).expect("outside.gate", "amber", "behind it is no Redis")
    look(TCP).expect("outside.redis", "red", "is a Redis that asks for no password").expect("outside.gate", "unknown", "without a word")

    step("Redis's own TLS, on port 6379")
    seen = look(f"{TLS_REDIS}:6379", *mine("shop"))
    seen.expect("outside.redis", "green", "speaks TLS").expect("outside.certificate", "green", "refuses")
    seen.expect("outside.gate", "amber", "not respgate").expect("outside.commands", "red", "allows CONFIG")
    look(TLS_REDIS, status=0).expect("outside.certificate", "green", f"{TLS_REDIS}:6379 refuses")

    step("What says nothing, what never ends, what is something else")
    seen = look(MUTE, status=0)
    seen.expect("outside.redis", "unknown", "says nothing").expect("outside.gate", "unknown", "says nothing")
    seen = look(TRICKLE)
    seen.expect("outside.redis", "amber", "no Redis")
    seen = look(BANNER, status=0)
    seen.expect("outside.redis", "amber", "no Redis: it says \"SSH-2.0-x\"").expect("outside.gate", "amber", "neither TLS nor Redis")

    step("Nobody, a black hole, no host, no name")
    seen = look(NOBODY, status=0)
    seen.expect("outside.redis", "green", "is closed").expect("outside.gate", "unknown", "is closed")
    for address, words in [(HOLE, "(no answer)"), (NO_HOST, "cannot be reached")]:
        seen = look(address, status=0)
        seen.expect("outside.redis", "unknown", words).expect("outside.gate", "unknown", words).expect_only("unknown")
    look("nobody.example", status=0, addresses=[HOLE]).expect("outside.gate", "unknown", "name service does not answer")
    check(run("--fail-on", "unknown", "--from-outside", NOBODY).returncode == 1, "what is unknown can be a failure")

    step("What is asked for wrongly is said at once")
    for words, status in [
        (["--from-outside", "a b"], 2),
        (["--from-outside", GATE, "--config", "x"], 2),
        (["--from-outside", GATE, "--upstream", "127.0.0.1:6379"], 2),
        (["--from-outside", GATE, "--cert", "x"], 2),
        (["--cacert", "x"], 2),
        (["--from-outside", GATE, "--cacert", "missing.crt"], 78),
        (["--from-outside", GATE, "--cert", "ca/shop.crt", "--key", "ca/ops.key"], 78),
    ]:
        done = run(*words)
        check(done.returncode == status and done.stderr and not done.stdout, f"{words}: {done}")

    step("Nothing has changed, and nobody else was contacted")
    for name in ("open", "behind", "tls"):
        check(redis_cli(name, "GET", "mine") == "x", f"{name} has its data")
        check("cmdstat_config|set" not in redis_cli(name, "INFO", "commandstats"), f"{name} has its settings")
    check(recorder.contacted == EXPECTED, f"contacted: {recorder.contacted ^ EXPECTED}")


EXPECTED = set()


def look(place, *words, status=None, addresses=None):
    """Looks at it, and holds what that took against the longest that it may."""
    began = time.monotonic()
    done = run("--json", "--all", "--from-outside", place, *words)
    took = time.monotonic() - began
    EXPECTED.update(addresses or [place.split(":")[0]])
    check(done.stdout.startswith("{"), f"{place}: {done}")
    check(took < LONGEST, f"{place} took {took:.1f} s")
    report = json.loads(done.stdout)
    expected = (1 if report["red"] else 0) if status is None else status
    check(done.returncode == expected, f"{place}: exit {done.returncode}: {json.dumps(report, indent=1)}")
    print(f"{place:<22} {took:4.1f} s   " + ", ".join(f"{report[one]} {one}" for one in ("red", "amber", "unknown", "green")), flush=True)
    return Report(report)


def run(*words):
    command = ["ip", "netns", "exec", "outside", RESPGATE, "doctor", *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=STAGE, timeout=60)


def mine(name, own="ca", ca="ca/ca.crt"):
    return ["--cert", f"{own}/{name}.crt", "--key", f"{own}/{name}.key", "--cacert", ca]


class Report:
    def __init__(self, report):
        self.findings = report["findings"]

    def expect(self, id, severity, words):
        found = [one for one in self.findings if one["id"] == id]
        fits = [one for one in found if one["severity"] == severity and words in one["subject"]]
        check(fits, f"no {severity} {id} with {words!r}: {json.dumps(self.findings, indent=1)}")
        return self

    def expect_only(self, severity):
        check(all(one["severity"] == severity for one in self.findings), json.dumps(self.findings, indent=1))


class Recorder:
    """Every address that somebody in the other network sends to, seen at this end of the wire."""

    def __init__(self):
        self.contacted = set()
        self.wire = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0003))
        self.wire.bind(("inside", 0x0003))
        threading.Thread(target=self.record, daemon=True).start()

    def record(self):
        while True:
            packet, (_, protocol, *_) = self.wire.recvfrom(1 << 16)
            if protocol == 0x0800 and socket.inet_ntoa(packet[12:16]) == LOOKER:
                self.contacted.add(socket.inet_ntoa(packet[16:20]))
            elif protocol == 0x0806 and socket.inet_ntoa(packet[14:18]) == LOOKER:
                self.contacted.add(socket.inet_ntoa(packet[24:28]))


# --- the two networks


def network():
    ip("link", "set", "lo", "up")
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)
    ip("netns", "add", "outside")
    ip("link", "add", "inside", "type", "veth", "peer", "name", "wire", "netns", "outside")
    ip("link", "set", "inside", "up")
    for address in (NET + "1", *(NET + str(number) for number in range(11, 28))):
        if address not in (HOLE, NO_HOST):
            ip("addr", "add", f"{address}/24", "dev", "inside")
    outside("link", "set", "lo", "up")
    outside("addr", "add", f"{LOOKER}/24", "dev", "wire")
    outside("link", "set", "wire", "up")
    # What is sent there is on its way to a machine that does not exist.
    outside("neigh", "add", HOLE, "lladdr", "02:00:00:00:00:99", "dev", "wire")
    for path, text in [
        ("/etc/hosts", f"127.0.0.1 localhost\n{GATE} redis.example\n{GATE} gate.example\n"),
        ("/etc/resolv.conf", f"nameserver {HOLE}\n"),
        ("/etc/nsswitch.conf", "hosts: files dns\n"),
    ]:
        file = STAGE / pathlib.Path(path).name
        file.write_text(text)
        os.chmod(file, 0o644)
        subprocess.run(["mount", "--bind", str(file), path], check=True)


def ip(*words):
    subprocess.run(["ip", *words], check=True)


def outside(*words):
    ip("-n", "outside", *words)


# --- who answers


def certificates():
    os.umask(0o077)
    for words in (["ca"], ["server", "redis.example", GATE, "--file", "server"], ["client", "shop"], ["client", "ops"], ["client", "nobody"]):
        cert("ca", *words)
    for words in (["ca"], ["client", "stranger"]):
        cert("other", *words)
    pem = (STAGE / "ca/server.crt").read_text() + (STAGE / "ca/server.key").read_text()
    (STAGE / "ca/server.pem").write_text(pem)


def cert(folder, *words):
    subprocess.run([RESPGATE, "cert", "--dir", str(STAGE / folder), *words], check=True, stdout=subprocess.DEVNULL)


def serve():
    redis("open", f"bind {OPEN}\nport 6379\nprotected-mode no\n")
    redis("password", f"bind {PASSWORD}\nport 6379\nrequirepass 0f3c9a7be1d24586917c3b5d8e6f4a20\n")
    redis("protected", f"bind {PROTECTED}\nport 6379\nprotected-mode yes\n")
    redis("behind", f"bind {NET}1\nport 7000\nprotected-mode no\n")
    tls = "tls-cert-file ca/server.crt\ntls-key-file ca/server.key\ntls-ca-cert-file ca/ca.crt\n"
    redis("tls", f"bind {TLS_REDIS}\nport 0\ntls-port 6379\nprotected-mode no\n{tls}")
    users = "user shop on ~* &* +@all\nuser ops on ~* &* +@all\n"
    respgate("gate", GATE, users, "tls-auth-clients = \"yes\"")
    respgate("optional", OPTIONAL, users, "tls-auth-clients = \"optional\"")
    stunnel()
    haproxy()
    threading.Thread(target=listener, args=(MUTE, mute), daemon=True).start()
    threading.Thread(target=listener, args=(TRICKLE, trickle), daemon=True).start()
    threading.Thread(target=listener, args=(BANNER, banner), daemon=True).start()
    for name in ("open", "behind", "tls"):
        redis_cli(name, "SET", "mine", "x")
    for address, port in [
        (PASSWORD, 6379), (PROTECTED, 6379), (TLS_REDIS, 6379), (GATE, 6380), (OPTIONAL, 6380), (STUNNEL, 6380), (STUNNEL_MTLS, 6380),
        (HAPROXY, 6380), (HTTP, 6380), (TCP, 6379), (TCP, 6380), (MUTE, 6380), (TRICKLE, 6379), (BANNER, 6380),
    ]:
        wait_until(lambda: listens(address, port))


def redis(name, settings):
    text = f"{settings}unixsocket {STAGE}/{name}.sock\nsave \"\"\ndir {STAGE}\n"
    start(name, ["redis-server", "-"], text)
    wait_until(lambda: (STAGE / f"{name}.sock").exists())


def redis_cli(name, *words):
    done = subprocess.run(["redis-cli", "-s", str(STAGE / f"{name}.sock"), *words], capture_output=True, text=True)
    return done.stdout.strip()


def respgate(name, address, users, more):
    folder = STAGE / name
    folder.mkdir()
    for file in ("server.crt", "server.key", "ca.crt", "ca.crl"):
        shutil.copy(STAGE / "ca" / file, folder / file)
    (folder / "users.acl").write_text(users)
    (folder / "respgate.toml").write_text(
        f"""\
listen = "{address}:6380"
upstream = "unix:{STAGE}/behind.sock"
tls-cert-file = "server.crt"
tls-key-file = "server.key"
tls-ca-cert-file = "ca.crt"
tls-crl-file = "ca.crl"
{more}
tls-auth-clients-user = "CN"
aclfile = "users.acl"
admin-listen = "off"
[block]
exempt-users = ["ops"]
[[certificate]]
cn = "ops"
user = "ops"
"""
    )
    start(name, [RESPGATE, "run", "--config", str(folder / "respgate.toml")])


def stunnel():
    for name, address, more in [("stunnel", STUNNEL, ""), ("stunnel-mtls", STUNNEL_MTLS, f"CAfile = {STAGE}/ca/ca.crt\nverifyChain = yes\n")]:
        (STAGE / f"{name}.conf").write_text(
            f"foreground = yes\npid =\n[redis]\naccept = {address}:6380\nconnect = {NET}1:7000\ncert = {STAGE}/ca/server.pem\n{more}"
        )
        start(name, ["stunnel4", str(STAGE / f"{name}.conf")])


def haproxy():
    crt = f"ssl crt {STAGE}/ca/server.pem"
    old = "ssl-min-ver TLSv1.0 ciphers ALL:@SECLEVEL=0"
    (STAGE / "haproxy.cfg").write_text(
        f"""\
global
  ssl-default-bind-options no-tls-tickets
defaults
  mode tcp
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  retries 0
listen careless
  bind {HAPROXY}:6380 {crt} ca-file {STAGE}/ca/ca.crt verify optional ca-ignore-err all crt-ignore-err all {old}
  server redis {NET}1:7000
listen plain
  bind {TCP}:6379
  server redis {NET}1:7000
listen down
  bind {TCP}:6380
  server redis {NET}1:7999
listen web
  mode http
  bind {HTTP}:6380 {crt}
  server web {NET}1:7999
"""
    )
    start("haproxy", ["haproxy", "-db", "-f", str(STAGE / "haproxy.cfg")])


def listener(address, answer):
    servers = [socket.create_server((address, port)) for port in (6379, 6380)]
    for server in servers:
        threading.Thread(target=accept, args=(server, answer), daemon=True).start()


def accept(server, answer):
    while True:
        client = server.accept()[0]
        threading.Thread(target=answer, args=(client,), daemon=True).start()


def mute(client):
    time.sleep(60)


def trickle(client):
    try:
        while True:
            client.sendall(b"x")
            time.sleep(0.5)
    except OSError:
        pass


def banner(client):
    client.sendall(b"SSH-2.0-x\r\n")
    time.sleep(60)


def start(name, command, text=None):
    log = open(STAGE / f"{name}.log", "w")
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, cwd=STAGE)
    if text:
        process.stdin.write(text.encode())
    process.stdin.close()


def listens(address, port):
    try:
        socket.create_connection((address, port), timeout=1).close()
        return True
    except OSError:
        return False


# --- what is expected


def check(condition, words):
    if not condition:
        sys.exit(f"error: {words}")


def step(words):
    print(f"\n== {words}", flush=True)


def wait_until(condition):
    for _ in range(200):
        if condition():
            return
        time.sleep(0.05)
    logs = "\n".join(f"--- {log.name}\n{log.read_text()}" for log in sorted(STAGE.glob("*.log")))
    sys.exit(f"error: it did not come about\n{logs}")


main()
