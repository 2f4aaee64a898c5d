"""The servers of the tests' world: an echo (TCP and UDP) on each address, and one that answers questions for names.

`world_server.py FILE`: FILE says which. Prints `ready` when all of them listen.
"""

import ipaddress
import json
import selectors
import socket
import struct
import sys
import threading
from pathlib import Path
from typing import Any

A, AAAA = 1, 28
TRUNCATED = 0x0200
DATAGRAM_MAX = 512


def family_of(address: str) -> socket.AddressFamily:
    """For `socket.socket`."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def answer(query: bytes, names: dict[str, list[str]], counts: dict[str, int], most: int) -> bytes:
    """The answer to one question: addresses of the kind that is asked for, one second good."""
    position, labels = 12, []
    while query[position]:
        labels.append(query[position + 1 : position + 1 + query[position]].decode())
        position += 1 + query[position]
    kind = struct.unpack("!H", query[position + 1 : position + 3])[0]
    question = query[12 : position + 5]
    name = ".".join(labels).lower()
    entries = names.get(name)
    found = entries or []
    if "then" in found:
        middle = found.index("then")
        key = f"{name} {kind}"
        found = found[:middle] if counts.get(key, 0) == 0 else found[middle + 1 :]
        counts[key] = counts.get(key, 0) + 1
    addresses = [ipaddress.ip_address(text) for text in found]
    packed = [address.packed for address in addresses if (address.version == 4) == (kind == A) and kind in (A, AAAA)]
    records = b"".join(struct.pack("!HHHIH", 0xC00C, kind, 1, 1, len(data)) + data for data in packed)
    flags = 0x8180 | (0 if entries is not None else 3)
    if 12 + len(question) + len(records) > most:
        return query[:2] + struct.pack("!HHHHH", flags | TRUNCATED, 1, 0, 0, 0) + question
    return query[:2] + struct.pack("!HHHHH", flags, 1, len(packed), 0, 0) + question + records


def resolver(address: str, names: dict[str, list[str]]) -> None:
    """Answers on port 53, for ever."""
    counts: dict[str, int] = {}
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind((address, 53))
    listener = socket.create_server((address, 53))

    def by_datagram() -> None:
        while True:
            query, asker = datagrams.recvfrom(4096)
            datagrams.sendto(answer(query, names, counts, DATAGRAM_MAX), asker)

    def by_stream() -> None:
        while True:
            stream, _ = listener.accept()
            with stream:
                length = struct.unpack("!H", stream.recv(2))[0]
                reply = answer(stream.recv(length), names, counts, 65535)
                stream.sendall(struct.pack("!H", len(reply)) + reply)

    for serve in (by_datagram, by_stream):
        threading.Thread(target=serve, daemon=True).start()


def main(file: Path) -> None:
    """Serves until it is killed."""
    told: dict[str, Any] = json.loads(file.read_text())
    resolver(told["resolver"], told["names"])
    selector = selectors.DefaultSelector()
    for address in told["addresses"]:
        for port in told["ports"]:
            listener = socket.create_server((address, port), family=family_of(address))
            datagrams = socket.socket(family_of(address), socket.SOCK_DGRAM)
            datagrams.bind((address, port))
            selector.register(listener, selectors.EVENT_READ, "listener")
            selector.register(datagrams, selectors.EVENT_READ, "datagrams")
    print("ready", flush=True)
    while True:
        for key, _ in selector.select():
            server = key.fileobj
            assert isinstance(server, socket.socket)
            if key.data == "listener":
                stream, peer = server.accept()
                with stream:
                    stream.sendall(peer[0].encode())
            else:
                _, peer = server.recvfrom(100)
                server.sendto(peer[0].encode(), peer)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
