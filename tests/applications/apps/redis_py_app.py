"""redis-py with Retry: a client that goes on and on, by the name of its kind, and the question whether it does."""

import asyncio
import os
import sys
import time

import redis
import redis.asyncio
from redis.backoff import ExponentialBackoff

URL = os.environ["APP_URL"]
DEADLINE = 60


def retry(kind):
    """Enough for a Redis that is away for some twenty seconds."""
    return kind(ExponentialBackoff(cap=1, base=0.05), 25)


def sync():
    client = redis.Redis.from_url(URL, retry=retry(redis.retry.Retry))
    while True:
        number = client.incr("shop:number")
        with client.pipeline(transaction=True) as pipe:
            pipe.set("shop:last", number).get("shop:last")
            assert pipe.execute() == [True, b"%d" % number]
        tick("sync")
        time.sleep(0.05)


async def asynchronous():
    client = redis.asyncio.Redis.from_url(URL, retry=retry(redis.asyncio.retry.Retry))
    while True:
        await client.incr("shop:asynchronous")
        await asyncio.gather(*(client.set(f"shop:{number}", number) for number in range(5)))
        tick("asynchronous")
        await asyncio.sleep(0.05)


def subscriber():
    """Hears what it is told. What nobody hears while the subscriber is away is lost, as with any Redis."""
    client = redis.Redis.from_url(URL, retry=retry(redis.retry.Retry))
    hearing = client.pubsub(ignore_subscribe_messages=True)
    hearing.subscribe("shop:news")
    hearing.psubscribe("shop:*")
    for _ in hearing.listen():
        tick("subscriber")


def publisher():
    client = redis.Redis.from_url(URL, retry=retry(redis.retry.Retry))
    while True:
        client.publish("shop:news", "new")
        tick("publisher")
        time.sleep(0.05)


async def asynchronous_subscriber():
    client = redis.asyncio.Redis.from_url(URL, retry=retry(redis.asyncio.retry.Retry))
    async with client.pubsub(ignore_subscribe_messages=True) as hearing:
        await hearing.subscribe("shop:news")
        async for _ in hearing.listen():
            tick("asynchronous-subscriber")


KINDS = {
    "sync": sync,
    "asynchronous": lambda: asyncio.run(asynchronous()),
    "subscriber": subscriber,
    "asynchronous-subscriber": lambda: asyncio.run(asynchronous_subscriber()),
    "publisher": publisher,
}


def tick(kind):
    with open(f"{os.environ['APP_TICKS']}.{kind}", "a") as file:
        file.write(".")


def work():
    """Every kind comes on."""
    before = {kind: ticks(kind) for kind in KINDS}
    until = time.monotonic() + DEADLINE
    while standing := [kind for kind in KINDS if ticks(kind) < before[kind] + 10]:
        assert time.monotonic() < until, f"does nothing: {standing}"
        time.sleep(0.1)


def ticks(kind):
    file = f"{os.environ['APP_TICKS']}.{kind}"
    return os.path.getsize(file) if os.path.exists(file) else 0


if __name__ == "__main__":
    KINDS[sys.argv[1]]()
