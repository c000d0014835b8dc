"""A client whose clock is set forward: for each line with a port and a folder it says as whom it was served, or why
not. redis-cli is linked to jemalloc, which cannot be run under libfaketime."""

import socket
import ssl
import sys
from pathlib import Path


def ask(port, folder):
    context = ssl.create_default_context(cafile=folder / "ca.crt")
    context.load_cert_chain(folder / f"{folder.name}.crt", folder / f"{folder.name}.key")
    with socket.create_connection(("127.0.0.1", port), timeout=30) as plain:
        with context.wrap_socket(plain, server_hostname="127.0.0.1") as connection:
            connection.sendall(b"*2\r\n$3\r\nACL\r\n$6\r\nWHOAMI\r\n")
            with connection.makefile("rb") as replies:
                return replies.readline() and replies.readline().decode().strip()


for line in sys.stdin:
    port, folder = line.rstrip("\n").split(" ", 1)
    try:
        print(ask(int(port), Path(folder)) or "closed", flush=True)
    except OSError as error:
        print(f"refused: {error}", flush=True)
