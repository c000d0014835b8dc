"""stunnel and respgate in turn, with the same configuration, before the same clients."""

import contextlib
import pathlib
import shutil
import socket
import subprocess
import sys
import time

RESPGATE, STAGE = sys.argv[1], pathlib.Path(sys.argv[2])
PORT, REDIS, SERVERS = 17380, 17379, {"right": 17381, "other-name": 17382, "other-ca": 17383}

# A server for certificates of one CA, with its key in the same file.
CHAIN = f"""; Redis for our applications
setuid = {{user}}
pid =
foreground = yes
debug = 5
socket = l:TCP_NODELAY=1
cert = {{stage}}/server.pem
options = NO_SSLv3

[redis]
accept = {PORT}
connect = {REDIS}
CAfile = {{stage}}/pki/ca.crt
CRLfile = {{stage}}/pki/ca.crl
verify = 2
sslVersionMin = TLSv1.2
TIMEOUTclose = 0
"""

# A server for two certificates that nobody has signed.
PEERS = f"""foreground = yes
pid =
[redis]
accept = 127.0.0.1:{PORT}
connect = 127.0.0.1:{REDIS}
cert = {{stage}}/pki/server.crt
key = {{stage}}/pki/server.key
CAfile = {{stage}}/peers.pem
verifyPeer = yes
"""

# An application's end, with three servers of which one is who it should be.
CLIENT = "foreground = yes\npid =\n" + "".join(
    f"""[{name}]
client = yes
accept = 127.0.0.1:{port + 10}
connect = 127.0.0.1:{port}
cert = {{stage}}/app.pem
CAfile = {{stage}}/pki/ca.crt
verifyChain = yes
checkHost = redis.example
"""
    for name, port in SERVERS.items()
)


def main():
    pki, other = authority("pki"), authority("other")
    respgate("cert", "server", "redis.example", "--file", "server", "--dir", pki)
    respgate("cert", "server", "elsewhere.example", "--dir", pki)
    respgate("cert", "server", "redis.example", "--file", "server", "--dir", other)
    for name in ("app", "lost"):
        respgate("cert", "client", name, "--dir", pki)
    respgate("cert", "client", "app", "--dir", other)
    respgate("cert", "revoke", "lost", "--dir", pki)
    for name in ("alice", "bob", "mallory"):
        self_signed(name)
    join("server.pem", pki / "server.key", pki / "server.crt")
    join("app.pem", pki / "app.key", pki / "app.crt")
    join("peers.pem", STAGE / "alice.crt", STAGE / "bob.crt")

    with process("redis-server", "--port", REDIS, "--bind", "127.0.0.1", "--save", "", "--dir", STAGE):
        wait_for(REDIS)
        clients = {
            "a certificate of the CA": pki / "app",
            "a revoked one": pki / "lost",
            "one of another CA": other / "app",
            "one that nobody signed": STAGE / "alice",
            "none": None,
        }
        compare("a CA and its CRL", CHAIN, lambda: {name: asks(pki, of) for name, of in clients.items()}, [True] + [False] * 4)
        step("The password that applications go on sending")
        with process(RESPGATE, "run", "--config", STAGE / "respgate/respgate.toml", "--admin-listen", "off"):
            wait_for(PORT)
            for words in (["AUTH", "secret"], ["AUTH", "default", "secret"], ["HELLO", "3", "AUTH", "default", "secret"]):
                said = redis_cli(pki, pki / "app", *words)
                check("OK" in said or "proto" in said, f"{words}: {said}")
        clients = {
            "the first": STAGE / "alice",
            "the second": STAGE / "bob",
            "another that nobody signed": STAGE / "mallory",
            "one of a CA": pki / "app",
            "none": None,
        }
        compare("certificates one by one", PEERS, lambda: {name: asks(pki, of) for name, of in clients.items()}, [True] * 2 + [False] * 3)
        with contextlib.ExitStack() as servers:
            for name, (folder, certificate) in {
                "right": (pki, "server"),
                "other-name": (pki, "elsewhere.example"),
                "other-ca": (other, "server"),
            }.items():
                conf = STAGE / f"{name}.conf"
                conf.write_text(
                    f"foreground = yes\npid =\n[redis]\naccept = 127.0.0.1:{SERVERS[name]}\nconnect = {REDIS}\n"
                    f"cert = {folder}/{certificate}.crt\nkey = {folder}/{certificate}.key\n"
                    f"CAfile = {pki}/ca.crt\nverify = 2\n"
                )
                servers.enter_context(process("stunnel4", conf))
                wait_for(SERVERS[name])
            compare("an application's end", CLIENT, lambda: {name: plain(port + 10) for name, port in SERVERS.items()}, [True, False, False])

    step("What is not taken over is listed by line")
    conf = STAGE / "rest.conf"
    conf.write_text("[redis]\naccept = 6380\nconnect = 6379\ncert = /s.p12\nPSKsecrets = /psk\nlibwrap = yes\nsni = a:b\n")
    done = subprocess.run([RESPGATE, "check", "--stunnel-conf", conf], capture_output=True, text=True)
    listed = {line.split(":")[1].split()[0] for line in done.stdout.splitlines() if "not taken over" in line and ":" in line.split()[0]}
    check(done.returncode == 1 and listed == {"4", "5", "6", "7"}, done.stdout)


