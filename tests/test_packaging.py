"""What `packaging/` gives to a host: the unit is sound, and the server works with what the unit leaves it."""

import re
from collections.abc import Callable
from pathlib import Path

from harness.functions import ECHO, Functions
from harness.processes import Process
from harness.server import Server
from harness.tools import REPOSITORY, run, tool, wuwei_binary

UNIT = REPOSITORY / "packaging" / "systemd" / "wuwei.service"


def settings_of(unit: Path) -> list[tuple[str, str]]:
    """Its lines, `Name=value`."""
    return re.findall(r"^(\w+)=(.*)$", unit.read_text(), re.MULTILINE)


def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    here = tmp_path / UNIT.name
    here.write_text(UNIT.read_text().replace("/usr/local/bin/wuwei", str(wuwei_binary())))
    done = run([tool("systemd-analyze"), "verify", "--man=no", str(here)])
    assert (done.status, done.output + done.errors) == (0, ""), done


def test_the_server_works_with_the_capabilities_that_the_unit_leaves_it(
    new_server: Callable[..., Server], functions_of: Callable[[Server], Functions]
) -> None:
    settings = settings_of(UNIT)
    assert ("NoNewPrivileges", "yes") in settings and ("UMask", "0077") in settings
    names = [name for key, value in settings if key == "CapabilityBoundingSet" for name in value.split()]
    here = Process.of("self").capabilities("CapBnd")
    bounds = ",".join(["-all", *(f"+{name.removeprefix('CAP_').lower()}" for name in names if name in here)])
    shell = [tool("sh"), "-c", 'umask 077; exec "$@"', "sh"]
    made = new_server(prefix=(*shell, tool("setpriv"), f"--bounding-set={bounds}", "--no-new-privs"))
    # The second start finds its directory handed over.
    for _ in range(2):
        functions = functions_of(made.start())
        assert functions.call(functions.deploy_python(ECHO), "here") == "here"
        assert Process.of(made.pid).user != 0
        assert "functions have no network" not in made.stderr
        made.stop()


def test_the_profile_lets_the_binary_make_user_namespaces_and_restricts_nothing() -> None:
    profile = (REPOSITORY / "packaging" / "apparmor" / "wuwei").read_text()
    rules = [line.strip() for line in profile.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    head = next(line for line in rules if line.startswith("profile"))
    assert "bin/wuwei flags=(unconfined) {" in head
    assert rules[rules.index(head) + 1] == "userns,"
