"""SPEC.md: every promise names a test that exists."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SPEC = (ROOT / "SPEC.md").read_text()
PYTHON_TESTS = sorted(set(re.findall(r"`((?:bench/)?tests/[\w/]+\.py)::(\w+)`", SPEC)))
RUST_MODULES = sorted(set(re.findall(r"`(wuwei[\w-]*)::([\w:]+)`", SPEC)))


def functions_of(path: Path) -> set[str]:
    """Names of all functions and methods of a Python file."""
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize(("file", "test"), PYTHON_TESTS)
def test_a_promised_test_exists(file: str, test: str) -> None:
    assert test in functions_of(ROOT / file)


@pytest.mark.parametrize(("crate", "module"), RUST_MODULES)
def test_a_promised_module_has_tests(crate: str, module: str) -> None:
    source = ROOT / "crates" / crate
    stem = "/".join(module.split("::"))
    files = [source / "src" / f"{stem}.rs", source / "tests" / f"{stem}.rs", *(source / "src" / stem).rglob("*.rs")]
    assert any("#[test]" in file.read_text() or "#[tokio::test" in file.read_text() for file in files if file.exists())


def test_every_promise_names_its_test() -> None:
    rows = [line for line in SPEC.splitlines() if line.startswith("| ") and not line.startswith("| promise")]
    assert len(rows) > 50
    for row in rows:
        held_by = row.rsplit("|", 2)[1]
        assert "::" in held_by, row
