"""Calls that make no sense and are accepted, or refused otherwise than by a ValueError; valid ones that are refused."""

from __future__ import annotations

import numpy as np

from impls import im2col
from properties.mutants.laws_by_name import (
    ALEXNET,
    COUNT,
    KEYWORDS,
    POOLS,
    REFUSED,
    REFUSED_SIZES,
    SEVEN,
    SHARING,
    TEN,
    WINDOWS,
)
from properties.mutants.planting import arguments, around, inside

SIZED = ("conv2d", *POOLS, *WINDOWS)

# parameters


def checking(copy, **lenient):
    """Let a copy change the numbers of stride, padding or dilation before they are checked."""

    def lax(pairs):
        changed = {}
        for name, pair in pairs.items():
            if name in lenient and not isinstance(pair, str):
                one = lenient[name]
                pair = tuple(tuple(map(one, side)) if isinstance(side, (tuple, list)) else one(side) for side in pair)
            changed[name] = pair
        return changed

    def relaxed(right, *a, **k):
        return right(*a, **lax(k))

    arguments(copy, convolution=relaxed, pooling=relaxed)


@inside(*SIZED, by=(REFUSED,))
def negative_padding_accepted(copy):
    """Negative padding is taken for none."""
    checking(copy, padding=lambda value: max(value, 0))


@inside(*SIZED, by=(REFUSED,))
def stride_zero_taken_for_one(copy):
    """A stride below 1 is taken for 1."""
    checking(copy, stride=lambda value: max(value, 1))


@inside("conv2d", "conv2d_backward", by=(REFUSED,))
def dilation_zero_taken_for_one(copy):
    """A dilation below 1 is taken for 1."""
    checking(copy, dilation=lambda value: max(value, 1))


@inside(*POOLS, *SHARING, by=(REFUSED,))
def padding_as_large_as_the_window(copy):
    """Pooling accepts padding that could hold a whole window."""

    def pooling(right, shape, *, size, stride, padding, dilation=(1, 1), ceil_mode=False):
        return copy.arguments.axes(shape, tuple(size), stride, padding, dilation, ceil_mode)

    arguments(copy, pooling=pooling)


@around("conv2d", *POOLS, by=(REFUSED,))
def too_large_a_window_gives_nothing(correct, x, *arrays, **p):
    """A window that does not fit the padded image gives an empty result, not an error."""
    try:
        return correct(x, *arrays, **p)
    except ValueError as error:
        if "do not fit" in str(error):
            return x[:, :, :0, :0]
        raise


# arrays that do not fit together


@inside("conv2d", by=(REFUSED,))
def bias_of_one_for_all_filters(copy):
    """A bias of one number is accepted for any number of filters."""
    arguments(copy, bias=lambda right, b, K: None if b is not None and b.shape == (1,) else right(b, K))


@inside("conv2d", by=(REFUSED,))
def bias_in_a_column(copy):
    """A bias is accepted in any shape that has one number for each filter."""
    arguments(copy, bias=lambda right, b, K: None if b is not None and b.size == K else right(b, K))


@around("conv2d_backward", by=(REFUSED,))
def larger_dy_cut_to_size(correct, x, w, dy, **p):
    """A dy with more rows or columns than the output is cut to its size."""
    rows, columns = correct_shape(x, w, p)
    return correct(x, w, dy[:, :, :rows, :columns], **p)


def correct_shape(x, w, p):
    """OH and OW, or what dy has where that is refused."""
    try:
        return im2col.conv2d(x[:1], w, None, **p).shape[2:]
    except ValueError:
        return None, None


@around("conv2d_backward", by=(REFUSED,))
def one_dy_for_all_images(correct, x, w, dy, **p):
    """The dy of one image is accepted for any number of images, as NumPy would repeat it."""
    return correct(x, w, np.repeat(dy, len(x), axis=0) if len(dy) == 1 else dy, **p)


@around("conv2d", "conv2d_backward", by=(REFUSED,))
def one_channel_for_all(correct, x, w, *arrays, groups=1, **p):
    """Filters of one channel are accepted for any number of channels, as NumPy would repeat it."""
    channels = x.shape[1] // max(groups, 1)
    w = np.repeat(w, channels, axis=1) if w.shape[1] == 1 < channels else w
    return correct(x, w, *arrays, groups=groups, **p)


