"""What functions may reach: asks the server, and sets it, as `wuwei deploy --egress` does."""

import json
from typing import Any

from harness import wire
from harness.functions import Functions
from harness.server import Keys, Server

PROBE = """
import errno, http.client, os, socket, struct, threading, time, urllib.parse
def family(address):
    return socket.AF_INET6 if ':' in address else socket.AF_INET
def tcp(address, port, limit=5):
    try:
        with socket.create_connection((address, port), limit) as stream:
            stream.settimeout(limit)
            return ['reached', stream.recv(100).decode()]
    except OSError as error:
        return ['refused', errno.errorcode.get(error.errno, repr(error))]
def udp(address, port, limit=5):
    try:
        with socket.socket(family(address), socket.SOCK_DGRAM) as asker:
            asker.settimeout(limit)
            asker.connect((address, port))
            asker.send(b'hello')
            return ['reached', asker.recv(100).decode()]
    except OSError as error:
        return ['refused', errno.errorcode.get(error.errno, repr(error))]
def look_up(name):
    try:
        return sorted({found[4][0] for found in socket.getaddrinfo(name, 80, type=socket.SOCK_STREAM)})
    except socket.gaierror as error:
        return [error.errno]
def attempt(action):
    try:
        return ['allowed', repr(action())[:80]]
    except OSError as error:
        return ['refused', errno.errorcode.get(error.errno, repr(error))]
def handler(event, context):
    names = dict(globals())
    exec(event, names)
    return names['result']
"""
ALLOWED = "203.0.113.10:7777,10.9.8.0/24:7777,[2001:db8::10]:7777,fd12:3456::/32"
EVERYTHING = "0.0.0.0/0,::/0"
POLICIES = {"default": None, "none": "none", "internet": "internet", "list": ALLOWED, "everything": EVERYTHING}
"""Of each kind one."""


def ask_egress(
    server: Server, method: str, name: str, body: object = None, keys: Keys | None = None
) -> tuple[int, Any]:
    """Status and document of the endpoint of policies."""
    data = json.dumps(body).encode() if body is not None else b""
    answer = wire.signed(server, method, f"/_wuwei/v1/egress/{name}", data, keys=keys, service="wuwei")
    return answer.status, json.loads(answer.body) if answer.body else None


def set_egress(server: Server, name: str, policy: str) -> None:
    """Gives a function a policy."""
    status, document = ask_egress(server, "PUT", name, {"egress": policy})
    assert status == 200, document


def probe(server: Server, functions: Functions, policy: str | None = None, **settings: Any) -> str:
    """A function that runs the statements of its event, with a policy."""
    name = functions.deploy_python(PROBE, **({"MemorySize": 256, "Timeout": 60} | settings))
    if policy is not None:
        set_egress(server, name, policy)
    return name
