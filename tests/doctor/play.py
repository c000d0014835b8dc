"""A bad host and a good one, looked at by `respgate doctor`. Started by run.sh, in a network and a process space of its own."""

import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import threading
import time

RESPGATE, STAGE = sys.argv[1], pathlib.Path(sys.argv[2])
NOBODY = "65534"
GOOD_PASSWORD = "0f3c9a7be1d24586917c3b5d8e6f4a20"

# What may be sent to a Redis: nothing of it changes anything.
HARMLESS = re.compile(
    r"PING|AUTH .*|INFO|COMMAND|COMMAND COUNT|COMMAND INFO .*|CONFIG GET \S+|ACL LIST|MODULE LIST|EXISTS \S+|CLIENT ID|CLIENT LIST|CLUSTER SLOTS|CLUSTER MYID",
    re.DOTALL,
)


def main():
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/var/log"], check=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    bad_host()
    literal_password()
    compose_files()
    good_host()
    recorded()


# --- scenes


def bad_host():
    step("A bad host: each fault is found, with its line and its fix")
    host = Host("bad")
    host.write_redis_conf(
        """\
        bind 0.0.0.0
        port 6379
        protected-mode no
        enable-debug-command yes
        enable-module-command local
        user guest on nopass ~* +@read
        maxmemory 0
        save ""
        appendonly no
        """
    )
    host.start_redis()
    host.cli("MSET", "backup1", "x", "crackit", "x", "mine", "x")
    host.write_gate(users="user app on nopass ~app:* +@read\nuser ops on ~* +@all\n", more='[block]\nexempt-users = ["ops"]\n')
    os.chmod(host.file("server.key"), 0o644)
    os.chmod(host.file("redis.conf"), 0o644)
    found = host.doctor("--json")
    conf, toml, acl = (str(host.file(name)) for name in ("redis.conf", "respgate.toml", "users.acl"))
    for id, severity, subject, fix in [
        ("redis.exposed", "red", "0.0.0.0:6379", f"bind 127.0.0.1 -::1   # {conf}:1"),
        ("redis.open", "red", "127.0.0.1:6379", f'echo "requirepass $(openssl rand -hex 32)" >> {conf}'),
        ("redis.protected", "amber", f"{conf}:3", f"protected-mode yes   # {conf}:3"),
        ("redis.commands", "red", f"{conf}:4", f"enable-debug-command no   # {conf}:4"),
        ("redis.commands", "amber", f"{conf}:5", f"enable-module-command no   # {conf}:5"),
        ("redis.nopass", "red", "user guest", f"user guest on resetpass ~* +@read   # {conf}:6"),
        ("redis.memory", "amber", f"{conf}:7", "maxmemory "),
        ("redis.persistence", "amber", "save", f"save 3600 1 300 100 60 10000   # {conf}:8"),
        ("redis.keys", "red", "backup1 crackit", None),
        ("files", "red", "server.key", "chmod "),
        ("crl.missing", "red", "127.0.0.1:6380", f"   # {toml}, after line "),
        ("acl.nopass", "red", f"{acl}:1", f"user app on resetpass ~app:* +@read   # {acl}:1"),
        ("acl.exempt", "red", "ops", 'certificate = "required"'),
        ("acl.wide", "amber", f"{acl}:2", None),
        ("gate.audit", "amber", "audit-file", "audit-file"),
        ("gate.metrics", "amber", "metrics-listen", "metrics-listen"),
    ]:
        expect(found, id, severity, subject, fix)
    text = host.run("doctor", "--config", toml).stdout
    for finding in found["findings"]:
        is_told = f"{finding['severity'].upper():7} {finding['id']:19} {finding['subject']}" in text
        check(is_told or finding["severity"] == "green", f"not told: {finding}\n{text}")
    check("docs/hardening.md#4" in text, text)
    unprivileged = subprocess.run(
        ["setpriv", "--reuid=65533", "--regid=65533", "--clear-groups", RESPGATE, "doctor", "--json"],
        capture_output=True, text=True,
    )
    whose = [one for one in json.loads(unprivileged.stdout)["findings"] if one["id"] == "redis.exposed"]
    check([one["severity"] for one in whose] == ["unknown"], f"nobody else sees whose socket that is: {whose}")

    step("Who is connected past respgate is listed")
    old = subprocess.Popen(["redis-cli", "SUBSCRIBE", "news"], stdout=subprocess.PIPE)
    old.stdout.readline()
    who = host.run("doctor", "--config", toml, "--who")
    check(re.search(rf"past respgate +default +127\.0\.0\.1:\d+ +redis-cli\[{old.pid}\]", who.stdout), who.stdout)
    check(who.returncode == 1, "it ends with 1")
    expect(host.doctor("--json"), "redis.clients", "amber", "1 connections to 127.0.0.1:6379 past respgate", None)
    old.terminate()
    old.wait()

    step("Its fixes, pasted one by one, put it right")
    # What no line can say: a user that is exempt keeps +@all, and what is there is looked at before it is deleted.
    host.mend()
    host.cli("DEL", "backup1", "crackit")
    end = host.doctor("--json")
    left = [one for one in end["findings"] if one["severity"] in ("red", "amber")]
    check(left == [], f"left: {json.dumps(left, indent=1)}")
    check(host.cli("GET", "mine") == "x", "the data is there")
    check(host.run("doctor", "--config", toml).returncode == 0, "it ends with 0")
    host.end()


