"""Planes of images, some channels at a time in a buffer that stays in cache; windows down them, then across."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from impls.arguments import Array, Axis
from impls.im2col import line_taps
from impls.workspace import Workspace

BYTES = 5 << 17  # of planes that are worked on together: what is made of them stays in cache
ONCE = 4  # times as many where planes are read once, in order

workspace = Workspace()


def chunks(planes: Array, share: float = 1) -> Iterator[slice]:
    """Share planes (A, H, W) out into runs of at most so many bytes, that share of BYTES, or single planes."""
    run = max(1, int(BYTES * share) // max(1, planes[:1].nbytes))
    for first in range(0, len(planes), run):
        yield slice(first, min(first + run, len(planes)))


def loaded(
    planes: Array, vertical: Axis, horizontal: Axis, fill: float, dtype: np.dtype[Any], *, copied: bool = False
) -> Array:
    """Give planes (A, H, W) so that window o sees cells o * stride + f * dilation of each axis, `fill` for padding.

    That is the planes themselves, where nothing is to be added or converted, unless they are to be `copied`.
    """
    inside = not padded(vertical, horizontal)
    if not copied and inside and planes.dtype == dtype and planes.flags.aligned and planes.strides[2] == dtype.itemsize:
        return planes
    buffer = workspace.array("padded", (len(planes), vertical.reach, horizontal.reach), dtype)
    if not inside:
        buffer[...] = fill
    rows, columns = (min(axis.image, max(0, axis.reach - axis.before)) for axis in (vertical, horizontal))
    down, across = (
        slice(axis.before, axis.before + count) for axis, count in ((vertical, rows), (horizontal, columns))
    )
    buffer[:, down, across] = planes[:, :rows, :columns]
    return buffer


def padded(vertical: Axis, horizontal: Axis) -> bool:
    """Tell whether any window sees padding."""
    return any(axis.before or axis.reach > axis.image for axis in (vertical, horizontal))


def cells(planes: Array, axis: Axis, dimension: int) -> list[Array]:
    """Give, for each cell of the windows along that dimension, what all of them see through it."""
    found = []
    for f in range(axis.window):
        first = f * axis.dilation
        seen = slice(first, first + (axis.outputs - 1) * axis.stride + 1, axis.stride)
        found.append(planes[:, seen] if dimension == 1 else planes[:, :, seen])
    return found


def reduced(planes: Array, axis: Axis, dimension: int, operation: np.ufunc, out: Array) -> Array:
    """Combine the cells of each window along that dimension."""
    if axis.outputs == 1 and axis.window > 1:
        seen = slice(0, axis.extent, axis.dilation)
        return operation.reduce(
            planes[:, seen] if dimension == 1 else planes[:, :, seen], dimension, out=out, keepdims=True
        )
    return combined(cells(planes, axis, dimension), operation, out)


def combined(arrays: Iterable[Array], operation: np.ufunc, out: Array) -> Array:
    """Combine arrays of one shape, the first with the second, and so on."""
    first, *others = arrays
    if not others:
        np.copyto(out, first)
    for other in others:
        first = operation(first, other, out=out)
    return out


def sums(planes: Array, vertical: Axis, horizontal: Axis, out: Array, *, squared: bool = False) -> Array:
    """Sum each window, or the squares in it: (A, height, width) -> (A, OH, OW).

    einsum adds up the rows of windows, and squares them, at half the cost of ufuncs, which go to and fro in memory.
    """
    A, _, width = planes.shape
    plane, row, cell = planes.strides
    tall = workspace.array("rows", (A, vertical.outputs, width), planes.dtype)
    shape = A, vertical.outputs, vertical.window, width
    windows = as_strided(planes, shape, (plane, vertical.stride * row, vertical.dilation * row, cell), writeable=False)
    if squared:
        np.einsum("aofw,aofw->aow", windows, windows, out=tall)
    else:
        np.einsum("aofw->aow", windows, out=tall)
    return reduced(tall, horizontal, 2, np.add, out)


def spread(shares: Array, vertical: Axis, horizontal: Axis, out: Array) -> Array:
    """Add shares (A, OH, OW) to each cell that their window sees: out (A, H, W)."""
    broad = workspace.array("rows", (len(shares), vertical.outputs, horizontal.image), shares.dtype)
    return _spread(_spread(shares, horizontal, 2, broad), vertical, 1, out)


def unseen(axis: Axis) -> Array:
    """Find the cells of the image that no window sees."""
    seen = np.zeros(axis.image, bool)
    for _, _, cells_seen in line_taps(axis):
        seen[cells_seen] = True
    return np.flatnonzero(~seen)


def _spread(shares: Array, axis: Axis, dimension: int, out: Array) -> Array:
    """Add shares to what their windows see along that dimension, the other one left as it is."""

    def along(array: Array, some: slice) -> Array:
        return array[:, some] if dimension == 1 else array[:, :, some]

    exact = axis.stride == axis.window and axis.dilation == 1 and axis.before == 0
    if not (exact and axis.outputs * axis.stride == axis.image):
        out[...] = 0
    if axis.outputs == 1 and axis.dilation == 1:
        along(out, slice(max(0, -axis.before), max(0, axis.window - axis.before)))[...] = shares
        return out
    apart = axis.stride >= axis.extent
    for _, outputs, seen in line_taps(axis):
        target, share = along(out, seen), along(shares, outputs)
        if apart:
            target[...] = share
        else:
            target += share
    return out
