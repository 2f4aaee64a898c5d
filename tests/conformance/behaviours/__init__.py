"""Every behaviour, by group."""

from conformance.behaviour import Behaviour
from conformance.behaviours import context, environment, events, failures, files, life, logs

GROUPS: dict[str, list[Behaviour]] = {
    "Events and results": events.BEHAVIOURS,
    "Context": context.BEHAVIOURS,
    "Environment variables": environment.BEHAVIOURS,
    "Files and processes": files.BEHAVIOURS,
    "Failures": failures.BEHAVIOURS,
    "Logs": logs.BEHAVIOURS,
    "Life of an instance": life.BEHAVIOURS,
}
