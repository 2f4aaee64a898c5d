"""A Python function cannot tell whether its interpreter was started for it or was assigned to it."""

import json
import os

import pytest

from harness.python_control import BOOT, BOOTSTRAP

# All that a function might look at, and that does not differ between any two processes.
PROBE = """
import ctypes, gc, inspect, locale, os, signal, sys, threading, time, warnings
import __main__
at_import = {"modules": sorted(sys.modules), "gc": [gc.isenabled(), gc.get_threshold(), gc.get_freeze_count() > 0]}

def stream(value):
    buffered = getattr(value, "buffer", None)
    return [type(value).__name__, value.encoding, value.errors, value.line_buffering, value.write_through, value.name,
            value.fileno(), value.isatty(), value.seekable(), type(buffered).__name__, value.mode, value.newlines]

def c_environment():
    environ = ctypes.POINTER(ctypes.c_char_p).in_dll(ctypes.CDLL(None), "environ")
    found, index = [], 0
    while environ[index] is not None:
        found.append(environ[index].decode())
        index += 1
    return found

def handler(event, context):
    status = open("/proc/self/status").read().splitlines()
    kept = ("Threads", "SigBlk", "SigIgn", "SigCgt", "NoNewPrivs", "Umask", "CoreDumping")
    return {
        "import": at_import, "argv": sys.argv, "orig_argv": getattr(sys, "orig_argv", None), "path": sys.path,
        "main": [sorted(name for name in vars(__main__) if name not in ("__cached__",)), __main__.__file__],
        "flags": str(sys.flags), "warn": [str(entry) for entry in warnings.filters], "warnoptions": sys.warnoptions,
        "hooks": [str(hook).partition(" at ")[0] for hook in sys.path_hooks],
        "finders": [str(getattr(finder, "__name__", type(finder).__name__)) for finder in sys.meta_path],
        "streams": [stream(value) for value in (sys.stdout, sys.stderr)], "stdin": sys.stdin.read(),
        # The shell that moves the socket sorts them, and adds one.
        "environ": sorted(pair for pair in os.environ.items() if pair[0] != "PWD"),
        "c": sorted(pair for pair in c_environment() if not pair.startswith("PWD=")),
        "cwd": os.getcwd(),
        "depth": len(inspect.stack(0)),
        "signals": [str(signal.getsignal(number)).partition(" at ")[0] for number in range(1, 65)],
        "status": [line for line in status if line.startswith(kept)],
        "threads": [thread.name for thread in threading.enumerate()],
        "time": [time.tzname, time.timezone, time.localtime(0)[:6], time.strftime("%Z", time.localtime(0))],
        "locale": [locale.setlocale(locale.LC_ALL), locale.getpreferredencoding(False)],
        "encoding": sys.getfilesystemencoding(),
        "recursion": sys.getrecursionlimit(), "switch": sys.getswitchinterval(), "bytecode": sys.dont_write_bytecode,
        "trace": [str(sys.gettrace()), str(sys.getprofile())], "executable": [sys.executable, sys.prefix],
        "descriptors": sorted(os.listdir("/proc/self/fd"))[:4], "implicit": sorted(vars(__import__("builtins"))),
        "arguments": open("/proc/self/cmdline", "rb").read().decode().split(chr(0))[4:-1],
    }
"""

