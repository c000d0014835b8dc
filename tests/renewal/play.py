"""Plays time: see run.sh. Whatever reads a clock here reads one that is set forward; Redis has the real one."""

import argparse
import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

HOUR, DAY = 3600, 86_400


class Clock:
    """Days and hours from now. A process that runs sees it move; time that is measured for waiting stays real."""

    def __init__(self, folder):
        self.file = folder / "clock"
        self.set(0)

    def set(self, seconds):
        self.ahead = int(seconds)
        new = self.file.with_suffix(".new")
        new.write_text(f"+{self.ahead}\n")
        new.rename(self.file)

    def now(self):
        return time.time() + self.ahead

    def environment(self):
        library = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
        return os.environ | {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }


class Deployment:
    """An authority in a folder of its own, the proxy's files and each client's in theirs, and a Redis."""

    def __init__(self, respgate, folder, redis):
        folder.mkdir()
        self.respgate, self.folder, self.clock = respgate, folder, Clock(folder)
        self.pki, self.gate = folder / "pki", folder / "gate"
        self.gate.mkdir()
        self.port, self.metrics_port = free_port(), free_port()
        self.log, self.process, self.asker, self.clients = folder / "log", None, None, []
        (self.gate / "users.acl").write_text("user shop on +@all ~*\nuser ops on +@all ~*\n")
        (self.gate / "respgate.toml").write_text(f"""
listen = "127.0.0.1:{self.port}"
upstream = "unix:{redis}"
tls-cert-file = "server.crt"
tls-key-file = "server.key"
tls-ca-cert-file = "ca.crt"
tls-crl-file = "ca.crl"
tls-auth-clients-user = "CN"
aclfile = "users.acl"
admin-listen = "{self.gate}/admin.sock"
metrics-listen = "127.0.0.1:{self.metrics_port}"
log-format = "json"
""")

    def run(self, *arguments):
        command = [self.respgate, *arguments]
        return subprocess.run(command, env=self.clock.environment(), capture_output=True, text=True, timeout=120)

    def cert(self, *arguments):
        done = self.run("cert", "--dir", str(self.pki), *arguments)
        assert done.returncode == 0, (arguments, done)
        return done.stdout

    def issue(self, authority_days, server_days, clients, list_days=None):
        self.cert("ca", "--days", str(authority_days))
        self.cert("server", "localhost", "127.0.0.1", "--file", "server", "--days", str(server_days))
        if list_days:
            self.cert("crl", "--days", str(list_days))
        self.copy(self.gate, "ca.crt", "ca.crl", "server.crt", "server.key")
        for name, days in clients.items():
            self.cert("client", name, "--days", str(days))
            self.clients.append(name)
            (self.folder / name).mkdir()
            self.copy(self.folder / name, "ca.crt", f"{name}.crt", f"{name}.key")

    def copy(self, to, *files):
        """What differs is renamed into its place. Says whether anything was."""
        differing = [file for file in files if not same(self.pki / file, to / file)]
        for file in differing:
            shutil.copy(self.pki / file, to / f"{file}.new")
            (to / f"{file}.new").rename(to / file)
        return bool(differing)

    def start(self):
        self.process = subprocess.Popen(
            [self.respgate, "run", "--config", str(self.gate / "respgate.toml")],
            env=self.clock.environment(), stdout=subprocess.DEVNULL, stderr=self.log.open("a"),
        )
        until(lambda: self.run("health", "--admin-listen", f"{self.gate}/admin.sock").returncode == 0, "it is there")

    def stop(self):
        if self.process:
            self.process.terminate()
            assert self.process.wait(30) == 0
            self.process = None

    def reload(self):
        done = self.run("reload", "--admin-listen", f"{self.gate}/admin.sock")
        assert done.returncode == 0, done
        return done

    def ping(self, client):
        """Whether a client is served, and what it is told."""
        if self.asker is None:
            command = [sys.executable, "-B", str(Path(__file__).with_name("client.py"))]
            self.asker = subprocess.Popen(
                command, env=self.clock.environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        print(self.port, self.folder / client, file=self.asker.stdin, flush=True)
        said = self.asker.stdout.readline().strip()
        return said == client, said

    def all_are_served(self):
        for client in self.clients:
            is_served, said = self.ping(client)
            assert is_served, f"day {self.clock.ahead / DAY:.1f}: {client}: {said}"

    def check(self):
        clients = [f"--client-cert={self.folder / name / name}.crt" for name in self.clients]
        done = self.run("check", "--config", str(self.gate / "respgate.toml"), *clients)
        return done.stdout + done.stderr

    def lines(self, *words):
        lines = self.log.read_text().splitlines()
        return [line for line in lines if all(word in line for word in words)]

    def warnings(self):
        return [line for line in self.lines() if json.loads(line)["level"] in ("WARN", "ERROR")]

    def ends_in(self, file):
        """In seconds, as the metrics have it."""
        page = urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=30).read().decode()
        ends = re.findall(rf'^respgate_\w+_timestamp_seconds{{[^}}]*file="{file}"[^}}]*}} (\S+)$', page, re.M)
        assert ends, page
        return min(map(float, ends)) - self.clock.now()


