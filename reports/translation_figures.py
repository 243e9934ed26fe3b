"""A photograph that moves: outputs that change against the shift, and the feature maps themselves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports import svg
from reports.steps import VARIANTS
from reports.svg import INK, MUTED
from reports.translation import Pair

PLOT, TITLE, FOOT = 1.7, 0.32, 0.42  # inches
SCALE = 0.68  # inches of the scale of differences
WHAT = {"changed_fraction": "outputs changed", "relative_change": "relative change"}
SHORT = {"A": "maximum", "A-average": "average", "A-l2": "L2 norm", "B": "two convolutions", "C": "stride alone"}


def changes(lines: pd.DataFrame) -> dict[str, str]:
    """Draw a panel for each stride, for the part of the outputs that changes and for how much they change."""
    return svg.drawn(lambda narrow: _changes(lines, narrow), "translation")


def _changes(lines: pd.DataFrame, narrow: bool) -> Figure:
    strides = sorted({*lines["S"]})
    variants = _variants(lines)
    names = [SHORT.get(each, each) for each in variants]
    numbers = {name: number for number, name in enumerate(names)}
    grid = (
        [[(S, what) for what in WHAT] for S in strides] if narrow else [[(S, what) for S in strides] for what in WHAT]
    )
    key = svg.legend_height(names, narrow)
    each = TITLE + PLOT + FOOT
    width, total = svg.NARROW if narrow else svg.WIDE, key + each * len(grid)
    figure = Figure(figsize=(width, total))
    for down, row in enumerate(grid):
        for across, (S, what) in enumerate(row):
            left, wide = across * width / len(row) + 0.48, width / len(row) - 0.6
            bottom = total - key - down * each - TITLE - PLOT
            axes = figure.add_axes((left / width, bottom / total, wide / width, PLOT / total))
            _panel(axes, lines[lines["S"] == S], variants, what, float(lines[what].max()))
            title = f"S {S:g}, {WHAT[what]}" if not narrow or across else f"S {S:g}, changed"
            look = {"color": INK, "fontsize": 8.5 if narrow else 9.5, "fontweight": "bold"}
            axes.annotate(title, (0, 1), (-24, 8), "axes fraction", "offset points", **look)
    svg.legend(figure, names, numbers, 0.06 / width, narrow)
    return figure


def _panel(axes: Axes, lines: pd.DataFrame, variants: list[str], what: str, most: float) -> None:
    svg.bare(axes, "y")
    shifts = sorted({*lines["shift"]})
    for number, variant in enumerate(variants):
        its = lines[lines["variant"] == variant].groupby("shift")[what]
        mean, low, high = its.mean(), its.min(), its.max()
        at = [shift + 0.09 * (number - (len(variants) - 1) / 2) for shift in mean.index]
        axes.vlines(at, low, high, color=svg.color(number), linewidth=1, alpha=0.55)
        axes.plot(at, mean, **svg.look(number, markersize=4.5), zorder=3, clip_on=False)
    axes.set_xticks(shifts, [f"{shift:g}" for shift in shifts])
    axes.set_xlim(shifts[0] - 0.5, shifts[-1] + 0.5)
    top = 1.04 if what == "changed_fraction" else max(most * 1.05, 0.01)
    axes.set_ylim(0, top)
    axes.set_yticks(axes.get_yticks())
    axes.set_ylim(-0.09 * top, top)  # what is 0 stands clear of the numbers below
    if what == "changed_fraction":
        axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:.0f} %")
    axes.set_xlabel("shift, pixels", color=MUTED, fontsize=8.5)


def maps(found: list[Pair], photograph: np.ndarray | None) -> dict[str, str]:
    """Draw for each variant its map, the map of the moved photograph, and how far they differ, with the scale of it."""
    return svg.drawn(lambda narrow: _maps(found, photograph, narrow), "maps")


@dataclass(frozen=True)
class Tile:
    """One picture: the series it belongs to and its place in it, what it shows, and the words above and beside it."""

    series: int
    place: int
    image: np.ndarray
    above: str = ""
    beside: str = ""
    difference: bool = False


def _tiles(found: list[Pair], photograph: np.ndarray | None) -> Iterator[Tile]:
    if photograph is not None:
        yield Tile(0, 0, photograph, "photograph")
    for series, each in enumerate(found, start=int(photograph is not None)):
        first = each is found[0]
        yield Tile(series, 0, each.still, SHORT.get(each.variant, each.variant), "as it is" if first else "")
        yield Tile(series, 1, each.moved, "", f"moved by {each.shift:g}" if first else "")
        if each.difference is not None:
            yield Tile(series, 2, each.difference, "", "difference" if first else "", True)


def _maps(found: list[Pair], photograph: np.ndarray | None, narrow: bool) -> Figure:
    tiles = [*_tiles(found, photograph)]
    series = 1 + max(each.series for each in tiles)
    most = max([float(each.image.max()) for each in tiles if each.difference] + [1.0])
    across, down = (3, series) if narrow else (series, 3)
    width = svg.NARROW if narrow else svg.WIDE
    left, above = (0.05, 0.24) if narrow else (0.85, 0)  # of the words beside, and those above each row
    cell = min(1.6, (width - left - 0.05) / across)
    scale = SCALE if any(each.difference for each in tiles) else 0.0
    total = 0.26 + down * (cell + above) + scale
    figure = Figure(figsize=(width, total))
    for tile in tiles:
        column, row = (tile.place, tile.series) if narrow else (tile.series, tile.place)
        bottom = total - 0.22 - above - row * (cell + above) - cell
        box = ((left + column * cell) / width, bottom / total, (cell - 0.05) / width, (cell - 0.05) / total)
        axes = figure.add_axes(box, xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        colors, brightest = ("cividis", most) if tile.difference else ("gray", 255)
        axes.imshow(tile.image, cmap=colors, vmin=0, vmax=brightest, interpolation="none")
        title = tile.above or tile.beside if narrow else tile.above
        axes.annotate(title, (0, 1), (0, 4), "axes fraction", "offset points",
                      color=INK if tile.above else MUTED, fontsize=9)  # fmt: skip
        if tile.beside and not narrow:
            at = {"xytext": (-7 - 72 * cell * (tile.place == 0 and tile.series), 0), "textcoords": "offset points"}
            axes.annotate(tile.beside, (0, 0.5), xycoords="axes fraction", color=MUTED, fontsize=8.5, ha="right",
                          va="center", **at)  # fmt: skip
    if scale:
        _scale(figure, left + (0 if narrow else cell * (photograph is not None)), min(2.6, width - left - 0.2), most)
    return figure


def _scale(figure: Figure, left: float, width: float, most: float) -> None:
    """Draw the scale of all differences below them: what a colour stands for, in units of the range of a map."""
    across, down = figure.get_size_inches()
    axes = figure.add_axes((left / across, (SCALE - 0.32) / down, width / across, 0.1 / down), yticks=[])
    svg.bare(axes)
    ramp = np.linspace(0, 1, 64)[np.newaxis]
    axes.imshow(ramp, cmap="cividis", aspect="auto", interpolation="none", extent=(0, most / 255, 0, 1))
    axes.set_xticks([0, most / 510, most / 255], ["0", f"{50 * most / 255:.2g} %", f"{100 * most / 255:.2g} %"])
    ends = axes.get_xticklabels()
    ends[0].set_ha("left")
    ends[-1].set_ha("right")
    axes.annotate("difference, of the range of the map", (0, 1), (0, 3), "axes fraction", "offset points",
                  color=MUTED, fontsize=8.5)  # fmt: skip


def _variants(lines: pd.DataFrame) -> list[str]:
    present = {*lines["variant"]}
    return [each for each in VARIANTS if each in present] + sorted(present - {*VARIANTS})
