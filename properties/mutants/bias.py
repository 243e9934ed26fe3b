"""The bias and its gradient: forgotten, added twice, or that of another filter."""

from __future__ import annotations

import numpy as np

from properties.mutants.laws_by_name import (
    BIAS,
    COLUMNS,
    DERIVATIVE,
    DILATION,
    DILATION_BACK,
    EXACTLY,
    GRADIENTS,
    NETWORK,
    THREE,
    VALUES,
    VOLUME,
    WEIGHTS,
)
from properties.mutants.planting import around


@around("conv2d", by=VALUES)
def bias_added_twice(correct, x, w, b, **p):
    """The bias is added twice."""
    return correct(x, w, None if b is None else 2 * b, **p)


@around("conv2d", by=VALUES)
def bias_of_the_first_group_alone(correct, x, w, b, *, groups, **p):
    """The bias is added in the first group alone."""
    if b is not None:
        b = np.where(np.arange(len(b)) < len(b) // groups, b, b.dtype.type(0))
    return correct(x, w, b, groups=groups, **p)


@around("conv2d", by=(BIAS,))
def bias_counted_within_groups(correct, x, w, b, *, groups, **p):
    """Every group adds the bias of the first."""
    each = len(w) // groups
    return correct(x, w, None if b is None else b[np.arange(len(b)) % each], groups=groups, **p)


@around("conv2d", by=(VOLUME, COLUMNS, NETWORK, THREE))
def adds_the_first_bias_to_all(correct, x, w, b, **p):
    """The bias of the first filter is added to the outputs of all."""
    return correct(x, w, None if b is None else np.repeat(b[:1], len(b)), **p)


@around("conv2d", by=(*VALUES, WEIGHTS, VOLUME, COLUMNS))
def bias_forgotten(correct, x, w, b, **p):
    """The bias is not added."""
    return correct(x, w, None, **p)


@around("conv2d", by=(DILATION,))
def no_bias_where_dilated(correct, x, w, b, **p):
    """The path for dilated filters does not add the bias."""
    return correct(x, w, b if tuple(p["dilation"]) == (1, 1) else None, **p)


@around("conv2d_backward", by=(*GRADIENTS, DERIVATIVE))
def db_averaged_over_the_batch(correct, x, w, dy, **p):
    """db is divided by the number of images."""
    dx, dw, db = correct(x, w, dy, **p)
    return dx, dw, (db / max(1, len(x))).astype(db.dtype)


@around("conv2d_backward", by=(DILATION_BACK,))
def bias_gradient_forgotten_where_dilated(correct, x, w, dy, **p):
    """The path for dilated filters gives no gradient of the bias, but zeros."""
    dx, dw, db = correct(x, w, dy, **p)
    return dx, dw, db if tuple(p["dilation"]) == (1, 1) else 0 * db


@around("conv2d", by=(EXACTLY,))
def blank_images_left_out(correct, x, w, b, **p):
    """An image that is zero everywhere is left out, and its outputs are 0 without the bias."""
    y = correct(x, w, b, **p)
    y[~x.any((1, 2, 3))] = 0
    return y
