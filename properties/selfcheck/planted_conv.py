"""Faults of forward convolutions, and of sizes."""

# ruff: noqa: D103 - the name of a fault says what it is

from __future__ import annotations

import numpy as np

from impls.arguments import Array
from properties import test_shape, test_specials, test_values
from properties.selfcheck.planting import arguments, around, inside, reading, turned

EXACTLY = test_values.test_output_equals_the_definition_exactly
ROUNDED = test_values.test_output_equals_the_definition_within_rounding
SHAPE = test_shape.test_output_has_the_shape_that_counting_gives
COUNT = test_shape.test_out_size_counts_the_windows
LOCAL = test_specials.test_non_finite_values_stay_local
RANGE = test_specials.test_the_whole_range_is_kept
VALUES = (EXACTLY, ROUNDED)
FORWARD = ("conv2d", "max_pool2d", "avg_pool2d", "l2_pool2d")
POOLS = FORWARD[1:]

# which filter meets which cells


@around("conv2d", by=(*VALUES, RANGE))
def filter_flipped(correct, x, w, b, **p):
    return correct(x, w[..., ::-1, ::-1], b, **p)


@around("conv2d", by=VALUES)
def filter_transposed_where_it_is_square(correct, x, w, b, **p):
    return correct(x, w.swapaxes(2, 3) if w.shape[2] == w.shape[3] else w, b, **p)


@around("conv2d", by=VALUES)
def groups_and_filters_exchanged(correct, x, w, b, *, groups, **p):
    y = correct(x, w, b, groups=groups, **p)
    return y.reshape(y.shape[0], groups, -1, *y.shape[2:]).swapaxes(1, 2).reshape(y.shape)


