"""What only a gradient can have wrong: its sign, scale or mask, its dilation by the stride, a part that is missing."""

from __future__ import annotations

import numpy as np

from properties.mutants.laws_by_name import (
    ADJOINT,
    DERIVATIVE,
    DOUBLE,
    FLIPPED,
    GRADIENTS,
    IDENTITIES,
    MAXIMUM_BACK,
    NETWORK_BACK,
    ONE_OPERAND,
    PEAK,
    SHARED_FILTERS,
    SUM,
    TRAINED,
)
from properties.mutants.planting import around, inside
from properties.mutants.results import sides


@around("conv2d_backward", by=(TRAINED, NETWORK_BACK))
def points_uphill(correct, x, w, dy, **p):
    """dw and db have the wrong sign."""
    dx, dw, db = correct(x, w, dy, **p)
    return dx, -dw, -db


@around("conv2d_backward", by=(TRAINED, NETWORK_BACK))
def has_no_gradient_for_the_filters(correct, x, w, dy, **p):
    """dw and db are zeros."""
    dx, dw, db = correct(x, w, dy, **p)
    return dx, np.zeros_like(dw), np.zeros_like(db)


@around("conv2d_backward", by=(*GRADIENTS, ADJOINT, DERIVATIVE, DOUBLE))
def gradient_of_the_mean(correct, x, w, dy, **p):
    """dw is divided by the number of images."""
    dx, dw, db = correct(x, w, dy, **p)
    return dx, (dw / max(1, len(x))).astype(dw.dtype), db


@around("conv2d_backward", by=(SUM, SHARED_FILTERS, NETWORK_BACK))
def averages_over_the_places(correct, x, w, dy, **p):
    """dw is divided by the number of places in the output."""
    dx, dw, db = correct(x, w, dy, **p)
    return dx, dw / dw.dtype.type(max(2, dy.shape[2] * dy.shape[3])), db


@around("conv2d_backward", by=(*GRADIENTS, *IDENTITIES, ONE_OPERAND))
def dx_masked_as_if_relu_followed(correct, x, w, dy, **p):
    """dx is 0 where the image is not positive, as if it came out of a ReLU."""
    dx, dw, db = correct(x, w, dy, **p)
    return np.where(x > 0, dx, dx.dtype.type(0)), dw, db


@inside("conv2d_backward", by=(*GRADIENTS, ADJOINT, DERIVATIVE, DOUBLE))
def dw_aligned_at_the_end_of_the_image(copy):
    """For dw, as a convolution of its own, a ragged remainder is dropped at the first cells, not at the last."""
    right = copy.im2col

    def im2col(image, vertical, horizontal, G):
        return right(image, shifted(vertical), shifted(horizontal), G)

    def shifted(axis):
        ragged = (axis.image + 2 * axis.before - axis.extent) % axis.stride
        return axis._replace(before=axis.before - ragged)

    copy.im2col = im2col


@around("conv2d_backward", by=(FLIPPED,))
def packs_dy_without_the_zeros_of_the_stride(correct, x, w, dy, **p):
    """For dx the gradients of a strided convolution are laid side by side, without zeros between them."""
    dx, dw, db = correct(x, w, dy, **p)
    padding = sides(p["padding"])
    if max(p["stride"]) == 1 or padding is None:
        return dx, dw, db
    dense = (
        H + sum(P) - D * (F - 1) for H, F, P, D in zip(x.shape[2:], w.shape[2:], padding, p["dilation"], strict=True)
    )
    packed = np.zeros((*dy.shape[:2], *dense), dy.dtype)
    packed[:, :, : dy.shape[2], : dy.shape[3]] = dy
    return correct(x, w, packed, **(p | {"stride": (1, 1)}))[0], dw, db


@around(MAXIMUM_BACK, by=(NETWORK_BACK, PEAK))
def spreads_dy_over_the_window(correct, dy, switches, x_shape):
    """A gradient goes in halves to its switch and to the cell on the right of it."""
    dx = correct(dy, switches, x_shape)
    return (dx + np.roll(dx, 1, 3)) / dx.dtype.type(2)
