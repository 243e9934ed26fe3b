"""Correlation of images with filters tile by tile, each tile a product of spectra, by the overlap-save method.

A filter of R cells gives M = L - R + 1 outputs of a tile of L cells; what would wrap around falls on outputs that the
tile does not keep. So the images are cut into tiles that overlap by R - 1 cells, and six steps make some tiles:

    strip     the rows of the padded images under them, rows of all channels side by side
    rows      every tile's rows transformed, one product: (q, re | im, tile across, y, channel)
    columns   the same numbers with a tile's y and all tiles together, then one product for each q
    product   at each frequency the tiles' channels times the filters' spectra: channels are summed here
    back      down the columns, then along the rows: M x M outputs of each tile
    place     the outputs, run by run, where they belong

Strides: of S interleaved images each is a channel of its own, which the filter's cells that meet it are correlated
with (`lanes`); so a strided convolution computes no output that it drops.

Why it is fast. The cost of an output hardly grows with the filter; everything between strip and place happens in
matrix products, on data that a core's caches hold. What it costs: spectra of the filters about (L/F)^2 times as large
as these, and rounding that is relative to the largest outputs, not to each.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from impls import spectra
from impls.arguments import Array, Axis
from impls.column_tiles import even, lanes, overlap, points, reach
from impls.workspace import Workspace

BYTES = 4 << 20  # of spectra of the tiles that are made together
MOST = 1 << 28  # bytes of filters' spectra

workspace = Workspace()


class Tiles(NamedTuple):
    """One axis cut into `number` tiles of `length` cells, with `step` outputs each, for filters of `cells` cells."""

    cells: int
    length: int
    step: int
    number: int


class Part(NamedTuple):
    """The tiles that are made together: of some images, some rows of tiles, and some tiles of each row."""

    images: slice
    down: range
    across: range


def tiled(axis: Axis, length: int, odd: bool = False) -> Tiles:
    """Cut an axis into tiles of equal length, about `length` cells or as few as do."""
    cells = reach(axis) + 1
    number = -(-axis.outputs // max(1, length - cells + 1))
    step = -(-axis.outputs // number)
    length = step + cells - 1
    return Tiles(cells, length | 1 if odd else length, step, number)


def parts(N: int, channels: int, down: Tiles, across: Tiles, itemsize: int) -> Iterator[Part]:
    """Share all tiles out: whole batches where images are small, a part of a row of tiles where they are large."""
    tile = 2 * spectra.half(across.length) * down.length * channels * itemsize
    most = max(1, BYTES // max(1, tile))
    wide = even(across.number, most)
    tall = even(down.number, most // wide)
    many = even(N, most // (wide * tall)) if wide * tall == across.number * down.number else 1
    for n in range(0, N, many):
        for y in range(0, down.number, tall):
            for x in range(0, across.number, wide):
                yield Part(
                    slice(n, min(N, n + many)),
                    range(y, min(down.number, y + tall)),
                    range(x, min(across.number, x + wide)),
                )


# --- There -----------------------------------------------------------------------------------------------------------


def filter_planes(w: Array, vertical: Axis, horizontal: Axis, G: int, turned: bool = False) -> Array:
    """Lay the filters' cells where they see the interleaved images: w (K, c, FH, FW) -> (x, y, G, lanes * c, K/G).

    `turned` gives filters for the gradient of the images: in reverse, channels last. In a buffer.
    """
    K, c = w.shape[:2]
    down, across = lanes(vertical), lanes(horizontal)
    inner = len(down), len(across), c
    outer = reach(horizontal) + 1, reach(vertical) + 1, G
    planes = workspace.array("filters", (*outer, K // G, *inner) if turned else (*outer, *inner, K // G), w.dtype)
    planes[...] = 0
    target = np.moveaxis(planes, 3, 6)[::-1, ::-1] if turned else planes
    cells = w.reshape(G, K // G, c, *w.shape[2:]).transpose(4, 3, 0, 2, 1)  # (fx, fy, G, c, k)
    for a, over in enumerate(down):
        for b, along in enumerate(across):
            some = cells[along.first :: along.period, over.first :: over.period]
            target[along.shift :: along.step, over.shift :: over.step, :, a, b][: len(some), : some.shape[1]] = some
    return planes.reshape(*outer, K // G, -1) if turned else planes.reshape(*outer, -1, K // G)


def filter_spectra(planes: Array, down: Tiles, across: Tiles, kept: bool = False) -> Array:
    """Transform filters, conjugated: (x, y, G, c, k) -> (q * l, re | im, G, c, k), in a buffer unless `kept`."""
    FW, FH, *sizes = planes.shape
    Q, L, dtype = spectra.half(across.length), down.length, planes.dtype
    rows = workspace.array("filter rows", (2 * Q, FH * planes[0, 0].size), dtype)
    np.matmul(spectra.real(across.length, FW, dtype, conjugate=True), planes.reshape(FW, -1), out=rows)
    shape = Q, 2 * L, planes[0, 0].size
    W = np.empty(shape, dtype) if kept else workspace.array("filter spectra", shape, dtype)
    np.matmul(spectra.complex_(L, FH, dtype, conjugate=True), rows.reshape(Q, 2 * FH, -1), out=W)
    return W.reshape(Q * L, 2, *sizes)


def image_spectra(
    x: Array,
    vertical: Axis,
    horizontal: Axis,
    down: Tiles,
    across: Tiles,
    part: Part,
    G: int,
    dtype: np.dtype[Any],
    keep: bool = True,
    into: str = "spectra",
) -> Array:
    """Transform the tiles of some images: x (N, G*c, H, W) -> (q * l, re | im, tiles, G, lanes * c).

    Tiles hold all that their windows see, or where not `keep` their `step` cells and zeros.
    """
    tall, wide = (down.length, across.length) if keep else (down.step, across.step)
    strip = padded(x[part.images], vertical, horizontal, down, across, part, G, (tall, wide), dtype)
    height, n, channels, width = len(strip), strip.shape[1], strip[0, 0, ..., 0].size, strip.shape[-1]
    Q, columns, one = spectra.half(across.length), len(part.across), dtype.itemsize
    windows = np.ndarray((columns, wide, height * n * channels), dtype, strip, 0, (across.step * one, one, width * one))
    rows = workspace.array("rows", (2 * Q, columns, height * n * channels), dtype)
    np.matmul(spectra.real(across.length, wide, dtype), windows, out=rows.swapaxes(0, 1))
    tiles = rows
    if len(part.down) * columns > 1:
        run = np.dtype(f"V{n * channels * one}")  # all channels of a cell move as one number
        buffer = workspace.array("columns", (2 * Q, tall, len(part.down), columns), run)
        steps = columns * height, 1, down.step, height
        np.copyto(buffer, np.ndarray(buffer.shape, run, rows, 0, tuple(step * run.itemsize for step in steps)))
        tiles = buffer.view(dtype)
    T = len(part.down) * columns * n
    X = workspace.array(into, (Q, 2 * down.length, T * channels), dtype)
    np.matmul(spectra.complex_(down.length, tall, dtype), tiles.reshape(Q, 2 * tall, -1), out=X)
    return X.reshape(Q * down.length, 2, T, G, channels // G)


def padded(
    x: Array,
    vertical: Axis,
    horizontal: Axis,
    down: Tiles,
    across: Tiles,
    part: Part,
    G: int,
    window: tuple[int, int],
    dtype: np.dtype[Any],
) -> Array:
    """Copy what some tiles see of the images, zeros where that is padding: (height, n, G, lanes, lanes, c, width)."""
    n, C, H, W = x.shape
    over, along = lanes(vertical), lanes(horizontal)
    height = (len(part.down) - 1) * down.step + window[0]
    width = (len(part.across) - 1) * across.step + window[1]
    strip = workspace.array("strip", (height, n, G, len(over), len(along), C // G, width), dtype)
    images = x.reshape(n, G, C // G, H, W).transpose(3, 0, 1, 2, 4)
    top, left = part.down[0] * down.step * vertical.stride, part.across[0] * across.step * horizontal.stride
    rows = [overlap(top + lane.phase - vertical.before, vertical.stride, height, H) for lane in over]
    cells = [overlap(left + lane.phase - horizontal.before, horizontal.stride, width, W) for lane in along]
    if any(to != slice(0, height) for to, _ in rows) or any(to != slice(0, width) for to, _ in cells):
        strip[...] = 0
    for a, (to_y, y) in enumerate(rows):
        for b, (to_x, x_) in enumerate(cells):
            strip[to_y, :, :, a, b, :, to_x] = images[y, ..., x_]
    return strip


# --- The product, and back -------------------------------------------------------------------------------------------


def correlate(
    x: Array, W: Array, vertical: Axis, horizontal: Axis, down: Tiles, across: Tiles, G: int, out: Array
) -> None:
    """Correlate x (N, G*c, H, W) with filters whose spectra are W (q * l, re | im, G, c, k): out (N, G*k, OH, OW)."""
    dtype, (F, _, _, c, k) = W.dtype, W.shape
    for part in parts(len(x), G * max(c, k), down, across, dtype.itemsize):
        X = image_spectra(x, vertical, horizontal, down, across, part, G, dtype)
        T = X.shape[2]
        Y, Z = (workspace.array(name, (F, 2, T, G, k), dtype) for name in ("product", "other product"))
        for target, factor in ((Y, W[:, 0]), (Z, W[:, 1])):
            if c == k == 1:
                np.multiply(X, factor.reshape(F, 1, 1, G, 1), out=target)
            else:
                tiles = (each.reshape(F, 2 * T, G, -1).swapaxes(1, 2) for each in (X, target))
                np.matmul(next(tiles), factor, out=next(tiles))
        Y[:, 0] -= Z[:, 1]
        Y[:, 1] += Z[:, 0]
        place(signal(Y.reshape(F, 2, -1), down.length, across.length, down.step, across.step), down, across, part, out)


def signal(Y: Array, tall: int, wide: int, rows: int, columns: int) -> Array:
    """Transform spectra (q * l, re | im, A) of tiles (tall, wide) back, their first cells: (rows, A, columns)."""
    Q, dtype = spectra.half(wide), Y.dtype
    y = workspace.array("columns back", (Q, 2 * rows, Y.shape[-1]), dtype)
    np.matmul(spectra.complex_back(tall, rows, dtype), Y.reshape(Q, 2 * tall, -1), out=y)
    cells = workspace.array("rows back", (rows * Y.shape[-1], columns), dtype)
    np.matmul(y.reshape(2 * Q, -1).T, spectra.real_back(wide, columns, dtype), out=cells)
    return cells.reshape(rows, -1, columns)


def place(cells: Array, down: Tiles, across: Tiles, part: Part, out: Array) -> None:
    """Put the outputs of some tiles, cells (y, tile down * tile across * image * filter, x), where they belong."""
    images = out[part.images]
    n, K, OH, OW = images.shape
    blocks = cells.reshape(down.step, len(part.down), len(part.across), n, K, across.step).transpose(3, 4, 1, 0, 2, 5)
    for oy, ty, rows in pieces(part.down, down.step, OH):
        for ox, tx, width in pieces(part.across, across.step, OW):
            source = blocks[:, :, ty, :rows, tx, :width]
            target = images[:, :, oy, ox].reshape(source.shape)
            if target.strides[-1] == source.strides[-1] and target.dtype == source.dtype:
                run = np.dtype(f"V{width * target.itemsize}")  # a tile's row moves as one number
                source, target = (as_one(each, run) for each in (source, target))
            target[...] = source


def pieces(tiles: range, step: int, outputs: int) -> Iterator[tuple[slice, slice, int]]:
    """Give the outputs of whole tiles, and those of a last one that is cut short: outputs, tiles, cells of each."""
    start, stop = tiles.start * step, min(tiles.stop * step, outputs)
    whole, rest = divmod(stop - start, step)
    if whole:
        yield slice(start, start + whole * step), slice(0, whole), step
    if rest:
        yield slice(stop - rest, stop), slice(whole, whole + 1), rest


def as_one(array: Array, run: np.dtype[Any]) -> Array:
    """See each row of the last axis, contiguous by itself, as one number."""
    return array.view(run)[..., 0]


def filter_gradient(
    x: Array, dy: Array, vertical: Axis, horizontal: Axis, down: Tiles, across: Tiles, G: int, dtype: np.dtype[Any]
) -> Array:
    """Correlate x with dy, summed over all tiles: (G, K/G, c, lanes down, lanes across, y, x), as `filter_planes`."""
    K, channels = dy.shape[1], x.shape[1] * len(lanes(vertical)) * len(lanes(horizontal))
    F = spectra.half(across.length) * down.length
    shape = F, 2, G, K // G, channels // G
    total, product = (workspace.array(name, shape, dtype) for name in ("filter spectra", "filter product"))
    total[...] = 0
    for part in parts(len(x), max(K, channels), down, across, dtype.itemsize):
        X = image_spectra(x, vertical, horizontal, down, across, part, G, dtype)
        DY = image_spectra(
            dy, points(vertical), points(horizontal), down, across, part, G, dtype, keep=False, into="spectra of dy"
        )
        # conj(DY) X: its real part is one product over tiles and both parts, its imaginary part a difference of two.
        T = X.shape[2]
        both = DY.reshape(F, 2 * T, G, K // G).transpose(0, 2, 3, 1), X.reshape(F, 2 * T, G, -1).swapaxes(1, 2)
        np.matmul(*both, out=product[:, 0])
        np.matmul(DY[:, 0].transpose(0, 2, 3, 1), X[:, 1].swapaxes(1, 2), out=product[:, 1])
        total += product
        np.matmul(DY[:, 1].transpose(0, 2, 3, 1), X[:, 0].swapaxes(1, 2), out=product[:, 1])
        total[:, 1] -= product[:, 1]
    cells = signal(total.reshape(F, 2, -1), down.length, across.length, down.cells, across.cells)
    inner = G, K // G, len(lanes(vertical)), len(lanes(horizontal)), x.shape[1] // G
    return cells.reshape(down.cells, *inner, across.cells).transpose(1, 2, 5, 3, 4, 0, 6)
