"""Files, users, limits and children, as the handler finds them."""

from typing import Any

from conformance.behaviour import Behaviour
from conformance.subject import Subject


def written(path: str) -> Any:
    """Tries to write a file."""
    return lambda subject: subject.call("write", {"path": path, "text": "x"})


def kept_in_tmp(subject: Subject) -> Any:
    """What a later call reads of a file that an earlier one wrote."""
    subject.call("write", {"path": "/tmp/kept", "text": "kept"})
    return subject.call("read", "/tmp/kept")


def status(field: str) -> Any:
    """A line of the process's own status."""

    def observe(subject: Subject) -> Any:
        lines = str(subject.call("read", "/proc/self/status")).splitlines()
        return next(line.split()[1] for line in lines if line.startswith(f"{field}:"))

    return observe


def limit(name: str) -> Any:
    """A soft resource limit of the process."""

    def observe(subject: Subject) -> Any:
        lines = str(subject.call("read", "/proc/self/limits")).splitlines()
        return next(line.removeprefix(name).split()[0] for line in lines if line.startswith(name))

    return observe


def modes(subject: Subject) -> Any:
    """Modes of a file of the package that runs, and of one that does not."""
    return subject.call("stat", f"/var/task/{subject.client.main_file}")["mode"]


BEHAVIOURS = [
    Behaviour("the working directory is `/var/task`", lambda subject: subject.call("cwd"), "/var/task"),
    Behaviour(
        "the package lies in `/var/task`",
        lambda subject: subject.client.main_file in subject.call("list", "/var/task"),
        True,
    ),
    Behaviour(
        "its files have the modes of the package",
        lambda subject: modes(subject) == ("755" if subject.client.main_file == "bootstrap" else "644"),
        True,
    ),
    Behaviour("`/var/task` cannot be written", written("/var/task/x"), "refused"),
    Behaviour("`/etc` cannot be written", written("/etc/x"), "refused"),
    Behaviour("`/opt` cannot be written", written("/opt/x"), "refused"),
    Behaviour("the root cannot be written", written("/x"), "refused"),
    Behaviour("`/tmp` can be written", written("/tmp/x"), "written"),
    Behaviour("a file in `/tmp` is there at the next call", kept_in_tmp, "kept"),
    Behaviour(
        "the home directories of the host are not there", lambda subject: subject.call("read", "/root/.bashrc"), None
    ),
    Behaviour("the passwords of the host are not there", lambda subject: subject.call("read", "/etc/shadow"), None),
    Behaviour("the user is not root", status("Uid"), "993"),
    Behaviour("there are no capabilities", status("CapEff"), "0000000000000000"),
    Behaviour("programs gain no privileges", status("NoNewPrivs"), "1"),
    Behaviour("system calls are filtered", status("Seccomp"), "2"),
    Behaviour("1,024 open files", limit("Max open files"), "1024"),
    Behaviour("no core dumps, not even to a handler", limit("Max core file size"), "1"),
    Behaviour("a child process runs", lambda subject: subject.call("run", "echo child"), "child\n"),
    Behaviour(
        "a child sees the processes of the instance only",
        lambda subject: int(subject.call("run", "ls -d /proc/[0-9]* | wc -l")) < 10,
        True,
    ),
]
