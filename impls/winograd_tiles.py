"""Winograd's transforms of tiles: from images to small matrices, one for each frequency, and from those to images.

F(m, 3) makes m neighbouring outputs of a filter with 3 taps in a = m + 2 multiplications. In two directions a tile of
a x a cells goes in, and m x m outputs come out; on the way each of its a*a frequencies is a product of its own, of
filters (K, C) and tiles (C, T). So the layout of all that is transformed is (a, a, channels, T).

Why it is fast. Both transforms are matrix products too, of a constant matrix and all the tiles of a few channels, as
many as stay in the L2 cache. Cells are gathered once, and outputs are interleaved by the last product itself: its rows
are the m neighbours, so that whole rows of the image are copied.

Source: S. Winograd, Arithmetic Complexity of Computations, 1980; A. Lavin and S. Gray, Fast Algorithms for
Convolutional Neural Networks, 2016; the matrices by Toom and Cook's interpolation, transposed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from impls.arguments import Array
from impls.folding import Source
from impls.workspace import Workspace

POINTS = tuple(
    map(Fraction, ("0", "1", "-1", "2", "-1/2"))
)  # and infinity; their errors are a third of 0, 1, -1, 2, -2
CACHED = 3 << 18  # bytes of cells on their way through a transform: what fits an L2 cache
DOZEN = 12  # tiles

workspace = Workspace()


class Transform(NamedTuple):
    """F(m, r): A^T (m, a), G (a, r) and B^T (a, a), such that A^T [(G g) * (B^T d)] correlates d (a) with g (r)."""

    inverse: Array
    taps: Array
    cells: Array

    @property
    def m(self) -> int:
        """Outputs in one direction."""
        return self.inverse.shape[0]

    @property
    def a(self) -> int:
        """Cells, and multiplications, in one direction."""
        return self.inverse.shape[1]


@lru_cache
def transform(m: int, r: int, dtype: np.dtype[Any]) -> Transform:
    """Evaluate at m+r-2 points and at infinity, and interpolate: exactly, then rounded once to the dtype."""
    points = POINTS[: m + r - 2]
    others = [[q for q in points if q != p] for p in points]
    powers = [[p**i for p in points] + [Fraction(i == m - 1)] for i in range(m)]
    scales = [math.prod((p - q for q in rest), start=Fraction(1)) for p, rest in zip(points, others, strict=True)]
    evaluate = [[p**i / scale for i in range(r)] for p, scale in zip(points, scales, strict=True)]
    evaluate.append([Fraction(i == r - 1) for i in range(r)])
    interpolate = [[*_polynomial(rest), Fraction(0)] for rest in others] + [_polynomial(list(points))]
    inverse, taps, cells = (np.array(rows, np.float64).astype(dtype) for rows in (powers, evaluate, interpolate))
    return Transform(inverse, taps, cells)


def _polynomial(roots: list[Fraction]) -> list[Fraction]:
    """Multiply out the product of (t - root): its coefficients, the constant first."""
    found = [Fraction(1)]
    for root in roots:
        found = [high - root * low for high, low in zip([Fraction(0), *found], [*found, Fraction(0)], strict=True)]
    return found


# --- Which tiles at a time -------------------------------------------------------------------------------------------


def tile(shape: Sequence[int]) -> int:
    """Choose the outputs of a tile for results (N, K, OH, OW), 4 or 2 in each direction: the fewest multiplications.

    A product of fewer than a dozen tiles takes no less time: it reads the filters.
    """
    N, _, OH, OW = shape

    def multiplications(m: int) -> int:
        return (m + 2) ** 2 * max(N * -(-OH // m) * -(-OW // m), DOZEN)

    return 4 if multiplications(4) <= multiplications(2) else 2


class Block(NamedTuple):
    """Tiles that are multiplied together: some rows of tiles of one image, or all those of several images."""

    n: int
    images: int
    ty: int
    rows: int
    width: int

    @property
    def tiles(self) -> int:
        """How many."""
        return self.images * self.rows * self.width


def blocks(N: int, outputs: tuple[int, int], m: int, most: int) -> list[Block]:
    """Cut N images of so many outputs into blocks of about `most` tiles, of nearly one size."""
    height, width = (-(-count // m) for count in outputs)
    if height * width <= most:
        images = _even(N, most // (height * width))
        return [Block(n, min(images, N - n), 0, height, width) for n in range(0, N, images)]
    rows = _even(height, max(1, most // width))
    rows = -(-height // min(height, -(-height // (2 * rows)) * 2))  # an even number of blocks, for two threads
    return [Block(n, 1, ty, min(rows, height - ty), width) for n in range(N) for ty in range(0, height, rows)]


def parts(whole: int, most: int) -> list[slice]:
    """Cut `whole` into slices of nearly one size, of at most `most`."""
    size = _even(whole, max(1, most))
    return [slice(start, min(start + size, whole)) for start in range(0, whole, size)]


def _even(whole: int, most: int) -> int:
    return -(-whole // -(-whole // max(1, min(whole, most))))


# --- The transforms --------------------------------------------------------------------------------------------------


def of_filters(w: Array, way: Transform, out: Array) -> None:
    """Transform filters w (k, c, 3, 3) to out (a, a, k, c).

    Both directions in one product, of 9 terms. It rounds a term ten times where two products would eight times; A^T,
    whose powers of two multiply exactly, rounds it twice less than is allowed for.
    """
    both = np.kron(way.taps.astype(np.float64), way.taps).astype(w.dtype)
    np.matmul(both, w.reshape(-1, both.shape[1]).T, out=out.reshape(both.shape[0], -1))


def of_cells(source: Source, block: Block, channels: slice, matrix: Array, m: int, out: Array) -> None:
    """Transform cells in both directions by the matrix (a, s): tiles of s x s, every m-th, of these channels alone.

    To the same channels of out (a, a, C, T). What lies outside the planes is 0.
    """
    a, s = matrix.shape
    x, top, left = source
    tall, wide = (block.rows - 1) * m + s, (block.width - 1) * m + s
    down, rows = _overlap(block.ty * m - top, tall, x.shape[2])
    across, columns = _overlap(-left, wide, x.shape[3])
    images = slice(block.n, block.n + block.images)
    for some in _channels(channels, 2 * a * a * block.tiles * out.itemsize):
        c, T = some.stop - some.start, block.tiles
        strip = workspace.array("strip", (block.images, c, tall, wide), out.dtype)
        if down != slice(0, tall) or across != slice(0, wide):
            strip[...] = 0
        strip[:, :, down, across] = x[images, some, rows, columns]
        n, k, y, u = strip.strides
        gathered = workspace.array("gathered", (s, s, c, block.images, block.rows, block.width), out.dtype)
        np.copyto(gathered, np.ndarray(gathered.shape, out.dtype, strip, 0, (y, u, k, n, m * y, m * u)))
        half = workspace.array("half", (a, s, c * T), out.dtype)
        np.matmul(matrix, gathered.reshape(s, s * c * T), out=half.reshape(a, s * c * T))
        np.matmul(matrix, half, out=out[:, :, some].reshape(a, a, c * T))


def to_outputs(products: Array, block: Block, way: Transform, b: Array | None, y: Array) -> None:
    """Transform products (a, a, k, T) back, add b, and write them to their places in y (N, k, OH, OW)."""
    a, m, OH, OW = way.a, way.m, *y.shape[2:]
    images = slice(block.n, block.n + block.images)
    for some in _channels(slice(0, products.shape[2]), 2 * a * m * block.tiles * products.itemsize):
        k, T = some.stop - some.start, block.tiles
        half = workspace.array("half", (m, a, k * T), products.dtype)
        np.matmul(way.inverse, products[:, :, some].reshape(a, a, k * T).swapaxes(0, 1), out=half.swapaxes(0, 1))
        rows = workspace.array("gathered", (m, k * T, m), products.dtype)
        np.matmul(half.swapaxes(1, 2), way.inverse.T, out=rows)  # the m neighbours lie side by side
        if b is not None:
            by_filter = rows.reshape(m, k, T * m)
            by_filter += b[some, None]
        lines = rows.reshape(m, k, block.images, block.rows, block.width * m).swapaxes(1, 2)
        for oy in range(m):
            place = y[images, some, block.ty * m + oy : min((block.ty + block.rows) * m, OH) : m]
            place[...] = lines[oy, :, :, : place.shape[2], :OW]


def to_filters(sums: Array, way: Transform, dw: Array) -> None:
    """Transform sums (a, a, k, C) back to gradients of filters dw (k, C, 3, 3)."""
    m, a, (k, C) = way.m, way.a, sums.shape[2:]
    for some in _channels(slice(0, k), 2 * a * m * C * sums.itemsize):
        size = (some.stop - some.start) * C
        half = workspace.array("half", (m, a, size), sums.dtype)
        np.matmul(way.inverse, sums[:, :, some].reshape(a, a, size).swapaxes(0, 1), out=half.swapaxes(0, 1))
        np.matmul(half.swapaxes(1, 2), way.inverse.T, out=dw[some].reshape(size, m, m).swapaxes(0, 1))


def _channels(channels: slice, size: int) -> Iterator[slice]:
    """Take as many channels at a time as stay in the cache, at so many bytes each."""
    for part in parts(channels.stop - channels.start, CACHED // max(1, size)):
        yield slice(channels.start + part.start, channels.start + part.stop)


def _overlap(start: int, count: int, image: int) -> tuple[slice, slice]:
    """Find which of `count` cells from `start` on lie in the image: as slices of the `count`, and of the image."""
    first, stop = max(0, -start), min(count, image - start)
    if first >= stop:
        return slice(0, 0), slice(0, 0)
    return slice(first, stop), slice(start + first, start + stop)
