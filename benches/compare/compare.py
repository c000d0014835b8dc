#!/usr/bin/env python3
"""respgate beside others in front of a Redis, as benches/compare.sh says. Needs Python 3.9 and what that installs; Linux."""

import argparse
import contextlib
import functools
import json
import os
import pathlib
import platform
import re
import resource
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time

from contenders import contenders, running, versions
from loads import LOADS, Loads
from report import markdown
from servers import redis_server, wait_for

ROOT = pathlib.Path(__file__).resolve().parents[2]


def main():
    options = parse()
    # So that the servers are ended, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    raise_file_limit()
    os.umask(0o022)  # respgate refuses files that others can change
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="respgate-compare.")))
        log = stack.enter_context(open(folder / "log", "w+"))
        stack.push(functools.partial(show, log))
        subprocess.run([ROOT / "certs-example/make.sh", folder / "certs"], check=True, stdout=subprocess.DEVNULL)
        everybody = contenders(folder, options.respgate.resolve())
        start_loads = functools.partial(with_redis, folder, options.load.resolve())
        result = {"date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()), "machine": machine(), "versions": versions(everybody)}
        if not options.only:
            result["idle"] = idle(everybody, start_loads, log)
        with start_loads() as loads, contextlib.ExitStack() as up:
            for contender in everybody:
                up.enter_context(running(contender, log))
            for contender in everybody:
                refuses_strangers(contender, folder / "certs")
                loads.fill(contender)
            result["rounds"] = rounds(everybody, loads, options)
    print(markdown(result))
    if options.output:
        options.output.write_text(json.dumps(result, indent=1) + "\n")


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("--respgate", type=pathlib.Path, required=True)
    parser.add_argument("--load", type=pathlib.Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--secs", type=float, default=3)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", metavar="TEXT", default="")
    parser.add_argument("-o", dest="output", type=pathlib.Path)
    options = parser.parse_args()
    if not any(options.only in load for load in LOADS):
        parser.error(f"--only: one of {', '.join(LOADS)}, or a part of one")
    if options.quick:
        options.rounds, options.secs = 1, 1
    return options


def show(log, failure, *_):
    """What the servers have said, where it has come to a bad end."""
    log.seek(0)
    if failure:
        sys.stderr.write(log.read())


@contextlib.contextmanager
def with_redis(folder, program):
    """Loads before a Redis that has just been started."""
    with redis_server("--port", "0", "--unixsocket", folder / "redis.sock", "--dir", folder) as redis:
        wait_for(folder / "redis.sock")
        yield Loads(program, folder / "certs", redis)


def idle(everybody, start_loads, log):
    """Each one just started, and alone: memory that others have left behind is taken again without growing."""
    found = {}
    for contender in everybody:
        with start_loads() as loads, running(contender, log):
            found[contender.name] = loads.idle(contender)
    return found


def rounds(everybody, loads, options):
    """Load after load; in each round everybody once, and each time somebody else begins."""
    found = []
    for load in (load for load in LOADS if options.only in load):
        print(load, file=sys.stderr)
        for number in range(options.rounds):
            first = number % len(everybody)
            for contender in everybody[first:] + everybody[:first]:
                figures = loads.round(contender, load, options.secs)
                found.append({"load": load, "contender": contender.name, "round": number, **figures})
    return found


def refuses_strangers(contender, certs):
    """Whoever does not ask for a certificate does less."""
    for certificate in (None, certs / "shop.crt"):
        context = ssl.create_default_context(cafile=certs / "ca.crt")
        if certificate:
            context.load_cert_chain(certificate, certificate.with_suffix(".key"))
        if (answer_to_ping(context, contender.port) == b"+PONG\r\n") != bool(certificate):
            sys.exit(f"{contender.name}: {'refuses a good certificate' if certificate else 'answers without a certificate'}")


def answer_to_ping(context, port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as tcp:
        with context.wrap_socket(tcp, server_hostname="localhost") as tls:
            tls.sendall(b"PING\r\n")
            return tls.recv(64)
    return b""


def machine():
    cpu = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    return f"{cpu.group(1) if cpu else platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}"


def raise_file_limit():
    """Of what is started here as well; each idle connection takes two of a proxy."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


if __name__ == "__main__":
    main()
