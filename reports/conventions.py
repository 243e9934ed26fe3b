"""The atlas of conventions: its file of JSON lines, and what it says of each engine. Standard library only."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from reports import jsonlines
from reports.matrix import grouped
from reports.rows import LedgerError

LACKING = "not offered"
TOLD = ("another", "crashed")  # answers that say less than what was got
KIND = jsonlines.Kind("atlas", 1, "an atlas", "make it with `python -m properties.atlas`")


@dataclass(frozen=True)
class Asked:
    """One question: its theme, a sentence, its case as a line, what each answer means; "" as `contract` where open."""

    theme: str
    question: str
    sentence: str
    case: str
    answers: dict[str, str]
    contract: str


@dataclass(frozen=True)
class Line:
    """What one release of an engine answers to one question, and what was got."""

    engine: str
    release: str
    question: str
    answer: str
    got: str


@dataclass(frozen=True)
class Column:
    """Releases of one engine that answer alike: to each question its answer."""

    engine: str
    releases: tuple[str, ...]
    answers: dict[str, Line]

    @property
    def name(self) -> str:
        """The engine and its releases: jax 0.4.38, 0.12.0."""
        return f"{self.engine} {', '.join(self.releases)}"


@dataclass(frozen=True)
class Atlas:
    """The questions, what answers mean that any question may have, and the answers."""

    questions: list[Asked]
    outcomes: dict[str, str]
    lines: list[Line]

    @property
    def columns(self) -> list[Column]:
        """The engines; releases of one that follow each other and answer alike are one column."""
        found: list[Column] = []
        for (engine, release), its in grouped(self.lines, lambda line: (line.engine, line.release)).items():
            answers = {line.question: line for line in its}
            last = found[-1] if found else None
            if last and last.engine == engine and _said(last.answers) == _said(answers):
                found[-1] = Column(engine, (*last.releases, release), answers)
            else:
                found.append(Column(engine, (release,), answers))
        return found

    @property
    def releases(self) -> dict[str, list[str]]:
        """The releases of each engine."""
        found: dict[str, list[str]] = {}
        for line in self.lines:
            its = found.setdefault(line.engine, [])
            its += [line.release] * (line.release not in its)
        return found

    def shares(self, asked: Asked) -> dict[str, list[Line]]:
        """Who gives each answer to a question: the answers in their order, those that nobody gives left out."""
        order = [*asked.answers, *(name for name in self.outcomes if name != LACKING), LACKING]
        given = grouped((line for line in self.lines if line.question == asked.question), lambda line: line.answer)
        return {answer: given[answer] for answer in order if answer in given}

    def meaning(self, asked: Asked, answer: str) -> str:
        """What an answer to a question means."""
        return asked.answers.get(answer) or self.outcomes[answer]

    def who(self, lines: list[Line]) -> str:
        """Name engines, with the releases where others of theirs are not among them: torch, jax (0.4.38, 0.12.0)."""
        said = []
        for engine, its in grouped(lines, lambda line: line.engine).items():
            releases = [line.release for line in its]
            said.append(engine if releases == self.releases[engine] else f"{engine} ({', '.join(releases)})")
        return ", ".join(said)


def _said(answers: dict[str, Line]) -> dict[str, str]:
    return {question: line.answer for question, line in answers.items()}


def summary(atlas: Atlas) -> str:
    """Count what was asked, and how far engines differ, in a sentence or two."""
    split = [asked for asked in atlas.questions if len({*atlas.shares(asked)} - {LACKING}) > 1]
    return (
        f"{len(atlas.questions)} questions, {len(atlas.releases)} engines, "
        f"{sum(map(len, atlas.releases.values()))} releases; "
        f"to {len(split)} of the questions they give more than one answer."
    )


def write(atlas: Atlas, file: str | os.PathLike[str]) -> None:
    """Write the atlas as JSON lines, first the questions. Raises LedgerError where it cannot be written."""
    head = {"outcomes": atlas.outcomes, "questions": [*map(asdict, atlas.questions)]}
    jsonlines.write(file, KIND, head, map(asdict, atlas.lines))


def read(file: str | os.PathLike[str]) -> Atlas:
    """Invert `write`. Raises LedgerError naming the line that is broken."""
    head, lines = jsonlines.read(file, KIND)
    try:
        questions = [_question(each) for each in head["questions"]]
        atlas = Atlas(questions, {**head["outcomes"]}, [])
        answers = {each.question: {*each.answers, *atlas.outcomes} for each in questions}
    except (KeyError, TypeError) as error:
        raise LedgerError(f"{file}:1: not the questions of an atlas: {error}") from error
    seen: set[tuple[str, str, str]] = set()
    for where, content in lines:
        try:
            line = Line(**content)
        except TypeError as error:
            raise LedgerError(f"{where}: not an answer: {error}") from error
        _check(where, line, answers)
        if (which := (line.engine, line.release, line.question)) in seen:
            raise LedgerError(f"{where}: a second answer of {line.engine} {line.release} to {line.question!r}")
        seen.add(which)
        atlas.lines.append(line)
    return atlas


def _question(content: dict[str, Any]) -> Asked:
    """Read one question. Raises TypeError naming what is wrong with it."""
    asked = Asked(**content)
    for name, value in vars(asked).items():
        texts = [*value, *value.values()] if name == "answers" and isinstance(value, dict) else [value]
        if not all(isinstance(each, str) for each in texts):
            raise TypeError(f"{name} = {value!r}: {'texts are' if name == 'answers' else 'a text is'} accepted")
    return asked


def _check(where: str, line: Line, answers: dict[str, set[str]]) -> None:
    if wrong := next((name for name, value in vars(line).items() if not isinstance(value, str)), None):
        raise LedgerError(f"{where}: {wrong} = {getattr(line, wrong)!r}: a text is accepted")
    if line.question not in answers:
        raise LedgerError(f"{where}: the question {line.question!r} is none of the file's")
    if line.answer not in answers[line.question]:
        known = ", ".join(sorted(answers[line.question]))
        raise LedgerError(f"{where}: the answer {line.answer!r} to {line.question!r}: accepted are {known}")


def as_markdown(atlas: Atlas) -> str:
    """The atlas as Markdown: question by question, each answer with the engines that give it."""
    releases = "; ".join(f"{engine} {', '.join(its)}" for engine, its in atlas.releases.items())
    lines = [
        "# Where engines differ by choice", "",
        "What each engine does where there is more than one way, found by running the smallest case that tells. "
        "Nothing is judged here: what is wrong by an engine's own words stands in [findings](../findings/). Bold is "
        "what the [contract](../../impls/contract.py) owes. Where none is named, all releases answer so.", "",
        summary(atlas), "", f"Releases: {releases}.", "",
        "```console", "$ python -m properties.atlas --out=reports/samples/atlas.jsonl",
        "$ python -m reports.conventions reports/samples/atlas.jsonl --out=properties/atlas/README.md", "```",
    ]  # fmt: skip
    for theme, group in grouped(atlas.questions, lambda asked: asked.theme).items():
        lines += ["", f"## {theme}"]
        for asked in group:
            lines += ["", f"### {asked.question}", "", asked.sentence, "", f"    {asked.case}", ""]
            lines += ["| answer | what it means | engines |", "|---|---|---|"]
            for answer, its in atlas.shares(asked).items():
                told = f"**{answer}**" if answer == asked.contract else answer
                lines.append(f"| {told} | {atlas.meaning(asked, answer)} | {_named(atlas, its)} |")
    return "\n".join(lines) + "\n"


def _named(atlas: Atlas, lines: list[Line]) -> str:
    """Who gives an answer; where each result is its own, with it."""
    if lines[0].answer not in TOLD:
        return atlas.who(lines)
    return ", ".join(f"{atlas.who(its)} `{got}`" for got, its in grouped(lines, lambda line: line.got).items())


def main(arguments: list[str] | None = None) -> int:
    """Write an atlas as Markdown."""
    parser = argparse.ArgumentParser(prog="python -m reports.conventions", description=main.__doc__)
    parser.add_argument("atlas", type=Path, metavar="FILE", help="what `python -m properties.atlas` wrote")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="where the Markdown goes")
    options = parser.parse_args(arguments)
    try:
        text = as_markdown(read(options.atlas))
        options.out.write_text(text, encoding="utf-8", newline="\n")
    except (LedgerError, OSError) as error:
        sys.stderr.write(f"python -m reports.conventions: {error}\n")
        return 1
    sys.stdout.write(f"{options.out}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
