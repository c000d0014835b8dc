"""Six nodes with a respgate each: an application writes while slots are moved and a primary is killed."""

import hashlib
import shutil
import subprocess

import redis
from lab import HERE, Lab, Writer, accepts, check, eventually, needs_tls, played, raises, redis_server, respgate, step
from redis.backoff import ExponentialBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.retry import Retry

FILES = HERE / "cluster"


def play(lab):
    step("Two authorities, and six hosts")
    nodes, apps = lab.authority("nodes", ["node"]), lab.authority("apps", ["app", "ops"])
    lab.equip(nodes, "node.crt", "node.key")
    authorities = {"NODES_CA": key_of(nodes / "ca.crt"), "APPS_CA": key_of(apps / "ca.crt")}
    for host in lab.hosts:
        shutil.copy2(nodes / "ca.crt", host.folder / "nodes-ca.crt")
        shutil.copy2(nodes / "ca.crl", host.folder / "nodes-ca.crl")
        shutil.copy2(apps / "ca.crl", host.folder / "apps-ca.crl")
        both = (nodes / "ca.crt").read_text() + (apps / "ca.crt").read_text()
        (host.folder / "clients-ca.crt").write_text(both)
        for name in ("redis.conf", "gate.toml", "users.acl"):
            host.copy(FILES / name)
        start_redis(host)
        host.start("gate", respgate(), "run", "--config", "gate.toml", **authorities)

    lab.enter()
    tls = {"ssl": True, "ssl_ca_certs": nodes / "ca.crt", "socket_timeout": 5}
    as_user = lambda user: {**tls, "ssl_certfile": apps / f"{user}.crt", "ssl_keyfile": apps / f"{user}.key"}
    for host in lab.hosts:
        eventually(f"the respgate of {host.address}", lambda host=host: accepts(host.address, 6380))
    ops = ["--tls", "--cacert", nodes / "ca.crt", "--cert", apps / "ops.crt", "--key", apps / "ops.key"]
    app_cli = [*ops[:3], "--cert", apps / "app.crt", "--key", apps / "app.key"]
    addresses = [f"{host.address}:6380" for host in lab.hosts]
    run("redis-cli", *ops, "--cluster", "create", *addresses, "--cluster-replicas", "1", "--cluster-yes")
    for host in lab.hosts:
        eventually(f"{host.address} to find the cluster well", lambda host=host: "cluster_state:ok" in node(host, "INFO"))
    replicas = lambda: [host for host in lab.hosts if "master_link_status:up" in info(host)]
    eventually("three replicas", lambda: len(replicas()) == 3)
    check(True, "a cluster of three primaries and three replicas, made by redis-cli through the respgates")

    step("What is reached from elsewhere")
    for host in lab.hosts:
        open_ports = [port for port in (6379, 6380, 16379, 16380) if accepts(host.address, port)]
        check(open_ports == [6380, 16380], f"{host.address}: {open_ports}, a respgate and the bus")
    stranger = ["-CAfile", nodes / "ca.crt", "-cert", apps / "app.crt", "-key", apps / "app.key"]
    command = ["openssl", "s_client", "-quiet", "-connect", "192.0.2.1:16380", *stranger]
    said = subprocess.run(command, input="PING\r\n", capture_output=True, text=True, timeout=10).stderr
    check("alert unknown ca" in said, "the bus refuses a certificate of the applications' authority")

    step("What each node announces")
    for host in lab.hosts:
        severities = lambda host=host: [severity for severity, *_ in host.announced("gate.toml", **authorities)]
        eventually(f"six nodes at {host.address}", lambda: severities().count("green") >= 6)
        check(set(severities()) == {"green"}, f"{host.address}: respgate doctor finds a respgate wherever it sends others")
    found = lab.hosts[0].announces_its_plain_port("cluster-announce-port", "gate.toml", **authorities)
    check(any(fix == "cluster-announce-port 6380" for _, _, fix in found), f"and what is plain: {found[0]}")
    eventually("all to know its respgate again", lambda: all(":6379@" not in node(host, "NODES") for host in lab.hosts))

    step("An application")
    startup = [ClusterNode(host.address, 6380) for host in lab.hosts[:2]]
    app = RedisCluster(startup_nodes=startup, retry=Retry(ExponentialBackoff(), 20), **as_user("app"))
    check({node.port for node in app.get_nodes()} == {6380}, "redis-py knows the respgates alone")
    answer = run("redis-cli", "-c", *app_cli, "-h", "192.0.2.1", "-p", "6380", "SET", "shop:by-cli", "x")
    check(answer.strip() == "OK", "redis-cli -c follows MOVED to another respgate, or need not")
    for host in lab.hosts:
        direct = redis.Redis(host.address, 6380, **as_user("app"))
        check(raises(direct.execute_command, "FLUSHALL") and raises(direct.get, "bank:1"), f"{host.address} refuses it the rest")
        direct.close()

    writer = Writer(lambda number: app.set(f"shop:{number}", number))
    step("Slots are moved while it writes")
    first, second = [host for host in lab.hosts if "role:master" in info(host)][:2]
    eventually("writes", lambda: writer.confirmed_now() > 200)
    ids = {host.address: node(host, "MYID") for host in (first, second)}
    slots = ["--cluster-from", ids[first.address], "--cluster-to", ids[second.address], "--cluster-slots", "1000"]
    run("redis-cli", *ops, "--cluster", "reshard", f"{first.address}:6380", *slots, "--cluster-yes")
    run("redis-cli", *ops, "--cluster", "check", f"{first.address}:6380")
    confirmed = writer.confirmed_now()
    eventually("writes after that", lambda: writer.confirmed_now() > confirmed + 200)
    check(writer.failed == 0, f"1,000 slots have moved, and {confirmed} writes went on without an error")

    step(f"The primary {second.address} is killed")
    eventually("three replicas", lambda: len(replicas()) == 3)
    second.kill("redis")
    survivors = [host for host in lab.hosts if host is not second]
    primaries = lambda: [host for host in survivors if "role:master" in info(host)]
    eventually("a replica in its place", lambda: len(primaries()) == 3)
    eventually("the cluster to be well", lambda: all("cluster_state:ok" in node(host, "INFO") for host in survivors))
    confirmed = writer.confirmed_now()
    eventually("writes after that", lambda: writer.confirmed_now() > confirmed + 200)
    start_redis(second)
    eventually("it to follow", lambda: "master_link_status:up" in info(second))
    check(True, "a replica took its place, and it follows that one now")

    step("What has become of the writes")
    confirmed, failed = writer.end()
    lost = [number for number in confirmed if app.get(f"shop:{number}") != b"%d" % number]
    # Nobody waited for a replica: what was confirmed in the last moment before the end of a primary may be lost.
    check(len(lost) <= 20, f"{len(confirmed)} writes, {failed} failed meanwhile, {len(lost)} of the killed primary are lost")
    for host in lab.hosts:
        refused = [line for line in host.log("gate").splitlines() if 'event="refusal"' in line and 'user="node"' in line]
        check(refused == [], f"{host.address} has refused the nodes nothing")


def start_redis(host):
    host.start("redis", redis_server(), "redis.conf")
    eventually(f"the Redis of {host.address}", lambda: host.redis_cli("redis.sock", "PING") == "PONG")


def node(host, word):
    return host.redis_cli("redis.sock", "CLUSTER", word)


def info(host):
    return host.redis_cli("redis.sock", "INFO", "replication")


def run(*command):
    done = subprocess.run([*map(str, command)], capture_output=True, text=True)
    if done.returncode != 0 or "[ERR]" in done.stdout:
        raise SystemExit(f"FAILED: {command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return done.stdout


def key_of(certificate):
    """SHA-256 of its SubjectPublicKeyInfo."""
    key = subprocess.run(["openssl", "x509", "-in", certificate, "-noout", "-pubkey"], check=True, capture_output=True).stdout
    der = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "DER"], input=key, check=True, capture_output=True).stdout
    return hashlib.sha256(der).hexdigest()


needs_tls()
played(play, Lab("cluster", 6))
