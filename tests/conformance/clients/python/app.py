"""The handler of the Python columns: what each operation of the behaviours does."""

import os
import signal
import subprocess
import sys
import threading
import time
import uuid

INSTANCE = str(uuid.uuid4())
state = {"calls": 0, "last_tick": None, "gap": 0.0}


class Odd(Exception):
    pass


def context_of(_, context):
    client = context.client_context
    return {
        "requestId": context.aws_request_id,
        "functionName": context.function_name,
        "functionVersion": context.function_version,
        "memoryMb": int(context.memory_limit_in_mb),
        "arn": context.invoked_function_arn,
        "logGroup": context.log_group_name,
        "logStream": context.log_stream_name,
        "remainingMs": context.get_remaining_time_in_millis(),
        "custom": client and client.custom,
        "trace": os.environ.get("_X_AMZN_TRACE_ID"),
    }


def fail(message, _):
    raise Odd(message)


def print_lines(lines, _):
    for stream, text in lines:
        print(text, file=sys.stdout if stream == "out" else sys.stderr, flush=True)


def count(hold_ms, _):
    time.sleep((hold_ms or 0) / 1000)
    state["calls"] += 1
    return {"instance": INSTANCE, "calls": state["calls"]}


def write(value, _):
    try:
        with open(value["path"], "w") as file:
            file.write(value["text"])
    except OSError:
        return "refused"
    return "written"


def read(path, _):
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return None


def stat(path, _):
    found = os.stat(path)
    return {"mode": oct(found.st_mode & 0o7777)[2:], "owner": found.st_uid}


def tick():
    while True:
        now = time.monotonic()
        if state["last_tick"] is not None:
            state["gap"] = max(state["gap"], now - state["last_tick"])
        state["last_tick"] = now
        time.sleep(0.01)


def ticks(start, _):
    if start:
        threading.Thread(target=tick, daemon=True).start()
    time.sleep(0.1)
    return state["gap"] * 1000


def sleep(milliseconds, _):
    time.sleep(milliseconds / 1000)
    return "slept"


OPERATIONS = {
    "context": context_of,
    "environment": lambda _, __: dict(os.environ),
    "fail": fail,
    "exit": lambda code, _: os._exit(code),
    "signal": lambda number, _: signal.raise_signal(number),
    "sleep": sleep,
    "letters": lambda number, _: "x" * number,
    "length": lambda text, _: len(text),
    "unserialisable": lambda _, __: {1, 2},
    "print": print_lines,
    "count": count,
    "write": write,
    "read": read,
    "list": lambda path, _: sorted(os.listdir(path)),
    "stat": stat,
    "cwd": lambda _, __: os.getcwd(),
    "run": lambda command, _: subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True).stdout,
    "ticks": ticks,
    "allocate": lambda megabytes, _: [bytearray(b"x") * 1_000_000 for _ in range(megabytes)] and "allocated",
}


def handler(event, context):
    if isinstance(event, dict) and "op" in event:
        return OPERATIONS[event["op"]](event.get("value"), context)
    return event


print("initialising", flush=True)
if os.environ.get("INIT") == "fail":
    raise Odd("at init")
if os.environ.get("INIT") == "exit":
    os._exit(9)
