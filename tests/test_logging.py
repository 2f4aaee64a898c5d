"""LoggingConfig: form, levels and group of a function's log, and the bound on how fast it may be written."""

import json
import re
from typing import Any

import pytest
from botocore.exceptions import ClientError

from harness.functions import ECHO, Functions
from harness.metrics import metrics_of
from harness.server import Server
from harness.waiting import until

STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
LEVELS = """
import json
def handler(event, context):
    for level in ('trace', 'DEBUG', 'Info', 'warn', 'ERROR', 'FATAL'):
        print(json.dumps({'level': level, 'timestamp': '2026-11-20T08:00:00Z', 'said': level.lower()}))
    print('plain text')
    print(json.dumps({'said': 'no level'}))
"""


def logging_of(functions: Functions, name: str, **parameters: str) -> dict[str, str]:
    return functions.client.get_function_configuration(FunctionName=name, **parameters)["LoggingConfig"]


def tail_of(functions: Functions, name: str, event: Any = None) -> list[str]:
    return functions.invoke(name, event, LogType="Tail").log.splitlines()


def events_of(lines: list[str]) -> list[dict[str, Any]]:
    """The platform's events among the lines of a log."""
    documents = [json.loads(line) for line in lines if line.startswith("{")]
    return [document for document in documents if str(document.get("type")).startswith("platform.")]


def json_config(**levels: str) -> dict[str, str]:
    return {"LogFormat": "JSON", **levels}


