"""Cold starts, one at a time: back to back and after silence, beside the bare interpreters and the peers."""

from __future__ import annotations

from functools import partial

from comparison import peers
from comparison.arms import Arm, Block, Group
from comparison.context import FUNCTIONS, Context
from comparison.goals import PAUSED
from comparison.load import program, sequence

PAUSE_MS = 200
COLD = (
    "From the signed request to its answer; the configuration was changed before, so that no instance fits. CPU time "
    "includes that change and the end of the instance before. *After 200 ms*: nothing is asked of the server between "
    "the change and the call, because calls on each other's heels find warm caches. All are compared with the bare "
    "program started back to back."
)
BOOT = (
    "Peers have no cold start of their own: from starting the server's process to its first answer. Beside it a cold "
    "start of an instance of wuwei, whose server runs already."
)


def processes(context: Context) -> Group:
    """The floors by themselves."""
    node = context.bare_node()
    arms = [context.bare_static(), context.bare_python(), *([node] if node else [])]
    note = "Started by fork and exec from a small program, until its end. Environment empty."
    return Group("processes", "Starting a process", note, "static", arms)


def groups(context: Context) -> list[Group]:
    """Short blocks, so that a floor and what is compared with it are seconds apart."""
    titles = {key: (title, rival) for key, title, rival in FUNCTIONS}

    def ours(key: str, pause_ms: int) -> Arm | None:
        return _cold(context, key, *titles[key], pause_ms)

    def group(key: str, title: str, floors: list[Arm | None], keys: list[str]) -> Group | None:
        arms = [*floors, *(ours(keys[0], pause) for pause in (0, PAUSE_MS)), *(ours(key, 0) for key in keys[1:])]
        return _group(key, f"Cold start: {title}", COLD, arms)

    python, node, static = context.bare_python, context.bare_node, context.bare_static
    boots = [python(), node(), ours("wuwei-python", 0), ours("wuwei-node", 0)]
    found = [
        group("cold-python", "Python", [python(), python(PAUSE_MS)], ["wuwei-python", "awslambdaric"]),
        group("cold-node", "Node", [node(), node(PAUSE_MS)], ["wuwei-node"]),
        group("cold-native", "native code", [static(), static(PAUSE_MS)], ["wuwei-native", "lambda-runtime"]),
        _group("cold-boot", "Cold start: peers", BOOT, [*boots, *(_boot(context, peer) for peer in peers.PEER_LIST)]),
    ]
    return [each for each in found if each is not None]


def _group(key: str, title: str, note: str, arms: list[Arm | None]) -> Group | None:
    """Without the arms that this host has not; none at all when nothing of wuwei is left, or no floor."""
    present = [arm for arm in arms if arm is not None]
    if arms[0] is None or not any(arm.ours for arm in present):
        return None
    return Group(key, title, note, present[0].key, present)


def _cold(context: Context, key: str, title: str, rival: str | None, pause_ms: int) -> Arm | None:
    function = context.functions.get(f"{key}-cold")
    if function is None:
        return None
    rounds = partial(function.cold_rounds, context.effort.cold_samples, pause_ms)
    block = sequence(context.server.address, rounds, context.server.group)
    if pause_ms:
        return Arm(key + PAUSED, f"{title}, after {pause_ms} ms", block, ours=True)
    return Arm(key, title, block, ours=True, rival=rival)


def _boot(context: Context, peer: peers.Peer) -> Arm | None:
    if peer.key not in context.running:
        return None
    samples = max(1, context.effort.boot_samples // peer.slowness)

    def block() -> Block:
        return program("boot", peer.boot(samples), context.starter)()

    return Arm(peer.key, peer.title, block, rival=peer.rival)
