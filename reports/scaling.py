"""How time grows with one size of the layer: fitted exponents beside those of the multiply-adds."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from reports import stats
from reports.benchmarks import Benchmarks
from reports.section import Table, listed, minus, time
from reports.stats import Interval, Slope

LETTERS = {
    "W": "width and height of the image",
    "F": "extent of the filter",
    "S": "stride",
    "C": "channels",
    "N": "images",
    "K": "filters",
}
NARROW = 0.15  # how far to either side an interval may reach that says what an exponent is


@dataclass(frozen=True)
class Growth:
    """One implementation in one sweep: sizes, seconds, and the power law, or why there is none."""

    who: str
    operation: str
    letter: str
    points: tuple[tuple[float, float], ...]
    slope: Slope | None
    expected: float  # the exponent of the multiply-adds over the same sizes, NaN where they are not known

    @property
    def unfitted(self) -> str:
        """Why there is no slope, or ""."""
        if self.slope is not None:
            return ""
        values = [value for value, _ in self.points]
        if len({*values}) == 1:
            return "1 size: no slope"
        return f"{len({*values})} sizes spanning {max(values) / min(values):.3g}x: no slope"

    @property
    def text(self) -> str:
        """The exponent and its interval."""
        return _exponent(self.slope.exponent) if self.slope else self.unfitted

    @property
    def as_expected(self) -> bool:
        """Whether the exponent of the multiply-adds lies in the interval, and few others do."""
        return self._holds and not self.wide

    @property
    def wide(self) -> bool:
        """Whether the exponent of the multiply-adds lies in an interval in which many others lie as well."""
        return self._holds and self.slope.exponent.high - self.slope.exponent.low > 2 * NARROW

    @property
    def _holds(self) -> bool:
        return self.slope is not None and self.slope.exponent.low <= self.expected <= self.slope.exponent.high


def growths(found: Benchmarks) -> list[Growth]:
    """Fit every sweep of every implementation; those of forward operations come first, then letter by letter."""
    lines = found.of("sweep")
    lines = lines[(lines["sweep"] != "") & (lines["value"] > 0)]
    fitted = [_growth(*key, lines) for key, lines in lines.groupby(["operation", "sweep", "who"], sort=False)]
    ranks = {letter: rank for rank, letter in enumerate(LETTERS)}
    return sorted(fitted, key=lambda each: (each.operation.endswith("_backward"), ranks.get(each.letter, 99)))


def _growth(operation: str, letter: str, who: str, lines: pd.DataFrame) -> Growth:
    lines = lines.sort_values("value")
    values = lines["value"].to_numpy(float)
    points = tuple(zip(values.tolist(), lines["seconds"].tolist(), strict=True))
    slope = stats.power_law(values, lines["seconds"])
    return Growth(who, operation, letter, points, slope, expected(values, lines["macs"]))


def expected(values: Iterable[float], work: Iterable[float]) -> float:
    """Fit the exponent of the multiply-adds as that of the times is; NaN where they are not known."""
    values, work = np.asarray([*values], float), np.asarray([*work], float)
    if not (work > 0).all() or len({*values}) < 2:
        return math.nan
    return float(np.polyfit(np.log(values), np.log(work), 1)[0])


def caption(found: list[Growth]) -> list[str]:
    """Say what the figure shows: where time grows as the multiply-adds do, and where it does not."""
    known = [each for each in found if each.slope and not math.isnan(each.expected)]
    said = []
    if known:
        agreeing = [each for each in known if each.as_expected]
        which = "" if len(agreeing) in (0, len(known)) else f": {_by_letter(agreeing)}"
        of = f"{len(agreeing)} of {len(known)} fits{which}"
        within = f"to within a 95 % interval of at most ±{NARROW:g}"
        said.append(f"Time {_verb(known)} as the multiply-adds do, {within}, in {of}.")
        if wide := [each for each in known if each.wide]:
            said.append(f"In {len(wide)}, the interval is too wide to tell: {_by_letter(wide)}.")
    for word, why, less in (
        (
            "Less",
            "what stays the same, such as the cost of a call, weighs where work is little, or work is saved",
            True,
        ),
        ("More", "much work fits the cache less, or is a worse shape for the matrix product", False),
    ):
        # a stride makes work less: what stays behind then is nearer to 0
        apart = [each for each in known if not (each.as_expected or each.wide)]
        apart = [each for each in apart if (abs(each.slope.exponent.value) < abs(each.expected)) == less]
        if apart:
            said.append(f"{word} than they do in {len(apart)}{_exponents(apart)}. There, {why}.")
    if unfitted := [
        f"{each.who} in {each.letter}{_backward(each)} ({each.unfitted})" for each in found if not each.slope
    ]:
        least = f"{stats.LEAST_SIZES} sizes spanning {stats.LEAST_SPAN:g}x"
        said.append(f"Not fitted: {listed(unfitted)}; a slope takes {least}.")
    return said


def _verb(found: list[Growth]) -> str:
    falling = {each.expected < 0 for each in found}
    return "grows or falls" if len(falling) > 1 else "falls" if True in falling else "grows"


def _by_letter(found: list[Growth]) -> str:
    whose: dict[str, list[str]] = {}
    for each in found:
        whose.setdefault(f"{each.letter}{_backward(each)}", []).append(each.who)
    return "; ".join(f"{letter} ({', '.join(names)})" for letter, names in whose.items())


def _exponents(found: list[Growth], most: int = 3) -> str:
    """Name the exponents that lie farthest off, with those of the multiply-adds."""
    farthest = sorted(found, key=lambda each: -abs(each.slope.exponent.value - each.expected))[:most]
    both = [f"{minus(each.slope.exponent.value)} against {minus(each.expected)}" for each in farthest]
    named = listed(
        f"{each.who} in {each.letter}{_backward(each)} ({pair})" for each, pair in zip(farthest, both, strict=True)
    )
    return f"{', farthest' if len(found) > most else ''}: {named}"


def _backward(each: Growth) -> str:
    return " backward" if each.operation.endswith("_backward") else ""


def table(found: list[Growth]) -> Table:
    """Return every fit, and every size."""
    head = ("operation", "size", "implementation", "exponent", "95 % interval", "of multiply-adds", "times")
    rows = []
    for each in found:
        fitted = each.slope.exponent if each.slope else None
        between = f"{minus(fitted.low)} to {minus(fitted.high)}" if fitted else each.unfitted
        exponent = minus(fitted.value) if fitted else ""
        expected = minus(each.expected)
        times = ", ".join(f"{value:g}: {time(seconds)}" for value, seconds in each.points)
        rows.append([each.operation, each.letter, each.who, exponent, between, expected, times])
    return Table(head, rows, 3)


def _exponent(found: Interval) -> str:
    return f"{minus(found.value)} [{minus(found.low)}, {minus(found.high)}]"
