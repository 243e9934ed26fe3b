"""Two drawings of the table of mutants: how soon each is found, and which files of properties kill which class."""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from reports import svg
from reports.kills import Row, Table
from reports.mutants import classes, files, meetings
from reports.svg import BAD, INK, LINE, MUTED

ROW, FOOT, HEAD = 0.27, 0.42, 0.12  # inches of a line, and below and above them
TICKS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
CELL = 0.34  # inches of a file's column


def soon(table: Table) -> dict[str, str]:
    """Draw for each class how many examples each mutant needs, and the median."""
    return svg.drawn(lambda narrow: _soon(table, narrow), "mutants")


def _soon(table: Table, narrow: bool) -> Figure:
    of = classes(table)
    width, label = svg.NARROW if narrow else svg.WIDE, svg.label_width([f"{kind} 00" for kind in of], narrow)
    height = HEAD + ROW * len(of) + FOOT
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((label / width, FOOT / height, (width - label - 0.25) / width, ROW * len(of) / height))
    svg.bare(axes, "x")
    most = max([10, *(row.alone for row in table.rows if row.alone)])
    beyond = most * 2.2
    axes.set_xscale("log")
    axes.set_xlim(0.75, beyond * 1.3)
    axes.set_ylim(len(of) - 0.5, -0.5)
    axes.set_yticks(range(len(of)), [f"{kind}  {len(rows)}" for kind, rows in of.items()], color=INK)
    axes.set_xticks(ticks := [tick for tick in TICKS if tick <= most], [f"{tick:,}" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("examples until the property that must kill it does", color=MUTED, fontsize=9)
    for line, rows in enumerate(of.values()):
        _line(axes, line, rows, beyond)
    return figure


def _line(axes: Axes, line: int, rows: list[Row], beyond: float) -> None:
    """Draw one class: mutants that need as many examples stand above each other."""
    counts: dict[float, int] = {}
    for row in sorted(rows, key=lambda row: row.alone or math.inf):
        place = float(row.alone) if row.alone else beyond
        counts[place] = counts.get(place, 0) + 1
    for place, count in counts.items():
        alive = place == beyond
        axes.plot(place, line, marker="X" if alive else "o", color=BAD if alive else svg.color(0), alpha=0.75,
                  markersize=4 + 2.2 * math.sqrt(count - 1), linewidth=0, clip_on=False, markeredgewidth=0)  # fmt: skip
        if count > 9 or alive:
            axes.annotate(str(count), (place, line), (0, -2.6), textcoords="offset points", ha="center", fontsize=7,
                          color=svg.PAPER)  # fmt: skip
    ranked = sorted(counts.items())
    middle, seen = (len(rows) + 1) / 2, 0
    for place, count in ranked:
        seen += count
        if seen >= middle:
            axes.plot([place, place], [line - 0.42, line + 0.42], color=INK, linewidth=1.4)
            break


def kills(table: Table) -> dict[str, str]:
    """Draw for each class and each file of properties the share of mutants that it kills."""
    return svg.drawn(lambda narrow: _kills(table, narrow), "kills")


def _kills(table: Table, narrow: bool) -> Figure:
    found, names = meetings(table), [*files(table)]
    width = svg.NARROW if narrow else svg.WIDE
    label = svg.label_width(found, narrow)
    cell = min(CELL, (width - label - 0.45) / len(names))
    head = 0.062 * max(map(len, names)) + 0.1
    height = head + ROW * len(found) + 0.1
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((0, 0, 1, 1), xticks=[], yticks=[])
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    svg.bare(axes)
    for place, name in enumerate(names):
        axes.text(label + (place + 0.5) * cell, head - 0.06, name, rotation=90 if narrow else 60,
                  rotation_mode="anchor", fontsize=8, color=MUTED)  # fmt: skip
    for line, (kind, its) in enumerate(found.items()):
        top = head + line * ROW
        axes.text(label - 0.08, top + ROW / 2, kind, ha="right", va="center", fontsize=7.5 if narrow else 9, color=INK)
        for place, meeting in enumerate(its.values()):
            left = label + place * cell
            share = meeting.killed / meeting.of if meeting.of else 0
            shade = svg.heat(math.ceil(share * svg.STEPS)) if meeting.of else "none"
            axes.add_patch(Rectangle((left, top), cell, ROW, facecolor=shade, edgecolor=LINE, linewidth=0.6))
            if meeting.killed and not narrow:
                axes.text(left + cell / 2, top + ROW / 2, str(meeting.killed), ha="center", va="center", fontsize=7.5,
                          color=INK)  # fmt: skip
    return figure
