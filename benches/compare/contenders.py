"""Who is compared: each asks for a client certificate, speaks TLS 1.3, and has one thread as far as it can be told."""

import contextlib
import dataclasses
import functools
import os
import pathlib
import re
import socket
import subprocess
import sys
import time

from servers import ended

ACL = "user shop on resetpass -@all +@read +@write +@connection -@dangerous %R~catalogue:* ~cart:* ~bench:*\n"


@dataclasses.dataclass
class Contender:
    name: str
    port: int
    command: list
    version: list  # the command that prints it
    is_redis: bool = False
    process: subprocess.Popen = None

    def pids(self):
        """Of it and its workers."""
        workers = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [self.process.pid, *map(int, workers)]


def contenders(folder, respgate):
    """All of them, with their files in `folder`: they go to FOLDER/redis.sock, and have FOLDER/certs of certs-example/make.sh."""
    makers = functools.partial(ours, respgate), stunnel, haproxy, nginx, redis_tls
    return [make(folder, port) for make, port in zip(makers, free_ports())]


def free_ports():
    """Below those that the kernel gives to clients: so many of these come that they would take one before its server does."""
    lowest, _ = map(int, pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    for port in range(lowest - 1, 1024, -1):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            yield port


def ours(respgate, folder, port):
    (folder / "users.acl").write_text(ACL)
    (folder / "users.acl").chmod(0o600)
    configuration = write(
        folder / "respgate.toml",
        f'''listen = "127.0.0.1:{port}"
upstream = "unix:{folder}/redis.sock"
threads = 1
tls-cert-file = "certs/respgate/server.crt"
tls-key-file = "certs/respgate/server.key"
tls-ca-cert-file = "certs/ca.crt"
tls-auth-clients-user = "CN"
aclfile = "users.acl"
admin-listen = "off"
''',
    )
    return Contender("respgate", port, [respgate, "run", "--config", configuration], [respgate, "--version"])


# It has a thread for each connection and cannot be told otherwise.
def stunnel(folder, port):
    configuration = write(
        folder / "stunnel.conf",
        f"""foreground = yes
pid =
debug = 4
[redis]
accept = 127.0.0.1:{port}
connect = {folder}/redis.sock
cert = {folder}/certs/respgate/server.crt
key = {folder}/certs/respgate/server.key
CAfile = {folder}/certs/ca.crt
verifyChain = yes
requireCert = yes
sslVersionMin = TLSv1.3
socket = l:TCP_NODELAY=1
TIMEOUTclose = 0
""",
    )
    return Contender("stunnel", port, ["stunnel", configuration], ["stunnel", "-version"])


def haproxy(folder, port):
    both = [(folder / "certs/respgate" / name).read_text() for name in ("server.crt", "server.key")]
    write(folder / "haproxy.pem", "".join(both))
    configuration = write(
        folder / "haproxy.cfg",
        f"""global
    nbthread 1
    maxconn 4000
    ssl-default-bind-options ssl-min-ver TLSv1.3
defaults
    mode tcp
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    maxconn 4000
listen redis
    bind 127.0.0.1:{port} ssl crt {folder}/haproxy.pem ca-file {folder}/certs/ca.crt verify required
    server redis unix@{folder}/redis.sock
""",
    )
    return Contender("HAProxy", port, ["haproxy", "-db", "-f", configuration], ["haproxy", "-v"])


def nginx(folder, port):
    # Otherwise its worker gives up root and may not connect to the socket.
    user = "user root;" if os.geteuid() == 0 else ""
    configuration = write(
        folder / "nginx.conf",
        f"""load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off;
{user}
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 8000; }}
stream {{
    server {{
        listen 127.0.0.1:{port} ssl;
        proxy_pass unix:{folder}/redis.sock;
        proxy_timeout 1h;
        ssl_certificate {folder}/certs/respgate/server.crt;
        ssl_certificate_key {folder}/certs/respgate/server.key;
        ssl_client_certificate {folder}/certs/ca.crt;
        ssl_verify_client on;
        ssl_protocols TLSv1.3;
    }}
}}
""",
    )
    return Contender("nginx", port, ["nginx", "-e", "stderr", "-c", configuration], ["nginx", "-v"])


def redis_tls(folder, port):
    command = [
        "redis-server", "--bind", "127.0.0.1", "--port", 0, "--tls-port", port, "--tls-auth-clients", "yes", "--tls-protocols", "TLSv1.3",
        "--tls-cert-file", folder / "certs/respgate/server.crt", "--tls-key-file", folder / "certs/respgate/server.key",
        "--tls-ca-cert-file", folder / "certs/ca.crt", "--save", "", "--dir", folder,
    ]  # fmt: skip
    return Contender("Redis's own TLS", port, command, ["redis-server", "--version"], is_redis=True)


@contextlib.contextmanager
def running(contender, log):
    """With `process`, until the end of the block."""
    contender.process = subprocess.Popen([str(word) for word in contender.command], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    with ended(contender.process):
        try:
            wait_for(contender)
            yield contender
        finally:
            # nginx takes its worker along when it is asked to end, and not when it is killed.
            contender.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                contender.process.wait(5)


def wait_for(contender):
    for _ in range(200):
        if contender.process.poll() is not None:
            break
        with contextlib.suppress(OSError):
            return socket.create_connection(("127.0.0.1", contender.port), 1).close()
        time.sleep(0.05)
    sys.exit(f"{contender.name} does not listen")


def versions(all_of_them):
    """Of each, and of the OpenSSL that all but respgate use."""
    commands = {contender.name: contender.version for contender in all_of_them} | {"OpenSSL": ["openssl", "version"]}
    return {name: first_version(command) for name, command in commands.items()}


def first_version(command):
    said = subprocess.run([str(word) for word in command], capture_output=True, text=True, errors="replace")
    found = re.search(r"\d+\.\d+(\.\d+)?", said.stdout + said.stderr)
    return found.group() if found else "?"


def write(path, text):
    path.write_text(text)
    return path
