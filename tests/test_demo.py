"""`make demo`, with a binary that is built already: what a stranger sees first."""

import os
import signal
import subprocess
from pathlib import Path

from harness.functions import Functions, boto_client
from harness.server import Server
from harness.tools import plain_environment, wuwei_binary
from harness.waiting import until

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ["text-json", "thumbnailer", "json-node", "shell-hello", "native-hello"]


def demo(output: Path, **environment: str) -> "subprocess.Popen[bytes]":
    """Starts the demo in a process group of its own, as a terminal does."""
    return subprocess.Popen(
        # A shell cannot trap a signal that was ignored when it began, as SIGINT is in what runs in the background.
        ["env", "--default-signal=INT", "make", "--no-print-directory", "demo"],
        cwd=ROOT,
        stdout=output.open("wb"),
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        env={**plain_environment(), "WUWEI_BINARY": str(wuwei_binary()), **environment},
    )


def test_the_demo_answers_every_example_and_leaves_nothing_behind(tmp_path: Path) -> None:
    output = tmp_path / "demo.out"
    status = demo(output, DEMO_EXIT="1").wait(timeout=240)
    text = output.read_text()
    assert status == 0, text
    for example in EXAMPLES:
        assert f"==> {example}\n" in text, text
    assert text.count("  cold: {") == len(EXAMPLES), text
    assert text.count("  warm: {") == len(EXAMPLES), text
    assert text.count("cold start") == len(EXAMPLES), text
    assert "  curl /?side=32: image/jpeg, " in text, text
    assert '  curl /greet/Ada?language=fr: {"greeting": "Bonjour, Ada!"}' in text, text
    assert '  curl /sum: {"sum": 6.5, "count": 3}' in text, text
    assert '  curl /tasks: {"tasks":[{"id":1,"title":"do nothing","done":true}]}' in text, text
    assert "  curl /?q=journey, word by word:\n    A\n    journey\n" in text, text
    assert "nothing is left behind: no process, namespace, mount or cgroup" in text


def test_ctrl_c_stops_the_demo_and_leaves_nothing_behind(tmp_path: Path) -> None:
    output = tmp_path / "demo.out"
    process = demo(output)
    until(lambda: "Ctrl-C stops it." in output.read_text() or process.poll() is not None, "the demo is up", within=240)
    assert process.poll() is None, output.read_text()
    os.killpg(process.pid, signal.SIGINT)
    process.wait(timeout=60)
    text = output.read_text()
    assert 'eval "$(wuwei env)"; aws lambda list-functions' in text
    assert "nothing is left behind: no process, namespace, mount or cgroup" in text


def test_another_server_on_the_machine_is_not_taken_for_a_leftover(
    fresh_server: Server, python_runtime: str, tmp_path: Path
) -> None:
    """It starts an instance, and with it cgroups, while the demo runs."""
    functions = Functions(boto_client(fresh_server), python_runtime)
    name = functions.deploy_python("def handler(event, context):\n    return event\n")
    output = tmp_path / "demo.out"
    process = demo(output)
    until(lambda: "Ctrl-C stops it." in output.read_text() or process.poll() is not None, "the demo is up", within=240)
    assert functions.call(name, 1) == 1
    os.killpg(process.pid, signal.SIGINT)
    process.wait(timeout=60)
    assert "nothing is left behind: no process, namespace, mount or cgroup" in output.read_text()


def test_a_host_without_namespaces_gets_the_demo_with_a_visible_warning(tmp_path: Path) -> None:
    """A stand-in for such a host: a server that refuses to start with a full sandbox, as `wuwei up` does there."""
    refusing = tmp_path / "wuwei"
    refusing.write_text(
        "#!/bin/sh\n"
        'case " $* " in\n'
        '*" up "*reduced*) ;;\n'
        '*" up "*) echo "error: start the sandbox: this host gives no full sandbox" >&2; exit 6 ;;\n'
        "esac\n"
        f'exec "{wuwei_binary()}" "$@"\n'
    )
    refusing.chmod(0o755)
    output = tmp_path / "demo.out"
    status = demo(output, DEMO_EXIT="1", WUWEI_BINARY=str(refusing)).wait(timeout=240)
    text = output.read_text()
    assert status == 0, text
    assert "going on with --sandbox=reduced: run only code that you trust" in text
    assert text.count("  warm: {") == len(EXAMPLES), text
