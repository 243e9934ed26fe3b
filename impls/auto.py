"""The fastest of ours for each layer: columns in tiles, Winograd's tiles, spectra or bands, chosen by its sizes.

None of them is the fastest everywhere. Winograd saves three quarters of the multiplications of a 3 x 3 filter and pays
for it by the tile and by the filter; a product of spectra takes the same time for all filters, which is long; im2col
has no price but the columns; bands are for channels with filters of their own. `costs` predicts what each takes from
sizes alone, so that the choice costs some microseconds once for each shape, and is the same for every call of it.

What it costs. Results are those of the algorithm chosen, so the bound is that of the least accurate. A machine is
measured by the first processes in which a layer comes that is large enough for it to matter.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from functools import lru_cache
from types import ModuleType
from typing import Any

import numpy as np

from impls import arguments, costs, depthwise, fft, im2col_tiled, pools, winograd
from impls.arguments import Array, Axis, Padding, Pair
from impls.costs import Layer
from impls.keywords import Keywords

name = "auto"
version = f"numpy {np.__version__}"
accuracy = f"fft or {winograd.accuracy}"
options = ("asymmetric_padding", "pool_dilation", "ceil_mode", "same_padding")

out_size = arguments.out_size
max_pool2d, max_pool2d_backward = pools.max_pool2d, pools.max_pool2d_backward
max_pool2d_values = pools.max_pool2d_values
avg_pool2d, avg_pool2d_backward = pools.avg_pool2d, pools.avg_pool2d_backward
l2_pool2d, l2_pool2d_backward = pools.l2_pool2d, pools.l2_pool2d_backward

LEAST = 2e6  # multiply-adds; of less, im2col has done the most when another algorithm begins
SURE = (
    0.9  # of im2col's time must another algorithm be predicted to take at most: it is more accurate, and the models err
)


@dataclass
class Prepared:
    """A copy of the filters, and what the algorithms made of it that calls have chosen."""

    w: Array
    keywords: Keywords
    made: dict[str, Any] = field(default_factory=dict)

    def by(self, algorithm: ModuleType) -> Any:
        """Give the filters as an algorithm wants them, prepared when it is first chosen."""
        prepare = getattr(algorithm, "prepare", None)
        if prepare is None:
            return self.w
        if algorithm.__name__ not in self.made:
            self.made[algorithm.__name__] = prepare(self.w, **asdict(self.keywords))
        return self.made[algorithm.__name__]


def prepare(w: Array, *, stride: Pair, padding: Padding, dilation: Pair = (1, 1), groups: int = 1) -> Prepared:
    """Copy the filters w (K, C/G, FH, FW); conv2d takes the result as its w, and transforms it once for all calls.

    Raises ValueError naming the value; so does conv2d under other keywords.
    """
    keywords = Keywords.of_filters(w, stride=stride, padding=padding, dilation=dilation, groups=groups)
    return Prepared(w.copy(), keywords)


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
    """Call the algorithm that is predicted to be the fastest.

    x (N, C, H, W), w (K, C/G, FH, FW) or what `prepare` made of it, b (K,) or None -> (N, K, OH, OW).
    Raises ValueError naming the value.
    """
    plain = w.w if isinstance(w, Prepared) else w
    dtype = arguments.common_dtype(x=x, w=plain, b=b)
    keywords: dict[str, Any] = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    vertical, horizontal, G = arguments.convolution(x, plain, **keywords)
    if isinstance(w, Prepared):
        w.keywords.expect(**keywords)
    algorithm = _algorithm(x, plain, dtype, vertical, horizontal, G, ready=isinstance(w, Prepared))
    if algorithm is im2col_tiled:  # whatever a small call does twice is a good part of it
        arguments.bias(b, plain.shape[0])
        return im2col_tiled.correlated(x, plain, b, vertical, horizontal, G, dtype)
    y: Array = algorithm.conv2d(x, w.by(algorithm) if isinstance(w, Prepared) else w, b, **keywords)
    return y


def conv2d_backward(
    x: Array, w: Array, dy: Array, *, stride: Pair, padding: Padding, dilation: Pair = (1, 1), groups: int = 1
) -> tuple[Array, Array, Array]:
    """Call the algorithm that is predicted to be the fastest for both gradients.

    x (N, C, H, W), w (K, C/G, FH, FW), dy (N, K, OH, OW) -> dx, dw, db (K,). Raises ValueError naming the value.
    """
    keywords: dict[str, Any] = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    dtype = arguments.common_dtype(x=x, w=w, dy=dy)
    vertical, horizontal, G = arguments.convolution(x, w, **keywords)
    algorithm = _algorithm(x, w, dtype, vertical, horizontal, G, backward=True)
    gradients: tuple[Array, Array, Array] = algorithm.conv2d_backward(x, w, dy, **keywords)
    return gradients


def _algorithm(
    x: Array,
    w: Array,
    dtype: np.dtype[Any],
    vertical: Axis,
    horizontal: Axis,
    G: int,
    ready: bool = False,
    backward: bool = False,
) -> ModuleType:
    if dtype == np.float16 or x.size * w.size < LEAST:  # at most so many multiply-adds, but for padding
        return im2col_tiled
    return chosen(Layer(x.shape[0], x.shape[1], w.shape[0], vertical, horizontal, G, ready, backward))


@lru_cache(maxsize=1024)
def chosen(layer: Layer) -> ModuleType:
    """Choose the algorithm whose time is predicted to be the least; a channel by itself goes to `depthwise`."""
    if layer.C == layer.G > 1:
        return depthwise
    if layer.work < LEAST or layer.window == 1:
        return im2col_tiled
    rates, candidates = costs.rates(), []
    if winograd.applies(layer.N, layer.C, layer.K, layer.vertical, layer.horizontal, layer.G):
        candidates.append((costs.winograd(layer, rates), winograd))
    if layer.window > 9:
        candidates.append((costs.fft(layer, rates), fft))
    best, algorithm = min(candidates, key=lambda each: each[0], default=(np.inf, im2col_tiled))
    return algorithm if best < SURE * costs.im2col(layer, rates) else im2col_tiled
