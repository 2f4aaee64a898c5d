"""A server that an ordinary user runs, on a machine where the tests may be root's."""

import json
import os
import shutil
from typing import Any

from harness.server import Server
from harness.tools import plain_environment, run, tool, wuwei_binary

NOBODY = 65534


class OrdinaryServer(Server):
    """A server that an ordinary user runs; that user is the tests' own, unless that is root."""

    def __init__(self, made: Server, arguments: tuple[str, ...] = ()) -> None:
        super().__init__(made.data_dir, made.config, arguments)
        self.binary = made.data_dir.parent / "wuwei"
        shutil.copy(wuwei_binary(), self.binary)
        self.binary.chmod(0o755)
        self.prefix: list[str] = []
        if os.geteuid() == 0:
            os.chown(made.data_dir.parent, NOBODY, NOBODY)
            self.prefix = [tool("setpriv"), f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]

    def command(self) -> list[str]:
        """The same, by that user, with a binary that the user can reach."""
        return [*self.prefix, str(self.binary), *super().command()[1:]]

    def doctor(self) -> list[dict[str, Any]]:
        """What `wuwei doctor` tells that user."""
        environment = plain_environment(HOME=str(self.data_dir.parent), TMPDIR="/tmp")
        finished = run([*self.prefix, str(self.binary), "doctor", "--json"], environment)
        found = json.loads(finished.output)
        assert isinstance(found, list), finished
        return found
