"""The matrix as Markdown, for the summary of a CI job. Standard library only."""

from __future__ import annotations

from collections.abc import Iterable

from reports.matrix import Line, Matrix
from reports.sentences import EXPLAINED, command, headline, not_offered, reasons


def as_markdown(matrix: Matrix, most: int = 20) -> str:
    """Draw the matrix, with at most so many failures in full."""
    lines = [f"## {_escaped(headline(matrix))}", ""]
    if matrix.run is not None and matrix.run.finished is None:
        lines += ["**This run was cut off, or has not ended.**", ""]
    if matrix.lines:
        lines += _table(matrix)
    for said in not_offered(matrix):
        lines += ["", _escaped(said)]
    if matrix.failures:
        lines += ["", "### What fails"]
    for row in matrix.failures[:most]:
        what = _escaped(f"{row.implementation} {row.operation} {row.dtype}: {row.verdict}. {row.title}")
        lines += ["", what, "", *_fenced((row.message or f"{row.reason}\n\n{command(row)}").strip())]
    if len(matrix.failures) > most:
        lines += ["", f"and {len(matrix.failures) - most} more."]
    for verdict in EXPLAINED:
        if found := reasons(matrix, verdict):
            lines += ["", f"<details><summary>{verdict}: {sum(each.count for each in found)}</summary>", ""]
            lines += [f"- {_escaped(str(each))}" for each in found]
            lines += ["", "</details>"]
    return "\n".join(lines).rstrip() + "\n"


def _table(matrix: Matrix) -> list[str]:
    width = len(matrix.implementations)
    lines = [_row(["property", *matrix.implementations]), "|---" * (1 + width) + "|"]
    for level, group in matrix.groups.items():
        lines.append(f"| **{_escaped(level)}** |" + " |" * width)
        for line in group:
            lines.append(_row([line.title, *_texts(line)]))
            for part in line.parts:
                lines.append("| &emsp;" + _row([", ".join(part.operations), *_texts(part)])[2:])
    return lines


def _texts(line: Line) -> Iterable[str]:
    return (cell.text for cell in line.cells.values())


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(_escaped(cell) for cell in cells) + " |"


def _escaped(text: str) -> str:
    text = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "".join("\\" + each if each in "\\|*_`[]~" else each for each in text)


def _fenced(text: str) -> list[str]:
    fence = "```"
    while fence in text:
        fence += "`"
    return [f"{fence}text", text, fence]
