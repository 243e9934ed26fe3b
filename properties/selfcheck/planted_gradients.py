"""Faults of the backward operations."""

# ruff: noqa: D103 - the name of a fault says what it is

from __future__ import annotations

import numpy as np

from properties import test_gradients, test_specials, test_switches
from properties.selfcheck.planted_conv import SHAPE, tf32
from properties.selfcheck.planting import arguments, around, inside, reading, turned

EXACTLY = test_gradients.test_gradient_equals_the_definition_exactly
ROUNDED = test_gradients.test_gradient_equals_the_definition_within_rounding
ADJOINT = test_gradients.test_backward_is_the_adjoint_of_forward
DERIVATIVE = test_gradients.test_gradient_is_the_directional_derivative
DERIVATIVE_OF_MAX = test_gradients.test_gradient_of_max_pooling_is_the_directional_derivative
DOUBLE = test_gradients.test_double_backward_is_the_adjoint_of_backward
ROUTED = test_switches.test_each_gradient_goes_to_its_switch_and_nowhere_else
ACCUMULATED = test_switches.test_gradients_accumulate_where_windows_overlap
NONE_LOST = test_switches.test_no_gradient_is_lost
NUMBERING = test_switches.test_forward_and_backward_agree_on_the_numbering
LOCAL = test_specials.test_non_finite_gradients_stay_local
RANGE = test_specials.test_the_whole_range_is_kept
VALUES = (EXACTLY, ROUNDED)
IDENTITIES = (ADJOINT, DERIVATIVE, DOUBLE)
MAXIMUM = "max_pool2d_backward"
WINDOWS = ("conv2d_backward", "avg_pool2d_backward", "l2_pool2d_backward")
EVERY = (*WINDOWS, MAXIMUM)

# everywhere


@around("avg_pool2d_backward", "l2_pool2d_backward", by=(*VALUES, ADJOINT, DERIVATIVE, RANGE))
def assigned_where_windows_overlap(correct, *arrays, **p):
    """Let += become =: the last window that holds a cell is the only one that counts."""
    dx, seen = correct(*arrays, **p), None
    *before, dy = arrays if isinstance(arrays[-1], np.ndarray) else arrays[::-1]
    for place in np.ndindex(dy.shape[2:]):
        one = np.zeros_like(dy)
        one[:, :, *place] = dy[:, :, *place]
        ones = np.zeros_like(dy)
        ones[:, :, *place] = 1
        both = [[*before, each] if isinstance(arrays[-1], np.ndarray) else [each, *before] for each in (one, ones)]
        part, reached = (correct(*each, **p) for each in both)
        seen = part if seen is None else np.where(reached != 0, part, seen)
    return dx if seen is None else seen


@around(*WINDOWS, by=(EXACTLY, SHAPE))
def strides_swapped(correct, *arrays, stride, **p):
    return correct(*arrays, stride=turned(stride), **p)


@inside(*WINDOWS, by=(*VALUES, ADJOINT))
def steps_swapped_in_the_loop(copy):
    reading(copy, lambda v, h: (v._replace(stride=h.stride), h._replace(stride=v.stride)))


@inside(*WINDOWS, by=(*VALUES, *IDENTITIES))
def padding_of_rows_used_for_columns(copy):
    reading(copy, lambda v, h: (v, h._replace(before=v.before)))


@around(*EVERY, by=(EXACTLY, SHAPE))
def gradient_in_doubles(correct, *arrays, **p):
    result = correct(*arrays, **p)
    return tuple(part.astype(float) for part in result) if isinstance(result, tuple) else result.astype(float)


@around("conv2d_backward", "avg_pool2d_backward", MAXIMUM, by=(RANGE,))
def tiny_gradients_flushed(correct, *arrays, **p):
    result = correct(*arrays, **p)
    parts = result if isinstance(result, tuple) else (result,)
    parts = tuple(np.where(abs(part) < np.finfo(part.dtype).tiny, 0 * part, part) for part in parts)
    return parts if isinstance(result, tuple) else parts[0]


@around(*EVERY, by=(LOCAL,))
def gradient_made_finite(correct, *arrays, **p):
    result = correct(*arrays, **p)
    return tuple(map(np.nan_to_num, result)) if isinstance(result, tuple) else np.nan_to_num(result)


# convolution


@inside("conv2d_backward", by=(*VALUES, *IDENTITIES))
def dx_assigned_where_windows_overlap(copy):
    def col2im(columns, vertical, horizontal, out):
        columns = columns.reshape(out.shape[0], vertical.window, horizontal.window, vertical.outputs, -1)
        for tap in copy.taps(vertical, horizontal):
            out[:, *tap.cells] = columns[:, tap.fy, tap.fx, *tap.outputs]

    copy.col2im = col2im


@around("conv2d_backward", by=(*VALUES, *IDENTITIES))
def dx_by_the_flipped_filter(correct, x, w, dy, **p):
    _, dw, db = correct(x, w, dy, **p)
    return correct(x, w[..., ::-1, ::-1], dy, **p)[0], dw, db