def compare(title, text, ask, expected):
    """Who gets in with stunnel gets in with respgate, and nobody else."""
    step(title)
    conf = STAGE / "stunnel.conf"
    conf.write_text(text.format(stage=STAGE, user=subprocess.check_output(["id", "-un"], text=True).strip()))
    ports = [port + 10 for port in SERVERS.values()] if "client" in text else [PORT]
    with process("stunnel4", conf):
        [wait_for(port) for port in ports]
        before = ask()
    done = subprocess.run([RESPGATE, "check", "--stunnel-conf", conf], capture_output=True, text=True)
    check(done.returncode == 0, done.stdout + done.stderr)
    folder = STAGE / "respgate"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    settings, _, users = done.stdout.split("\n# respgate.toml\n")[1].partition("\n# users.acl\n")
    for name, content in (("respgate.toml", settings), ("users.acl", users)):
        (folder / name).write_text(content)
        (folder / name).chmod(0o600)
    with process(RESPGATE, "run", "--config", folder / "respgate.toml", "--admin-listen", "off"):
        [wait_for(port) for port in ports]
        after = ask()
    for name, gets_in in before.items():
        print(f"  {name}: {'in' if gets_in else 'out'} with stunnel, {'in' if after[name] else 'out'} with respgate")
    check(list(before.values()) == expected, f"stunnel: {before}")
    check(after == before, f"respgate: {after}\n{settings}")


def asks(pki, identity):
    """Whether a client with this certificate gets an answer of Redis."""
    return redis_cli(pki, identity, "PING") == "PONG"


def redis_cli(pki, identity, *words):
    of = ["--cert", f"{identity}.crt", "--key", f"{identity}.key"] if identity else []
    return output("redis-cli", "-p", PORT, "--tls", "--insecure", "--cacert", pki / "ca.crt", *of, *words)


def plain(port):
    return output("redis-cli", "-p", port, "PING") == "PONG"


def output(*command):
    return subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=20).stdout.strip()


def authority(name):
    respgate("cert", "ca", "--dir", STAGE / name)
    return STAGE / name


def respgate(*words):
    subprocess.run([RESPGATE, *map(str, words)], check=True, capture_output=True)


def self_signed(name):
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30"
    files = ["-subj", f"/CN={name}", "-keyout", STAGE / f"{name}.key", "-out", STAGE / f"{name}.crt"]
    subprocess.run(["openssl", *words.split(), *files], check=True, capture_output=True)


def join(name, *parts):
    (STAGE / name).write_text("".join(part.read_text() for part in parts))
    (STAGE / name).chmod(0o600)


@contextlib.contextmanager
def process(*command):
    with open(STAGE / "log", "ab") as log:
        running = subprocess.Popen([*map(str, command)], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        yield running
    finally:
        running.terminate()
        running.wait()


def wait_for(port):
    end = time.monotonic() + 20
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    check(False, f"nobody listens on {port}")


def step(title):
    print(f"\n== {title}", flush=True)


def check(holds, why):
    if not holds:
        print((STAGE / "log").read_text(errors="replace")[-3000:] if (STAGE / "log").exists() else "", file=sys.stderr)
        sys.exit(f"FAILED: {why}")


main()
