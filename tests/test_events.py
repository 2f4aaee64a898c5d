"""Asynchronous invocations: accepted means on the disk; run at least once, or given up by AWS's rules."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from harness.functions import Functions, create_key
from harness.metrics import metrics_of
from harness.packages import zip_of
from harness.refusals import Refusal, invalid_parameter, refusal
from harness.server import ACCOUNT, REGION, Server
from harness.tools import run, tool
from harness.waiting import until
from harness.wire import signed

MakeServer = Callable[..., Server]
FunctionsOf = Callable[[Server], Functions]
LARGEST = 1_048_576
QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:queue"
PATIENCE = 60.0
SAY = "def handler(event, context):\n    print('ran', context.aws_request_id, event['n'])\n"
FAIL = SAY + "    raise RuntimeError('no')\n"
SLEEP = """
import time
def handler(event, context):
    print('began', event['n'], flush=True)
    time.sleep(event['s'])
"""


@pytest.fixture
def impatient(new_server: MakeServer) -> Server:
    """A server that tries again after a second."""
    return new_server(config="event_retry_delays_s = [1, 1]\n").start()


@pytest.fixture
def small_disk(new_server: MakeServer) -> Iterator[Server]:
    """A server whose disk holds one segment of events and one to spare."""
    server = new_server()
    directory = server.data_dir
    directory.mkdir()
    run([tool("mount"), "-t", "tmpfs", "-o", "size=170m,mode=0755", "tmpfs", str(directory)]).ok()
    try:
        yield server.start()
    finally:
        if server.is_running():
            server.stop()
        run([tool("umount"), "--lazy", str(directory)]).ok()


def send(functions: Functions, name: str, event: object = None, **parameters: object) -> str:
    """Sends an event, which must be accepted; returns its request id."""
    answer = functions.invoke(name, {"n": 0} if event is None else event, InvocationType="Event", **parameters)
    assert (answer.status, answer.payload, answer.function_error) == (202, b"", None)
    return answer.request_id


def lines(server: Server, name: str, word: str) -> list[str]:
    """Log lines of a function that begin with a word."""
    found = server.wuwei("logs", name, "--json", "--limit", "100000").ok().output.splitlines()
    texts = (str(json.loads(line)["message"]) for line in found)
    return [text for text in texts if text.startswith(word)]


def said(server: Server, name: str, count: int, word: str = "ran") -> list[str]:
    """Waits for so many of them, and for nothing to be under way any more."""

    def all_there() -> list[str]:
        found = lines(server, name, word)
        return found if len(found) >= count and not at(server, "waiting") + at(server, "running") else []

    return until(all_there, f"{count} attempts of {name} have ended", PATIENCE)


def at(server: Server, state: str) -> int:
    """Events in a state."""
    return int(metrics_of(server)[f'wuwei_events{{state="{state}"}}'])


def test_an_event_is_accepted_and_runs_with_its_request_id(fresh_server: Server, functions_of: FunctionsOf) -> None:
    functions = functions_of(fresh_server)
    name = functions.deploy_python(SAY)
    ids = [send(functions, name, {"n": number}) for number in range(5)]
    assert sorted(said(fresh_server, name, 5)) == sorted(f"ran {each} {number}" for number, each in enumerate(ids))


def test_a_function_that_fails_is_tried_three_times_with_one_request_id_and_then_given_up(
    impatient: Server, functions_of: FunctionsOf
) -> None:
    functions = functions_of(impatient)
    name = functions.deploy_python(FAIL)
    request_id = send(functions, name)
    assert said(impatient, name, 3) == [f"ran {request_id} 0"] * 3
    assert at(impatient, "dead") == 1


@pytest.mark.parametrize("retries", [0, 1])
def test_as_many_retries_as_are_configured_are_made(impatient: Server, functions_of: FunctionsOf, retries: int) -> None:
    functions = functions_of(impatient)
    name = functions.deploy_python(FAIL)
    functions.client.put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=retries)
    send(functions, name)
    until(lambda: at(impatient, "dead") == 1, "the event is given up", PATIENCE)
    assert len(said(impatient, name, 1 + retries)) == 1 + retries


def test_what_was_given_up_is_listed_shown_run_again_and_removed(impatient: Server, functions_of: FunctionsOf) -> None:
    functions = functions_of(impatient)
    name, other = functions.deploy_python(FAIL), functions.deploy_python(FAIL)
    for each in (name, other):
        functions.client.put_function_event_invoke_config(FunctionName=each, MaximumRetryAttempts=0)
    request_id = send(functions, name, {"n": 7})
    until(lambda: at(impatient, "dead") == 1, "the event is given up", PATIENCE)
    send(functions, other)
    until(lambda: at(impatient, "dead") == 2, "both are given up", PATIENCE)
    listed: Any = impatient.wuwei_json("dead-letters", "ls")
    assert [letter["function"] for letter in listed] == [name, other]
    (letter,) = cast(list[dict[str, Any]], impatient.wuwei_json("dead-letters", "ls", name))
    facts = {key: letter[key] for key in ("function", "condition", "attempts")}
    assert facts == {"function": name, "condition": "RetriesExhausted", "attempts": 1}
    shown: Any = impatient.wuwei_json("dead-letters", "show", str(letter["id"]))
    assert (shown["request_id"], json.loads(shown["payload"])) == (request_id, {"n": 7})
    new = zip_of({"app.py": SAY.replace("ran", "new")})
    functions.client.update_function_code(FunctionName=name, ZipFile=new)
    functions.wait_updated(name)
    impatient.wuwei("dead-letters", "redrive", str(letter["id"])).ok()
    assert said(impatient, name, 1, "new") == [f"new {request_id} 7"]
    impatient.wuwei("dead-letters", "rm", str(listed[1]["id"])).ok()
    assert (at(impatient, "dead"), impatient.wuwei_json("dead-letters", "ls")) == (0, [])
    gone = impatient.wuwei("dead-letters", "rm", str(letter["id"]))
    assert gone.status == 4 and "not found" in gone.errors, gone


def test_what_was_given_up_with_its_function_goes_to_the_new_one_when_it_is_redriven(
    fresh_server: Server, functions_of: FunctionsOf
) -> None:
    functions = functions_of(fresh_server)
    name = functions.deploy_python(SAY)
    functions.client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    request_id = send(functions, name, {"n": 3})
    until(lambda: at(fresh_server, "dead") == 1, "the event is given up", PATIENCE)
    (letter,) = cast(list[dict[str, Any]], fresh_server.wuwei_json("dead-letters", "ls"))
    functions.client.delete_function(FunctionName=name)
    refused = fresh_server.wuwei("dead-letters", "redrive", str(letter["id"]))
    assert refused.status == 4 and "Function not found" in refused.errors, refused
    functions.deploy_python(SAY, FunctionName=name)
    fresh_server.wuwei("dead-letters", "redrive", str(letter["id"])).ok()
    assert said(fresh_server, name, 1) == [f"ran {request_id} 3"]
    assert at(fresh_server, "dead") == 0


def test_dead_letters_are_for_those_who_may_do_such_things_with_the_function(
    fresh_server: Server, functions_of: FunctionsOf
) -> None:
    functions = functions_of(fresh_server)
    name = functions.deploy_python(SAY)
    functions.client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    send(functions, name)
    until(lambda: at(fresh_server, "dead") == 1, "the event is given up", PATIENCE)
    (letter,) = cast(list[dict[str, Any]], fresh_server.wuwei_json("dead-letters", "ls"))
    path = f"/_wuwei/v1/dead-letters/{letter['id']}"
    viewer, stranger = (
        create_key(fresh_server, "--role", "viewer"),
        create_key(fresh_server, "--role", "admin", "--functions", "other-*"),
    )
    for keys, seen in ((viewer, [name]), (stranger, [])):
        answer = signed(fresh_server, "GET", "/_wuwei/v1/dead-letters", keys=keys)
        listed = json.loads(answer.body)["dead_letters"]
        assert (answer.status, [each["function"] for each in listed]) == (200, seen)
        for method, what in (("GET", path), ("POST", f"{path}/redrive"), ("DELETE", path)):
            assert signed(fresh_server, method, what, keys=keys).status == 403, (method, what)
    assert signed(fresh_server, "DELETE", "/_wuwei/v1/dead-letters/999999").status == 404
    assert at(fresh_server, "dead") == 1


def test_the_largest_event_is_accepted_and_one_byte_more_refused(functions: Functions) -> None:
    name = functions.deploy_python("def handler(event, context):\n    return len(event)\n")
    text = json.dumps("x" * (LARGEST - 2)).encode()
    assert len(text) == LARGEST
    assert functions.invoke(name, Payload=text, InvocationType="Event").status == 202
    refused = refusal(lambda: functions.invoke(name, Payload=text + b" ", InvocationType="Event"))
    assert (refused.status, refused.error) == (413, "RequestTooLargeException")
    assert str(LARGEST) in refused.message


def test_an_event_that_is_no_json_is_refused_and_one_without_payload_is_an_empty_object(
    fresh_server: Server, functions_of: FunctionsOf
) -> None:
    functions = functions_of(fresh_server)
    name = functions.deploy_python("def handler(event, context):\n    print('ran', event)\n")
    refused = refusal(lambda: functions.invoke(name, Payload=b"{", InvocationType="Event"))
    assert (refused.status, refused.error) == (400, "InvalidRequestContentException")
    send(functions, name, Payload=b"")
    assert said(fresh_server, name, 1) == ["ran {}"]


def test_an_event_of_a_function_with_a_destination_is_refused_by_name(functions: Functions) -> None:
    name = functions.deploy_python(SAY)
    expected = invalid_parameter(
        "InvocationType Event of a function with a dead-letter queue or a destination is not supported yet by wuwei: "
        "remove DeadLetterConfig and DestinationConfig"
    )
    destination = {"OnFailure": {"Destination": QUEUE}}
    functions.client.put_function_event_invoke_config(FunctionName=name, DestinationConfig=destination)
    assert refusal(lambda: functions.invoke(name, InvocationType="Event")) == expected
    name = functions.deploy_python(SAY, DeadLetterConfig={"TargetArn": QUEUE})
    assert refusal(lambda: functions.invoke(name, InvocationType="Event")) == expected


def test_an_event_without_reserved_concurrency_is_given_up_at_once_and_never_runs(
    fresh_server: Server, functions_of: FunctionsOf
) -> None:
    functions = functions_of(fresh_server)
    name = functions.deploy_python(SAY)
    functions.client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    send(functions, name)
    until(lambda: at(fresh_server, "dead") == 1, "the event is given up", PATIENCE)
    assert lines(fresh_server, name, "ran") == []


def test_events_beyond_the_concurrency_of_their_function_wait_and_are_not_counted_as_failures(
    fresh_server: Server, functions_of: FunctionsOf
) -> None:
    functions = functions_of(fresh_server)
    name = functions.deploy_python(SLEEP)
    functions.client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    functions.client.put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=0)
    for number in range(6):
        send(functions, name, {"n": number, "s": 0.2})
    assert sorted(said(fresh_server, name, 6, "began")) == [f"began {number}" for number in range(6)]
    assert at(fresh_server, "dead") == 0


def test_a_retry_runs_the_code_that_is_current_when_it_starts(impatient: Server, functions_of: FunctionsOf) -> None:
    functions = functions_of(impatient)
    name = functions.deploy_python(FAIL)
    functions.client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    request_id = send(functions, name)
    until(lambda: lines(impatient, name, "ran"), "it has failed", PATIENCE)
    new = zip_of({"app.py": SAY.replace("ran", "new")})
    functions.client.update_function_code(FunctionName=name, ZipFile=new)
    assert said(impatient, name, 1, "new") == [f"new {request_id} 0"]
    assert at(impatient, "dead") == 0


def test_a_function_that_is_made_anew_gets_no_events_of_the_one_before(
    new_server: MakeServer, functions_of: FunctionsOf
) -> None:
    server = new_server(config="event_retry_delays_s = [3, 3]\n").start()
    functions = functions_of(server)
    name = functions.deploy_python(FAIL)
    send(functions, name)
    until(lambda: lines(server, name, "ran") and at(server, "waiting") == 1, "it waits for its retry", PATIENCE)
    functions.client.delete_function(FunctionName=name)
    functions.deploy_python(SAY, FunctionName=name)
    until(lambda: at(server, "dead") == 1, "the event is given up", PATIENCE)
    new = send(functions, name, {"n": 2})
    assert said(server, name, 1)[-1:] == [f"ran {new} 2"]


def test_a_full_disk_refuses_events_loses_none_and_takes_them_again_without_a_hand(
    small_disk: Server, functions_of: FunctionsOf
) -> None:
    functions = functions_of(small_disk)
    name = functions.deploy_python(SAY)
    # With the first event the log takes its space, and finds too little for the next ones.
    accepted = [send(functions, name)]
    refused = until(lambda: refused_event(functions, name, accepted), "the disk is full", PATIENCE)
    assert refused.error == "ServiceException" and "disk is full" in refused.message
    assert functions.invoke(name, {"n": "sync"}).status == 200
    lines_of_accepted = {f"ran {request_id} 0" for request_id in accepted}
    assert lines_of_accepted <= set(said(small_disk, name, len(accepted)))
    assert at(small_disk, "dead") == 0
    run([tool("mount"), "-o", "remount,size=600m", str(small_disk.data_dir)]).ok()
    until(lambda: refused_event(functions, name, accepted) is None, "events are taken again", PATIENCE)
    last = f"ran {accepted[-1]} 0"
    until(lambda: last in lines(small_disk, name, "ran"), "the last one has run", PATIENCE)


def refused_event(functions: Functions, name: str, accepted: list[str]) -> Refusal | None:
    """Sends an event; if it is taken, its id is among the accepted ones then."""
    try:
        accepted.append(send(functions, name))
    except ClientError as error:
        answer = error.response
        status = answer["ResponseMetadata"]["HTTPStatusCode"]
        return Refusal(status, answer["Error"]["Code"], answer["Error"]["Message"])
    return None


def test_events_survive_kill_nine_and_none_is_lost(new_server: MakeServer, functions_of: FunctionsOf) -> None:
    server = new_server(config="event_retry_delays_s = [1, 1]\n").start()
    functions = functions_of(server)
    name = functions.deploy_python(SLEEP)
    functions.client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=4)
    accepted: list[int] = []
    for life in range(5):
        with ThreadPoolExecutor(8) as pool:
            numbers = range(life * 24, life * 24 + 24)
            sent = [pool.submit(send, functions, name, {"n": number, "s": 0.02}) for number in numbers]
            # As they come, so that the kill is in the middle of the others.
            for _ in zip(range(12), as_completed(sent), strict=False):
                pass
            server.kill()
        accepted += [number for number, each in zip(numbers, sent, strict=True) if each.exception() is None]
        server.start()
        functions = functions_of(server)
    until(lambda: not at(server, "waiting") + at(server, "running"), "all events have ended", PATIENCE)
    began = Counter(int(text.split()[1]) for text in lines(server, name, "began"))
    assert len(accepted) >= 60 and not set(accepted) - set(began)
    # What ran, or had just ended, when the server was killed.
    assert sum(began.values()) - len(began) <= 5 * (4 + 24)
    assert at(server, "dead") == 0
