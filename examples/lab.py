"""Hosts in network namespaces on one switch, and what runs on them. Needs root and iproute2."""

import ctypes
import functools
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

import redis

CLONE_NEWNET = 0x40000000
HERE = pathlib.Path(__file__).resolve().parent


class Lab:
    """`hosts` hosts, 192.0.2.1 and so on, and this process at 192.0.2.100 among them once it has called `enter`."""

    def __init__(self, name, hosts):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"respgate-{name}-"))
        self.prefix = f"rg{os.getpid()}"
        self.processes = {}
        self.spaces = []
        self.switch = self.space("switch")
        self.ip(self.switch, "link add br0 type bridge")
        self.ip(self.switch, "link set br0 up")
        self.hosts = [Host(self, number) for number in range(1, hosts + 1)]
        self.client = self.space("client")
        self.plug(self.client, "192.0.2.100")

    def space(self, name):
        space = f"{self.prefix}-{name}"
        subprocess.run(["ip", "netns", "add", space], check=True)
        self.spaces.append(space)
        self.ip(space, "link set lo up")
        return space

    def plug(self, space, address):
        port = space.rsplit("-", 1)[1]
        self.ip(self.switch, f"link add {port} type veth peer name eth0 netns {space}")
        self.ip(self.switch, f"link set {port} master br0 up")
        self.ip(space, f"address add {address}/24 dev eth0")
        self.ip(space, "link set eth0 up")

    @staticmethod
    def ip(space, words):
        subprocess.run(["ip", "-n", space, *words.split()], check=True)

    def enter(self):
        """From here on this process connects from the client's namespace."""
        with open(f"/run/netns/{self.client}") as space:
            # os.setns came with Python 3.12.
            if ctypes.CDLL(None).setns(space.fileno(), CLONE_NEWNET) != 0:
                raise SystemExit("no way into the namespace of the client")

    def respgate(self, *words):
        """Runs respgate, and returns what it prints."""
        return subprocess.run([respgate(), *map(str, words)], check=True, capture_output=True, text=True).stdout

    def authority(self, name, clients):
        """An authority, and a certificate of it for each of these clients."""
        folder = self.folder / name
        self.respgate("cert", "ca", "--dir", folder, "--name", f"{name} of this lab")
        for client in clients:
            self.respgate("cert", "client", client, "--dir", folder)
        return folder

    def equip(self, authority, *names):
        """Gives each host a server certificate of the authority, and these files of it."""
        for host in self.hosts:
            server = f"server-{host.number}"
            self.respgate("cert", "server", host.address, "--file", server, "--dir", authority)
            for end in ("crt", "key"):
                shutil.copy2(authority / f"{server}.{end}", host.folder / f"server.{end}")
            for name in names:
                shutil.copy2(authority / name, host.folder / name)

    def end(self):
        for process in list(self.processes.values()):
            process.kill()
            process.wait()
        for space in self.spaces:
            subprocess.run(["ip", "netns", "delete", space])
        shutil.rmtree(self.folder)


