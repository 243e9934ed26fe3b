"""im2col's memory, layer by layer: the textbook's column matrix, and what was measured."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator
from matplotlib.transforms import ScaledTranslation

from reports import svg
from reports.memory import LEAST
from reports.section import size
from reports.svg import INK, LINE, MUTED

ROW = 0.21  # inches
MATRIX, LESS = "column matrix", "left of the axis"
SQUARE = {"marker": "s", "markersize": 8, "color": MUTED, "markerfacecolor": "none", "linewidth": 0}


def memory(lines: pd.DataFrame, numbers: Mapping[str, int]) -> dict[str, str]:
    """Draw a line for each layer: an open square for the column matrix, a mark for each measured peak."""
    return svg.drawn(lambda narrow: _drawn(lines, numbers, narrow), "memory")


def _drawn(lines: pd.DataFrame, numbers: Mapping[str, int], narrow: bool) -> Figure:
    layers, names = list(dict.fromkeys(lines["layer"])), list(dict.fromkeys(lines["who"]))
    extra = {MATRIX: SQUARE}
    if (lines["workspace"] < LEAST).any():
        extra |= {LESS: svg.look(0, color=MUTED) | svg.LEFT}
    key = svg.legend_height([*names, *extra], narrow)
    width, height = svg.NARROW if narrow else svg.WIDE, ROW * len(layers)
    label, right = svg.label_width(layers, narrow), 0.2
    total = height + 0.5 + key
    figure = Figure(figsize=(width, total))
    axes = figure.add_axes((label / width, 0.42 / total, (width - label - right) / width, height / total))
    axes.set_xscale("log")
    svg.bare(axes, "x")
    shown = [*lines["workspace"].clip(lower=LEAST), *lines["columns_bytes"]]
    axes.set_xlim(min(shown) / 1.4, max(shown) * 1.4)
    axes.set_ylim(len(layers) - 0.5, -0.5)
    axes.set_yticks([])
    most = svg.NARROW_LABEL if narrow else svg.WIDE_LABEL
    for place, layer in enumerate(layers):
        its = lines[lines["layer"] == layer]
        columns = float(its["columns_bytes"].iloc[0])
        clipped = its["workspace"].clip(lower=LEAST)
        axes.plot([min(clipped.min(), columns), max(clipped.max(), columns)], [place] * 2, color=LINE, linewidth=1.5)
        axes.plot([columns], [place], **SQUARE)
        for who, peak in zip(its["who"], its["workspace"], strict=True):
            if peak >= LEAST:
                axes.plot([peak], [place], **svg.look(numbers[who]), zorder=3)
        for number, who in enumerate(its["who"][its["workspace"] < LEAST]):
            # side by side from the edge on: how far in they stand means nothing
            aside = ScaledTranslation((6 + 9 * number) / 72, 0, figure.dpi_scale_trans)
            axes.plot([0], [place], **svg.look(numbers[who]) | svg.LEFT, zorder=3,
                      transform=axes.get_yaxis_transform() + aside)  # fmt: skip
        axes.annotate(svg.middle(layer, most), (0, place), (-8, 0), axes.get_yaxis_transform(),
                      "offset points", color=INK, fontsize=7.5 if narrow else 9, ha="right", va="center")  # fmt: skip
    axes.xaxis.set_major_locator(LogLocator(numticks=4 if narrow else 8))
    axes.minorticks_off()
    axes.xaxis.set_major_formatter(lambda count, _: svg.short(size(count)))
    axes.set_xlabel("bytes beside inputs and output", color=MUTED, fontsize=9)
    svg.legend(figure, names, numbers, 0.06 / width, narrow, extra)
    return figure