@around("conv2d_backward", by=(*VALUES, *IDENTITIES))
def dw_flipped(correct, x, w, dy, **p):
    dx, dw, db = correct(x, w, dy, **p)
    return dx, dw[..., ::-1, ::-1], db


@around("conv2d_backward", by=(*VALUES, ADJOINT, DERIVATIVE, DOUBLE))
def dw_of_the_last_image_alone(correct, x, w, dy, **p):
    dx, _, db = correct(x, w, dy, **p)
    return dx, correct(x[-1:], w, dy[-1:], **p)[1], db


@around("conv2d_backward", by=(*VALUES, DERIVATIVE))
def db_averaged_over_the_batch(correct, x, w, dy, **p):
    dx, dw, db = correct(x, w, dy, **p)
    return dx, dw, (db / max(1, len(x))).astype(db.dtype)


@around("conv2d_backward", by=(*VALUES, DERIVATIVE))
def db_of_the_first_image_alone(correct, x, w, dy, **p):
    dx, dw, _ = correct(x, w, dy, **p)
    return dx, dw, dy[:1].sum((0, 2, 3), dtype=dy.dtype)


@around("conv2d_backward", by=(SHAPE, EXACTLY))
def db_keeps_its_dimensions(correct, x, w, dy, **p):
    dx, dw, db = correct(x, w, dy, **p)
    return dx, dw, db.reshape(1, -1, 1, 1)


@around("conv2d_backward", by=(SHAPE, EXACTLY, ROUNDED, ADJOINT))
def dx_without_the_ragged_remainder(correct, x, w, dy, *, stride, padding, dilation, groups):
    """Give dx the transposed convolution's own size, (OH-1)*S + F_eff - P - P, and forget the rest of the image."""
    dx, dw, db = correct(x, w, dy, stride=stride, padding=padding, dilation=dilation, groups=groups)
    if isinstance(padding, str):
        return dx, dw, db
    H, W = (
        (dy.shape[2 + i] - 1) * stride[i] + dilation[i] * (w.shape[2 + i] - 1) + 1 - sum(padding[i]) for i in (0, 1)
    )
    return dx[:, :, : max(0, H), : max(0, W)], dw, db


@inside("conv2d_backward", by=(*VALUES, ADJOINT, DERIVATIVE, DOUBLE))
def dw_aligned_at_the_end_of_the_image(copy):
    """Drop a ragged remainder at the wrong side, where dw is a convolution of its own."""
    right = copy.im2col

    def im2col(image, vertical, horizontal, G):
        return right(image, shifted(vertical), shifted(horizontal), G)

    def shifted(axis):
        ragged = (axis.image + 2 * axis.before - axis.extent) % axis.stride
        return axis._replace(before=axis.before - ragged)

    copy.im2col = im2col


@inside("conv2d_backward", by=(*VALUES, *IDENTITIES))
def dilation_ignored(copy):
    reading(copy, lambda v, h: (v._replace(dilation=1), h))


@around("conv2d_backward", by=(*VALUES, *IDENTITIES))
def groups_and_filters_of_dw_exchanged(correct, x, w, dy, *, groups, **p):
    dx, dw, db = correct(x, w, dy, groups=groups, **p)
    return dx, dw.reshape(groups, -1, *w.shape[1:]).swapaxes(0, 1).reshape(w.shape), db


@around("conv2d_backward", by=(*VALUES, ADJOINT, DERIVATIVE, DOUBLE))
def gradient_of_the_mean(correct, x, w, dy, **p):
    dx, dw, db = correct(x, w, dy, **p)
    return dx, (dw / max(1, len(x))).astype(dw.dtype), db


@around("conv2d_backward", by=(*VALUES, *IDENTITIES))
def dx_masked_as_if_relu_followed(correct, x, w, dy, **p):
    dx, dw, db = correct(x, w, dy, **p)
    return np.where(x > 0, dx, dx.dtype.type(0)), dw, db


@around("conv2d_backward", by=VALUES)
def gradients_cut_to_tf32(correct, x, w, dy, **p):
    return correct(tf32(x), tf32(w), tf32(dy), **p)


@inside("conv2d_backward", "avg_pool2d_backward", by=VALUES)
def gradients_summed_in_float16(copy):
    arguments(copy, wide=lambda right, array: array.astype(np.float16))


@inside("conv2d_backward", by=VALUES)
def double_gradients_summed_in_float32(copy):
    arguments(copy, wide=lambda right, array: array.astype(np.float32))


@around("conv2d_backward", by=(LOCAL,))
def zero_weights_skipped(correct, x, w, dy, **p):
    """Multiply nothing where a weight is 0, as a sparse kernel does, so that 0 * inf is 0."""
    dx, dw, db = correct(x, w, dy, **p)
    finite, _, _ = correct(x, w, np.where(np.isfinite(dy), dy, dy.dtype.type(0)), **p)
    reached, _, _ = correct(x, (w != 0).astype(w.dtype), (~np.isfinite(dy)).astype(dy.dtype), **p)
    return np.where(reached == 0, finite, dx), dw, db


# max pooling


