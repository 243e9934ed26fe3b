"""What a stride saves, on one axis of strides: time at the left, and beside it size, cost and receptive field."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports import scaling_figures, svg
from reports.section import three
from reports.strides import COUNTED, Strides
from reports.svg import INK, MUTED

PLOT, GAP = 0.92, 0.34  # inches of a small panel, and from one to the next


def panels(found: Strides, numbers: Mapping[str, int]) -> dict[str, str]:
    """Draw time over the stride, and beside it (below it where it is narrow) what the stride makes of the layer."""
    return svg.drawn(lambda narrow: _drawn(found, numbers, narrow), "strides")


def _drawn(found: Strides, numbers: Mapping[str, int], narrow: bool) -> Figure:
    small = len(COUNTED) * PLOT + (len(COUNTED) - 1) * GAP
    title, foot = 0.32, 0.5
    key = scaling_figures.LINE_OF_KEY * (1 + len(found.growths))
    height = title + small + foot + (key if not narrow else small + title + foot + key)
    width = svg.NARROW if narrow else svg.WIDE
    across = width if narrow else width / 2
    left, wide = 0.62, across - 0.85
    figure = Figure(figsize=(width, height))

    def box(across: float, top: float, deep: float) -> tuple[float, float, float, float]:
        return across / width, (height - top - deep) / height, wide / width, deep / height

    times = figure.add_axes(box(left, title, small))
    scaling_figures.panel(times, found.growths, numbers, "time", reach=0.5)
    top = title if not narrow else title + small + foot + key + title
    for what, words in COUNTED.items():
        axes = figure.add_axes(box(left if narrow else across + left, top, PLOT), sharex=times)
        _counted(axes, found.counted[what], words)
        axes.tick_params(labelbottom=top + PLOT > height - foot - key - 0.01)
        top += PLOT + GAP
    for axes in (times, figure.axes[-1]):
        axes.set_xlabel("stride", color=MUTED, fontsize=9)
    return figure


def _counted(axes: Axes, numbers: pd.Series, words: str) -> None:
    """Draw one curve, whose ticks are its own numbers."""
    axes.set_yscale("log")
    svg.bare(axes, "x", "y")
    axes.plot(numbers.index, numbers, color=MUTED, marker="o", markersize=4, linewidth=1.3, zorder=3, clip_on=False)
    apart = max(1.02, (numbers.max() / numbers.min()) ** (1 / 5))
    ticks = svg.spaced(numbers, apart)
    axes.set_yticks(ticks, [_short(tick) for tick in ticks])
    axes.set_ylim(numbers.min() / apart**0.3, numbers.max() * apart**0.3)
    axes.minorticks_off()
    axes.annotate(words, (0, 1), (-38, 7), "axes fraction", "offset points", color=INK, fontsize=9.5,
                  fontweight="bold")  # fmt: skip


def _short(count: float) -> str:
    return f"{three(count / 1e6)} M" if count >= 1e6 else f"{count:g}"
