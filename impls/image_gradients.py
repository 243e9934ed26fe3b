"""The gradient of the image, from that of the output: a convolution of dy, or products first and sums afterwards."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from impls import column_tiles, im2col, threads
from impls.arguments import Array, Axis
from impls.column_tiles import Tile, as_one, columns, correlate, even, lanes, overlap, points, reach, workspace


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
    share = even(C // G, column_tiles.BYTES // (size * (min(OH * OW, 1024) + extra * OW)))
    rows = even(OH, max(column_tiles.BYTES // (size * share), column_tiles.FEWEST) // OW - extra)
    if any((axis.outputs + reach(axis)) * axis.stride < axis.before + axis.image for axis in (vertical, horizontal)):
        out[...] = 0  # what is left over on the far side

    def give(piece: tuple[int, int]) -> None:
        c, n = piece
        some = weights[:, c * FH * FW : (c + share) * FH * FW]
        carried: Array | float = 0.0
        for oy in range(0, OH, rows):
            tile = Tile(oy, 0, min(rows, OH - oy), OW)
            dV = columns(gradients[n], points(vertical), points(horizontal), tile, w.dtype, into="dy")
            # Of each cell of the windows a run of rows, and extra rows of zeros that a sum may run into.
            runs = workspace.array("columns", (G, some.shape[1], (rows + extra) * OW), w.dtype)
            np.matmul(some, dV, out=runs[:, :, : tile.rows * OW])
            runs[:, :, tile.rows * OW :] = 0
            carried = add_up(runs, carried, vertical, horizontal, oy, out=images[n, :, c : c + share])

    pieces = [(c, n) for c in range(0, C // G, share) for n in range(N)]
    threads.spread(give, pieces, threads.count(dy.size * (C // G) * FH * FW))


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
