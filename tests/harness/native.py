"""Native programs for sandboxes, compiled when the tests run."""

import functools
import tempfile
from pathlib import Path

from harness.tools import TESTS, run, tool


@functools.cache
def compiled(source: str) -> bytes:
    """The static executable of `tests/native/<source>`."""
    with tempfile.TemporaryDirectory(prefix="wuwei-native-") as directory:
        target = Path(directory) / "bootstrap"
        flags = ["-O1", "-static", "-Wall", "-Wextra", "-Werror", "-pthread", "-o", str(target)]
        run([tool("cc"), *flags, str(TESTS / "native" / source)]).ok()
        return target.read_bytes()
