"""Switches of max pooling: how they are numbered, which cell they name, and how the backward pass reads them."""

from __future__ import annotations

import numpy as np

from properties.mutants.laws_by_name import (
    ACCUMULATED,
    ADJOINT,
    AT_SWITCH,
    CHANNELS,
    DERIVATIVE_OF_MAX,
    DTYPE,
    EXACTLY,
    GRADIENTS,
    INSIDE,
    MAXIMUM_BACK,
    NETWORK,
    NONE_LOST,
    NUMBERING,
    ORDER,
    PADDING,
    ROUTED,
    SHAPE,
)
from properties.mutants.planting import around, inside
from properties.mutants.results import sides

# forward


@inside("max_pool2d", by=(ORDER, INSIDE, PADDING))
def window_without_a_positive_value_has_no_switch(copy):
    """A window without a positive cell has no switch; its maximum is right."""
    right = copy.max_pool2d
    copy.max_pool2d = lambda x, **p: (lambda y, s: (y, np.where(y > 0, s, -1)))(*right(x, **p))


def starts(p):
    """Give the padding before the image, vertically and horizontally, where it is given by numbers."""
    return [pair[0] for pair in sides(p["padding"]) or ((0, 0), (0, 0))]


@around("max_pool2d", by=(EXACTLY, ORDER, AT_SWITCH))
def switch_counted_within_the_window(correct, x, **p):
    """A switch counts cells from the window's first one, not from the image's."""
    y, switches = correct(x, **p)
    (iy, ix), (oy, ox), (top, left) = np.divmod(switches, x.shape[3]), np.indices(y.shape[2:]), starts(p)
    (sy, sx), broad = p["stride"], p["size"][1]
    return y, (iy - oy * sy + top) * broad + ix - ox * sx + left


@around("max_pool2d", by=(EXACTLY, INSIDE, AT_SWITCH))
def switch_counted_in_the_padded_plane(correct, x, **p):
    """A switch counts the cells of the padded image."""
    y, switches = correct(x, **p)
    (iy, ix), (top, left) = np.divmod(switches, x.shape[3]), starts(p)
    broad = x.shape[3] + sum((sides(p["padding"]) or ((0, 0), (0, 0)))[1])
    return y, (iy + top) * broad + ix + left


@around("max_pool2d", by=(EXACTLY, INSIDE, AT_SWITCH, NETWORK))
def switch_counted_by_columns(correct, x, **p):
    """A switch counts cells column by column."""
    y, switches = correct(x, **p)
    iy, ix = np.divmod(switches, x.shape[3])
    return y, ix * x.shape[2] + iy


@around("max_pool2d", by=(EXACTLY, INSIDE, AT_SWITCH))
def switch_counted_through_all_planes(correct, x, **p):
    """A switch counts the cells of all images and channels before its own as well."""
    y, switches = correct(x, **p)
    N, C, H, W = x.shape
    return y, switches + np.arange(N * C).reshape(N, C, 1, 1) * H * W


@around("max_pool2d", by=(CHANNELS,))
def switches_of_the_whole_image(correct, x, **p):
    """A switch counts the cells of the channels before its own as well, begun anew for each image."""
    y, switches = correct(x, **p)
    return y, switches + np.arange(x.shape[1])[:, None, None] * x.shape[2] * x.shape[3]


@around("max_pool2d", by=(EXACTLY, AT_SWITCH))
def switches_of_the_first_channel(correct, x, **p):
    """All channels are given the switches of the first; the maxima are right."""
    y, switches = correct(x, **p)
    return y, np.repeat(switches[:, :1], x.shape[1], 1)


@around("max_pool2d", by=(SHAPE, EXACTLY, INSIDE, DTYPE))
def switches_of_32_bits(correct, x, **p):
    """Switches are int32, where int64 is due."""
    y, switches = correct(x, **p)
    return y, switches.astype(np.int32)


# backward


@around(MAXIMUM_BACK, by=(*GRADIENTS, ADJOINT, ROUTED, ACCUMULATED, NONE_LOST, NUMBERING, DERIVATIVE_OF_MAX))
def switch_zero_means_none(correct, dy, switches, x_shape):
    """A switch of 0 is taken for none: the first cell of the image gets no gradient."""
    return correct(np.where(switches > 0, dy, dy.dtype.type(0)), switches, x_shape)


@around(MAXIMUM_BACK, by=(NUMBERING,))
def backward_wants_switches_by_columns(correct, dy, switches, x_shape):
    """Switches are read as counted column by column."""
    H, W = x_shape[2:]
    return correct(dy, np.where(switches < 0, -1, switches % W * H + switches // W), x_shape)
