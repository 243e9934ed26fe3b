"""Convolution in groups of a channel or a few: columns of the rows alone, and filters as banded matrices down them.

A depthwise layer multiplies FH * FW times for each output, and every channel has filters of its own. As columns
(`impls/im2col.py`) each channel is a product with one row, in which the machine waits for memory. Here a product makes
a strip of B rows of one channel's outputs at once:

    columns   the strip's R rows of the padded image, FW times, each time begun one cell further: (FW * R, OW); of
              every S-th cell at strides, which are put side by side before
    bands     each output row's filter, and zeros beside it where it does not look: (B, FW * R)

Why it is fast. Cells are copied FW times and not FH * FW times, in long runs; what the bands multiply in vain costs
less than what it would take not to: B is chosen so that it is about three times the work, at the pace of matrix
products. What it costs: 0 * NaN is NaN, so that a NaN would spread over its strip. Where a result is not finite, it is
computed again cell by cell of the filters. The gradient of the filters is the diagonals of the product of B rows of dy
with the columns; zeros stand in the last strip alone, and where it is not finite, columns give it. The columns of a
whole plane are made together, at least: 76 MB for one of 2,048 x 2,048 cells.

Where there are many channels, or few outputs for a cell at strides, it is quicker to turn the image round so that the
channels of a cell lie side by side: then all of them are multiplied and added at once, and nothing is in vain.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from impls import arguments, im2col, im2col_tiled
from impls.arguments import Array, Axis, Padding, Pair
from impls.column_tiles import even, overlap, reach
from impls.image_gradients import exchanged, phases
from impls.workspace import Workspace

BYTES = 1 << 20  # of columns that are made together
ROWS = 8  # of outputs in a strip
CHANNELS = 10  # times the strides, for each output of a row, from which on they are taken side by side,
CELLS = 49  # for windows of at most so many cells
APART = 16  # numbers between the channels of neighbours, for which else a cache may have one place alone
FEWEST = 1024  # outputs of a channel for which bands give the filters' gradient

workspace = Workspace()


@np.errstate(all="ignore")
def conv2d(
    x: Array, w: Array, b: Array | None, *, stride: Pair, padding: Padding, dilation: Pair = (1, 1), groups: int = 1
) -> Array:
    """Multiply each group's bands by its columns.

    x (N, C, H, W), w (K, C/G, FH, FW), b (K,) or None -> (N, K, OH, OW). Raises ValueError naming the value.
    """
    dtype = arguments.common_dtype(x=x, w=w, b=b)
    vertical, horizontal, G = arguments.convolution(
        x, w, stride=stride, padding=padding, dilation=dilation, groups=groups
    )
    arguments.bias(b, w.shape[0])
    y = np.empty((x.shape[0], w.shape[0], vertical.outputs, horizontal.outputs), dtype)
    correlate(x, arguments.wide(w), vertical, horizontal, G, out=y)
    if b is not None:
        y += b[:, None, None]
    return y


@np.errstate(all="ignore")
def conv2d_backward(
    x: Array, w: Array, dy: Array, *, stride: Pair, padding: Padding, dilation: Pair = (1, 1), groups: int = 1
) -> tuple[Array, Array, Array]:
    """Correlate dy with filters turned round for dx, phase by phase; for dw multiply dy by the columns of x.

    x (N, C, H, W), w (K, C/G, FH, FW), dy (N, K, OH, OW) -> dx, dw, db (K,). Raises ValueError naming the value.
    """
    dtype = arguments.common_dtype(x=x, w=w, dy=dy)
    vertical, horizontal, G = arguments.convolution(
        x, w, stride=stride, padding=padding, dilation=dilation, groups=groups
    )
    arguments.gradient(dy, x.shape[0], w.shape[0], vertical, horizontal)
    filters = arguments.wide(w)
    dx = np.zeros(x.shape, dtype)
    image_gradient(dy, filters, vertical, horizontal, G, out=dx)
    if vertical.stride == horizontal.stride == 1 and vertical.outputs * horizontal.outputs >= FEWEST:
        dw = filter_gradient(x, dy, filters.shape, vertical, horizontal, G, filters.dtype)
    else:  # measured: where rows are short, or shared by few outputs, columns are quicker
        dw = im2col_tiled.filter_gradient(x, dy, vertical, horizontal, G, filters.dtype).reshape(w.shape)
    db = np.einsum("nkyx->nky", dy, dtype=filters.dtype).sum(axis=(0, 2))
    return dx, dw.astype(dtype, copy=False), db.astype(dtype, copy=False)


def correlate(x: Array, w: Array, vertical: Axis, horizontal: Axis, G: int, out: Array) -> None:
    """Correlate x (N, G*c, H, W) with w (G*k, c, FH, FW): out (N, G*k, OH, OW)."""
    k, OH, OW = w.shape[0] // G, vertical.outputs, horizontal.outputs
    many = G * vertical.stride * horizontal.stride >= CHANNELS * OW
    if many and w.shape[1] == k == 1 and vertical.window * horizontal.window <= CELLS:
        side_by_side(x, w, vertical, horizontal, out)
        return
    B = even(OH, ROWS)
    factors = bands(w, vertical, B, G)
    for n, some, columns in strips(x, vertical, horizontal, B, G, w.shape[1], w.dtype):
        groups, S, cells, _ = columns.shape
        target = out[n].reshape(G, k, OH, OW)[some]
        whole = k == 1 and S * B == OH and target.dtype == w.dtype and target.flags.c_contiguous
        shape = groups, S, k * B, OW
        product = target.reshape(shape) if whole else workspace.array("product", shape, w.dtype)
        np.matmul(factors[some].reshape(groups, 1, k * B, cells), columns, out=product)
        if not whole:
            rows = product.reshape(groups, S, k, B, OW).swapaxes(1, 2).reshape(groups, k, S * B, OW)
            target[...] = rows[:, :, :OH]
        flat = product.reshape(-1)
        if not np.isfinite(np.dot(flat, flat)):  # or so large that its square is not
            groups_of = x[n].reshape(G, -1, *x.shape[2:])[some]
            target[...] = one_by_one(groups_of, w.reshape(G, k, *w.shape[1:])[some], vertical, horizontal)


def side_by_side(x: Array, w: Array, vertical: Axis, horizontal: Axis, out: Array) -> None:
    """Correlate x (N, C, H, W) with w (C, 1, FH, FW), some rows of outputs at a time: out (N, C, OH, OW)."""
    (N, C, H, W), dtype = x.shape, w.dtype
    OH, OW, width, line = vertical.outputs, horizontal.outputs, horizontal.reach, C + APART
    taps = np.ascontiguousarray(w[:, 0].transpose(1, 2, 0))
    fitting = BYTES // (width * line * dtype.itemsize)  # rows of the image
    B = even(OH, (fitting - vertical.extent) // vertical.stride + 1)
    along, columns = overlap(-horizontal.before, 1, width, W)
    for n, oy in itertools.product(range(N), range(0, OH, B)):
        rows = min(B, OH - oy)
        height = (rows - 1) * vertical.stride + vertical.extent
        down, seen = overlap(oy * vertical.stride - vertical.before, 1, height, H)
        strip = workspace.array("padded", (height, width, line), dtype)
        for edge in strip[: down.start], strip[down.stop :], strip[:, : along.start], strip[:, along.stop :]:
            edge[...] = 0
        strip[down, along, :C] = x[n, :, seen, columns].transpose(1, 2, 0)
        a, b, one = strip.strides
        steps = vertical.stride * a, horizontal.stride * b, vertical.dilation * a, horizontal.dilation * b, one
        windows = np.ndarray((rows, OW, *taps.shape), dtype, strip, 0, steps)
        sums = workspace.array("product", (rows, OW, line), dtype)[..., :C]
        np.einsum("yxfgc,fgc->yxc", windows, taps, out=sums)
        out[n, :, oy : oy + rows] = sums.transpose(2, 0, 1)


def bands(w: Array, vertical: Axis, B: int, G: int) -> Array:
    """Set up filters w (G*k, c, FH, FW) for B rows of outputs, each a row of the matrix: (G, k, B, c, FW, R)."""
    K, c, FH, FW = w.shape
    R = (B - 1) * vertical.stride + vertical.extent
    matrix = workspace.array("bands", (G, K // G, B, c, FW, R), w.dtype)
    matrix[...] = 0
    *outer, row, a, b, cell = matrix.strides
    steps = (*outer, row + vertical.stride * cell, a, b, vertical.dilation * cell)
    diagonal = np.ndarray((G, K // G, B, c, FW, FH), w.dtype, matrix, 0, steps)
    diagonal[...] = w.reshape(G, K // G, 1, c, FH, FW).swapaxes(-1, -2)
    return matrix


def strips(
    x: Array, vertical: Axis, horizontal: Axis, B: int, G: int, c: int, dtype: np.dtype[Any]
) -> Iterator[tuple[int, slice, Array]]:
    """Give, for each image and some groups at a time, the columns of each strip: (groups, strips, c*FW*R, OW)."""
    H, W = x.shape[2:]
    S, FW, OW, step = -(-vertical.outputs // B), horizontal.window, horizontal.outputs, horizontal.stride
    R = (B - 1) * vertical.stride + vertical.extent
    height, length = (S * B - 1) * vertical.stride + vertical.extent, OW + reach(horizontal)
    phases = sorted({fx * horizontal.dilation % step for fx in range(FW)})  # of the cells across that any output sees
    run = min(G, max(1, BYTES // max(1, S * c * FW * R * length * dtype.itemsize)))
    down, rows = overlap(-vertical.before, 1, height, H)
    spans = [overlap(phase - horizontal.before, step, length, W) for phase in phases]
    slack = reach(horizontal)  # what is read past the last row, into cells that no output sees
    memory = workspace.array("padded", (len(phases) * run * c * height * length + slack,), dtype)
    memory[...] = 0
    whole = memory[: memory.size - slack].reshape(len(phases), run, c, height, length)
    apart, a, b, line, one = whole.strides
    steps = a, B * vertical.stride * line, b, one
    seen = [divmod(fx * horizontal.dilation, step) for fx in range(FW)]
    starts = [phases.index(phase) * apart + shift * one for shift, phase in seen]
    for n in range(len(x)):
        image = x[n].reshape(G, c, H, W)
        for g in range(0, G, run):
            some = slice(g, min(G, g + run))
            groups = some.stop - g
            for padded, (along, cells) in zip(whole, spans, strict=True):
                padded[:groups, :, down, along] = image[some, :, rows, cells]
            columns = workspace.array("columns", (groups, S, c, FW, R, length), dtype)
            runs = columns.reshape(groups, S, c, FW, R * length)  # all rows as one, what lies between them with them
            for fx, start in enumerate(starts):
                np.copyto(runs[:, :, :, fx], np.ndarray((groups, S, c, R * length), dtype, memory, start, steps))
            yield n, some, columns.reshape(groups, S, c * FW * R, length)[..., :OW]


def one_by_one(x: Array, w: Array, vertical: Axis, horizontal: Axis) -> Array:
    """Correlate x (G, c, H, W) with w (G, k, c, FH, FW) by one cell of the filters after the other: (G, k, OH, OW)."""
    sums = np.zeros((*w.shape[:2], vertical.outputs, horizontal.outputs), w.dtype)
    for tap in im2col.taps(vertical, horizontal):
        for c in range(x.shape[1]):
            sums[..., *tap.outputs] += w[:, :, c, tap.fy, tap.fx, None, None] * x[:, None, c, *tap.cells]
    return sums


def image_gradient(dy: Array, w: Array, vertical: Axis, horizontal: Axis, G: int, out: Array) -> None:
    """Let each cell of the image collect from the outputs that saw it, phase by phase; `out` holds zeros."""
    K, c = w.shape[:2]
    for fy, down, over in phases(vertical):
        for fx, across, along in phases(horizontal):
            part = w[:, :, fy, fx]
            FH, FW = part.shape[2:]
            filters = exchanged(part, G).reshape(G * c, K // G, FH, FW)[:, :, ::-1, ::-1]
            correlate(dy, filters, over, along, G, out=out[:, :, down, across])


def filter_gradient(
    x: Array, dy: Array, shape: tuple[int, ...], vertical: Axis, horizontal: Axis, G: int, dtype: np.dtype[Any]
) -> Array:
    """Multiply strips of dy by columns of x, and add up the diagonals on which both belong together: (K, c, FH, FW)."""
    K, c, FH, FW = shape
    k, OH, OW = K // G, vertical.outputs, horizontal.outputs
    B = even(OH, ROWS)
    R = (B - 1) * vertical.stride + vertical.extent
    dw = np.zeros((G, k, c, FW, FH), dtype)
    for n, some, columns in strips(x, vertical, horizontal, B, G, c, dtype):
        groups, S = columns.shape[:2]
        rows = workspace.array("rows of dy", (groups, k, S * B, OW), dtype)
        rows[:, :, OH:] = 0
        rows[:, :, :OH] = dy[n].reshape(G, k, OH, OW)[some]
        strip = rows.reshape(groups, k, S, B, OW).swapaxes(1, 2)
        product = workspace.array("product", (groups, S, k, B, c, FW, R), dtype)
        target = product.reshape(groups, S, k, B, c * FW * R)
        np.matmul(strip, columns[:, :, None].swapaxes(-1, -2), out=target)
        *steps, row, a, b, cell = product.strides
        diagonal = np.ndarray(
            (groups, S, k, B, c, FW, FH),
            dtype,
            product,
            0,
            (*steps, row + vertical.stride * cell, a, b, vertical.dilation * cell),
        )
        dw[some] += np.einsum("gskbcxf->gkcxf", diagonal)
    if not np.isfinite(dw).all():  # the rows of zeros that fill up the last strip have met rows that they do not see
        return im2col_tiled.filter_gradient(x, dy, vertical, horizontal, G, dtype).reshape(shape)
    return np.ascontiguousarray(dw.swapaxes(-1, -2)).reshape(shape)
