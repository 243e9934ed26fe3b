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


def as_text(found: Comparison, every: bool = False, explained: bool = False) -> str:
    """Say the verdict, what changed, groups first and then line by line, what is not there any more, and what is noise.

    every: what is level, too. explained: by what limits it is judged.
    """
    lines = [
        *_verdict(found),
        *(f"{word}   {file}" for word, file in zip(("before", "after "), found.files, strict=True)),
        "",
    ]
    words = [*CHANGED, *DOUBTFUL.values(), *["level"] * every]
    groups = [(each.word, _of_group(each)) for word in words for each in found.groups_of(word)]
    singles = [(each.word, _of_single(each, found.noise)) for word in words for each in found.of(word)]
    lines += [*_aligned(groups), *_aligned(singles)]
    lines += [f"lost     {each}" for each in found.refused]
    lines += [f"slower?  {each}" for each in found.doubtful]
    lines += [f"missing  {each}" for each in found.missing]
    if lines[-1]:
        lines.append("")
    lines += [_counted(found), *_warnings(found)]
    lines += _limits(found) if explained else [_in_short(found)]
    if found.machine:
        lines.append(f"the machine itself, time now over time before: {_machine(found)}")
    return "\n".join([*lines, *found.others])


def _verdict(found: Comparison) -> list[str]:
    """Say in one line what the exit status says, and why; and why times allow no conclusion, if so."""
    count = {word: len(found.groups_of(word)) + len(found.of(word)) for word in CHANGED}
    if found.status == 1:
        said = [
            f"{plural(len(found.groups_of('slower')), 'group')} and {plural(len(found.of('slower')), 'timing')} slower"
        ]
        lines = ["slower, or wrong (exit status 1): " + "; ".join(
            said * (count["slower"] > 0) + [f"{len(found.refused)} lost"] * bool(found.refused))]  # fmt: skip
    elif found.status == 2:
        lines = [f"cannot say whether anything became slower (exit status 2): {'; '.join(_open(found))}"]
    else:
        lines = [f"nothing became slower (exit status 0){', and some faster' if count['faster'] else ''}"]
    return lines + _inconclusive(found)


def _open(found: Comparison) -> list[str]:
    """Name what cannot be said."""
    blind, leaning = found.hiding(HIDDEN), [*found.leaning]
    reasons = {
        "other conditions": not found.conclusive,
        f"{len(found.missing)} missing": found.missing,
        f"{plural(len(found.undecided) + len(found.doubtful), 'timing')} slower, or disturbed":
            found.undecided or found.doubtful,
        f"more timings of {listed(leaning)} in doubt took longer than less time": leaning,
        f"noise hides that {listed(blind)} takes {HIDDEN:g} times as long": blind,
        f"noise hides that a timing takes {HALF_AGAIN:g} times as long": found.hides_single_timings,
    }  # fmt: skip
    return [why for why, holds in reasons.items() if holds]


def _machine(found: Comparison) -> str:
    """Say how its products and copies changed: each of a roofline's, of the layers' own products the median."""
    if all(name.startswith("product-") for name in found.machine):
        return f"{times(found.drift)} in the median of {len(found.machine)} products"
    return ", ".join(f"{name} {times(ratio.value)}" for name, ratio in found.machine.items())


def _inconclusive(found: Comparison) -> list[str]:
    """Say why times allow no conclusion, if so: where they were measured, or that the machine drifted."""
    if found.conclusive:
        return []
    remedy = "times of the same code differ by that: save both files again, on one machine, with the same threads"
    why = [f"{each}: {remedy}" for each in found.elsewhere]
    if not why and found.moved_alike:
        why = [
            "all implementations took longer, and both files have no roofline and no layer's product in common, which "
            "would tell whether the machine did: save both with --layers='...,roofline'"
        ]
    if not why:
        why = [
            f"the machine itself took {times(found.drift)} times as long, in the median of its matrix products and "
            f"copies; beyond {times(DRIFT)}, up or down, slower code cannot be told from a slower machine: save both "
            "files again, one soon after the other"
        ]
    return [f"no conclusion on times: {each}" for each in why]


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


