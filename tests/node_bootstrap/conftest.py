"""Fixtures: functions in the Node.js bootstrap, without a server."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from harness.node_control import WAYS, Function


@pytest.fixture
def start_in(tmp_path: Path) -> Iterator[Callable[..., Function]]:
    """Starts functions (of the text of `app.js`, or of several files) in one of the ways, and stops them at the end."""
    started: list[Function] = []

    def start_in(way: str, code: str | Mapping[str, str], **options: Any) -> Function:
        directory = tmp_path / str(len(started))
        directory.mkdir()
        files = {"app.js": code} if isinstance(code, str) else code
        started.append(Function(directory, files, way=way, **options))
        return started[-1]

    yield start_in
    for function in started:
        function.end()


@pytest.fixture(params=WAYS)
def start(start_in: Callable[..., Function], request: pytest.FixtureRequest) -> Callable[..., Function]:
    """Starts functions, each test in every way."""
    return partial(start_in, request.param)


@pytest.fixture
def ready(start: Callable[..., Function]) -> Callable[..., Function]:
    """Starts functions and waits until they are initialised."""

    def ready(code: str | Mapping[str, str], **options: Any) -> Function:
        function = start(code, **options)
        answer = function.receive()
        assert answer is not None and (answer.kind, answer.request_id) == ("ready", ""), (answer, function.log)
        return function

    return ready