def literal_password():
    step("A password that nobody has filled in")
    host = Host("literal")
    host.write_redis_conf("bind 127.0.0.1\nport 6379\nrequirepass ${REDIS_PASSWORD}\nprotected-mode yes\n")
    host.start_redis(password="${REDIS_PASSWORD}")
    conf = host.file("redis.conf")
    found = host.doctor("--json", "--redis-conf", str(conf), config=False)
    fix = f'sed -i 3d {conf} && echo "requirepass $(openssl rand -hex 32)" >> {conf}'
    expect(found, "redis.literal", "red", f"({conf}:3)", fix)
    expect(found, "redis.told", "unknown", "does not let us ask", None)
    host.apply(next(one["fix"] for one in found["findings"] if one["id"] == "redis.literal"))
    check(len(host.password()) == 64, "a password that nobody has seen")
    host.restart_redis()
    found = host.doctor("--json", "--redis-conf", str(conf), config=False)
    expect(found, "redis.literal", "green", f"({conf}:", None)
    check(found["red"] == 0, found)
    host.end()


def compose_files():
    step("Compose files that publish 6379 in each form")
    folder = STAGE / "compose"
    folder.mkdir()
    forms = {
        "short": '- "6379:6379"',
        "plain": "- 6379:6379",
        "any-port": "- 6379",
        "address": "- 0.0.0.0:6379:6379",
        "six": '- "[::]:6379:6379"',
        "range": "- 6370-6380:6370-6380",
        "default": '- "${BIND:-0.0.0.0}:6379:6379"',
        "long": "- target: 6379\n        published: 6379",
        "long-address": "- target: 6379\n        published: 6379\n        host_ip: 0.0.0.0",
        "flow": "- {target: 6379, published: 6379}",
    }
    for name, form in forms.items():
        (folder / f"{name}.yaml").write_text(f"services:\n  cache:\n    image: redis:7\n    ports:\n      {form}\n")
    (folder / "host.yaml").write_text("services:\n  cache:\n    image: redis:7\n    network_mode: host\n")
    (folder / "inherited.yaml").write_text(
        "x-ports: &ports\n  - 6379:6379\nservices:\n  base:\n    image: redis:7\n    ports: *ports\n  cache:\n    extends: {service: base}\n"
    )
    (folder / "unread.yaml").write_text('services:\n  cache:\n    image: redis:7\n    ports: ["${PORT}:6379"]\n')
    files = sorted(folder.glob("*.yaml"))
    flags = [word for file in files for word in ("--compose", str(file))]

    def judged():
        report = json.loads(subprocess.run([RESPGATE, "doctor", "--json", *flags], capture_output=True, text=True).stdout)
        return [one for one in report["findings"] if one["id"] == "compose.published"]

    for file in files:
        wanted = "unknown" if file.stem == "unread" else "red"
        of_file = [one for one in judged() if one["subject"].startswith(f"{file}:")]
        check(of_file and all(one["severity"] == wanted for one in of_file), f"{file.stem}: {of_file}")
    host = Host("fixes")
    while red := [one for one in judged() if one["severity"] == "red"]:
        host.apply(red[0]["fix"])
    check({one["severity"] for one in judged()} == {"green", "unknown"}, judged())


