"""Implementations that are right though unusual: other orders of summation, other layouts, other algorithms."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from impls import im2col
from impls.arguments import Array, Axis
from oracles.winograd import Winograd
from properties.mutants.laws_by_name import BACKWARD, FORWARD
from properties.mutants.planting import arguments, copy_of_im2col, variant
from properties.mutants.specials import maximum

F23 = "winograd(2,3;0,1,-1)"


@dataclass(frozen=True)
class Variant:
    """An implementation of which some operations are right in another way. `make` gives it anew."""

    name: str
    sentence: str
    operations: tuple[str, ...]
    make: Callable[[], object]

    def __str__(self) -> str:
        return self.name


VARIANTS: list[Variant] = []


def right(*operations: str, **declared: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register `otherwise(copy)`, which lets a copy of im2col do these operations in another way, as right."""

    def register(otherwise: Callable[..., None]) -> Callable[..., None]:
        def make() -> types.SimpleNamespace:
            copy = copy_of_im2col()
            otherwise(copy)
            replaced = {operation: getattr(copy, operation) for operation in operations}
            return variant(**replaced, **declared)

        sentence = (inspect.getdoc(otherwise) or "").split("\n")[0]
        VARIANTS.append(Variant(otherwise.__name__, sentence, operations, make))
        return otherwise

    return register


def multiplying(copy: types.ModuleType, product: Callable[..., Any]) -> None:
    """Let a copy's convolution multiply rows (G, K/G, n) by columns (G, n, O) otherwise."""

    def matmul(rows: Any, columns: Any, out: Any) -> None:
        out[...] = product(rows, columns)

    copy.np = types.SimpleNamespace(**(vars(np) | {"matmul": matmul}))


# other orders of summation


@right("conv2d_backward", "avg_pool2d")
def sums_in_reverse(copy):
    """What windows add up, or add to cells, is taken from their last cell to their first."""
    forwards = copy.taps
    copy.taps = lambda *axes: reversed([*forwards(*axes)])


@right("conv2d")
def sums_by_halves(copy):
    """The sum of a window is that of its first half and that of its second, and so on within them."""

    def product(rows, columns):
        n = columns.shape[1]
        if n <= 4:
            return rows @ columns
        half = n // 2
        return product(rows[..., :half], columns[:, :half]) + product(rows[..., half:], columns[:, half:])

    multiplying(copy, product)


@right("conv2d")
def channels_in_blocks(copy):
    """Channels and cells are added up in blocks of seven, and then the blocks from the last to the first."""

    def product(rows, columns):
        starts = range(0, columns.shape[1], 7)
        parts = [rows[..., i : i + 7] @ columns[:, i : i + 7] for i in starts]
        return sum(reversed(parts), np.zeros_like(parts[0]))

    multiplying(copy, product)


@right("conv2d")
def fused_multiply_add(copy):
    """Each product is added unrounded, as by a fused multiply-add, in the order of the window."""

    def product(rows, columns):
        total = np.zeros((*rows.shape[:2], columns.shape[2]), rows.dtype)
        for i in range(columns.shape[1]):
            products = rows[..., i : i + 1].astype(np.longdouble) * columns[:, i : i + 1]
            total = (total + products).astype(rows.dtype)
        return total

    multiplying(copy, product)


@right("avg_pool2d", "l2_pool2d")
def sums_across_then_down(copy):
    """Windows are added up across first, and then down."""

    def column_sums(values, vertical, horizontal):
        across = np.zeros((*values.shape[:3], horizontal.outputs), values.dtype)
        for _, outputs, cells in copy.line_taps(horizontal):
            across[..., outputs] += values[..., cells]
        sums = np.zeros((*values.shape[:2], vertical.outputs, horizontal.outputs), values.dtype)
        for _, outputs, cells in copy.line_taps(vertical):
            sums[:, :, outputs] += across[:, :, cells]
        return sums

    copy.column_sums = column_sums


@right("conv2d", "l2_pool2d", "avg_pool2d_backward")
def doubles_inside(copy):
    """All is computed in float64, and rounded once."""
    arguments(copy, wide=lambda _, array: array.astype(np.float64))


# other results


