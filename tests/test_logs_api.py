"""CloudWatch Logs: the functions' stored logs through boto3 and the `aws` command."""

import json
import re
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from botocore.client import BaseClient

from harness.functions import Functions, boto_client, create_key, unique_name
from harness.refusals import Refusal, refusal
from harness.server import ACCOUNT, REGION, Server
from harness.tools import aws_program, debian_aws_program, plain_environment, run
from harness.waiting import until

SAY = """
def handler(event, context):
    for line in event:
        print(line)
"""
NO_GROUP = Refusal(400, "ResourceNotFoundException", "The specified log group does not exist.")
NO_STREAM = Refusal(400, "ResourceNotFoundException", "The specified log stream does not exist.")


@pytest.fixture(scope="module")
def logs(server: Server) -> BaseClient:
    """boto3's client of CloudWatch Logs; every answer is checked against the service model."""
    return boto_client(server, "logs")


def group_of(name: str) -> str:
    return f"/aws/lambda/{name}"


def said(functions: Functions, lines: list[Any], name: str | None = None) -> str:
    """A function that has said these lines."""
    name = name or functions.deploy_python(SAY)
    functions.call(name, lines)
    return name


def all_events(logs: BaseClient, **parameters: Any) -> list[dict[str, Any]]:
    """All pages of FilterLogEvents."""
    pages = logs.get_paginator("filter_log_events").paginate(**parameters)
    return [event for page in pages for event in page["events"]]


def messages(logs: BaseClient, group: str, **parameters: Any) -> list[str]:
    return [event["message"].rstrip("\n") for event in all_events(logs, logGroupName=group, **parameters)]


def test_a_functions_log_is_a_group_with_streams_and_events(logs: BaseClient, functions: Functions) -> None:
    name = said(functions, ["one", "two"])
    group = group_of(name)
    (shown,) = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    arn = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{group}"
    assert (shown["logGroupName"], shown["arn"], shown["logGroupArn"]) == (group, f"{arn}:*", arn)
    assert shown["storedBytes"] > 100 and "retentionInDays" not in shown
    (stream,) = logs.describe_log_streams(logGroupName=group)["logStreams"]
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}", stream["logStreamName"])
    assert stream["firstEventTimestamp"] <= stream["lastEventTimestamp"]
    events = logs.get_log_events(logGroupName=group, logStreamName=stream["logStreamName"])["events"]
    kinds = [event["message"].split()[0] for event in events]
    assert kinds == ["INIT_START", "START", "one", "two", "END", "REPORT"]
    assert all(event["message"].endswith("\n") for event in events)
    assert messages(logs, group)[2:4] == ["one", "two"]


def test_events_are_paged_in_both_directions_until_the_token_repeats(logs: BaseClient, functions: Functions) -> None:
    lines = [f"line {number}" for number in range(25)]
    group = group_of(said(functions, lines))
    (stream,) = logs.describe_log_streams(logGroupName=group)["logStreams"]
    where = {"logGroupName": group, "logStreamName": stream["logStreamName"], "limit": 7}

    def walk(direction: str, *, head: bool) -> list[list[str]]:
        pages = []
        parameters: dict[str, Any] = {"startFromHead": head}
        while True:
            page = logs.get_log_events(**where, **parameters)
            pages.append([event["message"].rstrip("\n") for event in page["events"]])
            if page[direction] == parameters.get("nextToken"):
                return pages
            parameters["nextToken"] = page[direction]

    forward = walk("nextForwardToken", head=True)
    assert [line for page in forward for line in page if line.startswith("line")] == lines
    backward = walk("nextBackwardToken", head=False)
    assert [line for page in reversed(backward) for line in page if line.startswith("line")] == lines
    assert backward[0][-1].startswith("REPORT"), "without a token and startFromHead, the newest come first"
    page = logs.get_log_events(**where, startFromHead=True)
    later = logs.get_log_events(**where, nextToken=page["nextForwardToken"])
    earlier = logs.get_log_events(**where, nextToken=later["nextBackwardToken"])
    assert earlier["events"] == page["events"], "the way back leads where one came from"


