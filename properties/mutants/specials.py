"""Ties, signs and special values: which cell is the maximum; NaN, infinities, signed zeros, subnormal numbers."""

from __future__ import annotations

import numpy as np

from impls.arguments import Array
from properties.mutants.laws_by_name import (
    BACKWARD,
    COMMON_LOCAL,
    ENLARGED,
    EQUAL_WEIGHTS,
    EXACTLY,
    FIRST,
    FORWARD,
    LARGE_LOCAL,
    LEVEL,
    LOCAL,
    LOCAL_BACK,
    MAXIMUM_BACK,
    MAXIMUM_OF_TWO,
    NOT_LINEAR,
    ORDER,
    PADDING,
    RANGE,
    ROWS_THEN_COLUMNS,
    SIGNS,
    VALUES,
)
from properties.mutants.planting import around, inside, turned
from properties.mutants.results import changed

# the maximum


def maximum(copy, wins=None, start=-np.inf, seen=lambda row: row):
    """Let a copy choose by `wins(row, best, switch)`, beginning with `start`, from what it has `seen` of the image."""
    wins = wins or (lambda row, best, switch: (row > best) | np.isnan(row) | (switch < 0))

    def max_pool2d(x, *, size, stride, padding=(0, 0), dilation=(1, 1), ceil_mode=False):
        dtype = copy.arguments.common_dtype(x=x)
        vertical, horizontal = copy.arguments.pooling(
            x.shape, size=size, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode
        )
        y = np.full((*x.shape[:2], vertical.outputs, horizontal.outputs), start(dtype) if callable(start) else start)
        y, switches = y.astype(dtype), np.full(y.shape, -1)
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


@inside("max_pool2d", by=(EXACTLY, ORDER, FIRST, ENLARGED))
def last_maximum_wins(copy):
    """The last of equal cells wins."""
    maximum(copy, lambda row, best, switch: (row >= best) | np.isnan(row))


