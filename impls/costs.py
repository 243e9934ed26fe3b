"""How long each algorithm takes for a layer: what it multiplies, copies and transforms, at rates measured on a machine.

A model of six rates, all in nanoseconds, for one thread and float32. In float64 they are about twice as large, all of
them, so that the same algorithm is the fastest. Measured by each of the first processes in a twentieth of a second,
since one of them may find the machine busy: the least of each is kept in the user's cache directory, until the
processor or the BLAS is another. Where nothing can be measured, those of a server of 2023 serve.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, astuple, dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from impls import arguments, blas, column_tiles, fft_costs, processor, winograd_tiles
from impls.arguments import Axis
from impls.folding import Fold, Source
from impls.winograd import FEW, FILTERS

LIMIT = 2.0  # seconds in which all is measured, or given up
TIMES = 5  # processes that measure
STRIDED = 1.75  # times as long takes a cell of every second column, of which fewer lie in a cache line
FOLDED = 4  # times as long takes a filter that is folded first
CALL = 20_000.0  # nanoseconds that Python and NumPy take for the steps of a tile, whatever is in it


@dataclass(frozen=True)
class Rates:
    """Nanoseconds that one of each takes."""

    product: float = 0.0205  # multiply-add in a large product of matrices
    small: float = 0.0195  # and in a small one
    cell: float = 0.45  # cell copied to a column, and arranged for BLAS's kernel
    copy: float = 0.16  # cell copied to a column, and read by a product so small that nothing is arranged for it
    tile: float = 0.75  # cell of a tile gathered and transformed
    filter: float = 0.7  # cell of a transformed filter

    def least(self, other: Rates) -> Rates:
        """Take the lesser of each two: what disturbs a measurement adds to it."""
        return Rates(*map(min, astuple(self), astuple(other)))


class Layer(NamedTuple):
    """The sizes that a time depends on. `ready`: filters are prepared; `backward`: dx and dw are wanted."""

    N: int
    C: int
    K: int
    vertical: Axis
    horizontal: Axis
    G: int = 1
    ready: bool = False
    backward: bool = False

    @property
    def outputs(self) -> int:
        """Of all images, for one filter."""
        return self.N * self.vertical.outputs * self.horizontal.outputs

    @property
    def window(self) -> int:
        """Cells."""
        return self.vertical.window * self.horizontal.window

    @property
    def work(self) -> float:
        """Multiply-adds of the definition, forward."""
        return float(self.outputs) * self.window * self.K * (self.C // self.G)


def im2col(layer: Layer, rates: Rates) -> float:
    """Predict nanoseconds: a product, and columns unless the window is one cell; backward twice, of x and of dy."""
    copied = 0.0 if layer.window == 1 else float(layer.outputs) * layer.window * layer.C
    if not layer.backward:
        if layer.K // layer.G * layer.C // layer.G * layer.window * column_tiles.FEWEST <= blas.SMALL:
            return CALL + layer.work * rates.small + copied * rates.copy
        return CALL + layer.work * rates.product + copied * rates.cell * (STRIDED if layer.horizontal.stride > 1 else 1)
    of_dy = 0 if layer.window == 1 else layer.outputs * layer.window * min(layer.K, 2 * layer.C)
    return 2 * CALL + 2 * layer.work * rates.product + (copied + of_dy) * rates.cell


def winograd(layer: Layer, rates: Rates) -> float:
    """Predict nanoseconds: for each tile a*a frequencies of cells, products and outputs; and as many of filters."""
    m = winograd_tiles.tile((layer.N, layer.K, layer.vertical.outputs, layer.horizontal.outputs))
    down, across = Fold(layer.vertical), Fold(layer.horizontal)
    sources = down.phases * across.phases * down.blocks * across.blocks
    frequencies, c, k = (m + 2) ** 2, sources * layer.C // layer.G, layer.K // layer.G
    count = layer.N * -(-layer.vertical.outputs // m) * -(-layer.horizontal.outputs // m)
    products = frequencies * max(count, winograd_tiles.DOZEN) * layer.K * c * rates.small
    blocks = FEW * c * count / blas.SMALL  # of tiles; transformed again for each part of the filters
    parts = 1 if layer.ready or blocks <= 1 else math.ceil(4 * frequencies * k * c / FILTERS)
    tiles = frequencies * count * (layer.G * c * parts + layer.K / 2) * rates.tile
    filters = frequencies * layer.K * c * rates.filter * (1 if sources == 1 else FOLDED)
    calls = CALL * layer.G * (max(2, c * k * count / blas.SMALL) + (sources - 1) * max(1, blocks))
    if layer.backward:  # dx transforms filters, dw sums of their gradients
        return 2 * (products + calls + filters) + 2 * tiles
    return products + tiles + calls + (0 if layer.ready else filters)


def fft(layer: Layer, rates: Rates) -> float:
    """Predict nanoseconds as `fft_costs` does, on a machine whose products take as long as this one's."""
    N, K, c, G = layer.N, layer.K, layer.C // layer.G, layer.G
    once = fft_costs.expected(N, K, c, layer.vertical, layer.horizontal, G, layer.ready)
    return once * rates.product / Rates().product * (2 if layer.backward else 1)


