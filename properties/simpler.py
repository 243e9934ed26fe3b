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
from oracles.geometry import Axis
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
    """Give the cases in which one axis is a single cell, or has as many outputs as it had; none of SAME or details."""
    if case.same or case.details or case.operation == "out_size":
        return
    for name in ("vertical", "horizontal"):
        axis = getattr(case.geometry, name)
        ways = [changed for count in (3, 2, 1, 0) for changed in combinations(SIMPLEST, count)]
        cell = replace(axis, size=1, extent=1, stride=1, dilation=1, pad_before=0, pad_after=0)
        for new in (cell, *(_with_as_many(axis, changed) for changed in ways)):
            if new is not None and _amount(new) < _amount(axis):
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


def _amount(axis: Axis) -> int:
    return axis.size + axis.extent + axis.stride + axis.dilation + axis.pad_before + axis.pad_after


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
