"""One output at a time, its window's products in one expression, as the CS231n notes write them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

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

name = "loops"
version = f"numpy {np.__version__}"
dtypes = ("float16", "float32", "float64")
options = ("asymmetric_padding", "pool_dilation", "ceil_mode", "same_padding")


@np.errstate(all="ignore")
def conv2d(
    x: Array, w: Array, b: Array | None, *, stride: Pair, padding: Padding, dilation: Pair = (1, 1), groups: int = 1
) -> Array:
    """Write V[k, i, j] = np.sum(X[window] * W[k]) + b[k] for every output.

    x (N, C, H, W), w (K, C/G, FH, FW), b (K,) or None -> (N, K, OH, OW). Raises ValueError naming the value.
    Source: CS231n, "Numpy examples".
    """
    dtype = arguments.common_dtype(x=x, w=w, b=b)
    vertical, horizontal, G = arguments.convolution(
        x, w, stride=stride, padding=padding, dilation=dilation, groups=groups
    )
    N, K = x.shape[0], w.shape[0]
    arguments.bias(b, K)
    X, W, B = padded(arguments.wide(x), vertical, horizontal), arguments.wide(w), np.zeros(K) if b is None else b
    B = B.astype(W.dtype)
    V = np.empty((N, K, vertical.outputs, horizontal.outputs), W.dtype)
    rows, columns = windows_along(vertical), windows_along(horizontal)
    for n, k, i, j in np.ndindex(V.shape):
        V[n, k, i, j] = np.sum(X[n, channels(k, W, G), rows[i], columns[j]] * W[k]) + B[k]
    return V.astype(dtype, copy=False)


@np.errstate(all="ignore")
def conv2d_backward(
    x: Array, w: Array, dy: Array, *, stride: Pair, padding: Padding, dilation: Pair = (1, 1), groups: int = 1
) -> tuple[Array, Array, Array]:
    """Hand each output's gradient to what it was summed from: dy * W[k] to its window, dy * X[window] to its filter.

    x (N, C, H, W), w (K, C/G, FH, FW), dy (N, K, OH, OW) -> dx, dw, db (K,). Raises ValueError naming the value.
    Source: CS231n, "Backpropagation"; the product rule.
    """
    dtype = arguments.common_dtype(x=x, w=w, dy=dy)
    vertical, horizontal, G = arguments.convolution(
        x, w, stride=stride, padding=padding, dilation=dilation, groups=groups
    )
    arguments.gradient(dy, x.shape[0], w.shape[0], vertical, horizontal)
    X, W, dV = padded(arguments.wide(x), vertical, horizontal), arguments.wide(w), arguments.wide(dy)
    dX, dW, dB = np.zeros_like(X), np.zeros(W.shape, W.dtype), np.zeros(W.shape[0], W.dtype)
    rows, columns = windows_along(vertical), windows_along(horizontal)
    for n, k, i, j in np.ndindex(dV.shape):
        at = n, channels(k, W, G), rows[i], columns[j]
        dX[at] += dV[n, k, i, j] * W[k]
        dW[k] += dV[n, k, i, j] * X[at]
        dB[k] += dV[n, k, i, j]
    top, left = vertical.before, horizontal.before
    dX = dX[:, :, top : top + vertical.image, left : left + horizontal.image]
    return dX.astype(dtype), dW.astype(dtype, copy=False), dB.astype(dtype, copy=False)


def max_pool2d(
    x: Array,
    *,
    size: Pair,
    stride: Pair,
    padding: Padding = (0, 0),
    dilation: Pair = (1, 1),
    ceil_mode: bool = False,
) -> tuple[Array, Array]:
    """Take each window's maximum, the first of equals, and its switch: its flat index in the H*W plane.

    x (N, C, H, W) -> y, switches int64 (N, C, OH, OW); a window without a cell in the image gives -inf and -1.
    Raises ValueError naming the value. Source: CS231n, "Pooling Layer".
    """
    dtype = arguments.common_dtype(x=x)
    vertical, horizontal = arguments.pooling(
        x.shape, size=size, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode
    )
    y = np.full((*x.shape[:2], vertical.outputs, horizontal.outputs), -np.inf, dtype)
    switches = np.full(y.shape, -1, np.int64)
    for at, cells in windows(vertical, horizontal, y.shape):
        values = x[cells]
        if values.size:
            fy, fx = np.unravel_index(values.argmax(), values.shape)  # argmax: the first of equals, NaN above all
            y[at] = values[fy, fx]
            iy, ix = cells[2].start + fy * vertical.dilation, cells[3].start + fx * horizontal.dilation
            switches[at] = iy * horizontal.image + ix
    return y, switches


@np.errstate(all="ignore")
def max_pool2d_backward(dy: Array, switches: Array, x_shape: Sequence[int]) -> Array:
    """Send each gradient to its switch; where windows overlap they add up.

    dy, switches (N, C, OH, OW) -> dx of shape x_shape. Raises ValueError naming the value.
    Source: CS231n, "Pooling Layer", backpropagation.
    """
    dtype = arguments.common_dtype(dy=dy)
    N, C, H, W = arguments.switches_of(dy, switches, x_shape)
    gradients = arguments.wide(dy)
    dx = np.zeros((N, C, H * W), gradients.dtype)
    for n, c, oy, ox in np.ndindex(dy.shape):
        if switches[n, c, oy, ox] >= 0:
            dx[n, c, switches[n, c, oy, ox]] += gradients[n, c, oy, ox]
    return dx.astype(dtype, copy=False).reshape(N, C, H, W)


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
    """Take each window's mean, over all its cells or over those in the image.

    x (N, C, H, W) -> (N, C, OH, OW). Raises ValueError naming the value. Source: CS231n, "General pooling".
    """
    dtype = arguments.common_dtype(x=x)
    vertical, horizontal = arguments.pooling(x.shape, size=size, stride=stride, padding=padding, ceil_mode=ceil_mode)
    values = arguments.wide(x)
    y = np.empty((*x.shape[:2], vertical.outputs, horizontal.outputs), values.dtype)
    for at, cells in windows(vertical, horizontal, y.shape):
        count = vertical.window * horizontal.window if count_include_pad else values[cells].size
        y[at] = np.sum(values[cells]) / count
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
    dx = np.zeros((N, C, H, W), gradients.dtype)
    for at, cells in windows(vertical, horizontal, dy.shape):
        count = vertical.window * horizontal.window if count_include_pad else dx[cells].size
        dx[cells] += gradients[at] / count
    return dx.astype(dtype, copy=False)


@np.errstate(all="ignore")
def l2_pool2d(x: Array, *, size: Pair, stride: Pair, padding: Padding = (0, 0), ceil_mode: bool = False) -> Array:
    """Take the square root of each window's sum of squares.

    x (N, C, H, W) -> (N, C, OH, OW). Raises ValueError naming the value. Source: CS231n, "General pooling".
    """
    dtype = arguments.common_dtype(x=x)
    vertical, horizontal = arguments.pooling(x.shape, size=size, stride=stride, padding=padding, ceil_mode=ceil_mode)
    values = arguments.wide(x)
    y = np.empty((*x.shape[:2], vertical.outputs, horizontal.outputs), values.dtype)
    for at, cells in windows(vertical, horizontal, y.shape):
        y[at] = np.sqrt(np.sum(values[cells] ** 2))
    return y.astype(dtype, copy=False)


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
    dx = np.zeros(x.shape, values.dtype)
    for at, cells in windows(vertical, horizontal, dy.shape):
        norm = np.sqrt(np.sum(values[cells] ** 2))
        if norm != 0:
            dx[cells] += values[cells] * (gradients[at] / norm)
    return dx.astype(dtype, copy=False)


def padded(x: Array, vertical: Axis, horizontal: Axis) -> Array:
    """Copy x (N, C, H, W) amid the zeros that the windows reach."""
    top, left = vertical.before, horizontal.before
    height, width = (max(axis.reach, axis.before + axis.image) for axis in (vertical, horizontal))
    X = np.zeros((*x.shape[:2], height, width), x.dtype)
    X[:, :, top : top + vertical.image, left : left + horizontal.image] = x
    return X


def channels(k: int, W: Array, G: int) -> slice:
    """Select the input channels that filter k sees: those of its group."""
    group = k // (W.shape[0] // G)
    return slice(group * W.shape[1], (group + 1) * W.shape[1])


def windows_along(axis: Axis) -> list[slice]:
    """Select, for each window along an axis, its cells in the padded image."""
    starts = range(0, axis.outputs * axis.stride, axis.stride)
    return [slice(start, start + axis.extent, axis.dilation) for start in starts]


def inside(axis: Axis, o: int) -> slice:
    """Select the cells of window o that lie in the image: in pooling, padding takes no part."""
    start = o * axis.stride - axis.before
    # A start before the image moves on in steps of the dilation to the first cell that is not.
    first = start if start >= 0 else start % axis.dilation
    return slice(first, max(first, min(start + axis.extent, axis.image)), axis.dilation)


def windows(
    vertical: Axis, horizontal: Axis, shape: Sequence[int]
) -> Iterator[tuple[tuple[int, ...], tuple[int, int, slice, slice]]]:
    """Visit every output: its index (n, c, oy, ox), and the index of its window's cells in the images."""
    for n, c, oy, ox in np.ndindex(*shape):
        yield (n, c, oy, ox), (n, c, inside(vertical, oy), inside(horizontal, ox))
