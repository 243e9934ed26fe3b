"""Two saved runs: what became slower by more than noise, in groups and one by one, and what is not there any more."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from reports import stats, unmatched
from reports.benchmarks import BenchmarkError, Benchmarks
from reports.section import times
from reports.speed import again
from reports.stats import Floor, Interval, Ratio

KINDS = ("layer", "sweep", "experiment")
KEY = ["kind", "layer", "operation", "who"]
CHANGED = ("slower", "faster")
DOUBTFUL = {"slower": "slower?", "faster": "faster?"}
DRIFT = 1.1  # times: runs on one machine were seen to differ by 1.06 in the median of products and copies
RATE = 0.025  # the chance of a false alarm among groups, and the same again among single timings
LEAST_GROUP = 3  # timings: of fewer, a mean has no interval that says anything
SEEN = 1.15  # times as long: what a comparison should find in a whole implementation,
HIDDEN = 1.25  # and what it must, to say that nothing became slower
HALF_AGAIN = 1.5  # and what it must in a single timing, where there are no more
PAIRS = 7  # with so many A/A pairs, timings that lie farther apart than any of these have changed


@dataclass(frozen=True)
class Change:
    """One entry that both files timed: `ratio` is the time now over the time before."""

    kind: str
    layer: str
    operation: str
    who: str
    before: float
    after: float
    ratio: Ratio
    word: str  # slower, faster or level; slower? or faster? where noise, or a part of the rounds, may be why


@dataclass(frozen=True)
class Group:
    """All timings of an implementation, or those of one operation: their shifts in the geometric mean.

    The ratio is to what the machine itself took longer or shorter.
    """

    who: str
    operation: str  # "" of all
    count: int
    ratio: Interval
    word: str


@dataclass(frozen=True)
class Comparison:
    """All that both files timed, what one of them alone has, and what noise is."""

    changes: list[Change]
    groups: list[Group]
    floor: Floor  # beyond it, a single timing is worth a second look
    noise: Floor  # how far one timing of identical code lies from another
    robust: Floor  # beyond it, it is more than noise, unless that disturbs timings now and then,
    far: Floor  # and beyond it, a single timing has changed, even so
    disturbed: list[str] = field(default_factory=list)  # A/A pairs, farther apart than noise explains
    machine: dict[str, Ratio] = field(default_factory=dict)  # what no implementation had a part in, before and after
    refused: list[str] = field(default_factory=list)  # timed before, and refused a time now
    faults: int = 0  # so many of them are not slow, but wrong, raised an error or are not offered
    missing: list[str] = field(default_factory=list)  # timed before, and now neither timed nor refused, or otherwise
    doubtful: list[str] = field(default_factory=list)  # timed before, and now estimated to be too slow, by a little
    elsewhere: list[str] = field(default_factory=list)  # what makes other times of the same code: another processor
    others: list[str] = field(default_factory=list)  # remarks, which decide nothing
    files: tuple[str, str] = ("", "")  # which these are, when they were saved, and of what commit

    def of(self, word: str) -> list[Change]:
        """Return the changes of a kind, the largest first."""
        found = [each for each in self.changes if each.word == word]
        return sorted(found, key=lambda each: -max(each.ratio.value, 1 / each.ratio.value))

    def groups_of(self, word: str) -> list[Group]:
        """Return the groups that became slower, or faster."""
        return [each for each in self.groups if each.word == word]

    @property
    def regressed(self) -> bool:
        """Whether something became slower, or is wrong, refused or too slow to be timed now, as far as can be said."""
        slower = self.of("slower") or self.groups_of("slower") or self.refused
        return bool(self.faults or (self.conclusive and slower))

    @property
    def drift(self) -> float:
        """How much longer the machine itself took: the median of products and copies, the CPU's or the GPU's."""
        return _drift(self.machine)

    @property
    def moved_alike(self) -> bool:
        """Whether all implementations became slower, and nothing tells whether it is the machine that did."""
        whole = [each.word for each in self.groups if not each.operation]
        return not self.machine and len(whole) > 1 and {*whole} == {"slower"}

    @property
    def conclusive(self) -> bool:
        """Whether the machine stayed what it was, so that other times are due to other code."""
        return not self.elsewhere and not self.moved_alike and 1 / DRIFT <= self.drift <= DRIFT

    @property
    def blind(self) -> list[str]:
        """Name the implementations in which noise would hide that all of their timings take 15 % longer."""
        return self.hiding(SEEN)

    def hiding(self, factor: float) -> list[str]:
        """Name the implementations that may take so many times as long, for all that can be said."""
        whole = (each for each in self.groups if not each.operation and each.ratio.high >= 1)
        return [each.who for each in whole if each.ratio.value / each.ratio.low >= factor]

    @property
    def hides_single_timings(self) -> bool:
        """Whether there are no groups, and noise would hide that a timing takes half as long again."""
        return not self.groups and bool(self.changes) and self.far.factor >= HALF_AGAIN

    @property
    def undecided(self) -> list[Change]:
        """The timings in doubt that took longer than noise explains, or half as long again: slower or disturbed.

        And those of which most rounds took longer, and the fastest did not.
        """
        limit = min(self.robust.factor, HALF_AGAIN)
        doubtful = self.of(DOUBTFUL["slower"])
        return [each for each in doubtful if each.ratio.shift >= limit or self.floor.holds(each.ratio.shift)]

    @property
    def leaning(self) -> dict[str, tuple[int, int]]:
        """Count, of each implementation, its timings in doubt, slower and faster, where noise gives no such numbers.

        Noise makes as many slower as faster: so many of one kind have a chance of RATE, shared by all of them.
        """
        slower, faster = (Counter(each.who for each in self.of(word)) for word in DOUBTFUL.values())
        rate = RATE / max(1, len({each.who for each in self.changes}))
        return {who: (n, faster[who]) for who, n in slower.items() if stats.sign_test(n, faster[who]) <= rate}

    @property
    def open(self) -> bool:
        """Whether not all can be said."""
        hidden = self.undecided or self.leaning or self.hiding(HIDDEN) or self.hides_single_timings
        return bool(self.missing or self.doubtful or hidden or not self.conclusive)

    @property
    def status(self) -> int:
        """The exit status: 1 where something became slower or wrong, 2 where not all can be said, 0 otherwise."""
        return 1 if self.regressed else 2 if self.open else 0


def compare(before: Benchmarks, after: Benchmarks) -> Comparison:
    """Compare two runs. Raises BenchmarkError where they have nothing in common, or no A/A run says what noise is."""
    old, new = _timed(before), _timed(after)
    same = [key for key in new if key in old and new[key].case == old[key].case]
    rounds = {key: found for key in same if (found := _rounds(old[key], new[key]))}
    common = [*rounds]
    refused = unmatched.refused(old, before, after)
    if not common and not refused.lost and not refused.doubtful:
        damage = "".join(f"; {each}" for each in (*before.damaged, *after.damaged))
        raise BenchmarkError(
            f"{after.path}: has no entry in common with {before.path}: nothing can be compared{damage}"
        )
    machine = _machine(before, after) or _products(common, old, new)
    drift, twice = _drift(machine), [again(each) for each in (before, after)]
    pairs = _pairs(*twice, machine)
    if not pairs:
        raise BenchmarkError(
            f"{before.path}, {after.path}: no A/A run in either (entries of kind again), so that noise cannot be told "
            "from change: save the benchmarks again, whole"
        )
    ratios = {key: stats.ratio_of_medians(now, was) for key, (was, now) in rounds.items()}
    shifts = [ratio.shift for _, ratio in pairs]
    farthest = max(abs(math.log(shift)) for shift in shifts) if len(shifts) >= PAIRS else math.inf
    floor, robust, disturbed = _limits(shifts, min(_scatter(ratios), farthest), max(1, len(common)))
    far = stats.far_floor(shifts, robust)
    medians = stats.far_floor([ratio.value for _, ratio in pairs], robust)
    changes = [
        Change(*key, *map(statistics.median, rounds[key]), ratio, _word(ratio, floor, far, medians, drift))
        for key, ratio in ratios.items()
    ]
    noise = max(stats.spread(np.log(each["shift"])) for each in twice)  # a run that was disturbed is not averaged away
    missing = [*refused.missing]
    missing += unmatched.missing([key for key in old if key not in new and key not in refused.told], new, before, after)
    missing += unmatched.clocks([key for key in same if key not in rounds], old, new) + unmatched.exchanged(old, new)
    said = unmatched.remarks(before, after, old, new, (*KINDS, "again", "roofline"))
    if not machine:
        said.append("no product or copy is in both files: whether the machine itself changed is not known")
    named = [pairs[each][0] for each in disturbed if pairs[each][0]]
    return Comparison(
        changes, _groups(ratios, noise, drift), floor, stats.noise_floor(shifts), robust, far, named, machine,
        refused.lost, refused.faults, missing, refused.doubtful, unmatched.elsewhere(before, after), said,
        (_told(before), _told(after)),
    )  # fmt: skip


def _rounds(was: Any, now: Any) -> tuple[list[float], list[float]] | None:
    """Give the rounds before and now, by one clock; None where there is none that both have.

    On several threads it is the wall's, where both files have it: CPU time does not show that they wait for each other.
    So it is where the one spent CPU time and the other waited.
    """
    walls = [line.cpu_seconds if line.clock == "wall" else line.wall_seconds for line in (was, now)]
    if all(walls) and (was.clock != now.clock or max(was.threads, now.threads) > 1):
        return walls[0], walls[1]
    return (was.cpu_seconds, now.cpu_seconds) if was.clock == now.clock else None


def _told(found: Benchmarks) -> str:
    """Say which file it is, when it was saved, and of what commit."""
    commit = str(found.commit.get("id") or "")[:10]
    changed = " and changes" if commit and found.commit.get("dirty") else ""
    return ", ".join(each for each in (str(found.path), found.date[:19].replace("T", " "), commit + changed) if each)


def _timed(found: Benchmarks) -> unmatched.Timings:
    lines = found.timings[found.timings["kind"].isin(KINDS)].drop_duplicates(KEY)
    return {(line.kind, line.layer, line.operation, line.who): line for line in lines.itertuples()}


def _word(ratio: Ratio, floor: Floor, far: Floor, medians: Floor, drift: float) -> str:
    """Name a change: in doubt where it is not far, where its own rounds vary as much, or not all of them changed.

    Other work on the machine spares the fastest rounds, and moves the medians of identical code by `medians` at most.
    What the machine itself took longer or shorter is no change.
    """
    if floor.holds(ratio.shift) or floor.holds(ratio.shift / drift):
        most = not (ratio.holds(1) or medians.holds(ratio.value))
        return DOUBTFUL["slower" if ratio.value > 1 else "faster"] if most else "level"
    word = "slower" if ratio.shift > 1 else "faster"
    return word if stats.differs(ratio, far) else DOUBTFUL[word]


def _pairs(first: pd.DataFrame, second: pd.DataFrame, machine: dict[str, Ratio]) -> list[tuple[str, Ratio]]:
    """Name the A/A pairs of both files, each with its ratio; and products, with no name, but for what they share.

    A copy of what a cache holds now takes twice as long, now half: that says nothing of a layer.
    """
    named = [
        (f"{each.who} {each.layer} {each.operation} ({times(each.shift)} times in the {which} file)",
         Ratio(each.ratio, shift=each.shift))
        for pairs, which in ((first, "first"), (second, "second"))
        for each in pairs.itertuples()
    ]  # fmt: skip
    products = [each for name, each in machine.items() if not name.startswith("copy")]
    common = statistics.median([each.shift for each in products]) if products else 1.0
    return named + [("", Ratio(each.value / common, shift=each.shift / common)) for each in products]


def _limits(shifts: Sequence[float], noise: float, comparisons: int) -> tuple[Floor, Floor, list[int]]:
    """Say where doubt begins and where noise ends, and which pairs lie beyond that and were left out: by place."""
    settings = (noise, RATE, comparisons, DRIFT)
    disturbed = stats.disturbed(shifts, *settings)
    quiet = [shift for place, shift in enumerate(shifts) if place not in disturbed]
    robust = stats.robust_floor(quiet, *settings)
    floor = stats.noise_floor(quiet, comparisons=comparisons)
    return replace(floor, factor=min(floor.factor, robust.factor, HALF_AGAIN)), robust, disturbed


def _by(ratios: dict[tuple, Ratio], place: slice) -> dict[tuple, list[float]]:
    found: dict[tuple, list[float]] = {}
    for key, ratio in ratios.items():
        found.setdefault((key[3], key[2])[place], []).append(ratio.shift)
    return found


def _scatter(ratios: dict[tuple, Ratio]) -> float:
    """Estimate how far single timings lie from what those of their implementation and operation have in common."""
    logs = [np.log(shifts) for shifts in _by(ratios, slice(2)).values() if len(shifts) >= LEAST_GROUP]
    return stats.spread(np.concatenate([each - np.median(each) for each in logs])) if logs else 0.0


def _groups(ratios: dict[tuple, Ratio], noise: float, drift: float) -> list[Group]:
    """Judge each implementation, and each of its operations where it has several."""
    whole, parts = _by(ratios, slice(1)), _by(ratios, slice(2))
    whose = {key: shifts for key, shifts in parts.items() if len(shifts) < len(whole[key[:1]])}
    judged = {key: shifts for key, shifts in (whole | whose).items() if len(shifts) >= LEAST_GROUP}
    found = []
    for (who, *operation), shifts in judged.items():
        ratio = stats.group_ratio(shifts, noise, drift, RATE, len(judged))
        word = "level" if ratio.holds(1) else "slower" if ratio.value > 1 else "faster"
        found.append(Group(who, "".join(operation), len(shifts), ratio, word))
    return found


def _machine(before: Benchmarks, after: Benchmarks) -> dict[str, Ratio]:
    """How much longer matrix products and copies took: the same code, so that these are A/A pairs as well."""
    old, new = (
        {(each.layer, each.implementation): each.cpu_seconds for each in found.of("roofline").itertuples()}
        for found in (before, after)
    )
    return {
        layer if whose == "numpy" else f"{layer} {whose}": stats.ratio_of_medians(seconds, old[layer, whose])
        for (layer, whose), seconds in new.items()
        if (layer, whose) in old
    }


def _products(common: list[tuple], old: unmatched.Timings, new: unmatched.Timings) -> dict[str, Ratio]:
    """How much longer the bare products of layers took, measured beside these: in files that have no roofline."""
    found = {}
    for key in common:
        was, now = old[key].gemm_seconds, new[key].gemm_seconds
        if was > 0 and now > 0:
            found[f"product-{key[1]}-{key[2]}"] = Ratio(now / was, shift=now / was)
    return found


def _drift(machine: dict[str, Ratio]) -> float:
    shifts: dict[str, list[float]] = {}
    for name, each in machine.items():
        shifts.setdefault(name.partition(" ")[2], []).append(each.shift)
    medians = [statistics.median(each) for each in shifts.values()]
    return max(medians, key=lambda each: abs(math.log(each)), default=1.0)
