"""rq: jobs that return, fail, are scheduled, repeat, depend on others, are stopped, moved and cancelled; and callers that look."""

import datetime
import os
import time

import redis
import rq
from rq.command import send_stop_job_command

DEADLINE = 60


def add(x, y):
    return x + y


def fails():
    raise RuntimeError("as it should")


def sleeps():
    time.sleep(DEADLINE)


def work():
    # To wait for a result may take longer than the 5 seconds that redis-py waits by itself.
    connection = redis.Redis.from_url(os.environ["APP_URL"], socket_timeout=2 * DEADLINE)
    queue = rq.Queue(connection=connection)

    first = queue.enqueue(add, 2, 3)
    assert first.latest_result(timeout=DEADLINE).return_value == 5
    assert queue.enqueue(add, 1, 1, depends_on=first).latest_result(timeout=DEADLINE).return_value == 2

    failing = queue.enqueue(fails, retry=rq.Retry(max=1))
    is_so(lambda: failing.get_status() == "failed", "the failure is recorded")
    assert failing.id in queue.failed_job_registry
    failing.requeue()
    is_so(lambda: failing.get_status() == "failed", "the second failure is recorded")
    failing.delete()

    scheduled = queue.enqueue_in(datetime.timedelta(seconds=1), add, 2, 4)
    is_so(lambda: has_finished(scheduled, queue), "the scheduled job has run")
    assert scheduled.return_value() == 6

    repeated = queue.enqueue(add, 2, 5, repeat=rq.Repeat(times=1, interval=1))
    is_so(lambda: len(repeated.results()) == 2, "the job has run twice")

    endless = queue.enqueue(sleeps)
    is_so(lambda: endless.get_status() == "started", "the job has begun")
    waiting = [queue.enqueue(add, number, number, meta={"number": number}) for number in range(2)]
    assert len(queue) == 2 and queue.get_job_position(waiting[1]) == 1
    waiting[0].cancel()
    send_stop_job_command(connection, endless.id)
    is_so(lambda: endless.get_status() == "stopped", "the job was stopped")
    assert waiting[1].latest_result(timeout=DEADLINE).return_value == 2

    elsewhere = rq.Queue("elsewhere", connection=connection)
    elsewhere.enqueue(add, 1, 1)
    elsewhere.empty()
    elsewhere.delete()

    worker = rq.Worker.all(connection=connection)[0]
    assert worker.queue_names() == ["default"] and worker.get_current_job() is None


def has_finished(job, queue):
    """The worker sees that its scheduler is there between two jobs only."""
    queue.enqueue(add, 1, 1, result_ttl=0).latest_result(timeout=1)
    return job.get_status() == "finished"


def is_so(condition, what):
    until = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < until, f"waited in vain: {what}"
        time.sleep(0.1)
