"""The table of behaviours and clients in docs/runtimes.md, generated from a run."""

import os
from collections.abc import Mapping
from pathlib import Path

from conformance.behaviour import Verdict
from conformance.behaviours import GROUPS
from conformance.clients import CLIENTS

BEGIN = "<!-- conformance: generated, do not edit -->"
END = "<!-- /conformance -->"
REGENERATE = "WUWEI_WRITE_TABLE=1 .venv/bin/python -m pytest tests/test_conformance.py -q"
NOT_OFFERED = "not offered by this build"


def render(verdicts: Mapping[str, Mapping[str, Verdict]]) -> str:
    """The table, its notes below it."""
    notes: list[str] = []
    count = sum(map(len, GROUPS.values()))
    lines = [f"{count} behaviours, each checked with each client.", ""]
    lines += ["| behaviour |" + "".join(f" {client.title} |" for client in CLIENTS)]
    lines += ["|---|" + "---|" * len(CLIENTS)]
    for group, behaviours in GROUPS.items():
        lines.append(f"| **{group}** |" + " |" * len(CLIENTS))
        for behaviour in behaviours:
            cells = (
                cell(verdicts[client.key][behaviour.name], notes) if client.key in verdicts else NOT_OFFERED
                for client in CLIENTS
            )
            lines.append(f"| {behaviour.name} | " + " | ".join(cells) + " |")
    lines += [""] + [f"{number}. {note}" for number, note in enumerate(notes, 1)]
    return "\n".join(lines)


def cell(verdict: Verdict, notes: list[str]) -> str:
    """A verdict with the number of its note; equal notes share one."""
    if verdict.note is None:
        return verdict.mark
    if verdict.note not in notes:
        notes.append(verdict.note)
    return f"{verdict.mark} ({notes.index(verdict.note) + 1})"


def check(path: Path, verdicts: Mapping[str, Mapping[str, Verdict]]) -> None:
    """Compares the table in a page with a run's; writes it when the environment asks for that."""
    page = path.read_text()
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    current = f"{before}{BEGIN}\n{render(verdicts)}\n{END}{after}"
    faults = [name for run in verdicts.values() for name, verdict in run.items() if verdict.fault]
    assert not faults, f"no table of a run with faults: {faults}"
    if os.environ.get("WUWEI_WRITE_TABLE"):
        path.write_text(current)
        return
    assert page == current, f"{path.name} is not what this run saw; write it anew with:\n  {REGENERATE}"
