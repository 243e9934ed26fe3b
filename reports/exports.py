"""A run as JSON lines, for samples kept in git."""

from __future__ import annotations

import os

from reports import jsonlines
from reports.rows import SCHEMA, LedgerError, Row, Run

KIND = jsonlines.Kind("verdicts", SCHEMA, "an export of verdicts", "write one with `python -m reports --export FILE`")


def write_export(run: Run, rows: list[Row], file: str | os.PathLike[str]) -> None:
    """Write the run, then row by row. Raises LedgerError where it cannot be written."""
    jsonlines.write(file, KIND, {"run": run.to_json()}, (row.to_json() for row in rows))


def read_export(file: str | os.PathLike[str]) -> tuple[Run, list[Row]]:
    """Invert `write_export`. Raises LedgerError naming the line that is broken."""
    head, lines = jsonlines.read(file, KIND)
    try:
        run = Run.from_json(head["run"])
    except (KeyError, TypeError, ValueError) as error:
        raise LedgerError(f"{file}:1: not a run: {error}") from error
    content: dict[tuple[str, ...], Row] = {}
    for where, each in lines:
        try:
            row = Row.from_json(each)
        except (TypeError, ValueError) as error:
            raise LedgerError(f"{where}: not a row: {error}") from error
        if row.key() in content:
            raise LedgerError(f"{where}: a second row of {', '.join(row.key())}")
        content[row.key()] = row
    return run, list(content.values())
