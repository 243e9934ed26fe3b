"""Files of JSON lines, for samples kept in git: a head that says what they are and how many follow; read strictly."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from reports.rows import LedgerError


class Kind(NamedTuple):
    """What a file holds: its word in the head, the schema, what it is called, and how one is made."""

    word: str
    schema: int
    called: str
    make: str


class Line(NamedTuple):
    """A line's place, FILE:NUMBER, and what it says."""

    where: str
    content: dict[str, Any]


def write(file: str | os.PathLike[str], kind: Kind, head: dict[str, Any], lines: Iterable[dict[str, Any]]) -> None:
    """Write the head, with the kind and the number of lines, then the lines. Raises LedgerError where it cannot."""
    rows = [*lines]
    first = {"poolproof": kind.word, "schema": kind.schema, "lines": len(rows), **head}
    texts = [json.dumps(each, allow_nan=False, ensure_ascii=False, separators=(",", ":")) for each in (first, *rows)]
    try:
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        Path(file).write_text("\n".join(texts) + "\n", encoding="utf-8", newline="\n")
    except OSError as error:
        raise LedgerError(f"{file}: cannot be written ({error.strerror}): name another file") from error


def read(file: str | os.PathLike[str], kind: Kind) -> tuple[dict[str, Any], list[Line]]:
    """Invert `write`: what else the head says, and the lines. Raises LedgerError naming the line that is broken."""
    try:
        texts = Path(file).read_text(encoding="utf-8").split("\n")
    except FileNotFoundError as error:
        raise LedgerError(f"{file}: no such file: {kind.make}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise LedgerError(f"{file}: cannot be read ({error}): {kind.make}") from error
    if texts.pop():
        raise LedgerError(f"{file}:{len(texts) + 1}: the last line is cut off: {kind.make}")
    if not texts:
        raise LedgerError(f"{file}: empty: {kind.make}")
    head = _parsed(file, 1, texts[0])
    if head.pop("poolproof", None) != kind.word:
        raise LedgerError(f"{file}:1: not {kind.called}: {kind.make}")
    if (found := head.pop("schema", None)) != kind.schema:
        raise LedgerError(f"{file}:1: schema {found!r}, and this version reads {kind.schema}: {kind.make}")
    lines = [Line(f"{file}:{number}", _parsed(file, number, text)) for number, text in enumerate(texts[1:], start=2)]
    if (owed := head.pop("lines", None)) != len(lines):
        raise LedgerError(f"{file}: has {len(lines)} lines after the first, and should have {owed}: {kind.make}")
    return head, lines


def _parsed(file: str | os.PathLike[str], number: int, line: str) -> dict[str, Any]:
    """Read one line as a JSON object, whose numbers are finite. Raises LedgerError naming the line."""
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
