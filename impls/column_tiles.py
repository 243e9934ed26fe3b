"""Columns of a few output rows at a time: the windows of a tile copied into a buffer that stays in cache, and products.

Three steps make a tile:

    strip     the rows of the padded image that lie under the tile
    columns   all windows of the strip, copied from one strided view into a buffer that every tile uses again
    product   filters times columns, straight into the tile's place in the output

A product is of so few columns at a time that BLAS reads them where they lie, if filters are few and short.

Where the buffer has no room for all channels of a tile, it is filled several times, and BLAS adds up the products.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from impls import arguments, blas, threads
from impls.arguments import Array, Axis
from impls.workspace import Workspace

BYTES = 1 << 20  # of columns in a tile: what fits an L2 cache
WIDE = 1024  # columns that a tile is to have: BLAS arranges the filters anew for each
FEWEST = 256  # columns in a tile, and cells in a column, however many bytes: with fewer, a product is slowed down
LANES = 16  # numbers that a core multiplies at a time

workspace = Workspace()


class Tile(NamedTuple):
    """Some whole rows of the output, or a part of one row."""

    oy: int
    ox: int
    rows: int
    width: int

    @property
    def down(self) -> slice:
        """Its rows."""
        return slice(self.oy, self.oy + self.rows)

    @property
    def across(self) -> slice:
        """Its part of each row."""
        return slice(self.ox, self.ox + self.width)


class Strip(NamedTuple):
    """What of the image lies under a tile: every so many rows, `height` of them, and `length` cells for each lane.

    down, rows and spans: where in the strip the image's rows, and its cells for each lane, are to go.
    """

    every: int
    height: int
    length: int
    padded: bool
    down: slice
    rows: slice
    spans: tuple[tuple[slice, slice], ...]


class Lane(NamedTuple):
    """The window's cells first, first + period, ...: those that see the same one of S interleaved images.

    Cell f sees, from output o, the padded cell o * S + f * D = (o + shift + step * i) * S + phase for the i-th of them.
    """

    first: int
    period: int
    shift: int
    phase: int
    step: int


def correlate(
    x: Array, rows: Array, b: Array | None, vertical: Axis, horizontal: Axis, out: Array, turned: bool = False
) -> None:
    """Write rows (G, k, c*FH*FW) times the columns of x (N, G*c, H, W), plus b, to out (N, G*k, OH, OW)."""
    G, k, cells = rows.shape
    N, C = x.shape[:2]
    images, y = x.reshape(N, G, C // G, *x.shape[2:]), out.reshape(N, G, k, *out.shape[2:])
    offset = None if b is None else arguments.wide(b).reshape(G, k, 1)
    direct = y.dtype == rows.dtype and y.strides[3:] == (y.shape[4] * y.itemsize, y.itemsize)
    copied = not (direct and are_columns(images, vertical, horizontal, rows.dtype))
    FF, workers = vertical.window * horizontal.window, threads.count(out.size * cells)
    if not copied and workers == 1:  # each image and group is one product
        product = y.reshape(N, G, k, y.shape[3] * y.shape[4])
        product_of(rows, images.reshape(N, G, C // G, product.shape[3]), out=product)
        if offset is not None:
            product += offset
        return
    room = (BYTES, FEWEST, WIDE) if copied else None
    share, cut = plan(C // G, vertical, horizontal, G * rows.itemsize, workers if N == 1 else 1, room)

    def multiply(piece: tuple[int, Tile]) -> None:
        n, tile = piece
        target = y[n, :, :, tile.down, tile.across]
        shape = (G, k, tile.rows * tile.width)
        product = target.reshape(shape) if direct else workspace.array("product", shape, rows.dtype)
        for c in range(0, C // G, share):
            windows = columns(images[n, :, c : c + share], vertical, horizontal, tile, rows.dtype, turned=turned)
            multiplied = product_of if c == 0 else blas.accumulate
            multiplied(rows[:, :, c * FF : (c + share) * FF], windows, out=product)
        if offset is not None:
            product += offset
        if not direct:
            target[...] = product.reshape(target.shape)

    threads.spread(multiply, [(n, tile) for n in range(N) for tile in cut], workers)


def product_of(rows: Array, windows: Array, out: Array) -> None:
    """Write rows (G, k, cells) times windows (..., G, cells, T) to out (..., G, k, T).

    Filters that are few and short multiply some of the columns at a time, so that each product is a small one: where a
    cell of a column is used but a few times, it costs more to arrange it than to multiply it.
    """
    run = blas.SMALL // (rows.shape[1] * rows.shape[2]) // LANES * LANES
    if FEWEST <= run < out.shape[-1]:
        whole = out.shape[-1] // run * run

        def in_runs(array: Array) -> Array:
            return array[..., :whole].reshape(*array.shape[:-1], -1, run).swapaxes(-2, -3)

        np.matmul(rows[:, None], in_runs(windows), out=in_runs(out))
        windows, out = windows[..., whole:], out[..., whole:]
    np.matmul(rows, windows, out=out)


@lru_cache(maxsize=16)
def plan(
    c: int, vertical: Axis, horizontal: Axis, size: int, times: int, room: tuple[int, int, int] | None
) -> tuple[int, list[Tile]]:
    """Choose how many of c channels are made columns of at a time, as many as leave room for a wide tile; and tiles.

    A cell of a column is `size` bytes; `room` is (BYTES, FEWEST, WIDE), None where the image is its own columns.
    """
    if room is None:
        return c, [*tiles(vertical, horizontal, 0, times)]
    most, fewest, wide = room
    FF, outputs = vertical.window * horizontal.window, vertical.outputs * horizontal.outputs
    share = even(c, max(most // (size * FF * min(outputs, wide)), -(-fewest // FF)))
    return share, [*tiles(vertical, horizontal, size * share * FF, times)]


def columns(
    image: Array,
    vertical: Axis,
    horizontal: Axis,
    tile: Tile,
    dtype: np.dtype[Any],
    turned: bool = False,
    into: str = "columns",
) -> Array:
    """Stretch each window of a tile out into a column, its cells in reverse where `turned`.

    image (G, c, H, W) -> (G, c*FH*FW, T), in the buffer of that name; or a view of the image, if that has them.
    """
    G, c = image.shape[:2]
    FH, FW, width = vertical.window, horizontal.window, tile.width
    if FH * FW == 1 and are_columns(image, vertical, horizontal, dtype):
        return image[:, :, tile.down, tile.across].reshape(G, c, -1)
    every, height, length, padded, down, rows, spans = seen(vertical, horizontal, tile)
    side = lanes(horizontal)
    strip = workspace.array(into if FH * FW == 1 else "strip", (G, c, height, len(side), length), dtype)
    if padded:
        strip[...] = 0
    for lane, (across, cells) in zip(side, spans, strict=True):
        strip[:, :, down, lane.first, across] = image[:, :, rows, cells]
    if FH * FW == 1:
        return strip.reshape(G, c, -1)
    # The columns: (oy, ox) of cell (fy, fx) is strip[oy * stride + fy * dilation, lane of fx, ox + its place there].
    row = np.dtype(f"V{width * dtype.itemsize}")  # a row of outputs moves as one number
    buffer = workspace.array(into, (G, c, FH, FW, tile.rows), row)
    target = buffer[:, :, ::-1, ::-1] if turned else buffer
    g, s, y, part, x = strip.strides
    for lane in side:
        place = target[:, :, :, lane.first :: lane.period]
        steps = (g, s, vertical.dilation // every * y, lane.step * x, vertical.stride // every * y)
        np.copyto(place, np.ndarray(place.shape, row, strip, lane.first * part + lane.shift * x, steps))
    return buffer.view(dtype).reshape(G, c * FH * FW, tile.rows * width)


@lru_cache(maxsize=16)  # for small calls, whose time it is; of many tiles it would take more memory than the tile
def seen(vertical: Axis, horizontal: Axis, tile: Tile) -> Strip:
    """Find the strip under a tile: down, each cell that some window sees; across, what each lane sees, in a part each.

    So outputs lie side by side.
    """
    every = math.gcd(vertical.stride, vertical.dilation if vertical.window > 1 else 0)
    height = ((tile.rows - 1) * vertical.stride + vertical.extent - 1) // every + 1
    down, rows = overlap(tile.oy * vertical.stride - vertical.before, every, height, vertical.image)
    length, left = tile.width + reach(horizontal), tile.ox * horizontal.stride - horizontal.before
    side = lanes(horizontal)
    spans = tuple(overlap(left + lane.phase, horizontal.stride, length, horizontal.image) for lane in side)
    padded = down != slice(0, height) or any(across != slice(0, length) for across, _ in spans)
    return Strip(every, height, length, padded, down, rows, spans)


def tiles(vertical: Axis, horizontal: Axis, size: int, times: int = 1) -> Iterator[Tile]:
    """Cut the output into whole rows, or rows into parts where one alone is too long; a column is `size` bytes.

    Into a multiple of `times` strips of rows, if that can be, so that each of as many threads has the same to do.
    """
    OH, OW = vertical.outputs, horizontal.outputs
    most = max(BYTES // max(1, size), FEWEST)
    rows, width = even(OH, max(most // OW, -(-FEWEST // OW))), even(OW, most)
    if times > 1:
        rows = -(-OH // min(OH, -(-OH // (rows * times)) * times))
    for oy in range(0, OH, rows):
        for ox in range(0, OW, width):
            yield Tile(oy, ox, min(rows, OH - oy), min(width, OW - ox))


def are_columns(image: Array, vertical: Axis, horizontal: Axis, dtype: np.dtype[Any]) -> bool:
    """Tell whether the image (..., H, W) is its own columns, and lies in memory as a product wants it."""
    H, W = image.shape[-2:]
    return (
        vertical.is_identity
        and horizontal.is_identity
        and image.dtype == dtype
        and image.flags.aligned
        and image.strides[-3:] == (H * W * dtype.itemsize, W * dtype.itemsize, dtype.itemsize)
    )


# --- Indices ---------------------------------------------------------------------------------------------------------


@lru_cache
def lanes(axis: Axis) -> tuple[Lane, ...]:
    """Sort the window's cells by what they see of S interleaved images; at stride 1 there is one lane, the window."""
    common = math.gcd(axis.stride, axis.dilation)
    period, step = axis.stride // common, axis.dilation // common
    firsts = range(min(period, axis.window))
    return tuple(Lane(f, period, *divmod(f * axis.dilation, axis.stride), step) for f in firsts)