def good_host():
    step("A good host: nothing is red, and little is not green")
    host = Host("good")
    host.make_good()
    report = host.doctor("--json")
    check(report["red"] == 0 and report["amber"] == 0, json.dumps(report, indent=1))
    unknown = {one["id"] for one in report["findings"] if one["severity"] == "unknown"}
    check(unknown == {"firewall"}, unknown)
    check(host.run("doctor", "--config", host.file("respgate.toml"), "--fail-on", "amber").returncode == 0, "it ends with 0")
    check(host.run("doctor", "--config", host.file("respgate.toml"), "--fail-on", "unknown").returncode == 1, "or with 1")
    host.end()


def recorded():
    step("A relay records what is sent: nothing that could change anything")
    host = Host("recorded")
    # Redis itself is in a network of its own, where the doctor does not find it: it meets the relay alone.
    host.write_redis_conf(f"port 0\nunixsocket {host.file('redis.sock')}\n")
    host.start_redis(network_of_its_own=True)
    host.cli("MSET", "backup1", "x", "mine", "x")
    host.write_gate(users="user app on ~app:* +@read\n")
    relay = Relay(host.file("redis.sock"), host.file("redis-server"))
    host.doctor("--json")
    requests = relay.end()
    check(len(requests) > 20, requests)
    harmful = [request for request in requests if not HARMLESS.fullmatch(request)]
    check(harmful == [], f"sent: {harmful}")
    check(host.cli("DBSIZE") == "2", "the data is there")
    calls = re.findall(r"cmdstat_(\S+?):calls=(\d+)", host.cli("INFO", "commandstats"))
    counted = {name for name, _ in calls}
    check(not counted & {"flushall", "flushdb", "set", "del", "config|set", "keys", "scan"}, counted)
    host.end()


# --- a host


