"""What a server's data directory holds, read beside it: the catalog's entries, and the packages on disk."""

import json
import sqlite3
from base64 import b64decode
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.waiting import until

UNSETTLED = ('"state":"Pending"', '"last_update_status":"InProgress"')
PASSING = ("function/", "version/", "url/", "egress/", "event-source/", "code-signing/")
"""Entries that go with what they belong to. Numbers of versions stay, which are never given out again."""


RECORDS = ("function/", "version/", "layer/")
"""Entries that name packages."""


@dataclass(frozen=True)
class Catalog:
    """The database and the packages of one data directory."""

    data_dir: Path

    def revisions(self) -> dict[str, int]:
        """The revision of every entry by its key."""
        with self._open() as database:
            return dict(database.execute("SELECT key, revision FROM entry"))

    def at_rest(self, within: float = 30.0) -> dict[str, int]:
        """As `revisions`, once no function is being made ready."""
        until(lambda: not self.unsettled(), "every function is settled", within)
        return self.revisions()

    def unsettled(self) -> list[str]:
        """Functions that are being made ready."""
        found = " OR ".join("instr(value, CAST(? AS BLOB)) > 0" for _ in UNSETTLED)
        with self._open() as database:
            return [key for (key,) in database.execute(f"SELECT key FROM entry WHERE {found}", UNSETTLED)]

    def orphans(self) -> list[str]:
        """What nobody names: versions, ids of URLs, packages; and packages that are named and not there."""
        with self._open() as database:
            entries = {key: value for key, value in database.execute("SELECT key, value FROM entry") if "/" in key}
        records = {key: json.loads(value) for key, value in entries.items() if key.startswith(RECORDS)}
        named: set[str] = set()
        for key, record in records.items():
            kind, _, name = key.partition("/")
            if kind == "function":
                versions = record["versions"].items()
                named |= {f"version/{name}/{record['generation']}/{int(each):020}/{token}" for each, token in versions}
                named |= {f"url/{url['id']}" for url in record["urls"].values()}
                named.add(f"egress/{name}")
        loose = [key for key in entries if key.startswith(("version/", "url/", "egress/")) and key not in named]
        packages = {digest for record in records.values() for digest in _digests(record)}
        wanted = sorted([f"code/{digest}" for digest in packages] + [f"packages/{digest}.zip" for digest in packages])
        return loose + sorted(set(self.packages()) ^ set(wanted))

    def left(self) -> list[str]:
        """Entries that should have gone with what they belonged to, when nothing is there any more."""
        return [key for key in self.revisions() if key.startswith(PASSING)]

    def packages(self) -> list[str]:
        """Files and directories of packages, and of what is on its way there."""
        places = (self.data_dir / name for name in ("packages", "code", "incoming"))
        return sorted(f"{place.name}/{path.name}" for place in places for path in place.iterdir())

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(f"file:{self.data_dir}/wuwei.db?mode=ro", uri=True, timeout=30)) as database:
            yield database


def _digests(record: Any) -> set[str]:
    """Packages that a record names anywhere, as their files are called."""
    if isinstance(record, list):
        return {digest for item in record for digest in _digests(item)}
    if not isinstance(record, dict):
        return set()
    own = {b64decode(record["code_sha256"]).hex()} if "code_sha256" in record else set()
    return own | {digest for value in record.values() for digest in _digests(value)}
