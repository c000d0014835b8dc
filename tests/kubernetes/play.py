"""Plays the life of the Pod of deploy/kubernetes: start, a revoked certificate, other rules, and the end under load."""

import argparse
import json
import socket
import ssl
import subprocess
import threading
import tomllib
from pathlib import Path

import yaml
from kubelet import ADDRESS, Pod, environment_of_image, eventually, status

NAMES = ["redis", "redis.default", "redis.default.svc", "redis.default.svc.cluster.local"]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--respgate", type=Path, required=True)
    parser.add_argument("--stage", type=Path, required=True)
    parser.add_argument("--made", type=Path, help="what `respgate init` has made")
    arguments = parser.parse_args()
    stage = Stage(arguments.respgate, arguments.stage, arguments.made)
    try:
        for scene in [stage.check, stage.start, stage.revoke, stage.change_rules, stage.stop]:
            print(f"\n== {scene.__doc__}")
            scene()
    except BaseException:
        for name in ["respgate", "redis"]:
            if (arguments.stage / f"{name}.log").exists():
                print(f"\n{name} said:\n{stage.pod.log(name)}")
        raise
    finally:
        stage.pod.kill()


class Stage:
    def __init__(self, respgate: Path, folder: Path, made: Path | None) -> None:
        self.respgate, self.ca = respgate, made / "pki" if made else folder / "ca"
        manifests = read_manifests(made / "deploy" if made else Path("deploy/kubernetes"))
        self.config: dict[str, str] = manifests["ConfigMap", "respgate"]["data"]
        self.settings = tomllib.loads(self.config["respgate.toml"])
        self.port: int = manifests["Service", "redis"]["spec"]["ports"][0]["targetPort"]
        stateful_set = manifests["StatefulSet", "redis"]["spec"]
        if not made:
            self.make_certificates()
        self.pod = Pod(stateful_set["template"]["spec"], folder, environment_of_image(Path("Dockerfile")))
        self.pod.make_root(
            respgate,
            {"respgate": self.config_map(), "respgate-tls": self.secret()},
            [claim["metadata"]["name"] for claim in stateful_set["volumeClaimTemplates"]],
        )
        [self.sidecar], [self.redis] = self.pod.sidecars, self.pod.containers

    def make_certificates(self) -> None:
        self.cert("ca")
        self.cert("server", *NAMES, "--file", "server")
        for client in ["shop", "ops"]:
            self.cert("client", client)

    def cert(self, *words: str) -> None:
        subprocess.run([self.respgate, "cert", "--dir", self.ca, *words], check=True, stdout=subprocess.DEVNULL)

    def config_map(self) -> dict[str, bytes]:
        return {name: text.encode() for name, text in self.config.items()}

    def secret(self) -> dict[str, bytes]:
        return {name: (self.ca / name).read_bytes() for name in ["server.crt", "server.key", "ca.crt", "ca.crl"]}

    def check(self) -> None:
        """`respgate check` as in the container"""
        _, *rest = self.sidecar["args"]
        subprocess.run(self.pod.command(self.sidecar, ["/respgate", "check", *rest]), check=True)
        ends = seconds(self.settings.get("shutdown-delay", "0s")) + seconds(self.settings["shutdown-timeout"])
        assert ends < self.pod.spec["terminationGracePeriodSeconds"]

    def start(self) -> None:
        """The sidecar starts first, lives without Redis, and is ready with it"""
        self.pod.start_sidecars()
        door = f"http://{ADDRESS}{self.settings['metrics-listen']}"
        assert (status(f"{door}/livez"), status(f"{door}/readyz")) == (200, 503)
        assert self.pod.holds(self.sidecar, "livenessProbe")
        self.pod.start_containers()
        eventually(self.pod.is_ready)
        shop = Client(self, "shop")
        assert shop.ask("SET", "shop:a", "1") == b"+OK"
        assert shop.ask("GET", "bank:a").startswith(b"-NOPERM")
        assert shop.ask("FLUSHALL").startswith(b"-NOPERM")
        subprocess.run(self.pod.command(self.sidecar, ["/respgate", "status"]), check=True)

    def revoke(self) -> None:
        """A CRL that comes by the switch of ..data ends a session and keeps its client out"""
        ops, shop = Client(self, "ops"), Client(self, "shop")
        assert shop.ask("PING") == b"+PONG"
        self.cert("revoke", "ops")
        self.pod.volumes["tls"].write(self.secret())
        assert ops.lines.readline() == b"", "closed"
        assert self.is_refused("ops")
        assert shop.ask("PING") == b"+PONG"

    def change_rules(self) -> None:
        """Users that come by the switch of ..data are in force in a live session"""
        shop = Client(self, "shop")
        assert shop.ask("GET", "bank:a").startswith(b"-NOPERM")
        self.config["users.acl"] = self.config["users.acl"].replace("~shop:*", "~shop:* ~bank:*")
        self.pod.volumes["config"].write(self.config_map())
        eventually(lambda: shop.ask("GET", "bank:a") == b"$-1")

    def stop(self) -> None:
        """Redis ends first, the sidecar after it; what was executed was answered"""
        blocked = Client(self, "shop")
        blocked.send("BLPOP", "shop:queue", "0")
        counters = [Counter(self, f"shop:counter:{number}") for number in range(8)]
        eventually(lambda: all(counter.last > 100 for counter in counters))
        codes = self.pod.stop()
        assert codes == {"redis": 0, "respgate": 0}, codes
        assert blocked.lines.readline() in (b"", b"*-1\r\n")
        for counter in counters:
            counter.join()
        self.pod.start_sidecars()
        self.pod.start_containers()
        eventually(self.pod.is_ready)
        shop = Client(self, "shop")
        for counter in counters:
            executed, answered = int(shop.ask("INCRBY", counter.key, "0").removeprefix(b":")), counter.last
            print(f"{counter.key}: {executed} executed, {answered} answered")
            assert executed == answered
        self.pod.stop()
        lines = [json.loads(line) for line in self.pod.log("respgate").splitlines()]
        told = {line["message"] for line in lines if line["level"] in ("WARN", "ERROR")}
        assert told == {"upstream is not there"}, told

    def is_refused(self, name: str) -> bool:
        try:
            return Client(self, name).ask("PING") == b""
        except ssl.SSLError:
            return True


