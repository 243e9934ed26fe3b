"""The table at the end: each layer's median in every implementation, and what was not timed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from bench.record import Record

SHORT = {"too slow, estimated": "slow", "wrong, not timed": "WRONG", "unsupported": "-"}


def baseline(specs: Sequence[str]) -> str:
    """Name the implementation that the others are compared with: im2col, else the first."""
    return "im2col" if "im2col" in specs or not specs else specs[0]


def short(specs: Sequence[str]) -> dict[str, str]:
    """Leave out the folder of each specification where that names it still."""
    names = [spec.replace("\\", "/").rsplit("/", 1)[-1] for spec in specs]
    return {spec: name if names.count(name) == 1 else spec for spec, name in zip(specs, names, strict=True)}


def lines(record: Record, specs: Sequence[str]) -> list[str]:
    """Write a table of layers by implementations: milliseconds, and how many times those of the baseline."""
    first = baseline(specs)
    ordered = [first, *(spec for spec in specs if spec != first)]
    told = _told(record, ordered, first)
    names = short(specs)
    heads = ["", *(names[spec] for spec in ordered), "again"]
    widths = [max(map(len, column)) for column in zip(heads, *told, strict=True)]
    rows = [heads, *told]
    table = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows]
    note = f"x: times of {names[first]}, less is faster. again: {names[first]} once more, later in the run."
    return [*(line.rstrip() for line in table), note, *_clocks(record, names), *_refusals(record)]


def _clocks(record: Record, names: dict[str, str]) -> list[str]:
    """Say what is CPU time, and what is the wall's: where a call waits, or computes in another process."""
    by_wall = {entry.implementation for entry in record.by_wall}
    waiting = [name for spec, name in names.items() if spec in by_wall]
    if not waiting:
        return ["CPU time."]
    part = "some of " * any(entry.implementation in by_wall for entry in record.times.keys() - record.by_wall)
    return [f"CPU time, but {part}{', '.join(waiting)}: by the wall's clock, as it waits, or computes elsewhere."]


def _told(record: Record, specs: Sequence[str], first: str) -> list[list[str]]:
    times: dict[tuple[str, str], dict[str, float]] = {place: {} for place in record.seen}
    for entry, seconds in record.times.items():
        if entry.kind == "roofline":
            continue
        column = "again" if entry.kind == "again" else entry.implementation
        times[entry.layer, entry.operation][column] = seconds
    why = {(row["layer"], row["operation"], row["implementation"]): row["reason"] for row in record.not_timed}
    rows = []
    for (layer, operation), found in times.items():
        unit = found.get(first)
        cells = [_cell(found.get(spec), unit, why.get((layer, operation, spec), ""), spec != first) for spec in specs]
        rows.append([f"{layer} {operation}", *cells, _cell(found.get("again"), unit, "", True)])
    return rows


def _cell(seconds: float | None, unit: float | None, reason: str, compared: bool) -> str:
    if seconds is None:
        for long, short in SHORT.items():
            if reason.startswith(long):
                return reason.replace(long, short).split(":")[0]
        return reason.split(":")[0]
    told = f"{seconds * 1000:.3g}" if seconds < 1 else f"{seconds * 1000:.0f}"
    return f"{told} x{seconds / unit:<5.3g}" if compared and unit else told


def _refusals(record: Record) -> list[str]:
    """Count what was not timed by reason, and name each fault, which its failure tells in full."""
    counts: dict[tuple[str, str], int] = defaultdict(int)
    faults = []
    for row in record.not_timed:
        reason = row["reason"].split(", estimated")[0]
        if reason.startswith(("wrong", "raised")):
            faults.append(f"{row['implementation']} {row['layer']} {row['operation']}: {row['reason']}")
        else:
            counts[row["implementation"], reason] += 1
    return [*(f"{spec}: {count} not timed, {reason}" for (spec, reason), count in counts.items()), *faults]
