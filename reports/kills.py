"""The table of mutants and the properties that kill them: its file of JSON lines, and what may be said of it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from reports import jsonlines
from reports.rows import LedgerError

KIND = jsonlines.Kind("mutants", 1, "a table of mutants", "write it with `make mutants`")


@dataclass(frozen=True)
class Column:
    """One property of one operation; `examples` is how many cases were run on mutants that it did not kill.

    `stays` says why it is there although others kill what it kills; "" where it kills what no other does.
    """

    property: str
    title: str
    level: str
    operation: str
    examples: int
    stays: str = ""


@dataclass(frozen=True)
class Row:
    """One mutant: its class, what is wrong with it, the properties that must kill it, and those that did.

    `kills`: after how many examples each property had killed it that did.
    """

    mutant: str
    kind: str
    sentence: str
    operation: str
    must: tuple[str, ...]
    kills: dict[str, int]

    @property
    def missed(self) -> list[str]:
        """The properties that must kill it and did not."""
        return [name for name in self.must if name not in self.kills]

    @property
    def alone(self) -> int | None:
        """The examples that the quickest of those that must kill it needs, run alone; None where none does."""
        return min((self.kills[name] for name in self.must if name in self.kills), default=None)


@dataclass(frozen=True)
class Variant:
    """A correct but unusual implementation: what was compared, and what was wrongly held against it."""

    variant: str
    sentence: str
    operations: tuple[str, ...]
    examples: int
    elements: int
    flagged: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """What one run of all mutants and variants found. `about`: when, how long, with what."""

    about: dict[str, Any]
    columns: list[Column]
    rows: list[Row]
    variants: list[Variant] = field(default_factory=list)

    def in_order(self, row: Row) -> int | None:
        """The examples that a run of all properties in order needs until one kills the mutant; None where none does."""
        before = 0
        for column in self.columns:
            if column.operation != row.operation:
                continue
            if column.property in row.kills:
                return before + row.kills[column.property]
            before += column.examples
        return None

    @property
    def survivors(self) -> list[Row]:
        """The mutants that no property kills."""
        return [row for row in self.rows if not row.kills]

    def alone_in(self, column: Column) -> list[Row]:
        """The mutants that this property kills and no other."""
        return [row for row in self.rows if row.operation == column.operation and {*row.kills} == {column.property}]


def percentile(values: Iterable[int], share: float) -> int:
    """The least of the values that so large a share of them does not exceed."""
    ranked = sorted(values)
    return ranked[max(0, -int(-share * len(ranked) // 1) - 1)]


def summary(table: Table) -> list[str]:
    """Say in sentences what the table shows."""
    killed = [row for row in table.rows if row.kills]
    said = [
        f"{len(killed)} of {len(table.rows)} mutants are killed, of {len({row.kind for row in table.rows})} classes."
    ]
    for what, needed in (
        ("The property that must kill it, run alone, needs", [row.alone for row in killed if row.alone is not None]),
        ("A run of all properties in their order needs", [n for row in killed if (n := table.in_order(row))]),
    ):
        if needed:
            said.append(
                f"{what} {median(needed):g} examples in the median and {percentile(needed, 0.95):,} at the 95th "
                f"percentile."
            )
    if table.survivors:
        said.append(f"Alive: {', '.join(f'{row.mutant} ({row.operation})' for row in table.survivors)}.")
    late = [f"{row.mutant} ({row.operation}) by {name}" for row in killed for name in row.missed]
    if late:
        said.append(f"Not killed in so few examples by a property that must: {', '.join(late)}.")
    if table.variants:
        elements = sum(variant.elements for variant in table.variants)
        flagged = [variant.variant for variant in table.variants if variant.flagged]
        wrong = f"wrongly flagged: {', '.join(flagged)}" if flagged else "none is flagged"
        said.append(f"Of {len(table.variants)} correct but unusual variants, {elements:,} elements compared, {wrong}.")
    return said


def write(table: Table, file: str | os.PathLike[str]) -> None:
    """Write the table as JSON lines, first what it is about. Raises LedgerError where it cannot be written."""
    names = list(dict.fromkeys(column.property for column in table.columns))
    number = {name: str(place) for place, name in enumerate(names)}  # a row has a hundred of them: numbers are short
    rows = [
        asdict(row) | {"must": [number[name] for name in row.must],
                       "kills": {number[name]: count for name, count in row.kills.items()}}
        for row in table.rows
    ]  # fmt: skip
    jsonlines.write(file, KIND, {**table.about, "names": names}, [*map(asdict, table.columns), *rows,
                                                                  *map(asdict, table.variants)])  # fmt: skip


def read(file: str | os.PathLike[str]) -> Table:
    """Invert `write`. Raises LedgerError naming the line that is broken."""
    about, lines = jsonlines.read(file, KIND)
    names = about.pop("names", [])
    table = Table(about, [], [], [])
    into: dict[str, tuple[Any, list[Any]]] = {
        "property": (Column, table.columns), "mutant": (Row, table.rows), "variant": (Variant, table.variants),
    }  # fmt: skip
    for where, content in lines:
        make, found = into.get(next(iter(content), ""), (None, []))
        try:
            values = {key: tuple(value) if isinstance(value, list) else value for key, value in content.items()}
            if make is Row:
                values["must"] = tuple(names[int(place)] for place in values["must"])
                values["kills"] = {names[int(place)]: count for place, count in values["kills"].items()}
            found.append(make(**values))  # type: ignore[misc]
        except (TypeError, ValueError, KeyError, IndexError, AttributeError) as error:
            raise LedgerError(f"{where}: not a line of this table: {error}") from error
    return table
