"""Properties by implementations, from rows: for the terminal and for a CI job's summary. Standard library only."""

from __future__ import annotations

import shlex
import sys
import textwrap
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from reports.rows import Row, fails, severity, worst

T = TypeVar("T")
K = TypeVar("K")
LEVELS = ("values", "gradients", "specials", "arrays", "refusals", "repeatability")


@dataclass(frozen=True)
class Cell:
    """The rows of one implementation in one line of the matrix, folded over dtypes and operations."""

    rows: tuple[Row, ...]

    @property
    def verdict(self) -> str:
        """The worst verdict, or "" where the run ended before there was one."""
        return worst(row.verdict for row in self.rows) if self.rows else ""

    @property
    def examples(self) -> int:
        """How many cases were checked."""
        return sum(row.examples for row in self.rows)

    @property
    def elements(self) -> int:
        """How many outputs were compared."""
        return sum(row.elements for row in self.rows)

    @property
    def worst_ratio(self) -> float | None:
        """The largest error in units of its bound, or None where nothing was measured."""
        return max((row.worst_ratio for row in self.rows if row.worst_ratio is not None), default=None)

    @property
    def label(self) -> str:
        """The count where it agrees (with a dash where a part is unsupported), else the verdict."""
        if self.verdict != "agrees":
            return _SHORT.get(self.verdict, self.verdict)
        partly = any(row.verdict == "unsupported" for row in self.rows)
        return f"{self.examples:,}{' –' if partly else ''}"


@dataclass(frozen=True)
class Line:
    """One property, and its parts: operations whose verdicts differ, together where they do not.

    Where they differ in what is supported alone, there are no parts: the cell has a dash, and the reasons stand below.
    """

    title: str
    property: str
    operations: tuple[str, ...]
    cells: dict[str, Cell]
    parts: tuple[Line, ...] = ()


@dataclass(frozen=True)
class Reason:
    """Why something was not checked: once, with how many rows of which implementations."""

    verdict: str
    text: str
    count: int
    implementations: tuple[str, ...]
    operations: tuple[str, ...]


@dataclass(frozen=True)
class Matrix:
    """Lines by level, a column for each implementation in the order of its first row."""

    implementations: tuple[str, ...]
    groups: dict[str, tuple[Line, ...]]
    rows: tuple[Row, ...] = field(repr=False)

    @property
    def failures(self) -> list[Row]:
        """The rows that make the exit status 1, the worst first."""
        return sorted((row for row in self.rows if fails(row.verdict)), key=lambda row: severity(row.verdict))


def matrix(rows: Iterable[Row]) -> Matrix:
    """Group rows by level and property, and fold them over dtypes and, where they are of one mind, over operations."""
    rows = tuple(rows)
    implementations = tuple(dict.fromkeys(row.implementation for row in rows))
    # by file, since parallel workers deliver files in any order
    of_property = _grouped(sorted(rows, key=lambda row: row.property.partition("::")[0]), lambda row: row.property)
    lines = [(each[0].level, _line(each, implementations)) for each in of_property.values()]
    levels = [*LEVELS, *sorted({level for level, _ in lines} - {*LEVELS})]
    groups = {level: found for level in levels if (found := tuple(line for its, line in lines if its == level))}
    return Matrix(implementations, groups, rows)


def reasons(matrix: Matrix, verdict: str) -> list[Reason]:
    """Return each distinct reason of a verdict, the most frequent first."""
    of_verdict = [row for row in matrix.rows if row.verdict == verdict]
    found = _grouped(of_verdict, lambda row: " ".join(row.reason.split()) or "no reason given")
    folded = [
        Reason(verdict, text, len(rows), _distinct(rows, "implementation"), _distinct(rows, "operation"))
        for text, rows in found.items()
    ]
    return sorted(folded, key=lambda reason: -reason.count)


def counts(matrix: Matrix) -> str:
    """Say what was done: "4 implementations, 61 properties, 48,231 cases, 3.1 million outputs compared"."""
    said = [
        plural(len(matrix.implementations), "implementation"),
        plural(len({row.property for row in matrix.rows}), "property", "properties"),
        plural(sum(row.examples for row in matrix.rows), "case"),
        plural(sum(row.elements for row in matrix.rows), "output") + " compared",
    ]
    return ", ".join(said)


