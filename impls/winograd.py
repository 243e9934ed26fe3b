"""Winograd's convolution: 3 x 3 filters at stride 1 with a quarter of the multiplications.

im2col multiplies 9 times for each output and channel. F(4x4, 3x3) takes a tile of 6 x 6 cells, transforms it, multiplies
it cell by cell with a transformed filter, and transforms the sum over channels back into 4 x 4 outputs: 36
multiplications for 16 outputs, 2.25 each. Channels are summed between the transforms, so that these are paid once for
each channel and once for each filter, and the middle is 36 products of matrices. Small images take F(2x2, 3x3), 4 each,
which wastes less at their edges.

Why it is fast. Few arithmetic operations, and all of them BLAS's: see `winograd_tiles`. Blocks of tiles, and filters by
the dozen, are such that one product is small enough for OpenBLAS to read matrices where they lie; it is then a fifth
faster than on large ones. Gradients are made likewise: dx is a convolution of dy; dw is F(3x3, 4x4), tiles of dy in the
place of filters, and all tiles are summed before one transform back.

What it costs. Accuracy: a result may be off by some ten times as much as a direct sum. Transformed filters are four
times as large, and to make them takes as long as the products where the image is small; `prepare` makes them once. A
block of transformed tiles is kept, 2 to 5 MB, and up to 16 MB of filters or sums.

Other filters, strides, dilations and groups are left to `im2col_tiled`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from impls import arguments, blas, im2col, im2col_tiled, threads
from impls import winograd_tiles as tiles
from impls.arguments import Array, Axis, Padding, Pair
from impls.winograd_tiles import SMALL, Block, Transform, workspace

name = "winograd"
version = f"numpy {np.__version__}"
accuracy = "winograd(4,3;0,1,-1,2,-1/2)"
options = ("asymmetric_padding", "pool_dilation", "ceil_mode", "same_padding")

out_size = arguments.out_size
max_pool2d, max_pool2d_backward = im2col.max_pool2d, im2col.max_pool2d_backward
avg_pool2d, avg_pool2d_backward = im2col.avg_pool2d, im2col.avg_pool2d_backward
l2_pool2d, l2_pool2d_backward = im2col.l2_pool2d, im2col.l2_pool2d_backward

FEW = 32  # filters at a time
PRODUCTS = 1 << 21  # bytes of a few filters' products at all frequencies
FILTERS = 1 << 24  # bytes of filters transformed, or of sums of their gradients, at a time

Filters = Callable[[slice, Array], None]  # transforms some of the filters, to (a, a, k, c)


@dataclass
class Prepared:
    """Filters that are transformed once for each size of tile that images ask for; a copy of the plain ones."""

    w: Array
    transformed: dict[int, Array] = field(default_factory=dict)

    def by_tile(self, m: int) -> Array:
        """Give the filters as F(m, 3) multiplies them, (a, a, K, C)."""
        if m not in self.transformed:
            way = tiles.transform(m, 3, self.w.dtype)
            made = np.empty((way.a, way.a, *self.w.shape[:2]), self.w.dtype)
            tiles.of_filters(self.w, way, out=made)
            self.transformed[m] = made
        return self.transformed[m]


def prepare(w: Array, *, stride: Pair, padding: Padding, dilation: Pair = (1, 1), groups: int = 1) -> Prepared:
    """Transform filters w (K, C/G, FH, FW) ahead; conv2d then takes the result as its w, whatever the images' size."""
    found = Prepared(arguments.wide(w).copy())
    if w.size and w.shape[2:] == (3, 3) and (*stride, *dilation, groups) == (1, 1, 1, 1, 1):
        found.by_tile(4)
    return found


