"""Applications are learnt from, and do the same again with the line of that."""

import contextlib
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import redis
from grant import Grant
from scenes import Scene
from stage import Stage, make_certificates, stop

RESPGATE = pathlib.Path(os.environ["RESPGATE"]).resolve()
# A client certificate of this name is among those of the applications' document.
USER = "shop"
WIDE = Grant(USER, f"user {USER} on ~* &* +@all\n", f'[block]\nscripting-users = ["{USER}"]\n', None)


def main():
    os.umask(0o022)  # respgate refuses files that others can change
    plays = {"celery": of_monitor, "rq": of_monitor, "django-cache": of_monitor, "live": live}
    with tempfile.TemporaryDirectory(prefix="respgate-learn.") as folder:
        certificates = pathlib.Path(folder)
        make_certificates(certificates, RESPGATE)
        if not (certificates / f"{USER}.crt").exists():
            subprocess.run([RESPGATE, "cert", "client", USER, "--dir", certificates], check=True, capture_output=True)
        for name in sys.argv[1:] or plays:
            started = time.monotonic()
            line = plays[name](name, certificates)
            print(f"ok     {name:14} {time.monotonic() - started:4.0f} s  {line.rstrip()}", flush=True)


def of_monitor(name, certificates):
    """Learns from an application that is directly at its Redis."""
    with started(certificates, WIDE, gate=False) as stage, monitored(stage) as captured:
        play(Scene(name, stage, direct=True))
    suggestion = suggest("--monitor", captured, "--user", USER)
    line, refused = line_of(suggestion)
    with started(certificates, Grant(USER, line, settings_of(suggestion), None)) as stage:
        scene = Scene(name, stage)
        play(scene)
        unsaid = [refusal for refusal in stage.refusals() if f"+{refusal.get('command')}" not in refused]
        assert not unsaid, f"refused, and not said to be:\n{unsaid}\n{suggestion}"
    captured.unlink()
    return line


def live(_, certificates):
    """Learns from a web application behind respgate, which keeps sessions and pages, and counts."""
    learnt = certificates / "learnt"
    wide = Grant(USER, WIDE.acl, f'learn-file = "{learnt}"\n{WIDE.settings}', None)

    def serve_pages(url, pages):
        with redis.Redis.from_url(url) as client:
            for page in range(pages):
                client.set(f"session:{page:032x}", "who", ex=60)
                client.get(f"session:{page:032x}")
                client.hincrby("stats", "pages")
                client.get(f"page:/articles/{page}.html")
                client.publish("purge", page)

    with started(certificates, wide) as stage:
        serve_pages(stage.url(), 1500)
        stage.stop_gate()
        suggestion = suggest("--config", stage.folder / "respgate.toml", "--user", USER)
    line, refused = line_of(suggestion)
    assert not refused, suggestion
    with started(certificates, Grant(USER, line, "", None)) as stage:
        serve_pages(stage.url(), 100)
        assert not stage.refusals(), suggestion
        with redis.Redis.from_url(stage.url()) as client, contextlib.suppress(redis.exceptions.NoPermissionError):
            client.get("bank:account:1")
            raise AssertionError("what was not seen is allowed")
    return line


def play(scene):
    try:
        work_of(scene)
    except Exception as error:
        raise AssertionError(f"{error}\n{scene.processes.outputs()}{scene.stage.log_text()}") from error
    finally:
        scene.processes.end()


def work_of(scene):
    scene.start_workers()
    scene.jobs_are_done()
    if scene.application.leaves_behind:
        scene.jobs_are_done("leave_behind")


@contextlib.contextmanager
def started(certificates, grant, gate=True):
    with tempfile.TemporaryDirectory(prefix="respgate-learn.") as folder:
        stage = Stage(pathlib.Path(folder), certificates, RESPGATE, grant)
        try:
            stage.start_redis()
            (stage.folder / "respgate.log").touch()
            if gate:
                stage.start_gate()
            yield stage
        finally:
            stage.end()


@contextlib.contextmanager
def monitored(stage):
    """What MONITOR shows meanwhile, in a file that is not there for long."""
    descriptor, path = tempfile.mkstemp(prefix="respgate-monitor.")
    with os.fdopen(descriptor, "wb") as file:
        monitor = subprocess.Popen(["redis-cli", "-p", str(stage.redis_port), "MONITOR"], stdout=file)
        while not os.path.getsize(path):
            time.sleep(0.05)
        try:
            yield pathlib.Path(path)
        finally:
            time.sleep(0.5)
            stop(monitor)


def suggest(*arguments):
    suggestion = subprocess.run([RESPGATE, "acl", "suggest", *map(str, arguments)], capture_output=True, text=True)
    assert suggestion.returncode == 0, suggestion.stderr
    return suggestion.stdout


def line_of(suggestion):
    """The line, with what an operator would take of what is not suggested; and what is left of that."""
    *_, line = suggestion.splitlines()
    withheld = [words.split()[1] for words in suggestion.splitlines() if words.startswith("#   ") and not words.startswith("#     ")]
    # Both ask Redis for its version at their start, and do not do without.
    taken = [rule for rule in withheld if rule == "+info"]
    return f"{' '.join([line, *taken])}\n", [rule for rule in withheld if rule not in taken]


def settings_of(suggestion):
    return "\n".join(line.removeprefix("#     ") for line in suggestion.splitlines() if line.startswith("#     "))


if __name__ == "__main__":
    main()
