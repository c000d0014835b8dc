"""redis-py's Lock: taken, held against others, extended, and released."""

import os

import redis

client = redis.Redis.from_url(os.environ["APP_URL"])


def work():
    lock = client.lock("lock:report", timeout=30)
    assert lock.acquire(blocking=False)
    other = client.lock("lock:report", timeout=30)
    assert not other.acquire(blocking=False)
    assert lock.extend(30) and lock.reacquire() and lock.owned() and lock.locked()
    lock.release()
    with client.lock("lock:report", timeout=30, blocking_timeout=30):
        pass
