"""python -m reports: draw what was found, from the results file alone."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from reports import ledger
from reports.matrix import as_markdown, matrix


def main(arguments: list[str] | None = None) -> int:
    """Draw the page; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m reports", description=__doc__)
    parser.add_argument("--results", type=Path, default=Path("results"), metavar="DIR",
                        help="the folder with the results file, or an exported .jsonl (default: results)")  # fmt: skip
    parser.add_argument("--out", type=Path, default=Path("report/index.html"), metavar="FILE",
                        help="where the page is written (default: report/index.html)")  # fmt: skip
    parser.add_argument("--run", metavar="ID", help="the run to draw (default: the latest)")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the matrix as Markdown, too")
    parser.add_argument("--export", type=Path, metavar="FILE", help="write the run as JSON lines, too")
    options = parser.parse_args(arguments)
    try:
        run, rows = ledger.read(options.results, options.run)
        if options.markdown:  # first, since it needs no library
            options.markdown.parent.mkdir(parents=True, exist_ok=True)
            options.markdown.write_text(as_markdown(matrix(rows), cut_off=run.finished is None), encoding="utf-8")
            print(options.markdown)
        if options.export:
            ledger.write_export(run, rows, options.export)
            print(options.export)
        from reports import page

        page.write(run, rows, options.out)
        print(options.out)
    except ledger.LedgerError as error:
        return _refused(str(error))
    except ModuleNotFoundError as error:
        return _refused(f"the page needs {error.name}: pip install jinja2 matplotlib pandas")
    except OSError as error:
        return _refused(f"{error.filename}: cannot be written ({error.strerror}): name another file")
    return 0


def _refused(line: str) -> int:
    print(f"python -m reports: {line}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
