"""dramatiq: a message and its result, a delayed one, and one that is retried."""

import os

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

URL = os.environ["APP_URL"]
DEADLINE = 60_000

# A look after dead workers comes with one request in a thousand; here with every one.
broker = RedisBroker(url=URL, maintenance_chance=1_000_000)
broker.add_middleware(Results(backend=RedisBackend(url=URL, use_namespace_prefix_keys=True)))
broker.add_middleware(dramatiq.middleware.CurrentMessage())
dramatiq.set_broker(broker)


@dramatiq.actor(store_results=True)
def add(x, y):
    return x + y


@dramatiq.actor(store_results=True, max_retries=1, min_backoff=500)
def fails_once():
    if not dramatiq.middleware.CurrentMessage.get_current_message().options.get("retries"):
        raise RuntimeError("as it should")
    return "retried"


def work():
    assert add.send(2, 3).get_result(block=True, timeout=DEADLINE) == 5
    assert add.send_with_options(args=(2, 4), delay=1000).get_result(block=True, timeout=DEADLINE) == 6
    assert fails_once.send().get_result(block=True, timeout=DEADLINE) == "retried"