@around("max_pool2d", by=(ROWS_THEN_COLUMNS,))
def first_maximum_by_columns(correct, x, **p):
    """Of equal cells the first one by columns wins, not by rows."""
    pairs = {name: turned(value) if isinstance(value, (tuple, list)) else value for name, value in p.items()}
    y, switches = correct(x.swapaxes(2, 3), **pairs)
    by_rows = np.where(switches < 0, -1, switches % x.shape[2] * x.shape[3] + switches // x.shape[2])
    return y.swapaxes(2, 3).copy(), by_rows.swapaxes(2, 3).copy()


@inside("max_pool2d", by=(NOT_LINEAR,))
def first_cell_of_each_window(copy):
    """The first cell of a window is taken for its maximum."""
    maximum(copy, lambda row, best, switch: switch < 0)


@inside("max_pool2d", by=(*VALUES, ORDER, MAXIMUM_OF_TWO))
def largest_magnitude_wins(copy):
    """The cell of the largest magnitude wins."""
    maximum(copy, seen=np.abs)


@inside("max_pool2d", by=(*VALUES, ORDER, PADDING, RANGE, LEVEL))
def zero_at_the_start(copy):
    """The search begins with 0: a window of negative cells gives 0, and no switch."""
    maximum(copy, lambda row, best, switch: (row > best) | np.isnan(row), start=0)


@inside("max_pool2d", by=(PADDING, SIGNS, LOCAL))
def lowest_finite_number_to_begin_with(copy):
    """The search begins with the lowest finite number: a window of -inf gives that, and no switch."""
    maximum(copy, lambda row, best, switch: (row > best) | np.isnan(row), start=lambda dtype: np.finfo(dtype).min)


@inside("max_pool2d", by=(PADDING, SIGNS))
def first_minus_infinity_has_no_switch(copy):
    """A window of -inf has no switch, as no cell is greater than what the search begins with."""
    maximum(copy, lambda row, best, switch: (row > best) | np.isnan(row))


@inside("max_pool2d", by=(SIGNS, LOCAL))
def nan_loses_to_numbers(copy):
    """A NaN loses to any number."""
    maximum(copy, lambda row, best, switch: (row > best) | (switch < 0) | (np.isnan(best) & ~np.isnan(row)))


@inside("max_pool2d", by=(SIGNS, LOCAL))
def nan_wins_only_where_it_is_first(copy):
    """A NaN wins only where it is the first cell of its window."""
    maximum(copy, lambda row, best, switch: (row > best) | (switch < 0))


@inside("max_pool2d", by=(SIGNS, LOCAL))
def nan_wins_until_a_number_follows(copy):
    """A NaN wins until a number follows it in the window."""
    maximum(copy, lambda row, best, switch: ~(row <= best) | (switch < 0))


@inside("max_pool2d", by=(SIGNS, ORDER, FIRST))
def plus_zero_is_larger_than_minus_zero(copy):
    """+0 wins over -0, though they are equal."""

    def wins(row, best, switch):
        zeros = (row == 0) & (best == 0) & np.signbit(best) & ~np.signbit(row)
        return (row > best) | np.isnan(row) | (switch < 0) | zeros

    maximum(copy, wins)


@inside("max_pool2d", by=(SIGNS, ORDER, FIRST))
def minus_zero_loses_its_sign(copy):
    """A maximum of -0 is given as +0."""
    right = copy.max_pool2d
    copy.max_pool2d = lambda x, **p: (lambda y, switches: (y + y.dtype.type(0), switches))(*right(x, **p))


# values that are not finite


@around(*FORWARD, *BACKWARD, by=(LOCAL, LOCAL_BACK))
def nan_made_a_number(correct, *arrays, **p):
    """Results have 0 for NaN, and the largest number for infinity."""
    return changed(correct(*arrays, **p), np.nan_to_num)


@around("conv2d", "max_pool2d", "avg_pool2d", by=(LOCAL,))
def infinity_clipped_to_the_largest_number(correct, x, *arrays, **p):
    """Infinities in the image are clipped to the largest number."""
    largest = np.finfo(x.dtype).max
    return correct(np.clip(x, -largest, largest), *arrays, **p)


@around(*FORWARD, by=(LOCAL,))
def one_nan_spoils_its_image(correct, x, *arrays, **p):
    """One NaN makes all results of its image NaN."""
    result = correct(x, *arrays, **p)
    spoiled = np.isnan(x).any((1, 2, 3), keepdims=True)
    return changed(result, lambda values: np.where(spoiled, values.dtype.type(np.nan), values))


@around("conv2d", by=(LOCAL,))
def zero_weights_skipped(correct, x, w, b, **p):
    """Weights of 0 are skipped, as a sparse kernel does, so that 0 * inf is 0."""
    y = correct(x, w, b, **p)
    finite = correct(without(x), w, b, **p)
    reached = correct((~np.isfinite(x)).astype(x.dtype), (w != 0).astype(w.dtype), None, **p)
    return np.where(reached == 0, finite, y)


@around("conv2d_backward", by=(LOCAL_BACK,))
def zero_weights_skipped_in_dx(correct, x, w, dy, **p):
    """Weights of 0 send no gradient back, as in a sparse kernel, so that 0 * inf is 0."""
    dx, dw, db = correct(x, w, dy, **p)
    finite, _, _ = correct(x, w, without(dy), **p)
    reached, _, _ = correct(x, (w != 0).astype(w.dtype), (~np.isfinite(dy)).astype(dy.dtype), **p)
    return np.where(reached == 0, finite, dx), dw, db


def without(array: Array) -> Array:
    """Put zeros where an array is not finite."""
    return np.where(np.isfinite(array), array, array.dtype.type(0))


@around("conv2d", by=(LOCAL,))
def padding_multiplied_by_infinity(correct, x, w, b, **p):
    """Cells beyond the image are read and then multiplied by 0: a NaN or an infinity spoils the last outputs."""
    y = correct(x, w, b, **p)
    y[..., -1:] += 0 * x.sum() if x.size else 0
    return y


@around(MAXIMUM_BACK, by=(LOCAL_BACK,))
def routed_by_a_product_with_a_mask(correct, dy, switches, x_shape):
    """Every cell gets the sum of all gradients times a mask of zeros and ones: 0 * inf is NaN."""
    dx = correct(dy, switches, x_shape)
    if not dy.size:
        return dx
    N, C, H, W = x_shape
    hot = switches.reshape(N, C, -1, 1) == np.arange(H * W)
    return (hot * dy.reshape(N, C, -1, 1)).sum(2).reshape(x_shape).astype(dx.dtype)


@around("l2_pool2d_backward", by=(LOCAL_BACK,))
def non_finite_gradient_of_zeros_passed_on(correct, x, dy, **p):
    """0 times the sum of dy is added to every gradient: a NaN or an infinity spoils them all."""
    dx = correct(x, dy, **p)
    return dx + 0 * (dy.sum() if dy.size else dy.dtype.type(0))


@around("conv2d_backward", by=(COMMON_LOCAL, LARGE_LOCAL))
def zeros_below_dy_meet_nan(correct, x, w, dy, **p):
    """Rows of zeros fill dy up to a multiple of eight, and meet rows of the image that their windows see: 0 * NaN."""
    dx, dw, db = correct(x, w, dy, **p)
    rows = -dy.shape[2] % 8
    if dy.shape[2] < 8 or not rows or isinstance(p["padding"], str):
        return dx, dw, db
    taller = np.pad(x, ((0, 0), (0, 0), (0, rows * p["stride"][0]), (0, 0)))
    return dx, correct(taller, w, np.pad(dy, ((0, 0), (0, 0), (0, rows), (0, 0))), **p)[1], db


@around("avg_pool2d_backward", by=(COMMON_LOCAL, LARGE_LOCAL))
def spreads_gradients_by_running_sums(correct, *arrays, **p):
    """Rows of eight cells and more are differences of running sums, in which a NaN or an infinity stays for good."""
    dx = correct(*arrays, **p)
    lost = np.logical_or.accumulate(~np.isfinite(dx), axis=3)
    return np.where(lost, dx.dtype.type(np.nan), dx) if dx.shape[3] >= 8 else dx


# subnormal numbers


@around("conv2d", "max_pool2d", "avg_pool2d", by=(RANGE,))
def subnormal_inputs_flushed(correct, x, *arrays, **p):
    """Subnormal cells of the image are taken for 0."""
    return correct(np.where(abs(x) < np.finfo(x.dtype).tiny, 0 * x, x), *arrays, **p)


@around("conv2d", "max_pool2d", "avg_pool2d", "conv2d_backward", "avg_pool2d_backward", MAXIMUM_BACK, by=(RANGE,))
def subnormal_outputs_flushed(correct, *arrays, **p):
    """Subnormal results are given as 0."""
    return changed(correct(*arrays, **p), lambda y: np.where(abs(y) < np.finfo(y.dtype).tiny, 0 * y, y))


@around("conv2d", by=(RANGE,))
def products_below_1e_30_left_out(correct, x, w, b, **p):
    """Results of less than 1e-30 are given as 0."""
    y = correct(x, w, b, **p)
    return np.where(abs(y) < 1e-30, 0 * y, y)


@around("conv2d", by=(EQUAL_WEIGHTS,))
def adds_cells_up_before_equal_weights(correct, x, w, b, **p):
    """Where all weights are the same the cells of a window are added up first, and may overflow."""
    if not w.size or not (w == w.flat[0]).all():
        return correct(x, w, b, **p)
    y = correct(x, np.ones_like(w), None, **p) * w.flat[0]
    return y if b is None else y + b[:, None, None]
