"""The roofline: operations a second over operations for each byte, on logarithmic axes."""

from __future__ import annotations

import math
from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports import svg
from reports.roofline import Roof
from reports.section import size, three
from reports.svg import INK, LINE, MUTED, PAPER

BELOW, UNDER = "below the axis", 0.3  # what is, stands in a strip of so many inches under it


def roofline(roof: Roof, numbers: Mapping[str, int]) -> dict[str, str]:
    """Draw convolutions filled, pools hollow, below the roof."""
    return svg.drawn(lambda narrow: _drawn(roof, numbers, narrow), "roofline")


def _drawn(roof: Roof, numbers: Mapping[str, int], narrow: bool) -> Figure:
    names = list(dict.fromkeys(roof.points["who"]))
    key = svg.legend_height([*names, *([BELOW] if len(roof.below) else [])], narrow)
    width, height = (svg.NARROW, 3.6) if narrow else (svg.WIDE, 4.6)
    figure = Figure(figsize=(width, height + key))
    under = UNDER if len(roof.below) else 0.0
    plot = height - 0.75 - under
    left, bottom = 0.55 / width, (0.5 + under) / (height + key)
    axes = figure.add_axes((left, bottom, 0.98 - left, plot / (height + key)))
    axes.set_xscale("log")
    axes.set_yscale("log")
    svg.bare(axes, "x", "y")
    points = roof.points
    low, high = roof.sides
    axes.set_xlim(low, high)
    axes.set_ylim(roof.floor, max(points["rate"].max(), roof.peak) * 1.8)
    _roof(axes, roof, low, high, narrow)
    strip = axes.get_xaxis_transform()  # a strip of its own below the axis: there, height means nothing
    if under:
        axes.axhline(roof.floor, color=LINE, linewidth=1.5, clip_on=False)
    for who, lines in points.groupby("who", sort=False):
        for pools, its in lines.groupby(lines["operation"] != "conv2d"):
            look = svg.look(numbers[who]) | ({"markerfacecolor": PAPER} if pools else {})
            below = its["rate"] < roof.floor
            axes.plot(its["intensity"][~below], its["rate"][~below], **look, zorder=3, clip_on=False)
            off = its["intensity"][below]
            for height, mark in ((-UNDER / plot / 3, look), (-UNDER / plot * 0.75, look | svg.DOWN)):
                axes.plot(off, [height] * len(off), **mark, transform=strip, zorder=3, clip_on=False)
    axes.minorticks_off()
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value / 1e9:g}")
    axes.tick_params(axis="x", pad=3.5 + 72 * under)
    axes.set_xlabel("operations for each byte", color=MUTED, fontsize=9)
    axes.set_ylabel("GFLOP/s", color=MUTED, fontsize=9)
    extra = {BELOW: svg.look(0, color=MUTED) | svg.DOWN} if under else {}
    svg.legend(figure, names, numbers, left, narrow, extra)
    return figure


def _roof(axes: Axes, roof: Roof, low: float, high: float, narrow: bool) -> None:
    name, bandwidth = roof.bandwidths[0]
    ridge = roof.ridge
    axes.plot([low, ridge, high], [low * bandwidth, roof.peak, roof.peak], color=INK, linewidth=1.4, zorder=2)
    said = f"{three(roof.peak / 1e9)} GFLOP/s" + ("" if narrow else f" ({roof.product})")
    above = {"textcoords": "offset points", "color": INK, "fontsize": 8.5}
    axes.annotate(said, (ridge, roof.peak), (14, 4), **above, ha="right")  # left of what computes as much
    begin, end = axes.transData.transform([(low, low * bandwidth), (ridge, roof.peak)])
    angle = math.degrees(math.atan2(end[1] - begin[1], end[0] - begin[0]))
    said = f"{size(bandwidth)}/s" + ("" if narrow else f" ({name})")
    middle = math.sqrt(low * ridge)
    axes.annotate(said, (middle, middle * bandwidth), (-4, 5), **above, ha="center", rotation=angle,
                  rotation_mode="anchor")  # fmt: skip
    for _, faster in roof.bandwidths[1:]:
        if faster > 1.1 * bandwidth:
            corner = min(high, roof.peak / faster)
            if corner > low:
                line = {"color": MUTED, "linewidth": 1, "linestyle": (0, (2, 3)), "zorder": 1}
                axes.plot([low, corner], [low * faster, corner * faster], **line)
