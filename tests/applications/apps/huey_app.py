"""huey: a task and its result, a delayed one, one that is retried, a periodic one, and a lock."""

import os
import time

import huey

DEADLINE = 60

app = huey.RedisHuey("app", url=os.environ["APP_URL"])


@app.task()
def add(x, y):
    return x + y


@app.task(retries=1, retry_delay=1, context=True)
def fails_once(task=None):
    if task.retries:  # how many are left
        raise RuntimeError("as it should")
    return "retried"


@app.task()
@app.lock_task("only-one")
def alone():
    return "alone"


@app.periodic_task(lambda now: True)
def tick():
    with open(os.environ["APP_TICKS"], "a") as ticks:
        ticks.write("tick\n")


def work():
    assert add(2, 3)(blocking=True, timeout=DEADLINE) == 5
    assert add.schedule((2, 4), delay=1)(blocking=True, timeout=DEADLINE) == 6
    assert alone()(blocking=True, timeout=DEADLINE) == "alone"
    retried = fails_once()
    until = time.monotonic() + DEADLINE
    while True:
        # What the first try left is an exception, and a result that was read is gone.
        try:
            if retried(blocking=True, timeout=DEADLINE) == "retried":
                break
        except huey.exceptions.TaskException:
            retried.reset()
        assert time.monotonic() < until, "no second try"
    # What is periodic is due once a minute.
    until = time.monotonic() + 75
    while not os.path.exists(os.environ["APP_TICKS"]):
        assert time.monotonic() < until, "nothing periodic runs"
        time.sleep(0.1)
