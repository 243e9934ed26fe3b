"""im2col without its price: the columns of a few output rows at a time, in a buffer that stays in cache.

The textbook (`impls/im2col.py`) copies every cell of the image FH*FW times before it multiplies: 116 MB for 64 channels
of 224 x 224, written to main memory and read back. Here a tile is some rows of the output; `column_tiles` makes it.

Why it is fast. The columns are multiplied while they are still in the L2 cache. A row of outputs is copied as if it
were one number, since NumPy takes longer to begin a row than to move it. The buffer is not asked for anew in each call,
which would cost more than to fill it. And a window of one cell needs no columns: the image has them.

What it costs. BLAS arranges the filters anew for each tile; so that this is little, a tile has some 1000 columns, and
where they would not fit for all channels, they are made for some at a time, whose products BLAS adds up. Strips
overlap by FH - S rows. Where an image has hardly more columns than a tile, the textbook is as fast. Beside the result
it takes 1 MB, or 256 columns and the rest of their last row, and a strip; a gradient, a few times that and the filters.
Each thread has its own.

The gradient of the filters is made of the same columns, and BLAS adds each tile's product to the sum. That of the image
is a convolution of dy, made likewise; where this would copy more than it saves, it is made of products first and sums
afterwards: see `image_gradients`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from impls import arguments, blas, column_tiles, im2col, threads
from impls.arguments import Array, Axis, Padding, Pair
from impls.column_tiles import columns, correlate, even, points, tiles
from impls.image_gradients import gather, gathering_pays, scatter

name = "im2col-tiled"
version = f"numpy {np.__version__}"
dtypes = ("float16", "float32", "float64")
options = ("asymmetric_padding", "pool_dilation", "ceil_mode", "same_padding")

out_size = arguments.out_size
max_pool2d, max_pool2d_backward = im2col.max_pool2d, im2col.max_pool2d_backward  # pools make no columns in any case
avg_pool2d, avg_pool2d_backward = im2col.avg_pool2d, im2col.avg_pool2d_backward
l2_pool2d, l2_pool2d_backward = im2col.l2_pool2d, im2col.l2_pool2d_backward


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
    return correlated(x, w, b, vertical, horizontal, G, dtype)


def correlated(
    x: Array, w: Array, b: Array | None, vertical: Axis, horizontal: Axis, G: int, dtype: np.dtype[Any]
) -> Array:
    """Do what `conv2d` does with arguments that are checked: x (N, C, H, W), w (K, C/G, FH, FW) -> (N, K, OH, OW)."""
    y = np.empty((x.shape[0], w.shape[0], vertical.outputs, horizontal.outputs), dtype)
    with np.errstate(all="ignore"):
        if w.size:
            correlate(x, im2col.filter_rows(arguments.wide(w), G), b, vertical, horizontal, out=y)
        else:  # no channels or no filters
            y[...] = 0 if b is None else b[:, None, None]
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


def filter_gradient(x: Array, dy: Array, vertical: Axis, horizontal: Axis, G: int, dtype: np.dtype[Any]) -> Array:
    """Add up dy times columns transposed over all tiles: (G, K/G, C/G*FH*FW).

    For as many channels at a time as let a tile hold the whole image, where the product is then still large enough:
    nothing is to be added then. Otherwise for so many that a product is no larger than the columns.
    """
    (N, C), K, FF = x.shape[:2], dy.shape[1], vertical.window * horizontal.window
    images, gradients = x.reshape(N, G, C // G, *x.shape[2:]), dy.reshape(N, G, K // G, *dy.shape[2:])
    dw = np.zeros((G, K // G, C // G * FF), dtype)
    size = G * FF * dtype.itemsize
    share = column_tiles.BYTES // (size * vertical.outputs * horizontal.outputs)
    share = even(C // G, share if share * FF >= column_tiles.FEWEST else column_tiles.FEWEST * C // K)

    def add_up(c: int) -> None:
        total = dw[:, :, c * FF : (c + share) * FF]
        places = [(n, tile) for n in range(N) for tile in tiles(vertical, horizontal, size * share)]
        for n, tile in places:
            windows = columns(images[n, :, c : c + share], vertical, horizontal, tile, dtype)
            dV = columns(gradients[n], points(vertical), points(horizontal), tile, dtype, into="dy")
            product = np.matmul if (n, tile) == places[0] else blas.accumulate
            product(dV, windows.swapaxes(1, 2), out=total)

    threads.spread(add_up, range(0, C // G, share), threads.count(dy.size * (C // G) * FF))
    return dw
