"""Django's own cache: what is set, counted, deleted and found again, and sessions in the cache."""

import os

import django
from django.conf import settings

settings.configure(
    CACHES={"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": os.environ["APP_URL"], "KEY_PREFIX": "site"}},
    SESSION_ENGINE="django.contrib.sessions.backends.cache",
    SECRET_KEY="of a test",
)
django.setup()

from django.contrib.sessions.backends.cache import SessionStore  # noqa: E402
from django.core.cache import cache  # noqa: E402


def work():
    cache.set("page", {"body": "hello"}, 30)
    assert cache.get("page") == {"body": "hello"} and "page" in cache
    assert cache.add("page", "other") is False
    cache.set_many({"one": 1, "two": 2}, 30)
    assert cache.get_many(["one", "two"]) == {"one": 1, "two": 2}
    assert cache.incr("one") == 2 and cache.decr("one") == 1
    assert cache.touch("one", 60) and cache.touch("two", None)
    assert cache.delete("page")
    cache.delete_many(["one", "two"])
    assert cache.get_or_set("made", lambda: "once", 30) == "once"

    session = SessionStore()
    session["user"] = "alice"
    session.save()
    assert SessionStore(session.session_key)["user"] == "alice"
    session.cycle_key()
    session.delete()
