"""Simpler cases than the one that Hypothesis has come to: what shrinks only where two numbers change at once.

An image of 7 cells at stride 3 has three windows of one cell, and so has one of 3 cells at stride 1; a smaller stride
alone, or a smaller image alone, has another number of them, and may not fail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from itertools import chain, combinations, product
from typing import TYPE_CHECKING, Any

from oracles.case import Case
from oracles.geometry import Axis, Geometry
from properties.neighbours import owed, respelled

if TYPE_CHECKING:
    from properties.examiner import Examiner

FIELDS = ("size", "extent", "stride", "dilation", "pad_before", "pad_after")
SIMPLEST = {"stride": {"stride": 1}, "dilation": {"dilation": 1}, "padding": {"pad_before": 0, "pad_after": 0}}


def simplify(one: Callable[[Examiner, Case], bool], examiner: Examiner) -> None:
    """Go on from a failure to simpler cases, as long as one fails in the same way and there is time."""
    while examiner.failure is not None:
        if not any(_fails(one, examiner, case) for case in candidates(examiner, examiner.failure[0])):
            return


def candidates(examiner: Examiner, case: Case) -> Iterator[Case]:
    """Give cases with fewer images, channels, filters or groups, in one of two directions, or with a simpler axis.

    Simpler is a single cell, an axis with as many outputs, or a row of fewer cells. None of SAME or details.
    """
    if case.same or case.details or case.operation == "out_size":
        return
    if case.bias and owed(examiner, plain := replace(case, bias=False)):
        yield plain
    for fields in chain(_fewer(case.geometry), _joined(case.geometry), _simpler_axes(case.geometry)):
        smaller = respelled(examiner, case, replace(case.geometry, **fields))
        if owed(examiner, smaller):
            yield smaller


def _simpler_axes(g: Geometry) -> Iterator[dict[str, Axis]]:
    for name in ("vertical", "horizontal"):
        axis = getattr(g, name)
        ways = [changed for count in (3, 2, 1, 0) for changed in combinations(SIMPLEST, count)]
        same = {key: getattr(axis, key) for key in FIELDS}
        thin = same | {"extent": 1, "dilation": 1, "pad_before": 0, "pad_after": 0}
        shorter = (same | {"size": size} for size in _less(axis.size))
        found = [_row(axis, 1), *(_with_as_many(axis, changed) for changed in ways)]
        found += [_axis(axis, fields) for fields in (thin, thin | {"stride": 1}, *shorter, *small_axes())]
        for new in found:
            if new is not None and _rank(new) < _rank(axis):
                yield {name: new}


@cache
def small_axes() -> tuple[dict[str, int], ...]:
    """Give all that an axis of a few cells may be, the simplest first."""
    every = product(range(1, 5), range(1, 4), range(1, 4), range(1, 3), range(2), range(2))
    axes = (dict(zip(FIELDS, numbers, strict=True)) for numbers in every)
    plain = Axis(1, 1)
    fitting = [axis for fields in axes if (axis := _axis(plain, fields)) and (axis.extent > 1 or axis.dilation == 1)]
    return tuple({key: getattr(axis, key) for key in FIELDS} for axis in sorted(fitting, key=_rank))


def _axis(axis: Axis, fields: dict[str, int]) -> Axis | None:
    """Give the axis with these sizes; None where no window fits."""
    try:
        return replace(axis, **fields)
    except ValueError:
        return None


def _joined(g: Geometry) -> Iterator[dict[str, Any]]:
    """Give as many outputs in one row, and as many planes of one image: what counts them may count their product."""
    rows, columns = g.vertical.out, g.horizontal.out
    if min(rows, columns) > 1:
        yield {"vertical": _row(g.vertical, 1), "horizontal": _row(g.horizontal, rows * columns)}
    for letter in "CK" if g.G == 1 else "":
        count = getattr(g, letter)
        if min(g.N, count) > 1:
            yield {"N": 1, letter: g.N * count}
    for letter in ("NK" if g.K else "NC") if g.G == 1 else "":
        if min(count := getattr(g, letter), columns) > 1:
            yield {letter: 1, "horizontal": _row(g.horizontal, count * columns)}


def _row(axis: Axis, size: int) -> Axis:
    """Give so many cells, each of them a window."""
    return replace(axis, size=size, extent=1, stride=1, dilation=1, pad_before=0, pad_after=0)


def _less(count: int) -> list[int]:
    """Give one, two, half, and ever more of what there are so many of, up to one less."""
    parts = (count - (count >> power) for power in range(1, count.bit_length()))
    return sorted({1, 2, *parts} - {0, count}) if count > 1 else []


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
    """Give fewer of what there are several of; a single group, with its filters or with all."""
    if g.G > 1:
        yield {"C": g.C // g.G, "K": g.K // g.G, "G": 1}
        yield {"C": g.C // g.G, "G": 1}
        yield {"K": min(1, g.K), "G": 1}
    for letter in "NCK" if g.G == 1 else "N":
        count = getattr(g, letter)
        yield from ({letter: fewer} for fewer in _less(count) if fewer < count)


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
