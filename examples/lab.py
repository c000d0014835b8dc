"""Hosts in network namespaces on one switch, and what runs on them. Needs root and iproute2."""

import ctypes
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

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

    def certificates(self, clients):
        """An authority, a server certificate for each host, and one for each of these clients."""
        pki = self.folder / "pki"
        self.respgate("cert", "ca", "--dir", pki)
        for host in self.hosts:
            self.respgate("cert", "server", host.address, "--file", f"server-{host.number}", "--dir", pki)
        for client in clients:
            self.respgate("cert", "client", client, "--dir", pki)
        for host in self.hosts:
            for name in ["ca.crt", "ca.crl", *[f"{client}.{end}" for client in clients for end in ("crt", "key")]]:
                shutil.copy2(pki / name, host.folder / name)
            for end in ("crt", "key"):
                shutil.copy2(pki / f"server-{host.number}.{end}", host.folder / f"server.{end}")
        return pki

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
        own = lambda line: line.replace("192.0.2.1", self.address) if "listen" in line or "announce" in line else line
        target = self.folder / source.name
        target.write_text("\n".join([*map(own, lines), *more]) + "\n")
        target.chmod(0o600)
        return target

    def start(self, name, *command):
        log = open(self.folder / f"{name}.log", "ab")
        command = ["ip", "netns", "exec", self.space, *map(str, command)]
        process = subprocess.Popen(command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.lab.processes[self.number, name] = process

    def kill(self, name):
        process = self.lab.processes.pop((self.number, name))
        process.send_signal(signal.SIGKILL)
        process.wait()

    def redis_cli(self, socket, *words):
        """Past respgate, as root of this host may."""
        command = ["redis-cli", "-s", self.folder / socket, *words]
        return subprocess.run(command, capture_output=True, text=True).stdout.strip()

    def log(self, name):
        return (self.folder / f"{name}.log").read_text(errors="replace")


def respgate():
    return os.environ.get("RESPGATE") or str(HERE.parent / "target/debug/respgate")


def eventually(what, probe, seconds=60):
    """Asks until the answer is true, and returns it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        answer = probe()
        if answer:
            return answer
        time.sleep(0.1)
    raise SystemExit(f"FAILED: {what}")


def check(holds, what):
    if not holds:
        raise SystemExit(f"FAILED: {what}")
    print(f"  {what}", flush=True)


def step(title):
    print(f"\n== {title}", flush=True)


def show_logs(lab):
    for host in lab.hosts:
        for log in sorted(host.folder.glob("*.log")):
            print(f"--- {log}\n{log.read_text(errors='replace')[-1500:]}", file=sys.stderr)