class Client:
    """One session, with the certificate of `name`."""

    def __init__(self, stage: Stage, name: str) -> None:
        context = ssl.create_default_context(cafile=stage.ca / "ca.crt")
        context.load_cert_chain(stage.ca / f"{name}.crt", stage.ca / f"{name}.key")
        plain = socket.create_connection((ADDRESS, stage.port), timeout=30)
        self.socket = context.wrap_socket(plain, server_hostname=NAMES[0])
        self.lines = self.socket.makefile("rb")

    def ask(self, *words: str) -> bytes:
        """The first line of the reply."""
        self.send(*words)
        return self.lines.readline().rstrip(b"\r\n")

    def send(self, *words: str) -> None:
        self.socket.sendall(request(*words))


class Counter(threading.Thread):
    """Counts `key` up in pipelines for as long as there is somebody who answers."""

    def __init__(self, stage: Stage, key: str) -> None:
        super().__init__(daemon=True)
        self.client, self.key = Client(stage, "shop"), key
        self.last = 0
        """The last number that was answered."""
        self.start()

    def run(self) -> None:
        pipeline = request("INCR", self.key) * 50
        try:
            while True:
                self.client.socket.sendall(pipeline)
                for _ in range(50):
                    line = self.client.lines.readline()
                    if not line.endswith(b"\r\n"):
                        return
                    self.last = int(line[1:])
        except OSError:
            pass


def request(*words: str) -> bytes:
    return f"*{len(words)}\r\n".encode() + b"".join(f"${len(word)}\r\n{word}\r\n".encode() for word in words)


def read_manifests(folder: Path) -> dict[tuple[str, str], dict]:
    """By kind and name."""
    files = sorted(folder.glob("*.yaml"))
    documents = [document for file in files for document in yaml.safe_load_all(file.read_text())]
    return {(document["kind"], document["metadata"]["name"]): document for document in documents}


def seconds(time: str) -> int:
    return int(time.removesuffix("s"))


if __name__ == "__main__":
    main()