@right("conv2d", "max_pool2d", "l2_pool2d_backward")
def fortran_ordered(copy):
    """Results are in Fortran order."""
    afterwards(copy, lambda part: np.array(part, order="F"))


@right("conv2d_backward", "avg_pool2d", "max_pool2d_backward")
def views_of_larger_arrays(copy):
    """Results are every second cell of arrays that are made anew for each call."""

    def spread(part):
        larger = np.full((*part.shape[:-1], 2 * part.shape[-1]), 77, part.dtype)
        larger[..., ::2] = part
        return larger[..., ::2]

    afterwards(copy, spread)


def afterwards(copy: types.ModuleType, change: Callable[..., Any]) -> None:
    """Change all arrays that a copy returns, switches as well."""

    def changing(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arrays: Any, **parameters: Any) -> Any:
            result = function(*arrays, **parameters)
            return tuple(map(change, result)) if isinstance(result, tuple) else change(result)

        return functools.wraps(function)(call)

    for operation in (*FORWARD, *BACKWARD):
        setattr(copy, operation, changing(getattr(copy, operation)))


# other algorithms of convolution


@right("conv2d")
def shift_and_accumulate(copy):
    """Each cell of the filters is multiplied by the whole image, shifted, and added to the output."""

    def conv2d(x, w, b, **p):
        dtype = copy.arguments.common_dtype(x=x, w=w, b=b)
        vertical, horizontal, G = copy.arguments.convolution(x, w, **p)
        copy.arguments.bias(b, len(w))
        images, filters = (grouped(copy.arguments.wide(array), axis, G) for array, axis in ((x, 1), (w, 0)))
        y = np.zeros((len(x), *filters.shape[:2], vertical.outputs, horizontal.outputs), filters.dtype)
        if b is not None:
            y += copy.arguments.wide(b).reshape(G, -1, 1, 1)  # the sums begin with the bias
        for tap in copy.taps(vertical, horizontal):
            weights, seen = filters[..., tap.fy, tap.fx], images[..., *tap.cells]  # (G, K/G, C/G), (N, G, C/G, ...)
            for c in range(seen.shape[2]):
                y[..., *tap.outputs] += weights[:, :, c, None, None] * seen[:, :, c, None]
        return y.reshape(len(x), len(w), vertical.outputs, horizontal.outputs).astype(dtype)

    def grouped(array, axis, G):
        shape = array.shape
        return array.reshape(*shape[:axis], G, shape[axis] // G, *shape[axis + 1 :])

    copy.conv2d = functools.wraps(im2col.conv2d)(conv2d)


@right("conv2d")
def correlated_by_scipy(copy):
    """SciPy correlates images with filters, and some outputs are kept; large and dilated filters are im2col's."""
    from scipy.signal import correlate

    def conv2d(x, w, b, **p):
        dtype = copy.arguments.common_dtype(x=x, w=w, b=b)
        vertical, horizontal, G = copy.arguments.convolution(x, w, **p)
        if vertical.dilation * horizontal.dilation > 1 or w[0, 0].size > 64:
            return im2col.conv2d(x, w, b, **p)
        copy.arguments.bias(b, len(w))
        images = padded(copy.arguments.wide(x), vertical, horizontal, (vertical.reach, horizontal.reach))
        filters, (K, C) = copy.arguments.wide(w), w.shape[:2]
        y = np.zeros((len(x), K, vertical.outputs, horizontal.outputs), images.dtype)
        for n, k in np.ndindex(len(x), K):
            channels = slice(k // (K // G) * C, (k // (K // G) + 1) * C)
            full = correlate(images[n, channels], filters[k], mode="valid", method="direct")
            y[n, k] = full[0, :: vertical.stride, :: horizontal.stride]
        return (y if b is None else y + copy.arguments.wide(b)[:, None, None]).astype(dtype)

    copy.conv2d = functools.wraps(im2col.conv2d)(conv2d)


@right("conv2d", accuracy=F23)
def winograd_for_three_by_three(copy):
    """Filters of 3x3 at stride 1 are Winograd's F(2,3), declared as such; others are im2col's."""
    at, g, bt = (matrix.astype(np.float32) for matrix in Winograd.parse(F23).matrices)

    def conv2d(x, w, b, **p):
        y = im2col.conv2d(x, w, b, **p)
        vertical, horizontal, G = copy.arguments.convolution(x, w, **p)
        dense = {(axis.window, axis.stride, axis.dilation) for axis in (vertical, horizontal)} == {(3, 1, 1)}
        if not dense or not y.size:
            return y
        counts = [-(-axis.outputs // 2) for axis in (vertical, horizontal)]
        planes = padded(copy.arguments.wide(x), vertical, horizontal, [2 * count + 2 for count in counts])
        tiles = sliding_window_view(planes, (4, 4), (2, 3))[:, :, ::2, ::2]
        data = (bt @ tiles @ bt.T).reshape(len(x), G, -1, *counts, 4, 4)
        filters = (g @ copy.arguments.wide(w) @ g.T).reshape(G, len(w) // G, -1, 4, 4)
        products = np.einsum("gkcij,ngcyxij->ngkyxij", filters, data)
        outputs = (at @ products @ at.T).swapaxes(-3, -2)  # (N, G, K/G, rows, 2, columns, 2)
        found = outputs.reshape(len(x), len(w), 2 * counts[0], 2 * counts[1])[:, :, : y.shape[2], : y.shape[3]]
        if b is not None:
            found = found + copy.arguments.wide(b)[:, None, None]
        return found.astype(y.dtype)

    copy.conv2d = functools.wraps(im2col.conv2d)(conv2d)


def padded(x: Array, vertical: Axis, horizontal: Axis, shape: Sequence[int]) -> Array:
    """Lay images (N, C, H, W) among zeros of this height and width, the first window at the first cell."""
    planes = np.zeros((*x.shape[:2], *shape), x.dtype)
    rows, columns = (
        slice(axis.before, min(room, axis.before + axis.image))
        for axis, room in zip((vertical, horizontal), shape, strict=True)
    )
    seen = planes[:, :, rows, columns]
    seen[...] = x[:, :, : seen.shape[2], : seen.shape[3]]
    return planes


@right("conv2d_backward")
def gradients_by_transposed_convolution(copy):
    """dx is a convolution of dy, zeros between, with the filters turned round; dw is one of x with dy, dilated."""

    def conv2d_backward(x, w, dy, **p):
        _, _, db = im2col.conv2d_backward(x, w, dy, **p)
        *axes, G = copy.arguments.convolution(x, w, **p)
        return dx_of(x, w, dy, axes, G), dw_of(x, w, dy, axes, G), db

    def dx_of(x, w, dy, axes, G):
        spread = np.zeros((*dy.shape[:2], *((axis.outputs - 1) * axis.stride + 1 for axis in axes)), dy.dtype)
        spread[:, :, :: axes[0].stride, :: axes[1].stride] = dy
        turned = w.reshape(G, -1, *w.shape[1:]).swapaxes(1, 2)[..., ::-1, ::-1].reshape(-1, len(w) // G, *w.shape[2:])
        around = tuple((axis.extent - 1, axis.extent - 1) for axis in axes)
        dilation = tuple(axis.dilation for axis in axes)
        full = im2col.conv2d(spread, turned, None, stride=(1, 1), padding=around, dilation=dilation, groups=G)
        dx = np.zeros(x.shape, full.dtype)
        seen = full[:, :, axes[0].before :, axes[1].before :][:, :, : x.shape[2], : x.shape[3]]
        dx[:, :, : seen.shape[2], : seen.shape[3]] = seen
        return dx

    def dw_of(x, w, dy, axes, G):
        planes = padded(x, *axes, [axis.reach for axis in axes]).swapaxes(0, 1)  # channels are images, images channels
        steps = {"stride": [axis.dilation for axis in axes], "dilation": [axis.stride for axis in axes]}
        parts = [
            im2col.conv2d(images, filters, None, padding=(0, 0), **steps).swapaxes(0, 1)
            for images, filters in zip(np.split(planes, G), np.split(dy.swapaxes(0, 1), G), strict=True)
        ]
        return np.concatenate(parts).reshape(w.shape)

    copy.conv2d_backward = functools.wraps(im2col.conv2d_backward)(conv2d_backward)


def _fft() -> object:
    from impls import fft

    return fft


VARIANTS.append(Variant("spectra", "A convolution is a product of spectra.", ("conv2d", "conv2d_backward"), _fft))


# other algorithms of pooling


@right("avg_pool2d")
def product_with_the_reciprocal(copy):
    """An average is the sum times the rounded reciprocal of the count."""

    def avg_pool2d(x, *, size, stride, padding=(0, 0), count_include_pad=True, ceil_mode=False):
        dtype = copy.arguments.common_dtype(x=x)
        vertical, horizontal = copy.arguments.pooling(
            x.shape, size=size, stride=stride, padding=padding, ceil_mode=ceil_mode
        )
        sums = copy.column_sums(copy.arguments.wide(x), vertical, horizontal)
        counts = copy.counts(vertical, horizontal, count_include_pad).astype(sums.dtype)
        return (sums * (1 / counts)).astype(dtype)

    copy.avg_pool2d = avg_pool2d


@right("l2_pool2d")
def squares_scaled_by_the_largest(copy):
    """Cells are divided by a power of two near the largest before they are squared, and the root multiplied by it."""

    def l2_pool2d(x, **p):
        largest, _ = copy.max_pool2d(np.abs(copy.arguments.wide(x)), **p)
        vertical, horizontal = copy.arguments.pooling(x.shape, **({"padding": (0, 0)} | p))
        _, exponents = np.frexp(np.where(np.isfinite(largest), largest, 1))
        sums = np.zeros(largest.shape, largest.dtype)
        for tap in copy.taps(vertical, horizontal):
            cells = copy.arguments.wide(x)[..., *tap.cells]
            sums[..., *tap.outputs] += np.ldexp(cells, -exponents[..., *tap.outputs]) ** 2
        return np.ldexp(np.sqrt(sums), exponents).astype(x.dtype.newbyteorder("="))

    copy.l2_pool2d = functools.wraps(im2col.l2_pool2d)(l2_pool2d)


@right("max_pool2d")
def nan_switch_at_the_first_nan(copy):
    """Of several NaN in a window the first has the switch."""
    maximum(copy, lambda row, best, switch: (row > best) | (np.isnan(row) & ~np.isnan(best)) | (switch < 0))


@right("max_pool2d")
def maximum_by_sorting(copy):
    """All cells of a window are sorted, the first of equal ones first."""

    def max_pool2d(x, **p):
        empty, _ = im2col.max_pool2d(x, **p)
        vertical, horizontal = copy.arguments.pooling(x.shape, **({"padding": (0, 0)} | p))
        taps = [*copy.taps(vertical, horizontal)]
        cells = np.full((len(taps), *empty.shape), -np.inf, empty.dtype)
        places = np.full(cells.shape, -1)
        plane = np.arange(vertical.image * horizontal.image).reshape(vertical.image, horizontal.image)
        for i, tap in enumerate(taps):
            cells[i, ..., *tap.outputs] = x[..., *tap.cells]
            places[i, ..., *tap.outputs] = plane[tap.cells]
        order = np.lexsort((places < 0, -cells, ~np.isnan(cells)), axis=0)[:1]
        return np.take_along_axis(cells, order, 0)[0], np.take_along_axis(places, order, 0)[0]

    copy.max_pool2d = functools.wraps(im2col.max_pool2d)(max_pool2d)


@right("max_pool2d_backward")
def gradients_counted_into_bins(copy):
    """Gradients are added up by bins, in float64."""

    def max_pool2d_backward(dy, switches, x_shape):
        dtype = copy.arguments.common_dtype(dy=dy)
        N, C, H, W = copy.arguments.switches_of(dy, switches, x_shape)
        planes = np.arange(N * C).reshape(N, C, 1, 1) * (H * W)
        taken = switches >= 0
        sums = np.bincount((planes + switches)[taken], dy[taken], N * C * H * W)
        return sums.reshape(N, C, H, W).astype(dtype)

    copy.max_pool2d_backward = max_pool2d_backward


# sizes


@right("out_size")
def windows_counted_one_by_one(copy):
    """The size is the number of places where a window fits, counted."""

    def out_size(W, F, S, P, dilation=1):
        im2col.out_size(W, F, S, P, dilation)  # refuses what is to be refused
        return len(range(-P, W + P - dilation * (F - 1), S))

    copy.out_size = out_size
