"""python-redis-lock: taken, held against others, extended, released to one who waits, and reset."""

import os
import threading

import redis
import redis_lock

client = redis.Redis.from_url(os.environ["APP_URL"])


def work():
    lock = redis_lock.Lock(client, "report", expire=60, auto_renewal=True)
    assert lock.acquire(blocking=False)
    assert not redis_lock.Lock(client, "report", expire=60).acquire(blocking=False)
    lock.extend(60)
    waiting = redis_lock.Lock(client, "report", expire=60)
    threading.Timer(0.5, lock.release).start()
    assert waiting.acquire(timeout=20)
    waiting.release()
    with redis_lock.Lock(client, "report"):
        pass
    redis_lock.Lock(client, "report").reset()
