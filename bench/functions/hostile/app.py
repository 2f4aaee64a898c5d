"""A function that does what it can to hurt its neighbours, for a bounded time."""

import os
import time
from contextlib import suppress


def handler(event, context):
    """Attacks as the event says; with `probe`, says what the process sees of its own confinement."""
    if "probe" in event:
        return probe()
    end = time.monotonic() + float(event.get("seconds", 0))
    attack = ATTACKS.get(event.get("attack"))
    if attack is not None:
        attack(end)
    return event


def fork_bomb(end):
    """Every process forks as often as it can; all of them end when the time is over."""
    own = os.getpid()
    while time.monotonic() < end:
        with suppress(OSError):
            os.fork()
    if os.getpid() != own:
        os._exit(0)
    while True:
        try:
            os.wait()
        except ChildProcessError:
            return


def busy_loop(end):
    """Uses all the CPU time that it gets."""
    while time.monotonic() < end:
        pass


def memory_hog(end):
    """Fills /tmp, then memory, until it is killed."""
    with suppress(OSError), open("/tmp/hog", "wb") as file:
        while time.monotonic() < end:
            file.write(bytes(1 << 20))
    held = []
    while time.monotonic() < end:
        held.append(b"x" * (1 << 20))


ATTACKS = {"fork-bomb": fork_bomb, "busy-loops": busy_loop, "memory-hog": memory_hog}


def probe():
    """The process's status and namespaces."""
    kinds = ("pid", "mnt", "ipc", "uts", "net", "user")
    with open("/proc/self/status") as status:
        return {"status": status.read(), "namespaces": {kind: os.readlink("/proc/self/ns/" + kind) for kind in kinds}}
