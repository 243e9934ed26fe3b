"""How near each implementation comes to its bound: the largest errors, in units of what rounding explains."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise

import pandas as pd

from reports import load
from reports.matrix import distinct, grouped
from reports.nearness import Counts, added
from reports.rows import Row
from reports.section import Table, listed
from reports.sentences import plural

Nearness = Mapping[tuple[str, str], Counts]  # by operation and implementation
LEAST = -11  # power of two of the first bar, which smaller errors share
FINEST = -6  # the table has cases that are off by less than 2**-6 of their bound in one column


def ratios(rows: list[Row]) -> pd.DataFrame:
    """Return the largest error in units of its bound: operations down, implementations across."""
    frame = load.tidy(rows).dropna(subset="worst_ratio")
    table = frame.pivot_table("worst_ratio", index="operation", columns="implementation", aggfunc="max", sort=False)
    return table.reindex(columns=[name for name in distinct(rows, "implementation") if name in table])


def nearness(rows: list[Row]) -> dict[tuple[str, str], Counts]:
    """Return how many cases of each operation and implementation came how near to their bound."""
    found = grouped((row for row in rows if row.nearness), lambda row: (row.operation, row.implementation))
    return {pair: added(row.nearness for row in its) for pair, its in found.items()}


def caption(found: pd.DataFrame, rows: list[Row]) -> list[str]:
    """Say what the figure shows: who comes nearest to the bound, or is beyond it; and what differs without a number."""
    said = []
    flat = found.stack()
    beyond = flat[flat > 1].sort_values(ascending=False)
    if len(beyond):
        whose = listed(f"{who} in {operation} ({ratio(value)} times)" for (operation, who), value in beyond.items())
        said.append(f"Beyond the bound, and so not explained by rounding: {whose}.")
    within = flat[flat <= 1]
    if len(within):
        operation, who = within.idxmax()
        lead = "Of the rest, the" if len(beyond) else "Nothing that was measured exceeds its bound. The"
        said.append(f"{lead} nearest to it is {who} in {operation}, with {ratio(within.max())} of the bound.")
        exact = [str(who) for who in found if (found[who].dropna() == 0).all() and found[who].notna().any()]
        if exact:
            said.append(f"Without any error: {listed(exact)}.")
    said += _spread(rows)
    unmeasured = [(row.implementation, row.operation) for row in rows if row.verdict == "differs"]
    unmeasured = [
        (who, operation) for who, operation in dict.fromkeys(unmeasured) if (operation, who) not in beyond.index
    ]
    if unmeasured:
        whose = listed(f"{who} in {operation}" for who, operation in unmeasured)
        said.append(f"Not drawn is what differs where nothing but the exact answer will do: {whose}.")
    return said


def _spread(rows: list[Row]) -> list[str]:
    """Say what the bars are, and where the middle of each implementation's cases lies."""
    of = grouped((row for row in rows if row.nearness), lambda row: row.implementation)
    if not of:
        return []
    counts = {name: added(row.nearness for row in its) for name, its in of.items()}
    cases, exact = sum(each.total() for each in counts.values()), sum(each[None] for each in counts.values())
    bars = f"The bars are the {plural(cases, 'case')} that have a bound, by the largest error of each, in steps of two"
    bars += f" ({_part(LEAST + 1)} and less in one)"
    said = [f"{bars}; {exact:,} of them have no error at all." if exact else f"{bars}."]
    halves = grouped((name for name in counts if {*counts[name]} - {None}), lambda name: _half(counts[name]))
    parts = [f"{_part(power)} for {listed(names)}" for power, names in sorted(halves.items())]
    return [*said, f"Half of those with an error stay below {listed(parts)}."] if parts else said


def _half(counts: Counts) -> int:
    """Return the power of two that at least half of the cases with an error stay below."""
    powers = sorted(power for power, count in counts.items() for _ in range(count) if power is not None)
    return powers[(len(powers) - 1) // 2] + 1


def _part(power: int) -> str:
    return f"1/{2**-power:,}" if power < 0 else f"{2**power:,}"


def table(found: pd.DataFrame, near: Nearness) -> Table:
    """Return every largest error, and the counts of cases behind the bars."""
    edges = [-math.inf, *range(FINEST, 1)] if near else []
    head = ["no error", *(f"below {_part(power)}" for power in range(FINEST, 1))] if near else []
    if any(power is not None and power >= 0 for counts in near.values() for power in counts):
        edges, head = [*edges, math.inf], [*head, "1 or more"]
    rows = []
    for operation, values in found.iterrows():
        for name, value in values.dropna().items():
            counts = near.get((str(operation), str(name)), Counts())
            numbers = [counts[None]] if near else []
            numbers += [sum(counts[power] for power in counts if power is not None and low <= power < high)
                        for low, high in pairwise(edges)]  # fmt: skip
            largest = ("✗ " if value > 1 else "") + ratio(value)
            rows.append([str(operation), str(name), largest, *(f"{each:,}" if each else "" for each in numbers)])
    return Table(("operation", "implementation", "largest", *head), rows, 2)


def ratio(value: float | None) -> str:
    """Write a number of bounds to two digits, less than 1 never as 1; nothing where nothing was measured."""
    if value is None or math.isnan(value):
        return ""
    if value == math.inf:
        return "∞"
    if 0.99 < value < 1:
        return f"{math.floor(1000 * value) / 1000:.3f}"
    return f"{value:.2g}" if value < 100 else f"{value:,.0f}" if value < 1e5 else f"{value:.1e}"