def _in_short(found: Comparison) -> str:
    return (
        f"a single timing is slower or faster beyond {times(found.far.factor)} times, in doubt (?) beyond "
        f"{times(found.floor.factor)}, by {found.far.pairs} A/A pairs; --explain says how"
    )


def _limits(found: Comparison) -> list[str]:
    """Say beyond what a change is one."""
    far, robust, floor = found.far, found.robust, found.floor
    return [
        "a group is slower or faster where its interval, printed, does not hold 1: that of its mean over what the "
        "machine itself took longer or shorter, of what A/A runs have in common, at least "
        f"{100 * SHARED:g} % as a standard deviation, and of half of what the machine took",
        f"the interval of a single timing is that of its rounds, widened by {found.noise.percent:.1f} %: what "
        "identical code differs by in 95 % of repeats, by the A/A runs",
        f"a single timing is slower or faster beyond {times(far.factor)} times, up or down, in its medians and its "
        f"fastest rounds: {BEYOND:g} times the greatest of {far.pairs} A/A shifts, as logarithms, or, if that is more, "
        f"{times(robust.factor)}, which is what noise as large as most of these, with the tails of Student's {TAILS} "
        f"degrees of freedom, exceeds in {1000 * far.rate:.0f} of 1000 comparisons, and at least {times(DRIFT)}",
        f"a single timing is in doubt (?) beyond {times(floor.factor)}, as identical code was seen to be in most "
        "comparisons of hundreds of timings, where it is not beyond the former, where its rounds vary as much, or "
        "where its median lies farther than those of identical code do, and its fastest rounds do not",
    ]


def _warnings(found: Comparison) -> list[str]:
    """Say what noise may hide, and which timings are in doubt for more than that."""
    said = []
    if found.undecided:
        said.append(
            f"no conclusion on {plural(len(found.undecided), 'timing')} in doubt, slower beyond "
            f"{times(min(found.robust.factor, HALF_AGAIN))} or in most of the rounds: slower, or disturbed: time again"
        )
    for who, (slower, faster) in found.leaning.items():
        said.append(
            f"no conclusion on {who}: {slower} of its timings in doubt took longer, and {faster} less time; noise "
            "makes as many of both: time again"
        )
    if found.disturbed:
        which = ", ".join(found.disturbed[:3]) + ", ..." * (len(found.disturbed) > 3)
        said.append(
            f"warning: {plural(len(found.disturbed), 'A/A pair')} of {found.far.pairs} disturbed, identical code that "
            f"took more than {times(found.robust.factor)} times as long when measured again, up or down: {which}: save "
            "that file again on a machine without other work"
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
        "single timing is slower in the second one by more than noise, or is wrong now, or refused a time that it had; "
        "0 if nothing is; 2 if they cannot be compared, if what the first one timed is missing in the second, of "
        "another clock or case, or now estimated to be too slow, by so little that an estimate may err, if noise would "
        f"hide that an implementation takes {HIDDEN:g} times as long, if a single timing in doubt does so by more than "
        f"what undisturbed A/A pairs explain, by {HALF_AGAIN:g} times, or in most of its rounds, if more are in doubt "
        "than noise makes, if the processor or the number of threads is another, or if the machine itself is more than "
        f"{DRIFT:g} times as slow or as fast, by its matrix products and copies: what is wrong now ends with 1 even "
        "then.",
    )
    parser.add_argument("before", type=Path, metavar="A", help="a saved file, or a folder, for its newest")
    parser.add_argument("after", type=Path, metavar="B", help="another, saved later")
    parser.add_argument("--all", action="store_true", help="list what is level, too")
    parser.add_argument("--explain", action="store_true", help="say by what limits changes are judged")
    options = parser.parse_args(arguments)
    try:
        found = compare(load(options.before), load(options.after))
    except BenchmarkError as error:
        print(f"python -m reports compare: {error}", file=sys.stderr)
        return 2
    print(as_text(found, options.all, options.explain))
    return found.status
