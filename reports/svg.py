"""Drawings as SVG that takes its colours from the page: one drawing serves light and dark, another the phone."""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.path import Path
from matplotlib.transforms import Affine2D

MARKERS = "os^Dv<>pPX*h"  # a shape for each implementation: the figure reads without colour
COLORS = 8  # --c0 to --c7 of the page
STEPS = 6  # of a heat map, to either side of its middle

# stand-ins that Matplotlib writes into the SVG, each replaced by a variable of the page's style
INK, MUTED, LINE, BAD, PAPER = "#010101", "#010102", "#010103", "#010104", "#010105"
WIDE, NARROW = 8.6, 3.7  # inches
_ARROW = Path([(0, 1), (0, -1), (-0.6, -0.2), (0, -1), (0.6, -0.2)], [Path.MOVETO, *[Path.LINETO] * 4])
# how a mark is changed into an arrow: what it stands for lies beyond the axis
DOWN = {"marker": _ARROW, "markerfacecolor": "none", "markeredgewidth": 1.3, "markersize": 7}
LEFT = DOWN | {"marker": _ARROW.transformed(Affine2D().rotate_deg(-90))}
WIDE_LABEL, NARROW_LABEL = 32, 20  # characters of a name to the left

# text stays text, a name with a $ is no formula, and equal results give an equal page
_SETTINGS = {"svg.fonttype": "none", "text.parse_math": False, "svg.hashsalt": "poolproof"}
_STAND_INS = {INK: "var(--ink)", MUTED: "var(--muted)", LINE: "var(--line)", BAD: "var(--bad)", PAPER: "var(--paper)"}
_STAND_INS |= {f"#0102{number:02x}": f"var(--c{number})" for number in range(COLORS)}
_STAND_INS |= {
    f"#0103{STEPS + step:02x}": f"color-mix(in srgb, var(--c{int(step < 0)}) {9 * abs(step)}%, var(--paper))"
    for step in range(-STEPS, STEPS + 1)
}


def drawn(draw: Callable[[bool], Figure], name: str) -> dict[str, str]:
    """Draw for a desk and for a phone; `draw` is told whether it is narrow. `name` sets the ids apart on a page."""
    found = {}
    with matplotlib.rc_context(_SETTINGS), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of glyphs that the font lacks: the reader's browser has its own
        for width in ("wide", "narrow"):
            found[width] = _svg(draw(width == "narrow"), f"{name}-{width}")
    return found


def color(number: int) -> str:
    """Return the colour of a series."""
    return f"#0102{number % COLORS:02x}"


def heat(step: int) -> str:
    """Return a step of the diverging scale: above 0 the one colour, below the other, at 0 the paper."""
    return f"#0103{STEPS + max(-STEPS, min(STEPS, step)):02x}"


def clipped(name: str, most: int = 24) -> str:
    """Clip a long path, and keep Matplotlib from hiding a label that begins with an underscore."""
    name = name if len(name) <= most else "…" + name[1 - most :]
    return f"\u200b{name}" if name.startswith("_") else name


def middle(name: str, most: int) -> str:
    """Clip a long name: of its first word, which other layers of the network share; if that is not enough, its middle.

    So resnet50-14-3x3-512-512-s2 becomes r…14-3x3-512-512-s2, which no other layer is called.
    """
    if len(name) <= most:
        return clipped(name, most)
    word, _, rest = name.partition("-")
    room = most - len(rest) - 1  # for the first word, beside the sign that something is left out
    if rest and 0 <= room < len(word):
        return clipped(f"{word[:room]}…{rest}", most)
    return clipped(name[: most // 3] + "…" + name[len(name) - (most - most // 3 - 1) :], most)


def label_width(names: Iterable[str], narrow: bool) -> float:
    """Return the inches that names to the left of a drawing take, the longest clipped."""
    longest = min(NARROW_LABEL if narrow else WIDE_LABEL, max(map(len, names), default=0))
    return 0.12 + longest * (0.063 if narrow else 0.075)


def short(amount: str) -> str:
    """Leave out the zeros at the end of decimals, for the numbers along an axis."""
    return re.sub(r"\.?0+ ", " ", amount) if "." in amount else amount


def ticks(low: float, high: float, least: int = 4) -> list[float]:
    """Choose round numbers along a logarithmic axis: no fewer than `least`, unless it is very short, nor many more."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found: list[float] = []
    for steps in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 5, 7), range(1, 10), [1 + each / 10 for each in range(90)]):
        found = [step * 10.0**power for power in powers for step in steps]
        found = [each for each in found if low <= each <= high]
        if len(found) >= least:
            break
    return found[:: math.ceil(len(found) / (2 * least))]


def spaced(numbers: Iterable[float], apart: float = 1.3) -> list[float]:
    """Leave out numbers that would touch the one before on a logarithmic axis."""
    kept: list[float] = []
    for number in sorted({*numbers}):
        if not kept or number >= apart * kept[-1]:
            kept.append(number)
    return kept


def bare(axes: Axes, *grid: str) -> None:
    """Leave of axes their labels and a grid along the axes that are named."""
    axes.patch.set_visible(False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.tick_params(axis="both", which="both", colors=MUTED, labelsize=8.5, length=0)
    for along in grid:
        axes.grid(axis=along, which="major", color=LINE, linewidth=0.8)
    axes.set_axisbelow(True)


def look(number: int, **more: Any) -> dict[str, Any]:
    """Return how a series is marked: the same shape and colour in every figure of a page."""
    return {"marker": MARKERS[number % len(MARKERS)], "color": color(number), "markersize": 5.5, "linewidth": 0} | more


def legend_height(names: Sequence[str], narrow: bool) -> float:
    """Return the inches that a legend takes."""
    return 0.19 * math.ceil(len(names) / _abreast(names, narrow)) + 0.06


def legend(
    figure: Figure,
    names: Sequence[str],
    numbers: Mapping[str, int],
    left: float,
    narrow: bool,
    extra: Mapping[str, dict[str, Any]] | None = None,
) -> None:
    """Name the series above the drawing, each with its mark; `extra` has the looks of marks that are no series."""
    looks = {name: look(numbers[name]) for name in names} | dict(extra or {})
    names, marks = [*looks], [Line2D([], [], **each) for each in looks.values()]
    place = {"loc": "upper left", "bbox_to_anchor": (left - 0.01, 1), "ncols": _abreast(names, narrow)}
    text = {"frameon": False, "fontsize": 9, "labelcolor": INK, "handletextpad": 0.1, "columnspacing": 1.2}
    figure.legend(marks, [clipped(name) for name in names], **place, **text, borderaxespad=0.2)


def _abreast(names: Sequence[str], narrow: bool) -> int:
    each = 0.42 + 0.072 * min(24, max(map(len, names), default=0))  # inches
    return max(1, int(((NARROW if narrow else WIDE) - 0.1) / each))


def _svg(figure: Figure, salt: str) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"|(?<=pt") height="[^"]*"', r"\1", svg, count=1)
    needed = {*re.findall(r'(?:href="#|url\(#)([^")]+)', svg)}

    def adapted(found: re.Match[str]) -> str:
        tag = re.sub(r' id="([^"]*)"', lambda name: name[0] if name[1] in needed else "", found[0])
        tag = re.sub(r'( id="|href="#|url\(#)', rf"\g<1>{salt}-", tag)  # many drawings on one page
        return re.sub(r"#010[123][0-9a-f]{2}", lambda found: _STAND_INS.get(found[0], found[0]), tag)

    return re.sub(r"<[^>]*>", adapted, svg)  # of tags alone: a name in the drawing stays as it is
