"""What the handler prints, and the platform's lines around it."""

import re
from typing import Any

from conformance.behaviour import Behaviour
from conformance.subject import Subject
from harness.waiting import until


def printed(*lines: tuple[str, str]) -> Any:
    """The lines between START and END of a call that prints these."""

    def observe(subject: Subject) -> Any:
        return between(subject.invoke("print", [list(line) for line in lines]).log)

    return observe


def between(log: str) -> list[str]:
    """The function's own lines of a log tail."""
    found = re.search(r"START [^\n]*\n(.*?)^END ", log, re.DOTALL | re.MULTILINE)
    return found[1].splitlines() if found else [f"no START and END in: {log}"]


def platform_lines(subject: Subject) -> Any:
    """The platform's lines of a call, in order, with its id replaced."""
    result = subject.invoke("count")
    words = [line.split()[0] for line in result.log.replace(result.request_id, "<id>").splitlines()]
    return [word for word in words if word in ("START", "END", "REPORT")]


def report(subject: Subject) -> Any:
    """Whether the REPORT line has AWS's form."""
    line = next(line for line in subject.invoke("count").log.splitlines() if line.startswith("REPORT"))
    fields = r"REPORT RequestId: \S+\tDuration: [\d.]+ ms\tBilled Duration: \d+ ms\tMemory Size: 512 MB\t"
    return re.match(fields + r"Max Memory Used: \d+ MB", line) is not None


def init_output(subject: Subject) -> Any:
    """Whether output of the start comes before START of the first call."""
    subject.name("first", Environment={"Variables": {"FIRST": "1"}})
    subject.call("count", variant="first")

    def log() -> str:
        text = subject.server.wuwei("logs", subject.name("first")).ok().output
        return text if "REPORT" in text else ""

    text = until(log, "the log has the call's REPORT")
    return text.index("initialising") < text.index("START RequestId")


def report_of_the_first(subject: Subject) -> Any:
    """Which of two calls reports an init."""
    subject.name("second", Environment={"Variables": {"FIRST": "2"}})
    return ["Init Duration:" in subject.invoke("count", variant="second").log for _ in range(2)]


def tail(subject: Subject) -> Any:
    """The end of a log that is longer than its tail."""
    log = subject.invoke("print", [["out", "begin" + "." * 8000 + "end"]]).log
    return ["begin" in log, "end\n" in log, 3000 < len(log.encode()) <= 4096]


BOTH = [("out", "one"), ("err", "two"), ("out", "three"), ("err", "four")]

BEHAVIOURS = [
    Behaviour("stdout", printed(("out", "to stdout")), ["to stdout"]),
    Behaviour("stderr", printed(("err", "to stderr")), ["to stderr"]),
    Behaviour("both in the order of writing", printed(*BOTH), ["one", "two", "three", "four"]),
    Behaviour("nothing printed is nothing logged", lambda subject: between(subject.invoke("count").log), []),
    Behaviour("100 lines, none lost", lambda subject: len(printed(*[("out", "x")] * 100)(subject)), 100),
    Behaviour("START, END and REPORT, once each", platform_lines, ["START", "END", "REPORT"]),
    Behaviour("REPORT has AWS's form", report, True),
    Behaviour("output of the start comes before START", init_output, True),
    Behaviour("only the first call reports `Init Duration`", report_of_the_first, [True, False]),
    Behaviour("the tail is the last 4 KB", tail, [False, True, True]),
]
