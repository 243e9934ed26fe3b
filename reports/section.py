"""What a section of the page is made of, and how numbers are written for a reader."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from reports.stats import Floor, Interval


@dataclass(frozen=True)
class Table:
    """The numbers behind a figure: `texts` says how many of the first columns are words; the others are numbers."""

    head: tuple[str, ...]
    rows: Sequence[Sequence[str]]
    texts: int = 1


@dataclass(frozen=True)
class Section:
    """A heading, what is shown, its drawings (wide and narrow), what they show in words, the numbers behind them."""

    id: str
    title: str
    lead: str
    caption: Sequence[str] = ()
    drawings: dict[str, str] = field(default_factory=dict)
    table: Table | None = None
    label: str = ""  # of the drawing, for those who do not see it


def time(seconds: float) -> str:
    """Write seconds to three digits, in the unit that fits."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= 0.9995 * size:
            return f"{three(seconds / size)} {unit}"
    return "" if math.isnan(seconds) else f"{three(seconds / 1e-9)} ns"


def size(count: float) -> str:
    """Write bytes to three digits, in the unit that fits."""
    for unit, each in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= 0.9995 * each:
            return f"{three(count / each)} {unit}"
    return "" if math.isnan(count) else f"{count:.0f} B"


def three(number: float) -> str:
    """Write a number to three digits."""
    if math.isnan(number):
        return ""
    digits = 2 - math.floor(math.log10(abs(number) * 1.0005)) if number else 2
    return f"{number:,.{max(0, min(digits, 2))}f}"


def times(ratio: float) -> str:
    """Write a ratio: two decimals near 1, two digits far from it, a fraction where it is very small."""
    if math.isnan(ratio):
        return ""
    if ratio >= 9.95:
        return f"{ratio:,.0f}" if ratio >= 99.5 else f"{ratio:.1f}"
    if 0 < ratio < 0.000995:
        return f"1/{float(f'{1 / ratio:.2g}'):,.0f}"
    return f"{ratio:.2f}" if ratio >= 0.0995 else f"{ratio:#.2g}"


def minus(number: float) -> str:
    """Write a number to two decimals, with a minus sign that is one; nothing for NaN."""
    return "" if math.isnan(number) else f"{number:.2f}".replace("-", "−")


def limits(interval: Interval) -> str:
    """Write the limits of an interval; nothing where they are unknown."""
    if math.isnan(interval.low):
        return ""
    return f"{times(interval.low)} to {times(interval.high)}"


def covered(floor: Floor | None) -> str:
    """Say at the head of a column what its intervals cover."""
    return "95 % interval, of rounds alone" if floor is None else "95 % interval, of repeats"


def bracketed(interval: Interval) -> str:
    """Write a ratio with its limits: 0.78 [0.76, 0.80]."""
    known = not math.isnan(interval.low)
    return times(interval.value) + (f" [{times(interval.low)}, {times(interval.high)}]" if known else "")


def listed(names: Iterable[str], joint: str = "and") -> str:
    """Join names: a, b and c."""
    *first, last = [*names] or [""]
    return f"{', '.join(first)} {joint} {last}" if first else last
