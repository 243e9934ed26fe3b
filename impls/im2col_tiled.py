"""im2col without its price: the columns of a few output rows at a time, in a buffer that stays in cache.

The textbook (`impls/im2col.py`) copies every cell of the image FH*FW times before it multiplies: 116 MB for 64 channels
of 224 x 224, written to main memory and read back. Here a tile is some rows of the output, and three steps make it:

    strip     the rows of the padded image that lie under the tile
    columns   all windows of the strip, copied from one strided view into a buffer that every tile uses again
    product   filters times columns, straight into the tile's place in the output

Why it is fast. The columns are multiplied while they are still in the L2 cache. A row of outputs is copied as if it
were one number, since NumPy takes longer to begin a row than to move it. The buffer is not asked for anew in each call,
which would cost more than to fill it. And a window of one cell needs no columns: the image has them.

What it costs. The filters are read once for each tile; so that this is little, a tile has at least 256 columns. Strips
overlap by FH - S rows. Where an image has hardly more columns than a tile, the textbook is as fast. Beside the result
it takes 1 MB, or 256 columns and the rest of their last row, and a strip; a gradient, a few times that and the filters.

The gradient of the filters is made of the same columns. That of the image is a convolution of dy, made likewise
(`gather`); where this would copy more than it saves, it is made of products first and sums afterwards (`scatter`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from impls import arguments, im2col
from impls.arguments import Array, Axis, Padding, Pair
from impls.workspace import Workspace

name = "im2col-tiled"
version = f"numpy {np.__version__}"
dtypes = ("float16", "float32", "float64")
options = ("asymmetric_padding", "pool_dilation", "ceil_mode", "same_padding")

out_size = arguments.out_size
max_pool2d, max_pool2d_backward = im2col.max_pool2d, im2col.max_pool2d_backward  # pools make no columns in any case
avg_pool2d, avg_pool2d_backward = im2col.avg_pool2d, im2col.avg_pool2d_backward
l2_pool2d, l2_pool2d_backward = im2col.l2_pool2d, im2col.l2_pool2d_backward

BYTES = 1 << 20  # of columns in a tile: what fits an L2 cache
FEWEST = 256  # columns in a tile, however many bytes: with fewer, a product is slowed down by arranging the filters

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


class Lane(NamedTuple):
    """The window's cells first, first + period, ...: those that see the same one of S interleaved images.

    Cell f sees, from output o, the padded cell o * S + f * D = (o + shift + step * i) * S + phase for the i-th of them.
    """

    first: int
    period: int
    shift: int
    phase: int
    step: int


@np.errstate(all="ignore")
def conv2d(
    x: Array, w: Array, b: Array | None, *, stride: Pair, padding: Padding, dilation: Pair = (1, 1), groups: int = 1
) -> Array:
    """Multiply filters as rows by windows as columns, tile by tile.

    x (N, C, H, W), w (K, C/G, FH, FW), b (K,) or None -> (N, K, OH, OW). Raises ValueError naming the value.
    Source: CS231n, "Implementation as Matrix Multiplication"; Zhao et al., "ECBC: Efficient
    Convolution via Blocked Columnizing", TNNLS 2021.
    """
    dtype = arguments.common_dtype(x=x, w=w, b=b)
    vertical, horizontal, G = arguments.convolution(
        x, w, stride=stride, padding=padding, dilation=dilation, groups=groups
    )
    arguments.bias(b, w.shape[0])
    if w.size == 0:  # no channels or no filters
        return im2col.conv2d(x, w, b, stride=stride, padding=padding, dilation=dilation, groups=groups)
    y = np.empty((x.shape[0], w.shape[0], vertical.outputs, horizontal.outputs), dtype)
    correlate(x, im2col.filter_rows(arguments.wide(w), G), b, vertical, horizontal, out=y)
    return y


@np.errstate(all="ignore")
def conv2d_backward(
    x: Array, w: Array, dy: Array, *, stride: Pair, padding: Padding, dilation: Pair = (1, 1), groups: int = 1
) -> tuple[Array, Array, Array]:
    """Multiply dy by the columns of x for dw, and filters by those of dy for dx, tile by tile.

    x (N, C, H, W), w (K, C/G, FH, FW), dy (N, K, OH, OW) -> dx, dw, db (K,). Raises ValueError naming the value.
    Source: CS231n, assignment 2, `conv_backward_im2col`; Dumoulin & Visin 2016, section 4, "Transposed convolution".
    """
    dtype = arguments.common_dtype(x=x, w=w, dy=dy)
    vertical, horizontal, G = arguments.convolution(
        x, w, stride=stride, padding=padding, dilation=dilation, groups=groups
    )
    arguments.gradient(dy, x.shape[0], w.shape[0], vertical, horizontal)
    if w.size == 0:
        return im2col.conv2d_backward(x, w, dy, stride=stride, padding=padding, dilation=dilation, groups=groups)
    filters = arguments.wide(w)
    dx = np.empty(x.shape, dtype)
    image_gradient = gather if gathering_pays(x.shape, w.shape, vertical, horizontal) else scatter
    image_gradient(dy, filters, vertical, horizontal, G, out=dx)
    dw = filter_gradient(x, dy, vertical, horizontal, G, filters.dtype)
    db = np.einsum("nkyx->nky", dy, dtype=filters.dtype).sum(axis=(0, 2))  # in half the time of dy.sum((0, 2, 3))
    return dx, dw.reshape(w.shape).astype(dtype, copy=False), db.astype(dtype, copy=False)


# --- Columns of a tile, and their product ----------------------------------------------------------------------------


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
    for image, result in zip(images, y, strict=True):
        for tile in tiles(vertical, horizontal, size=G * cells * rows.itemsize * copied):
            windows = columns(image, vertical, horizontal, tile, rows.dtype, turned=turned)
            target = result[:, :, tile.down, tile.across]
            shape = (G, k, windows.shape[2])
            product = target.reshape(shape) if direct else workspace.array("product", shape, rows.dtype)
            np.matmul(rows, windows, out=product)
            if offset is not None:
                product += offset
            if not direct:
                target[...] = product.reshape(target.shape)


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
    G, c, _, W = image.shape
    FH, FW, width = vertical.window, horizontal.window, tile.width
    if FH * FW == 1 and are_columns(image, vertical, horizontal, dtype):
        return image[:, :, tile.down, tile.across].reshape(G, c, -1)
    # The strip: down, each cell that some window sees; across, a part for each lane, so that outputs lie side by side.
    every = math.gcd(vertical.stride, vertical.dilation if FH > 1 else 0)
    height = ((tile.rows - 1) * vertical.stride + vertical.extent - 1) // every + 1
    down, rows = overlap(tile.oy * vertical.stride - vertical.before, every, height, vertical.image)
    side, length = lanes(horizontal), width + reach(horizontal)
    strip = workspace.array(into if FH * FW == 1 else "strip", (G, c, height, len(side), length), dtype)
    left = tile.ox * horizontal.stride - horizontal.before
    spans = [overlap(left + lane.phase, horizontal.stride, length, W) for lane in side]
    if down != slice(0, height) or any(across != slice(0, length) for across, _ in spans):
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


def tiles(vertical: Axis, horizontal: Axis, size: int) -> Iterator[Tile]:
    """Cut the output into whole rows, or rows into parts where one alone is too long; a column is `size` bytes."""
    OH, OW = vertical.outputs, horizontal.outputs
    most = max(BYTES // max(1, size), FEWEST)
    rows, width = even(OH, max(most // OW, -(-FEWEST // OW))), even(OW, most)
    for oy in range(0, OH, rows):
        for ox in range(0, OW, width):
            yield Tile(oy, ox, min(rows, OH - oy), min(width, OW - ox))


def are_columns(image: Array, vertical: Axis, horizontal: Axis, dtype: np.dtype[Any]) -> bool:
    """Tell whether the image (..., H, W) is its own columns, and lies in memory as a product wants it."""
    H, W = image.shape[-2:]
    return (
        all(axis == points(axis) for axis in (vertical, horizontal))
        and image.dtype == dtype
        and image.flags.aligned
        and image.strides[-3:] == (H * W * dtype.itemsize, W * dtype.itemsize, dtype.itemsize)
    )


# --- Gradients -------------------------------------------------------------------------------------------------------


def filter_gradient(x: Array, dy: Array, vertical: Axis, horizontal: Axis, G: int, dtype: np.dtype[Any]) -> Array:
    """Add up dy times columns transposed over all tiles: (G, K/G, C/G*FH*FW).

    For as many channels at a time as let a tile hold the whole image, where the product is then still large enough:
    nothing is to be added then. Otherwise for so many that a product is no larger than the columns.
    """
    (N, C), K, FF = x.shape[:2], dy.shape[1], vertical.window * horizontal.window
    images, gradients = x.reshape(N, G, C // G, *x.shape[2:]), dy.reshape(N, G, K // G, *dy.shape[2:])
    dw = np.zeros((G, K // G, C // G * FF), dtype)
    size = G * FF * dtype.itemsize
    share = BYTES // (size * vertical.outputs * horizontal.outputs)
    share = even(C // G, share if share * FF >= FEWEST else FEWEST * C // K)
    for c in range(0, C // G, share):
        total = dw[:, :, c * FF : (c + share) * FF]
        places = [(n, tile) for n in range(N) for tile in tiles(vertical, horizontal, size * share)]
        for n, tile in places:
            windows = columns(images[n, :, c : c + share], vertical, horizontal, tile, dtype)
            dV = columns(gradients[n], points(vertical), points(horizontal), tile, dtype, into="dy")
            product = total if (n, tile) == places[0] else workspace.array("product", total.shape, dtype)
            np.matmul(dV, windows.swapaxes(1, 2), out=product)
            if product is not total:
                total += product
    return dw


def gathering_pays(x: tuple[int, ...], w: tuple[int, ...], vertical: Axis, horizontal: Axis) -> bool:
    """Weigh what `gather` copies, columns of dy and filters, against what `scatter` adds, columns of dx.

    Measured: an addition costs about as much as two copies and a multiplication by C/G / 16.
    """
    (N, C, H, W), (K, c, FH, FW) = x, w
    strides, outputs = vertical.stride * horizontal.stride, vertical.outputs * horizontal.outputs
    positions = H * W // strides
    copies = K * (N * positions + N * c * (positions - outputs) // 16 + c * strides)
    return FH * FW == 1 or copies <= 2.2 * N * C * outputs


def gather(dy: Array, w: Array, vertical: Axis, horizontal: Axis, G: int, out: Array) -> None:
    """Let each cell of the image collect from the outputs that saw it: a convolution of dy by filters turned round.

    At stride S that is S * S convolutions, one for each phase of the cells and with the filter's cells that meet it.
    """
    if any(len(lanes(axis)) < axis.stride for axis in (vertical, horizontal)):
        out[...] = 0  # some phases are seen by no cell of the filter
    for fy, down, over in phases(vertical):
        for fx, across, along in phases(horizontal):
            correlate(dy, exchanged(w[:, :, fy, fx], G), None, over, along, out[:, :, down, across], turned=True)


def phases(axis: Axis) -> Iterator[tuple[slice, slice, Axis]]:
    """Give, for each lane, its cells of the filter, the image's cells that they meet, and how the former see dy."""
    for lane in lanes(axis):
        taps = slice(lane.first, None, lane.period)
        cells = slice((lane.phase - axis.before) % axis.stride, None, axis.stride)
        F, outputs = len(range(axis.window)[taps]), len(range(axis.image)[cells])
        first = (cells.start + axis.before) // axis.stride  # output whose window begins at the first of the cells
        if outputs:
            yield taps, cells, Axis(axis.outputs, F, 1, lane.shift + (F - 1) * lane.step - first, lane.step, outputs)


