"""How sure a number is: intervals of ratios and slopes from raw seconds, and the noise of identical code."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from statistics import NormalDist

import numpy as np

LEVEL = 0.95  # of every interval
SEED = 20
NORMAL = NormalDist()
RESAMPLES = 4000
LEAST_ROUNDS = 5  # with fewer, the bootstrap's 95 % interval of a ratio holds the truth in 90 % only
LEAST_SIZES, LEAST_SPAN = 6, 8.0  # what a slope is fitted to
TAILS = 3  # degrees of freedom: A/A shifts were seen with a kurtosis of 15 to 26, where normal noise has 3
BEYOND = 2.0  # times the greatest A/A shift, on the scale of logarithms
SHARED = 0.025  # of logarithms: what all timings of a run may have in common, at least; groups were seen to shift by it


@dataclass(frozen=True)
class Interval:
    """An estimate and the limits between which the truth lies, as far as the data say; NaN where they say nothing."""

    value: float
    low: float = math.nan
    high: float = math.nan

    def holds(self, value: float) -> bool:
        """Whether a value lies within; unknown limits hold everything."""
        return not (value < self.low or value > self.high)


@dataclass(frozen=True)
class Ratio(Interval):
    """A ratio of medians; `shift` is the part of it that the fastest rounds show as well."""

    shift: float = math.nan


@dataclass(frozen=True)
class Slope:
    """The exponent of a power law and its interval; `factor` is the fitted seconds at value 1."""

    exponent: Interval
    factor: float

    def at(self, value: float) -> float:
        """Return the fitted seconds."""
        return self.factor * value**self.exponent.value


@dataclass(frozen=True)
class Floor:
    """What identical code differs by: `factor` is exceeded, up or down, with a chance of `rate` in `comparisons`."""

    factor: float
    pairs: int
    rate: float
    comparisons: int = 1

    def holds(self, ratio: float) -> bool:
        """Whether a ratio is no farther from 1 than noise is."""
        return 1 / self.factor <= ratio <= self.factor

    @property
    def percent(self) -> float:
        """The factor as a difference in per cent."""
        return 100 * (self.factor - 1)


def ratio_of_medians(above: Sequence[float], below: Sequence[float], level: float = LEVEL) -> Ratio:
    """Divide two medians of raw seconds, with the percentile bootstrap's interval: seeded, so it repeats.

    Few rounds have Student's interval of the logarithms, with the degrees of freedom of the fewer: a wide one.
    It says how far rounds of one run vary, not how far runs do: for that there is the floor.
    """
    value = float(np.median(above) / np.median(below))
    fewest, shared = min(len(above), len(below)), shift(above, below)
    if fewest < 2 or not min(*above, *below) > 0:
        return Ratio(value, shift=shared)
    if fewest < LEAST_ROUNDS:
        variance = sum(float(np.var(np.log(each), ddof=1)) / len(each) for each in (above, below))
        reach = math.exp(min(student((1 + level) / 2, fewest - 1) * math.sqrt(variance), 700.0))
        return Ratio(value, value / reach, value * reach, shared)
    # two streams: equal draws for both would make the interval too narrow
    ratios = _resampled_medians(above, 0) / _resampled_medians(below, 1)
    # limits that were drawn, never between two: medians of few rounds are lumpy
    low = np.quantile(ratios, (1 - level) / 2, method="lower")
    high = np.quantile(ratios, (1 + level) / 2, method="higher")
    return Ratio(value, float(low), float(high), shared)


def shift(above: Sequence[float], below: Sequence[float]) -> float:
    """Return the ratio of the medians or that of the fastest rounds, whichever is nearer to 1; 1 where they part.

    Other work on the machine only adds time: it moves medians, and the fastest rounds least. Slower code moves both.
    """
    fewest = min(len(above), len(below))
    fastest = [min(each[:fewest]) for each in (above, below)]  # of as many rounds: more would find a faster one
    medians = float(np.median(above) / np.median(below))
    if not min(fastest) > 0:
        return medians
    logs = math.log(medians), math.log(fastest[0] / fastest[1])
    return math.exp(min(logs, key=abs)) if logs[0] * logs[1] > 0 else 1.0


def _resampled_medians(seconds: Sequence[float], stream: int) -> np.ndarray:
    ordered = np.sort(np.asarray(seconds, dtype=float))
    lower, upper = _median_ranks(len(ordered), stream)
    return (ordered[lower] + ordered[upper]) / 2


@cache
def _median_ranks(n: int, stream: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw the ranks of the two middle elements of resamples of n, without drawing the resamples.

    The k-th least of n ranks drawn from 1..n is ceil(n U), where U, the k-th least of n uniform numbers, has the
    distribution Beta(k, n+1-k); the next one lies the least of n-k uniform numbers farther up.
    """
    rng = np.random.default_rng((SEED, stream))
    k = (n + 1) // 2
    lower = rng.beta(k, n + 1 - k, RESAMPLES)
    upper = lower if n % 2 else lower + (1 - lower) * rng.beta(1, n - k, RESAMPLES)
    lower, upper = (np.clip(np.ceil(n * u).astype(int), 1, n) - 1 for u in (lower, upper))
    return lower, upper