def test_filtered_events_are_paged_without_loss_and_have_ids_of_their_own(
    logs: BaseClient, functions: Functions
) -> None:
    group = group_of(said(functions, [f"wanted {number}" if number % 2 else "other" for number in range(40)]))
    found = all_events(logs, logGroupName=group, filterPattern="wanted", PaginationConfig={"PageSize": 3})
    assert [event["message"] for event in found] == [f"wanted {number}\n" for number in range(1, 40, 2)]
    assert len({event["eventId"] for event in found}) == 20
    assert found[0]["eventId"] == all_events(logs, logGroupName=group, filterPattern="wanted")[0]["eventId"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("ERROR", ["ERROR one", "ERROR WARN two"]),
        ("ERROR WARN", ["ERROR WARN two"]),
        ("ERROR -WARN", ["ERROR one"]),
        ("?one ?two", ["ERROR one", "ERROR WARN two"]),
        ('"WARN two"', ["ERROR WARN two"]),
        ("%ne$%", ["ERROR one"]),
        ('{ $.level = "error" }', ['{"level": "error", "n": 7}']),
        ("{ $.n > 5 && $.level NOT EXISTS }", ['{"n": 8}']),
        ("[word, number = 4*]", ["status 404"]),
    ],
)
def test_filter_patterns_choose_events(
    logs: BaseClient, functions: Functions, pattern: str, expected: list[str]
) -> None:
    lines = ["ERROR one", "ERROR WARN two", '{"level": "error", "n": 7}', '{"n": 8}', "status 404", "status 500"]
    group = group_of(said(functions, lines))
    assert messages(logs, group, filterPattern=pattern) == expected


def test_times_and_streams_bound_what_is_found(logs: BaseClient, functions: Functions) -> None:
    name = said(functions, ["first"])
    group = group_of(name)
    (first,) = all_events(logs, logGroupName=group, filterPattern="first")
    functions.client.update_function_configuration(FunctionName=name, Timeout=4)
    functions.wait_updated(name)
    said(functions, ["second"], name)
    (second,) = all_events(logs, logGroupName=group, filterPattern="second")
    assert second["logStreamName"] != first["logStreamName"]
    words = {"logGroupName": group, "filterPattern": "?first ?second"}
    assert [event["message"] for event in all_events(logs, **words)] == ["first\n", "second\n"]
    since = all_events(logs, **words, startTime=first["timestamp"] + 1)
    assert [event["message"] for event in since] == ["second\n"]
    until_first = all_events(logs, **words, endTime=first["timestamp"])
    assert [event["message"] for event in until_first] == ["first\n"], "the end is included"
    one = all_events(logs, **words, logStreamNames=[second["logStreamName"]])
    assert [event["message"] for event in one] == ["second\n"]
    prefixed = all_events(logs, **words, logStreamNamePrefix=first["logStreamName"])
    assert [event["message"] for event in prefixed] == ["first\n"]
    stream = {"logGroupName": group, "logStreamName": first["logStreamName"]}
    events = logs.get_log_events(**stream, startTime=first["timestamp"], endTime=first["timestamp"])["events"]
    assert events == [], "of GetLogEvents the end is not included"
    ordered = logs.describe_log_streams(logGroupName=group, orderBy="LastEventTime", descending=True, limit=1)
    assert [entry["logStreamName"] for entry in ordered["logStreams"]] == [second["logStreamName"]]
    rest = logs.describe_log_streams(
        logGroupName=group, orderBy="LastEventTime", descending=True, nextToken=ordered["nextToken"]
    )
    assert [entry["logStreamName"] for entry in rest["logStreams"]] == [first["logStreamName"]]


def test_functions_can_share_a_group(logs: BaseClient, functions: Functions) -> None:
    group = f"/shared/{unique_name('group')}"
    names = [functions.deploy_python(SAY, LoggingConfig={"LogFormat": "Text", "LogGroup": group}) for _ in range(2)]
    for number in range(6):
        said(functions, [f"wanted {number}"], names[number % 2])
    found = messages(logs, group, filterPattern="wanted", PaginationConfig={"PageSize": 2})
    assert found == [f"wanted {number}" for number in range(6)]
    assert len(logs.describe_log_streams(logGroupName=group)["logStreams"]) == 2
    by_arn = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{group}"
    assert len(all_events(logs, logGroupIdentifier=by_arn, filterPattern="wanted")) == 6


def test_a_group_of_many_functions_is_read_to_the_end(logs: BaseClient, functions: Functions) -> None:
    group = f"/shared/{unique_name('many')}"
    names = [functions.deploy_python(SAY, LoggingConfig={"LogFormat": "Text", "LogGroup": group}) for _ in range(18)]
    for name in names:
        said(functions, [f"wanted {name}"], name)
    found = messages(logs, group, filterPattern="wanted", PaginationConfig={"PageSize": 3})
    assert sorted(found) == sorted(f"wanted {name}" for name in names)


def test_another_teams_function_in_a_group_hides_nothing_of_it(server: Server, functions: Functions) -> None:
    stem = unique_name("team-a")
    mine = functions.deploy_python(SAY, FunctionName=stem)
    said(functions, ["mine"], mine)
    other = functions.deploy_python(SAY, LoggingConfig={"LogFormat": "Text", "LogGroup": group_of(mine)})
    said(functions, ["theirs"], other)
    team = boto_client(server, "logs", create_key(server, "--functions", f"{stem}*"))
    assert messages(team, group_of(mine), filterPattern="?mine ?theirs") == ["mine"]
    assert group_of(mine) in [group["logGroupName"] for group in team.describe_log_groups()["logGroups"]]
    assert refusal(team.delete_log_group, logGroupName=group_of(mine)).error == "AccessDeniedException"


