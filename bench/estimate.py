"""How long a case would take, from a small part of it: fewer images, rows of outputs and filters."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from bench import clock, gate
from impls.subject import Subject
from oracles.case import Case
from oracles.geometry import Axis, Geometry

OUTPUTS = 300  # of the first part; a loop computes as many in a millisecond or two
ENOUGH = 0.03  # seconds that a larger part may take, where a smaller one leaves open whether the case is too slow
AGAIN = 0.5  # seconds; a part that takes less is run twice, as a first call may have to wait for its memory
COMPILED = 10.0  # seconds; the same of a first part, whose first call may have to compile
FLAT = 1.5  # times the time, for twice the work or more: what takes less has a cost of each call to be seen through
STEP = 4.0  # times the work that is tried next then,
PATIENCE = 4  # for so many times the limit, of all parts together


def estimate(subject: Subject, case: Case, limit: float, before: Callable[[Case], None] = lambda part: None) -> float:
    """Estimate the seconds that one call lasts by the multiply-adds of a part, and of larger ones unless it is short.

    From two parts a line is drawn, so that what every call costs is not counted many times; no single part, which may
    have had to wait, makes a case too slow. Raises what the implementation raises.
    """
    whole = case.geometry.macs
    share, parts = min(1.0, OUTPUTS / max(1, math.prod(case.geometry.y_shape))), 1
    part, taken = _timed(subject, case, share, before, patience=COMPILED)  # a first call of all may have to
    expected, spent, flat = taken * whole / max(1, part), taken, False
    if max(AGAIN, limit) <= taken < PATIENCE * limit and share < 1:  # too slow; by how much, a smaller part says
        less, sooner = _timed(subject, case, share / STEP, before)
        return min(expected, _further(less, sooner, part, taken, whole))
    short = min(limit / 4, clock.LONG)  # what is longer is not warmed up, and should be known to be
    while expected > short and share < 1:
        unclear = flat and expected > limit and spent < PATIENCE * limit
        if not unclear and taken >= (max(AGAIN, limit) if parts == 1 else ENOUGH / 2):
            break
        share, parts = min(1.0, share * max(STEP if flat else 2.0, ENOUGH / taken)), parts + 1
        larger, longer = _timed(subject, case, share, before)
        flat, spent = longer < FLAT * taken, spent + longer
        expected = longer * whole / max(1, larger)
        if longer > taken:
            expected = min(expected, _further(part, taken, larger, longer, whole))
        part, taken = larger, longer
    return expected


def _further(less: int, sooner: float, part: int, taken: float, whole: int) -> float:
    """Draw a line through the times of two parts, which rises or is level, on to the whole."""
    return taken + max(0.0, taken - sooner) / max(1, part - less) * (whole - part)


def _timed(
    subject: Subject, case: Case, share: float, before: Callable[[Case], None], patience: float = AGAIN
) -> tuple[int, float]:
    """Time a part of a case once it is warm: its multiply-adds, and the less of two times."""
    small = smaller(case, share)
    before(small)
    call = gate.prepared(subject, small)
    once, _ = clock.lasting(call)
    again, _ = clock.lasting(call) if once < patience else (once, None)
    return small.geometry.macs, min(once, again)


def smaller(case: Case, share: float) -> Case:
    """Give the same case with about this share of its work: fewer images, then fewer rows, then fewer filters."""
    g = case.geometry
    images = max(1, round(g.N * share))
    left = share * g.N / images
    rows = max(1, round(g.vertical.out * left))
    left = min(1.0, left * g.vertical.out / rows)
    part = replace(g, N=images, vertical=_first(g.vertical, rows, case.same))
    return replace(case, geometry=_thinner(part, left))


def _first(axis: Axis, windows: int, same: str) -> Axis:
    """Shorten the image until so many windows are left, or as few as its padding allows."""
    if windows >= axis.out:
        return axis
    if same:
        return Axis.same(windows * axis.stride, axis.extent, axis.stride, axis.dilation, same)
    padding = axis.pad_before + axis.pad_after
    return replace(axis, size=max(1, (windows - 1) * axis.stride + axis.reach - padding))


def _thinner(g: Geometry, share: float) -> Geometry:
    """Leave away filters; groups, where each has one filter; channels, where the operation pools."""
    if not g.K:
        return replace(g, C=max(1, round(g.C * share)))
    filters, channels = g.K // g.G, g.C // g.G
    if filters > 1:
        return replace(g, K=g.G * max(1, round(filters * share)))
    groups = max(1, round(g.G * share))
    return replace(g, G=groups, C=groups * channels, K=groups)
