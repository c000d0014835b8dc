"""The scenes of run.sh, which has made namespaces for them. Each ends the process where something is not as it has to be."""

import contextlib
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import threading
import time

import dns

PATIENCE = 60
MIB = 1 << 20

respgate, static, stage = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])


def main():
    os.umask(0o022)  # respgate refuses files that others can change
    run("ip", "link", "set", "lo", "up")
    scenes = {"values": values, "thousand": thousand, "renewal": renewal, "dead": dead, "names": names}
    for name in sys.argv[4:] or scenes:
        print(f"\n== {name}: {scenes[name].__doc__.splitlines()[0]}", flush=True)
        folder = stage / name
        folder.mkdir()
        with redis(folder), gate(folder):
            scenes[name](folder)


def values(folder):
    """512 MiB there and back, and no more than 16 MiB of memory for that"""
    with tunnel(folder) as (process, path):
        application = Application(path)
        application.ask(b"PING")
        idle = memory(process.pid, "VmRSS")
        reset_peak(process.pid)
        value = os.urandom(MIB) * 512
        check(application.ask(b"SET", b"big", value) == b"+OK", "SET")
        check(application.ask(b"GET", b"big") == value, "GET")
        taken = memory(process.pid, "VmHWM") - idle
        print(f"{taken / MIB:.1f} MiB above the {idle / MIB:.1f} MiB of an idle one")
        check(taken <= 16 * MIB, "memory")


def thousand(folder):
    """1,000 applications at once, each with a pipeline, a subscriber among them"""
    with tunnel(folder) as (process, path):
        before = memory(process.pid, "VmRSS")
        applications = [Application(path) for _ in range(1000)]
        for number, application in enumerate(applications):
            check(application.ask(b"SET", b"key:%d" % number, b"%d" % number) == b"+OK", "SET")
        each = (memory(process.pid, "VmRSS") - before) / len(applications)
        print(f"{each / 1024:.1f} KiB for each that is idle")
        subscriber = Application(path)
        subscriber.ask(b"SUBSCRIBE", b"news")
        check([subscriber.reply() for _ in range(3)][-1] == b":1", "SUBSCRIBE")
        for application in applications:
            application.send(request(b"GET", b"key:0") * 100)
        for application in applications:
            check(all(application.reply() == b"0" for _ in range(100)), "GET")
        check(applications[0].ask(b"PUBLISH", b"news", b"x") == b":1", "PUBLISH")
        check([subscriber.reply() for _ in range(4)][-1] == b"x", "message")


def renewal(folder):
    """certificates, keys and CAs of both ends are renewed 50 times under load, and nothing is lost"""
    over, errors, counts = threading.Event(), [], []

    def work(path, is_newcomer):
        count = 0
        try:
            application = Application(path)
            while not over.is_set():
                if is_newcomer:
                    application.close()
                    application = Application(path)
                text = b"%d" % count
                application.send(request(b"ECHO", text) * 20)
                check([application.reply() for _ in range(20)] == [text] * 20, "ECHO")
                count += 20
        except (OSError, EOFError, SystemExit) as error:
            errors.append(f"{'newcomer' if is_newcomer else 'earlier one'}: {error!r}")
        counts.append(count)

    with tunnel(folder) as (_, path):
        threads = [threading.Thread(target=work, args=(path, number % 2 == 1)) for number in range(8)]
        for thread in threads:
            thread.start()
        for _ in range(50):
            renew(folder, "localhost", "server")
            renew(folder, "shop", "client")
            (folder / "ca/ca.crt").touch()
            time.sleep(0.3)
        over.set()
        for thread in threads:
            thread.join()
        taken = [line for line in log(folder) if line.get("event") == "reload" and line["outcome"] == "done"]
        print(f"{sum(counts)} replies checked, {len(taken)} generations of the tunnel")
        check(not errors, f"{errors}")
        check(len(taken) >= 20, "renewals that were taken")


def dead(folder):
    """a name with two addresses, of which nobody answers at the first"""
    run("ip", "link", "add", "nowhere", "type", "veth", "peer", "name", "other-end")
    run("ip", "addr", "add", "2001:db8::1/64", "dev", "nowhere", "nodad")
    run("ip", "link", "set", "other-end", "up")
    run("ip", "link", "set", "nowhere", "up")
    run("ip", "neigh", "add", "2001:db8::2", "lladdr", "02:00:00:00:00:02", "dev", "nowhere")
    hosts = folder / "hosts"
    hosts.write_text("127.0.0.1 localhost\n2001:db8::2 redis.test\n127.0.0.1 redis.test\n")
    run("mount", "--bind", hosts, "/etc/hosts")
    with tunnel(folder, "redis.test:6380", "--server-name=localhost", "--connect-timeout=1s", "--threads=1") as (_, path):
        for _ in range(3):
            check(Application(path).ask(b"PING") == b"+PONG", "PING")
        failed = [line for line in log(folder) if line.get("outcome") == "failed"]
        print("\n".join(json.dumps(line) for line in failed))
        check([line["reason"] for line in failed] == ["timeout"], "for a while it is tried last")
    run("umount", "/etc/hosts")