@np.errstate(all="ignore")
def conv2d(
    x: Array,
    w: Array | Prepared,
    b: Array | None,
    *,
    stride: Pair,
    padding: Padding,
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> Array:
    """Transform tiles, multiply them with filters at each frequency, transform the products back.

    x (N, C, H, W), w (K, C/G, FH, FW) or what `prepare` made of it, b (K,) or None -> (N, K, OH, OW).
    Raises ValueError naming the value.
    """
    plain = w.w if isinstance(w, Prepared) else w
    dtype = arguments.common_dtype(x=x, w=plain, b=b)
    vertical, horizontal, G = arguments.convolution(
        x, plain, stride=stride, padding=padding, dilation=dilation, groups=groups
    )
    arguments.bias(b, plain.shape[0])
    if not applies(x.shape, plain.shape, vertical, horizontal, dtype):
        return im2col_tiled.conv2d(x, plain, b, stride=stride, padding=padding, dilation=dilation, groups=G)
    K, C = plain.shape[:2]
    y = np.empty((x.shape[0], K, vertical.outputs, horizontal.outputs), dtype)
    way = tiles.transform(tile(x.shape[0], vertical, horizontal), 3, dtype)
    filters: Array | Filters
    if isinstance(w, Prepared):
        filters = w.by_tile(way.m)
    else:
        native = arguments.wide(plain)

        def filters(some: slice, out: Array) -> None:
            tiles.of_filters(native[some], way, out)

    correlate(x, filters, None if b is None else arguments.wide(b), vertical, horizontal, way, out=y)
    return y


@np.errstate(all="ignore")
def conv2d_backward(
    x: Array, w: Array, dy: Array, *, stride: Pair, padding: Padding, dilation: Pair = (1, 1), groups: int = 1
) -> tuple[Array, Array, Array]:
    """Correlate dy with filters turned round for dx; sum tiles of dy times tiles of x, transformed, for dw.

    x (N, C, H, W), w (K, C/G, FH, FW), dy (N, K, OH, OW) -> dx, dw, db (K,). Raises ValueError naming the value.
    """
    dtype = arguments.common_dtype(x=x, w=w, dy=dy)
    vertical, horizontal, G = arguments.convolution(
        x, w, stride=stride, padding=padding, dilation=dilation, groups=groups
    )
    arguments.gradient(dy, x.shape[0], w.shape[0], vertical, horizontal)
    if not applies(x.shape, w.shape, vertical, horizontal, dtype):
        return im2col_tiled.conv2d_backward(x, w, dy, stride=stride, padding=padding, dilation=dilation, groups=G)
    dx, dw = np.empty(x.shape, dtype), np.empty(w.shape, dtype)
    down, across = (Axis(axis.outputs, 3, 1, 2 - axis.before, 1, axis.image) for axis in (vertical, horizontal))
    way, native = tiles.transform(tile(x.shape[0], down, across), 3, dtype), arguments.wide(w)

    def filters(some: slice, out: Array) -> None:  # filters and channels change places
        tiles.of_filters(native[:, some].swapaxes(0, 1), way, out, turned=True)

    correlate(dy, filters, None, down, across, way, out=dx)
    way = tiles.transform(3, tile(x.shape[0], vertical, horizontal), dtype)
    filter_gradient(x, dy, vertical, horizontal, way, out=dw)
    return dx, dw, np.einsum("nkyx->nky", dy, dtype=dtype).sum(axis=(0, 2))


def applies(x: tuple[int, ...], w: tuple[int, ...], vertical: Axis, horizontal: Axis, dtype: np.dtype[Any]) -> bool:
    """Tell whether the transforms fit: a dense 3 x 3 filter at stride 1, one group, and something to multiply."""
    dense = all((axis.window, axis.stride, axis.dilation) == (3, 1, 1) for axis in (vertical, horizontal))
    return dense and x[1] == w[1] and 0 not in x and 0 not in w and dtype != np.float16


def tile(N: int, vertical: Axis, horizontal: Axis) -> int:
    """Choose the outputs of a tile, 4 or 2 in each direction: those with fewer multiplications, edges included.

    A product of fewer than a dozen tiles takes no less time: it reads the filters.
    """

    def multiplications(m: int) -> int:
        count = N * -(-vertical.outputs // m) * -(-horizontal.outputs // m)
        return (m + 2) ** 2 * max(count, 12)

    return 4 if multiplications(4) <= multiplications(2) else 2


def correlate(
    x: Array, filters: Array | Filters, b: Array | None, vertical: Axis, horizontal: Axis, way: Transform, out: Array
) -> None:
    """Write the correlation of x (N, C, H, W) with filters, plus b, to out (N, K, OH, OW).

    Filters are transformed already, (a, a, K, C), or by a function: a few at a time where they are needed but once, for
    the one block that there is; otherwise as many as FILTERS holds.
    """
    (C, K), a, dtype = (x.shape[1], out.shape[1]), way.a, out.dtype
    blocks = tiles.blocks(x.shape[0], (vertical.outputs, horizontal.outputs), way.m, most_tiles(C, a, dtype))
    workers = threads.count(out.size * C * 9)
    if isinstance(filters, np.ndarray) or len(blocks) == 1:
        multiply(x, filters, b, vertical, horizontal, way, blocks, workers, out)
        return
    for some in tiles.parts(K, FILTERS // (a * a * C * dtype.itemsize)):
        made = workspace.array("filters", (a, a, some.stop - some.start, C), dtype)

        def make(part: slice, some: slice = some, made: Array = made) -> None:
            filters(slice(some.start + part.start, some.start + part.stop), made[:, :, part])

        threads.spread(make, tiles.parts(made.shape[2], FEW), workers)
        multiply(x, made, None if b is None else b[some], vertical, horizontal, way, blocks, workers, out[:, some])


def multiply(
    x: Array,
    filters: Array | Filters,
    b: Array | None,
    vertical: Axis,
    horizontal: Axis,
    way: Transform,
    blocks: list[Block],
    workers: int,
    out: Array,
) -> None:
    """Transform a block's cells, all channels; then, a few filters at a time, multiply and transform back."""
    (C, K), m, a, dtype = (x.shape[1], out.shape[1]), way.m, way.a, out.dtype
    few = fewest(C, blocks[0].tiles, a, dtype)
    for block in blocks:
        cells = workspace.array("cells", (a, a, C, block.tiles), dtype)

        def transform(some: slice, block: Block = block, cells: Array = cells) -> None:
            tiles.of_cells(x, block, some, way.cells, m, vertical, horizontal, out=cells)

        def product(some: slice, block: Block = block, cells: Array = cells) -> None:
            k = some.stop - some.start
            if isinstance(filters, np.ndarray):
                taken = filters[:, :, some]
            else:
                taken = workspace.array("filters", (a, a, k, C), dtype)
                filters(some, taken)
            products = workspace.array("products", (a, a, k, block.tiles), dtype)
            np.matmul(taken, cells, out=products)
            tiles.to_outputs(products, block, way, None if b is None else b[some], out[:, some])

        threads.spread(transform, tiles.parts(C, -(-C // workers)), workers)
        threads.spread(product, tiles.parts(K, few), workers)


def filter_gradient(x: Array, dy: Array, vertical: Axis, horizontal: Axis, way: Transform, out: Array) -> None:
    """Sum over all tiles the products of dy's tiles and x's, and transform the sums back: out (K, C, 3, 3).

    `way` is F(3, m): the m x m cells of a tile of dy stand where a filter's taps do.
    """
    (N, C), K, a, m, dtype = x.shape[:2], dy.shape[1], way.a, way.taps.shape[1], out.dtype
    plain = [Axis(axis.outputs, 1, 1, 0, 1, axis.outputs) for axis in (vertical, horizontal)]
    blocks = tiles.blocks(N, (vertical.outputs, horizontal.outputs), m, most_tiles(C, a, dtype))
    few, workers = fewest(C, blocks[0].tiles, a, dtype), threads.count(dy.size * C * 9)
    for some in tiles.parts(K, FILTERS // (a * a * C * dtype.itemsize)):
        sums = workspace.array("filters", (a, a, some.stop - some.start, C), dtype)
        for block in blocks:
            cells = workspace.array("cells", (a, a, C, block.tiles), dtype)

            def transform(part: slice, block: Block = block, cells: Array = cells) -> None:
                tiles.of_cells(x, block, part, way.cells, m, vertical, horizontal, out=cells)

            def add(part: slice, block: Block = block, cells: Array = cells, some: slice = some) -> None:
                filters = slice(some.start + part.start, some.start + part.stop)
                gradients = workspace.array("products", (a, a, part.stop - part.start, block.tiles), dtype)
                tiles.of_cells(dy[:, filters], block, slice(0, gradients.shape[2]), way.taps, m, *plain, out=gradients)
                if block is blocks[0]:
                    np.matmul(gradients, cells.swapaxes(2, 3), out=sums[:, :, part])
                else:
                    blas.accumulate(gradients, cells.swapaxes(2, 3), out=sums[:, :, part])

            threads.spread(transform, tiles.parts(C, -(-C // workers)), workers)
            threads.spread(add, tiles.parts(sums.shape[2], few), workers)
        tiles.to_filters(sums, way, out[some])


def most_tiles(C: int, a: int, dtype: np.dtype[Any]) -> int:
    """Choose how many tiles a block has, so that its product with FEW filters is SMALL and stays in the cache."""
    return max(FEW, min(SMALL // (FEW * C), PRODUCTS // (FEW * a * a * dtype.itemsize)))


def fewest(C: int, T: int, a: int, dtype: np.dtype[Any]) -> int:
    """Choose how many filters are multiplied at a time: a multiple of 16, for BLAS's kernels."""
    return max(16, min(SMALL // (C * T), PRODUCTS // (T * a * a * dtype.itemsize)) // 16 * 16)
