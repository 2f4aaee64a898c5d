"""Packages that must not be unpacked: none of them leaves anything behind, all get AWS's answer."""

import hashlib
import os
import stat
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.functions import ECHO, Functions, unique_name
from harness.inside import processes_of
from harness.packages import DEFLATED, EXECUTABLE, READABLE, RawZip, zeros_zip, zip_of
from harness.refusals import Refusal, invalid_parameter, refusal
from harness.server import ROLE, Server
from harness.waiting import until

APP = ECHO.encode()
SYMLINK = stat.S_IFLNK | 0o777
ENCRYPTED = 0x1
UNPACKED_LIMIT = 262_144_000
COULD_NOT_UNZIP = invalid_parameter("Could not unzip uploaded file. Please check your file, then try to upload again.")
TOO_LARGE = invalid_parameter(f"Unzipped size must be smaller than {UNPACKED_LIMIT} bytes")
EMPTY = invalid_parameter("Uploaded file must be a non-empty zip")


def app() -> RawZip:
    return RawZip().add("app.py", APP)


HOSTILE: dict[str, Callable[[], bytes]] = {
    "text instead of a zip": lambda: b"this is no zip",
    "a zip cut short": lambda: zip_of({"app.py": ECHO})[:-30],
    "a path that climbs out": lambda: app().add("../../escaped", b"x").bytes(),
    "a path that climbs out in the middle": lambda: app().add("a/../../escaped", b"x").bytes(),
    "an absolute path": lambda: app().add("/tmp/wuwei-escaped", b"x").bytes(),
    "a path with a NUL": lambda: app().add(b"a\0b", b"x").bytes(),
    "a symlink to an absolute path": lambda: app().add("link", b"/etc/passwd", mode=SYMLINK).bytes(),
    "a symlink that climbs out": lambda: app().add("d/link", b"../../outside", mode=SYMLINK).bytes(),
    "a file behind a symlink": lambda: app().add("d", b"/tmp", mode=SYMLINK).add("d/escaped", b"x").bytes(),
    "the same name twice": lambda: app().add("app.py", b"def handler(e, c): return 'other'").bytes(),
    "a name that is a file and a directory": lambda: app().add("a", b"x").add("a/b", b"y").bytes(),
    "an encrypted entry": lambda: app().add("secret", b"x" * 32, flags=ENCRYPTED).bytes(),
    "a wrong checksum": lambda: app().bytes().replace(APP, APP.replace(b"event\n", b"evil!\n")),
}  # fmt: skip


def create(functions: Functions, package: bytes, name: str | None = None) -> str:
    name = name or unique_name("package")
    functions.client.create_function(
        FunctionName=name, Runtime=functions.python, Handler="app.handler", Role=ROLE, Code={"ZipFile": package}
    )
    functions.wait_active(name)
    return name