def test_groups_are_made_tagged_listed_and_deleted(logs: BaseClient) -> None:
    stem = f"/made/{unique_name('group')}"
    names = [f"{stem}/{number}" for number in range(5)]
    for name in names:
        logs.create_log_group(logGroupName=name, tags={"team": "a"})
    exists = Refusal(400, "ResourceAlreadyExistsException", "The specified log group already exists")
    assert refusal(logs.create_log_group, logGroupName=names[0]) == exists
    pages = logs.get_paginator("describe_log_groups").paginate(
        logGroupNamePrefix=stem, PaginationConfig={"PageSize": 2}
    )
    assert [group["logGroupName"] for page in pages for group in page["logGroups"]] == names
    found = logs.describe_log_groups(logGroupNamePattern=f"{stem[6:].upper()}/3")["logGroups"]
    assert [group["logGroupName"] for group in found] == [names[3]]
    arn = found[0]["logGroupArn"]
    assert logs.list_tags_for_resource(resourceArn=arn)["tags"] == {"team": "a"}
    logs.tag_resource(resourceArn=arn, tags={"more": "b"})
    logs.untag_resource(resourceArn=arn, tagKeys=["team"])
    assert logs.list_tags_for_resource(resourceArn=arn)["tags"] == {"more": "b"}
    for name in names:
        logs.delete_log_group(logGroupName=name)
    assert logs.describe_log_groups(logGroupNamePrefix=stem)["logGroups"] == []
    assert refusal(logs.delete_log_group, logGroupName=names[0]) == NO_GROUP


def test_deleting_a_group_or_a_stream_removes_the_events(logs: BaseClient, functions: Functions) -> None:
    name = said(functions, ["first"])
    group = group_of(name)
    functions.client.update_function_configuration(FunctionName=name, Timeout=4)
    functions.wait_updated(name)
    said(functions, ["second"], name)
    (first,) = all_events(logs, logGroupName=group, filterPattern="first")
    logs.delete_log_stream(logGroupName=group, logStreamName=first["logStreamName"])
    assert messages(logs, group, filterPattern="?first ?second") == ["second"]
    where = {"logGroupName": group, "logStreamName": first["logStreamName"]}
    assert refusal(logs.delete_log_stream, **where) == NO_STREAM
    assert refusal(logs.get_log_events, **where) == NO_STREAM
    logs.delete_log_group(logGroupName=group)
    assert refusal(logs.filter_log_events, logGroupName=group) == NO_GROUP
    said(functions, ["third"], name)
    assert messages(logs, group, filterPattern="?second ?third") == ["third"], "the next event makes the group anew"


def test_retention_is_kept_to_at_once_and_after_a_restart(
    new_server: Callable[..., Server], functions_of: Callable[[Server], Functions]
) -> None:
    server = new_server().start()
    functions = functions_of(server)
    name = said(functions, ["today"])
    group = group_of(name)
    logs = boto_client(server, "logs")
    (directory,) = (server.data_dir / "logs").glob(f"*/*/{name}")

    def plant(days: int) -> Path:
        then = time.time() - days * 86_400
        path = directory / time.strftime("%Y-%m-%d.jsonl", time.gmtime(then))
        event = {"time_ms": int(then * 1000), "stream": "planted", "level": "function", "message": f"planted {days}"}
        path.write_text(json.dumps(event) + "\n")
        return path

    two, ten, twenty = plant(2), plant(10), plant(20)
    assert messages(logs, group, filterPattern="planted") == ["planted 20", "planted 10", "planted 2"]
    logs.put_retention_policy(logGroupName=group, retentionInDays=30)
    assert twenty.exists(), "longer than without a policy"
    server.stop()
    server.start()
    logs = boto_client(server, "logs")
    assert twenty.exists(), "also after a restart"
    assert logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"][0]["retentionInDays"] == 30
    logs.put_retention_policy(logGroupName=group, retentionInDays=3)
    assert [two.exists(), ten.exists(), twenty.exists()] == [True, False, False]
    logs.put_retention_policy(logGroupName=group, retentionInDays=1)
    assert not two.exists() and messages(logs, group, filterPattern="today") == ["today"]
    logs.delete_retention_policy(logGroupName=group)
    assert "retentionInDays" not in logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"][0]


