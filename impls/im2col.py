"""Windows stretched out into columns, so that a convolution is one matrix product for each image and group.

Everything rests on `taps`: the k-th row of the columns is the image seen through the k-th cell of every window, a
strided slice. Pooling reduces the same rows one after the other, without ever storing them all.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from impls import arguments
from impls.arguments import Array, Axis, Padding, Pair, out_size

__all__ = [
    "avg_pool2d",
    "avg_pool2d_backward",
    "conv2d",
    "conv2d_backward",
    "l2_pool2d",
    "l2_pool2d_backward",
    "max_pool2d",
    "max_pool2d_backward",
    "out_size",
]

name = "im2col"
version = f"numpy {np.__version__}"
dtypes = ("float16", "float32", "float64")
options = ("asymmetric_padding", "pool_dilation", "ceil_mode", "same_padding")


class Tap(NamedTuple):
    """One cell (fy, fx) of the window: the outputs for which it lies in the image, and the cells that these see."""

    fy: int
    fx: int
    outputs: tuple[slice, slice]
    cells: tuple[slice, slice]


@np.errstate(all="ignore")
def conv2d(
    x: Array, w: Array, b: Array | None, *, stride: Pair, padding: Padding, dilation: Pair = (1, 1), groups: int = 1
) -> Array:
    """Multiply filters as rows by windows as columns, for each image and group.

    x (N, C, H, W), w (K, C/G, FH, FW), b (K,) or None -> (N, K, OH, OW). Raises ValueError naming the value.
    Source: CS231n, "Implementation as Matrix Multiplication".
    """
    dtype = arguments.common_dtype(x=x, w=w, b=b)
    vertical, horizontal, G = arguments.convolution(
        x, w, stride=stride, padding=padding, dilation=dilation, groups=groups
    )
    N, K = x.shape[0], w.shape[0]
    arguments.bias(b, K)
    images, rows = arguments.wide(x), filter_rows(arguments.wide(w), G)
    y = np.empty((N, G, K // G, vertical.outputs * horizontal.outputs), rows.dtype)
    for n in range(N):
        np.matmul(rows, im2col(images[n], vertical, horizontal, G), out=y[n])
    y = y.reshape(N, K, vertical.outputs, horizontal.outputs)
    if b is not None:
        y += arguments.wide(b)[:, None, None]
    return y.astype(dtype, copy=False)


@np.errstate(all="ignore")
def conv2d_backward(
    x: Array, w: Array, dy: Array, *, stride: Pair, padding: Padding, dilation: Pair = (1, 1), groups: int = 1
) -> tuple[Array, Array, Array]:
    """Transpose the product twice: dy times columns for dw, rows times dy for columns of dx, folded back.

    x (N, C, H, W), w (K, C/G, FH, FW), dy (N, K, OH, OW) -> dx, dw, db (K,). Raises ValueError naming the value.
    Source: CS231n, assignment 2, `conv_backward_im2col`.
    """
    dtype = arguments.common_dtype(x=x, w=w, dy=dy)
    vertical, horizontal, G = arguments.convolution(
        x, w, stride=stride, padding=padding, dilation=dilation, groups=groups
    )
    N, K = x.shape[0], w.shape[0]
    arguments.gradient(dy, N, K, vertical, horizontal)
    images, rows, gradients = arguments.wide(x), filter_rows(arguments.wide(w), G), arguments.wide(dy)
    dx, drows = np.zeros(x.shape, rows.dtype), np.zeros(rows.shape, rows.dtype)
    for n in range(N):
        dV = gradients[n].reshape(G, K // G, vertical.outputs * horizontal.outputs)
        drows += dV @ im2col(images[n], vertical, horizontal, G).swapaxes(1, 2)
        col2im(rows.swapaxes(1, 2) @ dV, vertical, horizontal, out=dx[n])
    db = gradients.sum(axis=(0, 2, 3))
    return dx.astype(dtype, copy=False), drows.reshape(w.shape).astype(dtype, copy=False), db.astype(dtype, copy=False)


def max_pool2d(
    x: Array,
    *,
    size: Pair,
    stride: Pair,
    padding: Padding = (0, 0),
    dilation: Pair = (1, 1),
    ceil_mode: bool = False,
) -> tuple[Array, Array]:
    """Take the maximum of each column, the first of equals, and its switch: its flat index in the H*W plane.

    x (N, C, H, W) -> y, switches int64 (N, C, OH, OW); a window without a cell in the image gives -inf and -1.
    Raises ValueError naming the value. Source: CS231n, "Pooling Layer".
    """
    dtype = arguments.common_dtype(x=x)
    vertical, horizontal = arguments.pooling(
        x.shape, size=size, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode
    )
    values = x.astype(dtype, copy=False)
    y = np.full((*x.shape[:2], vertical.outputs, horizontal.outputs), -np.inf, dtype)
    switches = np.full(y.shape, -1, np.int64)
    plane = np.arange(vertical.image * horizontal.image).reshape(vertical.image, horizontal.image)
    for tap in taps(vertical, horizontal):
        row, best, switch = values[..., *tap.cells], y[..., *tap.outputs], switches[..., *tap.outputs]
        # Greater, so that the first of equals stays; or the first cell seen, so that -inf has a switch too.
        wins = (row > best) | np.isnan(row) | (switch < 0)
        np.copyto(best, row, where=wins)
        np.copyto(switch, plane[tap.cells], where=wins)
    return y, switches


@np.errstate(all="ignore")
def max_pool2d_backward(dy: Array, switches: Array, x_shape: Sequence[int]) -> Array:
    """Send each gradient to its switch by index, never by a product; where windows overlap they add up.

    dy, switches (N, C, OH, OW) -> dx of shape x_shape. Raises ValueError naming the value.
    Source: CS231n, "Pooling Layer", backpropagation.
    """
    dtype = arguments.common_dtype(dy=dy)
    N, C, H, W = arguments.switches_of(dy, switches, x_shape)
    gradients = arguments.wide(dy)
    dx = np.zeros(N * C * H * W, gradients.dtype)
    planes = np.arange(N * C).reshape(N, C, 1, 1) * (H * W)
    taken = switches >= 0  # a window without a cell in the image has no switch
    np.add.at(dx, (planes + switches)[taken], gradients[taken])
    return dx.reshape(N, C, H, W).astype(dtype, copy=False)


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
    """Take the mean of each column, over all its cells or over those in the image.

    x (N, C, H, W) -> (N, C, OH, OW). Raises ValueError naming the value. Source: CS231n, "General pooling".
    """
    dtype = arguments.common_dtype(x=x)
    vertical, horizontal = arguments.pooling(x.shape, size=size, stride=stride, padding=padding, ceil_mode=ceil_mode)
    values = arguments.wide(x)
    y = column_sums(values, vertical, horizontal)
    y /= counts(vertical, horizontal, count_include_pad).astype(y.dtype)
    return y.astype(dtype, copy=False)


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
    gradients = arguments.wide(dy)
    shares = gradients / counts(vertical, horizontal, count_include_pad).astype(gradients.dtype)
    dx = np.zeros((N, C, H, W), gradients.dtype)
    for tap in taps(vertical, horizontal):
        dx[..., *tap.cells] += shares[..., *tap.outputs]
    return dx.astype(dtype, copy=False)


@np.errstate(all="ignore")
def l2_pool2d(x: Array, *, size: Pair, stride: Pair, padding: Padding = (0, 0), ceil_mode: bool = False) -> Array:
    """Take the square root of each column's sum of squares.

    x (N, C, H, W) -> (N, C, OH, OW). Raises ValueError naming the value. Source: CS231n, "General pooling".
    """
    dtype = arguments.common_dtype(x=x)
    vertical, horizontal = arguments.pooling(x.shape, size=size, stride=stride, padding=padding, ceil_mode=ceil_mode)
    return np.sqrt(column_sums(arguments.wide(x) ** 2, vertical, horizontal)).astype(dtype, copy=False)


@np.errstate(all="ignore")
def l2_pool2d_backward(
    x: Array, dy: Array, *, size: Pair, stride: Pair, padding: Padding = (0, 0), ceil_mode: bool = False
) -> Array:
    """Give each window x * (dy / y), and nothing where y = 0: there the root has no derivative, and 0 is agreed on.

    x (N, C, H, W), dy (N, C, OH, OW) -> dx (N, C, H, W). Raises ValueError naming the value.
    """
    dtype = arguments.common_dtype(x=x, dy=dy)
    vertical, horizontal = arguments.pooling(x.shape, size=size, stride=stride, padding=padding, ceil_mode=ceil_mode)
    arguments.gradient(dy, x.shape[0], x.shape[1], vertical, horizontal)
    values, gradients = arguments.wide(x), arguments.wide(dy)
    norms = np.sqrt(column_sums(values**2, vertical, horizontal))
    scales = np.divide(gradients, norms, out=np.zeros_like(norms), where=norms != 0)
    dx = np.zeros(x.shape, values.dtype)
    for tap in taps(vertical, horizontal):
        dx[..., *tap.cells] += values[..., *tap.cells] * scales[..., *tap.outputs]
    return dx.astype(dtype, copy=False)


def im2col(image: Array, vertical: Axis, horizontal: Axis, G: int) -> Array:
    """Stretch each window out into a column, zeros where it holds padding.

    image (C, H, W) -> columns (G, C/G*FH*FW, OH*OW).
    """
    C = image.shape[0]
    columns = np.zeros((C, vertical.window, horizontal.window, vertical.outputs, horizontal.outputs), image.dtype)
    for tap in taps(vertical, horizontal):
        columns[:, tap.fy, tap.fx, *tap.outputs] = image[:, *tap.cells]
    cells, outputs = vertical.window * horizontal.window, vertical.outputs * horizontal.outputs
    return columns.reshape(G, C // G * cells, outputs)


def col2im(columns: Array, vertical: Axis, horizontal: Axis, out: Array) -> None:
    """Add columns (G, C/G*FH*FW, OH*OW) back into the image `out` (C, H, W), where each cell came from."""
    columns = columns.reshape(out.shape[0], vertical.window, horizontal.window, vertical.outputs, horizontal.outputs)
    for tap in taps(vertical, horizontal):
        out[:, *tap.cells] += columns[:, tap.fy, tap.fx, *tap.outputs]


def filter_rows(w: Array, G: int) -> Array:
    """Stretch each filter out into a row: w (K, C/G, FH, FW) -> (G, K/G, C/G*FH*FW)."""
    K, *sizes = w.shape
    return w.reshape(G, K // G, math.prod(sizes))


def column_sums(values: Array, vertical: Axis, horizontal: Axis) -> Array:
    """Sum each window's cells, row of columns by row: (N, C, H, W) -> (N, C, OH, OW)."""
    sums = np.zeros((*values.shape[:2], vertical.outputs, horizontal.outputs), values.dtype)
    for tap in taps(vertical, horizontal):
        sums[..., *tap.outputs] += values[..., *tap.cells]
    return sums


