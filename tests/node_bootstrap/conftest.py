"""Fixtures: functions in the Node.js bootstrap, without a server."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from harness.node_control import Function


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Function]]:
    """Starts functions (of the text of `app.js`, or of several files), and stops them after the test."""
    started: list[Function] = []

    def start(code: str | Mapping[str, str], **options: Any) -> Function:
        directory = tmp_path / str(len(started))
        directory.mkdir()
        files = {"app.js": code} if isinstance(code, str) else code
        started.append(Function(directory, files, **options))
        return started[-1]

    yield start
    for function in started:
        function.end()


@pytest.fixture
def ready(start: Callable[..., Function]) -> Callable[..., Function]:
    """Starts functions and waits until they are initialised."""

    def ready(code: str | Mapping[str, str], **options: Any) -> Function:
        function = start(code, **options)
        answer = function.receive()
        assert answer is not None and (answer.kind, answer.request_id) == ("ready", ""), (answer, function.log)
        return function

    return ready
