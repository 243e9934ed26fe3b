"""What is added up, and how: terms lost or counted twice, overlaps overwritten, no root, no quotient, another norm."""

from __future__ import annotations

import numpy as np

from impls import im2col
from properties.mutants.laws_by_name import (
    ACCUMULATED,
    ADJOINT,
    BATCH,
    BATCH_BACK,
    CHANNELS_ADD,
    CONSTANT,
    DERIVATIVE,
    DERIVATIVE_OF_MAX,
    DOUBLE,
    ENLARGED,
    FORWARD,
    GRADIENTS,
    IDENTITIES,
    MAXIMUM_BACK,
    NETWORK,
    NETWORK_BACK,
    NONE_LOST,
    NUMBERING,
    ORDER,
    OVERLAP,
    PEAK,
    RANGE,
    ROOT_OF_SQUARES,
    ROWS_THEN_COLUMNS,
    SHARED_FILTERS,
    SHARING,
    SUM,
    VALUES,
)
from properties.mutants.planting import around, inside
from properties.mutants.results import changed, named

# forward


@around("conv2d", by=(CHANNELS_ADD,))
def blocks_of_channels_overwritten(correct, x, w, b, **p):
    """Channels are added up in blocks of two, and each block overwrites the sum of those before it."""
    w = w.copy()
    w[:, : (w.shape[1] - 1) // 2 * 2] = 0  # what the last block adds is all there is
    return correct(x, w, b, **p)


@around(*FORWARD, by=(BATCH,))
def buffer_not_cleared(correct, *arrays, **p):
    """The sums of an image begin with those of the image before it."""
    return changed(correct(*arrays, **p), lambda y: np.cumsum(y, axis=0, dtype=y.dtype))


@around("avg_pool2d", by=(*VALUES, ORDER, ENLARGED, ROWS_THEN_COLUMNS))
def sum_not_divided(correct, x, *, size, **p):
    """An average is multiplied by the cells of its window once more: the sum is not divided."""
    return correct(x, size=size, **p) * x.dtype.type(size[0] * size[1])


@around("l2_pool2d", by=(*VALUES, ORDER))
def root_not_taken(correct, x, **p):
    """The sum of squares is returned, not its root."""
    return correct(x, **p) ** 2


@around("l2_pool2d", by=(*VALUES, ORDER, ROOT_OF_SQUARES, CONSTANT, ENLARGED))
def root_of_the_mean(correct, x, *, size, **p):
    """The root is taken of the mean of squares, not of their sum."""
    return (correct(x, size=size, **p) / np.sqrt(size[0] * size[1])).astype(x.dtype)


@around("l2_pool2d", by=(*VALUES, ORDER, ROWS_THEN_COLUMNS))
def magnitudes_summed(correct, x, **p):
    """Magnitudes are added up, not squares: the norm is another one."""
    return im2col.avg_pool2d(np.abs(x), **p) * x.dtype.type(p["size"][0] * p["size"][1])


@inside("max_pool2d", by=(OVERLAP, NETWORK, CONSTANT))
def gives_an_average_for_the_maximum(copy):
    """The average of a window is given for its maximum; the switch is right."""
    right = copy.max_pool2d

    def max_pool2d(x, *, padding=(0, 0), **p):
        y, switches = right(x, padding=padding, **p)
        vertical, horizontal = copy.arguments.pooling(x.shape, padding=padding, **p)
        sums = copy.column_sums(copy.arguments.wide(x), vertical, horizontal)
        return (sums / (vertical.window * horizontal.window)).astype(y.dtype), switches

    copy.max_pool2d = max_pool2d


# where windows overlap


@around(*SHARING, by=(*GRADIENTS, ADJOINT, DERIVATIVE, RANGE))
def assigned_where_windows_overlap(correct, *arrays, **p):
    """A gradient is assigned, not added: the last window that holds a cell is the only one that counts."""
    given, seen = named(correct, arrays, p), correct(*arrays, **p)
    dy = given["dy"]
    for i, place in enumerate(np.ndindex(dy.shape[2:])):
        one, ones = np.zeros_like(dy), np.zeros_like(dy)
        one[:, :, *place] = dy[:, :, *place]
        ones[:, :, *place] = 1
        part, reached = (correct(**(given | {"dy": array})) for array in (one, ones))
        seen = np.where(reached != 0, part, seen) if i else part
    return seen


@inside("conv2d_backward", by=(*GRADIENTS, *IDENTITIES))
def dx_assigned_where_windows_overlap(copy):
    """Columns are folded back by assignment, not by addition: the last tap that meets a cell is the only one."""

    def col2im(columns, vertical, horizontal, out):
        columns = columns.reshape(out.shape[0], vertical.window, horizontal.window, vertical.outputs, -1)
        for tap in copy.taps(vertical, horizontal):
            out[:, *tap.cells] = columns[:, tap.fy, tap.fx, *tap.outputs]

    copy.col2im = col2im


@around(MAXIMUM_BACK, by=(*GRADIENTS, ADJOINT, ACCUMULATED, NONE_LOST, NUMBERING, DERIVATIVE_OF_MAX, RANGE, PEAK))
def gradient_lost_in_overlaps(correct, dy, switches, x_shape):
    """Where several windows have the same switch, the last gradient overwrites the others."""
    dx = correct(dy, switches, x_shape)
    n, c, *places = np.nonzero(switches >= 0)
    rows, columns = np.divmod(switches[n, c, *places], x_shape[3])
    dx[n, c, rows, columns] = dy[n, c, *places]
    return dx


# gradients that are sums


@around("conv2d_backward", by=(*GRADIENTS, ADJOINT, DERIVATIVE, DOUBLE, BATCH_BACK))
def dw_of_the_last_image_alone(correct, x, w, dy, **p):
    """dw is overwritten by each image of the batch: the last one is all there is."""
    dx, _, db = correct(x, w, dy, **p)
    return dx, correct(x[-1:], w, dy[-1:], **p)[1], db


@around("conv2d_backward", by=(*GRADIENTS, DERIVATIVE))
def db_of_the_first_image_alone(correct, x, w, dy, **p):
    """db is summed over the first image of the batch alone."""
    dx, dw, _ = correct(x, w, dy, **p)
    return dx, dw, dy[:1].sum((0, 2, 3), dtype=dw.dtype)


@around("conv2d_backward", by=(SHARED_FILTERS, NETWORK_BACK, SUM))
def keeps_the_last_gradient_for_the_sum(correct, x, w, dy, **p):
    """db is the last gradient of each filter, not the sum of all."""
    dx, dw, db = correct(x, w, dy, **p)
    return dx, dw, dy[-1, :, -1, -1].astype(db.dtype) if len(dy) else db


@around("avg_pool2d_backward", by=(*GRADIENTS, ADJOINT, DERIVATIVE))
def share_not_divided(correct, *arrays, size, **p):
    """Every cell of a window gets its whole gradient, not a share."""
    dx = correct(*arrays, size=size, **p)
    return dx * dx.dtype.type(size[0] * size[1])


@around("l2_pool2d_backward", by=(*GRADIENTS, ADJOINT))
def not_divided_by_the_norm(correct, x, dy, **p):
    """A gradient is x times dy, not divided by the norm of the window."""
    y = im2col.l2_pool2d(x, **p)
    return correct(x, dy * y if dy.shape == y.shape else dy, **p)


@around("avg_pool2d_backward", "l2_pool2d_backward", MAXIMUM_BACK, by=(BATCH_BACK,))
def gradients_not_cleared(correct, *arrays, **p):
    """The gradients of an image begin with those of the image before it."""
    dx = correct(*arrays, **p)
    return np.cumsum(dx, axis=0, dtype=dx.dtype)
