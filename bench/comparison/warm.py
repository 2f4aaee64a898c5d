"""Warm calls: over one connection with client and server pinned, and over many."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from comparison import peers
from comparison.arms import Arm, Group
from comparison.context import FUNCTIONS, Context
from comparison.load import closed, program

CONNECTIONS = (8, 32)
CLOSED = (
    "Closed load: each connection sends its next request when it has its answer. wuwei checks the signature of each "
    "request; the client signs 64 different ones ahead of each block."
)


def groups(context: Context) -> list[Group]:
    """One connection first: few instances."""
    return [alone(context, "together"), alone(context, "apart"), *(_warm(context, number) for number in CONNECTIONS)]


def sockets(context: Context) -> Group:
    """What handing over an event costs at least."""
    arms = [_ping_pong(context, "same-core", "both on one core", True)]
    arms.append(_ping_pong(context, "free", "where the scheduler puts them", False))
    note = "200 bytes to another process and back over a Unix socket: what handing over an event costs at least."
    return Group("sockets", "Unix-socket ping-pong", note, "same-core", arms)


def alone(context: Context, placement: str) -> Group:
    """One connection: where the scheduler would put both sides decides a factor of two, so they are pinned."""
    first, *others = sorted(os.sched_getaffinity(0))
    server = first if placement == "together" or not others else others[0]
    where = "client and server on one core" if server == first else "the client on one core, the server on another"
    group = _warm(context, 1)
    bare = [_ping_pong(context, "same-core", "Unix-socket ping-pong on one core", True)]
    return replace(
        group,
        key=f"warm-1-{placement}",
        title=f"Warm calls: 1 connection, {where}",
        note=f"{CLOSED} Everything that belongs to the server, instances too, has one core.",
        place=lambda: _pinned(context, {first}, {server}),
        arms=[*group.arms, *(bare if placement == "together" else [])],
    )


@contextmanager
def _pinned(context: Context, client: set[int], server: set[int]) -> Iterator[None]:
    """Keeps this process, which starts the client, and all servers on cores; later threads inherit it."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, client)
    _pin_servers(context, server)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
        _pin_servers(context, before)


def _pin_servers(context: Context, cores: set[int]) -> None:
    running = (context.echo, *context.running.values())
    for group in (context.server.group, *(each.group for each in running)):
        for pid in group.pids():
            with suppress(OSError):
                for task in Path(f"/proc/{pid}/task").iterdir():
                    with suppress(OSError):
                        os.sched_setaffinity(int(task.name), cores)


def _warm(context: Context, connections: int) -> Group:
    arms = [_closed(context, "hyper", "bare hyper echo", context.echo, connections, None)]
    for key, title, rival in FUNCTIONS:
        if key in context.functions:
            arms.append(invocations(context, key, title, connections, rival))
    for peer in peers.PEER_LIST:
        if peer.key in context.running:
            running = context.running[peer.key]
            arms.append(_closed(context, peer.key, peer.title, running, connections, peer.rival))
    number = f"{connections} connection{'s' if connections > 1 else ''}"
    note = f"{CLOSED} Client and server share all cores."
    return Group(f"warm-{connections}", f"Warm calls: {number}", note, "hyper", arms)


def _ping_pong(context: Context, key: str, title: str, same_core: bool) -> Arm:
    document = {"same_core": same_core, "warm_up": 100, "samples": 2000}
    return Arm(key, title, program("ping-pong", document, context.starter))


def invocations(context: Context, key: str, title: str, connections: int, rival: str | None) -> Arm:
    """Calls of one of wuwei's functions."""
    function = context.functions[key]
    address, group = context.server.address, context.server.group
    block = closed(address, function.invocations, connections, context.effort.warm, group)
    # Instances for all connections are started before anything counts.
    ahead = closed(
        address,
        function.invocations,
        connections,
        replace(context.effort.warm, milliseconds=context.effort.ahead_ms),
        group,
    )
    return Arm(key, title, block, ours=True, rival=rival, warm_up=ahead)


def _closed(context: Context, key: str, title: str, running: peers.Running, connections: int, rival: str | None) -> Arm:
    block = closed(running.address, running.requests, connections, context.effort.warm, running.group)
    load = replace(context.effort.warm, milliseconds=min(300, context.effort.ahead_ms))
    ahead = closed(running.address, running.requests, connections, load, running.group)
    return Arm(key, title, block, rival=rival, warm_up=ahead)