def reach(axis: Axis) -> int:
    """Count by how many strides the window's last cell lies beyond its first."""
    return (axis.window - 1) * axis.dilation // axis.stride


def overlap(start: int, step: int, count: int, image: int) -> tuple[slice, slice]:
    """Find which of the cells start, start + step, ... lie in the image: as slices of the `count`, and of the image."""
    first, stop = max(0, -(start // step)), min(count, (image - 1 - start) // step + 1)
    if first >= stop:
        return slice(0, 0), slice(0, 0)
    return slice(first, stop), slice(start + first * step, start + (stop - 1) * step + 1, step)


def as_one(array: Array, width: int) -> Array:
    """See the first `width` numbers of every row of a contiguous array as one, which is copied in one go."""
    return np.ndarray(array.shape[:-1], f"V{width * array.itemsize}", array, 0, array.strides[:-1])


def points(axis: Axis) -> Axis:
    """Make the axis of a window of one cell over the outputs of another: its columns are the outputs themselves."""
    return Axis(axis.outputs, 1, 1, 0, 1, axis.outputs)


def even(whole: int, most: int) -> int:
    """Choose the size of parts of `whole`, at most `most` and at least 1, so that no small remainder is left."""
    return -(-whole // -(-whole // max(1, min(whole, most)))) if whole else 1
