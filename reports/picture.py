"""python -m reports.picture: a run as one picture, a mark for each property of each operation. Standard library only.

The colours follow the reader's light or dark theme; a failure is a cross, so that the picture reads without colour.
"""

from __future__ import annotations

import argparse
import sys
from html import escape
from pathlib import Path

from reports import ledger
from reports.matrix import distinct, matrix
from reports.rows import Row, Run, fails, worst
from reports.sentences import counts, findings

OPERATIONS = (
    "conv2d", "conv2d_backward", "max_pool2d", "max_pool2d_backward", "avg_pool2d", "avg_pool2d_backward",
    "l2_pool2d", "l2_pool2d_backward", "out_size",
)  # fmt: skip
SQUARE, STEP, ACROSS = 8, 11, 12  # pixels of a square, from one to the next, and squares side by side
HALF = SQUARE // 2
LEFT, TOP, GAP = 160, 66, 16

# how a verdict is drawn: a class of the style, and a path from the square's upper left corner
AGREES = ("agrees", f"h{SQUARE}v{SQUARE}h-{SQUARE}z")
FAILS = ("fails", f"l{SQUARE} {SQUARE}m-{SQUARE} 0l{SQUARE}-{SQUARE}")
THIN = ("thin", f"h{SQUARE}v{SQUARE}h-{SQUARE}z")
MISSING = ("missing", f"m{HALF} 0l{HALF} {HALF}l-{HALF} {HALF}l-{HALF}-{HALF}z")
OTHER = ("other", f"m2 {HALF}h{SQUARE - 4}")
MEANING = {
    AGREES: "a property that held in every case",
    FAILS: "one that failed",
    THIN: "nothing differs, yet mistrusted",
    MISSING: "no verdict: the run or its process ended",
    OTHER: "not checked: unsupported, or out of time",
}

SIGNS = {"agrees": AGREES, "mistrusted": THIN, "no verdict": MISSING}

STYLE = """
text { font: 12px system-ui, sans-serif; fill: #1f2328; }
.name { font: 12px ui-monospace, monospace; }
.quiet { fill: #656d76; }
.head { font-weight: 600; }
.agrees { fill: #2f6fb5; }
.fails { fill: none; stroke: #c4320a; stroke-width: 2.4; }
.thin { fill: none; stroke: #9a6700; stroke-width: 1.6; }
.missing { fill: none; stroke: #9a6700; stroke-width: 1.2; }
.other { fill: none; stroke: #8c959f; stroke-width: 1.2; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .quiet { fill: #8d96a0; }
  .agrees { fill: #6cb0f5; }
  .fails { stroke: #ff8a5c; }
  .thin, .missing { stroke: #d4a72c; }
}
"""


def draw(run: Run, rows: list[Row]) -> str:
    """Return the picture of a run as SVG: operations down, implementations across."""
    found = matrix(rows, run)
    levels = [*found.groups, *distinct(found.rows, "level")]
    cells: dict[tuple[str, str], dict[str, list[Row]]] = {}
    for row in sorted(found.rows, key=lambda row: (levels.index(row.level), row.property)):
        cells.setdefault((row.operation, row.implementation), {}).setdefault(row.property, []).append(row)
    said = counts(found), "; ".join(findings(found))
    width = max(LEFT + len(found.implementations) * (ACROSS * STEP + GAP), 7 * max(map(len, said)))
    body = [text(0, 18, said[0], "head"), text(0, 36, said[1])]
    for column, name in enumerate(found.implementations):
        body.append(text(LEFT + column * (ACROSS * STEP + GAP), TOP - 8, name, "name head"))
    y = TOP
    for operation in [name for name in OPERATIONS if any(key[0] == name for key in cells)]:
        body.append(text(0, y + SQUARE + 1, operation, "name"))
        most = 1
        for column, name in enumerate(found.implementations):
            x = LEFT + column * (ACROSS * STEP + GAP)
            properties = cells.get((operation, name), {})
            if properties and all(row.not_offered() for each in properties.values() for row in each):
                body.append(text(x, y + SQUARE + 1, "not offered", "quiet"))
                continue
            verdicts = [worst(row.verdict for row in each) for each in properties.values()]
            body += squares(verdicts, x, y)
            most = max(most, len(verdicts))
        y += -(-most // ACROSS) * STEP + GAP
    x = 0
    drawn = "".join(body)
    for sign, meaning in MEANING.items():
        if f'class="{sign[0]}"' not in drawn:
            continue
        body += [path(sign, f"M{x} {y}{sign[1]}"), text(x + 14, y + SQUARE + 1, meaning, "quiet")]
        x += 34 + 6 * len(meaning)
    width = max(width, x)
    body.append(text(0, y + 30, told(run), "quiet"))
    label = escape(": ".join(said), quote=True)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-8 0 {width} {y + 40}" width="{width}" role="img"'
    return "\n".join([f'{head} aria-label="{label}">', f"<style>{STYLE}</style>", *body, "</svg>", ""])


def squares(verdicts: list[str], x: int, y: int) -> list[str]:
    """Draw one cell: its properties from left to right, in lines."""
    drawn: dict[tuple[str, str], str] = {}
    for i, verdict in enumerate(verdicts):
        sign = SIGNS.get(verdict, FAILS if fails(verdict) else OTHER)
        drawn[sign] = drawn.get(sign, "") + f"M{x + i % ACROSS * STEP} {y + i // ACROSS * STEP}{sign[1]}"
    return [path(sign, lines) for sign, lines in drawn.items()]


def path(sign: tuple[str, str], lines: str) -> str:
    """Write a path of a sign's class."""
    return f'<path class="{sign[0]}" d="{lines}"/>'


def text(x: int, y: int, words: str, kind: str = "plain") -> str:
    """Write a line of text."""
    return f'<text x="{x}" y="{y}" class="{kind}">{escape(words)}</text>'


def told(run: Run) -> str:
    """Say when and with what the run was made."""
    libraries = [f"{name} {run.versions[name]}" for name in ("numpy", "scipy", "torch") if name in run.versions]
    return ", ".join([run.started[:10], f"Python {run.machine.get('python', '?')}", *libraries])


def main(arguments: list[str] | None = None) -> int:
    """Draw the picture; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m reports.picture", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--results", type=Path, default=Path("results"), metavar="DIR",
                        help="the folder with the results file, or an exported .jsonl (default: results)")  # fmt: skip
    parser.add_argument("--out", type=Path, default=Path("report/matrix.svg"), metavar="FILE",
                        help="where the picture is written (default: report/matrix.svg)")  # fmt: skip
    parser.add_argument("--run", metavar="ID", help="the run to draw (default: the latest)")
    options = parser.parse_args(arguments)
    try:
        drawn = draw(*ledger.read(options.results, options.run))
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(drawn, encoding="utf-8", newline="\n")
    except ledger.LedgerError as error:
        print(f"python -m reports.picture: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        refused = f"{error.filename}: cannot be written ({error.strerror}): name another file"
        print(f"python -m reports.picture: {refused}", file=sys.stderr)
        return 1
    print(options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
