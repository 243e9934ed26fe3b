"""python -m reports compare A B: two saved runs, and whether anything became slower by more than noise."""

from __future__ import annotations

import argparse
import math
import re
import statistics
import sys
from dataclasses import dataclass, field
from pathlib import Path

from reports import stats
from reports.benchmarks import BenchmarkError, Benchmarks, fact, load
from reports.section import limits, time, times
from reports.speed import again
from reports.stats import Floor, Ratio

KINDS = ("layer", "sweep", "experiment")
KEY = ["kind", "layer", "operation", "who"]
CHANGED = ("slower", "faster")
ROUGHLY = 5  # times: estimates from a smaller case were seen to be off by 3
DRIFT = 1.1  # times: runs on one machine were seen to differ by 1.06 in the median of products and copies


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
    word: str  # slower, faster or level


@dataclass(frozen=True)
class Comparison:
    """All that both files timed, what one of them alone has, and what noise is."""

    changes: list[Change]
    floor: Floor
    machine: dict[str, Ratio] = field(default_factory=dict)  # what no implementation had a part in, before and after
    refused: list[str] = field(default_factory=list)  # timed before, and refused a time now
    faults: int = 0  # so many of them are not slow, but wrong, raised an error or are not offered
    others: list[str] = field(default_factory=list)  # remarks on what was not compared

    def of(self, word: str) -> list[Change]:
        """Return the changes of a kind, the largest first."""
        found = [each for each in self.changes if each.word == word]
        return sorted(found, key=lambda each: -max(each.ratio.value, 1 / each.ratio.value))

    @property
    def regressed(self) -> bool:
        """Whether something became slower, or is wrong, refused or too slow to be timed now, as far as can be said."""
        return bool(self.faults or (self.conclusive and (self.of("slower") or self.refused)))

    @property
    def drift(self) -> float:
        """How much longer the machine itself took: the median of products and copies, the CPU's or the GPU's."""
        shifts: dict[str, list[float]] = {}
        for name, each in self.machine.items():
            shifts.setdefault(name.partition(" ")[2], []).append(each.shift)
        medians = [statistics.median(each) for each in shifts.values()]
        return max(medians, key=lambda each: abs(math.log(each)), default=1.0)

    @property
    def conclusive(self) -> bool:
        """Whether the machine stayed what it was, so that other times are due to other code."""
        return 1 / DRIFT <= self.drift <= DRIFT


def compare(before: Benchmarks, after: Benchmarks) -> Comparison:
    """Compare two runs. Raises BenchmarkError where they have nothing in common, or no A/A run says what noise is."""
    old, new = _timed(before), _timed(after)
    common = [key for key in new if key in old and new[key].case == old[key].case]
    if not common:
        raise BenchmarkError(f"{after.path}: has no entry in common with {before.path}: nothing can be compared")
    machine = _machine(before, after)
    pairs = [*again(before)["shift"], *again(after)["shift"], *(each.shift for each in machine.values())]
    floor = stats.noise_floor(pairs, comparisons=len(common))
    if floor is None:
        raise BenchmarkError(
            f"{before.path}, {after.path}: no A/A run in either (entries of kind again), so that noise cannot be told "
            "from change: save the benchmarks again, whole"
        )
    changes = []
    for key in common:
        ratio = stats.ratio_of_medians(new[key].cpu_seconds, old[key].cpu_seconds)
        word = "level" if not stats.differs(ratio, floor) else "slower" if ratio.value > 1 else "faster"
        changes.append(Change(*key, old[key].seconds, new[key].seconds, ratio, word))
    refused, doubtful = _refused(old, after)
    faults = sum(": too slow" not in each for each in refused)
    said = doubtful + _others(before, after, old, new)
    if not machine:
        said.append("no product or copy is in both files: whether the machine itself changed is not known")
    return Comparison(changes, floor, machine, refused, faults, said)


def _timed(found: Benchmarks) -> dict[tuple, object]:
    lines = found.timings[found.timings["kind"].isin(KINDS)].drop_duplicates(KEY)
    return {(line.kind, line.layer, line.operation, line.who): line for line in lines.itertuples()}


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


