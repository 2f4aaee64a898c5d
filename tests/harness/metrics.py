"""Reads `/metrics`."""

from urllib.request import urlopen

from harness.server import Server


def metrics_of(server: Server) -> dict[str, float]:
    """Every sample by its name and labels."""
    with urlopen(f"{server.endpoint}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    samples = (line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))
    return {name: float(value) for name, value in samples}
