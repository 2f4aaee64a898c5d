"""Writes the result of a fuzz run into its row of docs/fuzzing.md. Arguments: target, minutes, log of libFuzzer."""

import os
import platform
import re
import sys
from datetime import datetime, timezone
from pathlib import Path

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "fuzzing.md"
BEGIN, END = "<!-- results: generated, do not edit -->\n", "<!-- /results -->\n"
COLUMNS = ("target", "date", "minutes", "executions", "per second", "coverage", "corpus", "found")
HEAD = f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|\n"


def processor() -> str:
    """Name of the processor, as Linux knows it."""
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found.group(1) if found else platform.machine()


def row_of(target: str, minutes: str, log: str) -> str:
    """The row of a finished run."""
    executions = int(re.findall(r"stat::number_of_executed_units:\s+(\d+)", log)[-1])
    rate = int(re.findall(r"stat::average_exec_per_sec:\s+(\d+)", log)[-1])
    coverage, corpus = re.findall(r"cov: (\d+) ft: \d+ corp: (\d+)/", log)[-1]
    found = len(re.findall(r"^SUMMARY: ", log, re.MULTILINE))
    date = datetime.now(timezone.utc).date().isoformat()
    cells = (f"`{target}`", date, minutes, f"{executions:,}", f"{rate:,}", coverage, corpus, found or "nothing")
    return f"| {' | '.join(map(str, cells))} |"


def main() -> None:
    """Replaces the row of one target, and the line about the machine."""
    target, minutes, log = sys.argv[1:]
    before, rest = DOCUMENT.read_text().split(BEGIN)
    old, after = rest.split(END)
    rows = {match.group(1): match.group(0) for match in re.finditer(r"^\| `(\w+)`.*$", old, re.MULTILINE)}
    rows[target] = row_of(target, minutes, Path(log).read_text(errors="replace"))
    system = f"Linux {platform.release().split('-')[0]}"
    machine = f"{processor()}, {os.cpu_count()} processors (one used, at the lowest priority), {system}"
    DOCUMENT.write_text(f"{before}{BEGIN}{machine}.\n\n{HEAD}" + "\n".join(rows.values()) + f"\n{END}{after}")


if __name__ == "__main__":
    main()
