"""A whole image as one tile: fast transforms, for filters whose spectra are ready.

A tile as large as the image wastes nothing on overlaps, and what the transform of a larger filter takes is no more.
But matrix products of that length are slow, so the transforms are fast ones (SciPy's); and the filters' spectra are as
large as an image for each pair of channels. To make them takes longer than all else: they must be ready. Then a filter
of 31 x 31 cells takes little more than one of 3 x 3, for the image grows by the filter's size at its edges only.

As in `impls/overlap_save.py` frequencies come first and channels last, so that channels are summed by products.
"""

from __future__ import annotations

import numpy as np
import scipy.fft

from impls import overlap_save
from impls.arguments import Array, Axis
from impls.column_tiles import even, reach
from impls.overlap_save import Part, Tiles


def tile(axis: Axis) -> Tiles:
    """Make one tile of all that windows reach, of a length that is quick to transform."""
    cells = reach(axis) + 1
    length = scipy.fft.next_fast_len(axis.outputs + cells - 1, real=True)
    return Tiles(cells, length, axis.outputs, 1)


def filter_spectra(planes: Array, down: Tiles, across: Tiles, kept: bool = True) -> Array:
    """Transform filters, conjugated: (x, y, G, c, k) -> complex (q * l, G, c, k). They are always `kept`."""
    parts = overlap_save.filter_spectra(planes, down, across)
    W = np.empty((len(parts), *parts.shape[2:]), np.result_type(planes.dtype, np.complex64))
    W.real, W.imag = parts[:, 0], parts[:, 1]
    return W


def correlate(
    x: Array, W: Array, vertical: Axis, horizontal: Axis, down: Tiles, across: Tiles, G: int, out: Array
) -> None:
    """Correlate x (N, G*c, H, W) with filters whose spectra are W (q * l, G, c, k): out (N, G*k, OH, OW)."""
    F, _, c, k = W.shape
    many = even(len(x), overlap_save.BYTES // (F * G * max(c, k) * W.itemsize))
    for n in range(0, len(x), many):
        some = slice(n, min(len(x), n + many))
        part = Part(some, range(1), range(1))
        window = down.length, across.length
        strip = overlap_save.padded(x[some], vertical, horizontal, down, across, part, G, window, W.real.dtype)
        cells = overlap_save.workspace.array("image", (window[1], window[0], strip[0, ..., 0].size), strip.dtype)
        cells[...] = strip.reshape(*cells.shape[1:], -1).transpose(2, 0, 1)
        X = scipy.fft.fft(scipy.fft.rfft(cells, axis=0), axis=1, overwrite_x=True).reshape(F, -1, G, c)
        Y = np.matmul(X.swapaxes(1, 2), W).swapaxes(1, 2).reshape(-1, window[0], X.shape[1] * G * k)
        y = scipy.fft.ifft(Y, axis=1, overwrite_x=True)[:, : down.step]
        y = scipy.fft.irfft(y, window[1], axis=0)[: across.step]
        out[some] = y.transpose(2, 1, 0).reshape(out[some].shape)
