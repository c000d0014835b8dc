"""The applications: by the name of their preset, the processes that do their work."""

import dataclasses
import pathlib
import sys

BIN = pathlib.Path(sys.executable).parent


@dataclasses.dataclass(frozen=True)
class Application:
    """`program` is in apps/, and its `work()` has jobs done. `URL` in a command becomes that of Redis."""

    program: str
    workers: tuple = ()
    # Whether `leave_behind()` makes work for the end of the workers.
    leaves_behind: bool = False
    # What it asks for and can do without.
    refused: tuple = ()

    def call(self, function):
        """The command that calls a function of the program."""
        if self.program.endswith(".cjs"):
            return ("node", self.program, function)
        if self.program.endswith(".rb"):
            return ("ruby", "-r", f"./{self.program}", "-e", function)
        return python("-c", f"import {self.program}; {self.program}.{function}()")


def python(*command):
    return (BIN / "python", *command)


APPLICATIONS = {
    "celery": Application(
        "celery_app",
        (
            python("-m", "celery", "-A", "celery_app", "worker"),
            python("-m", "celery", "-A", "celery_app", "beat", "--schedule", "FOLDER/beat"),
        ),
        leaves_behind=True,
    ),
    # The scheduler of a worker ends where it loses Redis, and the worker starts another when it comes to its maintenance.
    "rq": Application(
        "rq_app", (python("-m", "rq.cli", "worker", "--with-scheduler", "--maintenance-interval", "2", "--url", "URL"),)
    ),
    "dramatiq": Application("dramatiq_app", (python("-m", "dramatiq", "dramatiq_app", "--processes", "1", "--threads", "2"),)),
    "huey": Application("huey_app", (python("-m", "huey.bin.huey_consumer", "huey_app.app"),)),
    "taskiq": Application(
        "taskiq_app",
        (
            python("-m", "taskiq", "worker", "taskiq_app:broker", "--workers", "1"),
            python("-m", "taskiq", "scheduler", "taskiq_app:scheduler", "--update-interval", "1"),
        ),
    ),
    "bullmq": Application("bullmq_app.cjs", (("node", "bullmq_app.cjs", "worker"),)),
    "sidekiq": Application("sidekiq_app.rb", (("ruby", "-S", "sidekiq", "-r", "./sidekiq_app.rb"),)),
    "socket.io": Application("socketio_app.cjs"),
    "redis-py-lock": Application("locks_app"),
    "python-redis-lock": Application("redis_lock_app"),
    "channels": Application("channels_app"),
    "django-cache": Application("django_app"),
    "cache": Application("cache_app"),
    "session": Application("session_app"),
    "exporter": Application("exporter_app", (python("exporter_app.py"),), refused=("slowlog|get",)),
    "app": Application(
        "redis_py_app",
        tuple(python("redis_py_app.py", kind) for kind in ("sync", "asynchronous", "subscriber", "asynchronous-subscriber", "publisher")),
    ),
}
