"""Every property, in the order in which a run meets them: what is cheap and catches most comes first."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from properties.laws import Law

FOLDER = Path(__file__).parent
# A run that stops at the first failure, or runs out of time, has done these.
FIRST = (
    "values", "gradients", "scope", "common", "edges", "shape", "specials", "switches", "refusals", "arrays",
    "repeatability", "sizes", "worked_examples", "worked_gradients",
)  # fmt: skip
# Their cases are dear, and find what no others do: so much more of the time is theirs.
DEAR = {"edges": 4.0, "sizes": 4.0, "common": 3.0, "scope": 2.0, "values": 2.0, "gradients": 2.0}


def weight(file: Path) -> float:
    """How much of the time a property of this file has, next to others."""
    return DEAR.get(file.stem.removeprefix("test_"), 1.0)


def rank(file: Path) -> int:
    """Where a file's properties stand in the run; files that are not named keep their order behind the others."""
    theme = file.stem.removeprefix("test_")
    return FIRST.index(theme) if file.parent == FOLDER and theme in FIRST else len(FIRST)


def properties() -> Iterator[tuple[str, Any]]:
    """Give each property's name, as results spell it (test_values.py::test_...), and its function, in order."""
    for file in sorted(sorted(FOLDER.glob("test_*.py")), key=rank):
        module = importlib.import_module(f"properties.{file.stem}")
        for function in vars(module).values():
            if isinstance(getattr(function, "law", None), Law) and function.__module__ == module.__name__:
                yield name_of(function), function


def name_of(function: Any) -> str:
    """A property's name, as results spell it."""
    return f"{function.__module__.rpartition('.')[2]}.py::{function.__name__}"