@around("conv2d", by=VALUES)
def every_group_reads_the_first_channels(correct, x, w, b, *, groups, **p):
    first = x[:, : x.shape[1] // groups]
    return correct(np.concatenate([first] * groups, axis=1), w, b, groups=groups, **p)


@around("conv2d", by=VALUES)
def depthwise_filter_reads_channel_k_modulo_c(correct, x, w, b, *, groups, **p):
    K, C = w.shape[0], x.shape[1]
    if groups != C:
        return correct(x, w, b, groups=groups, **p)
    return correct(x[:, np.arange(K) % C], w, b, groups=K, **p)  # channel k // (K/C) is right


@around("conv2d", *POOLS, by=(*VALUES, RANGE))
def every_image_is_the_first(correct, x, *arrays, **p):
    return correct(np.repeat(x[:1], len(x), 0), *arrays, **p)


# sizes and steps


@around(*FORWARD, by=(EXACTLY, SHAPE))
def strides_swapped(correct, *arrays, stride, **p):
    return correct(*arrays, stride=turned(stride), **p)


@around("conv2d", by=(EXACTLY, ROUNDED, SHAPE))
def padding_swapped(correct, *arrays, padding, **p):
    return correct(*arrays, padding=turned(padding), **p)


@around("conv2d", *POOLS, by=VALUES)
def padding_before_and_after_exchanged(correct, *arrays, padding, **p):
    return correct(*arrays, padding=padding if isinstance(padding, str) else tuple(map(turned, padding)), **p)


@inside(*FORWARD, by=VALUES)
def steps_swapped_in_the_loop(copy):
    reading(copy, lambda v, h: (v._replace(stride=h.stride), h._replace(stride=v.stride)))


@inside("conv2d", "max_pool2d", by=(EXACTLY,))
def dilation_ignored_across(copy):
    reading(copy, lambda v, h: (v, h._replace(dilation=1)))


@inside(*FORWARD, by=(SHAPE,))
def sizes_rounded_up(copy):
    def rounded_up(axis):
        ragged = (axis.image + 2 * axis.before - axis.extent) % axis.stride
        return axis._replace(outputs=axis.outputs + bool(ragged))

    reading(copy, lambda v, h: (rounded_up(v), rounded_up(h)))


@inside(*FORWARD, by=VALUES)
def last_column_of_the_image_left_out(copy):
    reading(copy, lambda v, h: (v, h._replace(image=max(1, h.image - 1))))


@around("conv2d", *POOLS, by=(EXACTLY, ROUNDED, SHAPE))
def rows_and_columns_exchanged_in_the_result(correct, *arrays, **p):
    result = correct(*arrays, **p)
    if isinstance(result, tuple):
        return tuple(part.swapaxes(2, 3) for part in result)
    return result.swapaxes(2, 3)


@around("conv2d", by=VALUES)
def columns_in_fours_without_the_rest(correct, *arrays, **p):
    y = correct(*arrays, **p)
    y[..., y.shape[3] // 4 * 4 :] = 0
    return y


@around("conv2d", by=VALUES)
def border_repeated_where_zeros_are_due(correct, x, w, b, *, padding, **p):
    sides = ((0, 0), (0, 0), *padding)
    if isinstance(padding, str) or not x.size:
        return correct(x, w, b, padding=padding, **p)
    return correct(np.pad(x, sides, "edge"), w, b, padding=(0, 0), **p)


@around(*FORWARD, by=(SHAPE,))
def single_image_loses_its_batch(correct, *arrays, **p):
    result = correct(*arrays, **p)
    parts = result if isinstance(result, tuple) else (result,)
    parts = tuple(part[0] if len(part) == 1 else part for part in parts)
    return parts if isinstance(result, tuple) else parts[0]


@around(*FORWARD, by=(SHAPE, EXACTLY))
def doubles_returned(correct, *arrays, **p):
    result = correct(*arrays, **p)
    return (result[0].astype(float), result[1]) if isinstance(result, tuple) else result.astype(float)


@around(*FORWARD, by=(SHAPE,))
def no_images_are_an_error(correct, x, *arrays, **p):
    if not len(x):
        raise IndexError("index 0 is out of bounds for axis 0 with size 0")
    return correct(x, *arrays, **p)


# bias


@around("conv2d", by=VALUES)
def bias_added_twice(correct, x, w, b, **p):
    return correct(x, w, None if b is None else 2 * b, **p)


@around("conv2d", by=VALUES)
def bias_of_the_first_group_alone(correct, x, w, b, *, groups, **p):
    if b is not None:
        b = np.where(np.arange(len(b)) < len(b) // groups, b, b.dtype.type(0))
    return correct(x, w, b, groups=groups, **p)


@around("conv2d", by=VALUES)
def bias_forgotten(correct, x, w, b, **p):
    return correct(x, w, None, **p)


# precision


@inside("conv2d", "avg_pool2d", "l2_pool2d", by=VALUES)
def sums_in_float16(copy):
    arguments(copy, wide=lambda right, array: array.astype(np.float16))


@inside("conv2d", "avg_pool2d", "l2_pool2d", by=VALUES)
def doubles_summed_in_float32(copy):
    arguments(copy, wide=lambda right, array: array.astype(np.float32))


@around("conv2d", by=VALUES)
def operands_cut_to_tf32(correct, x, w, b, **p):
    return correct(tf32(x), tf32(w), b, **p)


@around("conv2d", by=(ROUNDED,))
def filters_cut_to_tf32(correct, x, w, b, **p):
    return correct(x, tf32(w), b, **p)


@inside("conv2d", by=(ROUNDED,))
def small_floats_summed_as_they_are_stored(copy):
    arguments(copy, wide=lambda right, array: array.astype(array.dtype.newbyteorder("=")))


@around("conv2d", "avg_pool2d", by=VALUES)
def fifteen_bits_kept(correct, x, *arrays, **p):
    """As two float16 or bfloat16 products make one of float32, the last one left out."""
    y = correct(x, *arrays, **p)
    mantissa, exponent = np.frexp(y)
    return np.ldexp(np.trunc(mantissa * 2**15) / 2**15, exponent).astype(y.dtype)


def tf32(array: Array) -> Array:
    """Cut float32 numbers to 11 bits, as tensor cores read them; leave other types as they are."""
    if array.dtype != np.float32:
        return array
    return (np.ascontiguousarray(array).view(np.uint32) & np.uint32(0xFFFFE000)).view(np.float32)


# out_size


@around("out_size", by=(COUNT,))
def size_rounded_up(correct, W, F, S, P, dilation=1):
    return -((correct(W, F, 1, P, dilation) - 1) // -S) + 1


@around("out_size", by=(COUNT,))
def size_of_the_dense_window(correct, W, F, S, P, dilation=1):
    return correct(W, F, S, P)


@around("out_size", by=(COUNT,))
def size_padded_on_one_side(correct, W, F, S, P, dilation=1):
    return max(1, (W - dilation * (F - 1) - 1 + P) // S + 1)


@around("out_size", by=(COUNT,))
def size_as_a_float(correct, W, F, S, P, dilation=1):
    return float(correct(W, F, S, P, dilation))


@around("out_size", by=(COUNT,))
def size_divided_in_float32(correct, W, F, S, P, dilation=1):
    return int(np.float32(correct(W, F, 1, P, dilation) - 1) / np.float32(S)) + 1


@around("out_size", by=(COUNT,))
def size_of_sixteen_bits(correct, W, F, S, P, dilation=1):
    return correct(W, F, S, P, dilation) % 2**16
