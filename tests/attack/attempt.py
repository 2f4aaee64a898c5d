"""What one attempt is: a row of the table in docs/security.md."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from attack.ground import Ground
    from attack.runner import Sandbox

Observer = Callable[["Ground", "Sandbox"], "Outcome"]


@dataclass(frozen=True)
class Outcome:
    """How an attempt went."""

    succeeded: bool
    how: str

    @classmethod
    def of_words(cls, words: str) -> "Outcome":
        """From the line that a program printed."""
        verdict, _, how = words.partition(" ")
        assert verdict in ("SUCCEEDED", "REFUSED"), f"the program said {words!r}"
        return cls(verdict == "SUCCEEDED", how.strip())


@dataclass(frozen=True)
class Attempt:
    """Something that a hostile function tries."""

    name: str
    """What it tries, for people."""
    defences: tuple[str, ...]
    """Each of them alone stops it (but see `layered`)."""
    refusal: tuple[str, ...]
    """How it goes wrong: what the program says, or how it ends."""
    native: tuple[str, ...] = ()
    """Words for `native/attempt.c`."""
    python: str = ""
    """Statements."""
    node: str = ""
    """Statements."""
    observe: Observer | None = None
    """Watches from the host in place of asking the program."""
    memory_mb: int = 128
    ephemeral_mb: int = 512
    environment: Mapping[str, str] = field(default_factory=dict)
    architecture: str = ""
    """Where only one has it."""
    calls: int = 0
    """So many calls are made of it, as a function: `app.py`, `app.js`, or with `through` a `bootstrap`."""
    through: str = ""
    """Start of the identifier of its runtime, where the language does not say it."""
    layered: bool = True
    """Whether each of several defences stops it on every host."""
    needs: str = ""
    """A file of the host without which there is nothing to leave unprotected."""

    @property
    def languages(self) -> tuple[str, ...]:
        """In which it is tried."""
        offered = {"native": self.native, "Python": self.python, "Node.js": self.node}
        return tuple(language for language, program in offered.items() if program)
