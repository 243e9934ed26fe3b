"""Errors in units of their bound: for each operation and implementation a mark at the largest, bars for all cases."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from reports import errors, svg
from reports.errors import LEAST
from reports.nearness import Counts
from reports.svg import BAD, INK, LINE, MUTED, PAPER

MOST = 24  # powers of two: what is larger stands at the right, with its number
BEYOND = math.log10(2)  # beyond the bound a power of ten takes the room of a power of two within it


def error_ratios(ratios: pd.DataFrame, near: errors.Nearness, numbers: Mapping[str, int]) -> dict[str, str]:
    """Draw it wide and narrow.

    `ratios` has a row for each operation and a column for each implementation, NaN where nothing was measured; `near`
    counts cases by powers of two. The axis is logarithmic, and what has no error stands apart at its left.
    """
    return svg.drawn(lambda narrow: _drawn(ratios, near, numbers, narrow), "errors")


def _drawn(ratios: pd.DataFrame, near: errors.Nearness, numbers: Mapping[str, int], narrow: bool) -> Figure:
    names = [str(name) for name in ratios.columns]
    step = (0.18 if len(names) <= 4 else 0.14 if len(names) <= 8 else 0.1) if near else 0.12
    heading, gap = (0.3, 0.04) if narrow else (0.07, 0.07)  # above the rows of an operation, and below them
    band = step * len(names) + heading + gap
    height = band * len(ratios) + 0.74 + svg.legend_height(names, narrow)
    figure = Figure(figsize=(svg.NARROW if narrow else svg.WIDE, height))
    left, width = (0.03, 0.92) if narrow else (0.2, 0.77)
    axes = figure.add_axes((left, 0.45 / height, width, band * len(ratios) / height))
    axes.set_ylim(band * len(ratios), 0)
    svg.bare(axes, "x")
    scale = _Scale(ratios, near)
    scale.label(axes, narrow)
    for index, (operation, values) in enumerate(ratios.iterrows()):
        axes.axhline(index * band, color=LINE, linewidth=0.8)
        _named(axes, str(operation), index * band, band, narrow)
        for row, (name, ratio) in enumerate(values.items()):
            base = index * band + heading + (row + 1) * step
            look = svg.look(numbers[str(name)])
            _bars(axes, near.get((str(operation), str(name)), Counts()), scale, base, 0.92 * step, look["color"])
            _mark(axes, ratio, base - step / 2, scale, look)
    axes.axvline(0, color=BAD, linewidth=1.2, linestyle=(0, (4, 3)), zorder=1)
    axes.annotate("bound", (0, 0), (0, 3), textcoords="offset points", color=BAD, fontsize=8.5, ha="center")
    axes.set_xlabel("error, in units of its bound (log)", color=MUTED, fontsize=9)
    svg.legend(figure, names, numbers, left, narrow)
    return figure


class _Scale:
    """Where an error stands: at its power of two within the bound, more closely beyond it; none at all apart."""

    exact = LEAST - 1.5  # the middle of a bar

    def __init__(self, ratios: pd.DataFrame, near: errors.Nearness) -> None:
        found = ratios.to_numpy(dtype=float)
        powers = [power + 1 for counts in near.values() for power in counts if power is not None]
        powers += [math.ceil(math.log2(each)) for each in found[(found > 1) & np.isfinite(found)]]
        self.most = BEYOND * min(MOST, max(0, 0, *powers))
        self.right = self.most + float((found > 2.0**MOST).any())

    def __call__(self, ratio: float) -> float:
        """Return where a ratio stands."""
        if not 0 < ratio <= 2.0**MOST:
            return self.right if ratio else self.exact
        return self.of_power(math.log2(ratio))

    def of_power(self, power: float) -> float:
        """Return where a power of two stands."""
        return max(LEAST, power if power <= 0 else power * BEYOND)

    def label(self, axes: Axes, narrow: bool) -> None:
        """Draw the axis."""
        written = 0.25 if self.right == self.most else 4.9 if narrow else 2.4  # room for a ratio off the scale
        axes.set_xlim(self.exact - 0.7, self.right + written)
        within = range(0, LEAST, -4 if narrow else -2)
        beyond = range(3, math.floor(self.most) + 1, 3) if self.most >= 3 else range(1, math.floor(self.most) + 1)
        ticks = {self.exact: "none"} | {power: f"1/{2**-power:,}" if power else "1" for power in within}
        ticks |= {power: f"{10**power:,}" if power < 5 else f"1e{power}" for power in beyond}
        axes.set_xticks([*ticks], [*ticks.values()])
        axes.set_yticks([])


def _named(axes: Axes, operation: str, top: float, band: float, narrow: bool) -> None:
    across = axes.get_yaxis_transform()
    if narrow:
        clear = {"facecolor": PAPER, "edgecolor": "none", "pad": 0.5}  # of the bound's line
        axes.text(0, top + 0.17, operation, transform=across, color=INK, fontsize=9, va="center", bbox=clear)
    else:
        beside = {"transform": across, "va": "center", "ha": "right"}
        axes.text(-0.015, top + band / 2, operation, color=INK, fontsize=9.5, **beside)


def _bars(axes: Axes, counts: Counts, scale: _Scale, base: float, height: float, color: str) -> None:
    """Draw a bar for each power of two that there are cases of, the fullest as high as there is room."""
    drawn, parts = Counts(), []
    for power, count in counts.items():
        drawn[power if power is None else max(power, LEAST)] += count
    for power, count in drawn.items():
        low = scale.exact - 0.5 if power is None else scale.of_power(power)
        high = scale.exact + 0.5 if power is None else scale.of_power(power + 1)
        top = base - height * count / max(drawn.values())
        parts.append(Path([(low, base), (low, top), (high, top), (high, base), (low, base)], closed=True))
    if parts:
        axes.add_patch(PathPatch(Path.make_compound_path(*parts), facecolor=color, alpha=0.45, linewidth=0, zorder=2))


def _mark(axes: Axes, ratio: float, height: float, scale: _Scale, look: dict[str, Any]) -> None:
    if np.isnan(ratio):
        return
    axes.plot([scale(ratio)], [height], **look, clip_on=False, zorder=3)
    if ratio > 2.0**MOST:
        place: dict[str, Any] = {"xytext": (7, 0), "textcoords": "offset points", "va": "center"}
        axes.annotate(errors.ratio(ratio), (scale.right, height), **place, color=BAD, fontsize=9)
