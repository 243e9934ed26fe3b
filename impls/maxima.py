"""Maxima of windows and where they lie, in passes over whole rows of a few planes at a time; and their gradients.

The place of a maximum is found after its value, by comparing with it: what is unequal is counted, and of several
cells that are equal the one with the least offset in the window is the first in row-major order. Three kinds of windows
cannot be told by comparing: with a NaN, which equals nothing; of -inf beside padding, which is -inf too; of zeros,
where -0 and +0 are equal and the first one is wanted. A glance at each chunk shows whether there are any, and these are
done singly.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from impls import arguments
from impls.arguments import Array, Axis, Padding, Pair
from impls.planes import cells, chunks, combined, loaded, padded, reduced, workspace


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
    corners = corner(vertical)[:, None] * W + corner(horizontal)
    for some in chunks(planes):
        source = loaded(planes[some], vertical, horizontal, -np.inf, wide)
        shape = len(source), OH, source.shape[2]
        rows = reduced(source, vertical, 1, np.maximum, workspace.array("rows", shape, wide))
        best = values[some] if y.dtype == wide else workspace.array("best", (len(source), OH, OW), wide)
        if places is None:
            reduced(rows, horizontal, 2, np.maximum, best)
        else:
            columns = side_by_side(rows, horizontal, "columns")
            combined(columns, np.maximum, best)
            place = places[some]
            place[...] = offsets(source, rows, columns, best, vertical, horizontal)
            place += corners
        doubt = doubtful(source, best, padded(vertical, horizontal))
        if y.dtype != wide:
            values[some] = best
        if doubt is not None:
            settle(planes[some], doubt, vertical, horizontal, values[some], None if places is None else place)


def offsets(source: Array, rows: Array, columns: list[Array], best: Array, vertical: Axis, horizontal: Axis) -> Array:
    """Find how far behind its window's corner, counted along the image's rows, the first cell lies that is the best.

    source (A, height, width), rows (A, OH, width) its maxima down, `columns` of these -> (A, OH, OW), in a buffer.
    """
    down, across = vertical.dilation * horizontal.image, horizontal.dilation
    dtype = np.min_scalar_type((vertical.window - 1) * down + horizontal.window * across)
    flags, greatest = np.dtype(bool), np.iinfo(dtype).max
    # Down: the rows that come before the first that holds the maximum, counted.
    tall = workspace.array("row offsets", rows.shape, dtype)
    still, other = (workspace.array(name, rows.shape, flags) for name in ("unequal so far", "unequal"))
    if vertical.window < 3:
        np.not_equal(source[:, : rows.shape[1] * vertical.stride : vertical.stride], rows, out=still)
        np.multiply(still.view(np.uint8), dtype.type(down * (vertical.window - 1)), out=tall)
    else:
        tall[...] = 0
        for f, row in enumerate(cells(source, vertical, 1)[:-1]):
            np.not_equal(row, rows, out=other if f else still)
            if f:
                np.logical_and(still, other, out=still)
            np.add(tall, still.view(np.uint8), out=tall)
        tall *= dtype.type(down)
    # Across: the least of the offsets of columns that hold the maximum, the others' made the greatest there is.
    found, key, mask = (workspace.array(name, best.shape, dtype) for name in ("offsets", "offset", "mask"))
    unequal = workspace.array("unequal", best.shape, flags)
    for f, (column, offset) in enumerate(zip(columns, side_by_side(tall, horizontal, "offsets across"), strict=True)):
        target = key if f else found
        np.not_equal(column, best, out=unequal)
        np.multiply(unequal.view(np.uint8), dtype.type(greatest), out=mask)
        np.add(offset, dtype.type(f * across), out=target)
        np.bitwise_or(target, mask, out=target)
        if f:
            np.minimum(found, key, out=found)
    return found


def side_by_side(planes: Array, axis: Axis, into: str) -> list[Array]:
    """Give, for each cell of the windows across, what all of them see through it, neighbours side by side in memory."""
    if axis.stride == 1:
        return cells(planes, axis, 2)
    A, rows, width = planes.shape
    phases: dict[int, Array] = {}
    for phase in sorted({f * axis.dilation % axis.stride for f in range(axis.window)}):
        shape = A, rows, len(range(phase, width, axis.stride))
        phases[phase] = workspace.array(f"{into} {phase}", shape, planes.dtype)
        np.copyto(phases[phase], planes[:, :, phase :: axis.stride])
    places = (divmod(f * axis.dilation, axis.stride) for f in range(axis.window))
    return [phases[phase][:, :, first : first + axis.outputs] for first, phase in places]


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
    if not best.all() and np.any(np.signbit(source) & (source == 0)):
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
        send(gradient.reshape(-1), flat.reshape(-1), dx[some].reshape(-1))
    return dx.reshape(N, C, H, W).astype(dtype, copy=False)


def send(gradient: Array, places: Array, out: Array) -> None:
    """Put gradients in their places of `out`, which holds zeros, or add them up if any two have the same place."""
    apart = len(places) <= len(out)
    if apart:
        taken = workspace.array("taken", out.shape, np.dtype(bool))
        taken[...] = False
        taken[places] = True
        apart = np.count_nonzero(taken) == len(places)
    if apart:
        out[places] = gradient
    else:
        np.add.at(out, places, gradient)
