"""What was meant by a word that is none of those known."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable


def meant(word: str, known: Iterable[str], show: Callable[[str], str] = str, cutoff: float = 0.6) -> str:
    """Ask after the nearest known word: " (did you mean conv2d?)", or "" where none is near."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=cutoff)
    return f" (did you mean {show(near[0])}?)" if near else ""
