"""taskiq, its broker of streams: a task and its result, one that is retried, and one that its scheduler sends later."""

import asyncio
import datetime
import os

from taskiq import AsyncTaskiqTask, Context, SimpleRetryMiddleware, TaskiqDepends, TaskiqScheduler
from taskiq_redis import ListRedisScheduleSource, RedisAsyncResultBackend, RedisStreamBroker

URL = os.environ["APP_URL"]
DEADLINE = 60

broker = (
    RedisStreamBroker(URL)
    .with_result_backend(RedisAsyncResultBackend(URL, prefix_str="taskiq"))
    .with_middlewares(SimpleRetryMiddleware())
)
source = ListRedisScheduleSource(URL, prefix="taskiq-schedule")
scheduler = TaskiqScheduler(broker, [source])


@broker.task
async def add(x: int, y: int) -> int:
    return x + y


@broker.task(retry_on_error=True, max_retries=2)
async def fails_once(context: Context = TaskiqDepends()) -> str:
    if "_retries" not in context.message.labels:
        raise RuntimeError("as it should")
    return "retried"


async def have_done():
    await broker.startup()
    await source.startup()
    assert await value(await add.kiq(2, 3)) == 5
    assert await value(await fails_once.kiq()) == "retried"
    later = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=1)
    name = f"scheduled-{os.getpid()}"
    await add.kicker().with_task_id(name).schedule_by_time(source, later, 2, 4)
    assert await value(AsyncTaskiqTask(name, broker.result_backend)) == 6
    await source.shutdown()
    await broker.shutdown()


async def value(task):
    result = await task.wait_result(timeout=DEADLINE)
    result.raise_for_error()
    return result.return_value


def work():
    asyncio.run(have_done())