def _refused(old: dict[tuple, object], after: Benchmarks) -> tuple[list[str], list[str]]:
    """Name what was timed and is refused a time now, and, apart, what an estimate took for too slow by a little."""
    timed = {(kind, layer, operation, line.implementation): line for (kind, layer, operation, _), line in old.items()}
    lost, doubtful = [], []
    for line in after.not_timed.itertuples():
        before = timed.get((line.kind, line.layer, line.operation, line.implementation))
        if before is None:
            continue
        estimated = re.search(r"too slow, estimated ([\d.]+) s", line.reason)
        near = estimated is not None and float(estimated[1]) < ROUGHLY * before.seconds
        said = f"{line.implementation}  {line.layer} {line.operation}: {line.reason}, was {time(before.seconds)}"
        (doubtful if near else lost).append(said)
    return lost, doubtful


def _others(before: Benchmarks, after: Benchmarks, old: dict[tuple, object], new: dict[tuple, object]) -> list[str]:
    said = []
    for word, here, there in (("first", old, new), ("second", new, old)):
        alone = [key for key in here if key not in there]
        if alone:
            said.append(f"{len(alone)} only in the {word} file")
    if other := [key for key in new if key in old and new[key].case != old[key].case]:
        said.append(f"{len(other)} not compared, being other cases under the same name: {other[0][1]} {other[0][2]}")
    unknown = [kind for found in (before, after) for kind in found.timings["kind"]
               if kind not in (*KINDS, "again", "roofline")]  # fmt: skip
    if unknown:
        said.append(f"{len(unknown)} left out, of other kinds: {', '.join(dict.fromkeys(unknown))}")
    for name in ("cpu", "blas", "numpy", "scipy", "torch", "gpu"):
        was, now = (fact(found.machine.get(name)) for found in (before, after))
        if was != now:
            said.append(f"{name} differs: {was or 'none'} before, {now or 'none'} after")
    return said


def as_text(found: Comparison, every: bool = False) -> str:
    """Say what changed, line by line, and how much is noise."""
    lines = []
    if not found.conclusive:
        lines += [
            f"no conclusion on times: the machine itself took {times(found.drift)} times as long, in the median of its "
            f"matrix products and copies; beyond {times(DRIFT)}, up or down, slower code cannot be told from a slower "
            "machine: save both files again, one soon after the other",
            "",
        ]
    for word in (*CHANGED, "level") if every else CHANGED:
        rows = [_row(each) for each in found.of(word)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        aligned = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
        lines += [f"{word:6}  {each}".rstrip() for each in aligned]
    lines += [f"lost    {each}" for each in found.refused]
    if lines and lines[-1]:
        lines.append("")
    counts = [f"{len(found.of(word))} {word}" for word in (*CHANGED, "level")]
    lines.append(f"{len(found.changes)} timings compared: {', '.join(counts)}" + ("" if not found.refused else
                 f"; {len(found.refused)} timed before and refused now"))  # fmt: skip
    floor = found.floor
    lines.append(
        f"noise floor {floor.percent:.1f} %, from {floor.pairs} A/A pairs: in {100 * (1 - floor.rate):.0f} of 100 "
        "comparisons of the same code with itself, nothing at all exceeds it in its medians and its fastest rounds"
    )
    if found.machine:
        drift = ", ".join(f"{name} {times(ratio.value)}" for name, ratio in found.machine.items())
        lines.append(f"the machine itself, time now over time before: {drift}")
    return "\n".join([*lines, *found.others])


def _row(each: Change) -> list[str]:
    ratio = f"{times(each.ratio.value)} times" + (f" ({limits(each.ratio)})" if limits(each.ratio) else "")
    return [each.who, f"{each.layer} {each.operation}", f"{time(each.before)} -> {time(each.after)}", ratio]


def main(arguments: list[str] | None = None) -> int:
    """Print the comparison; returns 1 where something became slower or wrong, 2 where nothing can be said."""
    parser = argparse.ArgumentParser(
        prog="python -m reports compare",
        description="Compare two saved benchmark runs. Exit status: 1 if something is significantly slower in the "
        "second one, or is refused a time that it had; 0 if nothing is; 2 if they cannot be compared, or if the "
        f"machine itself is more than {DRIFT:g} times as slow or as fast, by its matrix products and copies: what is "
        "wrong now ends with 1 even then.",
    )
    parser.add_argument("before", type=Path, metavar="A", help="a saved file, or a folder, for its newest")
    parser.add_argument("after", type=Path, metavar="B", help="another, saved later")
    parser.add_argument("--all", action="store_true", help="list what is level, too")
    options = parser.parse_args(arguments)
    try:
        found = compare(load(options.before), load(options.after))
    except BenchmarkError as error:
        print(f"python -m reports compare: {error}", file=sys.stderr)
        return 2
    print(as_text(found, options.all))
    return 1 if found.regressed else 0 if found.conclusive else 2
