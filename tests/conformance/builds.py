"""Builds the official clients from their registries, once: a build is kept until one of its sources changes."""

import fcntl
import hashlib
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from harness.native import compiled
from harness.tools import REPOSITORY, run, tool

SOURCES = Path(__file__).parent / "clients"
CACHE = REPOSITORY / "target" / "conformance"
BUILD_SECONDS = 600.0
Files = Mapping[str, str | bytes]


def files_below(directory: Path) -> dict[str, bytes]:
    """Contents of every file, by its path in the directory."""
    found = (path for path in sorted(directory.rglob("*")) if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(directory)): path.read_bytes() for path in found}


def kept(client: str, build: Callable[[Path, Path], None]) -> dict[str, bytes]:
    """The package that `build(sources, target)` makes in `target`, or has made of the same sources before."""
    sources = SOURCES / client
    digest = hashlib.sha256()
    for name, content in files_below(sources).items():
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    directory = CACHE / client
    directory.mkdir(parents=True, exist_ok=True)
    target = directory / digest.hexdigest()[:16]
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.is_dir():
            unfinished = directory / "unfinished"
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            build(sources, unfinished)
            unfinished.rename(target)
    return files_below(target)


def build(command: list[str], **environment: str) -> None:
    """Runs a build tool with the machine's own settings for its registry."""
    run(command, {**os.environ, **environment}, within=BUILD_SECONDS).ok()


def awslambdaric() -> Files:
    """`awslambdaric` from PyPI, with the handler of the Python columns."""

    def install(sources: Path, target: Path) -> None:
        requirements = str(sources / "requirements.txt")
        build([sys.executable, "-m", "pip", "install", "--quiet", "--target", str(target), "-r", requirements])
        shutil.copy(sources / "bootstrap", target)

    return {**kept("awslambdaric", install), **files_below(SOURCES / "python")}


def lambda_runtime() -> Files:
    """`lambda_runtime` from crates.io."""

    def compile_(sources: Path, target: Path) -> None:
        manifest = ["--manifest-path", str(sources / "Cargo.toml")]
        objects = CACHE / "rust" / "target"
        build([tool("cargo"), "build", "--quiet", "--locked", *manifest], CARGO_TARGET_DIR=str(objects))
        shutil.copy(objects / "debug" / "bootstrap", target)

    return kept("rust", compile_)


def aws_lambda_go() -> Files:
    """`aws-lambda-go` from the Go module proxy."""

    def compile_(sources: Path, target: Path) -> None:
        flags = ["-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", str(target / "bootstrap")]
        build([tool("go"), "-C", str(sources), "build", *flags, "."], CGO_ENABLED="0", GOFLAGS="-mod=readonly")

    return kept("go", compile_)


def java_client() -> Files:
    """The Java runtime interface client from Maven Central; the handler is compiled without Maven's plugins."""

    def compile_(sources: Path, target: Path) -> None:
        copy = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
        where = ["-f", str(sources / "pom.xml"), "-DincludeScope=runtime", f"-DoutputDirectory={target / 'lib'}"]
        build([tool("mvn"), "--quiet", "--batch-mode", copy, *where])
        handler = str(sources / "src" / "main" / "java" / "Handler.java")
        build([tool("javac"), "--release", "17", "-cp", f"{target / 'lib'}/*", "-d", str(target), handler])
        shutil.copy(sources / "bootstrap", target)

    return kept("java", compile_)


def native() -> Files:
    """A program of ours in C, without any client."""
    return {"bootstrap": compiled("../conformance/clients/native/bootstrap.c")}


def python() -> Files:
    """The handler of the Python columns."""
    return files_below(SOURCES / "python")


def node() -> Files:
    """The handler of the Node column."""
    return files_below(SOURCES / "node")
