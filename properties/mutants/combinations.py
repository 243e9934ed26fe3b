"""Rare combinations: what goes wrong for a few parameters together, one shape, or one order of a window's cells."""

from __future__ import annotations

import numpy as np

from properties.mutants.laws_by_name import SMALL, SMALL_BACK, SMALL_ORDERS
from properties.mutants.planting import around
from properties.mutants.results import first, sides


@around("conv2d", by=(SMALL,))
def loses_the_last_column_at_one_dilation_beside_one_stride(correct, x, w, b, **p):
    """The last column of outputs is 0 where rows have dilation 2 and columns have stride 3."""
    y = correct(x, w, b, **p)
    if p["dilation"][0] == 2 and p["stride"][1] == 3 and y.shape[3] > 1:
        y[..., -1] = 0
    return y


@around("avg_pool2d", by=(SMALL,))
def divides_by_the_whole_window_where_both_paddings_meet(correct, x, **p):
    """The first average is halved where rows have padding 2 and columns have padding 1."""
    y = correct(x, **p)
    if sides(p["padding"]) == ((2, 2), (1, 1)):
        y[:, :, 0, 0] *= y.dtype.type(0.5)
    return y


@around("conv2d_backward", "avg_pool2d_backward", by=(SMALL_BACK,))
def loses_the_corner_where_the_image_is_smaller_than_the_window(correct, *arrays, **p):
    """The last cell of an image of 2x3 with padding above it gets no gradient."""
    found = correct(*arrays, **p)
    dx, padding = first(found), sides(p["padding"])
    if dx.shape[2:] == (2, 3) and padding is not None and padding[0][0] == 1:
        dx[:, :, -1, -1] = 0
    return found


@around("max_pool2d", by=(SMALL_ORDERS,))
def prefers_the_second_of_two_maxima_beside_a_third_cell(correct, x, **p):
    """In an image of 2x2 the last of two equal maxima wins where the cells between them rise."""
    y, switches = correct(x, **p)
    if x.shape[2:] == (2, 2) == tuple(p["size"]) and switches.shape[2:] == (1, 1):
        tied = (x[:, :, 0, 0] == x[:, :, 1, 1]) & (x[:, :, 0, 0] == y[:, :, 0, 0]) & (x[:, :, 0, 1] < x[:, :, 1, 0])
        switches[tied] = 3
    return y, switches


@around("max_pool2d", by=(SMALL_ORDERS,))
def compares_neighbours_alone_in_a_row_of_five(correct, x, **p):
    """In a row of five cells the maximum is wrong where the last is the largest and the first is above the fourth."""
    y, switches = correct(x, **p)
    if x.shape[2:] == (1, 5):
        rises = np.argsort(x[:, :, 0], axis=2)[..., -1] == 4
        falls = x[:, :, 0, 0] > x[:, :, 0, 3]
        y[rises & falls] -= y.dtype.type(1)
    return y, switches
