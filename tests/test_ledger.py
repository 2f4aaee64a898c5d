"""The ledger: `wuwei cost` adds up to the REPORT lines, and survives whatever happens to the server."""

import csv
import io
import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from botocore.exceptions import ClientError

from harness.functions import ECHO, Functions, Result
from harness.metrics import metrics_of
from harness.server import Server
from harness.tools import plain_environment, run, wuwei_binary
from harness.waiting import until

FAILS = "def handler(event, context):\n    raise ValueError('on purpose')\n"
HANGS = "def handler(event, context):\n    while True: pass\n"


@dataclass(frozen=True)
class Report:
    """A REPORT line."""

    duration_ms: Decimal
    billed_ms: int
    memory_mb: int
    init_ms: Decimal | None

    @classmethod
    def of(cls, result: Result) -> "Report":
        """The report at the end of an invocation's log."""
        (line,) = [line for line in result.log.splitlines() if line.startswith("REPORT ")]
        found = dict(field.split(": ", 1) for field in line.split("\t")[1:] if ": " in field)
        init = found.get("Init Duration")
        return cls(
            Decimal(found["Duration"].removesuffix(" ms")),
            int(found["Billed Duration"].removesuffix(" ms")),
            int(found["Memory Size"].removesuffix(" MB")),
            Decimal(init.removesuffix(" ms")) if init else None,
        )


def cost(server: Server, *arguments: str) -> dict[str, Any]:
    found = server.wuwei_json("cost", *arguments)
    assert isinstance(found, dict)
    return found


def row_of(server: Server, name: str) -> dict[str, Any]:
    """What one function used."""
    (row,) = [row for row in cost(server)["rows"] if row["function"] == name]
    return row


def test_sums_are_exact_against_the_report_lines(server: Server, functions: Functions) -> None:
    cases = [
        (functions.deploy_python(ECHO), 5, 0),
        (functions.deploy_python(ECHO, MemorySize=1769, EphemeralStorage={"Size": 1024}), 3, 0),
        (functions.deploy_python(FAILS, MemorySize=300), 2, 2),
        (functions.deploy_python(HANGS, Timeout=1), 1, 1),
    ]
    for name, calls, errors in cases:
        reports = [Report.of(functions.invoke(name, LogType="Tail")) for _ in range(calls)]
        row = row_of(server, name)
        assert (row["requests"], row["errors"]) == (calls, errors)
        billed_ms = sum(report.billed_ms for report in reports)
        assert row["billed_ms"] == billed_ms
        mb_ms = sum(report.billed_ms * report.memory_mb for report in reports)
        assert row["mb_ms"] == mb_ms
        assert Decimal(row["gb_seconds"]) == Decimal(mb_ms) / (1024 * 1000)
        inits = [report.init_ms for report in reports if report.init_ms is not None]
        assert row["cold_starts"] == len(inits) == 1
        # A REPORT line shows hundredths of a millisecond, the ledger keeps microseconds.
        rounding = Decimal("0.005") * calls
        assert abs(Decimal(row["duration_ms"]) - sum(report.duration_ms for report in reports)) <= rounding
        assert abs(Decimal(row["init_ms"]) - sum(inits)) <= rounding
        price = Decimal(row["aws_usd"]["duration"])
        arm = functions.client.get_function(FunctionName=name)["Configuration"]["Architectures"] == ["arm64"]
        rate = Decimal("0.0000133334" if arm else "0.0000166667")
        assert abs(price - Decimal(row["gb_seconds"]) * rate) < Decimal("0.000000000001")
        assert Decimal(row["aws_usd"]["requests"]) == calls * Decimal("0.0000002")
        has_storage = Decimal(row["aws_usd"]["storage"]) > 0
        assert has_storage == (name == cases[1][0])
        assert row["max_memory_bytes"] > 0


