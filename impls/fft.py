"""Convolution as a product of spectra: real transforms at lengths that are quick to transform.

Pooling has no transform that helps it, so the pools are those of im2col.
"""

from __future__ import annotations

import numpy as np
import scipy
import scipy.fft

from impls import arguments
from impls.arguments import Array, Axis, Padding, Pair, out_size
from impls.im2col import (
    avg_pool2d,
    avg_pool2d_backward,
    l2_pool2d,
    l2_pool2d_backward,
    max_pool2d,
    max_pool2d_backward,
)

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

name = "fft"
version = f"scipy {scipy.__version__}"
accuracy = "fft"
options = ("asymmetric_padding", "pool_dilation", "ceil_mode", "same_padding")


@np.errstate(all="ignore")
def conv2d(
    x: Array, w: Array, b: Array | None, *, stride: Pair, padding: Padding, dilation: Pair = (1, 1), groups: int = 1
) -> Array:
    """Correlate by X conj(W), channels summed at each frequency; of the outputs every stride-th is kept.

    x (N, C, H, W), w (K, C/G, FH, FW), b (K,) or None -> (N, K, OH, OW). Raises ValueError naming the value.
    Source: Mathieu, Henaff & LeCun 2013, "Fast training of convolutional networks through FFTs".
    """
    dtype = arguments.common_dtype(x=x, w=w, b=b)
    vertical, horizontal, G = arguments.convolution(
        x, w, stride=stride, padding=padding, dilation=dilation, groups=groups
    )
    N, K = x.shape[0], w.shape[0]
    arguments.bias(b, K)
    lengths = transform_lengths(vertical, horizontal)
    X = spectrum(grouped(padded(arguments.wide(x), vertical, horizontal), 1, G), lengths)
    W = spectrum(grouped(spread(arguments.wide(w), (vertical.dilation, horizontal.dilation)), 0, G), lengths)
    Y = np.matmul(W.conj(), X.swapaxes(-1, -2))  # (..., G, K/G, C/G) times (..., G, C/G, N)
    y = signal(Y, lengths).reshape(K, N, *lengths).swapaxes(0, 1)
    y = y[:, :, : reach_of_starts(vertical) : vertical.stride, : reach_of_starts(horizontal) : horizontal.stride]
    if b is not None:
        y = y + arguments.wide(b)[:, None, None]
    return np.array(y, dtype, order="C")


@np.errstate(all="ignore")
def conv2d_backward(
    x: Array, w: Array, dy: Array, *, stride: Pair, padding: Padding, dilation: Pair = (1, 1), groups: int = 1
) -> tuple[Array, Array, Array]:
    """Convolve dy, its stride filled with zeros, with w for dx: DY W. Correlate x with it for dw: X conj(DY).

    x (N, C, H, W), w (K, C/G, FH, FW), dy (N, K, OH, OW) -> dx, dw, db (K,). Raises ValueError naming the value.
    Source: Mathieu, Henaff & LeCun 2013; Dumoulin & Visin 2016, section 4.5.
    """
    dtype = arguments.common_dtype(x=x, w=w, dy=dy)
    vertical, horizontal, G = arguments.convolution(
        x, w, stride=stride, padding=padding, dilation=dilation, groups=groups
    )
    arguments.gradient(dy, x.shape[0], w.shape[0], vertical, horizontal)
    lengths, gradients = transform_lengths(vertical, horizontal), arguments.wide(dy)
    X = spectrum(grouped(padded(arguments.wide(x), vertical, horizontal), 1, G), lengths)
    W = spectrum(grouped(spread(arguments.wide(w), (vertical.dilation, horizontal.dilation)), 0, G), lengths)
    DY = spectrum(grouped(spread(gradients, (vertical.stride, horizontal.stride)), 1, G), lengths)
    DX = np.matmul(DY, W)  # (..., G, N, K/G) times (..., G, K/G, C/G)
    DW = np.matmul(DY.conj().swapaxes(-1, -2), X)  # (..., G, K/G, N) times (..., G, N, C/G)
    images = np.moveaxis(signal(DX, lengths), 0, 1).reshape(*x.shape[:2], *lengths)
    filters = signal(DW, lengths).reshape(*w.shape[:2], *lengths)
    dx = np.zeros(x.shape, dtype)
    (iy, py), (ix, px) = overlap(vertical), overlap(horizontal)
    dx[:, :, iy, ix] = images[:, :, py, px]
    dw = filters[:, :, : vertical.extent : vertical.dilation, : horizontal.extent : horizontal.dilation]
    return dx, np.array(dw, dtype, order="C"), gradients.sum(axis=(0, 2, 3)).astype(dtype, copy=False)


def transform_lengths(vertical: Axis, horizontal: Axis) -> tuple[int, int]:
    """Choose lengths that hold all that the windows reach; what wraps around falls on outputs not kept."""
    return (
        scipy.fft.next_fast_len(vertical.reach, real=True),
        scipy.fft.next_fast_len(horizontal.reach, real=True),
    )


def overlap(axis: Axis) -> tuple[slice, slice]:
    """Select the image's cells that windows reach, counted from the image's edge and from the padding's."""
    stop = max(0, min(axis.image, axis.reach - axis.before))
    return slice(0, stop), slice(axis.before, axis.before + stop)


def reach_of_starts(axis: Axis) -> int:
    """Count the cells from the first window's first to the last window's first."""
    return (axis.outputs - 1) * axis.stride + 1


def padded(x: Array, vertical: Axis, horizontal: Axis) -> Array:
    """Copy x (N, C, H, W) amid zeros, as far as the windows reach."""
    X = np.zeros((*x.shape[:2], vertical.reach, horizontal.reach), x.dtype)
    (iy, py), (ix, px) = overlap(vertical), overlap(horizontal)
    X[:, :, py, px] = x[:, :, iy, ix]
    return X


def spread(planes: Array, steps: tuple[int, int]) -> Array:
    """Put step - 1 zeros between neighbours of planes (..., A, B)."""
    *outer, height, width = planes.shape
    apart = np.zeros((*outer, (height - 1) * steps[0] + 1, (width - 1) * steps[1] + 1), planes.dtype)
    apart[..., :: steps[0], :: steps[1]] = planes
    return apart


def grouped(planes: Array, axis: int, G: int) -> Array:
    """Split the given axis by group, and move groups to the front: (G, A, B, height, width)."""
    *before, length = planes.shape[: axis + 1]
    split = planes.reshape(*before, G, length // G, *planes.shape[axis + 1 :])
    return np.moveaxis(split, axis, 0)


def spectrum(planes: Array, lengths: tuple[int, int]) -> Array:
    """Transform planes (G, A, B, height, width) into a matrix (A, B) at each frequency and group: (fy, fx, G, A, B)."""
    return np.ascontiguousarray(np.moveaxis(scipy.fft.rfft2(planes, lengths), (-2, -1), (0, 1)))


def signal(matrices: Array, lengths: tuple[int, int]) -> Array:
    """Transform back, the inverse of `spectrum`: (G, A, B, *lengths)."""
    planes: Array = scipy.fft.irfft2(np.moveaxis(matrices, (0, 1), (-2, -1)), lengths)
    return planes
