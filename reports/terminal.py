"""The matrix as text for a terminal. Standard library only."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Mapping, Sequence

from reports.matrix import Cell, Matrix, matrix, symbol
from reports.rows import Row, Run, fails
from reports.sentences import EXPLAINED, headline, missed, not_offered, reasons, thin

_ASCII = str.maketrans({"✓": "+", "✗": "x", "–": "-", "·": ".", "…": "~", "×": "x"})
_LEAST_TITLE, _MOST_COLUMN, _GAP = 36, 18, 2
_RED, _GREEN, _GREY, _BOLD, _OFF = "\x1b[31m", "\x1b[32m", "\x1b[2m", "\x1b[1m", "\x1b[0m"


def closing(
    rows: Sequence[Row], run: Run, missing: Mapping[str, str], width: int, encoding: str | None, colour: bool,
    *, stopped: bool,
) -> list[str]:  # fmt: skip
    """Give the lines at the end of a run: the matrix, and what was not tested; `stopped`: at a failure, as asked."""
    reached = [row for row in rows if row.verdict != "no verdict"] if stopped else rows
    lines = [as_text(matrix(reached, run), width, encoding, colour)]
    lines += [textwrap.fill(said, width) for said in (thin(reached), missed(reached)) if said]
    if left := len(rows) - len(reached):
        lines.append(f"stopped at a failure, as asked: {left:,} checks were not made")
    return [*lines, *(f"{name} was not tested: {reason}" for name, reason in missing.items())]


def as_text(matrix: Matrix, width: int = 100, encoding: str | None = None, color: bool = False) -> str:
    """Draw the matrix for a terminal; implementations that do not fit side by side follow below.

    `encoding` is the terminal's (None: that of stdout): one that lacks our signs gets ASCII.
    """
    plain = not _can_encode(encoding or getattr(sys.stdout, "encoding", None) or "ascii")
    columns = {name: _column_width(matrix, name) for name in matrix.implementations}
    parts = [_block(matrix, names, columns, width, color) for names in _fitting(columns, width - _LEAST_TITLE)]
    parts += [*_explained(matrix, width), textwrap.fill(headline(matrix), width)]
    text = "\n\n".join(filter(None, parts))
    return _ascii(text) if plain else text


def _block(matrix: Matrix, names: list[str], columns: dict[str, int], width: int, color: bool) -> str:
    """Draw the lines of some implementations, those that fit side by side."""
    if not matrix.lines:
        return ""
    room = width - sum(columns[name] + _GAP for name in names)
    paint = _painted if color else lambda text, _: text
    gap = " " * _GAP
    heads = (_clipped(name, columns[name], keep_end=True).ljust(columns[name]) for name in names)
    lines = [paint((" " * room + gap + gap.join(heads)).rstrip(), _BOLD)]

    def entry(title: str, cells: dict[str, Cell]) -> str:
        drawn = (paint(cells[name].text.ljust(columns[name]), _tint(cells[name].verdict)) for name in names)
        return (title.ljust(room) + gap + gap.join(drawn)).rstrip()

    for level, group in matrix.groups.items():
        lines.append(paint(level, _BOLD))
        for line in group:
            lines.append(entry("  " + _clipped(line.title, room - 2), line.cells))
            for part in line.parts:
                *above, last = textwrap.wrap(", ".join(part.operations), room - 6)
                lines += [paint("      " + each, _GREY) for each in above]
                lines.append(entry("      " + last, part.cells))
    return "\n".join(lines)


def _explained(matrix: Matrix, width: int) -> list[str]:
    """Return the legend of the signs that occur, and the reasons for what neither agrees nor fails."""
    parts = [_abreast(_legend(matrix), width)]
    for verdict in EXPLAINED:
        lines = [f"{verdict}:"]
        for reason in reasons(matrix, verdict):
            lines += textwrap.wrap(str(reason), width, initial_indent="  ", subsequent_indent="    ")
        parts += ["\n".join(lines)] if len(lines) > 1 else []
    wrapped = (textwrap.fill(said, width, subsequent_indent="  ") for said in not_offered(matrix))
    return [*parts, "\n".join(wrapped)]


def _legend(matrix: Matrix) -> list[str]:
    seen = {row.verdict for cell in matrix.cells for row in cell.rows}
    legend = ["✓ agrees, in so many cases"] if "agrees" in seen else []
    legend += [f"✓ {symbol(verdict)} in part {verdict}" for verdict in matrix.open]
    legend += ["✗ fails"] if any(fails(verdict) and verdict not in EXPLAINED for verdict in seen) else []
    legend += [f"{symbol(verdict)} {verdict}" for verdict in EXPLAINED if verdict in seen]
    return legend + (["blank: no part of this run"] if any(not cell.rows for cell in matrix.cells) else [])


def _abreast(items: list[str], width: int) -> str:
    lines = [""]
    for each in items:
        together = f"{lines[-1]}   {each}".strip()
        lines = [*lines[:-1], together] if len(together) <= width else [*lines, each]
    return "\n".join(lines)


def _column_width(matrix: Matrix, name: str) -> int:
    drawn = (len(each.cells[name].text) for line in matrix.lines for each in (line, *line.parts))
    return max(min(len(name), _MOST_COLUMN), *drawn, 0)


def _fitting(columns: dict[str, int], room: int) -> list[list[str]]:
    """Part implementations into groups that fit side by side."""
    groups: list[list[str]] = [[]]
    used = 0
    for name, width in columns.items():
        if groups[-1] and used + width + _GAP > room:
            groups.append([])
            used = 0
        groups[-1].append(name)
        used += width + _GAP
    return groups


def _clipped(text: str, room: int, keep_end: bool = False) -> str:
    text = " ".join(text.split())
    if len(text) <= room:
        return text
    return "…" + text[len(text) - room + 1 :] if keep_end else text[: max(room - 1, 0)] + "…"


def _tint(verdict: str) -> str:
    return _GREEN if verdict == "agrees" else _RED if verdict and fails(verdict) else _GREY


def _painted(text: str, tint: str) -> str:
    return f"{tint}{text}{_OFF}"


def _can_encode(encoding: str) -> bool:
    try:
        "✓✗–…·×".encode(encoding)
    except (LookupError, UnicodeEncodeError):
        return False
    return True


def _ascii(text: str) -> str:
    return text.translate(_ASCII).encode("ascii", "backslashreplace").decode()
