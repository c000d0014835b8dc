"""A Redis and a respgate of one's own, for the programs beside this file. Needs redis-server, nothing else."""

import contextlib
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time


@contextlib.contextmanager
def running(respgate, prepare):
    """Both in a new folder, as (respgate's process, folder, port), until the end of the block. `prepare(folder, port)` has
    to leave a respgate.toml there with the upstream unix:FOLDER/redis.sock; the log goes to FOLDER/log."""
    os.umask(0o022)  # respgate refuses files that others can change
    with tempfile.TemporaryDirectory(prefix="respgate-bench.") as name:
        folder, port = pathlib.Path(name), free_port()
        prepare(folder, port)
        with redis_server("--port", "0", "--unixsocket", folder / "redis.sock", "--dir", folder), open(folder / "log", "wb") as log:
            gate = subprocess.Popen([respgate, "run", "--config", folder / "respgate.toml"], stderr=log)
            with ended(gate):
                yield gate, folder, port


@contextlib.contextmanager
def redis_server(*options):
    """A Redis that saves nothing, as its process, until the end of the block."""
    redis = subprocess.Popen(["redis-server", "--save", "", *options], stdout=subprocess.DEVNULL)
    with ended(redis):
        yield redis


@contextlib.contextmanager
def ended(process):
    try:
        yield
    finally:
        process.kill()
        process.wait()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(path):
    """Until somebody listens at this unix socket."""
    for _ in range(200):
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(path))
            return
        time.sleep(0.05)
    sys.exit(f"nobody listens at {path}")


def request(*arguments):
    return b"*%d\r\n" % len(arguments) + b"".join(bulk(argument) for argument in arguments)


def bulk(value):
    value = value if isinstance(value, bytes) else str(value).encode()
    return b"$%d\r\n%s\r\n" % (len(value), value)