def findings(matrix: Matrix) -> list[str]:
    """Say what was found, in clauses: "all agree", or which fail, in how many properties, which agree, what is open."""
    failing = Counter(name for name, _ in {(row.implementation, row.property) for row in matrix.failures})
    agreeing = {row.implementation for row in matrix.rows if row.verdict == "agrees"} - {*failing}
    rest = [name for name in matrix.implementations if name not in failing and name not in agreeing]
    said = []
    if failing:
        (first, count), *others = failing.most_common()
        and_others = "".join(f", {name} in {count:,}" for name, count in others)
        said.append(f"{first} fails in {plural(count, 'property', 'properties')}{and_others}")
    if agreeing:
        names = [name for name in matrix.implementations if name in agreeing]
        everyone = len(names) == len(matrix.implementations) > 1
        subject = "all" if everyone else _listed(names) if len(names) <= 3 else str(len(names))
        said.append(f"{subject} agree{'s' if len(names) == 1 else ''}")
    if rest or not matrix.rows:
        said.append("nothing was checked" + (f" of {_listed(rest)}" if agreeing or failing else ""))
    if expected := sum(row.verdict == "expected" for row in matrix.rows):
        said.append(f"{plural(expected, 'failure')} expected")
    if left := sum(row.verdict == "not reached" for row in matrix.rows):
        said.append(f"{plural(left, 'check')} not reached")
    return said


def headline(matrix: Matrix) -> str:
    """Say in one sentence what was done and what was found."""
    return f"{counts(matrix)}: {'; '.join(findings(matrix))}" if matrix.rows else "no verdicts: nothing was checked"


def command(row: Row) -> str:
    """Return the line that runs a row's case again."""
    where = shlex.quote(f"properties/{row.property}")
    case = f" --case={shlex.quote(row.case)}" if row.case else ""
    return f"pytest {where} --impl={shlex.quote(row.implementation)}{case}"


def plural(count: int, one: str, many: str = "") -> str:
    """Count in words that can be read: "1 case", "48,231 cases", "3.1 million cases"."""
    if count < 1_000_000:
        number = f"{count:,}"
    else:
        number = f"{count / 1e6:.1f} million" if count < 999_950_000 else f"{count / 1e9:.1f} billion"
    return f"{number} {one if count == 1 else many or one + 's'}"


def symbol(verdict: str) -> str:
    """Return the sign that stands for a verdict, so that a matrix reads without colour."""
    return _SYMBOLS.get(verdict, "✗" if verdict else " ")


def as_text(matrix: Matrix, width: int = 100, encoding: str | None = None, color: bool = False) -> str:
    """Draw the matrix for a terminal; implementations that do not fit side by side follow below.

    `encoding` is the terminal's (None: that of stdout): one that lacks our signs gets ASCII.
    """
    if not matrix.rows:
        return headline(matrix)
    plain = not _can_encode(encoding or getattr(sys.stdout, "encoding", None) or "ascii")
    columns = {name: _column_width(matrix, name) for name in matrix.implementations}
    blocks = [_block(matrix, names, columns, width, color) for names in _fitting(columns, width - _LEAST_TITLE)]
    below = [*_explained(matrix, width), *textwrap.wrap(headline(matrix), width)]
    text = "\n".join([*"\n\n".join(blocks).split("\n"), "", *below])
    return _ascii(text) if plain else text


def as_markdown(matrix: Matrix, most: int = 20, *, cut_off: bool = False) -> str:
    """Draw the matrix for a CI job's summary, with at most so many failures in full; `cut_off`: the run did not end."""
    lines = [f"## {_markdown(headline(matrix))}", ""]
    if cut_off:
        lines += ["**This run was cut off: what was not reached then is missing here.**", ""]
    if not matrix.rows:
        return "\n".join(lines)
    lines += [_table_row(["property", *matrix.implementations]), "|---" * (1 + len(matrix.implementations)) + "|"]
    for level, group in matrix.groups.items():
        lines.append(f"| **{_markdown(level)}** |" + " |" * len(matrix.implementations))
        for line in group:
            lines.append(_table_row([line.title, *(_signed(line.cells[name]) for name in matrix.implementations)]))
            for part in line.parts:
                signs = (_signed(part.cells[name]) for name in matrix.implementations)
                lines.append("| &emsp;" + _table_row([", ".join(part.operations), *signs])[2:])
    if matrix.failures:
        lines += ["", "### What fails"]
    for row in matrix.failures[:most]:
        what = _markdown(f"{row.implementation} {row.operation} {row.dtype}: {row.verdict}. {row.title}")
        lines += ["", what, "", *_fenced((row.message or f"{row.reason}\n\n{command(row)}").strip())]
    if len(matrix.failures) > most:
        lines += ["", f"and {len(matrix.failures) - most} more."]
    for verdict in ("expected", "not reached", "unsupported"):
        if found := reasons(matrix, verdict):
            lines += ["", f"<details><summary>{verdict}: {sum(each.count for each in found)}</summary>", ""]
            lines += [f"- {_markdown(_told(each))}" for each in found]
            lines += ["", "</details>"]
    return "\n".join(lines) + "\n"


