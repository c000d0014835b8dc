"""Walks through redis-py against one server and prints every result, one a line.

    redis_py.py direct SOCKET
    redis_py.py tls PORT CA CERT KEY

Both print the same when a proxy changes nothing. Keys are left behind empty.
"""

import hashlib
import sys

import redis


def connect(protocol):
    if sys.argv[1] == "direct":
        return redis.Redis(unix_socket_path=sys.argv[2], protocol=protocol, decode_responses=True)
    port, ca, cert, key = sys.argv[2:]
    return redis.Redis(
        host="localhost", port=int(port), protocol=protocol, decode_responses=True,
        ssl=True, ssl_ca_certs=ca, ssl_certfile=cert, ssl_keyfile=key,
    )


def show(name, result):
    print(f"{name}: {result!r}")


def data_types(r):
    show("set", r.set("s", "hello"))
    show("get", r.get("s"))
    show("append", r.append("s", " world"))
    show("missing", r.get("missing"))
    show("incr", r.incr("n", 5))
    show("mset", r.mset({"a": 1, "b": 2}))
    show("mget", r.mget("a", "missing", "b"))
    show("rpush", r.rpush("l", *range(10)))
    show("lrange", r.lrange("l", 0, -1))
    show("lpop", r.lpop("l", 3))
    show("blpop", r.blpop(["l"], timeout=1))
    show("hset", r.hset("h", mapping={"x": "1", "y": "2"}))
    show("hgetall", r.hgetall("h"))
    show("zadd", r.zadd("z", {"one": 1, "two": 2.5}))
    show("zrange", r.zrange("z", 0, -1, withscores=True))
    show("sadd", r.sadd("u", 1, 2, 3))
    show("smembers", sorted(r.smembers("u")))
    show("xadd", r.xadd("x", {"kind": "start"}, id="1-1"))
    show("xrange", r.xrange("x"))
    show("xread", r.xread({"x": "0"}))
    show("xgroup", r.xgroup_create("x", "g", id="0"))
    show("xreadgroup", r.xreadgroup("g", "c", {"x": ">"}))
    show("xack", r.xack("x", "g", "1-1"))


def pipelines(r):
    pipe = r.pipeline(transaction=False)
    for index in range(1000):
        pipe.set(f"p:{index}", index)
    show("pipeline", sum(pipe.execute()))
    pipe = r.pipeline(transaction=True)
    pipe.incr("tx").incr("tx").get("tx")
    show("transaction", pipe.execute())
    with r.pipeline() as watching:
        watching.watch("tx")
        r.set("tx", "changed")
        watching.multi()
        watching.get("tx")
        try:
            show("watch", watching.execute())
        except redis.WatchError:
            show("watch", "WatchError")
    show("scan", sorted(r.scan_iter("p:*", count=100))[:3])
    show("scan count", len(set(r.scan_iter("p:*"))))


def pubsub(r):
    subscriber = r.pubsub()
    subscriber.subscribe("news")
    show("subscribed", subscriber.get_message(timeout=5))
    subscriber.psubscribe("n*")
    show("psubscribed", subscriber.get_message(timeout=5))
    show("publish", r.publish("news", "breaking"))
    kinds = sorted(subscriber.get_message(timeout=5)["type"] for _ in range(2))
    show("messages", kinds)
    subscriber.unsubscribe()
    show("unsubscribed", subscriber.get_message(timeout=5))
    subscriber.close()


def large_value(r):
    value = "0123456789abcdef" * (4 << 20)
    show("64 MiB set", r.set("big", value))
    show("64 MiB get", hashlib.sha256(r.get("big").encode()).hexdigest())


def errors(r):
    for command in (["LPUSH", "s", "1"], ["GET"], ["NOSUCH", "x"]):
        try:
            r.execute_command(*command)
        except redis.ResponseError as error:
            show(command[0], str(error))


def main():
    for protocol in (2, 3):
        r = connect(protocol)
        data_types(r)
        pipelines(r)
        pubsub(r)
        large_value(r)
        errors(r)
        show("clean", r.delete(*r.keys("*")))
        r.close()


main()
