"""A Redis with a respgate before it that learns, and clients of its users: some make names up, one does not."""

import contextlib
import os
import pathlib
import socket
import ssl
import subprocess
import sys
import time

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(REPOSITORY / "benches"))
from servers import ended, free_port, redis_server  # noqa: E402

RESPGATE = pathlib.Path(os.environ["RESPGATE"]).resolve()
HOSTILE, FILLING, HONEST = USERS = "hostile", "filling", "bank"
WIDE = "user default off\n" + "".join(f"user {user} on ~* &* +@all\n" for user in USERS)


@contextlib.contextmanager
def redis_in(folder):
    """One that forgets keys rather than grow."""
    options = ["--port", "0", "--unixsocket", folder / "redis.sock", "--dir", folder]
    with redis_server(*options, "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-random"):
        yield


def make_certificates(folder):
    path = f"{RESPGATE.parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path}
    subprocess.run([REPOSITORY / "certs-example" / "make.sh", folder], env=environment, check=True, capture_output=True)
    for user in USERS:
        subprocess.run([RESPGATE, "cert", "client", user, "--dir", folder], check=True, capture_output=True)


class Gate:
    """A respgate in this folder, where the certificates and Redis are."""

    def __init__(self, folder, name, acl=WIDE, learns=True):
        self.folder, self.name, self.port, self.process = folder, name, free_port(), None
        self.config, self.learnt = folder / f"{name}.toml", folder / f"{name}.learnt"
        (folder / f"{name}.acl").write_text(acl)
        self.config.write_text(
            f"""listen = "127.0.0.1:{self.port}"
upstream = "unix:{folder}/redis.sock"
tls-cert-file = "respgate/server.crt"
tls-key-file = "respgate/server.key"
tls-ca-cert-file = "ca.crt"
tls-auth-clients-user = "CN"
aclfile = "{name}.acl"
admin-listen = "off"
{f'learn-file = "{self.learnt}"' if learns else ""}
"""
        )

    @contextlib.contextmanager
    def running(self):
        with open(self.folder / f"{self.name}.log", "ab") as log:
            self.process = subprocess.Popen([RESPGATE, "run", "--config", self.config], stderr=log)
        with ended(self.process):
            while not self.answers():
                time.sleep(0.05)
            yield self
            if self.process.poll() is None:
                self.process.terminate()
                assert self.process.wait(60) == 0, self.log()

    def answers(self):
        assert self.process.poll() is None, self.log()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def log(self):
        return (self.folder / f"{self.name}.log").read_text()

    def connect(self, user):
        context = ssl.create_default_context(cafile=self.folder / "ca.crt")
        context.load_cert_chain(self.folder / f"{user}.crt", self.folder / f"{user}.key")
        client = socket.create_connection(("127.0.0.1", self.port))
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return context.wrap_socket(client, server_hostname="localhost")

    def memory(self, what):
        """MiB that it holds (VmRSS) or held at most (VmHWM)."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(f"{what}:")) / 1024

    def suggest(self, user):
        command = [RESPGATE, "acl", "suggest", "--config", self.config, "--user", user]
        suggestion = subprocess.run(command, capture_output=True, text=True)
        assert suggestion.returncode == 0, suggestion.stderr
        return suggestion.stdout


def encoded(*words):
    """A request."""
    words = [word.encode() for word in words]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


class Pipeline:
    """Requests whose replies are one line each, or a bulk string of one character."""

    def __init__(self, client):
        self.client = client
        self.rest = b""
        self.sent = self.answered = self.refused = 0

    def send(self, requests):
        """Sends these when all that was sent before is answered but for the last lot."""
        self.client.sendall(b"".join(requests))
        self.read_until(self.sent)
        self.sent += len(requests)

    def finish(self):
        self.read_until(self.sent)

    def read_until(self, answered):
        while self.answered < answered:
            received = self.client.recv(1 << 16)
            assert received, "the connection is gone"
            lines, end, self.rest = (self.rest + received).rpartition(b"\r\n")
            lines += end
            self.answered += lines.count(b"\r\n") - lines.count(b"$1\r\n")
            refused, nothing = lines.count(b"-NOPERM"), lines.count(b"$-1")
            assert lines.count(b"-") == refused + nothing, lines[:2000]
            self.refused += refused
