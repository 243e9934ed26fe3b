"""The largest error in units of its bound: a band for each operation, a mark for each implementation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports import svg
from reports.svg import BAD, INK, LINE, MUTED, PAPER


def error_ratios(ratios: pd.DataFrame, numbers: Mapping[str, int]) -> dict[str, str]:
    """Draw it wide and narrow.

    `ratios` has a row for each operation and a column for each implementation, NaN where nothing was measured. The axis
    is linear while all lies within the bound, and logarithmic beyond; what is infinite stands at the right edge.
    """
    return svg.drawn(lambda narrow: _drawn(ratios, numbers, narrow), "errors")


def _drawn(ratios: pd.DataFrame, numbers: Mapping[str, int], narrow: bool) -> Figure:
    found = ratios.to_numpy(dtype=float)
    finite = found[np.isfinite(found)]
    beyond = bool((found > 1).any())
    step = 0.12 if len(ratios.columns) <= 8 else 0.08
    band = step * len(ratios.columns) + (0.34 if narrow else 0.14)
    names = [str(name) for name in ratios.columns]
    height = band * len(ratios) + 0.74 + svg.legend_height(names, narrow)
    figure = Figure(figsize=(svg.NARROW if narrow else svg.WIDE, height))
    left, width = (0.03, 0.92) if narrow else (0.2, 0.77)
    axes = figure.add_axes((left, 0.45 / height, width, band * len(ratios) / height))
    axes.set_ylim(band * len(ratios), 0)
    svg.bare(axes, "x")
    right = _scale(axes, finite, beyond)
    for index, (operation, values) in enumerate(ratios.iterrows()):
        axes.axhline(index * band, color=LINE, linewidth=0.8)
        _named(axes, str(operation), index * band, band, narrow)
        first = index * band + (0.3 if narrow else 0.07) + step / 2
        for place, (name, ratio) in enumerate(values.items()):
            _mark(axes, ratio, first + place * step, right, svg.look(numbers[str(name)]))
    axes.axvline(1, color=BAD, linewidth=1.2, linestyle=(0, (4, 3)), zorder=1)
    axes.annotate("bound", (1, 0), (0, 3), textcoords="offset points", color=BAD, fontsize=8.5, ha="center")
    axes.set_xlabel("largest error, in units of its bound" + (" (log)" if beyond else ""), color=MUTED, fontsize=9)
    svg.legend(figure, names, numbers, left, narrow)
    return figure


def _scale(axes: Axes, finite: np.ndarray, beyond: bool) -> float:
    """Choose the axis; returns where what is infinite is drawn."""
    if not beyond:
        axes.set_xlim(-0.02, 1.06)
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1])
        right = 1.06
    else:
        # linear up to 0.1, so that an exact 0 has its place
        axes.set_xscale("symlog", linthresh=0.1, linscale=0.6)
        right = max(10.0, 10 * float(finite.max(initial=1)))
        axes.set_xlim(-0.01, right * 1.6)
        axes.set_xticks([0, 0.1, 1, *_powers(right)])
        axes.minorticks_off()
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}" if value < 1e4 else f"1e{np.log10(value):.0f}")
    axes.set_yticks([])
    return right


def _powers(right: float) -> list[float]:
    most = int(np.log10(right))
    return [10.0**power for power in range(1, most + 1, max(1, most // 4))]


def _named(axes: Axes, operation: str, top: float, band: float, narrow: bool) -> None:
    across = axes.get_yaxis_transform()
    if narrow:
        clear = {"facecolor": PAPER, "edgecolor": "none", "pad": 0.5}  # of the bound's line
        axes.text(0, top + 0.17, operation, transform=across, color=INK, fontsize=9, va="center", bbox=clear)
    else:
        beside = {"transform": across, "va": "center", "ha": "right"}
        axes.text(-0.015, top + band / 2, operation, color=INK, fontsize=9.5, **beside)


def _mark(axes: Axes, ratio: float, height: float, right: float, look: dict[str, Any]) -> None:
    if np.isnan(ratio):
        return
    axes.plot([min(ratio, right)], [height], **look, clip_on=False, zorder=3)
    if np.isinf(ratio):
        axes.text(right, height, " ∞", color=BAD, fontsize=9, va="center")
