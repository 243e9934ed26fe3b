"""The properties of all that is small catch, alone, what shows in one combination of small numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from impls import im2col
from properties import test_scope as scope
from properties.selfcheck.beds import Bed, Fault, caught
from properties.selfcheck.running import examine, variant

planted = Bed()
OPERATOR = scope.test_the_whole_operator_is_right_in_all_that_is_small
GRADIENT = scope.test_the_whole_gradient_is_right_in_all_that_is_small
ORDERS = scope.test_every_order_in_a_small_window_has_its_maximum


@planted(OPERATOR, "conv2d")
def loses_the_last_column_at_one_dilation_beside_one_stride() -> Fault:
    def fault(correct, x, w, b, **p):
        y = correct(x, w, b, **p)
        if p["dilation"][0] == 2 and p["stride"][1] == 3 and y.shape[3] > 1:
            y[..., -1] = 0
        return y

    return fault


@planted(OPERATOR, "avg_pool2d")
def divides_by_the_whole_window_where_both_paddings_meet() -> Fault:
    def fault(correct, x, **p):
        y = correct(x, **p)
        if (*np.ravel(p["padding"]),) in ((2, 1), (2, 2, 1, 1)):
            y[:, :, 0, 0] *= 0.5
        return y

    return fault


@planted(GRADIENT, "conv2d_backward", "avg_pool2d_backward")
def loses_the_corner_where_the_image_is_smaller_than_the_window() -> Fault:
    def fault(correct, *arrays, **p):
        found = correct(*arrays, **p)
        dx = found[0] if isinstance(found, tuple) else found
        if dx.shape[2] == 2 and dx.shape[3] == 3 and np.ravel(p["padding"])[0] == 1:
            dx[:, :, -1, -1] = 0
        return found

    return fault


@planted(ORDERS, "max_pool2d")
def prefers_the_second_of_two_maxima_beside_a_third_cell() -> Fault:
    def fault(correct, x, **p):
        y, switches = correct(x, **p)
        if x.shape[2:] == (2, 2):
            tied = (x[:, :, 0, 0] == x[:, :, 1, 1]) & (x[:, :, 0, 0] == y[:, :, 0, 0]) & (x[:, :, 0, 1] < x[:, :, 1, 0])
            switches[tied] = 3
        return y, switches

    return fault


@planted(ORDERS, "max_pool2d")
def compares_neighbours_alone_in_a_row_of_five() -> Fault:
    def fault(correct, x, **p):
        y, switches = correct(x, **p)
        if x.shape[2:] == (1, 5):
            rises = np.argsort(x[:, 0, 0], axis=1)[:, -1] == 4
            falls = x[:, 0, 0, 0] > x[:, 0, 0, 3]
            y[rises & falls] -= 1
        return y, switches

    return fault


@pytest.mark.parametrize(("law", "operation", "maker"), planted.planted)
def test_a_planted_fault_is_caught(law: Any, operation: str, maker: Any) -> None:
    caught(law, operation, maker)


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

    assert examine(OPERATOR, variant(conv2d=conv2d), "conv2d", 100) is None
    assert len(called) == 147 * scope.PARTNERS
