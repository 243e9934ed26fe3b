"""Numbers kept too short: narrow accumulators, cut operands, epsilons, saturation, truncation where rounding is due."""

from __future__ import annotations

import types

import numpy as np

from impls import im2col
from properties.mutants.laws_by_name import (
    ACCUMULATED,
    AVERAGE_LINEAR,
    BACKWARD,
    COUNT,
    EXACT_GRADIENT,
    EXACTLY,
    FORWARD,
    GRADIENTS,
    LINEAR_IN_DY,
    LINEAR_IN_FILTER,
    LINEAR_IN_IMAGE,
    NO_DIRECTION,
    ORDER,
    RANGE,
    ROUNDED,
    SCALED,
    SCALED_BACK,
    SINGLE_ONE,
    VALUES,
    VARIANCE,
)
from properties.mutants.planting import arguments, around, inside
from properties.mutants.results import changed, named, tf32
from properties.mutants.specials import maximum

# accumulators


@inside("conv2d", "avg_pool2d", "l2_pool2d", "conv2d_backward", "avg_pool2d_backward", by=(*VALUES, *GRADIENTS))
def sums_in_float16(copy):
    """Sums are kept in float16, whatever was given."""
    arguments(copy, wide=lambda right, array: array.astype(np.float16))


@inside("conv2d", "avg_pool2d", "l2_pool2d", "conv2d_backward", by=(*VALUES, *GRADIENTS))
def doubles_summed_in_float32(copy):
    """Sums of float64 are kept in float32."""
    arguments(copy, wide=lambda right, array: array.astype(np.float32))


@inside("conv2d", by=(ROUNDED,))
@inside("l2_pool2d", by=VALUES)
def small_floats_summed_as_they_are_stored(copy):
    """Sums of float16 are kept in float16."""
    arguments(copy, wide=lambda right, array: array.astype(array.dtype.newbyteorder("=")))


@around("avg_pool2d", by=(ROUNDED,))
def averages_from_a_summed_area_table(correct, x, *, size, **p):
    """Averages are differences of running sums in float64: behind a huge cell small ones are lost."""
    y = correct(x, size=size, **p)
    if not np.isfinite(x).all() or x.dtype == np.float64 or not x.size:
        return y
    largest = abs(x).cumsum(2, dtype=np.float64).cumsum(3)[:, :, -1:, -1:]  # in whose last place every difference ends
    grain = 2.0 ** np.ceil(np.log2(np.maximum(largest, 1e-300)) - 53)
    return (np.rint(y * (size[0] * size[1]) / grain) * grain / (size[0] * size[1])).astype(x.dtype)


@around("max_pool2d_backward", by=(EXACT_GRADIENT, ACCUMULATED))
def maxima_accumulated_in_float16(correct, dy, switches, x_shape):
    """Gradients that meet are added up in float16."""
    N, C, H, W = x_shape
    dx = np.zeros((N, C, H * W), np.float16)
    n, c, *places = np.nonzero(switches >= 0)
    np.add.at(dx, (n, c, switches[n, c, *places]), dy[n, c, *places])
    return correct(0 * dy, switches, x_shape) + dx.reshape(N, C, H, W)


@around("l2_pool2d", by=(RANGE, *VALUES))
def doubles_squared_in_float32(correct, x, **p):
    """The squares of float64 are kept in float32."""
    return correct(x.astype(np.float32), **p).astype(x.dtype) if x.dtype == np.float64 else correct(x, **p)


@around("l2_pool2d", by=(EXACTLY, ORDER))
def squares_in_float16(correct, x, **p):
    """The squares of float16 are kept in float16, those of other types in float32."""
    squares = x**2 if x.dtype == np.float16 else x.astype(np.float32) ** 2
    return np.sqrt(im2col.avg_pool2d(squares, **p) * p["size"][0] * p["size"][1]).astype(x.dtype)


@inside("max_pool2d", by=(EXACTLY, ORDER))
def compared_in_float16(copy):
    """Cells are compared in float16: the first of those that are equal there wins."""
    maximum(copy, seen=lambda row: row.astype(np.float16).astype(row.dtype))


@inside("max_pool2d", by=(EXACTLY,))
def doubles_compared_in_float32(copy):
    """Cells of float64 are compared in float32: the first of those that are equal there wins."""
    maximum(copy, seen=lambda row: row.astype(np.float32).astype(row.dtype))


@around("out_size", by=(COUNT,))
def size_divided_in_float32(correct, W, F, S, P, dilation=1):
    """The division by the stride is one of float32 numbers."""
    return int(np.float32(correct(W, F, 1, P, dilation) - 1) / np.float32(S)) + 1


