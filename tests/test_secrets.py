"""What must stay secret: looked for, by its text, in everything that the platform says and leaves behind."""

import os
import secrets
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, ParamValidationError

from harness import leftovers
from harness.functions import Functions
from harness.processes import helper, sandboxes
from harness.server import Server
from harness.wire import get

MakeServer = Callable[..., Server]
FunctionsOf = Callable[[Server], Functions]

TELLS_ITS_ROLE = """
import os
def handler(event, context):
    if event == 'crash':
        os.abort()
    if event == 'fail':
        raise ValueError('not the secret')
    return [os.environ['AWS_SECRET_ACCESS_KEY'], os.environ['AWS_SESSION_TOKEN']]
"""


def texts_of_processes(pids: Iterator[int]) -> Iterator[tuple[str, bytes]]:
    """What `ps` shows of each process, and the environment that it was started with."""
    for pid in pids:
        for name in ("cmdline", "environ", "comm"):
            with suppress(OSError):
                yield f"{name} of {pid}", Path(f"/proc/{pid}/{name}").read_bytes()


def refusals(functions: Functions, name: str, secret: str) -> Iterator[tuple[str, bytes]]:
    """Error texts of requests that have a secret in them, and something wrong."""
    wrong: list[dict[str, Any]] = [
        {"Environment": {"Variables": {"TOKEN": secret, "PADDING": "x" * 4096}}},
        {"Environment": {"Variables": {"TOKEN": secret, "not a name": secret}}},
        {"Environment": {"Variables": {"AWS_REGION": secret}}},
        {"Environment": {"Variables": {"TOKEN": secret}}, "Timeout": 100_000},
        {"Environment": {"Variables": {"TOKEN": secret}}, "MemorySize": 1},
    ]
    for each in wrong:
        with pytest.raises((ClientError, ParamValidationError)) as refused:
            functions.client.update_function_configuration(FunctionName=name, **each)
        yield f"refusal of {list(each)}", str(refused.value).encode()


def test_secrets_are_in_nothing_that_the_platform_says_or_leaves(
    new_server: MakeServer, functions_of: FunctionsOf
) -> None:
    made = new_server().start(WUWEI_LOG="trace")
    functions = functions_of(made)
    canary = f"canary-{secrets.token_hex(12)}"
    name = functions.deploy_python(TELLS_ITS_ROLE, Environment={"Variables": {"TOKEN": canary}}, Timeout=10)
    role_secret, session_token = functions.call(name)
    assert len(role_secret) >= 16 and len(session_token) >= 16
    hidden = [canary, role_secret, session_token, made.keys.secret_access_key]

    runtimes = {runtime for _, runtime in sandboxes(made.pid)}
    assert runtimes, "there is an instance"
    said = list(texts_of_processes(pid for pid in leftovers.parents() if pid not in runtimes))
    said += refusals(functions, name, canary)
    for event in ("fail", "crash", "crash"):
        result = functions.invoke(name, event, LogType="Tail")
        said.append((f"answer to {event}", result.payload + result.log.encode()))
    commands = (["ls"], ["logs", name], ["cost"], ["doctor"], ["runtimes"], ["key", "ls"], ["invoke", name, "-d", "1"])
    for command in commands:
        done = made.wuwei(*command)
        # The function's own answer is its own business.
        output = "" if command[0] == "invoke" else done.output
        said.append((" ".join(command), (output + done.errors).encode()))
    said.append(("metrics", get(f"{made.endpoint}/metrics").body))
    steward = helper(made.pid, "steward")
    assert steward is not None
    made.stop()
    said.append(("the server's own log", made.stderr.encode()))
    files = [path for path in made.data_dir.rglob("*") if path.is_file() and not path.is_symlink()]
    said += [(str(path), path.read_bytes()) for path in files if path.name != "credentials.json"]
    assert len(said) > 50
    assert [where for where, text in said for secret in hidden if secret.encode() in text] == []


@pytest.mark.parametrize("which", ["server", "steward", "launcher", "filler"])
def test_a_process_of_the_platform_that_crashes_leaves_no_core_dump(new_server: MakeServer, which: str) -> None:
    """Where the host writes dumps to files; a handler is not started either, see the limit in test_privilege.py."""
    made = new_server().start()
    pid = made.pid if which == "server" else helper(made.pid, which)
    assert pid is not None
    tree = made.tree()
    directories = {Path(os.readlink(f"/proc/{pid}/cwd")), made.data_dir}
    before = {path for directory in directories for path in directory.iterdir()}
    os.kill(pid, signal.SIGABRT)
    if which != "server":
        made.terminate()
    status = made.wait_exit()
    # A server without its steward stops by itself, and says that it did not want to.
    assert status in {"server": (-signal.SIGABRT,), "steward": (0, 5)}.get(which, (0,))
    made.check_nothing_left(tree, cgroups=which not in ("server", "steward"))
    made.start().stop()
    after = {path for directory in directories for path in directory.iterdir()}
    assert [path for path in after - before if path.name.startswith("core")] == []
