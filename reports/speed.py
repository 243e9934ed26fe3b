"""How fast each implementation is on each layer, against a named baseline; and what of it is noise."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from oracles.case import OPERATIONS
from reports import stats
from reports.benchmarks import FIRST, PAIR, Benchmarks
from reports.entries import CPU
from reports.section import Table, bracketed, covered, limits, listed, three, time, times
from reports.sentences import plural
from reports.stats import Floor, Interval, Ratio

UNCLEAR = "unclear"
WORDS = ("faster", "slower", "level", UNCLEAR)
NAMES = {UNCLEAR: "too noisy to tell"}
MARKS = {"level": "≈ ", UNCLEAR: "? "}  # before the ratio
CLOSE = 1.1  # how far an interval, or what identical code differs by, may reach up or down and still be called level

# why something has no time: the sign in its place and what it means, by the first word of the reason
SIGNS = {
    "wrong": ("✗", "wrong, so not timed"),
    "raised": ("!", "raised an error, so not timed"),
    "too slow": ("…", "too slow to be timed"),
    "unsupported": ("–", "unsupported"),
}


@dataclass(frozen=True)
class Speed:
    """Timings of layers with their ratio to the baseline's: above 1 is faster than the baseline.

    `lines` has the columns of timings, and `ratio`, `low`, `high` and `word`: baseline, faster, slower, level, unclear
    (too noisy to tell), or "" where the baseline was not timed. `refused` is what has no time, with the `sign` of the
    reason.
    """

    baseline: str
    floor: Floor | None
    lines: pd.DataFrame
    refused: pd.DataFrame

    @property
    def names(self) -> list[str]:
        """The implementations, the baseline first."""
        found = dict.fromkeys([self.baseline, *self.lines["who"], *self.refused["who"]])
        return [name for name in found if name]


def speed(found: Benchmarks, baseline: str) -> Speed:
    """Hold every layer's time against the baseline's."""
    lines = _in_order(found.of("layer"))
    floor = stats.noise_floor(again(found)["ratio"])
    keys = ["layer", "operation"]
    base = lines[lines["who"] == baseline].set_index(keys)["cpu_seconds"]
    answers = [_against(line, base.get((line.layer, line.operation)), baseline, floor) for line in lines.itertuples()]
    lines = lines.assign(**{name: [each[name] for each in answers] for name in ("ratio", "low", "high", "word")})
    refused = _in_order(found.not_timed[found.not_timed["kind"] == "layer"])
    who = [found.whose(name) for name in refused["implementation"]]
    refused = refused.assign(who=who, sign=[sign(reason) for reason in refused["reason"]])
    return Speed(baseline, floor, lines, refused)


def again(found: Benchmarks) -> pd.DataFrame:
    """Return the A/A pairs, drawn or not: what was measured twice, with the ratio of both medians, and its shift."""
    timings = found.timings[found.timings["kind"].isin(("layer", FIRST))]
    first = timings.drop_duplicates(PAIR).set_index(PAIR)["cpu_seconds"]
    second = found.of("again")
    second = second[[key in first.index for key in second[PAIR].itertuples(index=False, name=None)]]
    pairs = [stats.ratio_of_medians(each.cpu_seconds, first[each.layer, each.operation, each.who])
             for each in second.itertuples()]  # fmt: skip
    return second.assign(ratio=[each.value for each in pairs], shift=[each.shift for each in pairs])


def sign(reason: str) -> str:
    """Return the sign of why something has no time."""
    return next((mark for start, (mark, _) in SIGNS.items() if reason.startswith(start)), "!")


def _in_order(frame: pd.DataFrame) -> pd.DataFrame:
    """Sort by operation, layers staying in the order in which they come."""
    ranks = {name: rank for rank, name in enumerate(OPERATIONS)}
    return frame.sort_values("operation", key=lambda names: names.map(lambda name: ranks.get(name, 99)), kind="stable")


def _against(line: tuple, base: list[float] | None, baseline: str, floor: Floor | None) -> dict[str, object]:
    if base is None:
        return {"ratio": float("nan"), "low": float("nan"), "high": float("nan"), "word": ""}
    if line.who == baseline:
        return {"ratio": 1.0, "low": 1.0, "high": 1.0, "word": "baseline"}
    ratio = stats.ratio_of_medians(base, line.cpu_seconds)
    return {"ratio": ratio.value, "low": ratio.low, "high": ratio.high, "word": _word(ratio, floor)}


def _word(ratio: Ratio, floor: Floor | None) -> str:
    """Name what a ratio shows: level only where its interval reaches no farther than what identical code differs by.

    And only where this is close: more noise makes nothing level. Faster and slower only where neither holds 1: the
    interval of rounds, nor that of repeats, which the table gives.
    """
    known = not math.isnan(ratio.low)
    if stats.differs(ratio, floor) and not (known and stats.widened(ratio, floor).holds(1)):
        return "faster" if ratio.value > 1 else "slower"
    reach = math.sqrt(ratio.high / ratio.low)
    return "level" if reach <= (floor.factor if floor else CLOSE) <= CLOSE else UNCLEAR


def caption(found: Speed) -> list[str]:
    """Say what the figure shows: who is faster where, and what is noise."""
    said = []
    others = found.lines[~found.lines["word"].isin(("baseline", ""))]
    averages = means(found)
    for who in sorted(averages, key=lambda who: -averages[who].value):
        lines = others[others["who"] == who]
        words = lines["word"].value_counts()
        counted = [f"{NAMES.get(word, word)} in {words[word]}" for word in WORDS if word in words]
        least, most = lines.loc[lines["ratio"].idxmin()], lines.loc[lines["ratio"].idxmax()]
        extent = f", from {times(least['ratio'])} ({_where(least)}) to {times(most['ratio'])} ({_where(most)})"
        mean = bracketed(averages[who])
        said.append(
            f"{who} is {listed(counted)} of {len(lines)} timings against {found.baseline}: "
            f"{mean} times as fast in the geometric mean" + (extent if len(lines) > 1 else "") + "."
        )
    said += [noise(found.floor), *_refused_words(found.refused)]
    waiting = found.lines[found.lines["clock"] != CPU]
    for who, lines in waiting.groupby("who", sort=False):
        of = plural(int((found.lines["who"] == who).sum()), "timing")
        said.append(f"Times of {who} are wall times in {len(lines)} of {of}, since it waits or computes elsewhere.")
    devices = {*found.lines["device"]} - {CPU}
    if devices:
        others = "all others" if not len(waiting) else "but for these, all others"
        said.append(f"Times on {listed(sorted(devices))} are those of its own events; {others} are CPU time.")
    return said


def means(found: Speed) -> dict[str, Interval]:
    """Return each implementation's ratio in the geometric mean over all that it and the baseline were timed in."""
    others = found.lines[~found.lines["word"].isin(("baseline", ""))]
    return {
        str(who): stats.mean_ratio(
            [Interval(each.ratio, each.low, each.high) for each in its.itertuples()], found.floor
        )
        for who, its in others.groupby("who", sort=False)
    }


