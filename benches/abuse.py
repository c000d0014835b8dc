#!/usr/bin/env python3
"""What a misbehaving peer costs everybody else.

    cargo build --release && benches/abuse.py                 all of it, as a table
    benches/abuse.py --only "unread" --sessions 200

Starts a Redis and a respgate of its own in a temporary folder, on loopback ports the system picks, and lets each kind
of abuser loose in turn. For each: the proxy's memory and descriptors at their highest, the round trip of a well-behaved
client meanwhile, how long one that comes from another address takes to connect and be answered, and what became of the
abusers. Needs redis-server and openssl with its libcrypto; Python's standard library is enough.
"""

import argparse
import concurrent.futures
import functools
import os
import pathlib
import re
import resource
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time

from servers import request, running
from tls_by_hand import HANDSHAKE, TlsByHand

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUDGET_MIB = 64
CONFIG = """
listen = "127.0.0.1:{port}"
upstream = "unix:{folder}/redis.sock"
tls-cert-file = "respgate/server.crt"
tls-key-file = "respgate/server.key"
tls-ca-cert-file = "ca.crt"
tls-crl-file = "respgate/ca.crl"
aclfile = "users.acl"
admin-listen = "{folder}/admin.sock"
memory-budget = "{budget}mb"
handshake-timeout = "2s"
auth-timeout = "3s"
unmapped = "password"
maxclients = 4000
request-timeout = "{request_timeout}"

[[certificate]]
cn = "ops"
user = "ops"

[[certificate]]
cn = "bystander"
user = "bystander"
"""
PASSWORD = "correct-horse-battery-staple"
USERS = f"user default on >{PASSWORD} +@all ~* &*\nuser ops on nopass +@all ~* &*\n"
USERS += "user late on +@all ~* &* " + " ".join(f">password-{number}" for number in range(5)) + "\n"
USERS += "user bystander on -@all +ping\n"
USERS += f"user few on >{PASSWORD} -@all +mget " + " ".join(f"~*{number:02}?*" for number in range(60)) + "\n"


def prepare(folder, port, request_timeout):
    subprocess.run([ROOT / "certs-example/make.sh", folder], check=True, stdout=subprocess.DEVNULL)
    issue(folder, "bystander")
    (folder / "respgate.toml").write_text(CONFIG.format(port=port, folder=folder, budget=BUDGET_MIB,
                                                          request_timeout=request_timeout))
    (folder / "users.acl").write_text(USERS)
    (folder / "users.acl").chmod(0o600)


def issue(folder, name):
    """A certificate of one more client."""
    new = ["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}"]
    sign = ["openssl", "x509", "-req", "-CA", "ca.crt", "-CAkey", "ca.key", "-days", "30", "-extfile", f"{name}.ext"]
    (folder / f"{name}.ext").write_text("keyUsage = digitalSignature\nextendedKeyUsage = clientAuth\n")
    asked = subprocess.run([*new, "-keyout", f"{name}.key"], cwd=folder, check=True, capture_output=True).stdout
    subprocess.run([*sign, "-out", f"{name}.crt"], cwd=folder, check=True, capture_output=True, input=asked)


class Place:
    """One Redis and one respgate, and how to reach them."""

    def __init__(self, gate, folder, port):
        self.gate, self.path, self.port = gate, folder, port
        wait_for(self.answers)

    def answers(self):
        try:
            with self.connect("ops") as client:
                client.sendall(request("PING"))
                return client.recv(7) == b"+PONG\r\n"
        except OSError:
            return False

    def connect(self, name, source="127.0.0.1"):
        """A TLS connection with the certificate of `name`: ops is a user at once, shop has to log in."""
        return self.context(name).wrap_socket(self.plain(source), server_hostname="localhost")

    def context(self, name):
        context = ssl.create_default_context(cafile=self.path / "ca.crt")
        context.load_cert_chain(self.path / f"{name}.crt", self.path / f"{name}.key")
        return context

    def plain(self, source="127.0.0.1"):
        return socket.create_connection(("127.0.0.1", self.port), timeout=10, source_address=(source, 0))

    def memory(self, what):
        """MiB that the proxy holds now (VmRSS), or held at most (VmHWM)."""
        status = pathlib.Path(f"/proc/{self.gate.pid}/status").read_text()
        return int(re.search(what + r":\s+(\d+)", status)[1]) / 1024

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.gate.pid}/fd"))

    def log(self, event):
        """Its lines about events of this kind."""
        return [line for line in (self.path / "log").read_text().splitlines() if f'event="{event}"' in line]


