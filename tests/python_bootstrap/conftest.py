"""Fixtures: functions in the Python bootstrap, without a server."""

import functools
import subprocess
import sys

import pytest

from harness.python_control import WAYS, Function, zygotes


def pytest_addoption(parser):
    parser.addoption(
        "--interpreter",
        action="append",
        default=[],
        metavar="PATH",
        help="run all tests with this interpreter (may be given several times; default: the one that runs pytest)",
    )


def pytest_generate_tests(metafunc):
    if "interpreter" in metafunc.fixturenames:
        metafunc.parametrize("interpreter", metafunc.config.getoption("interpreter") or [sys.executable])
    if "way" in metafunc.fixturenames:
        metafunc.parametrize("way", WAYS)


@pytest.fixture(scope="session", autouse=True)
def _zygotes_end():
    yield
    for zygote in zygotes:
        zygote.end()


@pytest.fixture
def start_in(interpreter, tmp_path):
    """Starts functions in one of the ways, and stops them after the test."""
    started = []

    def start_in(way, code, **options):
        directory = tmp_path / str(len(started))
        directory.mkdir()
        started.append(Function(interpreter, way, directory, code, **options))
        return started[-1]

    yield start_in
    for function in started:
        function.socket.close()
        function.process.kill()
        function.process.wait()


@pytest.fixture
def start(start_in, way):
    """Starts functions, each test in every way."""
    return functools.partial(start_in, way)


@pytest.fixture
def ready(start):
    """Starts functions and waits until they are initialised."""

    def ready(code, **options):
        function = start(code, **options)
        answer = function.receive()
        assert answer is not None and answer.kind == "ready", (answer and answer.log, function.log)
        return function

    return ready


@pytest.fixture
def version(interpreter):
    text = subprocess.check_output([interpreter, "-I", "-S", "-c", "import sys; print(*sys.version_info[:2])"])
    return tuple(int(number) for number in text.split())