def noise(floor: Floor | None) -> str:
    """Say what identical code differs by."""
    if floor is None:
        return (
            "Level (≈) means within an interval that reaches at most "
            f"{100 * (CLOSE - 1):.0f} % up or down; with a wider one it is too noisy to tell (?). Without an A/A run, "
            "what identical code differs by is not known."
        )
    differs = f"{floor.percent:.1f} % up or down in 95 % of repeats, from {plural(floor.pairs, 'A/A pair')}"
    intervals = "Here, the interval is that of rounds; in the table it holds what identical code differs by as well."
    if floor.factor > CLOSE:
        return (
            f"The medians of identical code differ by {differs}. That is more than {100 * (CLOSE - 1):.0f} %: what is "
            f"neither faster nor slower is too noisy to tell (?), and nothing is called level. {intervals}"
        )
    return (
        f"Level (≈) means within the interval, or within what the medians of identical code differ by: {differs}. "
        f"Where the interval reaches farther than that, it is too noisy to tell (?). {intervals}"
    )


def _where(line: pd.Series) -> str:
    return f"{line['layer']}, {line['operation']}"


def _refused_words(refused: pd.DataFrame) -> list[str]:
    said = []
    for mark, meaning in SIGNS.values():
        which = refused[refused["sign"] == mark]
        if len(which):
            counts = which["who"].value_counts(sort=False)
            said.append(f"{mark} {meaning}: {listed(f'{name} in {count}' for name, count in counts.items())}.")
    return said


def _timed(line: tuple) -> str:
    """Write the time, and of which clock it is where that is no CPU's."""
    return time(line.seconds) + (f" ({line.clock})" if line.clock != CPU else "")


def table(found: Speed) -> Table:
    """Return the numbers, line by line."""
    head = (
        "layer", "operation", "implementation", "time", "GFLOP/s", f"times as fast as {found.baseline}",
        covered(found.floor), "rounds", "beyond fences", "page faults",
    )  # fmt: skip
    rows = []
    for line in found.lines.itertuples():
        interval = stats.widened(Interval(line.ratio, line.low, line.high), found.floor)
        other = line.who != found.baseline
        faults = line.minor_faults if pd.isna(line.major_faults) else line.minor_faults + line.major_faults
        rows.append([
            line.layer, line.operation, line.who, _timed(line), three(line.flops / line.seconds / 1e9),
            MARKS.get(line.word, "") + times(line.ratio) if other else "",
            limits(interval) if other else "", f"{line.rounds}", f"{line.outliers}",
            "" if pd.isna(faults) else f"{faults:,.0f}",
        ])  # fmt: skip
    for line in found.refused.itertuples():
        rows.append([line.layer, line.operation, line.who, f"{line.sign} {line.reason}", *[""] * 6])
    return Table(head, rows, 3)