def wait_for(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            sys.exit("gave up waiting")
        time.sleep(0.02)


# The abusers. Each is given the place and a number of sessions, and returns what became of them.

def slow_handshakes(place, sessions):
    return outcome([place.plain() for _ in range(sessions)])


def half_a_hello(place, sessions):
    def begin():
        client = place.plain()
        client.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100))
        return client
    return outcome([begin() for _ in range(sessions)])


def hello_and_no_more(place, sessions):
    context = place.context("ops")

    def begin():
        sent = ssl.MemoryBIO()
        tls = context.wrap_bio(ssl.MemoryBIO(), sent, server_hostname="localhost")
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            pass
        client = place.plain()
        client.sendall(sent.read())
        return client
    return outcome([begin() for _ in range(sessions)])


def no_login(place, sessions):
    """As many as one address may have without a user, and no more: the next would wait in its handshake."""
    return outcome([place.connect("shop") for _ in range(min(sessions, 240))])


def garbage_before_tls(place, sessions):
    def shout():
        client = place.plain()
        client.sendall(os.urandom(4096))
        return client
    return outcome([shout() for _ in range(sessions)])


def declared_lengths(place, sessions):
    return each(place, sessions, b"*1048576\r\n$4\r\nMSET\r\n$536870912\r\n")


def a_million_arguments(place, sessions):
    bytes_ = b"*1048576\r\n$3\r\nDEL\r\n" + b"$1\r\nk\r\n" * 1_048_575
    return each(place, min(sessions, 20), bytes_)


def endless_inline(place, sessions):
    return each(place, sessions, b"x" * 200_000)


def make_big_value(place):
    with place.connect("ops") as client:
        client.sendall(request("SETRANGE", "big", 262_143, "x"))
        client.recv(100)


def unread_pipelines(place, sessions):
    make_big_value(place)
    return each(place, min(sessions, 20), request("GET", "big") * 20_000)


def slow_subscribers(place, sessions):
    clients = [place.connect("ops") for _ in range(min(sessions, 50))]
    for client in clients:
        client.sendall(request("SUBSCRIBE", "news"))
    with place.connect("ops") as publisher:
        for _ in range(400):
            publisher.sendall(request("PUBLISH", "news", b"n" * 65_536))
            publisher.recv(100)
    return outcome(clients)


def one_byte_at_a_time(place, sessions):
    clients = [place.connect("ops") for _ in range(min(sessions, 50))]
    for byte in request("SET", "key", "v" * 40):
        for client in clients:
            client.sendall(bytes([byte]))
    return outcome(clients, expect=b"+OK\r\n")


def reset_storm(place, sessions):
    return each(place, min(sessions, 50), (request("PING") + request("RESET")) * 500)


def password_guessing(place, sessions):
    clients = [place.connect("shop") for _ in range(min(sessions, 100))]
    for guess in range(3):
        for number, client in enumerate(clients):
            try_to_send(client, request("AUTH", "default", f"guess-{guess}-{number}"))
    return outcome(clients)


def guessing_from_many_addresses(place, sessions):
    """More guesses at once than can wait, from 20 addresses; and how long the first logins from others take meanwhile."""
    clients = []
    for number in range(sessions):
        clients.append(place.connect("shop", f"127.0.1.{1 + number % 20}"))
        try_to_send(clients[-1], request("AUTH", f"user-{number}", "guess"))
    took = []
    for number in range(5):
        with place.connect("shop", f"127.0.2.{1 + number}") as newcomer:
            began = time.perf_counter()
            newcomer.sendall(request("AUTH", "late", f"password-{number}"))
            if (answer := newcomer.recv(200)) != b"+OK\r\n":
                sys.exit(f"a newcomer was told {answer}")
            took.append(time.perf_counter() - began)
    return f"{outcome(clients)}; first logins from elsewhere took {min(took):.2f} to {max(took):.2f} s"


def unfinished_requests(place, sessions):
    return each(place, max(sessions, 1000), b"*5\r\n$4\r\nMSET\r\n$1\r\na\r\n$1000000\r\n" + b"v" * 900_000)


