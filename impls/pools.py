"""Pooling down the columns first and across the rows next, a few channels at a time, while they are in cache.

A window's maximum is the maximum of its columns' maxima, its sum the sum of their sums: FH + FW operations in place of
FH * FW. Going down comes first, since whole rows are combined there, which a core does 16 numbers at a time; what is
left to combine across is smaller by the stride. Four things more make it fast:

    order      memory is read in order: every second row of it, as a stride of two sees it, comes at half the speed. So
               einsum adds up the rows of windows, cell by cell of the image; maxima of few cells across are taken
               first, from every cell on; and where the rows have to come first, chunks are copied
    chunks     the channels of a chunk fit in the L2 cache, and so does all that is made of them on the way
    compact    where a maximum lies is kept as the number of a cell of its window, in a byte; only at the end, while
               the chunk is in cache, does it become an index in the plane, eight bytes as the contract has it
    doubts     NaNs, zeros of either sign and -inf beside padding are looked for once in a chunk; where there are any,
               their windows alone are done again one cell after the other (`impls/maxima.py`)

What it costs: buffers of some chunks' size, and rounding in another order than row by row. Running sums would need
fewer additions still, but a difference of sums is not exact where a sum is. A pool over the whole plane is a product
with ones. Gradients take the same way back: across the rows, then down the columns.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from impls import arguments, maxima
from impls.arguments import Array, Axis, Padding, Pair
from impls.im2col import counts
from impls.planes import ONCE, chunks, loaded, spread, sums, unseen, workspace

name = "separable"
version = f"numpy {np.__version__}"
dtypes = ("float16", "float32", "float64")
options = ("asymmetric_padding", "pool_dilation", "ceil_mode", "same_padding")

out_size = arguments.out_size
max_pool2d, max_pool2d_backward = maxima.max_pool2d, maxima.max_pool2d_backward
max_pool2d_values = maxima.max_pool2d_values


@np.errstate(all="ignore")
def avg_pool2d(
    x: Array,
    *,
    size: Pair,
    stride: Pair,
    padding: Padding = (0, 0),
    count_include_pad: bool = True,
    ceil_mode: bool = False,
) -> Array:
    """Divide each window's sum by all its cells, or by those in the image.

    x (N, C, H, W) -> (N, C, OH, OW). Raises ValueError naming the value. Source: CS231n, "General pooling".
    """
    dtype = arguments.common_dtype(x=x)
    vertical, horizontal = arguments.pooling(x.shape, size=size, stride=stride, padding=padding, ceil_mode=ceil_mode)
    y = np.empty((*x.shape[:2], vertical.outputs, horizontal.outputs), dtype)
    planes, averages = x.reshape(-1, *x.shape[2:]), y.reshape(-1, *y.shape[2:])
    wide = arguments.wide(planes[:0]).dtype
    cells = divisor(vertical, horizontal, count_include_pad, wide)
    for some in chunks(planes, ONCE):
        total = averages[some] if dtype == wide else workspace.array("sums", averages[some].shape, wide)
        rows = as_rows(planes[some], wide) if is_whole(vertical, horizontal) else None
        if rows is not None:
            np.matmul(rows, np.ones(rows.shape[1], wide), out=total.reshape(-1))
        else:
            sums(loaded(planes[some], vertical, horizontal, 0, wide), vertical, horizontal, total)
        np.divide(total, cells, out=averages[some], casting="same_kind")
    return y


@np.errstate(all="ignore")
def avg_pool2d_backward(
    dy: Array,
    x_shape: Sequence[int],
    *,
    size: Pair,
    stride: Pair,
    padding: Padding = (0, 0),
    count_include_pad: bool = True,
    ceil_mode: bool = False,
) -> Array:
    """Share each gradient out evenly over the cells it was averaged from.

    dy (N, C, OH, OW) -> dx of shape x_shape. Raises ValueError naming the value.
    """
    dtype = arguments.common_dtype(dy=dy)
    N, C, H, W = arguments.image_shape(x_shape)
    vertical, horizontal = arguments.pooling(
        (N, C, H, W), size=size, stride=stride, padding=padding, ceil_mode=ceil_mode
    )
    arguments.gradient(dy, N, C, vertical, horizontal)
    dx = np.empty((N, C, H, W), dtype)
    planes, gradients = dx.reshape(-1, H, W), dy.reshape(-1, *dy.shape[2:])
    wide = arguments.wide(planes[:0]).dtype
    cells = divisor(vertical, horizontal, count_include_pad, wide)
    for some in chunks(planes):
        shares = workspace.array("shares", gradients[some].shape, wide)
        np.divide(gradients[some], cells, out=shares)
        if is_whole(vertical, horizontal):
            planes[some].reshape(len(shares), H * W)[...] = shares.reshape(-1, 1)
        elif dtype == wide:
            spread(shares, vertical, horizontal, planes[some])
        else:
            planes[some] = spread(shares, vertical, horizontal, workspace.array("planes", planes[some].shape, wide))
    return dx


@np.errstate(all="ignore")
def l2_pool2d(x: Array, *, size: Pair, stride: Pair, padding: Padding = (0, 0), ceil_mode: bool = False) -> Array:
    """Take the square root of each window's sum of squares.

    x (N, C, H, W) -> (N, C, OH, OW). Raises ValueError naming the value. Source: CS231n, "General pooling".
    """
    dtype = arguments.common_dtype(x=x)
    vertical, horizontal = arguments.pooling(x.shape, size=size, stride=stride, padding=padding, ceil_mode=ceil_mode)
    y = np.empty((*x.shape[:2], vertical.outputs, horizontal.outputs), dtype)
    planes, norms = x.reshape(-1, *x.shape[2:]), y.reshape(-1, *y.shape[2:])
    wide = arguments.wide(planes[:0]).dtype
    for some in chunks(planes, ONCE):
        total = norms[some] if dtype == wide else workspace.array("sums", norms[some].shape, wide)
        square_sums(planes[some], vertical, horizontal, total)
        np.sqrt(total, out=norms[some], casting="same_kind")
    return y


@np.errstate(all="ignore")
def l2_pool2d_backward(
    x: Array, dy: Array, *, size: Pair, stride: Pair, padding: Padding = (0, 0), ceil_mode: bool = False
) -> Array:
    """Give each cell x times the sum of its windows' dy / y, where 0 stands for a window of zeros, which has no slope.

    x (N, C, H, W), dy (N, C, OH, OW) -> dx (N, C, H, W). Raises ValueError naming the value.
    """
    dtype = arguments.common_dtype(x=x, dy=dy)
    vertical, horizontal = arguments.pooling(x.shape, size=size, stride=stride, padding=padding, ceil_mode=ceil_mode)
    arguments.gradient(dy, x.shape[0], x.shape[1], vertical, horizontal)
    dx = np.empty(x.shape, dtype)
    result, planes, gradients = (array.reshape(-1, *array.shape[2:]) for array in (dx, x, dy))
    wide = arguments.wide(planes[:0]).dtype
    rows_unseen, columns_unseen = unseen(vertical), unseen(horizontal)
    for some in chunks(planes):
        scales = workspace.array("shares", gradients[some].shape, wide)
        norms = np.sqrt(square_sums(planes[some], vertical, horizontal, scales), out=scales)
        zero = None if norms.all() else norms == 0
        np.divide(gradients[some], norms, out=scales)
        if zero is not None:
            scales[zero] = 0
        rows = as_rows(planes[some], wide) if is_whole(vertical, horizontal) else None
        if rows is not None:
            np.multiply(rows, scales.reshape(-1, 1), out=result[some].reshape(rows.shape))
            continue
        total = result[some] if dtype == wide else workspace.array("planes", planes[some].shape, wide)
        spread(scales, vertical, horizontal, total)
        np.multiply(total, planes[some], out=result[some], casting="same_kind")
    result[:, rows_unseen] = 0  # whatever x is there
    result[:, :, columns_unseen] = 0
    return dx


def square_sums(planes: Array, vertical: Axis, horizontal: Axis, out: Array) -> Array:
    """Sum each window's squares: planes (A, H, W) -> out (A, OH, OW)."""
    rows = as_rows(planes, out.dtype) if is_whole(vertical, horizontal) else None
    if rows is not None:
        return np.einsum("ap,ap->a", rows, rows, out=out.reshape(-1)).reshape(out.shape)
    return sums(loaded(planes, vertical, horizontal, 0, out.dtype), vertical, horizontal, out, squared=True)


def divisor(vertical: Axis, horizontal: Axis, count_include_pad: bool, dtype: np.dtype[np.generic]) -> Array:
    """Give what an average divides by: one number, or one for each window, (OH, OW)."""
    if count_include_pad:
        return np.array(vertical.window * horizontal.window, dtype)
    return counts(vertical, horizontal, count_include_pad).astype(dtype)


def is_whole(vertical: Axis, horizontal: Axis) -> bool:
    """Tell whether there is one window and it is the plane."""
    return all(axis.window == axis.image and axis.outputs == 1 and not axis.before for axis in (vertical, horizontal))


def as_rows(planes: Array, dtype: np.dtype[np.generic]) -> Array | None:
    """See planes (A, H, W) as rows (A, H*W), if they lie in memory as a product wants it."""
    if planes.dtype == dtype and planes.flags.aligned and planes.flags.c_contiguous:
        return planes.reshape(len(planes), -1)
    return None
