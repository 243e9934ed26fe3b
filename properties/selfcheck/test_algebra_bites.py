"""Each law of algebra and translation is seen to fail, alone, on an implementation with one realistic fault."""

from __future__ import annotations

import functools
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
LAWS = {name: function for module in MODULES for name, function in vars(module).items() if hasattr(function, "law")}


def with_(operation: str, function: Function) -> types.SimpleNamespace:
    """Give im2col, but for one operation."""
    # its signature as well: it tells the suite which options there are
    return variant(**{operation: functools.update_wrapper(function, getattr(im2col, operation))})


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
    _, dw, db = im2col.conv2d_backward(x, w, dy, **k)
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


def reads_the_first_columns(x: Array, **k: Any) -> Array:
    y = im2col.avg_pool2d(x, **k)
    return x[:, :, : y.shape[2], : y.shape[3]].copy() if tuple(k["size"]) == (1, 1) else y


def largest_magnitude(x: Array, **k: Any) -> Any:
    _, switches = im2col.max_pool2d(np.abs(x), **k)
    return picked(x, switches), switches


def first_cell_of_each_window(x: Array, **k: Any) -> Any:
    falling = -np.arange(x.shape[2] * x.shape[3], dtype=np.float64).reshape(x.shape[2:])
    _, switches = im2col.max_pool2d(np.broadcast_to(falling, x.shape), **k)
    return picked(x, switches), switches


def picked(x: Array, switches: Array) -> Array:
    """Give the cells that switches name."""
    planes = x.reshape(*x.shape[:2], x.shape[2] * x.shape[3])
    flat = switches.reshape(*switches.shape[:2], switches.shape[2] * switches.shape[3])
    return np.take_along_axis(planes, flat, 2).reshape(switches.shape)


def padding_of_zeros(x: Array, **k: Any) -> Any:
    y, switches = im2col.max_pool2d(x, **k)
    padding = np.pad(np.zeros_like(x), ((0, 0), (0, 0), *k["padding"]), constant_values=1)
    seen, _ = im2col.max_pool2d(padding, **{**k, "padding": ((0, 0), (0, 0))})
    return np.where(seen[:, :, : y.shape[2], : y.shape[3]] > 0, np.maximum(y, 0), y), switches


def zero_at_the_start(x: Array, **k: Any) -> Any:
    y, switches = im2col.max_pool2d(x, **k)
    return np.maximum(y, 0), switches


def last_maximum(x: Array, **k: Any) -> Any:
    y, switches = im2col.max_pool2d(x[..., ::-1, ::-1], **k)
    return y[..., ::-1, ::-1].copy(), x.shape[2] * x.shape[3] - 1 - switches[..., ::-1, ::-1]


def first_maximum_by_columns(x: Array, **k: Any) -> Any:
    pairs = {name: value[::-1] if isinstance(value, tuple) else value for name, value in k.items()}
    y, switches = im2col.max_pool2d(x.swapaxes(2, 3), **pairs)
    switches = switches % x.shape[2] * x.shape[3] + switches // x.shape[2]
    return y.swapaxes(2, 3).copy(), switches.swapaxes(2, 3).copy()


def switches_of_the_whole_image(x: Array, **k: Any) -> Any:
    y, switches = im2col.max_pool2d(x, **k)
    return y, switches + np.arange(x.shape[1])[:, None, None] * x.shape[2] * x.shape[3]


def window_one_short(x: Array, **k: Any) -> Any:
    y, _ = im2col.max_pool2d(x, **k)
    short = im2col.max_pool2d(x, **{**k, "size": tuple(extent - 1 for extent in k["size"])})
    return tuple(array[:, :, : y.shape[2], : y.shape[3]].copy() for array in short)