def the_whole_budget(place, sessions):
    """One user takes all there is and goes on asking; another works meanwhile."""
    stopped, served = threading.Event(), [0, 0]

    def work():
        while not stopped.is_set():
            served[1] += 1
            try:
                with place.connect("shop") as client:
                    client.sendall(request("AUTH", "default", PASSWORD) + request("SET", "key", b"v" * 300_000) * 5)
                    expected = b"+OK\r\n" * 6
                    while expected and (answer := client.recv(100)) and expected.startswith(answer):
                        expected = expected[len(answer):]
                    served[0] += not expected
            except OSError:
                pass

    worker = threading.Thread(target=work)
    worker.start()
    result = unfinished_requests(place, sessions)
    stopped.set()
    worker.join()
    return f"{result}; another user: {served[0]} of {served[1]} sessions served"


def slow_requests(place, sessions):
    """Requests that come on by a byte now and then, held and streamed ones."""
    clients = [place.connect("ops") for _ in range(sessions)]
    for number, client in enumerate(clients):
        length = 536_870_912 if number % 2 else 60_000
        try_to_send(client, b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n" % length + b"v" * 30_000)
    for _ in range(5):
        time.sleep(0.5)
        for client in clients:
            try_to_send(client, b"v")
    return outcome(clients)


def small_records(place, sessions):
    """One PING after the other, each byte of it in a record of its own."""
    pings = (request("PING") * 2_858)[:40_000]
    return by_hand(place, min(sessions, 200), lambda tls: tls.records(bytes([byte]) for byte in pings))


def ordinary_records(place, sessions):
    """For comparison, the same bytes in three records."""
    pings = (request("PING") * 2_858)[:40_000]
    return by_hand(place, min(sessions, 200), lambda tls: tls.records([pings]))


def endless_handshake_message(place, sessions):
    """Something after the handshake that TLS has to see the end of, which does not come."""
    message = b"\x18\x00\xff\xff" + bytes(60_000)
    pieces = [message[at:at + 10_000] for at in range(0, len(message), 10_000)]
    return by_hand(place, sessions, lambda tls: tls.foreign_records(HANDSHAKE, pieces))


def much_to_judge(place, sessions):
    """Three requests each that take longer to compare with the user's 60 patterns than one may."""
    clients = [log_in(place, "few") for _ in range(min(sessions, 60))]
    send_at_once(clients, [request("MGET", b"k" * 296_000) * 3] * len(clients))
    return outcome(clients)


def many_words_inline(place, sessions):
    """Requests without lengths, of 32,000 words each."""
    clients = [place.connect("ops") for _ in range(min(sessions, 100))]
    send_at_once(clients, [(b"NONE" + b" k" * 32_000 + b"\r\n") * 50] * len(clients))
    return outcome(clients)


def very_many_sessions(place, sessions):
    """3,000 sessions of one user, with 300 requests each that are refused."""
    clients = [log_in(place, "few") for _ in range(max(sessions, 3000))]
    for client in clients:
        try_to_send(client, request("GET", "k") * 300)
    return outcome(clients)


def large_crl(place, sessions):
    """No peer does this, but an authority: 400,000 revoked certificates, one more with each of six reloads."""
    lists = [place.path / f"{number}.crl" for number in range(6)]
    with open(place.path / "openssl.index", "a") as index:
        for serial in range(400_000):
            index.write(f"R\t460101000000Z\t260101000000Z\t{serial + (1 << 124):X}\tunknown\t/CN=gone\n")
    for list_ in lists:
        subprocess.run(["nice", "openssl", "ca", "-config", "openssl.cnf", "-gencrl", "-out", list_], cwd=place.path,
                       check=True, stderr=subprocess.DEVNULL)
    reloads = lambda: sum('outcome="done"' in line for line in place.log("reload"))
    took = []
    for list_ in lists:
        before, began = reloads(), time.perf_counter()
        list_.rename(place.path / "respgate/ca.crl")
        place.gate.send_signal(signal.SIGHUP)
        wait_for(lambda: reloads() > before, 60)
        took.append(time.perf_counter() - began)
    return f"reloads took {min(took):.1f} to {max(took):.1f} s"


def come_and_go(place, sessions, resume=False):
    """From eight threads as fast as they can, a handshake, a PING and the end."""
    stopped = time.monotonic() + 5

    def churn(_):
        context, session, count, resumed = place.context("ops"), None, 0, 0
        while time.monotonic() < stopped:
            with context.wrap_socket(place.plain(), server_hostname="localhost", session=session) as client:
                client.sendall(request("PING"))
                assert client.recv(7) == b"+PONG\r\n"
                count, resumed = count + 1, resumed + client.session_reused
                session = client.session if resume else None
        return count, resumed

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        counts = list(pool.map(churn, range(8)))
    count, resumed = (sum(column) for column in zip(*counts))
    return f"{count / 5:.0f} connections a second, {resumed * 100 // count} % of them resumed"


def refusals_of_65_kinds(place, sessions):
    """One kind more than is told apart of one user in a second."""
    one = "get strlen incr decr ttl pttl type persist llen lpop rpop scard smembers spop srandmember zcard zpopmin zpopmax dump"
    two = "append setnx incrby decrby expire pexpire lpush rpush lpushx rpushx sadd srem sismember smismember hget hdel hexists"
    one += " hgetall hkeys hvals hlen expiretime pexpiretime getdel getex pfcount exists del unlink touch watch xlen sunion"
    two += " hstrlen hmget zscore zrank zrevrank zrem zmscore getset set rename copy lindex getbit geohash geopos bitpos"
    refused = [request(name, "k") for name in one.split()] + [request(name, "k", 1) for name in two.split()]
    assert len(refused) >= 65
    clients = [log_in(place, "few") for _ in range(min(sessions, 50))]
    send_at_once(clients, [b"".join(refused[:65]) * 200] * len(clients))
    result = outcome(clients)
    return f"{result}; {len(place.log('refusal'))} lines of the log"


def everything_at_once(place, sessions):
    """Each session holds as much as it can, each kind in its own way."""
    make_big_value(place)
    words = [b"word-%d" % number for number in range(20_000)]
    kinds = [
        b"*5\r\n$4\r\nMSET\r\n$1\r\na\r\n$1000000\r\n" + b"v" * 900_000,
        b"*1048576\r\n$3\r\nDEL\r\n" + b"$1\r\nk\r\n" * 200_000,
        b"x" * 65_000,
        request("GET", "big") * 20_000,
        request("BLPOP", *words, 0),
        request("SUBSCRIBE", *words),
    ]
    clients = []
    for number in range(max(sessions, 1000)):
        client = place.connect("ops")
        try_to_send(client, kinds[number % len(kinds)], patience=0.05)
        clients.append(client)
    return outcome(clients)


ABUSES = {
    "handshakes that never begin": slow_handshakes,
    "half a ClientHello": half_a_hello,
    "a ClientHello and no more": hello_and_no_more,
    "handshakes and no login": no_login,
    "garbage before TLS": garbage_before_tls,
    "declared lengths of 512 MiB": declared_lengths,
    "a million arguments": a_million_arguments,
    "an endless inline request": endless_inline,
    "20,000 unread GETs of 256 KiB": unread_pipelines,
    "subscribers that do not read": slow_subscribers,
    "one byte at a time": one_byte_at_a_time,
    "RESET again and again": reset_storm,
    "guessing passwords": password_guessing,
    "guessing passwords from 20 addresses": guessing_from_many_addresses,
    "1,000 requests of 900 KB, unfinished": unfinished_requests,
    "1,000 sessions, each at its worst": everything_at_once,
    "the whole budget for one user": the_whole_budget,
    "a byte of a request now and then": slow_requests,
    "40,000 TLS records of one byte": small_records,
    "the same 40,000 bytes in ordinary records": ordinary_records,
    "an endless message of the TLS handshake": endless_handshake_message,
    "requests that take long to judge": much_to_judge,
    "inline requests of 32,000 words": many_words_inline,
    "3,000 sessions of one user": very_many_sessions,
    "a CRL of 400,000 entries, six times": large_crl,
    "coming and going, full handshakes": come_and_go,
    "coming and going, resumed": functools.partial(come_and_go, resume=True),
    "refusals of 65 kinds": refusals_of_65_kinds,
}

# Where it is not as long as by default.
REQUEST_TIMEOUTS = {"a byte of a request now and then": "2s"}


def each(place, sessions, bytes_):
    """So many users send these bytes, as far as they are taken."""
    clients = []
    for _ in range(sessions):
        client = place.connect("ops")
        try_to_send(client, bytes_)
        clients.append(client)
    return outcome(clients)


def try_to_send(client, bytes_, patience=0.3):
    client.settimeout(patience)
    try:
        client.sendall(bytes_)
    except OSError:
        pass


def log_in(place, name):
    client = place.connect("shop")
    client.sendall(request("AUTH", name, PASSWORD))
    if (answer := client.recv(200)) != b"+OK\r\n":
        sys.exit(f"{name} was told {answer}")
    return client


def send_at_once(clients, bytes_of_each):
    with concurrent.futures.ThreadPoolExecutor(len(clients)) as pool:
        list(pool.map(functools.partial(try_to_send, patience=10), clients, bytes_of_each))


def by_hand(place, sessions, make):
    """So many users send at once what is made for each of them before."""
    users = [TlsByHand(place.plain(), place.context("ops"), "localhost") for _ in range(sessions)]
    clients = [tls.socket for tls in users]
    send_at_once(clients, [make(tls) for tls in users])
    return outcome(clients)


def outcome(clients, expect=None):
    """How many of them are still connected after a while, and what the first was told."""
    time.sleep(3)
    told, alive = None, 0
    for client in clients:
        client.settimeout(0.02)
        try:
            for _ in range(500):
                answer = client.recv(65_536)
                told = told or answer
                if not answer:
                    break
            else:
                alive += 1
        except TimeoutError:
            alive += 1
        except OSError:
            pass
        client.close()
    if expect and told != expect:
        sys.exit(f"expected {expect}, was told {told}")
    text = ""
    if told and told.startswith(b"-"):
        line = told.splitlines()[0].decode(errors="replace")
        text = f", told `{line if len(line) < 100 else line[:40] + '…'}`"
    return f"{len(clients)} tried, {len(clients) - alive} closed{text}"


# The measurement.

def bystander(folder, port):
    """Runs in a process of its own: one PING every 5 ms until the end of standard input, and every 100 ms somebody new from
    another address; prints the round trips, and how long the new ones took."""
    place = Place.__new__(Place)
    place.path, place.port = pathlib.Path(folder), port
    stopped = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), stopped.set()), daemon=True).start()
    trips, newcomers = [], []
    newcomer = threading.Thread(target=come_again_and_again, args=(place, stopped, newcomers))
    newcomer.start()
    with place.connect("bystander") as client:
        while not stopped.is_set():
            began = time.perf_counter()
            client.sendall(request("PING"))
            assert client.recv(7) == b"+PONG\r\n"
            trips.append(time.perf_counter() - began)
            time.sleep(0.005)
    newcomer.join()
    print(at(trips, (0.5, 0.99, 1)), "|", at(newcomers, (0.5, 1)))


