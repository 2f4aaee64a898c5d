"""The suite of attempts: each is refused by the product, and succeeds where its defences are left out."""

import json
import platform
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from attack import table
from attack.attempt import Attempt
from attack.attempts import GROUPS
from attack.defences import DEFENCES
from attack.ground import Ground
from attack.runner import Runner, build
from harness.tools import REPOSITORY, run, tool, wuwei_binary

ATTEMPTS_MIN = 80
HERE = platform.machine()
ALL = [attempt for group in GROUPS.values() for attempt in group]
ATTEMPTS = [attempt for attempt in ALL if attempt.architecture in ("", HERE)]
PROGRAMS = [
    pytest.param(attempt, language, id=f"{attempt.name}, {language}")
    for attempt in ATTEMPTS
    for language in attempt.languages
]
LAYERS = [
    pytest.param(attempt, defence, id=f"{attempt.name}, {defence}")
    for attempt in ATTEMPTS
    if attempt.layered and len(attempt.defences) > 1
    for defence in attempt.defences
]
SANDBOX_CRATE = REPOSITORY / "crates" / "wuwei-sandbox"


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    """The host with all that attempts are after, and the runner of attempts."""
    runner = Runner(build())
    ground = Ground(runner)
    try:
        yield ground
    finally:
        ground.close()
        runner.close()


def can_be_shown(attempt: Attempt) -> bool:
    """Whether this host has what is behind the defence."""
    return not attempt.needs or Path(attempt.needs).exists()


@pytest.mark.parametrize(("attempt", "language"), PROGRAMS)
def test_the_product_refuses_it(ground: Ground, attempt: Attempt, language: str) -> None:
    outcome = ground.run(attempt, language)
    assert not outcome.succeeded, outcome.how
    assert any(refusal in outcome.how for refusal in attempt.refusal), outcome.how


@pytest.mark.parametrize(("attempt", "language"), PROGRAMS)
def test_a_sandbox_that_was_built_ahead_refuses_it(ground: Ground, attempt: Attempt, language: str) -> None:
    outcome = ground.run(attempt, language, ahead=True)
    assert not outcome.succeeded, outcome.how
    assert any(refusal in outcome.how for refusal in attempt.refusal), outcome.how


@pytest.fixture(scope="module")
def forking_ground(ground: Ground) -> Ground:
    """The same, once runtimes are forked."""
    ground.wait_for_forks()
    return ground


@pytest.mark.parametrize(("attempt", "language"), PROGRAMS)
def test_a_forked_runtime_is_refused_it(forking_ground: Ground, attempt: Attempt, language: str) -> None:
    outcome = forking_ground.run(attempt, language, ahead=True, forked=True)
    assert not outcome.succeeded, outcome.how
    assert any(refusal in outcome.how for refusal in attempt.refusal), outcome.how


@pytest.mark.parametrize(("attempt", "language"), PROGRAMS)
def test_it_succeeds_without_its_defences(ground: Ground, attempt: Attempt, language: str) -> None:
    outcome = ground.run(attempt, language, attempt.defences)
    assert outcome.succeeded or not can_be_shown(attempt), outcome.how


@pytest.mark.parametrize(("attempt", "defence"), LAYERS)
def test_each_of_several_defences_stops_it_alone(ground: Ground, attempt: Attempt, defence: str) -> None:
    left_out = [other for other in attempt.defences if other != defence]
    outcome = ground.run(attempt, attempt.languages[0], left_out)
    assert not outcome.succeeded, outcome.how


def test_the_product_leaves_nothing_out_when_asked_to(ground: Ground) -> None:
    attempt = next(attempt for attempt in ATTEMPTS if attempt.defences == ("call-filter",))
    assert ground.run(attempt, "native", attempt.defences, switchable=True).succeeded
    assert not ground.run(attempt, "native", attempt.defences, switchable=False).succeeded


def test_the_product_has_no_switch() -> None:
    """No name of a switch is in the binary, and no crate of the workspace turns the feature on."""
    binary = wuwei_binary().read_bytes()
    assert b"__launcher" in binary
    assert [name for name in (*DEFENCES, "left_out") if "-" in name and name.encode() in binary] == []
    metadata = json.loads(run([tool("cargo"), "metadata", "--no-deps", "--format-version", "1"]).ok().output)
    packages = {package["name"]: package for package in metadata["packages"]}
    assert "default" not in packages["wuwei-sandbox"]["features"]
    for package in packages.values():
        enabled = [feature for dependency in package["dependencies"] for feature in dependency["features"]]
        declared = [feature for features in package["features"].values() for feature in features]
        assert not [feature for feature in enabled + declared if "defence-switches" in feature], package["name"]
    main = (REPOSITORY / "crates" / "wuwei" / "src" / "main.rs").read_text()
    assert "assert!(!wuwei_sandbox::HAS_DEFENCE_SWITCHES)" in main


def test_the_suite_is_as_large_as_promised() -> None:
    names = [attempt.name for attempt in ALL]
    assert len(names) == len(set(names)), sorted(name for name in names if names.count(name) > 1)
    assert sum(map(can_be_shown, ATTEMPTS)) >= ATTEMPTS_MIN
    assert {language for attempt in ALL for language in attempt.languages} == {"native", "Python", "Node.js"}


def test_every_defence_is_attacked_and_named_as_in_the_source() -> None:
    source = (SANDBOX_CRATE / "src" / "defence.rs").read_text()
    body = re.search(r"enum Defence \{(.*?)\n\}", source, re.DOTALL)
    assert body is not None
    variants = re.findall(r"^    ([A-Z]\w+),$", body[1], re.MULTILINE)
    names = {re.sub(r"(?<!^)(?=[A-Z])", "-", variant).lower() for variant in variants}
    assert names == set(DEFENCES)
    assert set(DEFENCES) == {defence for attempt in ALL for defence in attempt.defences}


def test_the_table_in_the_documentation_is_that_of_the_suite() -> None:
    table.check(REPOSITORY / "docs" / "security.md")