def a_year_with_renewals(deployment):
    """The authority ends within the year, and whoever looks after it comes only on some days."""
    deployment.issue(authority_days=300, server_days=90, clients={"shop": 60, "ops": 397}, list_days=30)
    deployment.start()
    renewed, authority_since, restarts = 0, None, 0
    for day in range(366):
        deployment.clock.set(day * DAY)
        done = deployment.run("cert", "--dir", str(deployment.pki), "renew", "--within", "30d")
        renewed += done.stdout.count("renewed: ")
        needs_authority = "respgate cert renew ca" in done.stderr
        assert (done.returncode == 0) is not needs_authority, done
        if needs_authority and authority_since is None:
            assert day >= 269, done
            authority_since = day
        if authority_since is not None and day == authority_since + 3:
            print("  day", day, deployment.cert("renew", "ca").splitlines()[0])
        changed = deployment.copy(deployment.gate, "server.crt", "server.key", "ca.crl")
        if authority_since is not None and day >= authority_since + 6:
            changed |= deployment.copy(deployment.gate, "ca.crt")
        for number, client in enumerate(deployment.clients):
            # Each gets the authority's certificate on another day, and its own as soon as it is there.
            if authority_since is not None and day >= authority_since + 4 + 9 * number:
                deployment.copy(deployment.folder / client, "ca.crt")
            deployment.copy(deployment.folder / client, f"{client}.crt", f"{client}.key")
        if day % 30 == 29:
            deployment.stop()
            deployment.start()
            restarts += 1
        elif changed:
            deployment.reload()
        deployment.all_are_served()
    assert authority_since is not None
    kept = list(deployment.pki.glob("*.*.crt"))
    assert len(kept) == renewed + 1, (kept, renewed)
    assert not deployment.warnings(), deployment.warnings()
    deployment.stop()
    print(f"  366 days, {renewed} renewals, {restarts} restarts: every client served on every day, and no warning")


def without_renewals(deployment):
    """Each end comes with a warning 14 days before, to a process that runs all the while, and is then told."""
    deployment.issue(authority_days=240, server_days=120, clients={"shop": 180}, list_days=60)
    deployment.start()
    began = time.time()
    days = {"ca.crl": 60, "server.crt": 120, "shop.crt": 180, "ca.crt": 240}

    def at(file, hours):
        deployment.clock.set(days[file] * DAY + hours * HOUR + began - time.time())

    def before(file, what):
        """Warned of in time, by the log, by check and by the metrics, and still served."""
        at(file, -14 * 24 - 1)
        settle()
        assert not deployment.lines('"expiry"', f'"{file}"'), deployment.warnings()
        assert what not in deployment.check()
        assert deployment.ends_in(file) > 14 * DAY
        at(file, -14 * 24 + 1)
        until(lambda: deployment.lines('"expiry"', '"soon"', f'"{file}"'), f"the log warns of {file}")
        assert re.search(rf"{what}.*expires in 13 days", deployment.check()), deployment.check()
        assert deployment.ends_in(file) < 14 * DAY
        deployment.all_are_served()
        at(file, -6 * 24 + 1)
        until(lambda: len(deployment.lines('"expiry"', '"soon"', f'"{file}"')) > 1, "and again")
        at(file, -1)
        deployment.all_are_served()

    def ended(file):
        at(file, 1)
        until(lambda: deployment.lines('"expiry"', '"ended"', f'"{file}"'), f"the log says that {file} has ended")
        assert deployment.ends_in(file) < 0

    before("ca.crl", "the CRL of")
    ended("ca.crl")
    assert "has expired" in deployment.check()
    refused(deployment, "revocation-list-expired")
    deployment.cert("crl")
    mended(deployment, deployment.gate, "ca.crl")
    print("  the CRL: warned of, ended, renewed")

    before("server.crt", "the server's certificate")
    ended("server.crt")
    is_served, said = deployment.ping("shop")
    assert not is_served and "verif" in said.lower(), said
    deployment.cert("renew", "server", "--days", "397")
    mended(deployment, deployment.gate, "server.crt", "server.key")
    print("  the server's certificate: warned of, ended, renewed")

    at("shop.crt", -14 * 24 - 1)
    assert "it expires in" not in deployment.check()
    at("shop.crt", -14 * 24 + 1)
    assert "it expires in 13 days" in deployment.check(), deployment.check()
    deployment.all_are_served()
    at("shop.crt", 1)
    refused(deployment, "expired")
    deployment.cert("renew", "--within", "30d", "--days", "397")
    mended(deployment, deployment.folder / "shop", "shop.crt", "shop.key")
    print("  a client's certificate: warned of by check, ended, renewed")

    before("ca.crt", "the CA ")
    deployment.stop()
    deployment.start()
    assert deployment.lines("the CA ", "expires in"), "a start warns as well"
    ended("ca.crt")
    refused(deployment, None)
    deployment.cert("renew", "ca", "server", "shop", "--days", "397")
    deployment.copy(deployment.folder / "shop", "ca.crt", "shop.crt", "shop.key")
    mended(deployment, deployment.gate, "ca.crt", "ca.crl", "server.crt", "server.key")
    print("  the authority: warned of, ended, renewed")
    deployment.stop()


