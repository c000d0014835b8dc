"""Celery: a task and its result, one with a countdown, a chord, a beat schedule, and remote control of the worker."""

import os
import time

import celery

URL = os.environ["APP_URL"]
DEADLINE = 60

app = celery.Celery("celery_app", broker=URL, backend=URL)
app.conf.update(
    broker_transport_options={"global_keyprefix": "app:"},
    result_backend_transport_options={"global_keyprefix": "app:"},
    beat_schedule={"tick": {"task": "celery_app.tick", "schedule": 1.0}},
    broker_connection_retry_on_startup=True,
    worker_concurrency=2,
)


@app.task
def add(x, y):
    return x + y


@app.task
def total(numbers):
    return sum(numbers)


@app.task(bind=True, max_retries=1, default_retry_delay=1)
def fails_once(self):
    if self.request.retries == 0:
        raise self.retry()
    return "retried"


@app.task
def tick():
    with open(os.environ["APP_TICKS"], "a") as ticks:
        ticks.write("tick\n")


def ticks():
    try:
        with open(os.environ["APP_TICKS"]) as file:
            return len(file.readlines())
    except FileNotFoundError:
        return 0


def work():
    assert add.delay(2, 3).get(DEADLINE) == 5
    assert add.apply_async((2, 4), countdown=1).get(DEADLINE) == 6
    assert fails_once.delay().get(DEADLINE) == "retried"
    assert celery.chord([add.s(number, 1) for number in range(4)])(total.s()).get(DEADLINE) == 10
    forgotten = add.delay(1, 1)
    forgotten.get(DEADLINE)
    forgotten.forget()

    before, until = ticks(), time.monotonic() + DEADLINE
    while ticks() == before:
        assert time.monotonic() < until, "beat schedules nothing"
        time.sleep(0.1)

    until = time.monotonic() + DEADLINE
    while not app.control.inspect(timeout=2).ping():
        assert time.monotonic() < until, "no worker answers to remote control"


def leave_behind():
    """The worker takes this one, keeps it until it is due, and gives it back when it ends."""
    add.apply_async((1, 1), countdown=3600)
    add.delay(1, 1).get(DEADLINE)