def come_again_and_again(place, stopped, took):
    while not stopped.is_set():
        began = time.perf_counter()
        try:
            with place.connect("bystander", source="127.0.0.2") as client:
                client.sendall(request("PING"))
                served = client.recv(7) == b"+PONG\r\n"
        except OSError:
            served = False
        took.append(time.perf_counter() - began if served else float("inf"))
        time.sleep(0.1)


def at(times, shares):
    times.sort()
    chosen = [times[min(len(times) - 1, int(len(times) * share))] for share in shares]
    return " / ".join("refused" if time_ == float("inf") else f"{time_ * 1000:.1f}" for time_ in chosen)


def measure(place, abuse, sessions):
    memory_before, most_descriptors = place.memory("VmRSS"), 0
    over = threading.Event()

    def watch():
        nonlocal most_descriptors
        while not over.is_set():
            most_descriptors = max(most_descriptors, place.descriptors())
            time.sleep(0.02)

    watcher = threading.Thread(target=watch)
    watcher.start()
    other = subprocess.Popen([sys.executable, __file__, "--bystander", place.path, str(place.port)],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    result = abuse(place, sessions)
    latency = other.communicate()[0].strip()
    over.set()
    watcher.join()
    if other.returncode != 0:
        sys.exit("the bystander was not served")
    wait_for(lambda: place.descriptors() < 40, 15)
    return memory_before, place.memory("VmHWM"), most_descriptors, latency, result


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--respgate", default=ROOT / "target/release/respgate", type=pathlib.Path)
    parser.add_argument("--sessions", default=500, type=int, help="abusers at once")
    parser.add_argument("--only", default="", help="a part of the name of one kind of abuse")
    parser.add_argument("--bystander", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.bystander:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        return bystander(arguments.bystander[0], int(arguments.bystander[1]))
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    print("| abuse | MiB before | MiB at most | descriptors | bystander, ms: median / p99 / worst | newcomer, ms: median / worst "
          "| the abusers |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, abuse in ABUSES.items():
        if arguments.only in name:
            prepared = functools.partial(prepare, request_timeout=REQUEST_TIMEOUTS.get(name, "60s"))
            with running(arguments.respgate, prepared) as servers:
                before, most, descriptors, latency, result = measure(Place(*servers), abuse, arguments.sessions)
            print(f"| {name} | {before:.1f} | {most:.1f} | {descriptors} | {latency} | {result} |", flush=True)


if __name__ == "__main__":
    main()
