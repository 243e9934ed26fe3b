"""What lies at the border: padding before and after, what it holds, what it counts, the first and last cells."""

from __future__ import annotations

import numpy as np

from properties.mutants.laws_by_name import (
    ADJOINT,
    ALEXNET,
    BACKWARD,
    CONSTANT,
    DERIVATIVE,
    FORWARD,
    GRADIENTS,
    HALF,
    MIRRORED,
    MIRRORED_BACK,
    NETWORK,
    NEURONS,
    OPENING,
    PADDED,
    PADDING_CUT,
    TEN,
    THREE,
    UNIFORM,
    VALUES,
)
from properties.mutants.planting import around, inside, reading, turned
from properties.mutants.results import first, sides

NONE = ((0, 0), (0, 0))

# where the padding is


@around(*FORWARD, by=(*VALUES, PADDED))
def padding_before_and_after_exchanged(correct, *arrays, padding, **p):
    """The padding before the image is put behind it, and that behind it before."""
    return correct(*arrays, padding=padding if isinstance(padding, str) else tuple(map(turned, padding)), **p)


@around("conv2d", by=(NEURONS, ALEXNET, HALF, THREE, NETWORK))
def pads_in_front_only(correct, x, w, b, *, padding, **p):
    """All padding is put before the image, none behind it."""
    around_it = sides(padding)
    return correct(x, w, b, padding=padding if around_it is None else [(sum(pair), 0) for pair in around_it], **p)


@around("conv2d", by=(TEN, ALEXNET))
def drops_the_remainder_in_front(correct, x, w, b, **p):
    """A ragged remainder is dropped at the first cells, not at the last."""
    y, padding = correct(x, w, b, **p), sides(p["padding"])
    if padding is None:
        return y
    over = [
        (W + sum(P) - D * (F - 1) - 1) % S
        for W, F, S, D, P in zip(x.shape[2:], w.shape[2:], p["stride"], p["dilation"], padding, strict=True)
    ]
    padded = np.pad(x, ((0, 0), (0, 0), *padding))
    return correct(padded[:, :, over[0] :, over[1] :], w, b, **(p | {"padding": NONE}))


@around("conv2d_backward", by=(PADDING_CUT,))
def padding_cut_from_one_side(correct, x, w, dy, *, padding, **p):
    """The gradients of the padding before the image are taken for those of its first cells."""
    around_it = sides(padding)
    if around_it is None:
        return correct(x, w, dy, padding=padding, **p)
    dx, dw, db = correct(np.pad(x, ((0, 0), (0, 0), *around_it)), w, dy, padding=NONE, **p)
    return dx[:, :, : x.shape[2], : x.shape[3]].copy(), dw, db


# what it holds


@around("conv2d", by=(*VALUES, NEURONS, HALF, THREE, NETWORK, PADDED))
def border_repeated_where_zeros_are_due(correct, x, w, b, *, padding, **p):
    """The padding repeats the border of the image, where zeros are due."""
    around_it = sides(padding)
    if around_it is None or not x.size:
        return correct(x, w, b, padding=padding, **p)
    return correct(np.pad(x, ((0, 0), (0, 0), *around_it), "edge"), w, b, padding=NONE, **p)


@inside("max_pool2d", by=(OPENING, PADDED))
def padding_of_zeros(copy):
    """The padding takes part in a maximum, as zeros."""
    right = copy.max_pool2d

    def max_pool2d(x, *, padding=(0, 0), **p):
        y, switches = right(x, padding=padding, **p)
        vertical, horizontal = copy.arguments.pooling(x.shape, padding=padding, **p)
        padded = copy.counts(vertical, horizontal, False) < vertical.window * horizontal.window
        return np.where(padded, np.maximum(y, y.dtype.type(0)), y), switches

    copy.max_pool2d = max_pool2d


# what it counts


@around("avg_pool2d", "avg_pool2d_backward", by=(*VALUES, CONSTANT, *GRADIENTS, ADJOINT, DERIVATIVE))
def padding_always_counted(correct, *arrays, **p):
    """An average is divided by all cells of the window, also where those in the padding are not to be counted."""
    return correct(*arrays, **(p | {"count_include_pad": True}))


@around("avg_pool2d", "avg_pool2d_backward", by=(*VALUES, UNIFORM, *GRADIENTS, ADJOINT, DERIVATIVE))
def padding_never_counted(correct, *arrays, **p):
    """An average is divided by the cells in the image, also where those in the padding are to be counted."""
    return correct(*arrays, **(p | {"count_include_pad": False}))


@inside("avg_pool2d", by=VALUES)
def cells_counted_along_one_axis(copy):
    """Cells of the padding above and below the image are counted, where only those in the image are to be."""
    right = copy.counts

    def counts(vertical, horizontal, count_include_pad):
        return right(vertical._replace(before=0, image=10**6), horizontal, count_include_pad)

    copy.counts = counts


# the last cells


@inside(*FORWARD, by=(*VALUES, MIRRORED))
def last_column_of_the_image_left_out(copy):
    """The last column of the image is taken for padding."""
    reading(copy, lambda v, h: (v, h._replace(image=max(1, h.image - 1))))


@around("conv2d", "avg_pool2d", "l2_pool2d", by=(MIRRORED,))
def last_row_never_read(correct, x, *arrays, **p):
    """The last row of the image is taken for zeros."""
    x = x.copy()
    x[:, :, -1:] = 0
    return correct(x, *arrays, **p)


@around(*BACKWARD, by=(MIRRORED_BACK,))
def last_row_gets_no_gradient(correct, *arrays, **p):
    """The last row of the image gets no gradient."""
    result = correct(*arrays, **p)
    first(result)[:, :, -1] = 0
    return result
