"""python -m reports compare A B: two saved runs, and whether anything became slower by more than noise."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from reports.benchmarks import BenchmarkError, load
from reports.comparison import CHANGED, DOUBTFUL, DRIFT, HALF_AGAIN, HIDDEN, SEEN, Change, Comparison, Group, compare
from reports.section import limits, listed, time, times
from reports.sentences import plural
from reports.stats import BEYOND, SHARED, TAILS, Floor, widened


def as_text(found: Comparison, every: bool = False) -> str:
    """Say what changed, groups first and then line by line, what is not there any more, and how much is noise."""
    lines = _inconclusive(found)
    words = [*CHANGED, *DOUBTFUL.values(), *["level"] * every]
    groups = [(each.word, _of_group(each)) for word in words for each in found.groups_of(word)]
    singles = [(each.word, _of_single(each, found.noise)) for word in words for each in found.of(word)]
    lines += [*_aligned(groups), *_aligned(singles)]
    lines += [f"lost     {each}" for each in found.refused]
    lines += [f"slower?  {each}" for each in found.doubtful]
    lines += [f"missing  {each}" for each in found.missing]
    if lines and lines[-1]:
        lines.append("")
    lines += [_counted(found), *_noise(found)]
    if found.machine:
        drift = ", ".join(f"{name} {times(ratio.value)}" for name, ratio in found.machine.items())
        lines.append(f"the machine itself, time now over time before: {drift}")
    return "\n".join([*lines, *found.others])


def _inconclusive(found: Comparison) -> list[str]:
    """Say why times allow no conclusion, if so: where they were measured, or that the machine drifted."""
    if found.conclusive:
        return []
    remedy = "times of the same code differ by that: save both files again, on one machine, with the same threads"
    why = [f"{each}: {remedy}" for each in found.elsewhere]
    if not why:
        why = [
            f"the machine itself took {times(found.drift)} times as long, in the median of its matrix products and "
            f"copies; beyond {times(DRIFT)}, up or down, slower code cannot be told from a slower machine: save both "
            "files again, one soon after the other"
        ]
    return [*(f"no conclusion on times: {each}" for each in why), ""]


def _aligned(rows: Sequence[tuple[str, list[str]]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*(row for _, row in rows), strict=True)]
    return [
        f"{word:7}  {'  '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))}".rstrip()
        for word, row in rows
    ]


def _of_group(each: Group) -> list[str]:
    which = f"all of {each.count} timings" if not each.operation else f"{each.operation}, {each.count} timings"
    return [each.who, which, f"{times(each.ratio.value)} times ({limits(each.ratio)}) in the geometric mean"]


def _of_single(each: Change, noise: Floor) -> list[str]:
    between = limits(widened(each.ratio, noise))
    ratio = f"{times(each.ratio.value)} times" + (f" ({between})" if between else "")
    return [each.who, f"{each.layer} {each.operation}", f"{time(each.before)} -> {time(each.after)}", ratio]


def _counted(found: Comparison) -> str:
    counts = [f"{len(found.of(word))} {word}" for word in (*CHANGED, "level")]
    doubtful = sum(len(found.of(word)) for word in DOUBTFUL.values())
    groups = [f"{len(found.groups_of(word))} {word}" for word in CHANGED]
    said = f"{plural(len(found.groups), 'group')} compared: {', '.join(groups)}; "
    said += f"{plural(len(found.changes), 'timing')}: {', '.join(counts)}"
    said += f", {doubtful} in doubt (?), to be timed again" * bool(doubtful)
    return said + f"; {len(found.refused)} timed before and refused now" * bool(found.refused)


def _noise(found: Comparison) -> list[str]:
    """Say beyond what a change is one, and where that is so far that hardly anything can be found."""
    far, robust, floor = found.far, found.robust, found.floor
    said = [
        "a group is slower or faster where its interval, printed, does not hold 1: that of its mean, of what A/A runs "
        f"have in common, at least {100 * SHARED:g} % as a standard deviation, and of what the machine itself "
        "took longer or shorter",
        f"the interval of a single timing is that of its rounds, widened by {found.noise.percent:.1f} %: what "
        "identical code differs by in 95 % of repeats, by the A/A runs",
        f"a single timing is slower or faster beyond {times(far.factor)} times, up or down, in its medians and its "
        f"fastest rounds: {BEYOND:g} times the greatest of {far.pairs} A/A shifts, as logarithms, or, if that is more, "
        f"{times(robust.factor)}, which is what noise as large as most of these, with the tails of Student's {TAILS} "
        f"degrees of freedom, exceeds in {1000 * far.rate:.0f} of 1000 comparisons, and at least {times(DRIFT)}",
        f"a single timing is in doubt (?) beyond {times(floor.factor)}, as identical code was seen to be in most "
        "comparisons of hundreds of timings, where it is not beyond the former, or where its rounds vary as much",
    ]
    if found.undecided:
        said.append(
            f"no conclusion on {plural(len(found.undecided), 'timing')} in doubt, slower beyond "
            f"{times(min(robust.factor, HALF_AGAIN))}: slower, or disturbed: time again"
        )
    if found.disturbed:
        which = ", ".join(found.disturbed[:3]) + ", ..." * (len(found.disturbed) > 3)
        said.append(
            f"warning: {plural(len(found.disturbed), 'A/A pair')} of {far.pairs} disturbed, identical code that took "
            f"more than {times(robust.factor)} times as long when measured again, up or down: {which}: save that file "
            "again on a machine without other work"
        )
    if found.blind:
        said.append(
            f"warning: noise is so large that {100 * (SEEN - 1):.0f} % more in all timings of {listed(found.blind)} "
            "would not be found: save both files again on a machine without other work"
        )
    return said


def main(arguments: list[str] | None = None) -> int:
    """Print the comparison; returns 1 where something became slower or wrong, 2 where not all can be said."""
    parser = argparse.ArgumentParser(
        prog="python -m reports compare",
        description="Compare two saved benchmark runs. Exit status: 1 if an implementation, one of its operations or a "
        "single timing is slower in the second one by more than noise, or is wrong or refused a time that it had; 0 if "
        "nothing is; 2 if they cannot be compared, if what the first one timed is missing in the second, of another "
        "clock or case, or now estimated to be too slow, by so little that an estimate may err, if noise would hide "
        f"that an implementation takes {HIDDEN:g} times as long, if a single timing in doubt does so by more than what "
        f"undisturbed A/A pairs explain, or by {HALF_AGAIN:g} times, if the processor or the number of threads "
        f"is another, or if the machine itself is more than {DRIFT:g} times as slow or as fast, by its matrix products "
        "and copies: what is wrong now ends with 1 even then.",
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
    return found.status
