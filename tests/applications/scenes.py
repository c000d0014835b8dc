"""What is done with an application: its jobs, as a user with what the preset prints, and the same jobs after an outage."""

import os
import subprocess
import time

from applications import APPLICATIONS
from stage import APPS, DEADLINE, Processes

# How long Redis is away.
AWAY = 4


class Scene:
    """An application at work before a stage, or directly at its Redis."""

    def __init__(self, name, stage, direct=False):
        self.name, self.stage, self.direct = name, stage, direct
        self.application = APPLICATIONS[name]
        self.times = []
        self.url = stage.direct_url() if direct else stage.url()
        environment = {**os.environ, "APP_URL": self.url, "APP_TICKS": f"{stage.folder}/ticks", "PYTHONPATH": str(APPS)}
        self.processes = Processes(stage.folder, environment)

    def start_workers(self):
        names = {"URL": self.url, "FOLDER/beat": f"{self.stage.folder}/beat"}
        for command in self.application.workers:
            self.processes.start([names.get(word, word) for word in command])

    def jobs_are_done(self, function="work"):
        """By a new process; the workers are those that have been there all along."""
        work, output = self.processes.start(self.application.call(function))
        self.processes.running.pop()
        try:
            code = work.wait(4 * DEADLINE)
        finally:
            work.kill()
            work.wait()
        assert code == 0, f"the jobs were not done:\n{output.read_text()}"
        self.processes.assert_alive()

    def timed(self, what, action):
        """Nothing is asserted of the time; it is there to be read."""
        started = time.monotonic()
        action()
        self.times.append(f"{what} {time.monotonic() - started:.0f} s")

    def nothing_was_refused(self):
        refusals = [refusal for refusal in self.stage.refusals() if refusal.get("command") not in self.application.refused]
        assert not refusals, f"refused: {refusals}"


def work(scene):
    """With exactly what the preset prints every job is done, and nothing is refused."""
    scene.start_workers()
    scene.jobs_are_done()
    if scene.application.leaves_behind:
        scene.jobs_are_done("leave_behind")
    scene.processes.end()
    scene.nothing_was_refused()


def outage(scene):
    """The same workers do their jobs after Redis was away, and after a restart of respgate."""
    stage = scene.stage
    scene.start_workers()
    scene.timed("jobs", scene.jobs_are_done)

    stage.stop_redis()
    time.sleep(AWAY)
    stage.start_redis()
    scene.timed("after the outage", scene.jobs_are_done)

    if not scene.direct:
        scene.timed("end of respgate", stage.stop_gate)
        stage.start_gate()
        scene.timed("after the restart", scene.jobs_are_done)
        scene.nothing_was_refused()


# An outage is played with those whose workers go on after one of a Redis without a respgate: taskiq's does not.
TESTS = (
    {f"certificate-{name}": (name, False, work) for name in APPLICATIONS}
    | {f"password-{name}": (name, True, work) for name in APPLICATIONS}
    | {f"outage-{name}": (name, False, outage) for name in ("celery", "rq", "dramatiq", "huey", "bullmq", "app")}
)
