"""Three hosts with a Redis, a Sentinel and two respgates each: an application writes through two failovers."""

import time

import redis
from lab import HERE, Lab, Writer, accepts, check, eventually, needs_tls, played, raises, redis_server, respgate, step
from redis.sentinel import Sentinel

FILES = HERE / "sentinel"


def play(lab):
    step("Certificates, and three hosts")
    pki = lab.authority("pki", ["app", "node"])
    lab.equip(pki, "ca.crt", "ca.crl", "node.crt", "node.key")
    for host in lab.hosts:
        for name in ("redis.toml", "redis.acl", "sentinel.toml", "sentinel.acl", "sentinel.conf"):
            host.copy(FILES / name)
        host.copy(FILES / "redis.conf", *(["replicaof 192.0.2.1 6380"] if host.number > 1 else []))
        start_redis(host)
        host.start("redis-gate", respgate(), "run", "--config", "redis.toml")
    eventually("two replicas", lambda: "connected_slaves:2" in info(lab.hosts[0], "replication"))
    for host in lab.hosts:
        host.start("sentinel", redis_server(), "sentinel.conf", "--sentinel")
        host.start("sentinel-gate", respgate(), "run", "--config", "sentinel.toml")
    for host in lab.hosts:
        sees = lambda host=host: host.redis_cli("sentinel.sock", "SENTINEL", "CKQUORUM", "shop").startswith("OK 3")
        eventually(f"the sentinel of {host.address} to know the others", sees)
    check(True, "each Sentinel knows two others, each Redis two others, all by the addresses of their respgates")

    lab.enter()
    step("What is reached from elsewhere")
    for host in lab.hosts:
        open_ports = [port for port in (6379, 6380, 16379, 26379, 26380) if accepts(host.address, port)]
        check(open_ports == [6380, 26380], f"{host.address}: {open_ports}, and these are respgates")
    bare = redis.Redis("192.0.2.1", 6380, ssl=True, ssl_ca_certs=pki / "ca.crt", ssl_check_hostname=True)
    check(raises(bare.ping), "nobody without a certificate")
    tls = {
        "ssl": True,
        "ssl_ca_certs": pki / "ca.crt",
        "ssl_certfile": pki / "app.crt",
        "ssl_keyfile": pki / "app.key",
        "socket_timeout": 2,
    }
    sentinels = [(host.address, 26380) for host in lab.hosts]
    sentinel = Sentinel(sentinels, sentinel_kwargs=tls, **tls)
    app = sentinel.master_for("shop")
    check(sentinel.discover_master("shop") == ("192.0.2.1", 6380), "the primary is 192.0.2.1:6380, a respgate")
    check(raises(app.execute_command, "FLUSHALL"), "FLUSHALL is refused")
    asked = redis.Redis("192.0.2.1", 26380, **tls)
    check(raises(asked.execute_command, "SENTINEL", "REMOVE", "shop"), "SENTINEL REMOVE is refused")

    step("What each server announces")
    for host in lab.hosts:
        for config in ("redis.toml", "sentinel.toml"):
            severities = {severity for severity, *_ in host.announced(config)}
            check(severities == {"green"}, f"{host.address}: respgate doctor finds a respgate wherever {config[:-5]} sends others")
    found = lab.hosts[2].announces_its_plain_port("replica-announce-port", "redis.toml")
    check(any(fix == "replica-announce-port 6380" for _, _, fix in found), f"and what is plain: {found[0]}")

    writer = Writer(lambda number: write(app, number))
    for _ in range(2):
        old = primary(lab, sentinel)
        step(f"The Redis of {old.address} is killed while the application writes")
        count = writer.confirmed_now()
        eventually("writes that are confirmed", lambda: writer.confirmed_now() > count + 20)
        old.kill("redis")
        since = time.monotonic()
        eventually("another primary", lambda: primary(lab, sentinel) not in (None, old))
        new, count = primary(lab, sentinel), writer.confirmed_now()
        eventually("writes that are confirmed again", lambda: writer.confirmed_now() > count + 20)
        check(True, f"{new.address} is the primary, and written to after {time.monotonic() - since:.1f} s")
        start_redis(old)
        eventually("the old primary to follow", lambda: "master_link_status:up" in info(old, "replication"))
        eventually("two replicas again", lambda: "connected_slaves:2" in info(new, "replication"))
        check(True, f"{old.address} follows it")

    step("What has become of the writes")
    confirmed, failed = writer.end()
    lost = [number for number in confirmed if app.get(f"shop:{number}") != b"%d" % number]
    check(lost == [], f"of {len(confirmed)} writes that WAIT 1 confirmed none is lost; {failed} others were told an error")
    for host in lab.hosts:
        for name in ("redis-gate", "sentinel-gate"):
            refused = [line for line in host.log(name).splitlines() if "event=\"refusal\"" in line and "node" in line]
            check(refused == [], f"{host.address}: {name} has refused the nodes nothing")


def write(app, number):
    """Whether a replica has it."""
    with app.pipeline(transaction=False) as pipe:
        return pipe.set(f"shop:{number}", number).execute_command("WAIT", 1, 1000).execute()[1] >= 1


def start_redis(host):
    host.start("redis", redis_server(), "redis.conf")
    eventually(f"the Redis of {host.address}", lambda: host.redis_cli("redis.sock", "PING") == "PONG")


def info(host, section):
    return host.redis_cli("redis.sock", "INFO", section)


def primary(lab, sentinel):
    try:
        address, _ = sentinel.discover_master("shop")
    except redis.RedisError:
        return None
    return next(host for host in lab.hosts if host.address == address)


needs_tls()
played(play, Lab("sentinel", 3))
