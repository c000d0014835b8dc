"""Flask-Caching: values, several at once, one that is made once, and the end of one."""

import os

import flask
from flask_caching import Cache

app = flask.Flask("cache_app")
cache = Cache(app, config={"CACHE_TYPE": "RedisCache", "CACHE_REDIS_URL": os.environ["APP_URL"], "CACHE_KEY_PREFIX": "cache:"})


@cache.memoize(60)
def made(number):
    return os.urandom(8)


def work():
    with app.app_context():
        assert cache.set("page", {"body": "hello"}, 30) and cache.get("page") == {"body": "hello"}
        assert not cache.add("page", "other") and cache.has("page")
        assert cache.set_many({"one": 1, "two": 2}, 30) and cache.get_many("one", "two") == [1, 2]
        assert cache.cache.inc("counter") == 1 and cache.cache.dec("counter") == 0
        assert made(1) == made(1) != made(2)
        assert cache.delete("page") and cache.delete_many("one", "two") and cache.get("page") is None
