"""Servers of tests: made on a directory of their own, and cleaned up; what they offer."""

import shutil
import tempfile
from pathlib import Path

from harness.server import RUNNING, Server


def make_server(config: str | None = None, arguments: tuple[str, ...] = (), prefix: tuple[str, ...] = ()) -> Server:
    """A server on a new data directory, not yet started."""
    root = Path(tempfile.mkdtemp(prefix="wuwei-tests-"))
    root.chmod(0o755)
    path = root / "wuwei.toml"
    if config is not None:
        path.write_text(config)
    return Server(root / "data", path if config is not None else None, arguments, prefix)


def finish(server: Server) -> None:
    """Stops a server that a test has left running, and removes its files."""
    try:
        if server.is_running():
            server.stop()
    finally:
        RUNNING.remove(server)
        if server.is_running() and server.process is not None:
            server.process.kill()
            server.process.wait()
        server.end_orphans()
        shutil.rmtree(server.data_dir.parent, ignore_errors=True)


def offered_runtimes(server: Server) -> list[str]:
    """The identifiers that `wuwei runtimes` lists."""
    listed = server.wuwei_json("runtimes")
    assert isinstance(listed, list), listed
    return [entry["identifier"] for entry in listed]


def newest_node(server: Server) -> str | None:
    """Identifier of the newest Node.js runtime, if there is one."""
    found = [identifier for identifier in offered_runtimes(server) if identifier.startswith("nodejs")]
    return max(found, key=lambda identifier: int(identifier[len("nodejs") : -len(".x")]), default=None)


def newest_python(server: Server) -> str:
    """Identifier of the newest Python runtime in `wuwei runtimes`."""
    found = [identifier for identifier in offered_runtimes(server) if identifier.startswith("python3.")]
    assert found, "the server found no Python; install it with: apt-get install -y python3"
    return max(found, key=lambda identifier: int(identifier.split(".")[1]))
