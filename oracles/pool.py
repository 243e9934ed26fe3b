"""Max pooling with switches, average and L2 pooling, and their gradients, by definition over nested lists.

The numbers may be Python ints or floats. Cells in the padding are not there: they never win, add nothing, and are
counted by the average only where it divides by the whole window.
"""

from __future__ import annotations

import math
from typing import Any

from oracles.conv import Nested, zeros
from oracles.geometry import Geometry


def max_pool2d(x: Nested, g: Geometry, nan: str = "wins") -> tuple[Nested, Nested]:
    """x (N, C, H, W) -> y and switches (N, C, OH, OW); a switch is the index of the maximum in its H*W plane.

    The first maximum in row-major order wins; the first NaN beats everything, and is the result. Where `nan` is
    "loses" every number beats a NaN, and where it is "first" a NaN counts only as the first cell of its window.
    Source: CS231n, "Pooling Layer" (switches); IEEE 754-2019, maximum (NaN propagates), maximumNumber (it does not).
    """
    width = g.horizontal.size

    def beats(value: Any, best: Any) -> bool:
        if value != value or best != best:
            return (nan == "wins" and best == best) or (nan == "loses" and value == value)
        return bool(value > best)

    def first_maximum(plane: Nested, rows: Taps, columns: Taps) -> tuple[Any, int]:
        best, switch = None, -1
        for _, iy in rows:
            for _, ix in columns:
                value = plane[iy][ix]
                if best is None or beats(value, best):
                    best, switch = value, iy * width + ix
        return best, switch

    pairs = each_window(x, g, first_maximum)
    y = [[[[pair[0] for pair in line] for line in plane] for plane in image] for image in pairs]
    switches = [[[[pair[1] for pair in line] for line in plane] for plane in image] for image in pairs]
    return y, switches


def max_pool2d_backward(dy: Nested, switches: Nested, g: Geometry) -> Nested:
    """dy and switches (N, C, OH, OW) -> dx (N, C, H, W): each dy is added to the cell that its switch names."""
    dx = zeros(g.x_shape)
    for n, image in enumerate(dy):
        for c, plane in enumerate(image):
            for oy, line in enumerate(plane):
                for ox, d in enumerate(line):
                    iy, ix = divmod(switches[n][c][oy][ox], g.horizontal.size)
                    dx[n][c][iy][ix] += d
    return dx


def window_sums(x: Nested, g: Geometry) -> Nested:
    """x (N, C, H, W) -> (N, C, OH, OW): the sum of each window, which an average then divides by its count."""

    def total(plane: Nested, rows: Taps, columns: Taps) -> Any:
        return sum(plane[iy][ix] for _, iy in rows for _, ix in columns)

    return each_window(x, g, total)


def window_counts(g: Geometry, include_pad: bool) -> list[list[int]]:
    """(OH, OW): what an average divides by, the whole window or only its cells inside the image."""
    if include_pad:
        return [[g.window for _ in g.horizontal.windows] for _ in g.vertical.windows]
    return [[len(rows) * len(columns) for columns in g.horizontal.windows] for rows in g.vertical.windows]


def spread(dy: Nested, g: Geometry) -> Nested:
    """dy (N, C, OH, OW) -> (N, C, H, W): each dy is added to every cell of its window, the transpose of window_sums."""
    dx = zeros(g.x_shape)
    for n, image in enumerate(dy):
        for c, plane in enumerate(image):
            for oy, rows in enumerate(g.vertical.windows):
                for ox, columns in enumerate(g.horizontal.windows):
                    for _, iy in rows:
                        for _, ix in columns:
                            dx[n][c][iy][ix] += plane[oy][ox]
    return dx


def divided(sums: Nested, counts: list[list[int]]) -> Nested:
    """(N, C, OH, OW) over (OH, OW). Ints stay ints, with GUARD bits behind the point; floats are divided as floats."""
    return [
        [
            [[quotient(t, n) for t, n in zip(line, row, strict=True)] for line, row in zip(plane, counts, strict=True)]
            for plane in image
        ]
        for image in sums
    ]


def roots(sums: Nested) -> Nested:
    """(N, C, OH, OW) sums of squares -> their square roots; of ints with GUARD bits behind the point."""
    return [[[[root(total) for total in line] for line in plane] for plane in image] for image in sums]


def l2_pool2d_backward(x: Nested, dy: Nested, y: Nested, g: Geometry) -> Nested:
    """x (N, C, H, W), dy and y = roots (N, C, OH, OW) -> dx: the sum of x*dy/y over the windows that hold x.

    Where all cells of a window are 0 its norm has no gradient; 0 is chosen, whatever dy is.
    Ints give 2*GUARD bits behind the point in units of dy.
    """
    dx = zeros(g.x_shape)
    for n, image in enumerate(dy):
        for c, plane in enumerate(image):
            for oy, rows in enumerate(g.vertical.windows):
                for ox, columns in enumerate(g.horizontal.windows):
                    norm, d = y[n][c][oy][ox], plane[oy][ox]
                    if norm == 0:
                        continue
                    for _, iy in rows:
                        for _, ix in columns:
                            product = x[n][c][iy][ix] * d
                            if isinstance(product, int):
                                dx[n][c][iy][ix] += (product << 3 * GUARD) // norm
                            else:
                                dx[n][c][iy][ix] += product / norm
    return dx


def window_cells(outputs: list[list[int]], g: Geometry) -> dict[tuple[int, ...], frozenset[float]]:
    """Outputs (n, c, oy, ox) -> the cells of each one's window, as indices in the H*W plane."""
    width = g.horizontal.size
    return {
        (n, c, oy, ox): frozenset(iy * width + ix for _, iy in g.vertical.taps(oy) for _, ix in g.horizontal.taps(ox))
        for n, c, oy, ox in outputs
    }


GUARD = 128  # bits kept behind the point where ints meet a division or a root: far beyond any format's


def quotient(total: Any, count: int) -> Any:
    """total / count; of an int with GUARD bits behind the point."""
    return (total << GUARD) // count if isinstance(total, int) else total / count


def root(total: Any) -> Any:
    """The square root; of an int with GUARD bits behind the point."""
    return math.isqrt(total << 2 * GUARD) if isinstance(total, int) else math.sqrt(total)


Taps = tuple[tuple[int, int], ...]


def each_window(x: Nested, g: Geometry, reduce: Any) -> Nested:
    """x (N, C, H, W) -> (N, C, OH, OW): reduce(plane, rows, columns) of every window of every plane."""
    return [
        [
            [[reduce(plane, rows, columns) for columns in g.horizontal.windows] for rows in g.vertical.windows]
            for plane in image
        ]
        for image in x
    ]
