"""Speed per layer as a heat map: how many times as fast as the baseline, with the number in each cell."""

from __future__ import annotations

import math
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from reports import svg
from reports.section import time, times
from reports.speed import MARKS, Speed
from reports.svg import BAD, INK, LINE, MUTED

ROW, HEAD, LEAST = 0.2, 0.26, 0.44  # inches of a line, of a heading, and of the narrowest column
BACKWARD = "_backward"
Cells = dict[tuple[str, str], dict[str, tuple[str, int, str]]]  # by operation and layer, and by implementation


def heat_map(found: Speed) -> dict[str, str]:
    """Draw layers down and implementations across; backward stands beside forward, or below where it is narrow."""
    return svg.drawn(lambda narrow: _drawn(found, narrow), "speed")


@dataclass(frozen=True)
class Panel:
    """A part of the map: its columns (backward or not, implementation) and its lines, each layer or a heading."""

    columns: list[tuple[bool, str]]
    lines: list[tuple[str | None, str]]

    @property
    def passes(self) -> list[bool]:
        """Forward, backward, or both."""
        return list(dict.fromkeys(backward for backward, _ in self.columns))


def _drawn(found: Speed, narrow: bool) -> Figure:
    cells = _cells(found)
    width = svg.NARROW if narrow else svg.WIDE
    label = svg.label_width((layer for _, layer in cells), narrow)
    longest = min(16 if narrow else 24, max(map(len, found.names)))
    for margin in (0.05, 0.045 * longest):  # level names, or where they do not fit turned ones, which reach beyond
        panels = _panels(found, cells, int((width - label - margin) / LEAST), narrow)
        column = min(0.95, (width - label - margin) / max(len(panel.columns) for panel in panels))
        if not (turned := longest * 0.068 > column - 0.06):
            break
    header = HEAD + (longest * 0.05 + 0.1 if turned else 0.2)
    heights = [header + sum(HEAD if layer is None else ROW for layer, _ in panel.lines) + 0.1 for panel in panels]
    figure = Figure(figsize=(width, sum(heights)))
    top = sum(heights)
    for panel, height in zip(panels, heights, strict=True):
        top -= height
        axes = figure.add_axes((0, top / sum(heights), 1, height / sum(heights)), xticks=[], yticks=[])
        axes.set_xlim(0, width)
        axes.set_ylim(height, 0)
        svg.bare(axes)
        _header(axes, panel, label, column, header, longest, turned)
        _body(axes, panel, cells, label, column, header, narrow)
    return figure


def _panels(found: Speed, cells: Cells, room: int, narrow: bool) -> list[Panel]:
    """Part the map so that its columns fit; the baseline stands in every part.

    All lines stand in the first part; in the others, those with a time of its own or a fault: too slow and unsupported
    are said in the caption and the table.
    """
    passes = [which for which in (False, True) if any(_is_backward(key) == which for key in cells)]
    first, *others = found.names
    abreast = not narrow and len(found.names) * len(passes) <= room
    together = [passes] if abreast else [[which] for which in passes]
    each = max(1, room // max(map(len, together)) - 1)
    parts = [[first, *others[start : start + each]] for start in range(0, max(1, len(others)), each)]
    return [
        Panel([(which, name) for which in passes for name in part], lines)
        for passes in together
        for part in parts
        if (lines := _lines(_worth_a_line(cells, part[1:]) if part is not parts[0] else cells, passes))
    ]


def _worth_a_line(cells: Cells, names: list[str]) -> Cells:
    """Keep the layers in which one of these has a time, or is wrong."""
    return {key: row for key, row in cells.items() if any(row[name][0] not in "…–" for name in names if name in row)}


def _cells(found: Speed) -> Cells:
    """Find the text of each cell, its step on the scale, and its colour."""
    cells: Cells = {}
    for line in found.lines.itertuples():
        if line.word in ("baseline", ""):
            cell = (time(line.seconds), 0, MUTED)
        else:
            mark = MARKS.get(line.word, "")
            cell = (mark + times(line.ratio), 0 if mark else _step(line.ratio), INK)
        cells.setdefault((line.operation, line.layer), {})[line.who] = cell
    for line in found.refused.itertuples():
        tone = BAD if line.sign in "✗!" else MUTED
        cells.setdefault((line.operation, line.layer), {}).setdefault(line.who, (line.sign, 0, tone))
    return cells


def _step(ratio: float) -> int:
    """Half a doubling to a step, and at least one."""
    doublings = math.log2(ratio)
    return int(math.copysign(max(1, min(svg.STEPS, round(2 * abs(doublings)))), doublings))


def _is_backward(key: tuple[str, str]) -> bool:
    return key[0].endswith(BACKWARD)


def _lines(cells: Cells, panel: list[bool]) -> list[tuple[str | None, str]]:
    """List each layer (layer, forward operation) of a panel, and before those of an operation a heading (None, it)."""
    layers: dict[str, dict[str, None]] = {}
    for operation, layer in cells:
        if _is_backward((operation, layer)) in panel:
            layers.setdefault(operation.removesuffix(BACKWARD), {})[layer] = None
    lines: list[tuple[str | None, str]] = []
    for operation, names in layers.items():
        lines += [(None, operation), *((name, operation) for name in names)]
    return lines


def _header(axes: Axes, panel: Panel, label: float, column: float, header: float, longest: int, turned: bool) -> None:
    titled = set()
    for place, (backward, name) in enumerate(panel.columns):
        left = label + place * column
        if backward not in titled:
            titled.add(backward)
            title = "backward" if backward else "forward"
            axes.text(left + 0.04, HEAD / 2, title, color=INK, fontsize=9.5, fontweight="bold", va="center")
        if turned:
            look = {"rotation": 35, "rotation_mode": "anchor", "ha": "left", "va": "center"}
            axes.text(
                left + column / 2 - 0.08, header - 0.1, svg.clipped(name, longest), color=INK, fontsize=8.5, **look
            )
        else:
            look = {"ha": "center", "va": "center"}
            axes.text(left + column / 2, header - 0.12, svg.clipped(name, longest), color=INK, fontsize=9, **look)


def _body(axes: Axes, panel: Panel, cells: Cells, label: float, column: float, top: float, narrow: bool) -> None:
    small = narrow or column < 0.5
    for layer, operation in panel.lines:
        if layer is None:
            axes.plot([0, label + len(panel.columns) * column], [top + 0.04] * 2, color=LINE, linewidth=0.8)
            said = operation + (BACKWARD if panel.passes == [True] else "")
            axes.text(0.02, top + HEAD / 2 + 0.03, said, color=MUTED, fontsize=8.5, va="center")
            top += HEAD
            continue
        middle = top + ROW / 2
        name = svg.middle(layer, svg.NARROW_LABEL if narrow else svg.WIDE_LABEL)
        axes.text(label - 0.08, middle, name, color=INK, fontsize=7.5 if narrow else 9, ha="right", va="center")
        for place, (backward, who) in enumerate(panel.columns):
            text, step, tone = cells.get((operation + BACKWARD * backward, layer), {}).get(who, ("", 0, MUTED))
            left = label + place * column
            if step:
                box = Rectangle((left + 0.012, top + 0.012), column - 0.024, ROW - 0.024)
                box.set(facecolor=svg.heat(step), edgecolor="none")
                axes.add_patch(box)
            look = {"color": tone, "fontsize": 7.5 if small else 8.5, "ha": "center", "va": "center"}
            axes.text(left + column / 2, middle, text, **look)
        top += ROW