def test_the_configuration_is_shown_as_it_was_given(functions: Functions) -> None:
    name = functions.deploy_python(ECHO)
    assert logging_of(functions, name) == {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{name}"}
    given = json_config(ApplicationLogLevel="TRACE", SystemLogLevel="WARN") | {"LogGroup": "/my/group"}
    name = functions.deploy_python(ECHO, LoggingConfig=given)
    assert logging_of(functions, name) == given
    listed = functions.client.get_paginator("list_functions").paginate().search("Functions")
    assert [item["LoggingConfig"] for item in listed if item["FunctionName"] == name] == [given]


def test_json_has_info_as_default_and_an_update_changes_what_it_names(functions: Functions) -> None:
    name = functions.deploy_python(ECHO, LoggingConfig=json_config())
    group = {"LogGroup": f"/aws/lambda/{name}"}
    assert logging_of(functions, name) == json_config(ApplicationLogLevel="INFO", SystemLogLevel="INFO") | group
    functions.client.update_function_configuration(FunctionName=name, LoggingConfig={"ApplicationLogLevel": "ERROR"})
    functions.wait_updated(name)
    assert logging_of(functions, name) == json_config(ApplicationLogLevel="ERROR", SystemLogLevel="INFO") | group
    version = functions.client.publish_version(FunctionName=name)["Version"]
    functions.client.update_function_configuration(FunctionName=name, LoggingConfig={"LogFormat": "Text"})
    functions.wait_updated(name)
    assert logging_of(functions, name) == {"LogFormat": "Text"} | group
    assert logging_of(functions, name, Qualifier=version)["ApplicationLogLevel"] == "ERROR"


def test_levels_without_json_are_refused_in_awss_words(functions: Functions) -> None:
    name = functions.deploy_python(ECHO)
    for config in ({"SystemLogLevel": "INFO"}, {"LogFormat": "Text", "ApplicationLogLevel": "INFO"}):
        with pytest.raises(ClientError) as caught:
            functions.client.update_function_configuration(FunctionName=name, LoggingConfig=config)
        assert caught.value.response["Error"]["Code"] == "InvalidParameterValueException"
        assert caught.value.response["Error"]["Message"] == (
            'LogLevel is not supported when LogFormat is set to "Text". '
            'Remove LogLevel from your request or change the LogFormat to "Json" and try again.'
        )


def test_unknown_formats_levels_and_groups_are_refused(functions: Functions) -> None:
    name = functions.deploy_python(ECHO)
    for config in ({"LogFormat": "XML"}, json_config(SystemLogLevel="ERROR"), {"LogGroup": "with space"}):
        with pytest.raises(ClientError) as caught:
            functions.client.update_function_configuration(FunctionName=name, LoggingConfig=config)
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
        assert "failed to satisfy constraint" in caught.value.response["Error"]["Message"]


def test_runtimes_find_format_level_and_group_in_their_environment(functions: Functions) -> None:
    code = """
import os
def handler(event, context):
    names = ('AWS_LAMBDA_LOG_FORMAT', 'AWS_LAMBDA_LOG_LEVEL', 'AWS_LAMBDA_LOG_GROUP_NAME')
    return [os.environ.get(name) for name in names] + [context.log_group_name]
"""
    name = functions.deploy_python(code)
    assert functions.call(name) == ["Text", None, f"/aws/lambda/{name}", f"/aws/lambda/{name}"]
    config = json_config(ApplicationLogLevel="DEBUG") | {"LogGroup": "/my/group"}
    assert functions.run_python(code, LoggingConfig=config) == ["JSON", "DEBUG", "/my/group", "/my/group"]


def test_in_json_the_platform_writes_documents(server: Server, functions: Functions) -> None:
    name = functions.deploy_python("def handler(event, context):\n    print('said')\n", LoggingConfig=json_config())
    result = functions.invoke(name, LogType="Tail")
    start, report = events_of(result.log.splitlines())
    assert list(start) == ["time", "type", "record"] and re.fullmatch(STAMP, start["time"])
    assert start["type"] == "platform.start"
    assert start["record"] == {"requestId": result.request_id, "version": "$LATEST"}
    assert report["type"] == "platform.report"
    assert (report["record"]["requestId"], report["record"]["status"]) == (result.request_id, "success")
    metrics = report["record"]["metrics"]
    assert metrics["memorySizeMB"] == 128 and 1 <= metrics["maxMemoryUsedMB"] <= 128
    assert -0.02 <= metrics["billedDurationMs"] - metrics["durationMs"] - metrics["initDurationMs"] <= 1.02
    assert result.log.splitlines()[1:-1] == ["said"], "no line of the text format, and plain text as it is"
    found = until(lambda: records_with(server, name, "platform.report"), "the report is in the log")
    first = json.loads(found[0]["message"])
    assert first["type"] == "platform.initStart"
    assert (first["record"]["functionName"], first["record"]["phase"]) == (name, "init")


def records_with(server: Server, name: str, text: str) -> list[dict[str, Any]]:
    """The records of a function once one of them has the text."""
    output = server.wuwei("logs", name, "--json", "--limit", "100000").ok().output
    found = [json.loads(line) for line in output.splitlines()]
    return found if any(text in record["message"] for record in found) else []


def test_the_system_level_chooses_the_platforms_events(functions: Functions) -> None:
    def kinds(level: str) -> list[str]:
        name = functions.deploy_python(ECHO, LoggingConfig=json_config(SystemLogLevel=level))
        return [event["type"] for event in events_of(tail_of(functions, name))]

    assert kinds("DEBUG") == ["platform.start", "platform.runtimeDone", "platform.report"]
    assert kinds("INFO") == ["platform.start", "platform.report"]
    assert kinds("WARN") == []


def test_a_timeout_is_a_warning_with_its_status(functions: Functions) -> None:
    code = "def handler(event, context):\n    while True: pass\n"
    name = functions.deploy_python(code, Timeout=1, LoggingConfig=json_config(SystemLogLevel="WARN"))
    events = events_of(tail_of(functions, name))
    assert [(event["type"], event["record"]["status"]) for event in events] == [
        ("platform.runtimeDone", "timeout"),
        ("platform.report", "timeout"),
    ]


def test_the_application_level_chooses_the_functions_lines(functions: Functions) -> None:
    def said(level: str) -> list[str]:
        config = json_config(ApplicationLogLevel=level, SystemLogLevel="WARN")
        lines = tail_of(functions, functions.deploy_python(LEVELS, LoggingConfig=config))
        return [json.loads(line)["said"] if line.startswith("{") else line for line in lines]

    unlevelled = ["plain text", "no level"]
    assert said("TRACE") == ["trace", "debug", "info", "warn", "error", "fatal", *unlevelled]
    assert said("INFO") == ["info", "warn", "error", "fatal", *unlevelled]
    assert said("WARN") == ["warn", "error", "fatal"]
    assert said("FATAL") == ["fatal"]


def test_in_text_every_line_is_kept_as_it_is(functions: Functions) -> None:
    lines = tail_of(functions, functions.deploy_python(LEVELS))
    assert '{"level": "trace", "timestamp": "2026-11-20T08:00:00Z", "said": "trace"}' in lines
    assert '{"said": "no level"}' in lines


def test_a_document_without_a_time_gets_one(functions: Functions) -> None:
    lines = tail_of(functions, functions.deploy_python(LEVELS, LoggingConfig=json_config()))
    (line,) = [json.loads(line) for line in lines if "no level" in line]
    assert line["level"] == "INFO" and re.fullmatch(STAMP, line["timestamp"])


def test_python_logs_documents_with_the_request_id(functions: Functions) -> None:
    code = """
import logging
def handler(event, context):
    logging.debug('hidden')
    logging.info('two\\nlines')
    raise ValueError('the reason')
"""
    name = functions.deploy_python(code, LoggingConfig=json_config(SystemLogLevel="WARN"))
    result = functions.invoke(name, LogType="Tail")
    noted, error = (json.loads(line) for line in result.log.splitlines() if "platform." not in line)
    assert (noted["message"], noted["level"], noted["requestId"]) == ("two\nlines", "INFO", result.request_id)
    assert (error["level"], error["errorType"], error["errorMessage"]) == ("ERROR", "ValueError", "the reason")


def test_a_logged_message_of_several_lines_stays_one_event(server: Server, functions: Functions) -> None:
    code = """
import logging
def handler(event, context):
    logging.warning('one\\ntwo')
    print('three\\nfour')
"""
    name = functions.deploy_python(code)
    assert [line for line in tail_of(functions, name) if line in ("two", "three", "four")] == ["two", "three", "four"]
    found = until(lambda: records_with(server, name, "REPORT "), "the report is in the log")
    messages = [record["message"] for record in found if record["level"] == "function"]
    assert len(messages) == 3 and messages[0].endswith("\tone\ntwo") and messages[1:] == ["three", "four"]


def test_each_instance_has_a_stream_of_its_own_named_as_on_aws(functions: Functions) -> None:
    code = "def handler(event, context):\n    return context.log_stream_name\n"
    name = functions.deploy_python(code, Publish=True)
    stream = functions.call(f"{name}:1")
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[1\][0-9a-f]{32}", stream), stream
    other = functions.call(name)
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}", other) and other[-32:] != stream[-32:]


