"""A run as JSON lines, for samples kept in git: written plainly, read strictly."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any, NoReturn

from reports.rows import SCHEMA, LedgerError, Row, Run


def write_export(run: Run, rows: list[Row], file: str | os.PathLike[str]) -> None:
    """Write the run with the schema and the number of rows, then row by row."""
    head = {"poolproof": "verdicts", "schema": SCHEMA, "rows": len(rows), "run": run.to_json()}
    parts = (head, *(row.to_json() for row in rows))
    lines = [json.dumps(each, allow_nan=False, ensure_ascii=False, separators=(",", ":")) for each in parts]
    try:
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        Path(file).write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
    except OSError as error:
        raise LedgerError(f"{file}: cannot be written ({error.strerror}): name another file") from error


def read_export(file: str | os.PathLike[str]) -> tuple[Run, list[Row]]:
    """Invert `write_export`. Raises LedgerError naming the line that is broken."""
    try:
        text = Path(file).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise LedgerError(f"{file}: no such file: write one with `python -m reports --export FILE`") from error
    except (OSError, UnicodeDecodeError) as error:
        raise LedgerError(f"{file}: cannot be read ({error})") from error
    lines = text.split("\n")
    if lines.pop():
        raise LedgerError(f"{file}:{len(lines) + 1}: the last line is cut off: export the run again")
    if not lines:
        raise LedgerError(f"{file}: empty: export the run again")
    head = parsed(file, 1, lines[0])
    if head.get("poolproof") != "verdicts":
        raise LedgerError(f"{file}:1: not an export of verdicts: write one with `python -m reports --export FILE`")
    if head.get("schema") != SCHEMA:
        found = head.get("schema")
        raise LedgerError(f"{file}:1: schema {found!r}, and this version reads {SCHEMA}: use the version that wrote it")
    try:
        run = Run.from_json(head["run"])
    except (KeyError, TypeError, ValueError) as error:
        raise LedgerError(f"{file}:1: not a run: {error}") from error
    content: dict[tuple[str, ...], Row] = {}
    for number, line in enumerate(lines[1:], start=2):
        try:
            row = Row.from_json(parsed(file, number, line))
        except (TypeError, ValueError) as error:
            raise LedgerError(f"{file}:{number}: not a row: {error}") from error
        if row.key() in content:
            raise LedgerError(f"{file}:{number}: a second row of {', '.join(row.key())}")
        content[row.key()] = row
    if len(content) != head.get("rows"):
        raise LedgerError(f"{file}: has {len(content)} of {head.get('rows')} rows: export the run again")
    return run, list(content.values())


def parsed(file: str | os.PathLike[str], number: int, line: str) -> dict[str, Any]:
    """Read one line of a file as a JSON object, whose numbers are finite. Raises LedgerError naming the line."""
    try:
        content = json.loads(line, parse_constant=_refuse_number, parse_float=_finite, object_pairs_hook=_distinct)
    except (ValueError, RecursionError) as error:
        raise LedgerError(f"{file}:{number}: not a line of JSON: {error}") from error
    if not isinstance(content, dict):
        raise LedgerError(f"{file}:{number}: not a JSON object: {line[:60]}")
    return content


def _refuse_number(token: str) -> NoReturn:
    raise ValueError(f"{token} is no JSON number")


def _finite(token: str) -> float:
    number = float(token)
    return number if math.isfinite(number) else _refuse_number(token)


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError(f"a name appears twice among {', '.join(name for name, _ in pairs)}")
    return content
