"""The tables of attempts and defences in docs/security.md, generated."""

import os
from pathlib import Path

from attack.attempts import GROUPS
from attack.defences import DEFENCES

BEGIN = "<!-- attempts: generated, do not edit -->"
END = "<!-- /attempts -->"
REGENERATE = "WUWEI_WRITE_TABLE=1 .venv/bin/python -m pytest tests/test_attacks.py -q -k documentation"


def render() -> str:
    """Both tables."""
    attempts = [attempt for group in GROUPS.values() for attempt in group]
    programs = sum(len(attempt.languages) for attempt in attempts)
    lines = [f"{len(attempts)} attempts, {programs} programs.", ""]
    lines += ["| attempt | tried in | stopped by | how it goes wrong |", "|---|---|---|---|"]
    for group, rows in GROUPS.items():
        lines.append(f"| **{group}** | | | |")
        for attempt in rows:
            refusals = ", ".join(f"`{refusal}`" for refusal in attempt.refusal)
            languages = ", ".join(attempt.languages) + (f" ({attempt.architecture})" if attempt.architecture else "")
            lines.append(f"| {attempt.name} | {languages} | {'; '.join(attempt.defences)} | {refusals} |")
    lines += ["", "| defence | what it is |", "|---|---|"]
    lines += [f"| {name} | {what} |" for name, what in DEFENCES.items()]
    return "\n".join(lines)


def check(path: Path) -> None:
    """Compares the page with the suite; writes it when the environment asks for that."""
    page = path.read_text()
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    current = f"{before}{BEGIN}\n{render()}\n{END}{after}"
    if os.environ.get("WUWEI_WRITE_TABLE"):
        path.write_text(current)
        return
    assert page == current, f"{path.name} is not what the suite tries; write it anew with:\n  {REGENERATE}"
