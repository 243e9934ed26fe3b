"""All that is small is met: every axis, in either direction, in one run."""

from __future__ import annotations

from impls import im2col
from impls.subject import Subject
from properties import test_scope as scope
from properties.examiner import Examiner
from properties.mutants.planting import variant
from properties.selfcheck.running import examine


def test_all_axes_are_met_in_either_direction() -> None:
    for pools, count in ((False, 147), (True, 63)):
        every = {*scope.axes(pools)}
        assert len(every) == count
        assert {axis for axis, _ in scope.pairs(pools)} == {axis for _, axis in scope.pairs(pools)} == every
        assert len({*scope.pairs(pools)}) == count * scope.PARTNERS


def test_every_geometry_is_called_in_one_run() -> None:
    called = set()

    def conv2d(x, w, b, **p):
        called.add((x.shape[2:], w.shape[2:], tuple(p["stride"]), tuple(p["padding"]), tuple(p["dilation"])))
        return im2col.conv2d(x, w, b, **p)

    assert (
        examine(scope.test_the_whole_operator_is_right_in_all_that_is_small, variant(conv2d=conv2d), "conv2d", 100)
        is None
    )
    assert len(called) == 147 * scope.PARTNERS


def test_of_all_that_is_small_only_what_is_offered_is_asked() -> None:
    limited = Examiner(Subject("limited", variant(limits={"P": [0]})), "conv2d")
    unpadded = [pair for pair in scope.pairs(False) if not any(axis.pad_before for axis in pair)]
    assert [*scope.within(limited)] == unpadded != []
    none = Examiner(Subject("none", variant(limits={"F": [9]})), "conv2d")
    assert scope.within(none) == scope.pairs(False)
