"""Two saved runs: what became slower by more than noise, in groups and one by one, and what is not there any more."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from reports import stats
from reports.benchmarks import BenchmarkError, Benchmarks, fact
from reports.section import listed, time, times
from reports.sentences import plural
from reports.speed import again
from reports.stats import Floor, Interval, Ratio

KINDS = ("layer", "sweep", "experiment")
KEY = ["kind", "layer", "operation", "who"]
CHANGED = ("slower", "faster")
DOUBTFUL = {"slower": "slower?", "faster": "faster?"}
ROUGHLY = 5  # times: estimates from a smaller case were seen to be off by 3
NEARLY = 2  # times: so far a measured call, and not an estimate, may be beyond what it took before, and be in doubt
DRIFT = 1.1  # times: runs on one machine were seen to differ by 1.06 in the median of products and copies
RATE = 0.025  # the chance of a false alarm among groups, and the same again among single timings
LEAST_GROUP = 3  # timings: of fewer, a mean has no interval that says anything
SEEN = 1.15  # times as long: what a comparison should find in a whole implementation,
HIDDEN = 1.25  # and what it must, to say that nothing became slower
HALF_AGAIN = 1.5  # and what it must in a single timing, where there are no more


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
    word: str  # slower, faster or level; slower? or faster? where noise was seen to reach as far now and then


@dataclass(frozen=True)
class Group:
    """All timings of an implementation, or those of one operation: their shifts in the geometric mean."""

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
    others: list[str] = field(default_factory=list)  # remarks on what was not compared

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
    def conclusive(self) -> bool:
        """Whether the machine stayed what it was, so that other times are due to other code."""
        return not self.elsewhere and 1 / DRIFT <= self.drift <= DRIFT

    @property
    def blind(self) -> list[str]:
        """Name the implementations in which noise would hide that all of their timings take 15 % longer."""
        return self._hiding(SEEN)

    def _hiding(self, factor: float) -> list[str]:
        return [each.who for each in self.groups if not each.operation and each.ratio.value / each.ratio.low >= factor]

    @property
    def _hides_single_timings(self) -> bool:
        """Whether there are no groups, and noise would hide that a timing takes half as long again."""
        return not self.groups and bool(self.changes) and self.far.factor >= HALF_AGAIN

    @property
    def undecided(self) -> list[Change]:
        """The timings in doubt that took longer than noise explains, or half as long again: slower or disturbed."""
        limit = min(self.robust.factor, HALF_AGAIN)
        return [each for each in self.of(DOUBTFUL["slower"]) if each.ratio.shift >= limit]

    @property
    def status(self) -> int:
        """The exit status: 1 where something became slower or wrong, 2 where not all can be said, 0 otherwise."""
        hidden = self.undecided or self._hiding(HIDDEN) or self._hides_single_timings
        open_ = self.missing or self.doubtful or hidden or not self.conclusive
        return 1 if self.regressed else 2 if open_ else 0


def compare(before: Benchmarks, after: Benchmarks) -> Comparison:
    """Compare two runs. Raises BenchmarkError where they have nothing in common, or no A/A run says what noise is."""
    old, new = _timed(before), _timed(after)
    same = [key for key in new if key in old and new[key].case == old[key].case]
    common = [key for key in same if new[key].clock == old[key].clock]
    refused, doubtful, told = _refused(old, after)
    if not common and not refused:
        damage = "".join(f"; {each}" for each in (*before.damaged, *after.damaged))
        raise BenchmarkError(
            f"{after.path}: has no entry in common with {before.path}: nothing can be compared{damage}"
        )
    machine = _machine(before, after)
    twice = [again(each) for each in (before, after)]
    # a copy of what a cache holds now takes twice as long, now half: that says nothing of a layer
    pairs = _pairs(*twice) + [("", each.shift) for name, each in machine.items() if not name.startswith("copy")]
    if not pairs:
        raise BenchmarkError(
            f"{before.path}, {after.path}: no A/A run in either (entries of kind again), so that noise cannot be told "
            "from change: save the benchmarks again, whole"
        )
    ratios = {key: stats.ratio_of_medians(new[key].cpu_seconds, old[key].cpu_seconds) for key in common}
    shifts = [shift for _, shift in pairs]
    floor, robust, disturbed = _limits(shifts, _scatter(ratios), max(1, len(common)))
    far = stats.far_floor(shifts, robust)
    changes = [
        Change(*key, old[key].seconds, new[key].seconds, ratio, _word(ratio, floor, far))
        for key, ratio in ratios.items()
    ]
    noise = max(stats.spread(np.log(each["shift"])) for each in twice)  # a run that was disturbed is not averaged away
    groups = _groups(ratios, noise, _drift(machine))
    faults = sum(": too slow" not in each for each in refused)
    missing = _missing([key for key in old if key not in new and key not in told], new, after)
    missing += _clocks(same, old, new)
    missing += _exchanged(old, new)
    said = _others(before, after, old, new)
    if not machine:
        said.append("no product or copy is in both files: whether the machine itself changed is not known")
    named = [pairs[each][0] for each in disturbed if pairs[each][0]]
    one = stats.noise_floor(shifts)
    elsewhere = _elsewhere(before, after)
    return Comparison(
        changes, groups, floor, one, robust, far, named, machine, refused, faults, missing, doubtful, elsewhere, said
    )


def _timed(found: Benchmarks) -> dict[tuple, object]:
    lines = found.timings[found.timings["kind"].isin(KINDS)].drop_duplicates(KEY)
    return {(line.kind, line.layer, line.operation, line.who): line for line in lines.itertuples()}


def _word(ratio: Ratio, floor: Floor, far: Floor) -> str:
    """Name a change: in doubt where it is not far, and where its own rounds vary as much."""
    if floor.holds(ratio.shift):
        return "level"
    word = "slower" if ratio.shift > 1 else "faster"
    return word if stats.differs(ratio, far) else DOUBTFUL[word]


def _pairs(*twice: pd.DataFrame) -> list[tuple[str, float]]:
    """Name the A/A pairs of both files, each with its shift."""
    return [
        (f"{each.who} {each.layer} {each.operation} ({times(each.shift)} times in the {which} file)", each.shift)
        for pairs, which in zip(twice, ("first", "second"), strict=True)
        for each in pairs.itertuples()
    ]


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
    """Estimate how far single timings lie from what their implementation has in common."""
    logs = [np.log(shifts) for shifts in _by(ratios, slice(1)).values() if len(shifts) >= LEAST_GROUP]
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


def _drift(machine: dict[str, Ratio]) -> float:
    shifts: dict[str, list[float]] = {}
    for name, each in machine.items():
        shifts.setdefault(name.partition(" ")[2], []).append(each.shift)
    medians = [statistics.median(each) for each in shifts.values()]
    return max(medians, key=lambda each: abs(math.log(each)), default=1.0)


def _refused(old: dict[tuple, object], after: Benchmarks) -> tuple[list[str], list[str], set[tuple]]:
    """Name what was timed and is refused a time now, and, apart, what an estimate took for too slow by a little."""
    timed = {(kind, layer, operation, line.implementation): (key, line)
             for key, line in old.items() for kind, layer, operation, _ in (key,)}  # fmt: skip
    lost, doubtful, told = [], [], set()
    for line in after.not_timed.itertuples():
        key, before = timed.get((line.kind, line.layer, line.operation, line.implementation), (None, None))
        if before is None:
            continue
        estimated = re.search(r"too slow, estimated ([\d.]+) s", line.reason)
        measured = any(word in str(line.detail) for word in ("whole call", "rounds lasted"))
        near = estimated is not None and float(estimated[1]) < (NEARLY if measured else ROUGHLY) * before.seconds
        said = f"{line.implementation}  {line.layer} {line.operation}: {line.reason}, was {time(before.seconds)}"
        (doubtful if near else lost).append(said)
        told.add(key)
    return lost, doubtful, told


def _missing(gone: list[tuple], new: dict[tuple, object], after: Benchmarks) -> list[str]:
    """Name what the second file neither timed nor refused, implementation by implementation."""
    still = {key[3] for key in new}
    said = []
    for who in dict.fromkeys(key[3] for key in gone):
        its = [f"{layer} {operation}" for _, layer, operation, whose in gone if whose == who]
        which = listed(its[:3]) if len(its) <= 3 else f"{', '.join(its[:3])}, ..."
        said.append(
            f"{who}: {plural(len(its), 'timing')} of the first file, neither timed nor refused in the second: {which}"
            if who in still else f"{who}: gone from the second file, with all of its {plural(len(its), 'timing')}"
        )  # fmt: skip
    return said + [f"damaged in {each}" for each in after.damaged]


def _clocks(same: list[tuple], old: dict[tuple, object], new: dict[tuple, object]) -> list[str]:
    """Name what one file has by another clock than the other: its times cannot be compared."""
    whose: dict[tuple[str, str, str], list[tuple]] = {}
    for key in same:
        was, now = old[key].clock, new[key].clock
        if was != now:
            whose.setdefault((key[3], was, now), []).append(key)
    return [
        f"{who}: {plural(len(keys), 'timing')} of another clock, {was} time before and {now} time now: "
        f"{keys[0][1]} {keys[0][2]}{', ...' if len(keys) > 1 else ''}"
        for (who, was, now), keys in whose.items()
    ]


def _exchanged(old: dict[tuple, object], new: dict[tuple, object]) -> list[str]:
    """Name what stands for another case in the second file."""
    other = [key for key in new if key in old and new[key].case != old[key].case]
    if not other:
        return []
    return [f"{plural(len(other), 'timing')} of other cases under the same name: {other[0][1]} {other[0][2]}"]


def _elsewhere(before: Benchmarks, after: Benchmarks) -> list[str]:
    """Name what both files tell of where they were made, and differently: the processor, and numbers of threads."""
    was, now = (_settings(found.machine) for found in (before, after))
    return [f"{name}: {was[name]} before, {now[name]} after" for name in was if now.get(name, was[name]) != was[name]]


def _settings(machine: dict[str, Any]) -> dict[str, str | int]:
    blas = machine.get("blas")
    threads = {"BLAS": blas.get("threads") if isinstance(blas, dict) else None, "torch": machine.get("torch_threads")}
    found: dict[str, str | int] = {f"threads of {name}": n for name, n in threads.items() if isinstance(n, int)}
    return found | ({"processor": cpu} if (cpu := fact(machine.get("cpu"))) else {})


def _order(before: Benchmarks, after: Benchmarks) -> list[str]:
    """Say that the second file is the older one, where it is."""
    try:
        was, now = (datetime.fromisoformat(found.date) for found in (before, after))
    except ValueError:
        return []
    if was.tzinfo is None or now.tzinfo is None or was <= now:
        return []
    first, second = (each.isoformat(" ", "seconds") for each in (was, now))
    return [f"the second file is the older one: {first} before, {second} after: what is slower here became faster"]


def _others(before: Benchmarks, after: Benchmarks, old: dict[tuple, object], new: dict[tuple, object]) -> list[str]:
    said = _order(before, after)
    if alone := [key for key in new if key not in old]:
        said.append(f"{len(alone)} only in the second file")
    unknown = [kind for found in (before, after) for kind in found.timings["kind"]
               if kind not in (*KINDS, "again", "roofline")]  # fmt: skip
    if unknown:
        said.append(f"{len(unknown)} left out, of other kinds: {', '.join(dict.fromkeys(unknown))}")
    for name in ("cpu", "blas", "numpy", "scipy", "torch", "gpu"):
        was, now = (fact(found.machine.get(name)) for found in (before, after))
        if was != now:
            said.append(f"{name} differs: {was or 'none'} before, {now or 'none'} after")
        elif name == "cpu" and not was:
            said.append("neither file names its processor: one machine, or two")
    return said
