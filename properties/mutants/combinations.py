"""Rare combinations: what goes wrong for a few parameters together, one shape, or one order of a window's cells."""

from __future__ import annotations

import numpy as np

from properties.mutants.laws_by_name import (
    EXACT_GRADIENT,
    MAXIMUM_BACK,
    ODD,
    ODD_BACK,
    POOLS,
    SHARING,
    SMALL,
    SMALL_BACK,
    SMALL_ORDERS,
)
from properties.mutants.planting import around
from properties.mutants.results import changed, first, named, sides


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


# fast paths that do not look at all of their parameters


@around("conv2d", by=(ODD,))
def takes_three_by_three_whatever_the_dilation_of_rows(correct, x, w, b, **p):
    """The path for dense 3x3 windows at stride 1 is taken though columns are dilated, and reads neighbours."""
    y = correct(x, w, b, **p)
    if w.shape[2:] == (3, 3) and tuple(p["stride"]) == (1, 1) and p["dilation"][0] == 1 < p["dilation"][1]:
        y[..., -1] = y[..., 0]
    return y


@around("conv2d_backward", by=(ODD_BACK,))
def takes_points_whatever_the_padding_of_rows(correct, x, w, dy, **p):
    """The path for 1x1 windows is taken though columns have padding, and dw misses a column."""
    dx, dw, db = correct(x, w, dy, **p)
    padding = sides(p["padding"])
    if w.shape[2:] == (1, 1) == tuple(p["stride"]) and padding is not None and padding[0] == (0, 0) < padding[1]:
        dw += np.einsum("nkyx->k", dy[..., :1])[:, None, None, None]
    return dx, dw, db


@around(*POOLS, by=(ODD,))
def takes_two_by_two_whatever_the_stride_of_rows(correct, x, *, size, **p):
    """The path for 2x2 windows at stride 2 is taken though columns have another stride."""
    found = correct(x, size=size, **p)
    if tuple(size) == (2, 2) and p["stride"][0] == 2 != p["stride"][1]:
        return changed(found, lambda y: np.roll(y, 1, 3))
    return found


@around(*SHARING, by=(ODD_BACK,))
def unpools_two_by_two_whatever_the_stride_of_rows(correct, *arrays, size, **p):
    """The path for 2x2 windows at stride 2 is taken though columns have another stride, and loses the last row."""
    dx = correct(*arrays, size=size, **p)
    if tuple(size) == (2, 2) and p["stride"][0] == 2 != p["stride"][1]:
        dx[:, :, -2:] = 0
    return dx


@around(MAXIMUM_BACK, by=(ODD_BACK,))
def unpools_into_planes_of_half_the_rows_alone(correct, *arrays, **p):
    """The path for planes twice as high as dy is taken though they are not twice as wide, and loses the last row."""
    dx, dy = correct(*arrays, **p), named(correct, arrays, p)["dy"]
    if dx.shape[2] == 2 * dy.shape[2] and dx.shape[3] != 2 * dy.shape[3]:
        dx[:, :, -2:] = 0
    return dx


@around("conv2d_backward", by=(EXACT_GRADIENT,))
def row_of_cells_loses_its_last_gradient(correct, x, w, dy, *, padding, **p):
    """Of an image of one row, under even windows wider than 2 that reach into the padding, the last cell gets none."""
    dx, dw, db = correct(x, w, dy, padding=padding, **p)
    padded = sides(padding)
    if x.shape[2] == 1 and w.shape[3] > 2 and w.shape[3] % 2 == 0 and padded is not None and padded[1][1] > 0:
        dx[..., -1] = 0
    return dx, dw, db
