"""python -m reports: draw what was found, from the results file alone."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from reports import ledger
from reports.markdown import as_markdown
from reports.matrix import matrix

PAGE = Path("report/index.html")


def main(arguments: list[str] | None = None) -> int:
    """Write the page, or what is asked for instead; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m reports", description=__doc__)
    parser.add_argument("--results", type=Path, default=Path("results"), metavar="DIR",
                        help="the folder with the results file, or an exported .jsonl (default: results)")  # fmt: skip
    parser.add_argument("--run", metavar="ID", help="the run to draw (default: the latest)")
    parser.add_argument("--out", type=Path, metavar="FILE",
                        help=f"write the page (default: {PAGE}, if nothing below is asked for)")  # fmt: skip
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the matrix as Markdown")
    parser.add_argument("--export", type=Path, metavar="FILE", help="write the run as JSON lines")
    options = parser.parse_args(arguments)
    out = options.out or (None if options.markdown or options.export else PAGE)
    try:
        run, rows = ledger.read(options.results, options.run)
        if options.markdown:
            options.markdown.parent.mkdir(parents=True, exist_ok=True)
            options.markdown.write_text(as_markdown(matrix(rows, run)), encoding="utf-8")
            print(options.markdown)
        if options.export:
            ledger.write_export(run, rows, options.export)
            print(options.export)
        if out:  # last, since it alone needs libraries
            from reports import page

            page.write(run, rows, out)
            print(out)
    except ledger.LedgerError as error:
        return _refused(str(error))
    except ModuleNotFoundError as error:
        return _refused(f"the page needs {error.name}: pip install -c constraints.txt jinja2 matplotlib pandas")
    except OSError as error:
        return _refused(f"{error.filename}: cannot be written ({error.strerror}): name another file")
    return 0


def _refused(line: str) -> int:
    print(f"python -m reports: {line}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
