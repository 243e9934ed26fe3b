"""Properties by implementations: rows folded into the lines of a table. Standard library only."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from reports.rows import Row, Run, fails, severity, unanswered, worst

T = TypeVar("T")
K = TypeVar("K")
LEVELS = {
    "values": "shapes and values of the forward operations",
    "gradients": "the backward operations",
    "specials": "NaN, infinities, signed zeros, subnormals, the whole range",
    "arrays": "layouts, aliasing, inputs left alone",
    "refusals": "what must be refused is, and nothing else",
    "repeatability": "the same call gives the same bits; calls do not disturb one another",
}
OPEN = ("unsupported", "not reached")  # verdicts on a part of what agrees, in the order of their signs
FEW = 3  # properties of a level that are drawn one by one though none has a verdict; more than these are one line


@dataclass(frozen=True)
class Cell:
    """The rows of one implementation in one line of the matrix, folded over dtypes and operations."""

    rows: tuple[Row, ...]

    @property
    def verdict(self) -> str:
        """The worst verdict, or "" where this was no part of the run."""
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
    def open(self) -> tuple[str, ...]:
        """Why a part of what agrees was not checked: unsupported, not reached, or both."""
        found = {row.verdict for row in self.rows} if self.verdict == "agrees" else set()
        if found and any(row.cut_short() for row in self.rows):
            found.add("not reached")
        return tuple(verdict for verdict in OPEN if verdict in found)

    @property
    def label(self) -> str:
        """The count where it agrees, with the signs of what is open in part; else the verdict."""
        if self.verdict != "agrees":
            return _SHORT.get(self.verdict, self.verdict)
        return " ".join([f"{self.examples:,}", *map(symbol, self.open)])

    @property
    def text(self) -> str:
        """The sign and the label: all that a table shows."""
        return f"{symbol(self.verdict)} {self.label}".strip()


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
class Matrix:
    """Lines by level, a column for each implementation in the order of its first row."""

    implementations: tuple[str, ...]
    groups: dict[str, tuple[Line, ...]]
    rows: tuple[Row, ...] = field(repr=False)
    run: Run | None = field(repr=False, default=None)

    @property
    def lines(self) -> list[Line]:
        """The lines of all levels, without their parts."""
        return [line for group in self.groups.values() for line in group]

    @property
    def cells(self) -> list[Cell]:
        """The cells of all lines."""
        return [cell for line in self.lines for cell in line.cells.values()]

    @property
    def open(self) -> tuple[str, ...]:
        """What is open in part of some cell that agrees."""
        return tuple(verdict for verdict in OPEN if any(verdict in cell.open for cell in self.cells))

    @property
    def failures(self) -> list[Row]:
        """The rows in which something is wrong, the worst first."""
        found = (row for row in self.rows if fails(row.verdict) and row.verdict != "no verdict")
        return sorted(found, key=lambda row: severity(row.verdict))

    @property
    def missing(self) -> list[Row]:
        """The rows of what was planned and never answered. They, too, make the exit status 1."""
        return [row for row in self.rows if row.verdict == "no verdict"]


def matrix(rows: Iterable[Row], run: Run | None = None) -> Matrix:
    """Group rows by level and property, and fold them over dtypes and, where they are of one mind, over operations.

    What a run planned is among its rows, answered or not. Of rows whose plan is not known, what one implementation
    answered is taken as asked of every other. Operations that none of them offers are left out.
    """
    rows = tuple(rows)
    implementations = distinct(rows, "implementation")
    if run is None or run.planned is None:
        rows += tuple(_gaps(rows, implementations))
    # by file, since parallel workers deliver files in any order
    of_property = grouped(sorted(rows, key=lambda row: row.property.partition("::")[0]), lambda row: row.property)
    offered = filter(None, map(_offered, of_property.values()))
    of_level = grouped(offered, lambda its: its[0].level)
    levels = [*LEVELS, *sorted({*of_level} - {*LEVELS})]
    groups = {
        level: _without_silence([_line(its, implementations) for its in of_level[level]], implementations)
        for level in levels
        if level in of_level
    }
    return Matrix(implementations, groups, rows, run)


def symbol(verdict: str) -> str:
    """Return the sign that stands for a verdict, so that a matrix reads without colour."""
    return _SYMBOLS.get(verdict, "✗" if verdict else " ")


def grouped(items: Iterable[T], key: Callable[[T], K]) -> dict[K, list[T]]:
    """Return the items of each key, keys and items in the order in which they come."""
    found: dict[K, list[T]] = {}
    for item in items:
        found.setdefault(key(item), []).append(item)
    return found


def distinct(rows: Iterable[Row], name: str) -> tuple[str, ...]:
    """Return each text that rows have under a name, once."""
    return tuple(dict.fromkeys(getattr(row, name) for row in rows))


_SYMBOLS = {
    "agrees": "✓",
    "unsupported": "–",
    "expected": "·",
    "not reached": "…",
    "mistrusted": "?",
    "no verdict": "!",
}
_SHORT = {
    "wrote or read out of bounds": "out of bounds",
    "accepted what must be refused": "accepted it",
    "refused what is valid": "refused it",
    "changed its input": "wrote to input",
    "nondeterministic": "varies",
    "left its process changed": "left traces",
}


def _gaps(rows: Iterable[Row], implementations: tuple[str, ...]) -> Iterable[Row]:
    """Stand in for what one implementation answered, and another did not."""
    for (name, operation), its in grouped(rows, lambda row: (row.property, row.operation)).items():
        answered = {row.implementation for row in its}
        for implementation in implementations:
            if implementation not in answered:
                yield unanswered(name, its[0].title, its[0].level, operation, implementation)


def _offered(rows: list[Row]) -> list[Row]:
    """Leave out the operations that no implementation offers."""
    of_operation = grouped(rows, lambda row: row.operation)
    nobodys = {name for name, its in of_operation.items() if all(row.not_offered() for row in its)}
    return [row for row in rows if row.operation not in nobodys]


def _line(rows: list[Row], implementations: tuple[str, ...]) -> Line:
    whole = _cells(rows, implementations)
    operations = grouped(rows, lambda row: row.operation)
    by_operation = {name: _cells(its, implementations) for name, its in operations.items()}
    alike = grouped(by_operation, lambda name: tuple(cell.verdict for cell in by_operation[name].values()))
    split = any(
        len({cells[name].verdict for cells in by_operation.values()} - {"unsupported", ""}) > 1
        for name in implementations
    )
    title, identity = rows[0].title, rows[0].property
    parts = []
    for names in alike.values() if split else ():
        cells = _cells([row for row in rows if row.operation in names], implementations)
        parts.append(Line(title, identity, tuple(names), cells))
    parts.sort(key=lambda part: min(severity(cell.verdict) for cell in part.cells.values()))
    return Line(title, identity, tuple(by_operation), whole, tuple(parts))


def _cells(rows: Iterable[Row], implementations: tuple[str, ...]) -> dict[str, Cell]:
    of = grouped(rows, lambda row: row.implementation)
    return {name: Cell(tuple(of.get(name, ()))) for name in implementations}


def _without_silence(lines: list[Line], implementations: tuple[str, ...]) -> tuple[Line, ...]:
    """Fold the properties that a run did not come to, if they are more than a few, into one line."""
    silent = [line for line in lines if _is_silent(line)]
    if len(silent) <= FEW:
        return tuple(lines)
    rest = [line for line in lines if not _is_silent(line)]
    rows = [row for line in silent for cell in line.cells.values() for row in cell.rows]
    title = f"{len(silent)} {'more ' if rest else ''}properties"
    names = "\n".join(line.property for line in silent)
    return (*rest, Line(title, names, distinct(rows, "operation"), _cells(rows, implementations)))


def _is_silent(line: Line) -> bool:
    return all(row.verdict == "no verdict" for cell in line.cells.values() for row in cell.rows)
