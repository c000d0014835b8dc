"""A DNS server that knows a few names: `dns.py ADDRESS NAME=ADDRESS…`, on port 53 of the first address."""

import socket
import struct
import sys


def answer(address, addresses):
    """A records of these names, and that there are no others."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((address, 53))
        while True:
            question, client = server.recvfrom(512)
            labels, at = [], 12
            while question[at]:
                labels.append(question[at + 1 : at + 1 + question[at]].decode())
                at += 1 + question[at]
            kind = struct.unpack(">H", question[at + 1 : at + 3])[0]
            found = addresses.get(".".join(labels))
            flags = 0x8180 if found else 0x8183
            is_told = found and kind == 1
            record = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 0, 4) + socket.inet_aton(found) if is_told else b""
            head = question[:2] + struct.pack(">HHHHH", flags, 1, bool(is_told), 0, 0)
            server.sendto(head + question[12 : at + 5] + record, client)


if __name__ == "__main__":
    answer(sys.argv[1], dict(pair.split("=") for pair in sys.argv[2:]))
