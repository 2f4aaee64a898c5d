"""The functional part of the attack suite in the test machine: native and Python attempts, without pytest.

usage: attempts.py PROGRAM COMPILED, with the runner of attempts, and `attempt.c` compiled. Each attempt is tried under
the product's launcher, where it must go wrong, and without its defences, where it must succeed.
"""

import platform
import sys
import time
from pathlib import Path

from attack import ground as grounds
from attack.attempts import GROUPS
from attack.ground import Ground
from attack.runner import Runner

# The machine has no disk, and its kernel none of the youngest calls: nothing to see without the defence.
NOTHING_TO_SEE = ("read `/proc/diskstats`", "read `/proc/partitions`")
# What depends on the version of control groups comes first, should the time not be enough for all.
FIRST = ("Memory", "Counts and shares", "Survival", "Between calls")


def main(program: Path, compiled: Path) -> int:
    """0 when every attempt went as it must."""
    # There is no compiler in the machine.
    grounds.compiled = lambda _source: compiled.read_bytes()
    runner = Runner(program)
    ground = Ground(runner)
    refused, succeeded, failed = 0, 0, 0
    begin = time.monotonic()
    names = [*FIRST, *(name for name in GROUPS if name not in FIRST)]
    for attempt in [attempt for name in names for attempt in GROUPS[name]]:
        languages = [language for language in attempt.languages if language != "Node.js"]
        if attempt.architecture not in ("", platform.machine()) or not languages:
            continue
        try:
            for language in languages:
                outcome = ground.run(attempt, language)
                assert not outcome.succeeded, f"it succeeded: {outcome.how}"
                assert any(refusal in outcome.how for refusal in attempt.refusal), outcome.how
                refused += 1
            outcome = ground.run(attempt, languages[0], attempt.defences)
            absent = attempt.needs and not Path(attempt.needs).exists()
            if absent or attempt.name in NOTHING_TO_SEE or outcome.how == "ENOSYS":
                continue
            assert outcome.succeeded, f"without its defences: {outcome.how}"
            succeeded += 1
        except Exception as error:
            failed += 1
            print(f"FAILED {attempt.name}: {error}", flush=True)
    ground.close()
    runner.close()
    took = time.monotonic() - begin
    counts = f"{refused} refused, {succeeded} succeeded without their defences, {failed} failed"
    print(f"attempts: {counts}, in {took:.0f} s", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
