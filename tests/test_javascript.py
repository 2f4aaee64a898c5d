"""The JavaScript SDK: each behaviour is one script of `javascript/`, run by Node; its exit status is the verdict."""

import functools
from pathlib import Path

import pytest

from harness.functions import unique_name
from harness.packages import zip_of
from harness.server import ROLE, Server
from harness.tools import TESTS, plain_environment, run, tool

DIRECTORY = TESTS / "javascript"
SCRIPTS = sorted(path.name for path in DIRECTORY.glob("*.mjs") if path.name != "client.mjs")
CODE = """
def handler(event, context):
    print('log line')
    if event == 'fail':
        raise ValueError('on purpose')
    return event
"""


@functools.cache
def sdk() -> Path:
    """The SDK, from the lock file; an error that says how to install it when it is not there."""
    installed = DIRECTORY / "node_modules" / "@aws-sdk"
    for package in ("client-lambda", "client-sts"):
        if not (installed / package).is_dir():
            raise RuntimeError(f"`{installed / package}` is not there; install it with: npm ci --prefix {DIRECTORY}")
    return installed


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_javascript_sdk(server: Server, python_runtime: str, tmp_path: Path, script: str) -> None:
    sdk()
    package = tmp_path / "package.zip"
    package.write_bytes(zip_of({"app.py": CODE}))
    environment = plain_environment() | server.environment()
    environment |= {"PACKAGE": str(package), "ROLE": ROLE, "RUNTIME": python_runtime}
    environment |= {"FUNCTION_NAME": unique_name(f"js-{script.removesuffix('.mjs')}")}
    run([tool("node"), str(DIRECTORY / script)], environment).ok()