def power_law(values: Sequence[float], seconds: Sequence[float], level: float = LEVEL) -> Slope | None:
    """Fit seconds = factor * value ** exponent by least squares of the logarithms; None of too few or too close sizes.

    The interval is Student's, of so many sizes less two: what bends away from a straight line widens it.
    """
    distinct = {*values}
    if len(distinct) < LEAST_SIZES or max(distinct) < LEAST_SPAN * min(distinct):
        return None
    x, y = np.log(np.asarray(values, float)), np.log(np.asarray(seconds, float))
    spread = float(((x - x.mean()) ** 2).sum())
    exponent = float(((x - x.mean()) * (y - y.mean())).sum()) / spread
    start = float(y.mean() - exponent * x.mean())
    dof = len(x) - 2
    error = math.sqrt(float(((y - start - exponent * x) ** 2).sum()) / dof / spread)
    reach = student((1 + level) / 2, dof) * error
    return Slope(Interval(exponent, exponent - reach, exponent + reach), math.exp(start))


def noise_floor(shifts: Iterable[float], rate: float = 1 - LEVEL, comparisons: int = 1) -> Floor | None:
    """Say from A/A shifts (identical code measured twice) how far from 1 the next one may lie; None of no pairs.

    Their logarithms have mean 0, whichever came first, and the next one, divided by the root of their mean square, is
    Student's with as many degrees of freedom as there are pairs. Few pairs thus give a wide floor by themselves. The
    chance is shared out over all `comparisons` (Bonferroni), so that one of them exceeds the floor with chance `rate`.
    """
    logs = np.log(np.fromiter(shifts, float))
    if not len(logs):
        return None
    reach = student(1 - rate / comparisons / 2, len(logs)) * math.sqrt(float((logs**2).mean()))
    return Floor(math.exp(min(reach, 700.0)), len(logs), rate, comparisons)


def spread(logs: Iterable[float]) -> float:
    """Estimate a standard deviation around 0 from the median of the magnitudes: far ones do not move it; 0 of none."""
    sizes = np.abs(np.fromiter(logs, float))
    return float(np.median(sizes)) / NORMAL.inv_cdf(0.75) if len(sizes) else 0.0


def robust_floor(
    shifts: Sequence[float], noise: float = 0.0, rate: float = 1 - LEVEL, comparisons: int = 1, least: float = 1.0
) -> Floor | None:
    """Say how far from 1 a shift hardly ever lies, whatever disturbed a few of the A/A pairs; None of no pairs.

    It is the quantile of Student's distribution with 3 degrees of freedom, whose tails are heavy, scaled to the median
    of the A/A shifts or to `noise`, a standard deviation: less than half of the pairs, however far, hardly move it. It
    is never nearer to 1 than the factor `least`.
    """
    if not len(shifts):
        return None
    scale = max(spread(np.log(shifts)), noise) * NORMAL.inv_cdf(0.75) / student(0.75, TAILS)
    reach = max(student(1 - rate / comparisons / 2, TAILS) * scale, math.log(least))
    return Floor(math.exp(min(reach, 700.0)), len(shifts), rate, comparisons)


def disturbed(shifts: Sequence[float], *settings: float) -> list[int]:
    """Return the places of the A/A shifts beyond the robust floor of all others, with its settings.

    A pair that was in its own limit could hide itself where pairs are few. At least half of them are never beyond.
    """
    floors = [robust_floor([*shifts[:place], *shifts[place + 1 :]], *settings) for place in range(len(shifts))]
    return [place for place, floor in enumerate(floors) if floor is not None and not floor.holds(shifts[place])]


def far_floor(shifts: Sequence[float], robust: Floor) -> Floor:
    """Return the farther of a robust floor and twice the greatest A/A shift, on the scale of logarithms.

    What disturbed one of some dozens of pairs disturbs some of hundreds of timings: beyond this a change is certain.
    """
    reach = BEYOND * float(np.abs(np.log(shifts)).max())
    return replace(robust, factor=max(robust.factor, math.exp(min(reach, 700.0))), pairs=len(shifts))