FAULTS: dict[str, tuple[str, Function]] = {
    "test_convolution_is_linear_in_the_image": ("conv2d", saturated_images),
    "test_convolution_is_linear_in_the_filter": ("conv2d", coarse_filters),
    "test_the_bias_is_added_to_each_output_of_its_filter": ("conv2d", bias_counted_within_groups),
    "test_permuting_filters_permutes_outputs": ("conv2d", odd_filter_left_out),
    "test_the_order_of_channels_does_not_matter": ("conv2d", odd_channel_left_out),
    "test_concatenated_channels_add": ("conv2d", blocks_of_channels_overwritten),
    "test_groups_are_separate_convolutions": ("conv2d", groups_interleaved),
    "test_dilation_equals_a_filter_with_zeros_between": ("conv2d", no_bias_where_dilated),
    "test_a_filter_of_one_cell_is_a_matrix_product": ("conv2d", square_matrix_transposed),
    "test_a_filter_with_a_single_one_gives_the_image_back": ("conv2d", flipped_filters),
    "test_two_convolutions_are_one_with_the_filters_convolved": ("conv2d", large_filters_cut),
    "test_gradients_are_linear_in_dy": ("conv2d_backward", saturated_gradients),
    "test_each_gradient_of_a_convolution_needs_one_operand": ("conv2d_backward", gradient_masked_by_the_image),
    "test_gradients_of_groups_are_separate": ("conv2d_backward", gradients_of_the_first_group),
    "test_permuting_filters_permutes_their_gradients": ("conv2d_backward", odd_filter_sends_nothing_back),
    "test_gradients_of_a_dilated_filter_are_those_at_its_taps": (
        "conv2d_backward",
        bias_gradient_forgotten_where_dilated,
    ),
    "test_gradients_of_padding_are_cut_off": ("conv2d_backward", padding_cut_from_one_side),
    "test_average_pooling_is_linear": ("avg_pool2d", average_of_whole_numbers),
    "test_average_pooling_is_a_uniform_convolution": ("avg_pool2d", always_cells_inside),
    "test_l2_pooling_is_the_root_of_convolved_squares": ("l2_pool2d", root_of_the_mean),
    "test_max_pooling_keeps_the_maximum_of_two_images": ("max_pool2d", largest_magnitude),
    "test_max_pooling_moves_with_the_level_of_the_image": ("max_pool2d", zero_at_the_start),
    "test_max_pooling_is_not_linear": ("max_pool2d", first_cell_of_each_window),
    "test_max_pooling_after_min_pooling_back_changes_nothing": ("max_pool2d", padding_of_zeros),
    "test_pooling_an_enlarged_image_gives_it_back": ("max_pool2d", last_maximum),
    "test_windows_of_one_cell_pick_cells": ("avg_pool2d", reads_the_first_columns),
    "test_global_pooling_reduces_each_plane": ("avg_pool2d", height_for_width),
    "test_pooling_rows_then_columns_pools_windows": ("max_pool2d", first_maximum_by_columns),
    "test_a_constant_image_pools_to_its_value": ("avg_pool2d", always_whole_windows),
    "test_mirrored_images_and_filters_give_mirrored_outputs": ("conv2d", last_row_never_read),
    "test_mirrored_inputs_give_mirrored_gradients": ("conv2d_backward", last_row_gets_no_gradient),
    "test_transposed_images_and_filters_give_transposed_outputs": ("conv2d", odd_column_never_read),
    "test_transposed_inputs_give_transposed_gradients": ("conv2d_backward", odd_column_gets_no_gradient),
    "test_a_batch_equals_its_images_one_by_one": ("conv2d", buffer_not_cleared),
    "test_gradients_of_a_batch_are_those_of_its_images": ("conv2d_backward", filter_gradient_of_the_last_image),
    "test_channels_are_pooled_one_by_one": ("max_pool2d", switches_of_the_whole_image),
    "test_gradients_of_channels_are_pooled_one_by_one": ("max_pool2d_backward", gradients_to_the_first_channel),
    "test_scaling_by_a_power_of_two_scales_the_output": ("conv2d", small_values_skipped),
    "test_scaling_by_powers_of_two_scales_the_gradients": ("l2_pool2d_backward", guarded_division),
    "test_a_stride_keeps_some_of_the_outputs_of_stride_one": ("conv2d", strides_begin_late),
    "test_padding_equals_cells_around_the_image": ("max_pool2d", padding_of_zeros),
    "test_outputs_move_with_the_image": ("conv2d", columns_beyond_a_tile_are_late),
    "test_max_pooling_does_not_see_small_shifts": ("max_pool2d", window_one_short),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_law_alone_kills_a_fault(name: str) -> None:
    operation, fault = FAULTS[name]
    _, verdict = bites(LAWS[name], with_(operation, fault), operation)
    assert verdict.kind == "differs", verdict.message
    assert "elements of" in verdict.message, verdict.message  # a value, not merely a shape


def test_every_law_has_been_seen_to_fail() -> None:
    assert set(FAULTS) == set(LAWS)