ENVIRONMENTS = {
    "plain": {},
    "as the platform's": {"TZ": ":UTC", "PYTHONPATH": str(BOOTSTRAP.parent), "EMPTY": "", "TEXT": "\u7121"},
    "a time zone and a search path": {"TZ": "Asia/Tokyo", "PYTHONPATH": "/extra/one:/two:" + str(BOOTSTRAP.parent)},
    "another path": {"PATH": "/bin", "LANGUAGE": "de"},
}
# What an interpreter takes up at its start only: such functions get a new one, in the blank's process.
RESTARTED = {
    "hash seed": {"PYTHONHASHSEED": "7"},
    "unbuffered": {"PYTHONUNBUFFERED": "1"},
    "no encoding": {"LANG": "C", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    "warnings": {"PYTHONWARNINGS": "error::UserWarning"},
    "allocator": {"MALLOC_ARENA_MAX": "1"},
    "relative search path": {"PYTHONPATH": "lib::/extra"},
    "linker": {"LD_LIBRARY_PATH": "/var/task/lib"},
}


ASSIGNED_WAYS = ("blank", "zygote")


@pytest.fixture
def probed(start_in):
    """What the probe sees, started and assigned in the same directory."""

    def probed(assigned_way, environment):
        seen = []
        for way in ("exec", assigned_way):
            function = start_in(way, PROBE, environment=environment)
            answer = function.receive()
            assert answer.kind == "ready", (answer.log, function.log)
            text = function.invoke().document.decode()
            assert function.log == ""
            seen.append(json.loads(text.replace(str(function.log_path.parent), "/var/task")))
        return seen

    return probed


@pytest.mark.parametrize("name", ENVIRONMENTS)
@pytest.mark.parametrize("assigned_way", ASSIGNED_WAYS)
def test_an_assigned_function_sees_what_a_started_one_sees(probed, assigned_way, name):
    started, assigned = probed(assigned_way, ENVIRONMENTS[name])
    assert (started.pop("arguments"), assigned.pop("arguments")) == ([], ["--" + assigned_way])
    for aspect, value in started.items():
        assert assigned[aspect] == value, aspect


@pytest.mark.parametrize("name", RESTARTED)
@pytest.mark.parametrize("assigned_way", ASSIGNED_WAYS)
def test_what_only_a_start_takes_up_starts_the_interpreter_anew(probed, assigned_way, name):
    started, assigned = probed(assigned_way, RESTARTED[name])
    assert assigned == started


def test_a_module_on_pythonpath_that_stands_in_for_one_of_the_library_does_so(start_in, tmp_path):
    text = "kwlist = softkwlist = []\niskeyword = issoftkeyword = kwlist.count\nmine = True\n"
    (tmp_path / "keyword.py").write_text(text)
    code = "import keyword\ndef handler(event, context):\n    return keyword.mine"
    for way in ("exec", *ASSIGNED_WAYS):
        function = start_in(way, code, environment={"PYTHONPATH": str(tmp_path)})
        assert function.receive().kind == "ready", function.log
        assert function.invoke().json is True


@pytest.mark.parametrize("assigned_way", ASSIGNED_WAYS)
def test_modules_of_the_function_are_not_those_of_the_blank(start_in, assigned_way):
    names = ("rehearsal", "blank", "bootstrap", "zygote", "ctypes", "_ctypes", "gc")
    files = {name + ".py": "mine = True\n" for name in names}
    code = "import %s\ndef handler(event, context):\n" % ", ".join(names)
    code += "    return [hasattr(module, 'mine') for module in (%s)]" % ", ".join(names)
    seen = []
    for way in ("exec", assigned_way):
        function = start_in(way, code, files=files)
        assert function.receive().kind == "ready", function.log
        seen.append(function.invoke().json)
    # What is built in is built in.
    assert seen[0] == seen[1] == [True] * 6 + [False]


def test_the_first_event_may_follow_the_assignment_at_once(start_in):
    function = start_in("blank", "def handler(event, context):\n    return event")
    function.send({"text": "x" * 100_000})
    assert function.receive().kind == "ready"
    assert function.receive().json == {"text": "x" * 100_000}


def test_a_blank_that_nobody_assigns_ends_with_its_channel(start_in, monkeypatch):
    monkeypatch.setattr("harness.python_control.Function.assign", lambda *_: None)
    function = start_in("blank", "")
    assert function.end() == 0
    assert function.log == ""
    assert not os.path.exists(BOOTSTRAP.parent / "__pycache__" / "rehearsal.pyc")


def test_a_blank_takes_nothing_but_an_assignment(start_in, monkeypatch):
    monkeypatch.setattr("harness.python_control.Function.assign", lambda *_: None)
    function = start_in("blank", "")
    function.send(None)
    assert function.process.wait(20) == 1
    assert "unexpected frame of kind 1" in function.log


def test_the_variables_are_those_of_the_assignment_in_its_order(start_in):
    code = "import os\nnames = list(os.environ.items())\ndef handler(event, context):\n    return names"
    function = start_in("blank", code, environment={"Z": "1", "PATH": "/else", "A": "2"})
    assert function.receive().kind == "ready"
    names = [name for name, _ in function.invoke().json]
    assert names[:3] == ["PATH", "LANG", "_HANDLER"] and names[-2:] == ["Z", "A"]
    assert dict(function.invoke().json)["PATH"] == "/else" and dict(function.invoke().json)["LANG"] == BOOT["LANG"]
