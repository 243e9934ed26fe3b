"""Maxima of windows and where they lie, in passes over whole rows of a few planes at a time; and their gradients.

The place of a maximum is found after its value, by comparing with it: of the cells that are equal, the one with the
least number in the window is the first in row-major order. Numbers are of one byte, and 64 of them are worked on at
once. Three kinds of windows cannot be told by comparing: with a NaN, which equals nothing; of -inf beside padding,
which is -inf too; of zeros, where -0 and +0 are equal and the first one is wanted. A glance at each chunk shows whether
there are any, and these are done singly, at some ten times the cost of a window: 2 x 2 maxima of 64 planes of 224 x 224
cells take 6 ms of normal numbers, 15 of what a ReLU leaves with -0 among its zeros, 53 of zeros or of NaN alone.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from impls import arguments
from impls.arguments import Array, Axis, Padding, Pair
from impls.planes import cells, chunks, combined, loaded, padded, reduced, workspace

FEW = 3  # cells across
LOCATED = 2 / 3  # of a chunk at a time where maxima are located, since more is made of it


@np.errstate(all="ignore")
def max_pool2d(
    x: Array,
    *,
    size: Pair,
    stride: Pair,
    padding: Padding = (0, 0),
    dilation: Pair = (1, 1),
    ceil_mode: bool = False,
) -> tuple[Array, Array]:
    """Take each window's maximum, the first of equals, and its switch: its flat index in the H*W plane.

    x (N, C, H, W) -> y, switches int64 (N, C, OH, OW); a window without a cell in the image gives -inf and -1.
    Raises ValueError naming the value. Source: CS231n, "Pooling Layer".
    """
    dtype = arguments.common_dtype(x=x)
    vertical, horizontal = arguments.pooling(
        x.shape, size=size, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode
    )
    y = np.empty((*x.shape[:2], vertical.outputs, horizontal.outputs), dtype)
    switches = np.empty(y.shape, np.int64)
    maxima(x, vertical, horizontal, y, switches)
    return y, switches


@np.errstate(all="ignore")
def max_pool2d_values(
    x: Array,
    *,
    size: Pair,
    stride: Pair,
    padding: Padding = (0, 0),
    dilation: Pair = (1, 1),
    ceil_mode: bool = False,
) -> Array:
    """Take each window's maximum alone, as `max_pool2d` does: x (N, C, H, W) -> (N, C, OH, OW)."""
    dtype = arguments.common_dtype(x=x)
    vertical, horizontal = arguments.pooling(
        x.shape, size=size, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode
    )
    y = np.empty((*x.shape[:2], vertical.outputs, horizontal.outputs), dtype)
    maxima(x, vertical, horizontal, y)
    return y


def maxima(x: Array, vertical: Axis, horizontal: Axis, y: Array, switches: Array | None = None) -> None:
    """Write the maxima of windows to y (N, C, OH, OW), and where they lie to `switches`, if these are wanted."""
    H, W, OH, OW = vertical.image, horizontal.image, vertical.outputs, horizontal.outputs
    planes, values = x.reshape(-1, H, W), y.reshape(-1, OH, OW)
    wide = np.dtype(np.float32) if y.dtype == np.float16 else y.dtype
    places = None if switches is None else switches.reshape(-1, OH, OW)
    around, search = padded(vertical, horizontal), None
    for some in chunks(planes, 1 if places is None else LOCATED):
        # memory that is read in order comes twice as fast as every second row of it
        copied = not planes.flags.c_contiguous or (places is not None and vertical.stride > 1)
        source = loaded(planes[some], vertical, horizontal, -np.inf, wide, copied=copied)
        best = values[some] if y.dtype == wide else workspace.array("best", (len(source), OH, OW), wide)
        if places is None:
            largest(source, vertical, horizontal, best)
        else:
            if search is None or len(source) != len(search.rows):
                search = Search(source, vertical, horizontal)
            search.locate(source, best, places[some])
        doubt = doubtful(source, best, around)
        if y.dtype != wide:
            values[some] = best
        if doubt is not None:
            settle(planes[some], doubt, vertical, horizontal, values[some], None if places is None else places[some])


def largest(source: Array, vertical: Axis, horizontal: Axis, out: Array) -> None:
    """Write each window's maximum: contiguous planes (A, height, width) -> out (A, OH, OW).

    Few cells across are compared from every cell on, as if the stride were 1: in one run, with all in order.
    """
    rows = workspace.array("rows", (len(source), vertical.outputs, source.shape[2]), source.dtype)
    if horizontal.window > FEW:
        reduced(reduced(source, vertical, 1, np.maximum, rows), horizontal, 2, np.maximum, out)
        return
    last = source.size - horizontal.extent + 1  # windows that begin near the end of a row see the next; none is kept
    most, flat = workspace.array("maxima", source.shape, source.dtype), source.reshape(-1)
    across = (flat[f : f + last] for f in range(0, horizontal.extent, horizontal.dilation))
    combined(across, np.maximum, most.reshape(-1)[:last])
    every(reduced(most, vertical, 1, np.maximum, rows), horizontal, out)