class Host:
    """A namespace with a folder of its own, in which its processes run."""

    def __init__(self, lab, number):
        self.lab, self.number = lab, number
        self.address = f"192.0.2.{number}"
        self.folder = lab.folder / f"host{number}"
        self.folder.mkdir(mode=0o700)
        self.space = lab.space(f"h{number}")
        lab.plug(self.space, self.address)

    def copy(self, source, *more):
        """A file that is written for 192.0.2.1, for this host: with its own address where it listens or is announced."""
        lines = source.read_text().splitlines()
        is_own = lambda line: line.startswith("bind") or "listen" in line or "announce" in line
        own = lambda line: line.replace("192.0.2.1", self.address) if is_own(line) else line
        target = self.folder / source.name
        target.write_text("\n".join([*map(own, lines), *more]) + "\n")
        target.chmod(0o600)
        return target

    def start(self, name, *command, **variables):
        log = open(self.folder / f"{name}.log", "ab")
        command = ["ip", "netns", "exec", self.space, *map(str, command)]
        env = {**os.environ, **variables}
        process = subprocess.Popen(command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env)
        self.lab.processes[self.number, name] = process

    def kill(self, name):
        process = self.lab.processes.pop((self.number, name))
        process.send_signal(signal.SIGKILL)
        process.wait()

    def redis_cli(self, socket, *words):
        """Past respgate, as root of this host may."""
        command = ["redis-cli", "-s", self.folder / socket, *words]
        return subprocess.run(command, capture_output=True, text=True).stdout.strip()

    def announced(self, config, **variables):
        """What `respgate doctor` says on this host of where servers send others: how bad, of what, and the line."""
        command = ["ip", "netns", "exec", self.space, respgate(), "doctor", "--config", config, "--json"]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, env={**os.environ, **variables})
        found = [one for one in json.loads(done.stdout)["findings"] if one["id"] == "redis.announced"]
        return [(one["severity"], one["subject"], one.get("fix", {}).get("text")) for one in found]

    def announces_its_plain_port(self, setting, config, **variables):
        """Has the Redis of this host open a port without TLS, and announce it. What `respgate doctor` says, and as it was."""
        for name, value in (("port", 6379), (setting, 6379)):
            self.redis_cli("redis.sock", "CONFIG", "SET", name, str(value))
        own = lambda: [one for one in self.announced(config, **variables) if one[0] == "red"]
        found = eventually("it to be found", own)
        for name, value in (("port", 0), (setting, 6380)):
            self.redis_cli("redis.sock", "CONFIG", "SET", name, str(value))
        return found

    def log(self, name):
        return (self.folder / f"{name}.log").read_text(errors="replace")


def respgate():
    return os.environ.get("RESPGATE") or str(HERE.parent / "target/debug/respgate")


def redis_server():
    return os.environ.get("REDIS_SERVER") or "redis-server"


@functools.cache
def has_tls():
    """Whether that server was built with TLS: without certificates it refuses to start for one reason or the other."""
    command = [redis_server(), "--port", "0", "--tls-replication", "yes"]
    said = subprocess.run(command, capture_output=True, text=True, timeout=10)
    return "tls-cert-file" in said.stdout


def needs_tls():
    if not has_tls():
        raise SystemExit(f"{redis_server()} has no TLS, by which its servers reach each other")


def eventually(what, probe, seconds=60, pause=0.1):
    """Asks until the answer is true, and returns it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        answer = probe()
        if answer:
            return answer
        time.sleep(pause)
    raise SystemExit(f"FAILED: {what}")


def check(holds, what):
    if not holds:
        raise SystemExit(f"FAILED: {what}")
    print(f"  {what}", flush=True)


def step(title):
    print(f"\n== {title}", flush=True)


def accepts(address, port):
    try:
        socket.create_connection((address, port), timeout=2).close()
    except OSError:
        return False
    return True


def raises(call, *words):
    try:
        call(*words)
    except (redis.RedisError, OSError):
        return True
    return False


class Writer:
    """Writes one number after the other, and counts what was confirmed. `write` says whether it was."""

    def __init__(self, write):
        self.write_number, self.confirmed, self.failed, self.is_ended = write, [], 0, False
        self.thread = threading.Thread(target=self.write, daemon=True)
        self.thread.start()

    def write(self):
        number = 0
        while not self.is_ended:
            number += 1
            try:
                if self.write_number(number):
                    self.confirmed.append(number)
                    continue
            except (redis.RedisError, OSError):
                time.sleep(0.05)
            self.failed += 1

    def confirmed_now(self):
        return len(self.confirmed)

    def end(self):
        self.is_ended = True
        self.thread.join()
        return self.confirmed, self.failed


def played(play, lab):
    """Plays in the lab, and ends it. Where something did not hold, the logs are shown."""
    try:
        play(lab)
    except BaseException:
        show_logs(lab)
        raise
    finally:
        lab.end()
    print("\nAll of it held")


def show_logs(lab):
    for host in lab.hosts:
        for log in sorted(host.folder.glob("*.log")):
            print(f"--- {log}\n{log.read_text(errors='replace')[-800:]}", file=sys.stderr)