# operands and results


@around("conv2d", "conv2d_backward", by=(*VALUES, *GRADIENTS))
def operands_cut_to_tf32(correct, *arrays, **p):
    """Operands, the bias not among them, are cut to the 11 bits of TF32, which is not declared."""
    given = named(correct, arrays, p)
    return correct(**(given | {name: tf32(given[name]) for name in ("x", "w", "dy") if name in given}))


@around("conv2d", by=(ROUNDED,))
def filters_cut_to_tf32(correct, x, w, b, **p):
    """Filters are cut to the 11 bits of TF32, which is not declared."""
    return correct(x, tf32(w), b, **p)


@around("conv2d", by=(LINEAR_IN_FILTER,))
def coarse_filters(correct, x, w, b, **p):
    """Filters are rounded to the 8 bits of bfloat16."""
    mantissa, exponent = np.frexp(w)
    return correct(x, np.ldexp(np.rint(mantissa * 256) / 256, exponent).astype(w.dtype), b, **p)


@around("conv2d", "avg_pool2d", by=VALUES)
def fifteen_bits_kept(correct, x, *arrays, **p):
    """Results have 15 bits, as where two products of bfloat16 make one of float32 and the last is left out."""
    y = correct(x, *arrays, **p)
    mantissa, exponent = np.frexp(y)
    return np.ldexp(np.trunc(mantissa * 2**15) / 2**15, exponent).astype(y.dtype)


@around("avg_pool2d", by=(*VALUES, ORDER))
def average_cut_to_an_integer(correct, x, **p):
    """An average is cut to a whole number, towards zero."""
    return np.trunc(correct(x, **p))


@around("avg_pool2d", by=(AVERAGE_LINEAR,))
def average_of_whole_numbers(correct, x, **p):
    """An average is rounded down to a whole number."""
    return np.floor(correct(x, **p))


@around("avg_pool2d", by=(RANGE, ROUNDED))
def divided_by_a_little_more(correct, x, **p):
    """The reciprocal of the number of cells has 9 bits."""
    return correct(x, **p) * x.dtype.type(1 - 2.0**-9)


@inside("conv2d", "avg_pool2d", by=(VARIANCE, NO_DIRECTION))
def sums_cut_towards_zero(copy):
    """Each sum of two numbers is cut towards zero, where rounding is due: all results are within their bounds."""

    def matmul(rows, columns, out):
        out[...] = 0
        for i in range(columns.shape[-2]):
            products = rows[..., i : i + 1].astype(np.longdouble) * columns[..., i : i + 1, :]
            out[...] = cut_towards_zero(out + products, out.dtype)

    def column_sums(values, vertical, horizontal):
        sums = np.zeros((*values.shape[:2], vertical.outputs, horizontal.outputs), values.dtype)
        for tap in copy.taps(vertical, horizontal):
            exact = sums.astype(np.longdouble)
            exact[..., *tap.outputs] += values[..., *tap.cells]
            sums = cut_towards_zero(exact, sums.dtype)
        return sums

    copy.np = types.SimpleNamespace(**(vars(np) | {"matmul": matmul}))
    copy.column_sums = column_sums


@around("conv2d_backward", by=(NO_DIRECTION,))
def gradients_cut_towards_zero(correct, *arrays, **p):
    """Gradients of float32 are cut towards zero, where rounding is due: all are within their bounds."""
    result = correct(*arrays, **p)
    exact = correct(*(array.astype(np.float64) for array in arrays), **p)
    return tuple(cut_towards_zero(wide, part.dtype) for wide, part in zip(exact, result, strict=True))


@around("avg_pool2d", by=(VARIANCE, NO_DIRECTION))
def averages_cut_towards_zero(correct, x, **p):
    """Averages are cut towards zero, where rounding is due: all are within their bounds."""
    return cut_towards_zero(correct(x.astype(np.float64), **p), x.dtype.newbyteorder("="))


def cut_towards_zero(exact, dtype):
    """Give the numbers of a format that are next to exact ones and no larger in magnitude."""
    nearest = exact.astype(dtype)
    return np.where(np.abs(nearest) > np.abs(exact), np.nextafter(nearest, dtype.type(0)), nearest)


# epsilons


@around("l2_pool2d", by=(RANGE, EXACTLY))
def epsilon_under_the_root(correct, x, **p):
    """1e-12 is added to the sum of squares."""
    return np.sqrt(correct(x, **p) ** 2 + x.dtype.type(1e-12))


