"""python -m reports: draw what was found, from stored files alone."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from reports import conventions, kills, ledger, race
from reports.markdown import as_markdown
from reports.matrix import matrix

if TYPE_CHECKING:
    from reports.benchmarks import Benchmarks

PAGE, RESULTS = Path("report/index.html"), Path("results")
MUTANTS, ATLAS = RESULTS / "mutants.jsonl", RESULTS / "atlas.jsonl"
Read = TypeVar("Read")
INSTALL = "pip install -c constraints.txt jinja2 matplotlib pandas"


def main(arguments: list[str] | None = None) -> int:
    """Write the page, or what is asked for instead; returns the exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        if arguments[:1] == ["compare"]:
            from reports import comparison_text

            return comparison_text.main(arguments[1:])
        return _drawn(_parser().parse_args(arguments))
    except ledger.LedgerError as error:
        _say(str(error))
    except ModuleNotFoundError as error:
        what = "the comparison" if arguments[:1] == ["compare"] else "the page"
        _say(f"{what} needs {error.name}: {INSTALL}")
    except OSError as error:
        _say(f"{error.filename}: cannot be written ({error.strerror}): name another file")
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m reports",
        description=__doc__,
        epilog="python -m reports compare A B: compare two saved benchmark files; exit status 1 on a regression.",
    )
    parser.add_argument(
        "--results", type=Path, metavar="DIR",
        help=f"the folder with the results file, or an exported .jsonl (default: {RESULTS})",
    )  # fmt: skip
    parser.add_argument("--run", metavar="ID", help="the run to draw (default: the latest)")
    parser.add_argument(
        "--bench", type=Path, metavar="FILE",
        help="the benchmark file, or a folder, for its newest (default: .benchmarks)",
    )  # fmt: skip
    parser.add_argument(
        "--baseline", metavar="NAME",
        help="the implementation that speed is measured against (default: the one measured twice)",
    )  # fmt: skip
    parser.add_argument(
        "--layers", action="append", default=[], metavar="LIST",
        help="which layers to draw, repeatable: names and patterns, separated by commas (default: all)",
    )  # fmt: skip
    parser.add_argument(
        "--mutants", type=Path, metavar="FILE",
        help=f"the table that `make mutants` writes (default: {MUTANTS})",
    )  # fmt: skip
    parser.add_argument(
        "--atlas", type=Path, metavar="FILE",
        help=f"the atlas that `python -m properties.atlas` writes (default: {ATLAS})",
    )  # fmt: skip
    parser.add_argument(
        "--race", type=Path, metavar="FILE",
        help=f"what `make race` writes (default: the latest {RESULTS / race.FILES})",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, metavar="FILE",
                        help=f"write the page (default: {PAGE}, if nothing below is asked for)")  # fmt: skip
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the matrix as Markdown")
    parser.add_argument("--export", type=Path, metavar="FILE", help="write the run as JSON lines")
    return parser


def _drawn(options: argparse.Namespace) -> int:
    """Write all that is asked for. What cannot be read is said in a line, and the rest is drawn without it."""
    out = options.out or (None if options.markdown or options.export else PAGE)
    if out and out.is_dir():
        _say(f"{out}: is a folder: name a file")
        return 1
    unread: list[str] = []
    run, rows, trouble = None, [], None
    try:
        run, rows = ledger.read(options.results or RESULTS, options.run)
    except ledger.LedgerError as error:
        if options.markdown or options.export:
            raise
        trouble = error
        if options.results or options.run or (RESULTS / ledger.FILE).exists():
            unread.append(str(error))
    if options.markdown and run:
        options.markdown.parent.mkdir(parents=True, exist_ok=True)
        options.markdown.write_text(as_markdown(matrix(rows, run)), encoding="utf-8")
        print(options.markdown)
    if options.export and run:
        ledger.write_export(run, rows, options.export)
        print(options.export)
    if out:  # last, since it alone needs libraries
        from reports import page

        found, baseline, said = _benchmarks(options)
        unread += said
        if run is None and found is None:
            for line in unread or [str(trouble)]:
                _say(line)
            return 1
        faults = _beside(kills.read, options.mutants, MUTANTS, unread)
        atlas = _beside(conventions.read, options.atlas, ATLAS, unread)
        raced = _beside(race.read, options.race, race.newest(RESULTS), unread)
        html, unread = page.drawn(run, rows, found, baseline, unread, faults, atlas, raced)
        page.write(out, html)
        print(out)
    for line in unread:
        _say(line)
    return 1 if unread else 0


def _beside(read: Callable[[Path], Read], asked: Path | None, usual: Path, unread: list[str]) -> Read | None:
    """Return what a file beside the results holds; None where there is none, or where it cannot be read, then said."""
    if asked is None and not usual.exists():
        return None
    try:
        return read(asked or usual)
    except ledger.LedgerError as error:
        unread.append(str(error))
        return None


def _benchmarks(options: argparse.Namespace) -> tuple[Benchmarks | None, str, list[str]]:
    """Return the benchmarks, the baseline, and a line for each thing that is not as it was asked for."""
    from reports import benchmarks

    asked = options.bench or options.baseline or options.layers
    said: list[str] = []
    try:
        file = options.bench or benchmarks.newest()
    except benchmarks.BenchmarkError as error:
        return None, "", [f"{error}, or name a file with --bench"] if asked else []
    try:
        found = benchmarks.load(file)
        if options.layers:
            found, said = found.only(options.layers)
    except benchmarks.BenchmarkError as error:
        return None, "", [str(error)]
    baseline = found.baseline
    if options.baseline:
        try:
            baseline = found.named(options.baseline)
        except benchmarks.BenchmarkError as error:
            said.append(str(error))
    return found, baseline, said


def _say(line: str) -> None:
    print(f"python -m reports: {line}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
