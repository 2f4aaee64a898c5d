"""The measured function: gives the event back and says whether it is the instance's first."""

start = "first"


def handler(event, context):
    """Answers an event; with `probe`, says what the process sees of its own confinement; `wait_ms` makes it wait."""
    global start
    if "probe" in event:
        return probe()
    if "wait_ms" in event:
        wait(event["wait_ms"])
    answer = {"start": start, "event": event}
    start = "again"
    return answer


def wait(milliseconds):
    """Uses no CPU time."""
    import time

    time.sleep(milliseconds / 1000)


def probe():
    """The process's status and namespaces."""
    import os

    kinds = ("pid", "mnt", "ipc", "uts", "net", "user")
    with open("/proc/self/status") as status:
        return {"status": status.read(), "namespaces": {kind: os.readlink("/proc/self/ns/" + kind) for kind in kinds}}
