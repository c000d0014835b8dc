"""prometheus-redis-exporter: it scrapes Redis whenever it is scraped, and says more than that Redis is there."""

import os
import socket
import time
import urllib.parse
import urllib.request

DEADLINE = 60
ADDRESS_FILE = f"{os.environ['APP_TICKS']}.address"


def serve():
    """Becomes the exporter."""
    url = urllib.parse.urlsplit(os.environ["APP_URL"])
    files = dict(urllib.parse.parse_qsl(url.query))
    names = {"ssl_ca_certs": "-tls-ca-cert-file", "ssl_certfile": "-tls-client-cert-file", "ssl_keyfile": "-tls-client-key-file"}
    options = ["-config-command", "-"] + [word for name, flag in names.items() if name in files for word in (flag, files[name])]
    environment = dict(os.environ)
    if url.username:
        environment |= {"REDIS_USER": url.username, "REDIS_PASSWORD": url.password}
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with open(ADDRESS_FILE, "w") as file:
        file.write(address)
    server = f"{url.scheme}://{url.hostname}:{url.port}"
    os.execvpe("prometheus-redis-exporter", ["prometheus-redis-exporter", "-redis.addr", server, "-web.listen-address", address, *options], environment)


def work():
    until = time.monotonic() + DEADLINE
    while "redis_up 1" not in (metrics := scrape()):
        assert time.monotonic() < until, f"redis_up is not 1: {metrics}"
        time.sleep(0.1)
    for family in ("redis_connected_clients ", "redis_memory_used_bytes ", "redis_commands_total{", "redis_slowlog_length "):
        assert family in metrics, f"no {family}:\n{metrics}"


def scrape():
    try:
        with open(ADDRESS_FILE) as file:
            address = file.read()
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=DEADLINE) as answer:
            return "\n".join(line for line in answer.read().decode().splitlines() if line.startswith("redis_"))
    except OSError as error:
        return str(error)


if __name__ == "__main__":
    serve()
