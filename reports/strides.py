"""What a stride saves: time, size, cost and receptive field of one layer at other strides."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from reports import scaling, stats
from reports.benchmarks import Benchmarks, contradicted
from reports.scaling import Growth, expected
from reports.section import Table, three, time

COUNTED = {
    "out": "output, along a side",
    "macs": "multiply-adds",
    "receptive_field": "an output sees, along a side",
}


@dataclass(frozen=True)
class Strides:
    """The rows of the experiment, a line for each implementation, and what each stride makes of the layer."""

    lines: pd.DataFrame
    growths: list[Growth]

    @property
    def counted(self) -> pd.DataFrame:
        """Size, cost and receptive field at each stride: the same for every implementation."""
        return self.lines.drop_duplicates("S").set_index("S")[[*COUNTED]]


def strides(found: Benchmarks) -> Strides:
    """Read the table stride as a sweep: a layer at other strides. Raises BenchmarkError for another's table."""
    lines = found.table("stride", ("implementation",), ("S", "out", "receptive_field", "cpu_seconds", "macs"))
    lines = lines[(lines[["S", "out", "receptive_field", "cpu_seconds", "macs"]] > 0).all(axis=1)]
    lines = lines.sort_values("S", kind="stable")
    lines = found.timed(lines, [f"stride-{S:g}" for S in lines["S"]])
    fitted = []
    for name, its in lines.groupby("who", sort=False):
        points = tuple(zip(its["S"].tolist(), its["cpu_seconds"].tolist(), strict=True))
        slope = stats.power_law(its["S"].to_numpy(), its["cpu_seconds"].to_numpy())
        fitted.append(Growth(str(name), "conv2d", "S", points, slope, expected(its["S"], its["macs"])))
    return Strides(lines, fitted)


def caption(found: Strides) -> list[str]:
    """Say what the figure shows: what falls and what grows with the stride, and whether time goes with the cost."""
    counted = found.counted
    first, last = counted.iloc[0], counted.iloc[-1]
    if len(counted) < 2:
        return [*scaling.caption(found.growths), *contradicted(found.lines)]
    said = (
        f"From stride {counted.index[0]:g} to {counted.index[-1]:g}, the output {_goes(first['out'], last['out'])} "
        f"from {first['out']:g}x{first['out']:g} to {last['out']:g}x{last['out']:g}; the multiply-adds "
        f"{_go(first['macs'], last['macs'])} from {_millions(first['macs'])} to {_millions(last['macs'])}; "
        f"and what an output sees "
        f"{_goes(first['receptive_field'], last['receptive_field'])} from {first['receptive_field']:g} to "
        f"{last['receptive_field']:g} cells."
    )
    return [said, *scaling.caption(found.growths), *contradicted(found.lines)]


def table(found: Strides) -> Table:
    """Return size, receptive field, multiply-adds and time at each stride."""
    head = ("S", "implementation", "output", "sees, under a 3x3 convolution", "multiply-adds", "time")
    rows = [
        [f"{line.S:g}", line.who, f"{line.out:g}x{line.out:g}", f"{line.receptive_field:g}", _millions(line.macs),
         time(line.cpu_seconds)]
        for line in found.lines.itertuples()
    ]  # fmt: skip
    return Table(head, rows, 2)


def _goes(before: float, after: float) -> str:
    return "shrinks" if after < before else "grows" if after > before else "stays"


def _go(before: float, after: float) -> str:
    return "fall" if after < before else "grow" if after > before else "stay"


def _millions(count: float) -> str:
    return f"{three(count / 1e6)} M"
