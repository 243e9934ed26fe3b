"""Faults of pooling: maxima and their switches, averages, norms."""

# ruff: noqa: D103 - the name of a fault says what it is

from __future__ import annotations

import numpy as np

from properties import test_specials, test_switches, test_values
from properties.selfcheck.planted_conv import EXACTLY, LOCAL, RANGE, ROUNDED, SHAPE, VALUES
from properties.selfcheck.planting import around, copy_of_im2col, inside

ORDER = test_values.test_pooling_bears_ties_signs_and_order
SIGNS = test_specials.test_max_pooling_keeps_the_sign_of_zero_and_the_ends_of_the_range
INSIDE = test_switches.test_switch_lies_in_its_window
AT_SWITCH = test_switches.test_output_is_the_input_at_its_switch
FIRST = test_switches.test_ties_go_to_the_first_maximum
PADDING = test_switches.test_padding_never_wins

# the maximum


def maximum(copy, wins=None, start=-np.inf, seen=lambda row: row):
    """Let a copy choose by `wins(row, best, switch)`, beginning with `start`, from what it has `seen` of the image."""
    wins = wins or (lambda row, best, switch: (row > best) | np.isnan(row) | (switch < 0))

    def max_pool2d(x, *, size, stride, padding=(0, 0), dilation=(1, 1), ceil_mode=False):
        vertical, horizontal = copy.arguments.pooling(
            x.shape, size=size, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode
        )
        y = np.full((*x.shape[:2], vertical.outputs, horizontal.outputs), np.finfo(x.dtype).min, x.dtype)
        y[...] = start if not callable(start) else start(x)
        switches = np.full(y.shape, -1)
        best_seen = seen(y.copy())
        plane = np.arange(vertical.image * horizontal.image).reshape(vertical.image, horizontal.image)
        for tap in copy.taps(vertical, horizontal):
            row, at = x[..., *tap.cells], (..., *tap.outputs)
            better = wins(seen(row), best_seen[at], switches[at])
            np.copyto(best_seen[at], seen(row), where=better)
            np.copyto(y[at], row, where=better)
            np.copyto(switches[at], plane[tap.cells], where=better)
        return y, switches

    copy.max_pool2d = max_pool2d


@inside("max_pool2d", by=(EXACTLY, ORDER, FIRST))
def last_maximum_wins(copy):
    maximum(copy, lambda row, best, switch: (row >= best) | np.isnan(row))


@inside("max_pool2d", by=(*VALUES, ORDER, PADDING, RANGE))
def zero_padding_wins(copy):
    maximum(copy, lambda row, best, switch: (row > best) | np.isnan(row), start=0)


@inside("max_pool2d", by=(PADDING, SIGNS, LOCAL))
def lowest_finite_number_to_begin_with(copy):
    maximum(copy, lambda row, best, switch: (row > best) | np.isnan(row), start=lambda x: np.finfo(x.dtype).min)


@inside("max_pool2d", by=(PADDING, SIGNS))
def first_minus_infinity_has_no_switch(copy):
    maximum(copy, lambda row, best, switch: (row > best) | np.isnan(row))


@inside("max_pool2d", by=(SIGNS, LOCAL))
def nan_loses_to_numbers(copy):
    maximum(copy, lambda row, best, switch: (row > best) | (switch < 0) | (np.isnan(best) & ~np.isnan(row)))


@inside("max_pool2d", by=(SIGNS, LOCAL))
def nan_wins_only_where_it_is_first(copy):
    maximum(copy, lambda row, best, switch: (row > best) | (switch < 0))


@inside("max_pool2d", by=(SIGNS, LOCAL))
def nan_wins_until_a_number_follows(copy):
    maximum(copy, lambda row, best, switch: ~(row <= best) | (switch < 0))


@inside("max_pool2d", by=(SIGNS, ORDER, FIRST))
def plus_zero_is_larger_than_minus_zero(copy):
    def wins(row, best, switch):
        zeros = (row == 0) & (best == 0) & np.signbit(best) & ~np.signbit(row)
        return (row > best) | np.isnan(row) | (switch < 0) | zeros

    maximum(copy, wins)


@inside("max_pool2d", by=(SIGNS, ORDER, FIRST))
def minus_zero_loses_its_sign(copy):
    right = copy.max_pool2d
    copy.max_pool2d = lambda x, **p: (lambda y, switches: (y + y.dtype.type(0), switches))(*right(x, **p))


@inside("max_pool2d", by=(ORDER, INSIDE, PADDING))
def window_without_a_positive_value_has_no_switch(copy):
    right = copy.max_pool2d
    copy.max_pool2d = lambda x, **p: (lambda y, s: (y, np.where(y > 0, s, -1)))(*right(x, **p))


@inside("max_pool2d", by=(EXACTLY, ORDER))
def compared_in_float16(copy):
    maximum(copy, seen=lambda row: row.astype(np.float16).astype(row.dtype))


@inside("max_pool2d", by=(EXACTLY,))
def doubles_compared_in_float32(copy):
    maximum(copy, seen=lambda row: row.astype(np.float32).astype(row.dtype))


@inside("max_pool2d", by=(*VALUES, ORDER))
def largest_magnitude_wins(copy):
    maximum(copy, seen=np.abs)


