"""The report: one self-contained HTML page, drawn from one run and its rows alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup

from reports import figures, load
from reports.matrix import LEVELS, Cell, Matrix, distinct, grouped, matrix, symbol
from reports.rows import VERDICTS, Row, Run, fails, severity, worst
from reports.sentences import EXPLAINED, command, counts, findings, not_offered, plural, reasons

OPEN_CARDS = 8  # failures beyond these are folded


@dataclass(frozen=True)
class Column:
    """One implementation: what it is, and what was found of it over all properties."""

    spec: str
    about: dict[str, Any]
    verdicts: Counter[str]
    cell: Cell

    @property
    def state(self) -> str:
        """The worst that was found, as the class of its colour."""
        return tone(self.cell.verdict)

    @property
    def shares(self) -> list[tuple[str, int]]:
        """The number of properties of each colour, the good first."""
        by_tone = Counter[str]()
        for verdict, count in self.verdicts.items():
            by_tone[tone(verdict)] += count
        return [(each, by_tone[each]) for each in ("good", "bad", "warn", "idle") if by_tone[each]]


def render(run: Run, rows: list[Row]) -> str:
    """Return the page of a run."""
    found = matrix(rows, run)
    ratios = _ratios(rows)
    seen = {row.verdict for cell in found.cells for row in cell.rows}
    cards = {f"failure-{number}": row for number, row in enumerate(found.failures, start=1)}
    drawn = {name: Markup(figures.error_ratios(ratios, name == "narrow")) for name in ("wide", "narrow") if ratios.size}
    return _template().render(
        run=run,
        matrix=found,
        counts=counts(found) if rows else "no verdicts",
        findings=findings(found),
        state="bad" if found.failures else "warn" if found.missing else "good" if "agrees" in seen else "idle",
        columns=_columns(run, found),
        missing=[each for each in run.implementations if each.get("missing")],
        reasons={verdict: reasons(found, verdict) for verdict in EXPLAINED},
        not_offered=not_offered(found),
        ratios=ratios,
        figure=drawn,
        cards=cards.items(),
        target=lambda cell: next((name for name, row in cards.items() if any(row is each for each in cell.rows)), ""),
        blank=any(not cell.rows for cell in found.cells),
        seen=[(verdict, meaning) for verdict, meaning in VERDICTS.items() if verdict in seen],
        levels=LEVELS,
        open_cards=OPEN_CARDS,
    )


def write(run: Run, rows: list[Row], file: Path) -> None:
    """Write the page of a run, whole or not at all."""
    page = render(run, rows)
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(file.name + ".draft")
    draft.write_text(page, encoding="utf-8", newline="\n")
    draft.replace(file)


def tone(verdict: str) -> str:
    """Return the class of a verdict's colour; the sign beside it says the same."""
    if verdict in ("no verdict", "mistrusted", "expected"):
        return "warn"
    if verdict == "agrees":
        return "good"
    return "bad" if verdict and fails(verdict) else "idle"


def details(cell: Cell) -> str:
    """Say in lines what is behind a cell."""
    if not cell.rows:
        return "no part of this run"
    lines = [cell.verdict, f"{plural(cell.examples, 'case')}, {plural(cell.elements, 'output')} compared"]
    if cell.worst_ratio is not None:
        lines.append(f"largest error {ratio(cell.worst_ratio)} of its bound")
    of_dtype = grouped((row for row in cell.rows if row.dtype), lambda row: row.dtype)
    lines += [f"{dtype}: {_worst(rows)}" for dtype, rows in of_dtype.items()]
    return "\n".join(lines + list(dict.fromkeys(row.reason for row in cell.rows if row.reason)))


def ratio(value: float | None) -> str:
    """Write a number of bounds to two digits; nothing where nothing was measured."""
    if value is None or pd.isna(value):
        return ""
    if value == float("inf"):
        return "∞"
    return f"{value:.2g}" if value < 100 else f"{value:,.0f}" if value < 1e5 else f"{value:.1e}"


def moment(iso: str | None) -> str:
    """Write a stored time for a reader: 20 November 2026, 13:15 UTC."""
    try:
        return f"{datetime.fromisoformat(iso or ''):%-d %B %Y, %H:%M UTC}"
    except ValueError:
        return iso or ""


def _columns(run: Run, found: Matrix) -> list[Column]:
    about = {each.get(key): each for key in ("name", "spec") for each in run.implementations}
    columns = []
    for name, rows in grouped(found.rows, lambda row: row.implementation).items():
        of_property = map(_worst, grouped(rows, lambda row: row.property).values())
        verdicts = Counter(sorted(of_property, key=lambda verdict: (verdict != "agrees", severity(verdict))))
        columns.append(Column(name, about.get(name, {}), verdicts, Cell(tuple(rows))))
    return columns


def _worst(rows: Iterable[Row]) -> str:
    return worst(row.verdict for row in rows)


def _ratios(rows: list[Row]) -> pd.DataFrame:
    """Return the largest error in units of its bound: operations down, implementations across."""
    frame = load.tidy(rows).dropna(subset="worst_ratio")
    table = frame.pivot_table("worst_ratio", index="operation", columns="implementation", aggfunc="max", sort=False)
    return table.reindex(columns=[name for name in distinct(rows, "implementation") if name in table])


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.ChainableUndefined,  # an older run may say less of its machine
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        tone=tone, symbol=symbol, details=details, ratio=ratio, moment=moment, command=command, plural=plural
    )  # fmt: skip
    return environment.get_template("page.html.j2")
