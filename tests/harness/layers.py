"""Layers of the tests: publishing them, and what a function finds of them."""

import itertools
from collections.abc import Mapping
from typing import Any

from botocore.client import BaseClient

from harness.packages import zip_of
from harness.server import ACCOUNT, REGION

_numbers = itertools.count(1)


def unique_layer() -> str:
    """A name that no other test uses."""
    return f"layer-{next(_numbers)}"


def layer_arn(name: str, version: int | None = None, *, account: str = ACCOUNT, region: str = REGION) -> str:
    """The ARN of a layer, or of one of its versions."""
    arn = f"arn:aws:lambda:{region}:{account}:layer:{name}"
    return arn if version is None else f"{arn}:{version}"


def publish(
    client: BaseClient, files: Mapping[str, str | bytes], name: str | None = None, **settings: Any
) -> dict[str, Any]:
    """A new version of a layer of these files; everything in a `bin` directory may be executed."""
    executables = tuple(path for path in files if path.startswith("bin/") or path == "bootstrap")
    content = {"ZipFile": zip_of(files, executables)}
    answer: dict[str, Any] = client.publish_layer_version(LayerName=name or unique_layer(), Content=content, **settings)
    return answer
