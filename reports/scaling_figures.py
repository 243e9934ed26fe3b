"""Time against one size of the layer, on logarithmic axes: points, fitted lines, and the slope of the multiply-adds."""

from __future__ import annotations

import math
from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation

from reports import svg
from reports.scaling import LETTERS, Growth
from reports.section import minus, time
from reports.svg import INK, MUTED

PLOT, TITLE, FOOT, LINE_OF_KEY = 1.9, 0.3, 0.5, 0.17  # inches
GUIDE = {"color": MUTED, "linewidth": 1.2, "linestyle": (0, (2, 2))}  # of the multiply-adds


def panels(found: list[Growth], numbers: Mapping[str, int], name: str = "growth") -> dict[str, str]:
    """Draw a panel for each operation and letter, two abreast, or one where it is narrow."""
    return svg.drawn(lambda narrow: _drawn(found, numbers, narrow), name)


def _drawn(found: list[Growth], numbers: Mapping[str, int], narrow: bool) -> Figure:
    keys = list(dict.fromkeys((each.operation, each.letter) for each in found))
    of = {key: [each for each in found if (each.operation, each.letter) == key] for key in keys}
    abreast = 1 if narrow or len(keys) == 1 else 2
    rows = [keys[start : start + abreast] for start in range(0, len(keys), abreast)]
    deep = [LINE_OF_KEY * max(1 + len(of[key]) for key in row) for row in rows]  # of the key below each panel
    heights = [TITLE + PLOT + FOOT + each for each in deep]
    width = svg.NARROW if narrow else svg.WIDE
    figure = Figure(figsize=(width, sum(heights)))
    top = total = sum(heights)
    for row, height in zip(rows, heights, strict=True):
        for place, key in enumerate(row):
            left, wide = place * width / abreast + 0.62, width / abreast - 0.85
            box = (left / width, (top - TITLE - PLOT) / total, wide / width, PLOT / total)
            panel(figure.add_axes(box), of[key], numbers, _titled(*key, len({name for name, _ in keys}) > 1))
        top -= height
    return figure


def panel(axes: Axes, found: list[Growth], numbers: Mapping[str, int], title: str, reach: float = 0.38) -> None:
    """Draw the times of one operation over one letter; the key begins so many inches below the panel: its `reach`."""
    axes.set_xscale("log")
    axes.set_yscale("log")
    svg.bare(axes, "x", "y")
    sizes = sorted({value for each in found for value, _ in each.points})
    times = [seconds for each in found for _, seconds in each.points]
    for each in found:
        look = svg.look(numbers[each.who])
        axes.plot(*zip(*each.points, strict=True), **look, zorder=3)
        if each.slope:
            ends = each.points[0][0], each.points[-1][0]
            axes.plot(ends, [each.slope.at(end) for end in ends], color=look["color"], linewidth=1.3)
    expected = max(found, key=lambda each: len(each.points)).expected
    ends = sizes[0], sizes[-1]
    if not math.isnan(expected):
        # from above the longest time, at the size with the most work: what grows less falls less steeply
        most = ends[expected > 0]
        scale = 1.3 * max(seconds / most**expected for each in found for value, seconds in each.points if value == most)
        axes.plot(ends, [scale * end**expected for end in ends], **GUIDE)
    axes.set_xticks(svg.spaced(sizes), [f"{size:g}" for size in svg.spaced(sizes)])
    axes.set_xlim(ends[0] / 1.12, ends[1] * 1.12)
    axes.set_ylim(min(times) / 1.5, max(times) * 1.5)
    axes.set_yticks(svg.ticks(*axes.get_ylim()))
    axes.minorticks_off()
    axes.yaxis.set_major_formatter(lambda seconds, _: svg.short(time(seconds)))
    axes.annotate(title, (0, 1), (-38, 8), "axes fraction", textcoords="offset points", color=INK, fontsize=9.5,
                  fontweight="bold")  # fmt: skip
    _key(axes, found, numbers, expected, reach)


def _titled(operation: str, letter: str, named: bool) -> str:
    operation = operation.replace("conv2d_backward", "backward").replace("conv2d", "forward")
    return f"{letter}  {LETTERS.get(letter, '')}" + (f", {operation}" if named else "")


def _key(axes: Axes, found: list[Growth], numbers: Mapping[str, int], expected: float, reach: float) -> None:
    """Write the exponents below the panel, each with the mark of its line."""
    inches = axes.figure.dpi_scale_trans + ScaledTranslation(0, 0, axes.transAxes)  # from the corner of the panel
    lines = [(svg.clipped(each.who), each.text, svg.look(numbers[each.who]), INK) for each in found]
    if not math.isnan(expected):
        lines.append(("multiply-adds", minus(expected), GUIDE, MUTED))
    for number, (name, exponent, look, tone) in enumerate(lines):
        height = -reach - 0.04 - number * LINE_OF_KEY
        dots = [-0.47] if "marker" in look else [-0.55, -0.39]
        axes.plot(dots, [height] * len(dots), **look, transform=inches, clip_on=False)
        text = {"transform": inches, "color": tone, "fontsize": 8.5, "va": "center"}
        axes.text(-0.32, height, name, **text)
        axes.text(2.9, height, exponent, **text, ha="right")
