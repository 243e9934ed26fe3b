"""Each law of algebra and translation is seen to fail, alone, on an implementation with one realistic fault."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from impls import im2col
from properties import (
    test_algebra_conv,
    test_algebra_gradients,
    test_algebra_pool,
    test_algebra_symmetry,
    test_translation,
)
from properties.selfcheck.running import bites, variant

Array = np.ndarray
Function = Callable[..., Any]
MODULES = (test_algebra_conv, test_algebra_gradients, test_algebra_pool, test_algebra_symmetry, test_translation)
LAWS = {
    name: function for module in MODULES for name, function in vars(module).items() if hasattr(function, "law")
}


def with_(operation: str, function: Function) -> types.SimpleNamespace:
    """im2col, but for one operation."""
    return variant(**{operation: function})


# convolution


def saturated_images(x: Array, w: Array, b: Array | None, **k: Any) -> Array:
    return im2col.conv2d(x.clip(-128, 127), w, b, **k)


def coarse_filters(x: Array, w: Array, b: Array | None, **k: Any) -> Array:
    mantissa, exponent = np.frexp(w)  # 8 bits, as bfloat16 keeps
    return im2col.conv2d(x, np.ldexp(np.rint(mantissa * 256) / 256, exponent).astype(w.dtype), b, **k)


def bias_counted_within_groups(x: Array, w: Array, b: Array | None, **k: Any) -> Array:
    each = w.shape[0] // k["groups"]
    return im2col.conv2d(x, w, None if b is None else b[np.arange(w.shape[0]) % each], **k)


def odd_filter_left_out(x: Array, w: Array, b: Array | None, **k: Any) -> Array:
    y = im2col.conv2d(x, w, b, **k)
    y[:, y.shape[1] // 2 * 2 :] = 0  # two filters at a time
    return y


def odd_channel_left_out(x: Array, w: Array, b: Array | None, **k: Any) -> Array:
    w = w.copy()
    w[:, w.shape[1] // 2 * 2 :] = 0
    return im2col.conv2d(x, w, b, **k)


def blocks_of_channels_overwritten(x: Array, w: Array, b: Array | None, **k: Any) -> Array:
    w = w.copy()
    w[:, : (w.shape[1] - 1) // 2 * 2] = 0  # what the last block of two adds is all there is
    return im2col.conv2d(x, w, b, **k)


def groups_interleaved(x: Array, w: Array, b: Array | None, **k: Any) -> Array:
    K, G = w.shape[0], k["groups"]
    order = np.argsort(np.arange(K) % G, kind="stable")  # filter k belongs to group k % G
    y = im2col.conv2d(x, w[order], None if b is None else b[order], **k)
    return y[:, np.argsort(order)]


def no_bias_where_dilated(x: Array, w: Array, b: Array | None, **k: Any) -> Array:
    return im2col.conv2d(x, w, b if tuple(k["dilation"]) == (1, 1) else None, **k)


def square_matrix_transposed(x: Array, w: Array, b: Array | None, **k: Any) -> Array:
    if w.shape[2:] == (1, 1) and w.shape[0] == w.shape[1]:
        w = w.swapaxes(0, 1)
    return im2col.conv2d(x, w, b, **k)


def flipped_filters(x: Array, w: Array, b: Array | None, **k: Any) -> Array:
    return im2col.conv2d(x, w[..., ::-1, ::-1], b, **k)


def large_filters_cut(x: Array, w: Array, b: Array | None, **k: Any) -> Array:
    w = w.copy()
    w[:, :, 3:] = 0  # unrolled for three rows
    return im2col.conv2d(x, w, b, **k)


def last_row_never_read(x: Array, w: Array, b: Array | None, **k: Any) -> Array:
    x = x.copy()
    x[:, :, -1] = 0
    return im2col.conv2d(x, w, b, **k)


def odd_column_never_read(x: Array, w: Array, b: Array | None, **k: Any) -> Array:
    x = x.copy()
    x[..., x.shape[3] // 2 * 2 :] = 0
    return im2col.conv2d(x, w, b, **k)


def buffer_not_cleared(x: Array, w: Array, b: Array | None, **k: Any) -> Array:
    return np.cumsum(im2col.conv2d(x, w, b, **k), axis=0, dtype=x.dtype)


def small_values_skipped(x: Array, w: Array, b: Array | None, **k: Any) -> Array:
    return im2col.conv2d(np.where(np.abs(x) < 1e-6, 0, x).astype(x.dtype), w, b, **k)


def strides_begin_late(x: Array, w: Array, b: Array | None, **k: Any) -> Array:
    return im2col.conv2d(np.roll(x, -1, 3) if k["stride"][1] > 1 else x, w, b, **k)


def columns_beyond_a_tile_are_late(x: Array, w: Array, b: Array | None, **k: Any) -> Array:
    y = im2col.conv2d(x, w, b, **k)
    y[..., 4:] = y[..., 3:-1].copy()
    return y


# gradients


def saturated_gradients(x: Array, w: Array, dy: Array, **k: Any) -> Any:
    return im2col.conv2d_backward(x, w, dy.clip(-5, 5), **k)


def gradient_masked_by_the_image(x: Array, w: Array, dy: Array, **k: Any) -> Any:
    dx, dw, db = im2col.conv2d_backward(x, w, dy, **k)
    return np.where(x > 0, dx, 0).astype(x.dtype), dw, db  # the mask of a ReLU


def gradients_of_the_first_group(x: Array, w: Array, dy: Array, **k: Any) -> Any:
    dx, dw, db = im2col.conv2d_backward(x, w, dy, **k)
    dw[dw.shape[0] // k["groups"] :] = 0
    return dx, dw, db


def odd_filter_sends_nothing_back(x: Array, w: Array, dy: Array, **k: Any) -> Any:
    dx, dw, db = im2col.conv2d_backward(x, w, dy, **k)
    w = w.copy()
    w[w.shape[0] // 2 * 2 :] = 0
    return im2col.conv2d_backward(x, w, dy, **k)[0], dw, db


def bias_gradient_forgotten_where_dilated(x: Array, w: Array, dy: Array, **k: Any) -> Any:
    dx, dw, db = im2col.conv2d_backward(x, w, dy, **k)
    return dx, dw, db if tuple(k["dilation"]) == (1, 1) else 0 * db


def padding_cut_from_one_side(x: Array, w: Array, dy: Array, **k: Any) -> Any:
    sides = k["padding"]
    around = np.pad(x, ((0, 0), (0, 0), *sides))
    dx, dw, db = im2col.conv2d_backward(around, w, dy, **{**k, "padding": ((0, 0), (0, 0))})
    return dx[:, :, : x.shape[2], : x.shape[3]].copy(), dw, db


def last_row_gets_no_gradient(x: Array, w: Array, dy: Array, **k: Any) -> Any:
    dx, dw, db = im2col.conv2d_backward(x, w, dy, **k)
    dx[:, :, -1] = 0
    return dx, dw, db


def odd_column_gets_no_gradient(x: Array, w: Array, dy: Array, **k: Any) -> Any:
    dx, dw, db = im2col.conv2d_backward(x, w, dy, **k)
    dx[..., dx.shape[3] // 2 * 2 :] = 0
    return dx, dw, db


def filter_gradient_of_the_last_image(x: Array, w: Array, dy: Array, **k: Any) -> Any:
    dx, _, db = im2col.conv2d_backward(x, w, dy, **k)
    return dx, im2col.conv2d_backward(x[-1:], w, dy[-1:], **k)[1], db


def gradients_to_the_first_channel(dy: Array, switches: Array, x_shape: Any) -> Array:
    dx = im2col.max_pool2d_backward(dy, switches, x_shape)
    dx[:, :1], dx[:, 1:] = dx.sum(1, keepdims=True), 0
    return dx


def guarded_division(x: Array, dy: Array, **k: Any) -> Array:
    y = im2col.l2_pool2d(x, **k)
    return im2col.l2_pool2d_backward(x, (dy * y / (y + x.dtype.type(1e-3))).astype(x.dtype), **k)


# pools


def average_of_whole_numbers(x: Array, **k: Any) -> Array:
    return np.floor(im2col.avg_pool2d(x, **k))


def always_whole_windows(x: Array, **k: Any) -> Array:
    return im2col.avg_pool2d(x, **{**k, "count_include_pad": True})


def always_cells_inside(x: Array, **k: Any) -> Array:
    return im2col.avg_pool2d(x, **{**k, "count_include_pad": False})


def height_for_width(x: Array, **k: Any) -> Array:
    y = im2col.avg_pool2d(x, **k)
    if tuple(k["size"]) == x.shape[2:]:  # global pooling in a path of its own
        y = (x.sum((2, 3), dtype=y.dtype, keepdims=True) / x.shape[2] ** 2).astype(y.dtype)
    return y


def root_of_the_mean(x: Array, **k: Any) -> Array:
    return (im2col.l2_pool2d(x, **k) / np.sqrt(np.prod(k["size"]))).astype(x.dtype)


def largest_magnitude(x: Array, **k: Any) -> Any:
    _, switches = im2col.max_pool2d(np.abs(x), **k)
    planes = x.reshape(*x.shape[:2], x.shape[2] * x.shape[3])
    return np.take_along_axis(planes, switches.reshape(*x.shape[:2], switches[0, 0].size), 2).reshape(
        switches.shape
    ), switches


def padding_of_zeros(x: Array, **k: Any) -> Any:
    y, switches = im2col.max_pool2d(x, **k)
    inside = im2col.avg_pool2d(np.ones_like(x), **plain(k))
    return (np.where(inside < 1, np.maximum(y, 0), y).astype(x.dtype), switches) if inside.shape == y.shape else (y, switches)


def plain(k: dict[str, Any]) -> dict[str, Any]:
    """The keywords that an average takes as well."""
    return {name: value for name, value in k.items() if name != "dilation"}


def zero_at_the_start(x: Array, **k: Any) -> Any:
    y, switches = im2col.max_pool2d(x, **k)
    return np.maximum(y, 0), switches


def first_cell_of_each_window(x: Array, **k: Any) -> Any:
    y, switches = im2col.max_pool2d(np.broadcast_to(-np.arange(x[0, 0].size).reshape(x.shape[2:]), x.shape) + 0.0 * x, **k)
    return np.take(x[0, 0], -y.astype(int)).astype(x.dtype) if False else _picked(x, switches), switches


def _picked(x: Array, switches: Array) -> Array:
    planes = x.reshape(*x.shape[:2], x.shape[2] * x.shape[3])
    flat = switches.reshape(*switches.shape[:2], switches.shape[2] * switches.shape[3])
    return np.take_along_axis(planes, flat, 2).reshape(switches.shape)
