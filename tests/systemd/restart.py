"""Runs applications through a restart of respgate on an inherited socket, and fails where one of them notices.

    restart.py --respgate FILE --config FILE --ca FILE --cert FILE --key FILE --in-turn|--overlap [--blocked N] [--idle N] ...

The applications are redis-py with its default retry. Some wait in BLPOP, some are idle, some are subscribed, and some
count in a loop. The configuration has to say listen = "systemd:clients"; what it names has to be there, Redis too. The
certificate's user may do everything to keys and channels that begin with `restart:`, and PUBSUB.

With --in-turn the old process ends before the new one begins. With --overlap both run for a while; and before that, a third
whose configuration is broken ends with 78, and nobody notices that either.
"""

import argparse
import datetime
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import redis

PATIENCE = 60


class Respgate:
    """A running one, whose socket is inherited as systemd hands it on."""

    def __init__(self, arguments, listener, name, config=None):
        environment = dict(os.environ, LISTEN_FDS="1", LISTEN_FDNAMES="clients")
        command = [arguments.respgate, "run", "--config", config or arguments.config]
        command += ["--admin-listen", os.path.join(os.path.dirname(arguments.config), f"{name}.sock")]
        # The process id is known only to the process itself.
        shell = 'exec 3<&0 </dev/null; export LISTEN_PID=$$; exec "$@"'
        self.child = subprocess.Popen(
            ["sh", "-c", shell, "sh", *command], stdin=listener.fileno(), stderr=subprocess.PIPE, text=True,
            env=environment,
        )
        self.log = []
        self.listens = threading.Event()
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.child.stderr:
            self.log.append(line)
            if "listening" in line:
                self.listens.set()

    def wait_until_it_listens(self):
        if not self.listens.wait(PATIENCE):
            raise SystemExit("respgate does not listen:\n" + "".join(self.log))

    def time_of(self, word):
        line = next(line for line in self.log if word in line)
        return datetime.datetime.fromisoformat(line.split()[0].rstrip("Z"))

    def end(self):
        self.child.send_signal(signal.SIGTERM)
        code = self.child.wait(PATIENCE)
        self.reader.join()
        if code != 0:
            raise SystemExit(f"respgate ended with {code}:\n" + "".join(self.log))


class Applications:
    """All of them, each with threads of its own. What one of them notices is kept in `noticed`."""

    def __init__(self, arguments):
        self.arguments, self.port = arguments, arguments.port
        self.noticed = []
        self.threads = []
        self.ended = threading.Event()
        self.ready = threading.Semaphore(0)
        self.popped = {}
        self.heard = set()
        self.counted = {}

    def client(self, **options):
        given = self.arguments
        return redis.Redis(
            host="127.0.0.1", port=self.port, ssl=True, ssl_ca_certs=given.ca, ssl_certfile=given.cert,
            ssl_keyfile=given.key, ssl_check_hostname=False, decode_responses=True, **options,
        )

    def start(self, function, *arguments):
        def run():
            try:
                function(*arguments)
            except BaseException as error:
                self.noticed.append(f"{function.__name__}{arguments}: {error!r}")
                self.ready.release()

        self.threads.append(threading.Thread(target=run, daemon=True))
        self.threads[-1].start()

    def start_all(self):
        given = self.arguments
        for number in range(given.blocked):
            self.start(self.pop, number)
        for number in range(given.subscribers):
            self.start(self.listen, number)
        for number in range(given.load):
            self.start(self.count, number)
        self.idle = self.client(max_connections=given.idle + 1)
        pool = self.idle.connection_pool
        for connection in [pool.get_connection() for _ in range(given.idle)]:
            connection.send_command("PING")
            connection.read_response()
            pool.release(connection)
        for _ in range(given.blocked + given.subscribers + given.load):
            if not self.ready.acquire(timeout=PATIENCE):
                raise SystemExit("the applications do not start")
        self.fail_if_noticed()
        # Nothing shows from outside that Redis has begun to wait for somebody.
        time.sleep(1)

    def pop(self, number):
        client = self.client()
        client.ping()
        self.ready.release()
        item = None
        # It is answered nil at the end of a process, as if its time were up.
        while item is None:
            item = client.blpop([f"restart:queue:{number}"], timeout=0)
        self.popped[number] = item[1]

    def listen(self, number):
        subscriber = self.client().pubsub(ignore_subscribe_messages=True)
        subscriber.subscribe("restart:news")
        self.ready.release()
        while not self.ended.is_set():
            message = subscriber.get_message(timeout=1)
            if message is not None:
                self.heard.add(number)
                return

    def count(self, number):
        client = self.client()
        client.delete(f"restart:count:{number}")
        self.ready.release()
        answered = 0
        while not self.ended.is_set():
            client.incr(f"restart:count:{number}")
            answered += 1
        self.counted[number] = (answered, int(client.get(f"restart:count:{number}")))

    def fail_if_noticed(self):
        if self.noticed:
            raise SystemExit("applications noticed it:\n" + "\n".join(self.noticed))

    def see_that_all_go_on(self):
        given = self.arguments
        pool = self.idle.connection_pool
        taken = [pool.get_connection() for _ in range(given.idle)]
        for connection in taken:
            connection.send_command("PING")
            assert connection.read_response() == "PONG"
        for connection in taken:
            pool.release(connection)
        other = self.client()
        for number in range(given.blocked):
            other.rpush(f"restart:queue:{number}", f"job {number}")
        self.wait_for("jobs to be popped", lambda: len(self.popped) == given.blocked)
        assert all(self.popped[number] == f"job {number}" for number in range(given.blocked)), self.popped
        left = [number for number in range(given.blocked) if other.llen(f"restart:queue:{number}")]
        assert not left, f"popped for nobody or not at all: {left}"

        def are_subscribed():
            return other.pubsub_numsub("restart:news")[0][1] == given.subscribers

        self.wait_for("subscribers to be back", are_subscribed)
        other.publish("restart:news", "all is well")
        self.wait_for("subscribers to hear", lambda: len(self.heard) == given.subscribers)
        self.ended.set()
        for thread in self.threads:
            thread.join(PATIENCE)
        self.fail_if_noticed()
        wrong = {number: counts for number, counts in self.counted.items() if counts[0] != counts[1]}
        assert len(self.counted) == given.load and not wrong, f"answered and executed: {wrong}"
        print(f"{sum(counts[0] for counts in self.counted.values())} increments, each executed once")

    def wait_for(self, what, holds):
        until = time.monotonic() + PATIENCE
        while not holds():
            self.fail_if_noticed()
            if time.monotonic() > until:
                raise SystemExit(f"gave up waiting for {what}")
            time.sleep(0.02)


