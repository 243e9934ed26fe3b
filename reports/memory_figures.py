"""im2col's memory, layer by layer: the textbook's column matrix, and what was measured."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from reports import svg
from reports.section import size
from reports.svg import INK, LINE, MUTED

ROW = 0.21  # inches
LEAST = 1e3  # bytes: what takes less stands at the left edge
MATRIX = "column matrix"
SQUARE = {"marker": "s", "markersize": 8, "color": MUTED, "markerfacecolor": "none", "linewidth": 0}


def memory(lines: pd.DataFrame, numbers: Mapping[str, int]) -> dict[str, str]:
    """Draw a line for each layer: an open square for the column matrix, a mark for each measured peak."""
    return svg.drawn(lambda narrow: _drawn(lines, numbers, narrow), "memory")


def _drawn(lines: pd.DataFrame, numbers: Mapping[str, int], narrow: bool) -> Figure:
    layers, names = list(dict.fromkeys(lines["layer"])), list(dict.fromkeys(lines["who"]))
    key = svg.legend_height([*names, MATRIX], narrow)
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
        for who, peak in zip(its["who"], clipped, strict=True):
            axes.plot([peak], [place], **svg.look(numbers[who]), zorder=3)
        axes.annotate(svg.middle(layer, most), (0, place), (-8, 0), axes.get_yaxis_transform(),
                      "offset points", color=INK, fontsize=7.5 if narrow else 9, ha="right", va="center")  # fmt: skip
    axes.minorticks_off()
    axes.xaxis.set_major_formatter(lambda count, _: svg.short(size(count)))
    axes.set_xlabel("bytes beside inputs and output", color=MUTED, fontsize=9)
    svg.legend(figure, names, numbers, 0.06 / width, narrow, {MATRIX: SQUARE})
    return figure
