"""A Redis, a respgate before it with the user of one preset, and the processes of an application."""

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import document
import redis

sys.path.append(str(document.REPOSITORY / "benches"))
from servers import free_port  # noqa: E402

APPS = pathlib.Path(__file__).parent / "apps"
# Long enough for a machine that has other things to do; nothing waits this long that comes.
DEADLINE = 90


def make_certificates(folder, respgate):
    """An authority, a server, and a client for every user of the document's commands."""
    path = f"{respgate.parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path}
    subprocess.run([document.REPOSITORY / "certs-example" / "make.sh", folder], env=environment, check=True, capture_output=True)
    for user in (words[words.index("--user") + 1] for words in document.commands().values()):
        if not (folder / f"{user}.crt").exists():
            subprocess.run([respgate, "cert", "client", user, "--dir", folder], check=True, capture_output=True)


class Stage:
    """One Redis and one respgate, which can be stopped and started again where they were. Redis keeps its data."""

    def __init__(self, folder, certificates, respgate, grant):
        self.folder, self.certificates, self.respgate, self.grant = folder, certificates, respgate, grant
        self.port, self.redis_port = free_port(), free_port()
        self.redis = self.gate = None
        self.write_configuration()

    def write_configuration(self):
        certificates, grant = self.certificates, self.grant
        login = 'tls-auth-clients = "optional"' if grant.password else 'tls-auth-clients-user = "CN"'
        (self.folder / "users.acl").write_text(f"user default off\n{grant.acl}")
        (self.folder / "respgate.toml").write_text(
            f"""listen = "127.0.0.1:{self.port}"
upstream = "unix:{self.folder}/redis.sock"
tls-cert-file = "{certificates}/respgate/server.crt"
tls-key-file = "{certificates}/respgate/server.key"
tls-ca-cert-file = "{certificates}/ca.crt"
tls-crl-file = "{certificates}/respgate/ca.crl"
{login}
aclfile = "users.acl"
admin-listen = "off"
log-format = "json"
{grant.settings}
"""
        )

    def start_redis(self):
        options = ["--port", self.redis_port, "--bind", "127.0.0.1", "--unixsocket", self.folder / "redis.sock", "--dir", self.folder]
        command = ["redis-server", *map(str, options), "--save", "", "--appendonly", "yes"]
        self.redis = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        wait_for(lambda: answers(self.redis_port), "Redis answers")

    def stop_redis(self):
        stop(self.redis)

    def start_gate(self):
        with open(self.folder / "respgate.log", "ab") as log:
            self.gate = subprocess.Popen([self.respgate, "run", "--config", self.folder / "respgate.toml"], stderr=log)
        wait_for(lambda: answers(self.port) or self.gate.poll() is not None, "respgate listens")
        assert self.gate.poll() is None, f"respgate does not start:\n{self.log_text()}"

    def stop_gate(self):
        stop(self.gate)

    def url(self):
        """How a client of redis-py is told where respgate is, and which certificate or password to show."""
        user, password = self.grant.user, self.grant.password
        login = f"{user}:{password}@" if password else ""
        files = f"ssl_ca_certs={self.certificates}/ca.crt"
        if not password:
            files += f"&ssl_certfile={self.certificates}/{user}.crt&ssl_keyfile={self.certificates}/{user}.key"
        return f"rediss://{login}localhost:{self.port}/0?ssl_cert_reqs=required&{files}"

    def direct_url(self):
        return f"redis://127.0.0.1:{self.redis_port}/0"

    def refusals(self):
        """What respgate refused to anybody, as its log has it, and what Redis refused to scripts."""
        events = (json.loads(line) for line in self.log_text().splitlines() if line.startswith("{"))
        refused = [event for event in events if event.get("event") == "refusal" or event.get("outcome") == "refused"]
        with redis.Redis(port=self.redis_port) as client:
            return refused + [entry for entry in client.acl_log() if entry["reason"] != "auth"]

    def log_text(self):
        return (self.folder / "respgate.log").read_text(errors="replace")

    def end(self):
        for process in (self.gate, self.redis):
            if process:
                stop(process)


class Processes:
    """The long-running processes of an application, each with a file for what it writes."""

    def __init__(self, folder, environment):
        self.folder, self.environment, self.running = folder, environment, []

    def start(self, command):
        output = self.folder / f"output-{len(self.running)}"
        with open(output, "wb") as file:
            # A session of its own, because some start processes that have to end with them.
            process = subprocess.Popen(
                command, env=self.environment, cwd=APPS, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
            )
        self.running.append((command, process, output))
        return process, output

    def assert_alive(self):
        for command, process, output in self.running:
            assert process.poll() is None, f"{command} has ended with {process.returncode}:\n{tail(output)}"

    def outputs(self):
        return "".join(f"--- {' '.join(map(str, command))}\n{tail(output)}\n" for command, _, output in self.running)

    def end(self):
        for _, process, _ in self.running:
            stop(process, 10)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def stop(process, patience=30):
    """Asks a process to end, and waits until it has; one that does not within so many seconds is killed."""
    process.terminate()
    try:
        process.wait(patience)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def tail(file):
    return "\n".join(file.read_text(errors="replace").splitlines()[-60:])


def answers(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def wait_for(condition, what):
    until = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < until, f"waited {DEADLINE} s in vain: {what}"
        time.sleep(0.05)