class Search:
    """Finds maxima of windows, and the first cell that holds each, in chunks of as many planes (A, height, width).

    Windows begin at every cell across, as if the stride were 1, so that all is done in one run; every S-th is kept. The
    cells of a window are numbered row by row. Buffers, and views of them, are the same for all chunks.
    """

    def __init__(self, source: Array, vertical: Axis, horizontal: Axis) -> None:
        self.vertical, self.horizontal = vertical, horizontal
        FH, FW, W = vertical.window, horizontal.window, horizontal.image
        down, across = vertical.dilation * W, horizontal.dilation
        shape = len(source), vertical.outputs, source.shape[2]
        count, kept = math.prod(shape), (*shape[:2], horizontal.outputs)
        self.numbers = np.min_scalar_type(FH * FW)
        self.indices = np.min_scalar_type(-max(vertical.reach * W + horizontal.reach, FH * down + FW * across))
        flags, one = np.dtype(bool), np.dtype(np.uint8)
        self.rows, self.columns = run("rows", shape, horizontal, source.dtype)
        self.most = workspace.array("maxima", (count,), source.dtype)
        self.before, self.above = run("rows before", shape, horizontal, self.numbers)
        self.unequal, self.other = (workspace.array(name, shape, flags) for name in ("unequal", "unequal too"))
        self.unequal_in_one, self.ones = self.unequal.reshape(-1), self.unequal.view(one)
        self.least, self.number = (workspace.array(name, (count,), self.numbers) for name in ("least", "number"))
        self.mask = self.ones.reshape(-1) if self.numbers == one else workspace.array("mask", (count,), self.numbers)
        self.kept = workspace.array("kept", kept, self.numbers)
        self.cell, self.row = (workspace.array(name, kept, self.indices) for name in ("cell", "row"))
        self.corners = (corner(vertical)[:, None] * W + corner(horizontal)).astype(self.indices)
        # A cell's number n = fy * FW + fx lies n * across + fy * (down - FW * across) behind its window's corner.
        self.across, self.step = self.indices.type(across), self.indices.type(down - FW * across)

    def locate(self, source: Array, best: Array, place: Array) -> None:
        """Write the maxima to `best`, and where they lie in the plane to `place`: both (A, OH, OW)."""
        reduced(source, self.vertical, 1, np.maximum, self.rows)
        combined(self.columns, np.maximum, self.most)
        every(self.most.reshape(self.rows.shape), self.horizontal, best)
        self.count_rows(source)
        self.number_cells()
        every(self.least.reshape(self.rows.shape), self.horizontal, self.kept)
        np.copyto(self.cell, self.kept, casting="unsafe")
        np.floor_divide(self.kept, self.numbers.type(self.horizontal.window), out=self.kept)
        np.copyto(self.row, self.kept, casting="unsafe")
        np.multiply(self.row, self.step, out=self.row)
        if self.across > 1:
            np.multiply(self.cell, self.across, out=self.cell)
        np.add(self.row, self.cell, out=self.row)
        np.copyto(place, np.add(self.row, self.corners, out=self.row))

    def count_rows(self, source: Array) -> None:
        """Count the rows of windows that come before the first that holds the maximum down, in cells."""
        first, *others = cells(source, self.vertical, 1)
        if not others:
            self.before[...] = 0
            return
        np.not_equal(first, self.rows, out=self.unequal)
        np.copyto(self.before, self.ones)
        for other in others[:-1]:
            np.not_equal(other, self.rows, out=self.other)
            np.logical_and(self.unequal, self.other, out=self.unequal)
            np.add(self.before, self.ones, out=self.before)
        np.multiply(self.before, self.numbers.type(self.horizontal.window), out=self.before)

    def number_cells(self) -> None:
        """Find the least number of a cell that holds the maximum; what does not has the greatest number there is."""
        none = self.numbers.type(-1 % 256**self.numbers.itemsize)
        for f, (column, above) in enumerate(zip(self.columns, self.above, strict=True)):
            np.not_equal(column, self.most, out=self.unequal_in_one)
            np.multiply(self.ones.reshape(-1), none, out=self.mask)
            if f:
                np.add(above, self.numbers.type(f), out=self.number)
                np.bitwise_or(self.number, self.mask, out=self.number)
                np.minimum(self.least, self.number, out=self.least)
            else:
                np.bitwise_or(above, self.mask, out=self.least)


def run(name: str, shape: tuple[int, ...], axis: Axis, dtype: np.dtype[Any]) -> tuple[Array, list[Array]]:
    """Give a buffer as planes of that shape, and what each cell of the windows across sees, from every cell: all.

    Windows that begin near the end of a row see the next row as well, and at the very end anything; none is kept.
    """
    count = math.prod(shape)
    memory = workspace.array(name, (count + axis.extent - 1,), dtype)
    return memory[:count].reshape(shape), [memory[f : f + count] for f in range(0, axis.extent, axis.dilation)]