@around(MAXIMUM, by=(*VALUES, ADJOINT, ACCUMULATED, NONE_LOST, NUMBERING, DERIVATIVE_OF_MAX, RANGE))
def gradient_lost_in_overlaps(correct, dy, switches, x_shape):
    N, C, H, W = x_shape
    flat = (N, C, dy.shape[2] * dy.shape[3])
    dx = np.zeros((N, C, H * W), dy.dtype)
    np.put_along_axis(dx, switches.reshape(flat), dy.reshape(flat), 2)
    return dx.reshape(x_shape)


@around(MAXIMUM, by=(*VALUES, ADJOINT, ROUTED, ACCUMULATED, NONE_LOST, NUMBERING, DERIVATIVE_OF_MAX))
def switch_zero_means_none(correct, dy, switches, x_shape):
    return correct(np.where(switches > 0, dy, dy.dtype.type(0)), switches, x_shape)


@around(MAXIMUM, by=(*VALUES, ROUTED, NONE_LOST, NUMBERING))
def all_images_into_the_first(correct, dy, switches, x_shape):
    dx = correct(dy, switches, x_shape)
    dx[:1] = dx.sum(0)
    dx[1:] = 0
    return dx


@around(MAXIMUM, by=(*VALUES, ROUTED, ADJOINT))
def gradient_goes_by_columns(correct, dy, switches, x_shape):
    N, C, H, W = x_shape
    return correct(dy, switches, (N, C, W, H)).swapaxes(2, 3)


@around(MAXIMUM, by=(LOCAL,))
def routed_by_a_product_with_a_mask(correct, dy, switches, x_shape):
    N, C, H, W = x_shape
    hot = switches.reshape(N, C, -1, 1) == np.arange(H * W) if dy.size else np.zeros((N, C, 1, H * W))
    flat = dy.reshape(N, C, -1, 1) if dy.size else np.zeros((N, C, 1, 1), dy.dtype)
    return (hot * flat).sum(2).reshape(x_shape).astype(dy.dtype)


@around(MAXIMUM, by=(EXACTLY, ACCUMULATED))
def maxima_accumulated_in_float16(correct, dy, switches, x_shape):
    N, C, H, W = x_shape
    dx = np.zeros((N * C, H * W), np.float16)
    np.add.at(dx, (np.arange(N * C)[:, None], switches.reshape(N * C, -1)), dy.reshape(N * C, -1)) if dy.size else None
    return dx.reshape(x_shape).astype(dy.dtype)


@around(MAXIMUM, by=(NUMBERING,))
def backward_wants_switches_by_columns(correct, dy, switches, x_shape):
    H, W = x_shape[2:]
    return correct(dy, switches % W * H + switches // W, x_shape)


# averages


@around("avg_pool2d_backward", by=(*VALUES, ADJOINT, DERIVATIVE))
def padding_always_counted(correct, *arrays, count_include_pad, **p):
    return correct(*arrays, count_include_pad=True, **p)


@around("avg_pool2d_backward", by=(*VALUES, ADJOINT, DERIVATIVE))
def padding_never_counted(correct, *arrays, count_include_pad, **p):
    return correct(*arrays, count_include_pad=False, **p)


@around("avg_pool2d_backward", by=(*VALUES, ADJOINT, DERIVATIVE))
def share_not_divided(correct, *arrays, size, **p):
    dx = correct(*arrays, size=size, **p)
    return dx * dx.dtype.type(size[0] * size[1])


# norms


@around("l2_pool2d_backward", by=(*VALUES, ADJOINT))
def not_divided_by_the_norm(correct, x, dy, **p):
    return correct(x, dy, **p) * x


@inside("l2_pool2d_backward", by=(*VALUES, RANGE))
def epsilon_beside_the_norm(copy):
    sums = copy.column_sums
    copy.column_sums = lambda *a: sums(*a) + np.float32(1e-6)


@around("l2_pool2d_backward", by=(LOCAL,))
def non_finite_gradient_of_zeros_passed_on(correct, x, dy, **p):
    dx = correct(x, dy, **p)
    return dx + 0 * (dy.sum() if dy.size else dy.dtype.type(0))


@inside("l2_pool2d_backward", by=(RANGE,))
def product_before_the_quotient(copy):
    """Take x * dy / norm: the product leaves the range where dy / norm and the answer do not."""

    def l2_pool2d_backward(x, dy, *, size, stride, padding=(0, 0), ceil_mode=False):
        vertical, horizontal = copy.arguments.pooling(
            x.shape, size=size, stride=stride, padding=padding, ceil_mode=ceil_mode
        )
        copy.arguments.gradient(dy, *x.shape[:2], vertical, horizontal)
        norms = np.sqrt(copy.column_sums(x * x, vertical, horizontal))
        norms[norms == 0] = np.inf
        dx = np.zeros_like(x)
        for tap in copy.taps(vertical, horizontal):
            dx[..., *tap.cells] += x[..., *tap.cells] * dy[..., *tap.outputs] / norms[..., *tap.outputs]
        return dx

    copy.l2_pool2d_backward = l2_pool2d_backward
