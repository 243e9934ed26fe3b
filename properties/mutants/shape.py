"""The shape and the type of what is returned, and the number of windows that is counted."""

from __future__ import annotations

import numpy as np

from properties.mutants.laws_by_name import (
    ADJOINT,
    ALEXNET,
    BACKWARD,
    COUNT,
    DTYPE,
    EXACT_GRADIENT,
    EXACTLY,
    FORWARD,
    HALF,
    ROUNDED_GRADIENT,
    SEVEN,
    SHAPE,
    SHARED_FILTERS,
    TEN,
    THREE,
)
from properties.mutants.planting import around, inside, reading
from properties.mutants.results import changed, sides

# windows


@inside(*FORWARD, by=(SHAPE, SEVEN, TEN, ALEXNET))
def sizes_rounded_up(copy):
    """A window that only partly fits at the end gives an output as well: sizes are rounded up."""

    def rounded_up(axis):
        ragged = (axis.image + 2 * axis.before - axis.extent) % axis.stride
        return axis._replace(outputs=axis.outputs + bool(ragged))

    reading(copy, lambda v, h: (rounded_up(v), rounded_up(h)))


@around("conv2d_backward", by=(SHAPE, EXACT_GRADIENT, ROUNDED_GRADIENT, ADJOINT))
def dx_without_the_ragged_remainder(correct, x, w, dy, **p):
    """dx has the size of a transposed convolution, (OH-1)*S + F_eff - 2P, not that of x: a ragged rest is missing."""
    dx, dw, db = correct(x, w, dy, **p)
    padding = sides(p["padding"])
    if padding is None:
        return dx, dw, db
    H, W = (
        (outputs - 1) * S + D * (F - 1) + 1 - sum(P)
        for outputs, S, D, F, P in zip(dy.shape[2:], p["stride"], p["dilation"], w.shape[2:], padding, strict=True)
    )
    return dx[:, :, : max(0, H), : max(0, W)], dw, db


@around("out_size", by=(COUNT, SEVEN, TEN, ALEXNET))
def size_rounded_up(correct, W, F, S, P, dilation=1):
    """The division by the stride is rounded up."""
    return -((correct(W, F, 1, P, dilation) - 1) // -S) + 1


@around("out_size", by=(COUNT,))
def size_of_the_dense_window(correct, W, F, S, P, dilation=1):
    """The dilation is left out of the size."""
    return correct(W, F, S, P)


@around("out_size", by=(COUNT, HALF, THREE))
def size_padded_on_one_side(correct, W, F, S, P, dilation=1):
    """The padding is counted once, not on either side."""
    return max(1, (W - dilation * (F - 1) - 1 + P) // S + 1)


@around("out_size", by=(SEVEN, TEN, HALF, THREE, ALEXNET))
def forgets_to_add_one(correct, W, F, S, P, dilation=1):
    """The steps are counted and not the windows: one is missing."""
    return correct(W, F, S, P, dilation) - 1


@around("out_size", by=(COUNT,))
def size_as_a_float(correct, W, F, S, P, dilation=1):
    """The size is a float."""
    return float(correct(W, F, S, P, dilation))


# dimensions


@around(*FORWARD, by=(SHAPE,))
def single_image_loses_its_batch(correct, *arrays, **p):
    """A batch of one image is returned without its first dimension."""
    result = correct(*arrays, **p)
    parts = result if isinstance(result, tuple) else (result,)
    parts = tuple(part[0] if len(part) == 1 else part for part in parts)
    return parts if isinstance(result, tuple) else parts[0]


@around(*FORWARD, by=(SHAPE,))
def no_images_are_an_error(correct, x, *arrays, **p):
    """An empty batch raises an IndexError."""
    if not len(x):
        raise IndexError("index 0 is out of bounds for axis 0 with size 0")
    return correct(x, *arrays, **p)


@around("conv2d_backward", by=(SHAPE, EXACT_GRADIENT))
def db_keeps_its_dimensions(correct, x, w, dy, **p):
    """db has four dimensions, (1, K, 1, 1), where one is due."""
    dx, dw, db = correct(x, w, dy, **p)
    return dx, dw, db.reshape(1, -1, 1, 1)


@around("conv2d_backward", by=(SHARED_FILTERS,))
def gives_a_gradient_for_each_place(correct, x, w, dy, **p):
    """dw is given for each place of the output by itself, with a dimension more."""
    dx, dw, db = correct(x, w, dy, **p)
    return dx, np.repeat(dw[None], dy.shape[2] * dy.shape[3], 0), db


# types


@around(*FORWARD, *BACKWARD, by=(SHAPE, EXACTLY, EXACT_GRADIENT, DTYPE))
def doubles_returned(correct, *arrays, **p):
    """Results are float64, whatever was given."""
    return changed(correct(*arrays, **p), lambda part: part.astype(np.float64))


@around("l2_pool2d", "conv2d", by=(DTYPE,))
def returns_doubles_for_no_images(correct, x, *arrays, **p):
    """The result of an empty batch is float64, whatever was given."""
    y = correct(x, *arrays, **p)
    return y if len(x) else np.zeros(y.shape)


@around("conv2d", "avg_pool2d_backward", by=(DTYPE,))
def returns_the_other_byte_order(correct, *arrays, **p):
    """Results are in the byte order that is not the machine's."""
    y = correct(*arrays, **p)
    return y.astype(y.dtype.newbyteorder())


@around("conv2d", by=(DTYPE,))
def returns_a_masked_array(correct, *arrays, **p):
    """The result is a masked array, not a plain one."""
    return np.ma.masked_array(correct(*arrays, **p))


@around("conv2d_backward", by=(DTYPE,))
def forgets_the_dtype_of_db(correct, x, w, dy, **p):
    """db is float64, whatever was given."""
    dx, dw, _ = correct(x, w, dy, **p)
    return dx, dw, dy.sum((0, 2, 3), dtype=np.float64)
