"""What a race has found: goals met or missed, and the map of winners, as a table and as a file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.winners import Cell

SCHEMA = 1
NOISE = 0.05  # by which theirs may differ from itself


@dataclass(frozen=True)
class Lap:
    """One part of a row: seconds of a call on both sides, theirs a second time, memory and page faults of ours."""

    name: str
    ours: str
    count: int
    seconds: float
    theirs: float
    again: float
    extra_bytes: int
    faults: float
    onnxruntime: float | None = None  # seconds, where it is installed and has such a call

    @property
    def ratio(self) -> float:
        """Above 1, ours is faster."""
        return self.theirs / self.seconds


@dataclass(frozen=True)
class Outcome:
    """A row's goal and what was measured; `reason` says why nothing was."""

    row: str
    told: str
    goal: float
    measured: float | None = None
    reason: str = ""
    control: float | None = None  # theirs against theirs
    at_most: bool = False  # the goal is an upper limit
    laps: tuple[Lap, ...] = field(default=())

    @property
    def verdict(self) -> str:
        """met, missed or not measured."""
        if self.measured is None:
            return "not measured"
        met = self.measured <= self.goal if self.at_most else self.measured >= self.goal
        return "met" if met else "missed"

    @property
    def noisy(self) -> bool:
        """Whether theirs differed from itself."""
        return self.control is not None and abs(self.control - 1) > NOISE


def lines(outcomes: list[Outcome]) -> Iterator[str]:
    """Write a line for each goal, and which layers are lost."""
    width = max((len(outcome.told) for outcome in outcomes), default=0)
    yield f"{'':<{width}}      goal  measured"
    for outcome in outcomes:
        yield line(outcome, width)
    lost = {lap.name: lap for outcome in outcomes for lap in outcome.laps if lap.ratio < 1}
    if lost:
        yield f"lost: {', '.join(f'{name} x{lap.ratio:.2f}' for name, lap in lost.items())}"
    missed = [outcome.row for outcome in outcomes if outcome.verdict == "missed"]
    met = sum(outcome.verdict == "met" for outcome in outcomes)
    yield f"goals: {met} of {len(outcomes)} met; missed: {', '.join(missed) or 'none'}"


def line(outcome: Outcome, width: int) -> str:
    """Write one goal: "at most" where it is a limit."""
    sign = "<=" if outcome.at_most else "  "
    if outcome.measured is None:
        return f"{outcome.told:<{width}}  {sign}{outcome.goal:6.2f}         -  not measured: {outcome.reason}"
    notes = []
    if outcome.control is not None:
        notes.append(f"torch/torch {outcome.control:.2f}" + (", too busy to tell" if outcome.noisy else ""))
    if outcome.laps:
        most = max(lap.extra_bytes for lap in outcome.laps) / 2**20
        notes.append(f"extra memory {most:.1f} MB, page faults {sum(lap.faults for lap in outcome.laps):.0f}")
    others = [(lap.count, lap.onnxruntime, lap.theirs) for lap in outcome.laps]
    if others and all(seconds is not None for _, seconds, _ in others):
        runtime = sum(count * (seconds or 0.0) for count, seconds, _ in others)
        notes.append(f"torch/onnxruntime {sum(count * theirs for count, _, theirs in others) / runtime:.2f}")
    if outcome.reason:
        notes.append(outcome.reason)
    found = f"{outcome.told:<{width}}  {sign}{outcome.goal:6.2f}  {outcome.measured:8.2f}  {outcome.verdict}"
    return f"{found}  ({'; '.join(notes)})" if notes else found


def saved(
    outcomes: Sequence[Outcome], described: dict[str, Any], folder: Path, cells: Sequence[Cell] = (), pairs: int = 0
) -> Path:
    """Write JSON lines: how many there are and what the machine is, each goal with its laps, each cell of the map."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"race-{datetime.now(UTC):%Y%m%d-%H%M%S}.jsonl"
    rows = [*({**asdict(outcome), "verdict": outcome.verdict} for outcome in outcomes), *map(asdict, cells)]
    head = {"poolproof": "race", "schema": SCHEMA, "lines": len(rows), "pairs": pairs, "machine": described}
    path.write_text("".join(json.dumps(row) + "\n" for row in (head, *rows)), encoding="utf-8")
    return path
