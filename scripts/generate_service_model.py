#!/usr/bin/env python3
"""Write the compact table of the Lambda service model that wuwei is built from.

Reads the service model of the pinned botocore and keeps the facts: operations, shapes, constraints. No texts.
`--check` writes nothing and exits 1 when the checked-in table differs.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import botocore
import botocore.loaders

PINNED_BOTOCORE = "1.43.11"
API_VERSION = "2015-03-31"
TABLE = Path(__file__).resolve().parent.parent / "crates" / "wuwei-model" / "data" / "lambda.json"

# Facts about a shape that are copied as they are, in this order.
SHAPE_FACTS = ("min", "max", "pattern", "enum", "sensitive", "streaming", "eventstream", "required", "payload")


def compact_operation(operation: dict[str, Any]) -> dict[str, Any]:
    """Facts of one operation."""
    http = operation["http"]
    facts: dict[str, Any] = {"method": http["method"], "uri": http["requestUri"], "status": http["responseCode"]}
    for side in ("input", "output"):
        if side in operation:
            facts[side] = operation[side]["shape"]
    facts["errors"] = [error["shape"] for error in operation.get("errors", [])]
    return facts


def compact_member(name: str, member: dict[str, Any]) -> dict[str, Any]:
    """Facts of one member of a structure: `in` is its place in the HTTP message, `as` its name there."""
    facts: dict[str, Any] = {"name": name, "shape": member["shape"]}
    if "location" in member:
        facts["in"] = member["location"]
    if "locationName" in member:
        facts["as"] = member["locationName"]
    return facts


def compact_shape(shape: dict[str, Any]) -> dict[str, Any]:
    """Facts of one shape; the order of members is the model's."""
    facts: dict[str, Any] = {"type": shape["type"]}
    facts.update({fact: shape[fact] for fact in SHAPE_FACTS if fact in shape})
    if "error" in shape:
        facts["error"] = shape["error"]["httpStatusCode"]
    for part in ("member", "key", "value"):
        if part in shape:
            facts[part] = shape[part]["shape"]
    if "members" in shape:
        facts["members"] = [compact_member(name, member) for name, member in shape["members"].items()]
    return facts


def one_line_each(entries: dict[str, dict[str, Any]]) -> str:
    """A JSON object with one entry a line, in order of name."""
    lines = (
        f"{json.dumps(name)}: {json.dumps(entries[name], ensure_ascii=True, separators=(', ', ': '))}"
        for name in sorted(entries)
    )
    return "{\n" + ",\n".join(lines) + "\n}"


def render(model: dict[str, Any]) -> str:
    """The whole table as text."""
    operations = {name: compact_operation(operation) for name, operation in model["operations"].items()}
    shapes = {name: compact_shape(shape) for name, shape in model["shapes"].items()}
    return (
        "{\n"
        f'"botocore": {json.dumps(PINNED_BOTOCORE)},\n'
        f'"api_version": {json.dumps(API_VERSION)},\n'
        f'"operations": {one_line_each(operations)},\n'
        f'"shapes": {one_line_each(shapes)}\n'
        "}\n"
    )


def main() -> int:
    """Exit status: 0 done or equal, 1 different (with `--check`), 2 wrong botocore."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when the table differs")
    check = parser.parse_args().check
    if botocore.__version__ != PINNED_BOTOCORE:
        print(
            f"botocore {botocore.__version__} is installed, the table is pinned to {PINNED_BOTOCORE}: "
            f"pip install botocore=={PINNED_BOTOCORE}",
            file=sys.stderr,
        )
        return 2
    text = render(botocore.loaders.Loader().load_service_model("lambda", "service-2", API_VERSION))
    if check:
        if TABLE.read_text(encoding="utf-8") == text:
            return 0
        print(f"{TABLE.name} differs from botocore {PINNED_BOTOCORE}: run {Path(__file__).name}", file=sys.stderr)
        return 1
    TABLE.write_text(text, encoding="utf-8")
    print(f"wrote {TABLE.name}: {text.count(chr(10))} lines")
    return 0


if __name__ == "__main__":
    sys.exit(main())
