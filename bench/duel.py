"""Calls timed in turns in one process: what slows one of them down slows the others as well, and ratios stay."""

from __future__ import annotations

import math
import resource
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Call = Callable[[], Any]

SHORT = 0.004  # seconds; a call that takes less is made several times in a round, so that the clock can tell
PAIRS = 5


@dataclass
class Timing:
    """What the rounds of one call told: seconds of CPU time of one call, and page faults of one call."""

    seconds: list[float] = field(default_factory=list)
    faults: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """Of the seconds."""
        return statistics.median(self.seconds)

    @property
    def warm_faults(self) -> float:
        """The median of the page faults: memory that is asked for anew in each call."""
        return statistics.median(self.faults)


def duel(
    calls: Mapping[str, Call], pairs: int = PAIRS, clock: Callable[[], float] = time.process_time
) -> dict[str, Timing]:
    """Make every call once in each of so many rounds, whose order rotates, after two calls that warm it up."""
    repeats = {}
    for name, call in calls.items():
        call()
        start = clock()
        call()
        repeats[name] = max(1, math.ceil(SHORT / max(clock() - start, 1e-7)))
    names, found = list(calls), {name: Timing() for name in calls}
    for turn in range(pairs):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            call, times = calls[name], repeats[name]
            call()  # its own data are in cache again, not those of the call before
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            start = clock()
            for _ in range(times):
                call()
            found[name].seconds.append((clock() - start) / times)
            found[name].faults.append((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / times)
    return found