def test_calls_that_aws_refuses_are_refused_in_its_words(logs: BaseClient, functions: Functions) -> None:
    group = group_of(said(functions, ["x"]))

    def invalid(action: Callable[..., object], message: str, **parameters: Any) -> None:
        assert refusal(action, **parameters) == Refusal(400, "InvalidParameterException", message)

    assert refusal(logs.filter_log_events, logGroupName="/none") == NO_GROUP
    assert refusal(logs.describe_log_streams, logGroupName="/none") == NO_GROUP
    assert refusal(logs.put_retention_policy, logGroupName="/none", retentionInDays=1) == NO_GROUP
    assert refusal(logs.get_log_events, logGroupName=group, logStreamName="none") == NO_STREAM
    invalid(logs.filter_log_events, "The specified nextToken is invalid.", logGroupName=group, nextToken="%")
    invalid(
        logs.create_log_group,
        "1 validation error detected: Value 'a b' at 'logGroupName' failed to satisfy constraint: Member must satisfy "
        r"regular expression pattern: [\.\-_/#A-Za-z0-9]+",
        logGroupName="a b",
    )
    invalid(
        logs.filter_log_events,
        "1 validation error detected: Value '10001' at 'limit' failed to satisfy constraint: Member must have value "
        "less than or equal to 10000",
        logGroupName=group,
        limit=10_001,
    )
    invalid(
        logs.describe_log_streams,
        "Cannot order by LastEventTime with a logStreamNamePrefix.",
        logGroupName=group,
        orderBy="LastEventTime",
        logStreamNamePrefix="x",
    )
    wrong = refusal(logs.put_retention_policy, logGroupName=group, retentionInDays=2)
    assert wrong.error == "InvalidParameterException" and "[1, 3, 5, 7, 14," in wrong.message
    wrong = refusal(logs.filter_log_events, logGroupName=group, filterPattern="{ $.a }")
    assert wrong.error == "InvalidParameterException" and wrong.message.startswith("Invalid filter pattern")
    missing = refusal(logs.start_query, logGroupName=group, startTime=0, endTime=1, queryString="fields @message")
    assert (missing.status, missing.error) == (501, "NotImplemented") and "StartQuery" in missing.message


def test_a_key_sees_the_logs_of_its_functions_only(server: Server, functions: Functions) -> None:
    mine = functions.deploy_python(SAY, FunctionName=unique_name("team-logs"))
    said(functions, ["mine"], mine)
    other = said(functions, ["other"])
    viewer = boto_client(server, "logs", create_key(server, "--role", "viewer", "--functions", "team-logs*"))
    assert messages(viewer, group_of(mine), filterPattern="mine") == ["mine"]
    denied = refusal(viewer.filter_log_events, logGroupName=group_of(other))
    assert (denied.status, denied.error) == (400, "AccessDeniedException")
    assert f"is not authorized to perform: logs:FilterLogEvents on resource: arn:aws:logs:{REGION}" in denied.message
    shown = [group["logGroupName"] for group in viewer.describe_log_groups()["logGroups"]]
    assert group_of(mine) in shown and group_of(other) not in shown
    denied = refusal(viewer.delete_log_group, logGroupName=group_of(mine))
    assert denied.error == "AccessDeniedException"
    assert messages(viewer, group_of(mine), filterPattern="mine") == ["mine"]


def test_aws_logs_tail_follows_a_function(server: Server, functions: Functions, tmp_path: Path) -> None:
    name = said(functions, ["before"])
    environment = plain_environment() | server.environment() | {"HOME": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    output = tmp_path / "output"
    # Before 2.13 the command does not read AWS_ENDPOINT_URL.
    command = [debian_aws_program(), "--endpoint-url", server.endpoint, "logs", "tail", group_of(name)]
    command += ["--follow", "--format", "short"]
    with output.open("wb") as stream:
        tail = subprocess.Popen(command, env=environment, stdout=stream, stderr=subprocess.STDOUT)
    try:
        until(lambda: "before" in output.read_text(), "the past is shown", 60)
        said(functions, ["after"], name)
        until(lambda: "after" in output.read_text(), "what comes is shown", 60)
    finally:
        tail.terminate()
        with suppress(subprocess.TimeoutExpired):
            tail.wait(10)
    text = output.read_text()
    assert text.count("before") == 1 and text.count("after") == 1, text
    assert re.search(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d before$", text, re.MULTILINE), text


def test_the_aws_command_of_this_suite_reads_events(server: Server, functions: Functions, tmp_path: Path) -> None:
    name = said(functions, ["through the command"])
    environment = plain_environment() | server.environment() | {"HOME": str(tmp_path), "AWS_PAGER": ""}
    command = [aws_program(), "logs", "filter-log-events", "--log-group-name", group_of(name), "--output", "json"]
    found = json.loads(run([*command, "--filter-pattern", "through"], environment).ok().output)
    assert [event["message"] for event in found["events"]] == ["through the command\n"]
