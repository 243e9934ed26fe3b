"""Convolution as a product of spectra, where that pays: the cost of an output hardly grows with the filter.

Direct convolution multiplies F * F times for each output and channel. A product of spectra multiplies once for each
frequency, and what it takes to get there and back is the same for every filter size, and shared by all filters. So it
pays where filters are large and images larger, and where enough channels share the transforms: on 128 x 128 cells from
5 x 5 with 16 channels on (`impls/fft_costs.py`). Elsewhere `impls/im2col_tiled.py` is called. Where there is little to
multiply, images are transformed if that takes less than 5 ms: what is tested on them is then what large ones are
computed by.

How tiles are cut and put together, and why that is fast, is told in `impls/overlap_save.py`; how they are transformed,
in `impls/spectra.py`; whole images, in `impls/whole_spectra.py`.

Spectra of filters that stay the same can be made once: conv2d takes what `prepare` gives as its w.

Pooling has no transform that helps it, so the pools are those of im2col.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy

from impls import arguments, im2col, im2col_tiled, overlap_save, whole_spectra
from impls.arguments import Array, Axis, Padding, Pair
from impls.column_tiles import lanes, overlap, reach
from impls.fft_costs import spectra_pay, tiles, whole_pays
from impls.keywords import Keywords
from impls.overlap_save import Tiles

name = "fft"
version = f"scipy {scipy.__version__}"
accuracy = "fft"
options = ("asymmetric_padding", "pool_dilation", "ceil_mode", "same_padding")

out_size = arguments.out_size
max_pool2d, max_pool2d_backward = im2col.max_pool2d, im2col.max_pool2d_backward
avg_pool2d, avg_pool2d_backward = im2col.avg_pool2d, im2col.avg_pool2d_backward
l2_pool2d, l2_pool2d_backward = im2col.l2_pool2d, im2col.l2_pool2d_backward

KEPT = 4  # spectra that a prepared filter keeps, each for one length of tiles


@dataclass
class Prepared:
    """Filters of a convolution, and their spectra for the lengths of tiles that were asked for last."""

    filters: Array
    keywords: Keywords
    spectra: dict[Any, Array] = field(default_factory=dict)

    def transformed(self, vertical: Axis, horizontal: Axis, down: Tiles, across: Tiles, G: int, whole: bool) -> Array:
        """Give their spectra for such tiles, made at the first such call: (q * l, re | im, G, lanes * c, K/G)."""
        key = down.length, across.length, whole
        found = self.spectra.get(key)
        if found is None:
            planes = overlap_save.filter_planes(arguments.wide(self.filters), vertical, horizontal, G)
            found = (whole_spectra if whole else overlap_save).filter_spectra(planes, down, across, kept=True)
            # A new dictionary each time: another thread may be reading the old one.
            self.spectra = {**dict([*self.spectra.items()][1 - KEPT :]), key: found}
        return found


def prepare(w: Array, *, stride: Pair, padding: Padding, dilation: Pair = (1, 1), groups: int = 1) -> Prepared:
    """Copy filters w (K, C/G, FH, FW), so that conv2d need transform them only once for each length of tiles.

    Raises ValueError naming the value; so does conv2d under other keywords.
    """
    keywords = Keywords.of_filters(w, stride=stride, padding=padding, dilation=dilation, groups=groups)
    return Prepared(np.array(w, order="C"), keywords)


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
    """Correlate by X conj(W), channels summed at each frequency.

    x (N, C, H, W), w (K, C/G, FH, FW) or prepared, b (K,) or None -> (N, K, OH, OW).
    Raises ValueError naming the value.
    Source: Mathieu, Henaff & LeCun 2013, "Fast training of convolutional networks through FFTs".
    """
    prepared = w if isinstance(w, Prepared) else None
    if prepared is not None:
        prepared.keywords.expect(stride=stride, padding=padding, dilation=dilation, groups=groups)
    filters = w.filters if isinstance(w, Prepared) else w
    dtype = arguments.common_dtype(x=x, w=filters, b=b)
    vertical, horizontal, G = arguments.convolution(
        x, filters, stride=stride, padding=padding, dilation=dilation, groups=groups
    )
    arguments.bias(b, len(filters))
    sizes = len(x), *filters.shape[:2], vertical, horizontal, G
    if not filters.size or not spectra_pay(*sizes, ready=prepared is not None):
        return im2col_tiled.conv2d(x, filters, b, stride=stride, padding=padding, dilation=dilation, groups=groups)
    y = np.empty((len(x), len(filters), vertical.outputs, horizontal.outputs), dtype)
    whole = prepared is not None and whole_pays(*sizes)
    down, across = map(whole_spectra.tile, (vertical, horizontal)) if whole else tiles(vertical, horizontal)
    if prepared is None:
        planes = overlap_save.filter_planes(arguments.wide(filters), vertical, horizontal, G)
        W = overlap_save.filter_spectra(planes, down, across)
    else:
        W = prepared.transformed(vertical, horizontal, down, across, G, whole)
    (whole_spectra if whole else overlap_save).correlate(x, W, vertical, horizontal, down, across, G, out=y)
    if b is not None:
        y += b[:, None, None]
    return y


@np.errstate(all="ignore")
def conv2d_backward(
    x: Array, w: Array, dy: Array, *, stride: Pair, padding: Padding, dilation: Pair = (1, 1), groups: int = 1
) -> tuple[Array, Array, Array]:
    """Correlate dy with filters turned round for dx, and x with dy for dw: X conj(DY), summed over tiles.

    x (N, C, H, W), w (K, C/G, FH, FW), dy (N, K, OH, OW) -> dx, dw, db (K,). Raises ValueError naming the value.
    Source: Mathieu, Henaff & LeCun 2013; Dumoulin & Visin 2016, section 4.5.
    """
    dtype = arguments.common_dtype(x=x, w=w, dy=dy)
    vertical, horizontal, G = arguments.convolution(
        x, w, stride=stride, padding=padding, dilation=dilation, groups=groups
    )
    arguments.gradient(dy, x.shape[0], w.shape[0], vertical, horizontal)
    if not w.size or not spectra_pay(x.shape[0], *w.shape[:2], vertical, horizontal, G):
        return im2col_tiled.conv2d_backward(x, w, dy, stride=stride, padding=padding, dilation=dilation, groups=groups)
    filters = arguments.wide(w)
    dx, dw = np.zeros(x.shape, dtype), np.empty(w.shape, dtype)
    image_gradient(dy, filters, vertical, horizontal, G, out=dx)
    filter_gradient(x, dy, filters.dtype, vertical, horizontal, G, out=dw)
    db = np.einsum("nkyx->nky", dy, dtype=filters.dtype).sum(axis=(0, 2))
    return dx, dw, db.astype(dtype, copy=False)


def image_gradient(dy: Array, w: Array, vertical: Axis, horizontal: Axis, G: int, out: Array) -> None:
    """Correlate dy with filters turned round, each lane giving one of the interleaved images; `out` holds zeros."""
    N, C, H, W = out.shape
    over, along = lanes(vertical), lanes(horizontal)
    # Of the cells u that an interleaved image has under windows, counted from the padding's edge, those in the image.
    rows, columns = (span(axis) for axis in (vertical, horizontal))
    tall, broad = facing(vertical, rows), facing(horizontal, columns)
    if not (tall.outputs and broad.outputs):
        return
    down, across = tiles(tall, broad)
    turned = overlap_save.filter_planes(w, vertical, horizontal, G, turned=True)
    spectra = overlap_save.filter_spectra(turned, down, across)
    plain = vertical.stride == horizontal.stride == 1
    if plain:
        y, x = (overlap(-axis.before, 1, axis.reach, axis.image)[1] for axis in (vertical, horizontal))
        images = out[:, :, y, x]
    else:
        shape = N, spectra.shape[2] * spectra.shape[4], tall.outputs, broad.outputs
        images = overlap_save.workspace.array("images", shape, w.dtype)
    overlap_save.correlate(dy, spectra, tall, broad, down, across, G, out=images)
    if plain:
        return
    parts = images.reshape(N, G, len(over), len(along), C // G, tall.outputs, broad.outputs)
    whole = out.reshape(N, G, C // G, H, W)
    for a, lane in enumerate(over):
        u, y = overlap(rows.start * vertical.stride + lane.phase - vertical.before, vertical.stride, len(rows), H)
        for b, other in enumerate(along):
            first = columns.start * horizontal.stride + other.phase - horizontal.before
            v, x = overlap(first, horizontal.stride, len(columns), W)
            whole[..., y, x] = parts[:, :, a, b, :, u, v]


def span(axis: Axis) -> range:
    """Find which cells of the interleaved images, counted from the padding's edge, windows and the image have."""
    cells = axis.outputs + reach(axis)
    start = min(cells, axis.before // axis.stride)
    return range(start, max(start, min(cells, (axis.before + axis.image - 1) // axis.stride + 1)))


def facing(axis: Axis, cells: range) -> Axis:
    """Make the axis of filters turned round over dy, whose outputs are `cells` of the interleaved images."""
    window = reach(axis) + 1
    return Axis(axis.outputs, window, 1, window - 1 - cells.start, 1, len(cells))


def filter_gradient(
    x: Array, dy: Array, dtype: np.dtype[Any], vertical: Axis, horizontal: Axis, G: int, out: Array
) -> None:
    """Correlate x with dy, and pick the filters' cells: out (K, C/G, FH, FW)."""
    down, across = tiles(vertical, horizontal)
    found = overlap_save.filter_gradient(x, dy, vertical, horizontal, down, across, G, dtype)
    K, c, FH, FW = out.shape
    cells = out.reshape(G, K // G, c, FH, FW)
    for a, over in enumerate(lanes(vertical)):
        for b, along in enumerate(lanes(horizontal)):
            some = cells[..., over.first :: over.period, along.first :: along.period]
            seen = found[..., a, b, over.shift :: over.step, along.shift :: along.step]
            some[...] = seen[..., : some.shape[-2], : some.shape[-1]]
