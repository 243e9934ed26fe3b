"""Winograd's convolution: filters of 3 x 3 and more with a quarter of the multiplications.

im2col multiplies 9 times for each output and channel. F(4x4, 3x3) takes a tile of 6 x 6 cells, transforms it,
multiplies it cell by cell with a transformed filter, and transforms the sum over channels back into 4 x 4 outputs: 36
multiplications for 16 outputs, 2.25 each. Channels are summed between the transforms, so that these are paid once for
each channel and once for each filter, and the middle is 36 products of matrices. Small images take F(2x2, 3x3), 4 each,
which wastes less at their edges.

Why it is fast. Few arithmetic operations, and all of them BLAS's: see `winograd_tiles`. Blocks of tiles, and filters by
the dozen, are such that one product is small enough for OpenBLAS to read matrices where they lie; it is then a fifth
faster than on large ones. Gradients are made likewise: dx is a convolution of dy; dw is F(3x3, 4x4), tiles of dy in the
place of filters, and all tiles are summed before one transform back.

What it costs. Accuracy: a result may be off by some ten times as much as a direct sum. Transformed filters are four
times as large, and to make them takes as long as the products where the image is small; `prepare` makes them once. A
block of transformed tiles is kept for the thread's next calls, 2 to 5 MB, and up to 16 MB of filters or sums. A block
is a row of tiles at least: 24 MB where 64 channels are 8,192 cells wide, 49 MB where 31 x 31 filters are folded.

Larger filters and strides become 3 x 3 ones with more channels, by `folding`; their dx takes the images' size more.
Groups come one after another. Smaller filters and dilations are left to `im2col_tiled`, and so are groups of fewer than
CHANNELS channels, whose transforms would take longer than what they save.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from impls import arguments, blas, folding, im2col, im2col_tiled, threads
from impls import winograd_tiles as tiles
from impls.arguments import Array, Axis, Padding, Pair
from impls.blas import SMALL
from impls.folding import Fold, Source
from impls.keywords import Keywords
from impls.winograd_tiles import Block, Transform, workspace

name = "winograd"
version = f"numpy {np.__version__}"
accuracy = "winograd(4,3;0,1,-1,2,-1/2)"
options = ("asymmetric_padding", "pool_dilation", "ceil_mode", "same_padding")

out_size = arguments.out_size
max_pool2d, max_pool2d_backward = im2col.max_pool2d, im2col.max_pool2d_backward
avg_pool2d, avg_pool2d_backward = im2col.avg_pool2d, im2col.avg_pool2d_backward
l2_pool2d, l2_pool2d_backward = im2col.l2_pool2d, im2col.l2_pool2d_backward

CHANNELS = 4  # of a group, at least
FEW = 32  # filters at a time
PRODUCTS = 1 << 21  # bytes of a few filters' products at all frequencies
FILTERS = 1 << 24  # bytes of filters transformed, or of sums of their gradients, at a time

Filters = Callable[[slice, Array], None]  # transforms some of the filters, to (a, a, k, c)


@dataclass
class Prepared:
    """Filters that are transformed once for each size of tile that images ask for; a copy of the plain ones."""

    w: Array
    keywords: Keywords
    folded: Array | None = None
    transformed: dict[int, Array] = field(default_factory=dict)

    def by_tile(self, m: int) -> Array:
        """Give the filters as F(m, 3) multiplies them, (a, a, K, C)."""
        if m not in self.transformed:
            assert self.folded is not None
            way = tiles.transform(m, 3, self.folded.dtype)
            made = np.empty((way.a, way.a, *self.folded.shape[:2]), self.folded.dtype)
            tiles.of_filters(self.folded, way, out=made)
            self.transformed[m] = made
        return self.transformed[m]


def prepare(w: Array, *, stride: Pair, padding: Padding, dilation: Pair = (1, 1), groups: int = 1) -> Prepared:
    """Transform filters w (K, C/G, FH, FW) ahead; conv2d then takes the result as its w, whatever the images' size.

    Raises ValueError naming the value; so does conv2d under other keywords.
    """
    keywords = Keywords.of_filters(w, stride=stride, padding=padding, dilation=dilation, groups=groups)
    found = Prepared(w.copy(), keywords)
    lines = zip(w.shape[2:], keywords.stride, keywords.dilation, strict=True)
    down, across = (Fold(Axis(F, F, S, 0, D, 1)) for F, S, D in lines)  # of the image, padding alone is still unknown
    if w.size and w.dtype != np.float16 and folding.folds(down.axis) and folding.folds(across.axis):
        found.folded = folding.filters(arguments.wide(found.w), down, across)
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
    if isinstance(w, Prepared):
        w.keywords.expect(stride=stride, padding=padding, dilation=dilation, groups=groups)
    if dtype == np.float16 or not applies(x.shape[0], x.shape[1], plain.shape[0], vertical, horizontal, G):
        return im2col_tiled.conv2d(x, plain, b, stride=stride, padding=padding, dilation=dilation, groups=G)
    y = np.empty((x.shape[0], plain.shape[0], vertical.outputs, horizontal.outputs), dtype)
    way, down, across = tiles.transform(tiles.tile(y.shape), 3, dtype), Fold(vertical), Fold(horizontal)
    for ins, outs in by_group(G, x.shape[1], plain.shape[0]):
        filters: Array | Filters
        if isinstance(w, Prepared):
            filters = w.by_tile(way.m)[:, :, outs]
        else:
            filters = partial(_transform, folding.filters(arguments.wide(plain[outs]), down, across), way)
        offsets = None if b is None else arguments.wide(b)[outs]
        correlate(folding.sources(x[:, ins], down, across), filters, offsets, way, out=y[:, outs])
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
    if dtype == np.float16 or not applies(x.shape[0], x.shape[1], w.shape[0], vertical, horizontal, G):
        return im2col_tiled.conv2d_backward(x, w, dy, stride=stride, padding=padding, dilation=dilation, groups=G)
    dx, dw, down, across = np.empty(x.shape, dtype), np.empty(w.shape, dtype), Fold(vertical), Fold(horizontal)
    for ins, outs in by_group(G, x.shape[1], w.shape[0]):
        image_gradient(dy[:, outs], arguments.wide(w[outs]), down, across, out=dx[:, ins])
        filter_gradient(folding.sources(x[:, ins], down, across), dy[:, outs], down, across, out=dw[outs])
    return dx, dw, np.einsum("nkyx->nky", dy, dtype=dtype).sum(axis=(0, 2))


def applies(N: int, C: int, K: int, vertical: Axis, horizontal: Axis, G: int) -> bool:
    """Tell whether the transforms fit: dense filters, more than two taps a step of their stride, no crowd of groups."""
    dense = folding.folds(vertical) and folding.folds(horizontal)
    return dense and min(N, C, K) > 0 and (G == 1 or C // G >= CHANNELS)


def by_group(G: int, C: int, K: int) -> Iterator[tuple[slice, slice]]:
    """Give each group's channels, and its filters."""
    for g in range(G):
        yield slice(g * C // G, (g + 1) * C // G), slice(g * K // G, (g + 1) * K // G)


def _transform(w: Array, way: Transform, some: slice, out: Array) -> None:
    tiles.of_filters(w[some], way, out)


# --- Tiles in, products, tiles out -----------------------------------------------------------------------------------


class Plan(NamedTuple):
    """How a layer is cut: blocks of tiles, how many filters are multiplied at a time, on how many threads."""

    blocks: list[Block]
    few: int
    workers: int


def plan(shape: tuple[int, ...], C: int, m: int, dtype: np.dtype[Any]) -> Plan:
    """Cut results (N, K, OH, OW) of C channels so that one product is SMALL, and what it makes stays in the cache.

    Filters are multiplied by 16 or more at a time, for BLAS's kernels.
    """
    each = (m + 2) ** 2 * dtype.itemsize
    blocks = tiles.blocks(
        shape[0], (shape[2], shape[3]), m, max(FEW, min(SMALL // (FEW * C), PRODUCTS // (FEW * each)))
    )
    T = blocks[0].tiles
    few = max(16, min(SMALL // (C * T), PRODUCTS // (T * each)) // 16 * 16)
    return Plan(blocks, few, threads.count(float(np.prod(shape)) * C * 9))


def correlate(sources: list[Source], filters: Array | Filters, b: Array | None, way: Transform, out: Array) -> None:
    """Write the correlation of what the sources have, C channels in all, plus b, to out (N, K, OH, OW).

    Filters are transformed already, (a, a, K, C), or by a function: a few at a time where they are needed but once, for
    the one block that there is; otherwise as many as FILTERS holds.
    """
    C, K, a, dtype = channels(sources), out.shape[1], way.a, out.dtype
    cut = plan(out.shape, C, way.m, dtype)
    if isinstance(filters, np.ndarray) or len(cut.blocks) == 1:
        multiply(sources, filters, b, cut, way, out)
        return
    for some in tiles.parts(K, FILTERS // (a * a * C * dtype.itemsize)):
        made = workspace.array("filters", (a, a, some.stop - some.start, C), dtype)
        make = partial(_make, filters, some.start, made)
        threads.spread(make, tiles.parts(made.shape[2], FEW), cut.workers)
        multiply(sources, made, None if b is None else b[some], cut, way, out[:, some])


def _make(filters: Filters, first: int, made: Array, part: slice) -> None:
    filters(slice(first + part.start, first + part.stop), made[:, :, part])


def multiply(
    sources: list[Source], filters: Array | Filters, b: Array | None, cut: Plan, way: Transform, out: Array
) -> None:
    """Transform a block's cells, of all channels; then, a few filters at a time, multiply and transform back."""
    C, K, a = channels(sources), out.shape[1], way.a

    def product(block: Block, cells: Array, some: slice) -> None:
        k = some.stop - some.start
        if isinstance(filters, np.ndarray):
            taken = filters[:, :, some]
        else:
            taken = workspace.array("filters", (a, a, k, C), out.dtype)
            filters(some, taken)
        products = workspace.array("products", (a, a, k, block.tiles), out.dtype)
        np.matmul(taken, cells, out=products)
        tiles.to_outputs(products, block, way, None if b is None else b[some], out[:, some])

    def whole(block: Block) -> None:
        cells = transformed(sources, block, 1, way.cells, way.m, out.dtype)
        for some in tiles.parts(K, cut.few):
            product(block, cells, some)

    if len(cut.blocks) % cut.workers == 0:  # each thread's tiles stay with it
        threads.spread(whole, cut.blocks, cut.workers)
        return
    for block in cut.blocks:
        cells = transformed(sources, block, cut.workers, way.cells, way.m, out.dtype)
        threads.spread(partial(product, block, cells), tiles.parts(K, cut.few), cut.workers)


def channels(sources: list[Source]) -> int:
    """Count them, over all sources."""
    return sum(source.planes.shape[1] for source in sources)


def transformed(
    sources: list[Source], block: Block, workers: int, matrix: Array, m: int, dtype: np.dtype[Any]
) -> Array:
    """Transform a block's cells of all sources: (a, a, C, T), in a buffer."""
    a, each = len(matrix), sources[0].planes.shape[1]
    cells = workspace.array("cells", (a, a, each * len(sources), block.tiles), dtype)

    def some(piece: tuple[int, slice]) -> None:
        number, part = piece
        tiles.of_cells(sources[number], block, part, matrix, m, cells[:, :, number * each : (number + 1) * each])

    parts = tiles.parts(each, -(-each // workers))
    threads.spread(some, [(number, part) for number in range(len(sources)) for part in parts], workers)
    return cells


# --- Gradients -------------------------------------------------------------------------------------------------------


def image_gradient(dy: Array, w: Array, down: Fold, across: Fold, out: Array) -> None:
    """Correlate dy (N, K, OH, OW) with filters turned round, one for each phase of the image: out (N, C, H, W)."""
    dtype, phases = out.dtype, down.phases * across.phases
    shape = (out.shape[0], phases * out.shape[1], len(folding.span(down)), len(folding.span(across)))
    images = out if phases == 1 else workspace.array("images", shape, dtype)
    way = tiles.transform(tiles.tile(shape), 3, dtype)
    filters = partial(_transform, folding.turned_filters(w, down, across), way)
    correlate(folding.seen_by_image(dy, down, across), filters, None, way, out=images)
    if images is not out:
        folding.interleave(images, down, across, out)


def filter_gradient(sources: list[Source], dy: Array, down: Fold, across: Fold, out: Array) -> None:
    """Sum over all tiles the products of dy's tiles and x's, and transform the sums back: out (K, C, FH, FW).

    By F(3, m): the m x m cells of a tile of dy stand where a filter's taps do.
    """
    C, K, m, dtype = channels(sources), dy.shape[1], tiles.tile(dy.shape), out.dtype
    cut, way = plan(dy.shape, C, m, dtype), tiles.transform(3, m, dtype)
    a, plain = way.a, out.shape[1:] == (C, 3, 3)
    folded = out if plain else workspace.array("folded", (K, C, 3, 3), dtype)

    def add(block: Block, cells: Array, gradients: Source, sums: Array, part: slice) -> None:
        products = workspace.array("products", (a, a, part.stop - part.start, block.tiles), dtype)
        some = gradients._replace(planes=gradients.planes[:, part])
        tiles.of_cells(some, block, slice(0, products.shape[2]), way.taps, m, products)
        product = np.matmul if block is cut.blocks[0] else blas.accumulate
        product(products, cells.swapaxes(2, 3), out=sums[:, :, part])

    for some in tiles.parts(K, FILTERS // (a * a * C * dtype.itemsize)):
        sums = workspace.array("filters", (a, a, some.stop - some.start, C), dtype)
        for block in cut.blocks:
            cells = transformed(sources, block, cut.workers, way.cells, m, dtype)
            add_some = partial(add, block, cells, Source(dy[:, some], 0, 0), sums)
            threads.spread(add_some, tiles.parts(sums.shape[2], cut.few), cut.workers)
        tiles.to_filters(sums, way, folded[some])
    if not plain:
        folding.unfold(folded, down, across, out)
