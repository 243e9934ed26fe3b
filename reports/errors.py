"""How near each implementation comes to its bound: the largest error, in units of what rounding explains."""

from __future__ import annotations

import math

import pandas as pd

from reports import load
from reports.matrix import distinct
from reports.rows import Row
from reports.section import Table, listed


def ratios(rows: list[Row]) -> pd.DataFrame:
    """Return the largest error in units of its bound: operations down, implementations across."""
    frame = load.tidy(rows).dropna(subset="worst_ratio")
    table = frame.pivot_table("worst_ratio", index="operation", columns="implementation", aggfunc="max", sort=False)
    return table.reindex(columns=[name for name in distinct(rows, "implementation") if name in table])


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
    unmeasured = [(row.implementation, row.operation) for row in rows if row.verdict == "differs"]
    unmeasured = [
        (who, operation) for who, operation in dict.fromkeys(unmeasured) if (operation, who) not in beyond.index
    ]
    if unmeasured:
        whose = listed(f"{who} in {operation}" for who, operation in unmeasured)
        said.append(f"Not drawn is what differs where nothing but the exact answer will do: {whose}.")
    return said


def table(found: pd.DataFrame) -> Table:
    """Return every largest error."""
    rows = [[str(operation), *((("✗ " if value > 1 else "") + ratio(value)) for value in values)]
            for operation, values in found.iterrows()]  # fmt: skip
    return Table(("operation", *map(str, found.columns)), rows)


def ratio(value: float | None) -> str:
    """Write a number of bounds to two digits, less than 1 never as 1; nothing where nothing was measured."""
    if value is None or math.isnan(value):
        return ""
    if value == math.inf:
        return "∞"
    if 0.99 < value < 1:
        return f"{math.floor(1000 * value) / 1000:.3f}"
    return f"{value:.2g}" if value < 100 else f"{value:,.0f}" if value < 1e5 else f"{value:.1e}"