# --- The rates of this machine ---------------------------------------------------------------------------------------


@lru_cache
def rates() -> Rates:
    """Give this machine's: the least of what the cache directory has and of what is measured now, if that is owed."""
    found, times = kept()
    if times >= TIMES:
        return found
    try:
        found = measured() if times == 0 else found.least(measured())
    except Exception:  # whatever it is, calls are to be answered
        return found
    keep(found, times + 1)
    return found


def settle() -> None:
    """Measure all that is owed in this process, as before a benchmark."""
    for _ in range(TIMES):
        rates.cache_clear()
        rates()


def kept() -> tuple[Rates, int]:
    """Read this machine's rates, and how often they were measured; some that serve, and 0, where there are none."""
    with suppress(OSError, RuntimeError, ValueError, TypeError, KeyError, AttributeError):  # absent, or of others
        content = json.loads(cache().read_text(encoding="utf-8"))
        if content["machine"] == described() and content["rates"].keys() == asdict(Rates()).keys():
            found = Rates(**{name: _positive(value) for name, value in content["rates"].items()})
            return found, int(content["times"])
    return Rates(), 0


def keep(found: Rates, times: int) -> None:
    """Write this machine's rates to the cache directory, where that can be written to."""
    content = {"machine": described(), "times": times, "rates": asdict(found)}
    with suppress(OSError, RuntimeError):
        path = cache()
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".json", delete=False, encoding="utf-8") as file:
            json.dump(content, file, indent=1)
        os.replace(file.name, path)  # at once, for whoever reads it now


def cache() -> Path:
    """Name the file of rates, in the user's cache directory. Raises RuntimeError where there is no home."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "poolproof" / "rates.json"


def described() -> str:
    """Name what the rates depend on: processor, NumPy, and the BLAS with its kernels."""
    return f"{processor.model()}, numpy {np.__version__}, {blas.described()}"


def _positive(value: object) -> float:
    if not isinstance(value, float) or not 0 < value < math.inf:
        raise ValueError(f"rate {value!r}: a positive number is accepted")
    return value


def measured() -> Rates:
    """Time what the algorithms are made of, on one thread, each the quickest of some runs."""
    end = time.perf_counter() + LIMIT
    single = np.dtype(np.float32)
    rng = np.random.default_rng(0)

    def drawn(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape, np.float32)

    def rate(call: Callable[[], object], count: int) -> float:
        best = math.inf
        for run in range(7):
            if run and time.perf_counter() > end:
                raise TimeoutError(f"rates could not be measured in {LIMIT:g} s")
            start = time.perf_counter()
            call()
            best = min(best, time.perf_counter() - start)
        return best * 1e9 / count

    with blas.on_one_thread():
        K, c, T = 64, 576, 512
        a, b, out = drawn(K, c), drawn(c, T), np.empty((K, T), single)
        product = rate(lambda: np.matmul(a, b, out=out), K * c * T)
        k, C, tiles = 32, 256, 112
        u, v, w = drawn(36, k, C), drawn(36, C, tiles), np.empty((36, k, tiles), single)
        small = rate(lambda: np.matmul(u, v, out=w), 36 * k * C * tiles)
        image = drawn(1, 64, 58, 58)
        down = across = arguments.axis(58, 3, 1, (0, 0))
        tile = column_tiles.Tile(0, 0, 8, 56)
        few, made = drawn(1, 16, 576), np.empty((1, 16, 8 * 56), single)
        copied = rate(
            lambda: np.matmul(few, column_tiles.columns(image, down, across, tile, single), out=made), 576 * 8 * 56
        )
        cell = max(copied - 16 * product, copied / 4)  # without the multiplications
        plane, along = drawn(1, 1, 78, 78), arguments.axis(78, 15, 1, (0, 0))
        one, row = drawn(1, 1, 225), np.empty((1, 1, 8 * 64), single)
        tile = column_tiles.Tile(0, 0, 8, 64)
        copy = rate(
            lambda: np.matmul(one, column_tiles.columns(plane, along, along, tile, single), out=row), 225 * 8 * 64
        )
        way, block = winograd_tiles.transform(4, 3, single), winograd_tiles.Block(0, 1, 0, 7, 14)
        cells = np.empty((6, 6, 64, block.tiles), single)
        every = slice(0, 64)
        transformed = rate(
            lambda: winograd_tiles.of_cells(Source(image, 0, 0), block, every, way.cells, 4, cells), cells.size
        )
        filters, taken = drawn(128, 64, 3, 3), np.empty((6, 6, 128, 64), single)
        of_filters = rate(lambda: winograd_tiles.of_filters(filters, way, taken), taken.size)
    return Rates(product, small, cell, copy, transformed, of_filters)
