"""Pool or stride: the time of each variant, a panel for each filter and stride."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from reports import svg
from reports.section import time
from reports.steps import Steps
from reports.svg import INK, LINE, MUTED

ROW, TITLE, FOOT, LABEL = 0.24, 0.3, 0.32, 1.35  # inches
SHORT = {"A": "A  conv, max", "A-average": "A  conv, average", "A-l2": "A  conv, L2", "B": "B  conv, conv",
         "C": "C  conv with stride"}  # fmt: skip


def times_of_steps(found: Steps, numbers: Mapping[str, int]) -> dict[str, str]:
    """Draw a line for each variant with a mark for each implementation, on one logarithmic axis of time."""
    return svg.drawn(lambda narrow: _drawn(found, numbers, narrow), "steps")


def _drawn(found: Steps, numbers: Mapping[str, int], narrow: bool) -> Figure:
    abreast = 1 if narrow or len(found.shapes) == 1 else 2
    rows = [found.shapes[start : start + abreast] for start in range(0, len(found.shapes), abreast)]
    each = TITLE + ROW * len(found.variants) + FOOT
    key = svg.legend_height(found.names, narrow)
    width, total = svg.NARROW if narrow else svg.WIDE, key + each * len(rows)
    figure = Figure(figsize=(width, total))
    plot = ROW * len(found.variants)
    for number, row in enumerate(rows):
        top = total - key - number * each
        for place, shape in enumerate(row):
            left = place * width / abreast + LABEL
            wide = width / abreast - LABEL - 0.2
            axes = figure.add_axes((left / width, (top - TITLE - plot) / total, wide / width, plot / total))
            _panel(axes, found, shape, numbers, narrow)
    svg.legend(figure, found.names, numbers, 0.06 / width, narrow)
    return figure


def _panel(axes: Axes, found: Steps, shape: tuple[float, float], numbers: Mapping[str, int], narrow: bool) -> None:
    axes.set_xscale("log")
    svg.bare(axes, "x")
    times = found.lines["cpu_seconds"]  # of all panels, so that they compare
    axes.set_xlim(times.min() / 1.4, times.max() * 1.4)
    axes.set_ylim(len(found.variants) - 0.5, -0.5)
    axes.set_yticks([])
    lines = found.lines[(found.lines["F"] == shape[0]) & (found.lines["S"] == shape[1])]
    for place, variant in enumerate(found.variants):
        its = lines[lines["variant"] == variant]
        beside = {"textcoords": "offset points", "xycoords": axes.get_yaxis_transform(), "va": "center", "ha": "right"}
        axes.annotate(
            SHORT.get(variant, svg.clipped(variant, 18)), (0, place), (-8, 0), color=INK, fontsize=9, **beside
        )
        axes.axhline(place, color=LINE, linewidth=0.6)
        for name, seconds in zip(its["who"], its["cpu_seconds"], strict=True):
            axes.plot([seconds], [place], **svg.look(numbers[name]), zorder=3)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if times.max() < 30 * times.min() else (1,)))
    axes.minorticks_off()
    axes.xaxis.set_major_formatter(lambda seconds, _: svg.short(time(seconds)))
    F, S = shape
    title = f"F {F:g}, S {S:g}"
    left = -72 * (LABEL - 0.08) if narrow else 0
    axes.annotate(
        title, (0, 1), (left, 6), "axes fraction", "offset points", color=INK, fontsize=9.5, fontweight="bold"
    )
    sees = lines.drop_duplicates("variant").set_index("variant")["receptive_field"]
    said = "sees " + ", ".join(f"{variant} {sees[variant]:g}" for variant in ("A", "B", "C") if variant in sees.index)
    if len(sizes := {*found.outputs(lines)} - {""}) == 1:
        said = f"{sizes.pop()} out, {said}"
    axes.annotate(said, (1, 1), (0, 6), "axes fraction", "offset points", color=MUTED, fontsize=8.5, ha="right")
