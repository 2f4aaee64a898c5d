"""Control groups of arms."""

import subprocess

from comparison.accounting import Group


def test_what_a_measurement_leaves_running_is_ended_with_its_group() -> None:
    group = Group("test")
    try:
        # The shell's child outlives it, as a peer's server outlives a measuring program that was stopped.
        subprocess.run(group.entering(["/bin/sh", "-c", "sleep 60 & exit 0"]), check=True)
        assert len(group.pids()) == 1
        assert group.cpu_ns() > 0
        group.end_all()
        assert group.pids() == []
    finally:
        group.end_all()
        group.remove()
    assert not group.path.exists()