def killed_at_every_step(deployment):
    """Whatever was written before, the old pair or the new one is there as a whole, and the next renewal succeeds."""
    deployment.issue(authority_days=3650, server_days=90, clients={"shop": 20})
    calls = "openat,write,fsync,fchmod,fchown,rename,unlink"
    for step in range(1, 1000):
        folder = deployment.folder / "killed"
        shutil.copytree(deployment.pki, folder)
        renew = [deployment.respgate, "cert", "--dir", str(folder), "renew"]
        kill = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"inject={calls}:signal=KILL:when={step}"]
        killed = subprocess.run([*kill, *renew, "shop"], capture_output=True, text=True)
        pairs = [path.with_suffix("") for path in folder.glob("shop*.crt")]
        assert any(fits(pair) for pair in pairs), (step, sorted(folder.iterdir()))
        again = subprocess.run([*renew, "--within", "30d"], capture_output=True, text=True)
        assert again.returncode == 0, (step, again)
        assert fits(folder / "shop"), step
        old = [path.with_suffix("") for path in folder.glob("shop.*.crt")]
        assert old and all(fits(pair) for pair in old), (step, sorted(folder.iterdir()))
        shutil.rmtree(folder)
        if killed.returncode == 0:
            print(f"  killed at each of {step - 1} system calls: a pair was always there, and the next renewal succeeded")
            return
    raise AssertionError("it never ends")


def refused(deployment, reason):
    is_served, said = deployment.ping("shop")
    assert not is_served, said
    if reason:
        until(lambda: deployment.lines('"handshake"', f'"{reason}"'), reason)


def mended(deployment, folder, *files):
    deployment.copy(folder, *files)
    deployment.reload()
    deployment.all_are_served()


def fits(pair):
    """Whether a certificate has the key beside it."""
    def public(*command):
        return subprocess.run(["openssl", *command], capture_output=True, text=True).stdout
    own = public("x509", "-noout", "-pubkey", "-in", f"{pair}.crt")
    return bool(own) and own == public("pkey", "-pubout", "-in", f"{pair}.key")


def settle():
    """Longer than the process takes to look at its calendar."""
    time.sleep(12)


def until(is_so, what):
    deadline = time.monotonic() + 120
    while not is_so():
        assert time.monotonic() < deadline, f"in vain: {what}"
        time.sleep(0.2)


def same(one, other):
    return other.exists() and one.read_bytes() == other.read_bytes()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@contextlib.contextmanager
def redis(folder):
    path = folder / "redis.sock"
    command = ["redis-server", "--port", "0", "--unixsocket", path, "--save", "", "--dir", folder]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        until(path.exists, "Redis is there")
        yield path
    finally:
        process.terminate()
        process.wait()


def main():
    scenes = {scene.__name__: scene for scene in (a_year_with_renewals, without_renewals, killed_at_every_step)}
    parser = argparse.ArgumentParser()
    parser.add_argument("--respgate", required=True)
    parser.add_argument("--stage", required=True, type=Path)
    parser.add_argument("scene", nargs="*", choices=[*scenes, []], help="all of them, if none is named")
    arguments = parser.parse_args()
    os.umask(0o077)
    with redis(arguments.stage) as path:
        for name in arguments.scene or scenes:
            print(f"\n== {name.replace('_', ' ')}", flush=True)
            deployment = Deployment(arguments.respgate, arguments.stage / name, path)
            try:
                scenes[name](deployment)
            except BaseException:
                if deployment.log.exists():
                    print("\n".join(deployment.warnings()[-20:]))
                raise
            finally:
                for process in filter(None, (deployment.process, deployment.asker)):
                    process.kill()
                    process.wait()


if __name__ == "__main__":
    main()
