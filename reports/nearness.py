"""How near cases came to the bound, as text: "exact:12 -5:3 -4:7", cases by the power of two below their largest error.

A case at power -4 is off by 1/16 of its bound or more, and by less than 1/8. Standard library only.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping

Counts = Counter[int | None]  # None: no error at all


def written(counts: Mapping[int | None, int]) -> str:
    """Write counts, those without any error first, then the farthest from the bound."""
    powers = sorted(counts, key=lambda power: (power is not None, power or 0))
    return " ".join(f"{'exact' if power is None else power}:{counts[power]}" for power in powers if counts[power])


def counted(text: str) -> Counts:
    """Invert `written`. Raises ValueError naming what is no count."""
    found: Counts = Counter()
    for part in text.split():
        match = re.fullmatch(r"(exact|-?\d{1,3}):([1-9]\d*)", part, re.ASCII)
        power = None if match is None or match[1] == "exact" else int(match[1])
        if match is None or power in found:
            raise ValueError(f"nearness {text!r}: accepted are counts of powers of two, such as 'exact:12 -5:3 -4:7'")
        found[power] = int(match[2])
    return found


def added(texts: Iterable[str]) -> Counts:
    """Add up the counts of several rows."""
    total: Counts = Counter()
    for text in texts:
        total += counted(text)
    return total