# switches


def renumbered(by):
    """Let the switches of max pooling be numbered in another way: number(iy, ix, oy, ox, x, sizes)."""

    def fault(correct, x, **p):
        y, switches = correct(x, **p)
        W = x.shape[3]
        oy, ox = np.indices(y.shape[2:])
        return y, by(switches // W, switches % W, oy, ox, x.shape, p)

    return fault


def starts(p):
    """Give the padding before the image, vertically and horizontally, where it is given by numbers."""
    return (0, 0) if isinstance(p["padding"], str) else (p["padding"][0][0], p["padding"][1][0])


@around("max_pool2d", by=(EXACTLY, ORDER, AT_SWITCH))
def switch_counted_within_the_window(correct, x, *, size, stride, **p):
    top, left = starts(p)

    def number(iy, ix, oy, ox, shape, _):
        return (iy - oy * stride[0] + top) * size[1] + ix - ox * stride[1] + left

    return renumbered(number)(correct, x, size=size, stride=stride, **p)


@around("max_pool2d", by=(EXACTLY, INSIDE, AT_SWITCH))
def switch_counted_in_the_padded_plane(correct, x, **p):
    top, left = starts(p)

    def number(iy, ix, oy, ox, shape, p):
        broad = shape[3] + (0 if isinstance(p["padding"], str) else sum(p["padding"][1]))
        return (iy + top) * broad + ix + left

    return renumbered(number)(correct, x, **p)


@around("max_pool2d", by=(EXACTLY, INSIDE, AT_SWITCH))
def switch_counted_by_columns(correct, x, **p):
    return renumbered(lambda iy, ix, oy, ox, shape, _: ix * shape[2] + iy)(correct, x, **p)


@around("max_pool2d", by=(EXACTLY, INSIDE, AT_SWITCH))
def switch_counted_through_all_planes(correct, x, **p):
    y, switches = correct(x, **p)
    N, C, H, W = x.shape
    return y, switches + np.arange(N * C).reshape(N, C, 1, 1) * H * W


@around("max_pool2d", by=(EXACTLY, AT_SWITCH))
def switches_of_the_first_channel(correct, x, **p):
    y, switches = correct(x, **p)
    return y, np.repeat(switches[:, :1], x.shape[1], 1)


@around("max_pool2d", by=(SHAPE, EXACTLY, INSIDE))
def switches_of_32_bits(correct, x, **p):
    y, switches = correct(x, **p)
    return y, switches.astype(np.int32)


# averages


@around("avg_pool2d", by=VALUES)
def padding_always_counted(correct, x, *, count_include_pad, **p):
    return correct(x, count_include_pad=True, **p)


@around("avg_pool2d", by=VALUES)
def padding_never_counted(correct, x, *, count_include_pad, **p):
    return correct(x, count_include_pad=False, **p)


@inside("avg_pool2d", by=VALUES)
def cells_counted_along_one_axis(copy):
    right = copy.counts

    def counts(vertical, horizontal, count_include_pad):
        return right(vertical._replace(before=0, image=10**6), horizontal, count_include_pad)

    copy.counts = counts


@around("avg_pool2d", by=(*VALUES, ORDER))
def sum_not_divided(correct, x, *, size, **p):
    return correct(x, size=size, **p) * x.dtype.type(size[0] * size[1])


@around("avg_pool2d", by=(EXACTLY, ROUNDED, ORDER))
def average_cut_to_an_integer(correct, x, **p):
    return np.trunc(correct(x, **p))


@around("avg_pool2d", by=(RANGE, ROUNDED))
def divided_by_a_little_more(correct, x, **p):
    return correct(x, **p) * x.dtype.type(1 - 2.0**-9)


# norms


@around("l2_pool2d", by=(*VALUES, ORDER))
def root_not_taken(correct, x, **p):
    return correct(x, **p) ** 2


@around("l2_pool2d", by=(*VALUES, ORDER))
def root_of_the_mean(correct, x, *, size, **p):
    return (correct(x, size=size, **p) / np.sqrt(size[0] * size[1])).astype(x.dtype)


@around("l2_pool2d", by=(*VALUES, ORDER))
def magnitudes_summed(correct, x, *, size, **p):
    return around_average(np.abs(x), size=size, **p) * x.dtype.type(size[0] * size[1])


def around_average(x, **p):
    """Average by im2col."""
    return copy_of_im2col().avg_pool2d(x, **p)


@around("l2_pool2d", by=(RANGE, EXACTLY))
def epsilon_under_the_root(correct, x, **p):
    return np.sqrt(correct(x, **p) ** 2 + x.dtype.type(1e-12))


@around("l2_pool2d", by=(RANGE, EXACTLY, ROUNDED))
def larger_epsilon_under_the_root(correct, x, **p):
    return np.sqrt(correct(x, **p) ** 2 + x.dtype.type(1e-6))


@around("l2_pool2d", by=(EXACTLY, ORDER))
def squares_in_float16(correct, x, **p):
    with np.errstate(all="ignore"):
        squares = x**2 if x.dtype == np.float16 else x.astype(np.float32) ** 2
    return np.sqrt(around_average(squares, **p) * p["size"][0] * p["size"][1]).astype(x.dtype)