def every(planes: Array, axis: Axis, out: Array) -> Array:
    """Keep one of every S cells across: contiguous planes (A, rows, width) -> out (A, rows, OW).

    Of pairs, the first is the lower half of a number of twice the size, and casts are done 16 or more at a time.
    """
    size = planes.itemsize
    if axis.stride == 2 and planes.shape[2] % 2 == 0 and size < 8 and sys.byteorder == "little":
        pairs = planes.view(f"u{2 * size}")[:, :, : axis.outputs]
        np.copyto(out.view(f"u{size}"), pairs, casting="unsafe")
    else:
        np.copyto(out, planes[:, :, : (axis.outputs - 1) * axis.stride + 1 : axis.stride])
    return out


def corner(axis: Axis) -> Array:
    """Give where windows begin, counted from the image's edge."""
    return np.arange(axis.outputs) * axis.stride - axis.before


def doubtful(source: Array, best: Array, around: bool) -> Array | None:
    """Mark windows whose maximum is NaN, -inf beside padding, or a zero where there is a -0; None if there are none."""
    if not best.size:
        return None
    least, doubt = best.min(), None
    if np.isnan(least):
        doubt = np.isnan(best)
        least = -np.inf
    if around and least == -np.inf:
        doubt = best == -np.inf if doubt is None else doubt | (best == -np.inf)
    if (best == 0).any() and np.any(np.signbit(source) & (source == 0)):
        doubt = best == 0 if doubt is None else doubt | (best == 0)
    return doubt


def settle(planes: Array, doubt: Array, vertical: Axis, horizontal: Axis, y: Array, switches: Array | None) -> None:
    """Find the maxima of the windows in doubt one cell after the other, and write them to y and switches."""
    plane, oy, ox = np.nonzero(doubt)
    best, place = np.full(len(plane), -np.inf, y.dtype), np.full(len(plane), -1)
    for fy in range(vertical.window):
        iy = oy * vertical.stride + fy * vertical.dilation - vertical.before
        for fx in range(horizontal.window):
            ix = ox * horizontal.stride + fx * horizontal.dilation - horizontal.before
            inside = (iy >= 0) & (iy < vertical.image) & (ix >= 0) & (ix < horizontal.image)
            cell = planes[plane, np.where(inside, iy, 0), np.where(inside, ix, 0)]
            # Greater, so that the first of equals stays; or the first cell seen, so that -inf has a switch too.
            wins = inside & ((cell > best) | np.isnan(cell) | (place < 0))
            np.copyto(best, cell, where=wins)
            np.copyto(place, iy * horizontal.image + ix, where=wins)
    y[plane, oy, ox] = best
    if switches is not None:
        switches[plane, oy, ox] = place


@np.errstate(all="ignore")
def max_pool2d_backward(dy: Array, switches: Array, x_shape: Sequence[int]) -> Array:
    """Send each gradient to its switch, never by a product: put where no two meet in a plane, and added where they do.

    dy, switches (N, C, OH, OW) -> dx of shape x_shape. Raises ValueError naming the value.
    Source: CS231n, "Pooling Layer", backpropagation.
    """
    dtype = arguments.common_dtype(dy=dy)
    N, C, H, W = arguments.switches_fit(dy, switches, x_shape)
    wide = np.dtype(np.float32) if dtype == np.float16 else dtype
    dx = np.zeros((N * C, H * W), wide)
    gradients, places = (array.reshape(N * C, dy.shape[2] * dy.shape[3]) for array in (dy, switches))
    apart = True
    for some in chunks(dx):
        place = np.ascontiguousarray(places[some], np.int64)
        gradient = np.ascontiguousarray(gradients[some], wide)
        if place.size and place.view(np.uint64).max() >= H * W:  # a negative number is a great one there
            arguments.switches_in(place, H * W)
            taken = place >= 0  # a window without a cell in the image has no switch
            flat = (place + np.arange(len(place))[:, None] * (H * W))[taken]
            gradient = gradient[taken]
        elif len(place) > 1:
            flat = workspace.array("places", place.shape, np.dtype(np.int64))
            np.add(place, np.arange(len(place))[:, None] * (H * W), out=flat)
        else:
            flat = place
        operands = gradient.reshape(-1), flat.reshape(-1), dx[some].reshape(-1)
        apart = apart and put(*operands)  # where some meet in one chunk, they will in the next
        if not apart:
            np.add.at(operands[2], operands[1], operands[0])
    return dx.reshape(N, C, H, W).astype(dtype, copy=False)


def put(gradient: Array, places: Array, out: Array) -> bool:
    """Put gradients in their places of `out`, which holds zeros; leave zeros, and tell so, if one that counts was lost.

    A cell keeps the last that is put there: none was lost if as many cells as gradients differ from 0.
    """
    out[places] = gradient
    kept = np.not_equal(out, 0, out=workspace.array("kept gradients", out.shape, np.dtype(bool)))
    if np.count_nonzero(kept) == np.count_nonzero(gradient != 0):
        return True
    out[...] = 0
    return False
