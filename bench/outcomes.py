"""What a race has found: goals met or missed, and the map of winners, as a table and as a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from reports.race import VERDICTS, Cell, Goal, Race, write


def lines(goals: Sequence[Goal]) -> Iterator[str]:
    """Write a line for each goal, and which layers are lost."""
    width = max((len(goal.told) for goal in goals), default=0)
    yield f"{'':<{width}}      goal  measured"
    for goal in goals:
        yield line(goal, width)
    lost = {lap.name: lap for goal in goals for lap in goal.laps if lap.ratio < 1}
    if lost:
        yield f"lost: {', '.join(f'{name} x{lap.ratio:.2f}' for name, lap in lost.items())}"
    of = {verdict: [goal.row for goal in goals if goal.verdict == verdict] for verdict in VERDICTS}
    told = [f"missed: {', '.join(of['missed']) or 'none'}"]
    told += [f"{verdict}: {', '.join(of[verdict])}" for verdict in ("undecided", "not measured") if of[verdict]]
    yield f"goals: {len(of['met'])} of {len(goals)} met; {'; '.join(told)}"


def line(goal: Goal, width: int) -> str:
    """Write one goal: "at most" where it is a limit."""
    sign = "<=" if goal.at_most else "  "
    if goal.measured is None:
        return f"{goal.told:<{width}}  {sign}{goal.goal:6.2f}         -  not measured: {goal.reason}"
    notes = []
    if goal.control is not None:
        notes.append(
            f"{'torch/torch' if goal.laps else 'itself'} {goal.control:.2f}"
            + (", on a busy machine" if goal.noisy else "")
        )
    if goal.laps:
        most = max(lap.extra_bytes for lap in goal.laps) / 2**20
        notes.append(f"extra memory {most:.1f} MB, page faults {sum(lap.faults for lap in goal.laps):.0f}")
    others = [(lap.count, lap.onnxruntime, lap.theirs) for lap in goal.laps]
    if others and all(seconds is not None for _, seconds, _ in others):
        runtime = sum(count * (seconds or 0.0) for count, seconds, _ in others)
        notes.append(f"torch/onnxruntime {sum(count * theirs for count, _, theirs in others) / runtime:.2f}")
    for lap in goal.laps:
        if lap.by_way is not None:
            notes.append(f"against torch's {lap.way} {lap.by_way / lap.seconds:.2f}")
    if goal.reason:
        notes.append(goal.reason)
    found = f"{goal.told:<{width}}  {sign}{goal.goal:6.2f}  {goal.measured:8.2f}  {goal.verdict}"
    return f"{found}  ({'; '.join(notes)})" if notes else found


def saved(
    goals: Sequence[Goal], described: dict[str, Any], folder: Path, cells: Sequence[Cell] = (), pairs: int = 0
) -> Path:
    """Write a file of its own, named by the time."""
    path = folder / f"race-{datetime.now(UTC):%Y%m%d-%H%M%S}.jsonl"
    write(Race(described, pairs, [*goals], [*cells]), path)
    return path
