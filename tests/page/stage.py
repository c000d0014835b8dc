"""What the page is shown of: a Redis, respgate before it, and clients."""

import json
import os
import pathlib
import shlex
import socket
import ssl
import subprocess
import threading
import urllib.request

from chromium import eventually

# Where respgate sees its files, and what it takes the machine to be called: so pictures are the same everywhere.
SEEN_AT = "/srv"
HOST = "gate-1"

ACL = """user shop on ~shop:* +@all -@admin -@dangerous
user cart on ~cart:* +@read +@write +ping
user reports on %R~shop:* %R~cart:* +@read +ping
user ops on #{sha256} ~* &* +@all
user <script>hacked=1</script> on #{sha256} ~* +@all
"""

CONFIG = """listen = "127.0.0.1:{port}"
upstream = "unix:{at}/redis.sock"
tls-cert-file = "server.crt"
tls-key-file = "server.key"
tls-ca-cert-file = "ca.crt"
tls-crl-file = "ca.crl"
tls-auth-clients = "optional"
tls-auth-clients-user = "CN"
aclfile = "users.acl"
admin-listen = "127.0.0.1:{door}"
"""

PASSWORD = "a password of a test"


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class Stage:
    """All of it, in a folder."""

    def __init__(self, respgate, folder):
        self.respgate = respgate
        self.folder = pathlib.Path(folder)
        self.port, self.door = free_port(), free_port()
        self.origin = f"http://127.0.0.1:{self.door}"
        self.children = {}
        self.make_certificates()
        digest = subprocess.run(["sha256sum"], input=PASSWORD.encode(), capture_output=True, check=True).stdout[:64]
        # Redis's own form of a password.
        self.write("users.acl", ACL.replace("{sha256}", digest.decode()))
        self.write("respgate.toml", CONFIG.format(port=self.port, door=self.door, at=SEEN_AT))
        self.start_redis()
        self.start_respgate()

    def write(self, name, text):
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o600)

    def make_certificates(self):
        def cert(*arguments):
            subprocess.run([self.respgate, "cert", "--dir", self.folder, *arguments], check=True, capture_output=True)

        cert("ca")
        cert("server", "localhost", "127.0.0.1", "--file", "server", "--days", "90")
        for client in ("shop", "cart", "reports", "old-laptop"):
            cert("client", client)
        cert("revoke", "old-laptop")
        # Nobody of ours has signed it, so it may say anything.
        self.foreign("hostile", '/CN=<b onmouseover="hacked=2">\u202egnp.exe')

    def foreign(self, name, subject):
        subprocess.run(
            ["openssl", "req", "-x509", "-utf8", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "9",
             "-keyout", self.folder / f"{name}.key", "-out", self.folder / f"{name}.crt", "-subj", subject],
            check=True, capture_output=True,
        )

    def start_redis(self):
        command = ["redis-server", "--port", "0", "--unixsocket", self.folder / "redis.sock", "--save", "", "--dir", self.folder]
        self.start("redis", command)
        eventually("Redis listens", lambda: (self.folder / "redis.sock").exists())

    def start_respgate(self):
        shell = f'hostname {HOST} && mount --bind "$1" {SEEN_AT} && exec "$2" run --config {SEEN_AT}/respgate.toml'
        self.start("respgate", ["unshare", "--mount", "--uts", "sh", "-c", shell, "sh", self.folder, self.respgate])
        eventually("respgate serves", lambda: self.status().get("health") == "serving")

    def start(self, name, command):
        log = open(self.folder / f"{name}.log", "a")
        self.children[name] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def stop(self, name):
        child = self.children.pop(name)
        child.terminate()
        child.wait(60)

    def end(self):
        for name in list(self.children):
            self.stop(name)

    def status(self):
        try:
            with urllib.request.urlopen(f"{self.origin}/status", timeout=10) as answer:
                return json.load(answer)
        except OSError:
            return {}

    def run(self, command):
        """A command line of the page, as it would run on the machine that it is of."""
        path = f"{pathlib.Path(self.respgate).parent}:{os.environ['PATH']}"
        line = command.replace(SEEN_AT, shlex.quote(str(self.folder)))
        return subprocess.run(["sh", "-c", line], env={"PATH": path}, capture_output=True, text=True).stdout

    def client(self, name=None):
        return Client(self, name)


class Client:
    """A connection, with the certificate of this name or with none."""

    def __init__(self, stage, name=None):
        context = ssl.create_default_context(cafile=stage.folder / "ca.crt")
        if name:
            context.load_cert_chain(stage.folder / f"{name}.crt", stage.folder / f"{name}.key")
        connection = socket.create_connection(("127.0.0.1", stage.port), timeout=60)
        self.socket = context.wrap_socket(connection, server_hostname="localhost")
        self.reader = self.socket.makefile("rb")

    def ask(self, *arguments):
        """The first line of the reply."""
        parts = [argument.encode() if isinstance(argument, str) else argument for argument in arguments]
        text = b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
        self.socket.sendall(b"*%d\r\n%s" % (len(parts), text))
        line = self.reader.readline()
        if line.startswith(b"$") and not line.startswith(b"$-"):
            self.reader.read(int(line[1:]) + 2)
        return line.decode().strip()

    def close(self):
        self.socket.close()


def turned_away(stage, name):
    """Tries to come in with a certificate that does not let it."""
    try:
        Client(stage, name).ask("PING")
    except OSError:
        return
    raise AssertionError(f"{name} came in")


class Traffic:
    """What clients do on an ordinary day, until it is told to end."""

    def __init__(self, stage):
        self.stage = stage
        self.ended = threading.Event()
        lives = (self.work, self.come_and_go, self.misbehave)
        self.threads = [threading.Thread(target=self.live, args=(life,)) for life in lives]
        for thread in self.threads:
            thread.start()

    def live(self, life):
        try:
            life()
        except OSError:
            # Their connections end with Redis, which is stopped for a picture.
            self.ended.set()

    def work(self):
        shop, cart = self.stage.client("shop"), self.stage.client("cart")
        number = 0
        while not self.ended.wait(0.02):
            number += 1
            # It is more at some times than at others.
            for _ in range(2 + (number // 400) % 4 * (1 + (number // 130) % 3)):
                shop.ask("SET", f"shop:{number % 1000}", "x" * 20)
                cart.ask("GET", f"cart:{number % 1000}")

    def come_and_go(self):
        here = []
        number = 0
        while not self.ended.wait(2):
            number += 1
            if (number // 12) % 3 == 2 and here:
                here.pop().close()
            elif len(here) < 40:
                here.append(self.stage.client(("shop", "cart", "reports")[number % 3]))
                here[-1].ask("PING")

    def misbehave(self):
        reports = self.stage.client("reports")
        shop = self.stage.client("shop")
        number = 0
        while not self.ended.wait(7):
            number += 1
            if number % 3 == 0:
                reports.ask("SET", "shop:1", "x")
            if number % 11 == 3:
                shop.ask("GET", "bank:account:1")
            if number % 19 == 5:
                for _ in range(5):
                    stranger = self.stage.client()
                    stranger.ask("AUTH", "admin", "letmein")
                    stranger.close()
            if number % 23 == 4:
                turned_away(self.stage, "old-laptop")

    def end(self):
        self.ended.set()
        for thread in self.threads:
            thread.join()