def names(folder):
    """names in an empty root with a static respgate, as in the image: out of /etc/hosts, and by DNS"""
    root = folder / "root"
    (root / "etc").mkdir(parents=True)
    (root / "ca").mkdir()
    # Of what an engine gives every container: where a static program has its randomness from.
    (root / "dev").mkdir()
    for device in ("random", "urandom"):
        (root / "dev" / device).touch()
        run("mount", "--bind", f"/dev/{device}", root / "dev" / device)
    shutil.copy(static, root / "respgate")
    for file in ("ca.crt", "shop.crt", "shop.key"):
        shutil.copy(folder / "ca" / file, root / "ca" / file)
    (root / "etc/hosts").write_text("127.0.0.1 hosts.test\n")
    (root / "etc/resolv.conf").write_text("nameserver 127.0.0.1\n")
    threading.Thread(target=dns.answer, args=("127.0.0.1", {"dns.test": "127.0.0.1"}), daemon=True).start()
    for host, is_known in (("hosts.test", True), ("dns.test", True), ("nobody.test", False)):
        options = [f"--connect={host}:6380", "--server-name=localhost", "--connect-timeout=20s"]
        files = ["--tls-ca-cert-file=/ca/ca.crt", "--tls-cert-file=/ca/shop.crt", "--tls-key-file=/ca/shop.key"]
        command = ["chroot", root, "/respgate", "tunnel", "--listen=unix:/tunnel.sock", "--admin-listen=off"]
        with started(command + options + files + ["--log-format=json"], folder / "log"):
            path = root / "tunnel.sock"
            wait_for("the tunnel", lambda: connects(path))
            try:
                check(Application(path).ask(b"PING") == b"+PONG" and is_known, host)
            except (EOFError, OSError):
                check(not is_known, host)
                wait_for("the line that says why", lambda: [line for line in log(folder) if line.get("reason") == "name"])
        print(f"{host}: {'found' if is_known else 'not found, and the log says so'}")


class Application:
    """One that speaks plain RESP over a unix socket."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(str(path))
        self.reader = self.socket.makefile("rb", buffering=MIB)

    def ask(self, *arguments):
        self.send(request(*arguments))
        return self.reply()

    def send(self, data):
        self.socket.sendall(data)

    def reply(self):
        """A bulk without its length; of an array, its head: what is in it are the next replies."""
        line = self.reader.readline()
        if not line.endswith(b"\r\n"):
            raise EOFError("the connection has ended")
        if line[:1] == b"$" and line != b"$-1\r\n":
            return self.reader.read(int(line[1:]) + 2)[:-2]
        return line[:-2]

    def close(self):
        self.reader.close()
        self.socket.close()


def request(*arguments):
    bulks = (b"$%d\r\n%s\r\n" % (len(argument), argument) for argument in arguments)
    return b"*%d\r\n" % len(arguments) + b"".join(bulks)


@contextlib.contextmanager
def redis(folder):
    options = ["--port", "0", "--unixsocket", folder / "redis.sock", "--save", "", "--dir", folder]
    with started(["redis-server", *options], folder / "redis.log"):
        wait_for("Redis", lambda: connects(folder / "redis.sock"))
        yield


@contextlib.contextmanager
def gate(folder):
    for arguments in (["ca"], ["server", "localhost"], ["client", "shop"]):
        run(respgate, "cert", "--dir", folder / "ca", *arguments)
    write(folder / "users.acl", "user shop on +@all ~* &*\n")
    write(folder / "respgate.toml", f"""listen = "127.0.0.1:6380"
upstream = "unix:{folder}/redis.sock"
tls-cert-file = "ca/localhost.crt"
tls-key-file = "ca/localhost.key"
tls-ca-cert-file = "ca/ca.crt"
tls-auth-clients-user = "CN"
aclfile = "users.acl"
admin-listen = "off"
maxclients = 2000
""")
    with started([respgate, "run", "--config", folder / "respgate.toml"], folder / "gate.log"):
        wait_for("the gate", lambda: "new generation" in (folder / "gate.log").read_text())
        yield


@contextlib.contextmanager
def tunnel(folder, server="localhost:6380", *options):
    path, ca = folder / "tunnel.sock", folder / "ca"
    command = [
        respgate, "tunnel", f"--listen=unix:{path}", f"--connect={server}", f"--tls-ca-cert-file={ca}/ca.crt",
        f"--tls-cert-file={ca}/shop.crt", f"--tls-key-file={ca}/shop.key", "--admin-listen=off", "--log-format=json",
        "--maxclients=2000", *options,
    ]  # fmt: skip
    with started(command, folder / "log") as process:
        wait_for("the tunnel", path.exists)
        yield process, path


@contextlib.contextmanager
def started(command, log_file):
    with open(log_file, "wb") as output:
        process = subprocess.Popen([str(word) for word in command], stdout=output, stderr=output)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def renew(folder, name, kind):
    """Another certificate and key, each swapped in as a whole."""
    new = folder / "renewed"
    shutil.rmtree(new, ignore_errors=True)
    shutil.copytree(folder / "ca", new)
    for suffix in ("crt", "key"):
        (new / f"{name}.{suffix}").unlink()
    run(respgate, "cert", "--dir", new, kind, name)
    for suffix in ("key", "crt"):
        (new / f"{name}.{suffix}").rename(folder / "ca" / f"{name}.{suffix}")


def log(folder):
    return [json.loads(line) for line in (folder / "log").read_text().splitlines() if line.startswith("{")]


def memory(pid, field):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith(field)).split()[1]) * 1024


def reset_peak(pid):
    pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")


def connects(path):
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
        probe.connect(str(path))
        return True
    return False


def wait_for(what, is_there):
    for _ in range(PATIENCE * 20):
        if is_there():
            return
        time.sleep(0.05)
    sys.exit(f"{what} does not come")


def check(is_right, what):
    if not is_right:
        sys.exit(f"wrong: {what}")


def write(path, text):
    path.write_text(text)
    path.chmod(0o600)


def run(*command):
    subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
