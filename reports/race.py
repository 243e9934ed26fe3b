"""What a race has found, and its file of JSON lines: goals with their laps, and the map of winners."""

from __future__ import annotations

import math
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from reports import jsonlines
from reports.rows import LedgerError

FILES = "race-*.jsonl"
NOISE = 0.05  # by which torch may differ from itself, and a winner from the second, and nothing is said of it
VERDICTS = ("met", "missed", "undecided", "not measured")
KIND = jsonlines.Kind("race", 2, "a race", "run `make race`")


@dataclass(frozen=True)
class Lap:
    """One part of a goal: seconds of a call of ours, of torch's, and of torch's again; `count` times in its network.

    extra_bytes, faults: peak extra memory and page faults of ours. onnxruntime: seconds, where it has such a call.
    way, by_way: another way of torch's, the fastest that was tried, and its seconds.
    """

    name: str
    ours: str
    count: int
    seconds: float
    theirs: float
    again: float
    extra_bytes: int
    faults: float
    onnxruntime: float | None = None
    way: str = ""
    by_way: float | None = None

    def __post_init__(self) -> None:
        _numbers(seconds=self.seconds, theirs=self.theirs, again=self.again)

    @property
    def ratio(self) -> float:
        """Above 1, ours is faster."""
        return self.theirs / self.seconds


@dataclass(frozen=True)
class Goal:
    """A row of the race: what was aimed at and what was measured; `reason` says why nothing was.

    control: torch against itself, or where torch has no part, a bare product. at_most: the goal is an upper limit.
    """

    row: str
    told: str
    goal: float
    measured: float | None = None
    reason: str = ""
    control: float | None = None
    at_most: bool = False
    laps: tuple[Lap, ...] = ()

    def __post_init__(self) -> None:
        _numbers(goal=self.goal, measured=self.measured, control=self.control)

    @property
    def verdict(self) -> str:
        """met, missed, not measured, or undecided: the control differed from itself by more than there was to spare."""
        if self.measured is None:
            return "not measured"
        if self.noisy and self.control is not None and abs(math.log(self.share)) < abs(math.log(self.control)):
            return "undecided"
        return "met" if self.share >= 1 else "missed"

    @property
    def share(self) -> float:
        """Of the goal, what was reached: from 1 on, it is met. NaN where nothing was measured."""
        if self.measured is None:
            return math.nan
        return self.goal / self.measured if self.at_most else self.measured / self.goal

    @property
    def noisy(self) -> bool:
        """Whether the control differed from itself."""
        return self.control is not None and abs(self.control - 1) > NOISE

    @property
    def lost(self) -> list[Lap]:
        """The parts in which torch is faster, the worst first."""
        return sorted((lap for lap in self.laps if lap.ratio < 1), key=lambda lap: lap.ratio)


@dataclass(frozen=True)
class Cell:
    """One layer of the map: CPU seconds of each algorithm near the fastest, and why the others have none.

    beyond: how many times the fastest those take at least that are too slow. chosen: the algorithm whose very bits
    `auto` returned, "" if none of these; auto: the seconds of its own call, None where not timed.
    """

    cell: str
    F: int
    C: int
    S: int
    W: int
    seconds: dict[str, float] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    beyond: dict[str, float] = field(default_factory=dict)
    chosen: str = ""
    auto: float | None = None

    def __post_init__(self) -> None:
        _numbers(F=self.F, C=self.C, S=self.S, W=self.W, auto=self.auto)
        for times in (self.seconds, self.beyond):
            _numbers(**times)
        if not all(isinstance(reason, str) for reason in self.left_out.values()):
            raise ValueError(f"left_out is {self.left_out!r}; a reason for each name is accepted")

    @property
    def winner(self) -> str:
        """The fastest; "" where nothing was timed."""
        return min(self.seconds, key=self.seconds.__getitem__, default="")

    @property
    def margin(self) -> float:
        """How many times as long the second takes, at least; infinite where there is no second."""
        first, *others = sorted(self.seconds.values()) or [math.nan]
        return min([*(each / first for each in others), *self.beyond.values()], default=math.inf)

    @property
    def bounded(self) -> bool:
        """Whether the margin is but the least that it can be."""
        return len(self.seconds) < 2 and bool(self.beyond)

    @property
    def close(self) -> bool:
        """Whether the second is too near to tell."""
        return len(self.seconds) > 1 and self.margin <= 1 + NOISE

    @property
    def loss(self) -> float:
        """How many times as long as the fastest takes what `auto` chose, at least; NaN where nothing is known of it."""
        if self.seconds and self.chosen in self.seconds:
            return self.seconds[self.chosen] / self.seconds[self.winner]
        return self.beyond.get(self.chosen, math.nan) if self.seconds else math.nan


@dataclass(frozen=True)
class Race:
    """All of one file. `machine`: what it ran on; `pairs`: rounds of each call."""

    machine: dict[str, Any]
    pairs: int
    goals: list[Goal] = field(default_factory=list)
    cells: list[Cell] = field(default_factory=list)

    def called(self, goal: Goal) -> str:
        """Name a goal by its row, behind whose it is where a row has several: the end of a name is never clipped."""
        several = sum(each.row == goal.row for each in self.goals) > 1
        return f"{goal.told.partition(',')[0]} {goal.row}" if several else goal.row


def newest(folder: Path) -> Path:
    """Return the file of the latest race of a folder, or where one would be."""
    return max(folder.glob(FILES), default=folder / "race.jsonl")


def write(race: Race, file: str | os.PathLike[str]) -> None:
    """Write the race as JSON lines: each goal with its laps, each cell of the map. Raises LedgerError."""
    jsonlines.write(file, KIND, {"pairs": race.pairs, "machine": race.machine}, map(asdict, [*race.goals, *race.cells]))


def read(file: str | os.PathLike[str]) -> Race:
    """Invert `write`. Raises LedgerError naming the line that is broken."""
    head, lines = jsonlines.read(file, KIND)
    machine, pairs = head.get("machine"), head.get("pairs")
    if not isinstance(machine, dict) or not isinstance(pairs, int):
        raise LedgerError(f"{file}:1: says not what it ran on, or how often: {KIND.make}")
    race = Race(machine, pairs)
    for where, content in lines:
        try:
            if "cell" in content:
                race.cells.append(Cell(**content))
            else:
                laps = tuple(Lap(**lap) for lap in content.pop("laps"))
                race.goals.append(Goal(**content, laps=laps))
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise LedgerError(f"{where}: not a line of a race: {error}") from error
    return race


def _numbers(**values: object) -> None:
    """Refuse what is neither a positive number nor None."""
    for name, value in values.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0):
            raise ValueError(f"{name} is {value!r}; a positive number is accepted")
