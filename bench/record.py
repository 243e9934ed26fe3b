"""What a run saves beside pytest-benchmark's own entries: what was not timed and why, and rows of experiments."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, field
from typing import Any

SCHEMA = 1


@dataclass(frozen=True)
class Entry:
    """Which case of which implementation an entry of the saved file is about.

    kind is layer, sweep, roofline, again or experiment.
    """

    kind: str
    layer: str
    operation: str
    implementation: str
    case: str = ""
    sweep: str = ""
    value: int | None = None

    def told(self) -> dict[str, Any]:
        """Give the entries of the saved file."""
        names = ("kind", "layer", "sweep", "value", "operation", "implementation", "case")
        return {name: getattr(self, name) for name in names}


@dataclass
class Record:
    """Everything of one run, in the order in which it came."""

    not_timed: list[dict[str, Any]] = field(default_factory=list)
    experiments: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    times: dict[Entry, float] = field(default_factory=dict)  # median seconds
    by_wall: set[Entry] = field(default_factory=set)  # of them, those told by the wall's clock
    seen: dict[tuple[str, str], None] = field(default_factory=dict)  # layers and operations, as a set with an order

    def timed(self, entry: Entry, seconds: list[float], clock: str = "cpu") -> None:
        """Keep the median for the table."""
        self.times[entry] = statistics.median(seconds)
        if clock == "wall":
            self.by_wall.add(entry)
        if entry.kind != "roofline":
            self.seen[entry.layer, entry.operation] = None

    def refused(self, entry: Entry, reason: str, detail: str) -> None:
        """Keep what was not timed, and why: a reason is one line, whoever gave it."""
        reason = " ".join(reason.split())
        self.seen[entry.layer, entry.operation] = None
        self.not_timed.append({**entry.told(), "reason": reason, "detail": detail})

    def add(self, table: str, row: dict[str, Any]) -> None:
        """Keep a row of an experiment. Raises ValueError for what JSON cannot hold: the file would not be readable."""
        for name, value in row.items():
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"{table}: {name} is {value}; a finite number is accepted, or None")
            if not isinstance(value, (str, bool, int, float, type(None))):
                raise ValueError(f"{table}: {name} is {value!r}; a word, a number, True, False or None is accepted")
        self.experiments.setdefault(table, []).append(row)

    def saved(self) -> dict[str, Any]:
        """Give what stands under "poolproof" in the saved file."""
        return {"schema": SCHEMA, "not_timed": self.not_timed, "experiments": self.experiments}
