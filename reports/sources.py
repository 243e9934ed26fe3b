"""Where a worked example comes from: the `Source:` of its docstring in properties/, read as data and never imported."""

from __future__ import annotations

import ast
from pathlib import Path

from reports.claims import EXAMPLES

FOLDER = Path(__file__).parent.parent / "properties"
MARK = "Source: "


def sources(folder: Path | None = None) -> dict[str, str]:
    """Return the source of each worked example, by property; what cannot be read, or names none, is left out."""
    found = {}
    for file in sorted((folder or FOLDER).glob(f"{EXAMPLES}*.py")):
        try:
            tree = ast.parse(file.read_text(encoding="utf-8"))
        except (OSError, ValueError, SyntaxError):
            continue
        for each in tree.body:
            if isinstance(each, ast.FunctionDef) and (source := _source(ast.get_docstring(each) or "")):
                found[f"{file.name}::{each.name}"] = source
    return found


def _source(text: str) -> str:
    """Return what follows the mark, to the end of its paragraph and without the full stop."""
    _, mark, rest = text.partition(MARK)
    return " ".join(rest.partition("\n\n")[0].split()).removesuffix(".") if mark else ""
