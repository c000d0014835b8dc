"""Runs the tests of scenes.py, one after the other, each with a Redis and a respgate of its own. A line for each."""

import argparse
import os
import pathlib
import sys
import tempfile
import time
import traceback

import document
from grant import grant
from scenes import TESTS, Scene
from stage import Stage, make_certificates


def main():
    options = argparse.ArgumentParser(prog="tests/applications/run.sh", description=__doc__)
    options.add_argument("names", nargs="*", metavar="NAME", help="only these tests")
    options.add_argument("--list", action="store_true", help="show the names of all tests")
    options.add_argument("--direct", action="store_true", help="applications are directly at Redis, for comparison")
    options = options.parse_args()
    if unknown := set(options.names) - set(TESTS):
        sys.exit(f"no such test: {', '.join(sorted(unknown))}")
    if options.list:
        print(*TESTS, sep="\n")
        return
    document.assert_versions()
    respgate = pathlib.Path(os.environ["RESPGATE"]).resolve()
    os.umask(0o022)  # respgate refuses files that others can change
    with tempfile.TemporaryDirectory(prefix="respgate-applications.") as folder:
        certificates = pathlib.Path(folder)
        make_certificates(certificates, respgate)
        failed = [name for name in options.names or TESTS if not passes(name, certificates, respgate, options.direct)]
    sys.exit(1 if failed else 0)


def passes(test, certificates, respgate, direct):
    name, with_password, run = TESTS[test]
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="respgate-applications.") as folder:
        stage = Stage(pathlib.Path(folder), certificates, respgate, grant(respgate, name, with_password))
        scene = Scene(name, stage, direct)
        try:
            stage.start_redis()
            stage.start_gate()
            run(scene)
            error = None
        except Exception:
            error = f"{traceback.format_exc()}\n{scene.processes.outputs()}--- respgate\n{stage.log_text()}"
        finally:
            scene.processes.end()
            stage.end()
    seconds = time.monotonic() - started
    print(f"{'failed' if error else 'ok':6} {test:26} {seconds:4.0f} s  {', '.join(scene.times)}".rstrip(), flush=True)
    if error:
        print(error, file=sys.stderr, flush=True)
    return error is None


if __name__ == "__main__":
    main()
