"""What was meant by a word that is none of those known."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable


def meant(word: str, known: Iterable[str], show: Callable[[str], str] = str, cutoff: float = 0.65) -> str:
    """Ask after the nearest known word, in whatever case: " (did you mean conv2d?)", or "" where none is near."""
    names = {name.casefold(): name for name in known}
    near = difflib.get_close_matches(word.casefold(), names, n=1, cutoff=cutoff)
    return f" (did you mean {show(names[near[0]])}?)" if near else ""
