"""Which groups of arms there are, in the order in which they are measured."""

from __future__ import annotations

from comparison import cold, warm
from comparison.arms import Group
from comparison.bursts import Bursts
from comparison.context import Context
from comparison.footprint import Footprint
from comparison.neighbours import Neighbours

MINUTES = {False: 30, True: 8}
"""About what a whole run, and a quick one, take on two cores when nothing else runs and nothing is measured again."""
LONGEST = 3
"""No group, and no second try of one, begins after so many times this."""
WARM_ALONE = "warm-1-apart"
"""After it, each of the main server's functions has one warm instance."""


def groups(context: Context) -> list[Group]:
    """Few instances first: groups that leave many of them on the server come last."""
    first, second, *many = warm.groups(context)
    return [
        cold.processes(context),
        warm.sockets(context),
        first,
        second,
        *cold.groups(context),
        *Bursts(context).groups(),
        *many,
        *Neighbours(context).groups(),
        *Footprint(context).groups(),
    ]