@around("conv2d_backward", by=(REFUSED,))
def dy_read_through_its_pointer(correct, x, w, dy, **p):
    """A dy of another shape is accepted where it has as many numbers as the output."""
    rows, columns = correct_shape(x, w, p)
    if rows and dy.size == len(x) * len(w) * rows * columns:
        dy = dy.reshape(len(x), len(w), rows, columns)
    return correct(x, w, dy, **p)


@around("conv2d", by=(REFUSED,))
def groups_that_leave_channels_over(correct, x, w, b, *, groups, **p):
    """Groups need not divide the channels: those left over are not read."""
    if groups > 0 and x.shape[1] >= groups and w.shape[1] == x.shape[1] // groups:
        x = x[:, : x.shape[1] // groups * groups]
    return correct(x, w, b, groups=groups, **p)


@around("conv2d", "conv2d_backward", by=(REFUSED,))
def more_filter_channels_than_read(correct, x, w, *arrays, groups, **p):
    """Filters may have more channels than the image has for them: the rest is not read."""
    if groups > 0 and w.shape[1] > x.shape[1] // groups:
        w = w[:, : x.shape[1] // groups]
    return correct(x, w, *arrays, groups=groups, **p)


# another kind of error


@around(*SIZED, by=(REFUSED,))
def assertions_instead_of_value_errors(correct, *arrays, **p):
    """What makes no sense raises an AssertionError."""
    try:
        return correct(*arrays, **p)
    except ValueError as error:
        raise AssertionError(*error.args) from None


@around(*SIZED, by=(REFUSED,))
def type_errors_for_large_padding(correct, *arrays, **p):
    """Padding that makes no sense raises a TypeError."""
    try:
        return correct(*arrays, **p)
    except ValueError as error:
        raise (TypeError if "padding" in str(error) else ValueError)(*error.args) from None


# sizes


@around("out_size", by=(REFUSED_SIZES,))
def size_by_the_formula_alone(correct, W, F, S, P, dilation=1):
    """The size is calculated of whatever numbers are given: nothing is refused."""
    return (W - dilation * (F - 1) - 1 + 2 * P) // S + 1


@around("out_size", by=(REFUSED_SIZES,))
def size_zero_where_nothing_fits(correct, W, F, S, P, dilation=1):
    """A window that does not fit has the size 0, and is not refused."""
    room = W + 2 * P - dilation * (F - 1) - 1
    return 0 if room < 0 <= P and min(W, F, S, dilation) > 0 else correct(W, F, S, P, dilation)


@around("out_size", by=(REFUSED_SIZES,))
def size_of_negative_padding(correct, W, F, S, P, dilation=1):
    """Negative padding is taken for none in the size."""
    return correct(W, F, S, max(P, 0), dilation)


# valid calls


@around("out_size", by=(COUNT, SEVEN, TEN, ALEXNET))
def valid_size_refused_where_it_is_ragged(correct, W, F, S, P, dilation=1):
    """A size that leaves a remainder is refused."""
    if (W - dilation * (F - 1) - 1 + 2 * P) % S:
        raise ValueError(f"{W} cells do not hold a whole number of windows")
    return correct(W, F, S, P, dilation)


@around("conv2d", by=(KEYWORDS,))
def names_x_otherwise(correct, image, w, b, **p):
    """The image is a parameter of another name, so that x=... raises a TypeError."""
    return correct(image, w, b, **p)


@around("max_pool2d_backward", by=(KEYWORDS,))
def names_the_shape_otherwise(correct, dy, switches, shape):
    """The shape is a parameter of another name, so that x_shape=... raises a TypeError."""
    return correct(dy, switches, shape)


@around("conv2d_backward", "l2_pool2d_backward", by=(KEYWORDS,))
def takes_its_first_array_by_position_only(correct, x, /, *arrays, **p):
    """The image is taken by position only, so that x=... raises a TypeError."""
    return correct(x, *arrays, **p)
