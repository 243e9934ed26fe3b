"""Axes mixed up: rows for columns, vertical for horizontal parameters, images turned, channels last."""

from __future__ import annotations

import numpy as np

from properties.mutants.laws_by_name import (
    ADJOINT,
    COLUMNS,
    EXACT_GRADIENT,
    EXACTLY,
    FORWARD,
    GLOBAL,
    GRADIENTS,
    IDENTITIES,
    KEYWORDS,
    MATRIX_PRODUCT,
    NETWORK,
    ROUTED,
    SHAPE,
    VALUES,
    VOLUME,
    WINDOWS,
)
from properties.mutants.planting import around, inside, reading, turned

# parameters


@around(*FORWARD, *WINDOWS, by=(EXACTLY, EXACT_GRADIENT, SHAPE))
def strides_swapped(correct, *arrays, stride, **p):
    """The strides of rows and columns are exchanged."""
    return correct(*arrays, stride=turned(stride), **p)


@inside(*FORWARD, *WINDOWS, by=(*VALUES, *GRADIENTS, ADJOINT))
def steps_swapped_in_the_loop(copy):
    """Windows are counted right, and then read with the strides of rows and columns exchanged."""
    reading(copy, lambda v, h: (v._replace(stride=h.stride), h._replace(stride=v.stride)))


@around("conv2d", "l2_pool2d", by=(KEYWORDS,))
def compares_a_pair_with_a_tuple(correct, *arrays, **p):
    """A stride that is given as a list is read with rows and columns exchanged."""
    if isinstance(p["stride"], list):
        p["stride"] = p["stride"][::-1]
    return correct(*arrays, **p)


@around("conv2d", by=(*VALUES, SHAPE))
def padding_swapped(correct, *arrays, padding, **p):
    """The paddings of rows and columns are exchanged."""
    return correct(*arrays, padding=turned(padding), **p)


@inside(*WINDOWS, by=(*GRADIENTS, *IDENTITIES))
def padding_of_rows_used_for_columns(copy):
    """The padding above is used on the left as well."""
    reading(copy, lambda v, h: (v, h._replace(before=v.before)))


# arrays


@around("conv2d", by=(VOLUME, COLUMNS, NETWORK))
def reads_the_image_transposed(correct, x, w, b, **p):
    """The image is read with rows and columns exchanged."""
    return correct(x.swapaxes(2, 3), w, b, **p)


@around("conv2d", by=VALUES)
def filter_transposed_where_it_is_square(correct, x, w, b, **p):
    """Square filters are read with rows and columns exchanged."""
    return correct(x, w.swapaxes(2, 3) if w.shape[2] == w.shape[3] else w, b, **p)


@around("conv2d", by=(MATRIX_PRODUCT,))
def square_matrix_transposed(correct, x, w, b, **p):
    """Filters of one cell are read as a matrix with filters and channels exchanged, where it is square."""
    if w.shape[2:] == (1, 1) and w.shape[0] == w.shape[1]:
        w = w.swapaxes(0, 1)
    return correct(x, w, b, **p)


@around(*FORWARD, by=(*VALUES, SHAPE, VOLUME))
def rows_and_columns_exchanged_in_the_result(correct, *arrays, **p):
    """Results have rows and columns exchanged."""
    result = correct(*arrays, **p)
    if isinstance(result, tuple):
        return tuple(part.swapaxes(2, 3) for part in result)
    return result.swapaxes(2, 3)


@around("conv2d", by=(COLUMNS, NETWORK))
def lays_filters_last(correct, x, w, b, **p):
    """Outputs are written with the filters last, and read with the filters first."""
    y = correct(x, w, b, **p)
    return np.ascontiguousarray(y.transpose(0, 2, 3, 1)).reshape(y.shape)


@around("max_pool2d_backward", by=(*GRADIENTS, ROUTED, ADJOINT))
def gradient_goes_by_columns(correct, dy, switches, x_shape):
    """The image of gradients is filled column by column."""
    N, C, H, W = x_shape
    return correct(dy, switches, (N, C, W, H)).swapaxes(2, 3)


@around("avg_pool2d", by=(GLOBAL,))
def height_for_width(correct, x, **p):
    """Global pooling has a path of its own, which divides by the height of the image squared."""
    y = correct(x, **p)
    H, W = x.shape[2:]
    return y * y.dtype.type(W / H) if tuple(p["size"]) == (H, W) else y


@around("max_pool2d", "l2_pool2d", by=(GLOBAL,))
def width_for_height(correct, x, **p):
    """Global pooling has a path of its own, which reads as many rows as there are columns."""
    H, W = x.shape[2:]
    if tuple(p["size"]) == (H, W) and H > W:
        x = x.copy()
        x[:, :, W:] = -np.inf if correct.__name__ == "max_pool2d" else 0
    return correct(x, **p)
