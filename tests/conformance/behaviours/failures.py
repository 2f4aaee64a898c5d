"""Every way to fail."""

import json
from collections.abc import Mapping
from typing import Any

from conformance.behaviour import Behaviour, Difference
from conformance.subject import Subject, failed

JAVA_NAMES = "types are names of Java classes"
GO_SIGNALS = "Go catches it, prints its goroutines and exits"
RUST_PANIC = "&alloc::boxed::Box<dyn core::any::Any + core::marker::Send>"
TIMED_OUT = failed("Sandbox.Timedout", "RequestId: <id> Error: Task timed out after 1.00 seconds")


def exited(reason: str) -> dict[str, str]:
    """The error of a runtime that has ended."""
    return failed("Runtime.ExitError", f"RequestId: <id> Error: Runtime exited with {reason}")


NO_REASON = failed("Runtime.ExitError", "RequestId: <id> Error: Runtime exited without providing a reason")


def raw_failure(subject: Subject) -> Any:
    """Status and mark of a failed call."""
    result = subject.invoke("fail", "no")
    return [result.status, result.function_error]


def stack(subject: Subject) -> Any:
    """The member of an error document that has the stack trace."""
    document = json.loads(subject.invoke("fail", "no").payload)
    return next((name for name in ("stackTrace", "trace") if isinstance(document.get(name), list)), None)


def instance_after(operation: str, value: Any, variant: str = "main", **settings: Any) -> Any:
    """Whether the instance is still the one from before."""

    def observe(subject: Subject) -> Any:
        subject.name(variant, **settings)
        before = subject.call("count", variant=variant)["instance"]
        subject.call(operation, value, variant)
        after = subject.call("count", variant=variant)
        return "the same" if after["instance"] == before else f"another, call {after['calls']}"

    return observe


def timeout(subject: Subject) -> Any:
    """A call that takes longer than its limit."""
    subject.name("brief", Timeout=1)
    return subject.call("sleep", 60_000, "brief")


def init(mode: str) -> Any:
    """Two calls of a function whose start fails; both see it."""

    def observe(subject: Subject) -> Any:
        variant = f"init-{mode}"
        subject.name(variant, Environment={"Variables": {"INIT": mode}})
        first, second = subject.call("count", variant=variant), subject.call("count", variant=variant)
        return first if first == second else [first, second]

    return observe


def ends(name: str, operation: str, value: Any, expected: Any, differs: Mapping[str, Difference] = {}) -> Behaviour:
    """An operation that ends the runtime."""
    return Behaviour(name, lambda subject: subject.call(operation, value), expected, differs)


BEHAVIOURS = [
    Behaviour(
        "a failure has its type and message",
        lambda subject: subject.call("fail", "no"),
        failed("Odd", "no"),
        {"java": Difference(failed("Handler$Odd", "no"), JAVA_NAMES)},
    ),
    Behaviour("a failed call is 200 with `Unhandled`", raw_failure, [200, "Unhandled"]),
    Behaviour(
        "an error document has a stack trace, `stackTrace`",
        stack,
        "stackTrace",
        {
            "node": Difference("trace", "AWS names it `trace` for Node.js"),
            "rust": Difference(None, "errors have no stack"),
            "go": Difference(None, "errors have no stack; panics do"),
        },
    ),
    Behaviour(
        "a message in UTF-8",
        lambda subject: subject.call("fail", "無為 \U0001f680"),
        failed("Odd", "無為 \U0001f680"),
        {"java": Difference(failed("Handler$Odd", "無為 \U0001f680"), JAVA_NAMES)},
        absent={"native": "the handler reads no escapes"},
    ),
    Behaviour("a failure does not cost the instance", instance_after("fail", "no"), "the same"),
    Behaviour(
        "a result that cannot be serialised",
        lambda subject: subject.call("unserialisable")["failed"],
        "Runtime.MarshalError",
        {
            "rust": Difference("Runtime.ExitError", "the client ends"),
            "go": Difference("UnsupportedTypeError", "the error is that of `encoding/json`"),
            "java": Difference("java.lang.RuntimeException", "the error is that of its serialiser"),
            "node": Difference("Error", "AWS's Node.js runtime throws an `Error` of its own"),
        },
        absent={"native": "the handler writes JSON itself"},
    ),
    Behaviour(
        "a panic or an error that nothing catches",
        lambda subject: subject.call("panic", "aghast"),
        failed("Odd", "aghast"),
        {
            "native": Difference(exited("error: signal: aborted"), "`abort` ends the process"),
            "rust": Difference(
                failed(RUST_PANIC, "Lambda panicked: aghast"), "the client catches panics and names their Rust type"
            ),
            "java": Difference(failed("java.lang.StackOverflowError", "aghast"), JAVA_NAMES),
        },
        dict.fromkeys(("python", "awslambdaric"), "every exception reaches the client"),
    ),
    ends("exit with a status", "exit", 7, exited("error: exit status 7")),
    ends("exit with status 0", "exit", 0, NO_REASON),
    ends("death by SIGKILL", "signal", 9, exited("error: signal: killed")),
    ends(
        "death by SIGSEGV",
        "signal",
        11,
        exited("error: signal: segmentation fault"),
        {
            "go": Difference(exited("error: exit status 2"), GO_SIGNALS),
            "java": Difference(exited("error: signal: aborted"), "the JVM catches it and aborts"),
        },
    ),
    ends(
        "death by SIGABRT",
        "signal",
        6,
        exited("error: signal: aborted"),
        {"go": Difference(exited("error: exit status 2"), GO_SIGNALS)},
    ),
    Behaviour("after an exit the next call has an instance of its own", instance_after("exit", 7), "another, call 1"),
    Behaviour("a call over its time limit", timeout, TIMED_OUT),
    Behaviour(
        "after a timeout the next call starts afresh",
        instance_after("sleep", 60_000, "brief", Timeout=1),
        "another, call 1",
    ),
    Behaviour(
        "a function over its memory limit",
        lambda subject: subject.call("allocate", 2000),
        failed("Runtime.OutOfMemory", "RequestId: <id> Error: Runtime exited with error: signal: killed"),
    ),
    Behaviour(
        "a failure at init, at every call",
        init("fail"),
        failed("Odd", "at init"),
        {
            "rust": Difference(
                exited("error: exit status 1"), "the client reports no failure at init: `main` returns it"
            ),
            "go": Difference(exited("error: exit status 2"), "the client reports no failure at init: a panic ends it"),
            "java": Difference(
                failed("java.lang.ExceptionInInitializerError", "Error loading class Handler"),
                "an exception in a static initialiser is one of the class loader",
            ),
        },
    ),
    Behaviour("an exit at init, at every call", init("exit"), exited("error: exit status 9")),
]