@pytest.mark.parametrize("form", ["Text", "JSON"])
def test_a_flood_is_cut_and_the_loss_is_told(server: Server, functions: Functions, form: str) -> None:
    code = """
import os
def handler(event, context):
    for part in range(60):
        block = b'x\\n' * 5000
        while block:
            block = block[os.write(1, block):]
"""
    name = functions.deploy_python(code, Timeout=120, MemorySize=512, LoggingConfig={"LogFormat": form})
    functions.invoke(name)
    lost = metrics_of(server)[f'wuwei_function_lost_log_lines_total{{account="000000000000",function="{name}"}}']
    assert 0 < lost < 300_000
    assert metrics_of(server)["wuwei_lost_log_lines_total"] >= lost
    report = "REPORT " if form == "Text" else "platform.report"
    text = until(lambda: stored(server, name, report), "the report is in the log")
    if form == "Text":
        told_lost = sum(int(number) for number in re.findall(r"wuwei: (\d+) lines lost here", text))
    else:
        told_lost = sum(int(number) for number in re.findall(r'droppedRecords\\":(\d+)', text))
    assert told_lost == lost
    kept = [json.loads(line)["message"] for line in text.splitlines()]
    others = [message for message in kept if message != "x"]
    assert len(kept) - len(others) == 300_000 - lost, "every line is in the log or told as lost"
    assert len(others) < 1_000, "the words about the loss do not flood the log themselves"


def stored(server: Server, name: str, report: str) -> str:
    """The whole log of a function as it is stored, once the report is in it."""
    files = sorted((server.data_dir / "logs").glob(f"*/*/{name}/*.jsonl"))
    text = "".join(path.read_text() for path in files)
    return text if report in text else ""