def test_cpu_time_is_what_was_really_used(server: Server, functions: Functions) -> None:
    code = """
import time
def handler(event, context):
    end = time.process_time() + event['burn']
    while time.process_time() < end: pass
    time.sleep(event['sleep'])
"""
    name = functions.deploy_python(code, Timeout=30, MemorySize=1769)
    functions.call(name, {"burn": 0, "sleep": 0})
    before = Decimal(row_of(server, name)["cpu_ms"])
    functions.call(name, {"burn": 0, "sleep": 0.5})
    slept = Decimal(row_of(server, name)["cpu_ms"]) - before
    functions.call(name, {"burn": 0.4, "sleep": 0})
    burned = Decimal(row_of(server, name)["cpu_ms"]) - before - slept
    assert slept < 200 and 390 <= burned < 800


def test_days_add_up_to_the_functions(fresh_server: Server, functions_of: Callable[[Server], Functions]) -> None:
    functions = functions_of(fresh_server)
    names = [functions.deploy_python(ECHO) for _ in range(2)]
    assert cost(fresh_server)["rows"] == []
    for name in [*names, names[0]]:
        functions.invoke(name)
    by_function, by_day = cost(fresh_server, "--by", "function"), cost(fresh_server, "--by", "day")
    assert sorted(row["function"] for row in by_function["rows"]) == sorted(names)
    assert by_function["total"] == by_day["total"] and by_day["total"]["requests"] == 3
    today = datetime.now(timezone.utc).date()
    # Around midnight there may be two days.
    assert {row["day"] for row in by_day["rows"]} <= {str(today), str(today - timedelta(days=1))}
    assert sum(row["requests"] for row in by_day["rows"]) == 3
    assert cost(fresh_server, "--from", "2020-01-01", "--to", "2020-01-31")["rows"] == []
    assert cost(fresh_server, "--from", "2020-01-01")["total"] == by_day["total"]


def test_the_ledger_survives_restarts_and_deletions(
    fresh_server: Server, functions_of: Callable[[Server], Functions]
) -> None:
    functions = functions_of(fresh_server)
    name = functions.deploy_python(ECHO)
    functions.invoke(name)
    before = row_of(fresh_server, name)
    fresh_server.stop()
    fresh_server.start()
    assert row_of(fresh_server, name) == before
    functions = functions_of(fresh_server)
    functions.invoke(name)
    functions.client.delete_function(FunctionName=name)
    assert row_of(fresh_server, name)["requests"] == 2


def test_entries_older_than_a_second_survive_kill_9(
    fresh_server: Server, functions_of: Callable[[Server], Functions]
) -> None:
    functions = functions_of(fresh_server)
    name = functions.deploy_python(ECHO)
    billed = [Report.of(functions.invoke(name, LogType="Tail")).billed_ms for _ in range(20)]
    deadline = time.monotonic() + 1
    until(lambda: time.monotonic() >= deadline, "a second has passed", 2)
    fresh_server.kill()
    fresh_server.start()
    row = row_of(fresh_server, name)
    assert (row["requests"], row["billed_ms"]) == (20, sum(billed))


def test_torn_ends_of_the_ledger_are_tolerated(
    fresh_server: Server, functions_of: Callable[[Server], Functions]
) -> None:
    functions = functions_of(fresh_server)
    name = functions.deploy_python(ECHO)
    for _ in range(3):
        functions.invoke(name)
    fresh_server.stop()
    (segment,) = (fresh_server.data_dir / "ledger").glob("*.ledger")
    segment.write_bytes(segment.read_bytes()[:-1])
    fresh_server.start()
    assert row_of(fresh_server, name)["requests"] == 2
    functions_of(fresh_server).invoke(name)
    assert row_of(fresh_server, name)["requests"] == 3


def test_the_table_and_the_csv_show_the_same_numbers(server: Server, functions: Functions) -> None:
    name = functions.deploy_python(ECHO)
    functions.invoke(name)
    row = row_of(server, name)
    (line,) = [line for line in server.wuwei("cost").ok().output.splitlines() if line.startswith(name + " ")]
    assert line.split()[1:4] == ["1", "0", "1"]
    (found,) = [
        found
        for found in csv.DictReader(io.StringIO(server.wuwei("cost", "--csv").ok().output))
        if found["function"] == name
    ]
    assert found["billed_ms"] == str(row["billed_ms"])
    assert (found["gb_seconds"], found["aws_usd"]) == (row["gb_seconds"], row["aws_usd"]["total"])


