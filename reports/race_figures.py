"""Two drawings of a race: how much of each goal is reached, and which algorithm is the fastest, F by C and S."""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from reports import svg
from reports.goals import amount
from reports.race import Cell, Race
from reports.svg import BAD, INK, LINE, MUTED
from reports.winners import ahead, algorithms, strides

ROW, FOOT, HEAD = 0.235, 0.45, 0.1  # inches of a goal, and below and above them
CELL, LEFT, TOP, GAP = 0.46, 0.42, 0.5, 0.3  # inches: height of a cell, room for F, for the heads, between maps
FAINT, STRONG = 0.07, 0.36  # how thick a winner's colour is where the second is as fast, and from twice as long on


def goals(race: Race) -> dict[str, str]:
    """Draw for each goal what of it is reached, the best first; nothing where nothing was measured."""
    if all(goal.measured is None for goal in race.goals):
        return {}
    return svg.drawn(lambda narrow: _goals(race, narrow), "race")


def _goals(race: Race, narrow: bool) -> Figure:
    of = sorted((goal for goal in race.goals if goal.measured is not None), key=lambda goal: -goal.share)
    width = svg.NARROW if narrow else svg.WIDE
    names = [svg.middle(race.called(goal), svg.NARROW_LABEL - 3 if narrow else svg.WIDE_LABEL) for goal in of]
    label, right = svg.label_width(names, narrow) + 0.12, 1.2
    height = HEAD + ROW * len(of) + FOOT
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((label / width, FOOT / height, (width - label - right) / width, ROW * len(of) / height))
    svg.bare(axes, "x")
    low, high = min([0.85, *(goal.share for goal in of)]), max([1.2, *(goal.share for goal in of)])
    axes.set_xscale("log")
    axes.set_xlim(low / 1.08, high * 1.08)
    axes.set_ylim(len(of) - 0.5, -0.5)
    axes.set_yticks(range(len(of)), names, color=INK)
    axes.set_xticks(ticks := svg.spaced(svg.ticks(low, high), 1.18 if not narrow else 1.4), [f"{x:g}" for x in ticks])
    axes.minorticks_off()
    axes.set_xlabel("measured over goal", color=MUTED, fontsize=9)
    axes.axvline(1, color=INK, linewidth=1.2)
    for line, goal in enumerate(of):
        met = goal.verdict != "missed"
        shade = svg.color(0) if met else BAD
        axes.plot([1, goal.share], [line, line], color=shade, linewidth=1.4, alpha=0.5)
        axes.plot(goal.share, line, marker="o" if met else "X", color=shade, markersize=6.5, linewidth=0, clip_on=False,
                  markerfacecolor="none" if goal.noisy else shade)  # fmt: skip
        axes.annotate(amount(goal).replace("at most", "≤"), (1, line), (8, 0), xycoords=("axes fraction", "data"),
                      textcoords="offset points", va="center", fontsize=8, color=INK if met else BAD)  # fmt: skip
    return figure


def winners(race: Race) -> dict[str, str]:
    """Draw a grid for each stride: in each cell its winner, how far the second is, and what `auto` chose instead."""
    return svg.drawn(lambda narrow: _winners(race, narrow), "winners")


def _winners(race: Race, narrow: bool) -> Figure:
    maps, names = strides(race), algorithms(race)
    F, C = sorted({cell.F for cell in race.cells}), sorted({cell.C for cell in race.cells})
    abreast = 1 if narrow else len(maps)
    width = svg.NARROW if narrow else svg.WIDE
    each = width / abreast - LEFT - (GAP if abreast > 1 else 0.05)
    high = TOP + CELL * len(F)
    height = (high + 0.08) * math.ceil(len(maps) / abreast)
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((0, 0, 1, 1), xticks=[], yticks=[])
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    svg.bare(axes)
    for number, (S, cells) in enumerate(maps.items()):
        left = LEFT + number % abreast * (width / abreast)
        top = TOP + number // abreast * (high + 0.08)
        _map(axes, (left, top), each / len(C), f"S {S}", {(cell.F, cell.C): cell for cell in cells}, (F, C), names)
    return figure


def _map(
    axes: Axes,
    corner: tuple[float, float],
    wide: float,
    title: str,
    cells: dict[tuple[int, int], Cell],
    sizes: tuple[list[int], list[int]],
    names: list[str],
) -> None:
    (left, top), (rows, columns) = corner, sizes
    axes.text(left, top - 0.36, title, fontsize=10, fontweight="bold", color=INK)
    for column, C in enumerate(columns):
        axes.text(left + (column + 0.5) * wide, top - 0.07, f"C {C}", ha="center", fontsize=8.5, color=MUTED)
    for row, F in enumerate(rows):
        axes.text(left - 0.07, top + (row + 0.5) * CELL, f"F {F}", ha="right", va="center", fontsize=8.5, color=MUTED)
        for column, C in enumerate(columns):
            cell = cells.get((F, C))
            if cell is not None:
                _cell(axes, cell, left + column * wide, top + row * CELL, wide, names)
    for row, F in enumerate(rows):
        for column, C in enumerate(columns):
            x, y, own = left + column * wide, top + row * CELL, _winner(cells, F, C)
            if row and _crossed(own, _winner(cells, rows[row - 1], C)):
                axes.plot([x, x + wide], [y, y], color=INK, linewidth=2.2, solid_capstyle="projecting")
            if column and _crossed(own, _winner(cells, F, columns[column - 1])):
                axes.plot([x, x], [y, y + CELL], color=INK, linewidth=2.2, solid_capstyle="projecting")


def _crossed(one: str, other: str) -> bool:
    return bool(one and other) and one != other


def _winner(cells: dict[tuple[int, int], Cell], F: int, C: int) -> str:
    return cells[F, C].winner if (F, C) in cells else ""


def _cell(axes: Axes, cell: Cell, left: float, top: float, wide: float, names: list[str]) -> None:
    axes.add_patch(Rectangle((left, top), wide, CELL, facecolor="none", edgecolor=LINE, linewidth=0.6))
    if not cell.winner:
        axes.text(left + wide / 2, top + CELL / 2, "–", ha="center", va="center", fontsize=8, color=MUTED)
        return
    strength = 0.5 if math.isinf(cell.margin) else min(1.0, cell.margin - 1)
    axes.add_patch(Rectangle((left, top), wide, CELL, facecolor=svg.color(names.index(cell.winner)), linewidth=0,
                             alpha=FAINT + (STRONG - FAINT) * strength))  # fmt: skip
    lines = [(short(cell.winner), 8.0, INK), (ahead(cell) or "alone", 7.5, INK)]
    if cell.chosen != cell.winner:
        lines.append((f"auto: {short(cell.chosen) or 'another'}", 6.5 if wide > 0.74 else 5.6, BAD))
    for place, (text, size, shade) in enumerate(lines):
        y = top + CELL * (place + 1) / (len(lines) + 1)
        axes.text(left + wide / 2, y, text, ha="center", va="center", fontsize=size, color=shade)


def short(name: str) -> str:
    """Write the first word of a name, which is enough in a cell."""
    return name.partition("-")[0]
