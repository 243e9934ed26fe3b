"""What the page shows of the atlas of conventions: questions by engines, and what each answer means."""

from __future__ import annotations

from dataclasses import dataclass

from reports.conventions import LACKING, Atlas, Column, Line, summary
from reports.matrix import grouped

BROKEN = ("crashed", "hung", "varies", "no result")
SIGNS = {"good": "✓", "bad": "✗", "warn": "≠", "idle": "·"}
LEGEND = {
    "good": "as the contract owes",
    "warn": "otherwise, or where the contract leaves it open",
    "bad": "no answer that can be relied on",
    "idle": "not offered",
}


@dataclass(frozen=True)
class Cell:
    """What one engine answers to one question."""

    answer: str
    tone: str
    title: str

    @property
    def sign(self) -> str:
        """The sign that says the same as the colour."""
        return SIGNS[self.tone]


@dataclass(frozen=True)
class Entry:
    """One question: its cells, engine by engine, and its answers with what they mean and who gives them."""

    name: str
    sentence: str
    case: str
    cells: list[Cell]
    answers: list[tuple[str, str, str, bool]]


@dataclass(frozen=True)
class Drawn:
    """All that the page needs."""

    summary: str
    columns: list[Column]
    themes: dict[str, list[Entry]]
    legend: list[tuple[str, str, str]]


def drawn(atlas: Atlas) -> Drawn:
    """Lay the atlas out for the page."""
    columns = atlas.columns
    themes: dict[str, list[Entry]] = {}
    for theme, its in grouped(atlas.questions, lambda asked: asked.theme).items():
        for asked in its:
            cells = [_cell(column.answers.get(asked.question), asked.contract) for column in columns]
            answers = [
                (name, atlas.meaning(asked, name), atlas.who(lines), name == asked.contract)
                for name, lines in atlas.shares(asked).items()
            ]
            themes.setdefault(theme, []).append(Entry(asked.question, asked.sentence, asked.case, cells, answers))
    return Drawn(summary(atlas), columns, themes, [(tone, SIGNS[tone], said) for tone, said in LEGEND.items()])


def _cell(line: Line | None, contract: str) -> Cell:
    if line is None:
        return Cell("", "idle", "not asked")
    tone = "warn"
    if line.answer == LACKING:
        tone = "idle"
    elif line.answer in BROKEN:
        tone = "bad"
    elif line.answer == contract:
        tone = "good"
    return Cell("" if tone == "idle" else line.answer, tone, f"{line.answer}\n{line.got}".strip())