def names_below(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*")}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_package_is_refused_and_leaves_nothing(server: Server, functions: Functions, case: str) -> None:
    name = unique_name("hostile")
    before = names_below(server.data_dir / "code") | names_below(server.data_dir / "packages")
    assert refusal(lambda: create(functions, HOSTILE[case](), name)) == COULD_NOT_UNZIP
    assert names_below(server.data_dir / "code") | names_below(server.data_dir / "packages") == before
    assert not os.path.lexists("/tmp/wuwei-escaped")
    assert refusal(lambda: functions.client.get_function(FunctionName=name)).status == 404


def test_a_package_without_entries_is_refused(functions: Functions) -> None:
    assert refusal(create, functions=functions, package=RawZip().bytes()) == EMPTY


def test_a_package_without_bytes_is_refused(functions: Functions) -> None:
    found = refusal(create, functions=functions, package=b"")
    assert (found.status, found.error) == (400, "InvalidParameterValueException")


def test_a_package_that_unpacks_to_the_limit_is_accepted_and_one_byte_more_refused(functions: Functions) -> None:
    handler = b"def handler(event, context):\n    return 1\n"
    room = UNPACKED_LIMIT - len(handler)
    assert functions.call(create(functions, zeros_zip(room))) == 1
    assert refusal(lambda: create(functions, zeros_zip(room + 1))) == TOO_LARGE


def test_a_bomb_that_lies_about_its_size_is_refused(functions: Functions) -> None:
    found = refusal(lambda: create(functions, zeros_zip(UNPACKED_LIMIT + 1, claimed_size=10)))
    assert found in (TOO_LARGE, COULD_NOT_UNZIP)


def test_a_bomb_of_overlapping_entries_is_refused(functions: Functions) -> None:
    bomb = RawZip().add("app.py", APP).add("0", bytes(10_000_000), method=DEFLATED)
    for number in range(1, 60):
        bomb.add(str(number), b"", claimed_size=10_000_000, method=DEFLATED, offset=30 + len("app.py") + len(APP))
    found = refusal(lambda: create(functions, bomb.bytes()))
    assert found in (TOO_LARGE, COULD_NOT_UNZIP)


def test_a_hostile_update_leaves_the_old_code_in_place(functions: Functions) -> None:
    name = functions.deploy_python(ECHO)
    package = HOSTILE["a path that climbs out"]()
    for dry_run in (True, False):
        found = refusal(functions.client.update_function_code, FunctionName=name, ZipFile=package, DryRun=dry_run)
        assert found == COULD_NOT_UNZIP
    assert functions.call(name, "unharmed") == "unharmed"


def test_a_symlink_inside_the_package_is_kept(functions: Functions) -> None:
    package = RawZip().add("real/app.py", APP).add("app.py", b"real/app.py", mode=SYMLINK).bytes()
    assert functions.call(create(functions, package), "through the link") == "through the link"


def test_modes_are_kept_but_made_readable_and_harmless(functions: Functions) -> None:
    code = b"""
import os
def handler(event, context):
    return {entry.name: entry.stat().st_mode & 0o7777 for entry in os.scandir('/var/task')}
"""
    package = RawZip().add("app.py", code, mode=stat.S_IFREG | 0o600)
    package.add("tool", b"#!/bin/sh\n", mode=stat.S_IFREG | 0o6777).add("open", b"x", mode=stat.S_IFREG | 0o666)
    modes = functions.call(create(functions, package.bytes()))
    assert modes["tool"] == EXECUTABLE
    assert modes["app.py"] & 0o444 == 0o444 and modes["open"] == READABLE
    assert all(mode & 0o6022 == 0 for mode in modes.values()), modes


def test_the_same_package_twice_is_stored_once(server: Server, functions: Functions) -> None:
    code = "def handler(event, context):\n    return 'shared'\n"
    first = functions.deploy_python(code)
    packages = names_below(server.data_dir / "packages")
    second = functions.deploy_python(code)
    assert names_below(server.data_dir / "packages") == packages
    functions.client.delete_function(FunctionName=first)
    assert functions.call(second) == "shared"


def test_a_package_over_fifty_megabytes_is_refused(functions: Functions) -> None:
    package = RawZip().add("app.py", APP).add("noise.bin", os.urandom(50 * 1024 * 1024)).bytes()
    found = refusal(lambda: create(functions, package))
    assert isinstance(found, Refusal) and found.status in (400, 413)
    assert found.error in ("RequestEntityTooLargeException", "InvalidParameterValueException")


def stored(server: Server, package: bytes) -> list[bool]:
    """Whether the package is there, unpacked and as it came."""
    digest = hashlib.sha256(package).hexdigest()
    return [(server.data_dir / path).exists() for path in (f"code/{digest}", f"packages/{digest}.zip")]


def own_package(more: Mapping[str, str] | None = None, code: str = ECHO) -> bytes:
    """One that no other function has."""
    return zip_of({"app.py": f"# {unique_name('package')}\n{code}", **(more or {})})


def test_a_package_goes_with_the_last_version_that_has_it(server: Server, functions: Functions) -> None:
    first, second = own_package(), own_package()
    name = create(functions, first)
    functions.call(name)
    version = functions.client.publish_version(FunctionName=name)["Version"]
    functions.client.update_function_code(FunctionName=name, ZipFile=second)
    functions.wait_updated(name)
    other = create(functions, own_package())
    gone = own_package()
    passing = create(functions, gone)
    functions.client.delete_function(FunctionName=passing)
    until(lambda: stored(server, gone) == [False, False], "the package of a deleted function is gone")
    assert stored(server, first) == [True, True], "a version has it"
    functions.client.delete_function(FunctionName=name, Qualifier=version)
    until(lambda: stored(server, first) == [False, False], "the package of a deleted version is gone")
    assert stored(server, second) == [True, True]
    third = own_package()
    functions.client.update_function_code(FunctionName=name, ZipFile=third)
    until(lambda: stored(server, second) == [False, False], "replaced code is gone")
    functions.wait_updated(name)
    assert functions.call(name, 3) == 3 and functions.call(other, 4) == 4
    assert not list((server.data_dir / "incoming").iterdir())


def test_a_package_stays_until_the_last_instance_has_ended(server: Server, functions: Functions) -> None:
    code = """
import time
def handler(event, context):
    print('began')
    time.sleep(4)
    import later
    return later.VALUE
"""
    package = own_package({"later.py": "VALUE = 'there'\n"}, code)
    name = create(functions, package)
    functions.client.update_function_configuration(FunctionName=name, Timeout=20)
    functions.wait_updated(name)
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(functions.invoke, name)
        until(lambda: "began" in server.wuwei("logs", name).output, "the call is running")
        functions.client.delete_function(FunctionName=name)
        assert call.result(20).value == "there"
    until(lambda: stored(server, package) == [False, False], "the package is gone")


def test_the_same_package_can_come_and_go_all_the_time(server: Server, functions: Functions) -> None:
    """What is removed is never what a function has just been given."""
    package = own_package()

    def come_and_go(number: int) -> None:
        for _ in range(12):
            name = create(functions, package)
            assert functions.call(name, number) == number
            functions.client.delete_function(FunctionName=name)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(come_and_go, range(3)))
    until(lambda: stored(server, package) == [False, False], "the package is gone")


@pytest.mark.parametrize("what", ["the function", "a version"])
def test_idle_instances_end_when_what_they_serve_is_deleted(server: Server, functions: Functions, what: str) -> None:
    package = own_package()
    name = create(functions, package)
    version = functions.client.publish_version(FunctionName=name)["Version"]
    functions.call(f"{name}:{version}", 1)
    assert processes_of(server, package)
    settings = {} if what == "the function" else {"Qualifier": version}
    functions.client.delete_function(FunctionName=name, **settings)
    until(lambda: not processes_of(server, package), "no instance is left")