class Host:
    def __init__(self, name):
        self.dir = STAGE / name
        self.dir.mkdir()
        shutil.chown(self.dir, int(NOBODY))
        self.redis = self.gate = None
        self.secret = None

    def file(self, name):
        return self.dir / name

    def write_redis_conf(self, text):
        lines = [line.strip() for line in text.splitlines()]
        self.file("redis.conf").write_text("\n".join([*lines, f"dir {self.dir}", ""]))
        shutil.chown(self.file("redis.conf"), int(NOBODY))
        os.chmod(self.file("redis.conf"), 0o600)

    def start_redis(self, password=None, user="default", network_of_its_own=False):
        self.secret, self.user = password, user
        become = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        command = [*(["unshare", "--net"] if network_of_its_own else []), *become, "redis-server", str(self.file("redis.conf"))]
        self.redis = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        wait_until(lambda: self.cli("PING") == "PONG")

    def restart_redis(self):
        # It may keep nothing over a restart by itself.
        check(self.cli("SAVE") == "OK", "saved")
        self.redis.terminate()
        self.redis.wait()
        self.start_redis(password=self.password())

    def password(self):
        lines = [line.split(None, 1) for line in self.file("redis.conf").read_text().splitlines()]
        return next((line[1] for line in reversed(lines) if line and line[0] == "requirepass"), None)

    def cli(self, *words):
        place = ["-s", str(self.file("redis.sock"))] if self.file("redis.sock").exists() else ["-p", "6379"]
        environment = {**os.environ, **({"REDISCLI_AUTH": self.secret} if self.secret else {})}
        login = ["--user", self.user] if self.secret else []
        done = subprocess.run(["redis-cli", *place, *login, *words], capture_output=True, text=True, env=environment)
        return done.stdout.strip()

    def write_gate(self, users, more="", upstream="127.0.0.1:6379"):
        before = os.umask(0o077)
        for words in (["ca"], ["server", "localhost", "127.0.0.1", "--file", "server"], ["client", "app"]):
            subprocess.run([RESPGATE, "cert", "--dir", str(self.file("ca")), *words], check=True, stdout=subprocess.DEVNULL)
        for name in ("server.crt", "server.key", "ca.crt", "ca.crl"):
            shutil.copy(self.file("ca") / name, self.file(name))
        self.file("users.acl").write_text(users)
        self.file("respgate.toml").write_text(
            f"""\
listen = "127.0.0.1:6380"
upstream = "{upstream}"
tls-cert-file = "server.crt"
tls-key-file = "server.key"
tls-ca-cert-file = "ca.crt"
tls-auth-clients-user = "CN"
aclfile = "users.acl"
admin-listen = "{self.file('admin.sock')}"
{more}"""
        )
        os.umask(before)

    def make_good(self):
        self.write_redis_conf(
            f"""\
            port 0
            unixsocket {self.file('redis.sock')}
            unixsocketperm 770
            user default off
            user respgate on >{GOOD_PASSWORD} ~* &* +@all
            maxmemory 100mb
            appendonly yes
            """
        )
        self.start_redis(password=GOOD_PASSWORD, user="respgate")
        self.write_gate(
            users="user app on ~app:* +@read\n",
            upstream=f"unix:{self.file('redis.sock')}",
            more='tls-crl-file = "ca.crl"\naudit-file = "audit.log"\nmetrics-listen = "127.0.0.1:9121"\n'
            '[upstream-auth]\nuser = "respgate"\npassword-file = "redis-password"\n',
        )
        self.write_password(GOOD_PASSWORD)
        os.chmod(self.dir, 0o710)
        self.start_gate()

    def start_gate(self):
        log = open(self.file("log"), "w")
        self.gate = subprocess.Popen([RESPGATE, "run", "--config", str(self.file("respgate.toml"))], stderr=log)
        # Up to then it may say that Redis is down, since it has not been there yet.
        wait_until(lambda: self.run("health", "--ready", "--config", self.file("respgate.toml")).returncode == 0)

    def run(self, *words):
        return subprocess.run([RESPGATE, *map(str, words)], capture_output=True, text=True, cwd=self.dir)

    def doctor(self, *words, config=True):
        flags = ["--config", self.file("respgate.toml")] if config else []
        done = self.run("doctor", *flags, *words)
        return json.loads(done.stdout) if done.stdout.startswith("{") else sys.exit(done.stderr + done.stdout)

    def mend(self):
        """Pastes one fix after the other, and does what each of them takes effect by."""
        pasted = []
        while fixes := [one for one in self.doctor("--json")["findings"] if one["severity"] in ("red", "amber") and "fix" in one]:
            one = fixes[0]
            check(one["fix"] not in pasted, f"it was pasted, and is still told: {one}")
            pasted.append(one["fix"])
            print(f"{one['id']:19} {printed_fix(one['fix'])}")
            self.apply(one["fix"])
            if "redis.conf" in json.dumps(one["fix"]):
                self.restart_redis()
                self.tell_gate_the_password()
        print(f"{len(pasted)} lines were pasted")

    def tell_gate_the_password(self):
        """Two lines that are in no fix: respgate logs in with the password that Redis has now."""
        if self.password() and not self.file("redis-password").exists():
            self.write_password(self.password())
            with open(self.file("respgate.toml"), "a") as toml:
                toml.write('[upstream-auth]\npassword-file = "redis-password"\n')

    def write_password(self, password):
        self.file("redis-password").touch(mode=0o600)
        self.file("redis-password").write_text(password)

    def apply(self, fix):
        if fix["do"] == "run":
            subprocess.run(["bash", "-c", fix["command"]], check=True)
            return
        path = pathlib.Path(fix["file"])
        lines = path.read_text().splitlines()
        at = {"replace-line": fix.get("line", 0) - 1, "add-after-line": fix.get("line", 0), "append": len(lines)}[fix["do"]]
        lines[at : at + (fix["do"] == "replace-line")] = [fix["text"]]
        with open(path, "w") as file:
            file.write("\n".join(lines) + "\n")
        if "audit-file" in fix["text"]:
            os.makedirs("/var/log/respgate", exist_ok=True)

    def end(self):
        for process in (self.gate, self.redis):
            if process:
                process.terminate()
                process.wait()