def counts(vertical: Axis, horizontal: Axis, count_include_pad: bool) -> Array:
    """Count what an average divides by, (OH, OW): all cells of the window, or those inside the image."""
    if count_include_pad:
        return np.full((vertical.outputs, horizontal.outputs), vertical.window * horizontal.window)
    tall, broad = (np.zeros(axis.outputs, np.int64) for axis in (vertical, horizontal))
    for axis, seen in ((vertical, tall), (horizontal, broad)):
        for _, outputs, _ in line_taps(axis):
            seen[outputs] += 1
    return np.outer(tall, broad)


def taps(vertical: Axis, horizontal: Axis) -> Iterator[Tap]:
    """Visit the window's cells in row-major order, those that see nothing but padding left out."""
    for fy, oy, iy in line_taps(vertical):
        for fx, ox, ix in line_taps(horizontal):
            yield Tap(fy, fx, (oy, ox), (iy, ix))


def line_taps(axis: Axis) -> Iterator[tuple[int, slice, slice]]:
    """Give, for each cell f of a window on one axis, the outputs for which it lies in the image, and where it lies."""
    for f in range(axis.window):
        offset = f * axis.dilation - axis.before  # output o sees cell o * stride + offset
        first = max(0, -(offset // axis.stride))  # rounded up: the first o whose cell is not before the image
        stop = min(axis.outputs, (axis.image - 1 - offset) // axis.stride + 1)
        if first < stop:
            start, last = first * axis.stride + offset, (stop - 1) * axis.stride + offset
            yield f, slice(first, stop), slice(start, last + 1, axis.stride)
