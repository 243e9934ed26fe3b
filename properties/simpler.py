"""Simpler cases than the one that Hypothesis has come to: what shrinks only where two numbers change at once.

An image of 7 cells at stride 3 has three windows of one cell, and so has one of 3 cells at stride 1; a smaller stride
alone, or a smaller image alone, has another number of them, and may not fail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING

from oracles.case import Case
from oracles.geometry import Axis, Geometry
from properties.neighbours import owed, respelled

if TYPE_CHECKING:
    from properties.examiner import Examiner

SIMPLEST = {"stride": {"stride": 1}, "dilation": {"dilation": 1}, "padding": {"pad_before": 0, "pad_after": 0}}


def simplify(one: Callable[[Examiner, Case], bool], examiner: Examiner) -> None:
    """Go on from a failure to simpler cases, as long as one fails in the same way and there is time."""
    while examiner.failure is not None:
        if not any(_fails(one, examiner, case) for case in candidates(examiner, examiner.failure[0])):
            return


def candidates(examiner: Examiner, case: Case) -> Iterator[Case]:
    """Give cases with fewer images, channels, filters or groups, or in which one axis is a single cell, or simpler.

    Simpler is an axis with as many outputs. None of SAME or details.
    """
    if case.same or case.details or case.operation == "out_size":
        return
    for counts in _fewer(case.geometry):
        smaller = respelled(examiner, case, replace(case.geometry, **counts))
        if owed(examiner, smaller):
            yield smaller
    for name in ("vertical", "horizontal"):
        axis = getattr(case.geometry, name)
        ways = [changed for count in (3, 2, 1, 0) for changed in combinations(SIMPLEST, count)]
        cell = replace(axis, size=1, extent=1, stride=1, dilation=1, pad_before=0, pad_after=0)
        for new in (cell, *(_with_as_many(axis, changed) for changed in ways)):
            if new is not None and _rank(new) < _rank(axis):
                smaller = respelled(examiner, case, replace(case.geometry, **{name: new}))
                if owed(examiner, smaller):
                    yield smaller


def _with_as_many(axis: Axis, changed: tuple[str, ...]) -> Axis | None:
    """Give the least axis with as many outputs where these are the simplest; None where there is none."""
    fields: dict[str, int] = {}
    for name in changed:
        fields |= SIMPLEST[name]
    try:
        new = replace(axis, **fields)
        size = (axis.out - 1) * new.stride + new.reach - new.pad_before - new.pad_after
        new = replace(new, size=max(1, size))
    except ValueError:  # no window fits
        return None
    return new if new.out == axis.out else None


def _fewer(g: Geometry) -> Iterator[dict[str, int]]:
    """Give one, two, half or one less of what there are several of; a single group, with its filters or with all."""
    if g.G > 1:
        yield {"C": g.C // g.G, "K": g.K // g.G, "G": 1}
        yield {"C": g.C // g.G, "G": 1}
    for letter in "NCK" if g.G == 1 else "N":
        count = getattr(g, letter)
        yield from ({letter: fewer} for fewer in sorted({1, 2, count // 2, count - 1}) if 0 < fewer < count)


def _rank(axis: Axis) -> tuple[int, ...]:
    """Order axes by all that they have; of those that have as much, first by padding, stride and dilation."""
    padding = axis.pad_before + axis.pad_after
    amount = axis.size + axis.extent + axis.stride + axis.dilation + padding
    return amount, padding, axis.stride, axis.dilation


def _fails(one: Callable[[Examiner, Case], bool], examiner: Examiner, case: Case) -> bool:
    """Run the property; whether it fails as it did before. What fails otherwise leaves the failure as it was."""
    before = examiner.failure
    assert before is not None
    try:
        one(examiner, case)
    except AssertionError:
        if examiner.failure is not None and examiner.failure[1].kind == before[1].kind:
            return True
    examiner.failure = before
    return False
