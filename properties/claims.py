"""What is said of convolution and pooling, read from claims.toml: each claim with its source and what was found of it.

A claim is decided by a test, named by its pytest node; what is timed or drawn of it is named bench:NAME after a layer,
a sweep or an experiment of bench/. What this project cannot decide stands under [[open]], with the reason.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from impls.spelling import meant

FILE = Path(__file__).with_name("claims.toml")

VERDICTS = ("holds", "holds if", "false")
_DECIDED_BY = re.compile(r"properties/\w+\.py::\w+(\[[a-z0-9-]+\])?")


class ClaimsError(ValueError):
    """A file of claims that cannot be used, in one line that names the file, the line and what would be accepted."""


@dataclass(frozen=True)
class Claim:
    """One sentence that is true or false, restated; `why` has the figures, `source` where it was said.

    `verdict` is "holds", "holds if ..." or "false". `measured_by` names what is measured of it in bench/, beside the
    counted work or the computation that decides.
    """

    id: str
    claim: str
    source: str
    verdict: str
    why: str
    decided_by: str
    measured_by: str = ""

    @property
    def ruling(self) -> str:
        """The verdict without its condition: one of VERDICTS."""
        return "holds if" if self.verdict.startswith("holds if ") else self.verdict


@dataclass(frozen=True)
class Open:
    """One sentence that is true or false, and that this project cannot decide; `why` says what it would take."""

    id: str
    claim: str
    source: str
    verdict: str
    why: str


def load(file: Path = FILE) -> tuple[list[Claim], list[Open]]:
    """Read the claims, and the open ones. Raises ClaimsError."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ClaimsError(f"{file.name}: cannot be read ({error})") from error
    return parse(text, file.name)


def parse(text: str, name: str) -> tuple[list[Claim], list[Open]]:
    """Read claims from TOML; `name` is what messages call it. Raises ClaimsError."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ClaimsError(f"{name}: no TOML: {error}") from error
    for table in content:
        if table not in ("claim", "open") or not isinstance(content[table], list):
            raise ClaimsError(f"{name}: {table!r} is unknown; accepted are [[claim]] and [[open]]")
    claims = [_claim(where, record) for where, record in _records(text, name, content, "claim")]
    opened = [_opened(where, record) for where, record in _records(text, name, content, "open")]
    known: set[str] = set()
    for each in (*claims, *opened):
        if each.id in known:
            raise ClaimsError(f"{name}: two claims have the id {each.id!r}")
        known.add(each.id)
    return claims, opened


def _records(text: str, name: str, content: dict[str, Any], table: str) -> Iterator[tuple[str, Any]]:
    """Give each record with where it begins: the line, where it is written as [[claim]]."""
    lines = [n for n, line in enumerate(text.split("\n"), 1) if line.partition("#")[0].strip() == f"[[{table}]]"]
    for i, record in enumerate(content.get(table, ())):
        where = f"{name}:{lines[i]}" if i < len(lines) else f"{name}: {table} {i + 1}"
        if not isinstance(record, dict):
            raise ClaimsError(f"{where}: {record!r} is no [[{table}]]")
        yield where, record


def _claim(where: str, record: dict[str, Any]) -> Claim:
    _expect_keys(where, record, ("id", "claim", "source", "verdict", "why", "decided_by"), ("measured_by",))
    claim = Claim(**record)
    where = f"{where}: {claim.id}"
    if claim.ruling not in VERDICTS or claim.verdict == "holds if":
        raise ClaimsError(f"{where}: verdict is {claim.verdict!r}; accepted are 'holds', 'holds if ...' and 'false'")
    if not _DECIDED_BY.fullmatch(claim.decided_by):
        example = "properties/test_claims.py::test_name[id]"
        raise ClaimsError(f"{where}: decided_by is {claim.decided_by!r}; one looks like {example}")
    if claim.measured_by and not re.fullmatch(r"bench:[\w-]+", claim.measured_by):
        raise ClaimsError(f"{where}: measured_by is {claim.measured_by!r}; one looks like bench:NAME")
    return claim


def _opened(where: str, record: dict[str, Any]) -> Open:
    _expect_keys(where, record, ("id", "claim", "source", "verdict", "why"), ())
    if record["verdict"] != "open":
        raise ClaimsError(
            f"{where}: {record['id']}: verdict is {record['verdict']!r}; accepted under [[open]] is 'open'"
        )
    return Open(**record)


def _expect_keys(where: str, record: dict[str, Any], needed: tuple[str, ...], allowed: tuple[str, ...]) -> None:
    for key, value in record.items():
        if key not in needed + allowed:
            raise ClaimsError(f"{where}: {key!r} is unknown{meant(key, needed + allowed)}")
        if not isinstance(value, str) or not value.strip():
            raise ClaimsError(f"{where}: {key} is {value!r}; accepted is a text that is not empty")
    for key in needed:
        if key not in record:
            raise ClaimsError(f"{where}: {record.get('id', 'a claim without an id')} lacks {key!r}")
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", record["id"]):
        raise ClaimsError(f"{where}: id is {record['id']!r}; accepted are words of a-z and 0-9 with hyphens between")