def exchanged(w: Array, G: int) -> Array:
    """Let filters and channels change places: w (K, c, FH, FW) -> rows (G, c, K/G*FH*FW)."""
    K, c, FH, FW = w.shape
    if FH * FW == 1:
        return w.reshape(G, K // G, c).swapaxes(1, 2)
    planes = np.ascontiguousarray(w).reshape(G, K // G, c, FH * FW).view(f"V{FH * FW * w.itemsize}")[..., 0]
    return np.ascontiguousarray(planes.swapaxes(1, 2)).view(w.dtype).reshape(G, c, K // G * FH * FW)


def scatter(dy: Array, w: Array, vertical: Axis, horizontal: Axis, G: int, out: Array) -> None:
    """Let each output give to the cells that it saw: filters transposed times dy, and what meets at one cell added up.

    For as many channels at a time as let a tile hold 1024 columns, or all there are.
    """
    (N, C), (K, _, FH, FW) = out.shape[:2], w.shape
    OH, OW, extra = vertical.outputs, horizontal.outputs, reach(vertical)
    images, gradients = out.reshape(N, G, C // G, *out.shape[2:]), dy.reshape(N, G, K // G, OH, OW)
    weights, size = im2col.filter_rows(w, G).swapaxes(1, 2), G * FH * FW * w.itemsize
    share = even(C // G, BYTES // (size * (min(OH * OW, 1024) + extra * OW)))
    rows = even(OH, max(BYTES // (size * share), FEWEST) // OW - extra)
    if any((axis.outputs + reach(axis)) * axis.stride < axis.before + axis.image for axis in (vertical, horizontal)):
        out[...] = 0  # what is left over on the far side
    for c in range(0, C // G, share):
        some = weights[:, c * FH * FW : (c + share) * FH * FW]
        for n in range(N):
            carried: Array | float = 0.0
            for oy in range(0, OH, rows):
                tile = Tile(oy, 0, min(rows, OH - oy), OW)
                dV = columns(gradients[n], points(vertical), points(horizontal), tile, w.dtype, into="dy")
                # Of each cell of the windows a run of rows, and extra rows of zeros that a sum may run into.
                runs = workspace.array("columns", (G, some.shape[1], (rows + extra) * OW), w.dtype)
                np.matmul(some, dV, out=runs[:, :, : tile.rows * OW])
                runs[:, :, tile.rows * OW :] = 0
                carried = add_up(runs, carried, vertical, horizontal, oy, out=images[n, :, c : c + share])


def add_up(runs: Array, carried: Array | float, vertical: Axis, horizontal: Axis, oy: int, out: Array) -> Array:
    """Add up the columns of rows oy, oy + 1, ... where they meet, down and then across, each over long runs.

    S interleaved images are kept apart until they are written to `out` (G, c, H, W). What the next tile adds to is
    left to it: returned, and `carried` to the next call, so that each row is written once.
    """
    (G, c), OW, SV, SH = out.shape[:2], horizontal.outputs, vertical.stride, horizontal.stride
    A, FW, rows, length = G * c, horizontal.window, runs.shape[2] // OW, OW + reach(horizontal)
    tall = fold(runs.reshape(A, vertical.window, -1), vertical, OW, "tall").reshape(SV, A, FW, rows, OW)
    tall[..., : reach(vertical), :] += carried
    whole = rows - reach(vertical)
    done = whole if oy + whole < vertical.outputs else rows
    broad = workspace.array("broad", (SV, A, FW, done, length), runs.dtype)
    np.copyto(as_one(broad, OW), as_one(tall, OW)[..., :done])
    broad[..., OW:] = 0
    flat = fold(broad.reshape(SV * A, FW, -1), horizontal, 1, "flat").reshape(SH, SV, A, done, length)
    strip = flat if SV == SH == 1 else workspace.array("strip", (A, done, SV, length, SH), runs.dtype)
    if strip is not flat:
        for phase in range(SH):
            strip[..., phase] = np.moveaxis(flat[phase], 0, 2)
    down, to_y = overlap(oy * SV - vertical.before, 1, done * SV, vertical.image)
    across, to_x = overlap(-horizontal.before, 1, length * SH, horizontal.image)
    out[:, :, to_y, to_x] = strip.reshape(G, c, done * SV, length * SH)[:, :, down, across]
    return tall[..., done:, :].copy()


def fold(source: Array, axis: Axis, inner: int, into: str) -> Array:
    """Add up the F runs of source (A, F, run), each moved on to where its cell of the window lies: (S, A, run).

    A run ends in as many zeros as it can be moved by: what is read before its beginning are those of another.
    """
    A, F, run = source.shape
    a, f, u = source.strides
    sums = workspace.array(into, (axis.stride, A, run), source.dtype)
    if len(lanes(axis)) < axis.stride:
        sums[...] = 0
    for lane in lanes(axis):
        shape = A, len(range(lane.first, F, lane.period)), run
        start, steps = lane.first * f - lane.shift * inner * u, (a, lane.period * f - lane.step * inner * u, u)
        np.add.reduce(np.ndarray(shape, source.dtype, source, start, steps), axis=1, out=sums[lane.phase])
    return sums


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
