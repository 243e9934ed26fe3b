"""What a convolution by spectra is expected to take, in nanoseconds of one core, beside what a direct one would.

The rates were measured on one core with AVX-512; only their ratios matter for what is chosen, and these differ little
from core to core. The lengths of tiles are looked up: the best ones follow no formula.
"""

from __future__ import annotations

import math
from functools import lru_cache

from impls import overlap_save, whole_spectra
from impls.arguments import Axis
from impls.column_tiles import lanes, reach
from impls.overlap_save import Tiles, tiled
from impls.spectra import half

# Cells that a filter reaches over -> cells of a tile, measured on 128 x 128 with 16 and 64 channels.
LENGTHS = ((1, 8), (3, 12), (5, 17), (7, 19), (11, 31), (15, 47), (21, 59), (31, 63), (64, 127))

PRODUCTS = 70.0  # operations in a nanosecond: of the transforms' products,
COLUMNS = 64.0  # and of products of filters and columns
CELL = 0.4  # nanoseconds for each cell that is copied to a column
NUMBER = 0.5  # nanoseconds for each number of a spectrum that goes from cache to cache,
CALL = 150.0  # for each product, however small,
POINT = 5.0  # and for each point of a fast transform in two dimensions
NEAR = 1 << 25  # bytes of spectra that are made and stay in the last cache,
FAR = 1 / 2  # and nanoseconds for each further one, to main memory and back
BYTE = 1 / 16  # nanoseconds for each byte of spectra that come from main memory
FREE = 1 << 17  # multiplications that take so little that what they are done by does not matter,
CHEAP = 5e6  # as long as spectra take no more nanoseconds: of filters that reach far they do


def tiles(vertical: Axis, horizontal: Axis) -> tuple[Tiles, Tiles]:
    """Cut both axes into tiles of about the length that was measured to be best for such filters."""
    return tiled(vertical, length(vertical)), tiled(horizontal, length(horizontal), odd=True)


def length(axis: Axis) -> int:
    """Look up how long a tile is best for filters that reach as far."""
    cells = reach(axis) + 1
    return next((L for F, L in LENGTHS if cells <= F), 2 * cells)


@lru_cache(maxsize=1024)
def spectra_pay(N: int, K: int, c: int, vertical: Axis, horizontal: Axis, G: int, ready: bool = False) -> bool:
    """Tell whether spectra, those of the filters included unless ready, take less than columns; or nothing much."""
    products = N * K * c * vertical.outputs * vertical.window * horizontal.outputs * horizontal.window
    if 1 in (vertical.outputs * vertical.window, horizontal.outputs * horizontal.window):
        return False  # a line: its few long sums lose more than a fast transform of so few cells may
    cost = expected(N, K, c, vertical, horizontal, G, ready)
    if products <= FREE:
        return cost <= CHEAP
    return cost < 2 * products / COLUMNS + products * G // K * CELL


def expected(N: int, K: int, c: int, vertical: Axis, horizontal: Axis, G: int, ready: bool = False) -> float:
    """Estimate nanoseconds; infinite where spectra would take more memory than they may."""
    down, across = tiles(vertical, horizontal)
    seen = c * len(lanes(vertical)) * len(lanes(horizontal))
    frequencies = half(across.length) * down.length
    if 8 * frequencies * K * seen > overlap_save.MOST:
        return math.inf
    filters = K * seen * half(across.length) * down.cells * (4 * across.cells + 8 * down.length) / PRODUCTS
    filters += 4 * K * seen * frequencies * NUMBER
    filters += max(0, 8 * frequencies * K * seen - NEAR) * FAR
    return filters * (not ready) + in_tiles(N, K, seen, down, across, G)


@lru_cache(maxsize=1024)
def whole_pays(N: int, K: int, c: int, vertical: Axis, horizontal: Axis, G: int) -> bool:
    """Tell whether an image is best transformed as a whole, where the filters' spectra are ready."""
    c *= len(lanes(vertical)) * len(lanes(horizontal))
    down, across = whole_spectra.tile(vertical), whole_spectra.tile(horizontal)
    frequencies = half(across.length) * down.length
    reading = 8 * frequencies * K * c
    if reading > overlap_save.MOST:
        return False
    whole = N * (G * c + K) * down.length * across.length * POINT + reading * BYTE + N * reading / COLUMNS
    return whole < in_tiles(N, K, c, *tiles(vertical, horizontal), G)


def in_tiles(N: int, K: int, c: int, down: Tiles, across: Tiles, G: int) -> float:
    """Estimate what the tiles take whose filters' spectra are ready."""
    Q, L, C = half(across.length), down.length, G * c
    forth = 4 * Q * L * (across.length + 2 * L)
    back = 4 * Q * down.step * (2 * L + across.step)
    numbers = 4 * Q * L * (C + K)
    number = N * down.number * across.number
    each = (C * forth + K * back + 8 * Q * L * K * c) / PRODUCTS + numbers * NUMBER
    parts = 1 + number * 8 * Q * L * max(C, K) // overlap_save.BYTES
    return number * each + parts * 2 * Q * L * G * CALL