# --- a relay


class Relay:
    """Listens where Redis would, under its name, and writes down every request."""

    def __init__(self, redis, program):
        # The kernel calls a process after the file that it was started from.
        os.symlink(sys.executable, program)
        self.process = subprocess.Popen([program, __file__, "relay", redis], stdout=subprocess.PIPE, text=True)
        wait_until(lambda: subprocess.run(["redis-cli", "PING"], capture_output=True, text=True).stdout == "PONG\n")

    def end(self):
        self.process.terminate()
        lines = self.process.communicate()[0].splitlines()
        return [json.loads(line) for line in lines]


def relay(redis):
    server = socket.create_server(("0.0.0.0", 6379))
    while True:
        client = server.accept()[0]
        upstream = socket.socket(socket.AF_UNIX)
        upstream.connect(redis)
        threading.Thread(target=copy, args=(upstream, client, None), daemon=True).start()
        threading.Thread(target=copy, args=(client, upstream, bytearray()), daemon=True).start()


def copy(source, target, record):
    while data := source.recv(1 << 16):
        if record is not None:
            record += data
            while request := take(record):
                print(json.dumps(request), flush=True)
        target.sendall(data)
    target.shutdown(socket.SHUT_WR)


def take(record):
    """Takes one whole request."""
    count = re.match(rb"\*(\d+)\r\n", record)
    if not count:
        return None
    at, words = count.end(), []
    for _ in range(int(count[1])):
        length = re.compile(rb"\$(\d+)\r\n").match(record, at)
        if not length or len(record) < length.end() + int(length[1]) + 2:
            return None
        words.append(record[length.end() : length.end() + int(length[1])].decode())
        at = length.end() + int(length[1]) + 2
    del record[:at]
    return " ".join(words)


# --- what is expected


def expect(report, id, severity, subject, fix):
    found = [one for one in report["findings"] if one["id"] == id]
    fits = [one for one in found if one["severity"] == severity and subject in one["subject"]]
    check(fits, f"no {severity} {id} about {subject}: {json.dumps(found, indent=1)}")
    printed = [printed_fix(one.get("fix")) for one in fits]
    check(any((fix is None) == (text is None) and (fix or "") in (text or "") for text in printed), f"{id}: {printed}, not {fix}")


def printed_fix(fix):
    if fix is None or fix["do"] == "run":
        return fix and fix["command"]
    place = {"replace-line": ":{line}", "add-after-line": ", after line {line}", "append": ", at its end"}[fix["do"]]
    return f"{fix['text']}   # {fix['file']}{place.format(**fix)}"


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
    sys.exit("error: it did not come about")


if sys.argv[1] == "relay":
    relay(sys.argv[2])
else:
    main()