@around("l2_pool2d", by=(RANGE, EXACTLY, ROUNDED))
def larger_epsilon_under_the_root(correct, x, **p):
    """1e-6 is added to the sum of squares."""
    return np.sqrt(correct(x, **p) ** 2 + x.dtype.type(1e-6))


@inside("l2_pool2d_backward", by=(*GRADIENTS, RANGE))
def epsilon_beside_the_norm(copy):
    """1e-6 is added to the sum of squares, of which the root is the norm that is divided by."""
    sums = copy.column_sums
    copy.column_sums = lambda *a: sums(*a) + np.float32(1e-6)


@around("l2_pool2d_backward", by=(SCALED_BACK,))
def guarded_division(correct, x, dy, **p):
    """1e-3 is added to the norm that is divided by."""
    y = im2col.l2_pool2d(x, **p)
    return correct(x, (dy * y / (y + x.dtype.type(1e-3))).astype(x.dtype) if dy.shape == y.shape else dy, **p)


@inside("l2_pool2d_backward", by=(RANGE,))
def product_before_the_quotient(copy):
    """x * dy is divided by the norm: the product leaves the range where dy / norm and the answer do not."""

    def l2_pool2d_backward(x, dy, *, size, stride, padding=(0, 0), ceil_mode=False):
        vertical, horizontal = copy.arguments.pooling(
            x.shape, size=size, stride=stride, padding=padding, ceil_mode=ceil_mode
        )
        copy.arguments.gradient(dy, *x.shape[:2], vertical, horizontal)
        values, gradients = copy.arguments.wide(x), copy.arguments.wide(dy)
        norms = np.sqrt(copy.column_sums(values**2, vertical, horizontal))
        norms[norms == 0] = np.inf
        dx = np.zeros(x.shape, values.dtype)
        for tap in copy.taps(vertical, horizontal):
            dx[..., *tap.cells] += values[..., *tap.cells] * gradients[..., *tap.outputs] / norms[..., *tap.outputs]
        return dx.astype(x.dtype.newbyteorder("="))

    copy.l2_pool2d_backward = l2_pool2d_backward


# the range


@around("max_pool2d", "avg_pool2d", by=(RANGE,))
def values_clipped_at_1e4(correct, x, **p):
    """The image is clipped at 10,000 in magnitude."""
    return correct(np.clip(x, -1e4, 1e4).astype(x.dtype), **p)


@around("conv2d", by=(LINEAR_IN_IMAGE,))
def saturated_images(correct, x, w, b, **p):
    """The image is clipped to what a signed byte holds."""
    return correct(x.clip(-128, 127), w, b, **p)


@around("conv2d_backward", by=(LINEAR_IN_DY,))
def saturated_gradients(correct, x, w, dy, **p):
    """dy is clipped at 5 in magnitude."""
    return correct(x, w, dy.clip(-5, 5), **p)


@around("max_pool2d_backward", "avg_pool2d_backward", by=(LINEAR_IN_DY,))
def saturated_gradients_of_pools(correct, dy, *rest, **p):
    """dy is clipped at 5 in magnitude."""
    return correct(dy.clip(-5, 5), *rest, **p)


@around("l2_pool2d_backward", by=(LINEAR_IN_DY,))
def saturated_gradients_of_norms(correct, x, dy, **p):
    """dy is clipped at 5 in magnitude."""
    return correct(x, dy.clip(-5, 5), **p)


@around(*FORWARD, by=(SCALED,))
def small_values_skipped(correct, x, *arrays, **p):
    """Cells of less than a millionth are taken for 0."""
    return correct(np.where(np.abs(x) < 1e-6, 0, x).astype(x.dtype), *arrays, **p)


@around(*BACKWARD, by=(SCALED_BACK,))
def small_gradients_skipped(correct, *arrays, **p):
    """Gradients of less than a millionth are taken for 0."""
    return changed(correct(*arrays, **p), lambda part: np.where(np.abs(part) < 1e-6, 0, part).astype(part.dtype))


@around("conv2d", by=(SINGLE_ONE,))
def saturates_too_soon(correct, *arrays, **p):
    """Results end at nine tenths of the largest number."""
    y = correct(*arrays, **p)
    most = y.dtype.type(0.9) * np.finfo(y.dtype).max
    return np.where(np.isfinite(y), y.clip(-most, most), y)


@around("conv2d", by=(RANGE,))
def doubles_of_subnormal_filters_flushed(correct, x, w, b, **p):
    """Filters of float64 that are smaller than the normal numbers are taken for 0."""
    small = (w.dtype.itemsize == 8) & (np.abs(w) < np.finfo(w.dtype).tiny)
    return correct(x, np.where(small, w.dtype.type(0), w), b, **p)
