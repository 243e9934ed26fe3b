"""Faults at the edges: special values, the ends of the range, and calls that must be refused."""

# ruff: noqa: D103 - the name of a fault says what it is

from __future__ import annotations

import numpy as np

from properties import test_refusals
from properties.selfcheck.planted_conv import COUNT, FORWARD, LOCAL, POOLS, RANGE, VALUES
from properties.selfcheck.planting import arguments, around, inside

REFUSED = test_refusals.test_invalid_calls_are_refused
REFUSED_SIZES = test_refusals.test_out_size_refuses_what_the_operations_refuse
SIZED_GRADIENTS = ("avg_pool2d_backward", "l2_pool2d_backward")
SIZED = ("conv2d", "conv2d_backward", *POOLS, *SIZED_GRADIENTS)

# special values and the range


def each(result, change):
    """Change y and leave switches."""
    return (change(result[0]), result[1]) if isinstance(result, tuple) else change(result)


@around(*FORWARD, by=(LOCAL,))
def nan_made_a_number(correct, *arrays, **p):
    return each(correct(*arrays, **p), np.nan_to_num)


@around("conv2d", "max_pool2d", "avg_pool2d", by=(LOCAL,))
def infinity_clipped_to_the_largest_number(correct, x, *arrays, **p):
    largest = np.finfo(x.dtype).max
    return correct(np.clip(x, -largest, largest), *arrays, **p)


@around(*FORWARD, by=(LOCAL,))
def one_nan_spoils_its_image(correct, x, *arrays, **p):
    y = correct(x, *arrays, **p)
    spoiled = np.isnan(x).any((1, 2, 3), keepdims=True)
    return each(y, lambda values: np.where(spoiled, values.dtype.type(np.nan), values))


@around("conv2d", by=(LOCAL,))
def zero_weights_skipped(correct, x, w, b, **p):
    y = correct(x, w, b, **p)
    finite = correct(np.where(np.isfinite(x), x, x.dtype.type(0)), w, b, **p)
    reached = correct((~np.isfinite(x)).astype(x.dtype), (w != 0).astype(w.dtype), None, **p)
    return np.where(reached == 0, finite, y)


@around("conv2d", by=(LOCAL,))
def padding_multiplied_by_infinity(correct, x, w, b, **p):
    """Border cells are read beyond the image and masked afterwards by a product."""
    y = correct(x, w, b, **p)
    y[..., -1:] += 0 * x.sum() if x.size else 0
    return y


@around("conv2d", "max_pool2d", "avg_pool2d", by=(RANGE,))
def subnormal_inputs_flushed(correct, x, *arrays, **p):
    return correct(np.where(abs(x) < np.finfo(x.dtype).tiny, 0 * x, x), *arrays, **p)


@around("conv2d", "max_pool2d", "avg_pool2d", by=(RANGE,))
def subnormal_outputs_flushed(correct, *arrays, **p):
    return each(correct(*arrays, **p), lambda y: np.where(abs(y) < np.finfo(y.dtype).tiny, 0 * y, y))


@around("conv2d", by=(RANGE,))
def products_below_1e_30_left_out(correct, x, w, b, **p):
    y = correct(x, w, b, **p)
    return np.where(abs(y) < 1e-30, 0 * y, y)


@around("max_pool2d", "avg_pool2d", by=(RANGE,))
def values_clipped_at_1e4(correct, x, **p):
    return correct(np.clip(x, -1e4, 1e4).astype(x.dtype), **p)


@inside("l2_pool2d", by=VALUES)
def square_roots_of_float16_squares(copy):
    arguments(copy, wide=lambda right, array: array.astype(array.dtype.newbyteorder("=")))


@around("l2_pool2d", by=(RANGE, *VALUES))
def doubles_squared_in_float32(correct, x, **p):
    return correct(x.astype(np.float32), **p).astype(x.dtype) if x.dtype == np.float64 else correct(x, **p)


# refusals


def checking(copy, **lenient):
    """Let a copy change the numbers of stride, padding or dilation before they are checked."""

    def lax(pairs):
        changed = {}
        for name, pair in pairs.items():
            if name in lenient and not isinstance(pair, str):
                one = lenient[name]
                pair = tuple(tuple(map(one, side)) if isinstance(side, tuple) else one(side) for side in pair)
            changed[name] = pair
        return changed

    def relaxed(right, *a, **k):
        return right(*a, **lax(k))

    arguments(copy, convolution=relaxed, pooling=relaxed)


@inside(*SIZED, by=(REFUSED,))
def negative_padding_accepted(copy):
    """As most loops do: the image is read from further inside."""
    checking(copy, padding=lambda value: max(value, 0))


@inside(*SIZED, by=(REFUSED,))
def stride_zero_taken_for_one(copy):
    checking(copy, stride=lambda value: max(value, 1))