_SYMBOLS = {"agrees": "✓", "unsupported": "–", "expected": "·", "not reached": "…", "mistrusted": "?", "": " "}
_ASCII = str.maketrans({"✓": "+", "✗": "x", "–": "-", "·": ".", "…": "~", "×": "x"})
_SHORT = {
    "wrote or read out of bounds": "out of bounds",
    "accepted what must be refused": "accepted it",
    "refused what is valid": "refused it",
    "changed its input": "wrote to input",
    "nondeterministic": "varies",
}
_LEAST_TITLE, _MOST_COLUMN, _GAP = 36, 18, 2
_RED, _GREEN, _GREY, _BOLD, _OFF = "\x1b[31m", "\x1b[32m", "\x1b[2m", "\x1b[1m", "\x1b[0m"


def _line(rows: list[Row], implementations: tuple[str, ...]) -> Line:
    whole = _cells(rows, implementations)
    operations = _grouped(rows, lambda row: row.operation)
    by_operation = {name: _cells(its, implementations) for name, its in operations.items()}
    alike = _grouped(by_operation, lambda name: tuple(cell.verdict for cell in by_operation[name].values()))
    split = any(
        len({cells[name].verdict for cells in by_operation.values()} - {"unsupported"}) > 1 for name in implementations
    )
    title, identity = rows[0].title, rows[0].property
    parts = []
    for names in alike.values() if split else ():
        cells = _cells([row for row in rows if row.operation in names], implementations)
        parts.append(Line(title, identity, tuple(names), cells))
    parts.sort(key=lambda part: min(severity(cell.verdict) for cell in part.cells.values()))
    return Line(title, identity, tuple(by_operation), whole, tuple(parts))


def _cells(rows: Iterable[Row], implementations: tuple[str, ...]) -> dict[str, Cell]:
    of = _grouped(rows, lambda row: row.implementation)
    return {name: Cell(tuple(of.get(name, ()))) for name in implementations}


def _block(matrix: Matrix, names: list[str], columns: dict[str, int], width: int, color: bool) -> str:
    """Draw the lines of some implementations, those that fit side by side."""
    room = width - sum(columns[name] + _GAP for name in names)
    paint = _painted if color else lambda text, _: text
    gap = " " * _GAP
    heads = (_clipped(name, columns[name], keep_end=True).ljust(columns[name]) for name in names)
    lines = [paint((" " * room + gap + gap.join(heads)).rstrip(), _BOLD)]

    def entry(title: str, cells: dict[str, Cell]) -> str:
        drawn = (paint(_signed(cells[name]).ljust(columns[name]), _tint(cells[name].verdict)) for name in names)
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
    """Return the legend of the signs that occur, and the reasons for what was not checked."""
    seen = {row.verdict for row in matrix.rows}
    everything = [cell for lines in matrix.groups.values() for line in lines for cell in line.cells.values()]
    partly = ", a dash: in part unsupported" if any(cell.label.endswith(" –") for cell in everything) else ""
    legend = [f"✓ agrees, in so many cases{partly}"] if "agrees" in seen else []
    legend += ["✗ fails"] if any(fails(verdict) and verdict != "mistrusted" for verdict in seen) else []
    own_sign = ("mistrusted", "expected", "not reached", "unsupported")
    legend += [f"{_SYMBOLS[each]} {each}" for each in own_sign if each in seen]
    if any(not cell.rows for cell in everything):
        legend.append("blank: the run ended before a verdict")
    lines = [""]
    for each in legend:
        together = f"{lines[-1]}   {each}".strip()
        lines = [*lines[:-1], together] if len(together) <= width else [*lines, each]
    for verdict in ("expected", "not reached", "unsupported"):
        if found := reasons(matrix, verdict):
            lines += ["", f"{verdict}:"]
        for reason in found:
            lines += textwrap.wrap(_told(reason), width, initial_indent="  ", subsequent_indent="    ")
    return [*lines, ""]


def _told(reason: Reason) -> str:
    operations = reason.operations if len(reason.operations) <= 4 else [f"{len(reason.operations)} operations"]
    return f"{reason.count} × {reason.text} ({', '.join(reason.implementations)}: {', '.join(operations)})"


def _signed(cell: Cell) -> str:
    return f"{symbol(cell.verdict)} {cell.label}".strip()


def _column_width(matrix: Matrix, name: str) -> int:
    lines = [each for group in matrix.groups.values() for line in group for each in (line, *line.parts)]
    return max(min(len(name), _MOST_COLUMN), *(len(_signed(line.cells[name])) for line in lines))


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


def _table_row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(_markdown(cell) for cell in cells) + " |"


def _markdown(text: str) -> str:
    text = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "".join("\\" + each if each in "\\|*_`[]~" else each for each in text)


def _fenced(text: str) -> list[str]:
    fence = "```"
    while fence in text:
        fence += "`"
    return [f"{fence}text", text, fence]


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _distinct(rows: Iterable[Row], name: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(getattr(row, name) for row in rows))


def _grouped(items: Iterable[T], key: Callable[[T], K]) -> dict[K, list[T]]:
    found: dict[K, list[T]] = {}
    for item in items:
        found.setdefault(key(item), []).append(item)
    return found
