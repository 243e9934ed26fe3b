"""The report: one self-contained HTML page, drawn from one run and its rows, and from one benchmark file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2

from reports import (
    atlas,
    claims,
    error_figures,
    errors,
    goals,
    mutants,
    mutants_figures,
    race_figures,
    sources,
    winners,
)
from reports.benchmarks import HOW, Benchmarks
from reports.conventions import Atlas
from reports.errors import ratio
from reports.kills import Table
from reports.matrix import LEVELS, Cell, Matrix, grouped, matrix, symbol
from reports.race import Race
from reports.rows import VERDICTS, Row, Run, fails, severity, worst
from reports.section import Section
from reports.sections import measured
from reports.sentences import EXPLAINED, command, counts, findings, missed, not_offered, plural, reasons, thin

OPEN_CARDS = 8  # failures beyond these are folded
MANY = {"agrees": "agree", "differs": "differ"}  # verdicts that are verbs, of several properties


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


def render(
    run: Run | None, rows: list[Row], found: Benchmarks | None = None, baseline: str = "", notices: Iterable[str] = ()
) -> str:
    """Return the page of a run, of a benchmark file, or of both; `notices` are said on top."""
    return drawn(run, rows, found, baseline, notices)[0]


def drawn(
    run: Run | None,
    rows: list[Row],
    found: Benchmarks | None = None,
    baseline: str = "",
    notices: Iterable[str] = (),
    faults: Table | None = None,
    conventions: Atlas | None = None,
    race: Race | None = None,
) -> tuple[str, list[str]]:
    """Return the page, and a line for each thing that it lacks because it cannot be read, as it says them on top.

    `faults` is what the suite's own mutants have shown, `conventions` where engines differ by choice, `race` how fast
    ours are against torch, and which of them where.
    """
    verdicts = matrix(rows, run)
    seen = {row.verdict for cell in verdicts.cells for row in cell.rows}
    cards = {f"failure-{number}": row for number, row in enumerate(verdicts.failures, start=1)}
    names = [*verdicts.implementations, *(found.names if found else ())]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    speeds = measured(found, baseline or found.baseline, numbers) if found else None
    notices = [*notices, *(found.damaged if found else ()), *(speeds.unread if speeds else ())]
    try:
        notes = claims.read()
    except claims.ClaimsError as error:
        notes = []
        notices.append(str(error))
    worked = [line for line in verdicts.lines if line.property.startswith(claims.EXAMPLES)]
    cited = sources.sources() if worked else {}
    refused = _refused(found) if found else []
    html = _template().render(
        run=run,
        matrix=verdicts,
        counts=counts(verdicts) if rows else _timed(found) if found else "no verdicts",
        findings=[*(findings(verdicts) if rows or not found else ["timed, and no verdicts here"]), *refused],
        state=_state(verdicts, refused),
        columns=_columns(run, verdicts),
        missing=[each for each in run.implementations if each.get("missing")] if run else [],
        reasons={verdict: reasons(verdicts, verdict) for verdict in EXPLAINED},
        not_offered=not_offered(verdicts),
        evidence=[said for said in (thin(rows), missed(rows)) if said],
        errors=_errors(rows, numbers),
        measured=speeds,
        proof=_proof(faults) if faults else [],
        raced=_raced(race) if race else [],
        how=HOW,
        atlas=atlas.drawn(conventions) if conventions else None,
        worked=worked,
        sources={line.property: cited[line.property] for line in worked if line.property in cited},
        claims={
            name: [(each, claims.found(each, verdicts)) for each in its] for name, its in claims.groups(notes).items()
        },
        anchors=[each.id for each in speeds.sections] if speeds else [],
        claim_count=claims.count(notes),
        notices=notices,
        cards=cards.items(),
        target=lambda cell: next((name for name, row in cards.items() if any(row is each for each in cell.rows)), ""),
        blank=any(not cell.rows for cell in verdicts.cells),
        seen=[(verdict, meaning) for verdict, meaning in VERDICTS.items() if verdict in seen],
        levels=LEVELS,
        open_cards=OPEN_CARDS,
    )
    return html, notices


def write(file: Path, page: str) -> None:
    """Write a page, whole or not at all."""
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


def told(verdicts: Counter[str]) -> str:
    """Say how many properties have each verdict: "2 agree · 11 differ"."""
    return " · ".join(f"{count} {MANY.get(each, each) if count > 1 else each}" for each, count in verdicts.items())


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


def moment(iso: str | None) -> str:
    """Write a stored time for a reader: 20 November 2026, 13:15 UTC."""
    try:
        return f"{datetime.fromisoformat(iso or ''):%-d %B %Y, %H:%M UTC}"
    except ValueError:
        return iso or ""


def _state(found: Matrix, refused: list[str]) -> str:
    """Return the class of the colour of the whole."""
    if found.failures or refused:
        return "bad"
    if found.missing:
        return "warn"
    return "good" if any(row.verdict == "agrees" for row in found.rows) else "idle"


def _columns(run: Run | None, found: Matrix) -> list[Column]:
    about = {each.get(key): each for key in ("name", "spec") for each in (run.implementations if run else ())}
    columns = []
    for name, rows in grouped(found.rows, lambda row: row.implementation).items():
        of_property = map(_worst, grouped(rows, lambda row: row.property).values())
        verdicts = Counter(sorted(of_property, key=lambda verdict: (verdict != "agrees", severity(verdict))))
        columns.append(Column(name, about.get(name, {}), verdicts, Cell(tuple(rows))))
    return columns


def _worst(rows: Iterable[Row]) -> str:
    return worst(row.verdict for row in rows)


def _errors(rows: list[Row], numbers: dict[str, int]) -> Section | None:
    found, near = errors.ratios(rows), errors.nearness(rows)
    if not found.size:
        return None
    return Section(
        "errors", "How near to the bound",
        "The largest error of each implementation, in units of what rounding can explain there, and how the largest "
        "errors of single cases are spread. Up to 1, rounding explains it; how far left says how much room there was.",
        errors.caption(found, rows), error_figures.error_ratios(found, near, numbers), errors.table(found, near),
        "Errors in units of their bound, for each operation and implementation.",
    )  # fmt: skip


def _proof(faults: Table) -> list[Section]:
    return [
        Section(
            "mutants", "What the suite catches",
            "Faults planted in a correct implementation, one each, by class: each mark is as large as the number of "
            "mutants that need so many examples of the quickest property that must kill them, run alone; the upright "
            "line is the median of its class, and a cross a mutant that none of these killed in so few.",
            mutants.caption(faults), mutants_figures.soon(faults), mutants.numbers(faults),
            "Examples that each class of mutants needs.",
        ),
        Section(
            "kills", "Which properties catch it",
            "The darker, the more of a class's mutants some property of the file kills, of those whose operation it "
            "speaks of; where there is room, the number counts them.",
            mutants.parts(faults), mutants_figures.kills(faults), mutants.of_properties(faults),
            "Mutants killed, for each class and each file of properties.",
        ),
    ]  # fmt: skip


def _raced(race: Race) -> list[Section]:
    sections = []
    if race.goals:
        sections.append(Section(
            "race", "The race",
            "Ours against torch on one thread, in turns in one process: what was measured of each goal that was set. A "
            "round mark to the right of the line is a goal met, a cross to its left one missed; a hollow mark is one "
            "where the other side differed from itself.",
            goals.caption(race), race_figures.goals(race), goals.table(race),
            "Each goal, and what of it was measured.",
        ))  # fmt: skip
    if race.cells:
        sections.append(Section(
            "winners", "Which algorithm where",
            "The fastest of ours for C channels and as many filters of F x F, transformed in the call, by the first "
            "word of its name (im2col is im2col-tiled), and below it how many times as long the second takes; heavy "
            "lines part the regions. What is timed was first seen to be right on that layer. "
            "Alone: the others multiply columns there, as im2col-tiled does.",
            winners.caption(race), race_figures.winners(race), winners.table(race),
            "The fastest algorithm for each filter, number of channels and stride.",
        ))  # fmt: skip
    return sections


def _timed(found: Benchmarks) -> str:
    """Count the timings by what they are of; what was measured again and the roofline are no further ones."""
    of = {name: found.of(kind) for name, kind in (("layers", "layer"), ("sweeps", "sweep"), ("steps", "experiment"))}
    names = {name for its in of.values() for name in its["implementation"]}
    parts = ", ".join(f"{len(its):,} of {name}" for name, its in of.items() if len(its))
    said = f"{plural(sum(map(len, of.values())), 'timing')} of {plural(len(names), 'implementation')}"
    return said + f" ({parts})" * bool(parts)


def _refused(found: Benchmarks) -> list[str]:
    """Count what was wrong, or raised, where it was to be timed, by implementation; experiments have no other place."""
    faults = found.not_timed[found.not_timed["reason"].astype(str).str.startswith(("wrong", "raised"))]
    said = []
    for name, its in faults.groupby("implementation", sort=False):
        reasons = its["reason"][its["kind"] == "experiment"].unique()
        told = f"; in experiments {' | '.join(reasons)}" if len(reasons) else ""
        said.append(f"{name} is wrong or raises in {plural(len(its), 'place')}, not timed there{told}")
    return said


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.ChainableUndefined,  # an older run may say less of its machine
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        tone=tone, symbol=symbol, details=details, ratio=ratio, moment=moment, command=command, plural=plural, told=told
    )  # fmt: skip
    return environment.get_template("page.html.j2")