class Role:
    """A part that has a process of its own, so that it waits for no other: it is ready, is told to go on, and ends."""

    def __init__(self, name):
        command = [sys.executable, __file__, *sys.argv[1:], "--role", name]
        self.name = name
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "ready\n":
            raise SystemExit(f"the {name} did not start")

    def go_on(self):
        self.process.stdin.write("go on\n")
        self.process.stdin.flush()

    def result(self):
        """What it says in the end."""
        said = self.process.communicate()[0]
        if self.process.returncode != 0:
            raise SystemExit(f"the {self.name} ended with {self.process.returncode}")
        return said


def be_ready_and_wait():
    print("ready", flush=True)
    sys.stdin.readline()


def be_newcomer(arguments):
    client = Applications(arguments).client()
    be_ready_and_wait()
    began = time.monotonic()
    assert client.ping()
    print(f"a connection that was begun at SIGTERM, and its PING, took {time.monotonic() - began:.3f} s")


def be_applications(arguments):
    applications = Applications(arguments)
    applications.start_all()
    be_ready_and_wait()
    applications.see_that_all_go_on()


def parsed():
    parser = argparse.ArgumentParser()
    for name in ("respgate", "config", "ca", "cert", "key"):
        parser.add_argument(f"--{name}", required=True)
    for name, number in {"blocked": 50, "idle": 200, "subscribers": 50, "load": 4}.items():
        parser.add_argument(f"--{name}", type=int, default=number)
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--in-turn", action="store_true")
    mode.add_argument("--overlap", action="store_true")
    parser.add_argument("--role", choices=ROLES, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


ROLES = {"newcomer": be_newcomer, "applications": be_applications}


def main():
    arguments = parsed()
    if arguments.role:
        return ROLES[arguments.role](arguments)
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    sys.argv += ["--port", str(listener.getsockname()[1])]
    first = Respgate(arguments, listener, "first")
    first.wait_until_it_listens()
    applications, newcomer = Role("applications"), Role("newcomer")
    if arguments.overlap:
        broken = arguments.config + ".broken"
        with open(arguments.config) as config, open(broken, "w") as copy:
            os.chmod(broken, 0o600)
            copy.write("no-such-setting = 1\n" + config.read())
        assert Respgate(arguments, listener, "broken", broken).child.wait(PATIENCE) == 78
        second = Respgate(arguments, listener, "second")
        second.wait_until_it_listens()
    newcomer.go_on()
    first.end()
    if arguments.in_turn:
        second = Respgate(arguments, listener, "second")
        second.wait_until_it_listens()
    drain = first.time_of(" stopped ") - first.time_of(" draining ")
    print(f"the drain took {drain.total_seconds():.3f} s")
    if arguments.in_turn:
        start = second.time_of(" listening ") - first.time_of(" stopped ")
        print(f"the second process accepted {start.total_seconds():.3f} s later")
    applications.go_on()
    print(newcomer.result() + applications.result(), end="")
    second.end()
    for log in (first.log, second.log):
        bad = [line for line in log if " WARN " in line or " ERROR " in line]
        assert not bad, "".join(bad)
    print("nobody noticed")


main()
