"""Wrong cells: another image, channel or cell is read or written than the window names."""

from __future__ import annotations

import numpy as np

from impls import im2col
from properties.mutants.laws_by_name import (
    CHANNELS_BACK,
    COLUMNS,
    EXACTLY,
    FORWARD,
    GRADIENTS,
    IDENTITIES,
    NONE_LOST,
    NUMBERING,
    ONE_CELL,
    OVERLAP,
    POOLS,
    QUARTER,
    RANGE,
    ROUTED,
    SEVEN,
    SMALL_SHIFTS,
    STRIDE,
    VALUES,
    WEIGHTS,
)
from properties.mutants.planting import around, inside, reading
from properties.mutants.results import changed

# images and channels


@around("conv2d", *POOLS, by=(*VALUES, RANGE))
def every_image_is_the_first(correct, x, *arrays, **p):
    """Every image of a batch is read from where the first one lies."""
    return correct(np.repeat(x[:1], len(x), 0), *arrays, **p)


@around("max_pool2d_backward", by=(*GRADIENTS, ROUTED, NONE_LOST, NUMBERING))
def all_images_into_the_first(correct, dy, switches, x_shape):
    """The gradients of all images are added up in the first one."""
    dx = correct(dy, switches, x_shape)
    dx[:1] = dx.sum(0)
    dx[1:] = 0
    return dx


@around("max_pool2d_backward", by=(CHANNELS_BACK,))
def gradients_to_the_first_channel(correct, dy, switches, x_shape):
    """The gradients of all channels are added up in the first one."""
    dx = correct(dy, switches, x_shape)
    dx[:, :1], dx[:, 1:] = dx.sum(1, keepdims=True), 0
    return dx


# cells of the window


@inside("conv2d", "max_pool2d", by=(EXACTLY,))
def dilation_ignored_across(copy):
    """Columns are read without dilation."""
    reading(copy, lambda v, h: (v, h._replace(dilation=1)))


@inside("conv2d_backward", by=(*GRADIENTS, *IDENTITIES))
def dilation_ignored_down(copy):
    """Rows are read without dilation."""
    reading(copy, lambda v, h: (v._replace(dilation=1), h))


@around("conv2d", by=(WEIGHTS, COLUMNS))
def leaves_the_last_cell_of_the_window_out(correct, x, w, b, **p):
    """The loop over the window's cells ends one too early: the last one of the last channel is left out."""
    w = w.copy()
    w[:, -1:, -1, -1] = 0
    return correct(x, w, b, **p)


@inside("max_pool2d", by=(SMALL_SHIFTS,))
def window_one_short(copy):
    """The last row and the last column of the window are not looked at."""
    reading(copy, lambda v, h: (v._replace(window=max(1, v.window - 1)), h._replace(window=max(1, h.window - 1))))


@inside("max_pool2d", by=(OVERLAP, SEVEN))
def lets_no_windows_overlap(copy):
    """A window ends where the next one begins."""

    def apart(axis):
        return axis._replace(window=min(axis.window, axis.stride))

    reading(copy, lambda v, h: (apart(v), apart(h)))


# places of the windows


@around(*FORWARD, by=(STRIDE,))
def strides_begin_late(correct, x, *arrays, **p):
    """Where there is a stride across, windows begin one column too far to the right, in a ring."""
    return correct(np.roll(x, -1, 3) if p["stride"][1] > 1 else x, *arrays, **p)


@around(*POOLS, by=(QUARTER,))
def pools_one_cell_further_on(correct, x, **p):
    """Windows begin one column too far to the right, in a ring."""
    return correct(np.roll(x, -1, 3), **p)


@around(*POOLS, by=(ONE_CELL,))
def reads_the_first_columns(correct, x, **p):
    """A window of one cell has a path of its own, which forgets the stride: the first cells are taken."""
    if tuple(p["size"]) != (1, 1):
        return correct(x, **p)
    OH, OW = im2col.avg_pool2d(x, size=(1, 1), **{name: p[name] for name in ("stride", "padding")}).shape[2:]
    return correct(x[:, :, :OH, :OW], **(p | {"stride": (1, 1)}))


@around(*POOLS, by=(QUARTER, SEVEN))
def repeats_the_last_output(correct, x, **p):
    """The last column of outputs is that before it, once more."""

    def repeated(y):
        y[..., -1:] = y[..., -2:][..., :1]
        return y

    return changed(correct(x, **p), repeated)
