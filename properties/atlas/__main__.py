"""`python -m properties.atlas [ENGINE ...]`: ask engines where they differ by choice, and keep what they answer.

Answers of other engines and releases that the file holds stay there, so that it is made in several environments, one
after the other. Exit status 0, 1 where an engine could not be asked, 2 for a wrong name or file.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from properties.atlas import asking
from properties.atlas.child import ENGINES
from properties.atlas.questions import OUTCOMES, THEMES
from reports import conventions
from reports.rows import LedgerError

ROOT = Path(__file__).parents[2]


def main(arguments: list[str] | None = None) -> int:
    """Ask, print and keep; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m properties.atlas", description=__doc__)
    parser.add_argument(
        "engines", nargs="*", metavar="ENGINE", help=f"of {', '.join(ENGINES)} (default: what is there)"
    )
    parser.add_argument("--python", default=sys.executable, metavar="PATH",
                        help="the interpreter whose engines are asked; it needs NumPy (default: this one)")  # fmt: skip
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "atlas.jsonl", metavar="FILE",
                        help="where the answers are kept (default: %(default)s)")  # fmt: skip
    options = parser.parse_args(arguments)
    try:
        kept = still_asked(conventions.read(options.out)) if options.out.exists() else []
        there = asking.releases(options.python)
    except (LedgerError, asking.EngineError) as error:
        parser.error(str(error))
    for name in options.engines:
        if name not in there:
            known = "no engine of the atlas" if name not in ENGINES else "not installed"
            parser.error(f"{name}: {known}; accepted are {', '.join(there)}")
    status = 0
    for name in options.engines or there:
        try:
            found = asking.answers(name, there[name], options.python)
        except asking.EngineError as error:
            status = 1
            sys.stderr.write(f"python -m properties.atlas: {error}\n")
            continue
        kept = asking.merged(kept, found)
        for line in found:
            sys.stdout.write(f"{line.engine} {line.release}: {line.question}: {line.answer} {line.got}".rstrip() + "\n")
        sys.stdout.flush()
    try:
        conventions.write(conventions.Atlas(asked(), OUTCOMES, sorted(kept, key=_place)), options.out)
    except LedgerError as error:
        parser.error(str(error))
    return status


def asked() -> list[conventions.Asked]:
    """The questions as the file tells them, so that a report needs nothing else."""
    return [
        conventions.Asked(
            theme, each.name, each.sentence, each.case,
            {answer.name: f"{answer.sentence} {answer.gives}" for answer in each.answers}, each.contract,
        )
        for theme, questions in THEMES.items()
        for each in questions
    ]  # fmt: skip


def still_asked(atlas: conventions.Atlas) -> list[conventions.Line]:
    """The answers of a file to the questions as they stand now; those of a question that has changed are left out."""
    same = {each.question for each in asked() if each in atlas.questions}
    return [line for line in atlas.lines if line.question in same]


def _place(line: conventions.Line) -> tuple[int, list[int]]:
    numbers = [int(part) for part in line.release.split(".") if part.isdigit()]
    return [*ENGINES].index(line.engine) if line.engine in ENGINES else len(ENGINES), numbers


if __name__ == "__main__":
    sys.exit(main())
