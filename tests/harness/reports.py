"""The platform's lines in a function's log, taken apart."""

import json
import re
from dataclasses import dataclass

from harness.server import Server
from harness.waiting import until

INIT_REPORT = re.compile(
    r"INIT_REPORT Init Duration: (\d+\.\d\d) ms\tPhase: (init|invoke)\tStatus: (timeout|error\tError Type: [\w.]+)"
)
REPORT = re.compile(
    r"REPORT RequestId: [0-9a-f-]{36}\tDuration: (\d+\.\d\d) ms\tBilled Duration: (\d+) ms\tMemory Size: \d+ MB\t"
    r"Max Memory Used: \d+ MB\t(?:Init Duration: (\d+\.\d\d) ms\t)?(|Status: timeout|Status: error\tError Type: [\w.]+)"
)


@dataclass(frozen=True)
class Report:
    """A REPORT line; durations in milliseconds."""

    duration: float
    billed: int
    init: float | None
    status: str


@dataclass(frozen=True)
class InitReport:
    """An INIT_REPORT line; the duration in milliseconds."""

    duration: float
    phase: str
    status: str


def report_of(text: str) -> Report:
    """The only REPORT line of a log (or the log's line itself)."""
    (line,) = [line for line in text.splitlines() if line.startswith("REPORT ")]
    found = REPORT.fullmatch(line)
    assert found, line
    duration, billed, init, status = found.groups()
    return Report(float(duration), int(billed), None if init is None else float(init), status)


def init_report_of(line: str) -> InitReport:
    """One INIT_REPORT line."""
    found = INIT_REPORT.fullmatch(line)
    assert found, line
    duration, phase, status = found.groups()
    return InitReport(float(duration), phase, status)


def messages(server: Server, name: str, calls: int) -> list[str]:
    """Every record of a function's log, once the REPORT of the last call is among them."""

    def all_there() -> list[str]:
        lines = server.wuwei("logs", name, "--json").ok().output.splitlines()
        found = [str(json.loads(line)["message"]) for line in lines]
        return found if len([text for text in found if text.startswith("REPORT ")]) >= calls else []

    return until(all_there, f"{calls} REPORT lines are in the log")
