"""Figures as SVG that takes its colours from the page: one drawing serves light and dark."""

from __future__ import annotations

import io
import math
import re
import warnings

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

MARKERS = "os^Dv<>pPX*h"  # a shape for each implementation: the figure reads without colour
COLORS = 8  # --c0 to --c7 of the page

# text stays text, a name with a $ is no formula, and equal results give an equal page
_SETTINGS = {"svg.fonttype": "none", "text.parse_math": False, "svg.hashsalt": "poolproof"}
# stand-ins that Matplotlib writes into the SVG, each replaced by a variable of the page's style
_INK, _MUTED, _LINE, _BAD, _PAPER = "#010101", "#010102", "#010103", "#010104", "#010105"
_STAND_INS = {_INK: "--ink", _MUTED: "--muted", _LINE: "--line", _BAD: "--bad", _PAPER: "--paper"}
_SERIES = [f"#0102{number:02x}" for number in range(COLORS)]


def error_ratios(ratios: pd.DataFrame, narrow: bool = False) -> str:
    """Draw the largest error in units of its bound: a band for each operation, a mark for each implementation.

    `ratios` has a row for each operation and a column for each implementation, NaN where nothing was measured. The axis
    is linear while all lies within the bound, and logarithmic beyond; what is infinite stands at the right edge.
    """
    with matplotlib.rc_context(_SETTINGS), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of glyphs that the font lacks: the reader's browser has its own
        return _svg(_drawn(ratios, narrow), "narrow" if narrow else "wide")


def _drawn(ratios: pd.DataFrame, narrow: bool) -> Figure:
    found = ratios.to_numpy(dtype=float)
    finite = found[np.isfinite(found)]
    beyond = bool((found > 1).any())
    step = 0.12 if len(ratios.columns) <= 8 else 0.08
    band = step * len(ratios.columns) + (0.34 if narrow else 0.14)
    names = [_named(str(name)) for name in ratios.columns]
    abreast = 2 if narrow else 6 if max(map(len, names)) < 16 else 4
    height = band * len(ratios) + 0.8 + 0.19 * math.ceil(len(names) / abreast)
    figure = Figure(figsize=(3.7 if narrow else 8.6, height))
    left, width = (0.03, 0.92) if narrow else (0.2, 0.77)
    axes = figure.add_axes((left, 0.45 / height, width, band * len(ratios) / height))
    axes.set_ylim(band * len(ratios), 0)
    right = _scale(axes, finite, beyond)
    for index, (operation, values) in enumerate(ratios.iterrows()):
        _band(axes, str(operation), values, index * band, band, step, right, narrow)
    axes.axvline(1, color=_BAD, linewidth=1.2, linestyle=(0, (4, 3)), zorder=1)
    axes.annotate("bound", (1, 0), (0, 3), textcoords="offset points", color=_BAD, fontsize=8.5, ha="center")
    axes.set_xlabel("largest error, in units of its bound" + (" (log)" if beyond else ""), color=_MUTED, fontsize=9)
    _legend(figure, names, abreast, left)
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
    axes.tick_params(axis="x", colors=_MUTED, labelsize=8.5, length=0)
    axes.set_yticks([])
    axes.grid(axis="x", color=_LINE, linewidth=0.8)
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.patch.set_visible(False)
    return right


def _powers(right: float) -> list[float]:
    most = int(np.log10(right))
    return [10.0**power for power in range(1, most + 1, max(1, most // 4))]


def _band(
    axes: Axes, operation: str, values: pd.Series, top: float, band: float, step: float, right: float, narrow: bool
) -> None:
    across = axes.get_yaxis_transform()
    axes.axhline(top, color=_LINE, linewidth=0.8)
    if narrow:
        clear = {"facecolor": _PAPER, "edgecolor": "none", "pad": 0.5}  # of the bound's line
        axes.text(0, top + 0.17, operation, transform=across, color=_INK, fontsize=9, va="center", bbox=clear)
    else:
        beside = {"transform": across, "va": "center", "ha": "right"}
        axes.text(-0.015, top + band / 2, operation, color=_INK, fontsize=9.5, **beside)
    first = top + (0.3 if narrow else 0.07) + step / 2
    for number, ratio in enumerate(values):
        if np.isnan(ratio):
            continue
        look = {"marker": _marker(number), "markersize": 5.5, "color": _color(number), "linewidth": 0}
        axes.plot([min(ratio, right)], [first + number * step], **look, clip_on=False, zorder=3)
        if np.isinf(ratio):
            axes.text(right, first + number * step, " ∞", color=_BAD, fontsize=9, va="center")


def _named(implementation: str) -> str:
    """Clip a long path, and keep Matplotlib from hiding a label that begins with an underscore."""
    clipped = implementation if len(implementation) <= 24 else "…" + implementation[-23:]
    return f"\u200b{clipped}" if clipped.startswith("_") else clipped


def _legend(figure: Figure, names: list[str], abreast: int, left: float) -> None:
    each = [{"marker": _marker(number), "color": _color(number)} for number in range(len(names))]
    marks = [Line2D([], [], **look, linewidth=0, markersize=5.5) for look in each]
    place = {"loc": "upper left", "bbox_to_anchor": (left - 0.01, 1), "ncols": abreast}
    look = {"frameon": False, "fontsize": 9, "labelcolor": _INK, "handletextpad": 0.1, "columnspacing": 1.2}
    figure.legend(marks, names, **place, **look, borderaxespad=0.2)


def _marker(number: int) -> str:
    return MARKERS[number % len(MARKERS)]


def _color(number: int) -> str:
    return _SERIES[number % COLORS]


def _svg(figure: Figure, salt: str) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"|(?<=pt") height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(id="|href="#|url\(#)', rf"\g<1>{salt}-", svg)  # two drawings on one page
    for stand_in, name in (_STAND_INS | {_SERIES[n]: f"--c{n}" for n in range(COLORS)}).items():
        svg = svg.replace(stand_in, f"var({name})")
    return svg
