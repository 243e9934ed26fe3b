"""What the table of mutants shows: how soon each class of planted faults is found, and by which properties."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from reports.kills import Column, Row, Table, summary
from reports.matrix import grouped
from reports.section import Table as Numbers
from reports.section import listed


@dataclass(frozen=True)
class Meeting:
    """One class of mutants before one file of properties: how many of those it speaks of it kills."""

    killed: int
    of: int


def classes(table: Table) -> dict[str, list[Row]]:
    """Part the mutants by class, those found soonest first."""
    return dict(sorted(grouped(table.rows, lambda row: row.kind).items(), key=lambda pair: _typical(pair[1])))


def _typical(rows: list[Row]) -> float:
    return median(float("inf") if row.alone is None else row.alone for row in rows)


def files(table: Table) -> dict[str, list[Column]]:
    """Part the properties by file, in the order of a run: the words of its name."""
    return grouped(table.columns, lambda column: theme(column.property))


def theme(name: str) -> str:
    """Say what a property's file is about: test_worked_examples.py::test_... is about worked examples."""
    return name.partition("::")[0].removeprefix("test_").removesuffix(".py").replace("_", " ")


def meetings(table: Table) -> dict[str, dict[str, Meeting]]:
    """For each class and each file, how many mutants some property of the file kills, of those it speaks of."""
    spoken = {name: {column.operation for column in columns} for name, columns in files(table).items()}
    found: dict[str, dict[str, Meeting]] = {}
    for kind, rows in classes(table).items():
        found[kind] = {}
        for name, operations in spoken.items():
            concerned = [row for row in rows if row.operation in operations]
            killed = sum(any(theme(each) == name for each in row.kills) for row in concerned)
            found[kind][name] = Meeting(killed, len(concerned))
    return found


def caption(table: Table) -> list[str]:
    """Say what was found, and how long it took."""
    about = table.about
    seconds = about.get("seconds")
    took = f" It took {seconds:.0f} s." if isinstance(seconds, (int, float)) else ""
    drawn = f"{about.get('examples')} examples of each property, five times as many where it must kill"
    return [*summary(table), f"{drawn}, fewer where they are dear; seed {about.get('seed')}.{took}"]


def numbers(table: Table) -> Numbers:
    """List every mutant, class by class: what is wrong with it, and what finds it."""
    rows = []
    for kind, its in classes(table).items():
        for row in its:
            soonest = sorted(row.kills.items(), key=lambda pair: pair[1])
            by = "; ".join(f"{title(table, name)} ({count})" for name, count in soonest[:3])
            more = f"; and {len(soonest) - 3} more" if len(soonest) > 3 else ""
            spoken = sum(column.operation == row.operation for column in table.columns)
            rows.append([
                row.mutant.replace("_", " "), row.operation, kind, row.sentence, (by + more) or "alive",
                "" if row.alone is None else f"{row.alone:,}",
                "" if (n := table.in_order(row)) is None else f"{n:,}", f"{len(row.kills)} of {spoken}",
            ])  # fmt: skip
    head = ("mutant", "operation", "class", "what is wrong", "killed by (after so many examples)", "examples, alone",
            "in a whole run", "properties that kill it")  # fmt: skip
    return Numbers(head, rows, 5)


def title(table: Table, name: str) -> str:
    """Return the sentence of a property."""
    return next((column.title for column in table.columns if column.property == name), name).rstrip(".")


def of_properties(table: Table) -> Numbers:
    """List every property with what it kills, and what it alone does."""
    rows = []
    for name, columns in grouped(table.columns, lambda column: column.property).items():
        killed = [row for row in table.rows if name in row.kills]
        alone = [row.mutant.replace("_", " ") for column in columns for row in table.alone_in(column)]
        spoken = sum(row.operation in {column.operation for column in columns} for row in table.rows)
        why = "; ".join(alone) or columns[0].stays
        rows.append([columns[0].title, theme(name), why, f"{len(alone)}", f"{len(killed)} of {spoken}"])
    head = ("property", "file", "mutants that nothing else kills, or why it stays", "alone", "mutants killed")
    return Numbers(head, rows, 3)


def parts(table: Table) -> list[str]:
    """Say what the map of classes and files shows."""
    needed = [name for name, columns in files(table).items() if any(table.alone_in(column) for column in columns)]
    others = [name for name in files(table) if name not in needed]
    said = [f"Mutants that no other property kills are killed in {listed(needed)}."] if needed else []
    if others:
        kill = "kills" if len(others) == 1 else "kill"
        said.append(f"All that {listed(others)} {kill}, others kill too; the table says why they stay.")
    return said