def group_ratio(shifts: Sequence[float], noise: float, drift: float, rate: float, groups: int) -> Interval:
    """Average the shifts of a group, with an interval that all of so many `groups` exceed with a chance of `rate`.

    Two errors add up in squares: that of the mean, by Student and the group's own spread, which heavy tails widen; and
    what all timings of a run have in common, which no number of timings makes smaller: `noise`, a standard deviation of
    logarithms, and at least `SHARED`. What the machine itself took longer or shorter, `drift`, is divided out, and half
    of it, on the scale of logarithms, is added to the interval: not all work slows down alike.
    """
    logs = np.log(np.asarray(shifts, float))
    level = 1 - rate / groups / 2
    error = student(level, len(logs) - 1) * float(logs.std(ddof=1)) / math.sqrt(len(logs))
    reach = math.hypot(error, NORMAL.inv_cdf(level) * max(noise, SHARED)) + abs(math.log(drift)) / 2
    value, reach = math.exp(float(logs.mean())) / drift, math.exp(min(reach, 300.0))
    return Interval(value, value / reach, value * reach)


def sign_test(more: int, less: int) -> float:
    """Give the chance of so many or more of one sign among as many, where both signs are as likely."""
    n = more + less
    return sum(math.comb(n, k) for k in range(more, n + 1)) / 2**n


def differs(ratio: Ratio, floor: Floor | None) -> bool:
    """Whether a ratio is beyond its own interval, and its shift beyond the floor, of these what is known."""
    beyond = floor is not None and not floor.holds(ratio.shift)
    if math.isnan(ratio.low):
        return beyond
    return not ratio.holds(1) and (beyond or floor is None)


def widened(interval: Interval, floor: Floor | None) -> Interval:
    """Widen an interval of rounds to one of repeats: by what identical code differs by, added in squares."""
    if floor is None or math.isnan(interval.low):
        return interval
    low, high = (math.hypot(math.log(each / interval.value), math.log(floor.factor))
                 for each in (interval.low, interval.high))  # fmt: skip
    return Interval(interval.value, interval.value * math.exp(-low), interval.value * math.exp(high))


def fences(seconds: Sequence[float]) -> tuple[float, float]:
    """Tukey's fences of raw rounds: one and a half interquartile ranges beyond the quartiles."""
    first, third = np.quantile(np.asarray(seconds, float), (0.25, 0.75))
    reach = 1.5 * (third - first)
    return float(first - reach), float(third + reach)


def outliers(seconds: Sequence[float]) -> int:
    """Count the rounds beyond the fences."""
    low, high = fences(seconds)
    return sum(not low <= each <= high for each in seconds)


def geometric_mean(ratios: Iterable[float]) -> float:
    """Average ratios so that 2 and 1/2 cancel."""
    return math.exp(float(np.log(np.fromiter(ratios, float)).mean()))


def mean_ratio(ratios: Sequence[Interval], floor: Floor | None = None) -> Interval:
    """Average n ratios, with an interval that knows of two errors, which add up in squares.

    On the scale of logarithms, with half widths h_i of the ratios' own intervals and f that of the floor,

        reach**2 = sum(h_i**2) / n**2 + f**2.

    The first term says how far rounds vary, each ratio's apart from the others': it shrinks with n. The second says how
    far runs of identical code vary. It does not shrink: what moves one ratio, such as a machine that warms up, may move
    all of them, and a run cannot tell how much of the A/A spread is shared, having seen the shared part once. With the
    spread's two parts, t shared and s of each ratio, the interval holds the truth in 95 % and more wherever t <= s.

    The A/A pairs that a floor is made of have a mean of 1, as far as it says: |mean of logs| <= root mean square <= f.
    Without a floor the second term is left out.
    """
    value = geometric_mean(each.value for each in ratios)
    halves = [math.log(each.high / each.low) / 2 for each in ratios]
    reach = math.hypot(math.hypot(*halves) / len(halves), 0.0 if floor is None else math.log(floor.factor))
    return Interval(value, value * math.exp(-reach), value * math.exp(reach))


@cache
def student(probability: float, dof: int) -> float:
    """The quantile of Student's distribution for a whole number of degrees of freedom.

    With t = tan(a) sqrt(dof), the chance that |T| <= t is a finite sum in a, which grows with it: so a is bisected.
    Source: Abramowitz and Stegun, 26.7.3 and 26.7.4.
    """
    inside = abs(2 * probability - 1)
    angle = _bisect(lambda a: _within(a, dof) < inside, 0.0, math.pi / 2)
    return math.copysign(math.tan(angle) * math.sqrt(dof), probability - 0.5)


def _within(angle: float, dof: int) -> float:
    cosine, sine = math.cos(angle), math.sin(angle)
    odd = dof % 2
    term = cosine if odd else 1.0
    total = 0.0
    # cos + 2/3 cos^3 + 2*4/(3*5) cos^5 + ... where dof is odd, else 1 + 1/2 cos^2 + 1*3/(2*4) cos^4 + ...
    for k in range(2 + odd, dof + 1, 2):
        total += term
        term *= (k - 1) / k * cosine**2
    return 2 / math.pi * (angle + sine * total) if odd else sine * total


def _bisect(below: Callable[[float], bool], low: float, high: float) -> float:
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if below(middle) else (low, middle)
    return low
