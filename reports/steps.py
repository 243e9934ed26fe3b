"""Pool or stride: what the same step of a network costs with a pool, with two convolutions, and with a stride alone."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from reports import stats
from reports.benchmarks import Benchmarks, contradicted
from reports.section import Table, covered, limits, listed, three, time, times
from reports.stats import Floor, Interval

VARIANTS = {
    "A": "a maximum",
    "A-average": "an average",
    "A-l2": "an L2 norm",
    "B": "two convolutions",
    "C": "a stride alone",
}
POOLED, TWO, STRIDED = "A", "B", "C"


@dataclass(frozen=True)
class Steps:
    """A line for each variant, shape and implementation, and the ratio of its time to that of the maximum's."""

    lines: pd.DataFrame
    shapes: list[tuple[float, float]]  # (F, S)
    names: list[str]
    variants: list[str]
    floor: Floor | None = None

    def ratio(self, variant: str, shape: tuple[float, float], name: str) -> Interval | None:
        """Return a variant's time in units of the maximum's, with its interval, or None where one has no time."""
        above, below = (self._seconds(each, shape, name) for each in (variant, POOLED))
        return stats.ratio_of_medians(above, below) if above and below else None

    @staticmethod
    def outputs(lines: pd.DataFrame) -> list[str]:
        """Write of each line the volume that comes out; "" where the file does not say it."""
        known = {"out_h", "out_w", "out_channels"} <= {*lines.columns}
        return [f"{each.out_h:g}x{each.out_w:g}x{each.out_channels:g}" if known else "" for each in lines.itertuples()]

    def _seconds(self, variant: str, shape: tuple[float, float], name: str) -> list[float]:
        its = self.lines[(self.lines["variant"] == variant) & (self.lines["who"] == name)]
        its = its[(its["F"] == shape[0]) & (its["S"] == shape[1])]
        return its["rounds"].iloc[0] if len(its) else []


def steps(found: Benchmarks, floor: Floor | None = None) -> Steps:
    """Read the table pool_or_stride, with the raw seconds of its entries. Raises BenchmarkError for another's table."""
    lines = found.table(
        "pool_or_stride",
        ("variant", "steps", "implementation"),
        ("F", "S", "cpu_seconds", "receptive_field", "macs", "parameters"),
    )
    lines = lines[lines["cpu_seconds"] > 0]
    names = [f"pool-or-stride-{line.variant}-F{line.F:g}-S{line.S:g}" for line in lines.itertuples()]
    order = [*VARIANTS, *sorted({*lines["variant"]} - {*VARIANTS})]
    return Steps(
        found.timed(lines, names),
        sorted({*zip(lines["F"].tolist(), lines["S"].tolist(), strict=True)}),
        list(dict.fromkeys(lines["who"])),
        [name for name in order if name in {*lines["variant"]}],
        floor,
    )


def caption(found: Steps) -> list[str]:
    """Say what the figure shows: the time of each variant in units of the maximum's, and how far each sees."""
    said = []
    for name in found.names:
        parts = []
        for variant in found.variants:
            ratios = [found.ratio(variant, shape, name) for shape in found.shapes]
            values = [each.value for each in ratios if each]
            if variant != POOLED and values:
                extent = f" ({times(min(values))} to {times(max(values))})" if len(values) > 1 else ""
                parts.append(f"with {VARIANTS.get(variant, variant)} {times(stats.geometric_mean(values))}{extent}")
        if parts:
            said.append(f"In {name}, a step takes so many times as long as with a maximum: {listed(parts)}.")
    fields = []
    for F, S in found.shapes:
        its = found.lines[(found.lines["F"] == F) & (found.lines["S"] == S)].drop_duplicates("variant")
        sees = dict(zip(its["variant"], its["receptive_field"], strict=True))
        if {POOLED, TWO, STRIDED} <= {*sees}:
            fields.append(f"{sees[POOLED]:g}, {sees[TWO]:g} and {sees[STRIDED]:g} at F {F:g}, S {S:g}")
    if fields:
        said.append(
            "Cells that an output sees along one side, with a pool, with two convolutions and with the stride alone: "
            f"{'; '.join(fields)}."
        )
    return said + contradicted(found.lines)


def table(found: Steps) -> Table:
    """Return every variant, shape and implementation."""
    head = ("variant", "steps", "implementation", "F", "S", "time", "times that of the maximum", covered(found.floor),
            "output", "sees", "multiply-adds", "parameters")  # fmt: skip
    rows = []
    for line, output in zip(found.lines.itertuples(), found.outputs(found.lines), strict=True):
        ratio = found.ratio(line.variant, (line.F, line.S), line.who) or Interval(float("nan"))
        interval = limits(stats.widened(ratio, found.floor)) if line.variant != POOLED else ""  # 1 by definition
        rows.append([
            line.variant, line.steps, line.who, f"{line.F:g}", f"{line.S:g}", time(line.cpu_seconds),
            times(ratio.value), interval, output, f"{line.receptive_field:g}", f"{three(line.macs / 1e6)} M",
            f"{line.parameters:,.0f}",
        ])  # fmt: skip
    return Table(head, rows, 3)
