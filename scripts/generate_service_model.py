#!/usr/bin/env python3
"""Write the compact tables of the service models that wuwei is built from.

Reads the service models of the pinned botocore and keeps the facts: operations, shapes, constraints. No texts. Of the
Lambda API that is all of it; of the other services the operations that wuwei has, what these need, and the names of
the rest.
`--check` writes nothing and exits 1 when a checked-in table differs.
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
TABLES = Path(__file__).resolve().parent.parent / "crates" / "wuwei-model" / "data"

API_VERSIONS = {"lambda": "2015-03-31", "logs": "2014-03-28", "iam": "2010-05-08", "sts": "2011-06-15"}
# The operations that are kept; of a service that is not named here, all.
KEPT = {
    "logs": [
        "CreateLogGroup",
        "DeleteLogGroup",
        "DeleteLogStream",
        "DeleteRetentionPolicy",
        "DescribeLogGroups",
        "DescribeLogStreams",
        "FilterLogEvents",
        "GetLogEvents",
        "ListTagsForResource",
        "PutRetentionPolicy",
        "TagResource",
        "UntagResource",
    ],
    "iam": [
        "AttachRolePolicy",
        "CreatePolicy",
        "CreatePolicyVersion",
        "CreateRole",
        "DeletePolicy",
        "DeletePolicyVersion",
        "DeleteRole",
        "DeleteRolePolicy",
        "DetachRolePolicy",
        "GetPolicy",
        "GetPolicyVersion",
        "GetRole",
        "GetRolePolicy",
        "ListAttachedRolePolicies",
        "ListEntitiesForPolicy",
        "ListInstanceProfilesForRole",
        "ListPolicies",
        "ListPolicyTags",
        "ListPolicyVersions",
        "ListRolePolicies",
        "ListRoles",
        "ListRoleTags",
        "PutRolePolicy",
        "SetDefaultPolicyVersion",
        "TagPolicy",
        "TagRole",
        "UntagPolicy",
        "UntagRole",
        "UpdateAssumeRolePolicy",
        "UpdateRole",
    ],
    "sts": ["AssumeRole", "GetCallerIdentity"],
}

# Facts about a shape that are copied as they are, in this order.
SHAPE_FACTS = ("min", "max", "pattern", "enum", "sensitive", "streaming", "eventstream", "required", "payload")


def compact_operation(operation: dict[str, Any]) -> dict[str, Any]:
    """Facts of one operation."""
    http = operation["http"]
    facts: dict[str, Any] = {
        "method": http["method"],
        "uri": http["requestUri"],
        "status": http.get("responseCode", 200),
    }
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
        # What the message calls the error, where that is not the name of its shape.
        if "code" in shape["error"]:
            facts["code"] = shape["error"]["code"]
    elif shape.get("exception"):
        facts["error"] = 400
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


def reachable(model: dict[str, Any], operations: list[str]) -> set[str]:
    """Names of the shapes that these operations need."""
    found: set[str] = set()
    queue: list[str] = []
    for name in operations:
        operation = model["operations"][name]
        queue += [operation[side]["shape"] for side in ("input", "output") if side in operation]
        queue += [error["shape"] for error in operation.get("errors", [])]
    while queue:
        name = queue.pop()
        if name not in found:
            found.add(name)
            shape = model["shapes"][name]
            queue += [shape[part]["shape"] for part in ("member", "key", "value") if part in shape]
            queue += [member["shape"] for member in shape.get("members", {}).values()]
    return found


def render(service: str, model: dict[str, Any]) -> str:
    """The whole table of one service as text."""
    kept = KEPT.get(service, list(model["operations"]))
    names = reachable(model, kept) if service in KEPT else set(model["shapes"])
    operations = {name: compact_operation(model["operations"][name]) for name in kept}
    shapes = {name: compact_shape(model["shapes"][name]) for name in names}
    others = sorted(set(model["operations"]) - set(kept))
    others_line = f'"others": {json.dumps(others)},\n' if service in KEPT else ""
    return (
        "{\n"
        f'"botocore": {json.dumps(PINNED_BOTOCORE)},\n'
        f'"api_version": {json.dumps(API_VERSIONS[service])},\n'
        f"{others_line}"
        f'"operations": {one_line_each(operations)},\n'
        f'"shapes": {one_line_each(shapes)}\n'
        "}\n"
    )


def main() -> int:
    """Exit status: 0 done or equal, 1 different (with `--check`), 2 wrong botocore."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a table differs")
    check = parser.parse_args().check
    if botocore.__version__ != PINNED_BOTOCORE:
        print(
            f"botocore {botocore.__version__} is installed, the tables are pinned to {PINNED_BOTOCORE}: "
            f"pip install botocore=={PINNED_BOTOCORE}",
            file=sys.stderr,
        )
        return 2
    differing = 0
    for service, version in API_VERSIONS.items():
        table = TABLES / f"{service}.json"
        text = render(service, botocore.loaders.Loader().load_service_model(service, "service-2", version))
        if not check:
            table.write_text(text, encoding="utf-8")
            print(f"wrote {table.name}: {text.count(chr(10))} lines")
        elif table.read_text(encoding="utf-8") != text:
            differing += 1
            print(f"{table.name} differs from botocore {PINNED_BOTOCORE}: run {Path(__file__).name}", file=sys.stderr)
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