def test_the_price_names_its_source_and_date(server: Server) -> None:
    prices = cost(server)["prices"]
    assert prices["source"].startswith("https://aws.amazon.com/lambda/pricing/")
    assert re.fullmatch(r"\d{4}-\d\d", prices["date"])
    assert (prices["request"], prices["gb_second_x86_64"]) == ("0.0000002", "0.0000166667")
    assert (prices["gb_second_arm64"], prices["storage_gb_second"]) == ("0.0000133334", "0.0000000309")


def test_days_that_are_none_are_refused(server: Server) -> None:
    for arguments in (("--from", "yesterday"), ("--to", "2026-13-01"), ("--from", "2026-02-01", "--to", "2026-01-01")):
        found = server.wuwei("cost", *arguments)
        assert found.status != 0 and ("must be a day" in found.errors or "must not be after" in found.errors), found


def test_a_key_sees_the_cost_of_its_own_functions_only(server: Server, functions: Functions) -> None:
    mine, other = functions.deploy_python(ECHO), functions.deploy_python(ECHO)
    for name in (mine, other):
        functions.invoke(name)
    key = server.wuwei_json("key", "create", "--role", "viewer", "--functions", mine)
    assert isinstance(key, dict), key
    rows = rows_seen_by(server, key)
    assert [row["function"] for row in rows["rows"]] == [mine] and rows["total"]["requests"] == 1


def rows_seen_by(server: Server, key: dict[str, Any]) -> dict[str, Any]:
    """What `wuwei cost` answers to another key."""
    names = {name.lower().replace("_", ""): value for name, value in key.items()}
    environment = plain_environment() | {
        "AWS_ENDPOINT_URL": server.endpoint,
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": names["accesskeyid"],
        "AWS_SECRET_ACCESS_KEY": names["secretaccesskey"],
    }
    return json.loads(run([str(wuwei_binary()), "cost", "--json"], environment).ok().output)


def test_the_metrics_count_each_function(server: Server, functions: Functions) -> None:
    name = functions.deploy_python(FAILS)
    reports = [Report.of(functions.invoke(name, LogType="Tail")) for _ in range(3)]
    found = metrics_of(server)

    def of(what: str) -> float:
        return found[f'wuwei_function_{what}_total{{account="000000000000",function="{name}"}}']

    assert (of("invocations"), of("failed_invocations"), of("cold_starts"), of("throttles")) == (3, 3, 1, 0)
    assert of("billed_seconds") == pytest.approx(sum(report.billed_ms for report in reports) / 1000)
    duration = float(sum(report.duration_ms for report in reports)) / 1000
    assert of("duration_seconds") == pytest.approx(duration, abs=0.00002)
    assert of("cpu_seconds") > 0 and of("lost_log_lines") == 0
    assert found["wuwei_ledger_entries_total"] >= 0 and found["wuwei_lost_ledger_entries_total"] == 0


def test_throttled_calls_are_counted_for_their_function_and_not_billed(
    new_server: Callable[..., Server], functions_of: Callable[[Server], Functions]
) -> None:
    server = new_server(config="account_concurrency = 1\n").start()
    functions = functions_of(server)
    code = "import time\ndef handler(event, context):\n    time.sleep(event)\n"
    name = functions.deploy_python(code, Timeout=20)
    label = f'{{account="000000000000",function="{name}"}}'
    slow = threading.Thread(target=functions.invoke, args=(name, 3))
    slow.start()
    try:
        until(lambda: metrics_of(server)['wuwei_instances{state="busy"}'] == 1, "the slow call runs")
        with pytest.raises(ClientError) as caught:
            functions.invoke(name, 0)
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 429
        assert metrics_of(server)[f"wuwei_function_throttles_total{label}"] == 1
    finally:
        slow.join()
    assert row_of(server, name)["requests"] == 1