@inside("conv2d", "conv2d_backward", by=(REFUSED,))
def dilation_zero_taken_for_one(copy):
    checking(copy, dilation=lambda value: max(value, 1))


@inside("conv2d", by=(REFUSED,))
def bias_of_one_for_all_filters(copy):
    arguments(copy, bias=lambda right, b, K: None if b is not None and b.shape == (1,) else right(b, K))


@inside("conv2d", by=(REFUSED,))
def bias_in_a_column(copy):
    arguments(copy, bias=lambda right, b, K: None if b is not None and b.size == K else right(b, K))


@around("conv2d_backward", by=(REFUSED,))
def larger_dy_cut_to_size(correct, x, w, dy, **p):
    rows, columns = correct_shape(x, w, p)
    return correct(x, w, dy[:, :, :rows, :columns], **p)


def correct_shape(x, w, p):
    """OH and OW, or what dy has where that is refused."""
    from impls import im2col

    try:
        return im2col.conv2d(x[:1], w, None, **p).shape[2:]
    except ValueError:
        return None, None


@around("conv2d_backward", by=(REFUSED,))
def dy_read_through_its_pointer(correct, x, w, dy, **p):
    rows, columns = correct_shape(x, w, p)
    if rows and dy.size == len(x) * len(w) * rows * columns:
        dy = dy.reshape(len(x), len(w), rows, columns)
    return correct(x, w, dy, **p)


@around("conv2d", by=(REFUSED,))
def groups_that_leave_channels_over(correct, x, w, b, *, groups, **p):
    if groups > 0 and x.shape[1] >= groups and w.shape[1] == x.shape[1] // groups:
        x = x[:, : x.shape[1] // groups * groups]
    return correct(x, w, b, groups=groups, **p)


@around("conv2d", "conv2d_backward", by=(REFUSED,))
def more_filter_channels_than_read(correct, x, w, *arrays, groups, **p):
    if groups > 0 and w.shape[1] > x.shape[1] // groups:
        w = w[:, : x.shape[1] // groups]
    return correct(x, w, *arrays, groups=groups, **p)


@inside(*POOLS, *SIZED_GRADIENTS, by=(REFUSED,))
def padding_as_large_as_the_window(copy):
    def pooling(right, shape, *, size, stride, padding, dilation=(1, 1), ceil_mode=False):
        return copy.arguments.axes(shape, tuple(size), stride, padding, dilation, ceil_mode)

    arguments(copy, pooling=pooling)


@around("conv2d", *POOLS, by=(REFUSED,))
def too_large_a_window_gives_nothing(correct, x, *arrays, **p):
    try:
        return correct(x, *arrays, **p)
    except ValueError as error:
        if "do not fit" in str(error):
            return x[:, :, :0, :0]
        raise


@around(*SIZED, by=(REFUSED,))
def assertions_instead_of_value_errors(correct, *arrays, **p):
    try:
        return correct(*arrays, **p)
    except ValueError as error:
        raise AssertionError(*error.args) from None


@around(*SIZED, by=(REFUSED,))
def type_errors_for_large_padding(correct, *arrays, **p):
    try:
        return correct(*arrays, **p)
    except ValueError as error:
        raise (TypeError if "padding" in str(error) else ValueError)(*error.args) from None


@around("conv2d", *POOLS, by=(REFUSED,))
def unusable_after_a_refusal(correct, *arrays, _broken=[], **p):  # noqa: B006 - a workspace that is kept
    try:
        result = correct(*arrays, **p)
    except ValueError:
        _broken.append(True)
        raise
    if _broken:
        _broken.clear()
        return each(result, lambda y: 0 * y)
    return result


@around("out_size", by=(REFUSED_SIZES,))
def size_by_the_formula_alone(correct, W, F, S, P, dilation=1):
    return (W - dilation * (F - 1) - 1 + 2 * P) // S + 1


@around("out_size", by=(REFUSED_SIZES,))
def size_zero_where_nothing_fits(correct, W, F, S, P, dilation=1):
    room = W + 2 * P - dilation * (F - 1) - 1
    return 0 if room < 0 <= P and min(W, F, S, dilation) > 0 else correct(W, F, S, P, dilation)


@around("out_size", by=(REFUSED_SIZES,))
def size_of_negative_padding(correct, W, F, S, P, dilation=1):
    return correct(W, F, S, max(P, 0), dilation)


@around("out_size", by=(COUNT,))
def valid_size_refused_where_it_is_ragged(correct, W, F, S, P, dilation=1):
    if (W - dilation * (F - 1) - 1 + 2 * P) % S:
        raise ValueError("the stride does not divide")
    return correct(W, F, S, P, dilation)
