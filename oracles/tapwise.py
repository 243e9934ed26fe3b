"""Pools of large planes computed anew in float64, tap by tap: every output, at little more than the cost of reading.

No code is shared with oracles/pool.py nor with any implementation; which outputs a tap meets comes out of counting
windows. What these sums may themselves be off by is added to the bound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from oracles import rounding
from oracles.case import Case
from oracles.data import recipe
from oracles.formats import FORMATS
from oracles.geometry import Axis, Geometry
from oracles.rounding import DIRECT, Arithmetic
from oracles.truth import Truth

Given = dict[str, np.ndarray]
OURS = FORMATS["float64"].u  # of the sums made here


def truth(case: Case, data: Given, name: str, arithmetic: Arithmetic = DIRECT) -> Truth:
    """Compute one output of a pooling, or of its gradient, from finite data: x; dy; x and dy; or dy and switches."""
    return _RULES[case.operation](case, data, name, arithmetic)


def each_tap(g: Geometry) -> Iterator[tuple[int, int, slice, slice, slice, slice]]:
    """Give, for each tap, the outputs at which it lies inside the image and the cells it reads there.

    (fy, fx, oy, ox, iy, ix), the last four slices.
    """
    for fy, (oy, iy) in enumerate(_slices(g.vertical)):
        for fx, (ox, ix) in enumerate(_slices(g.horizontal)):
            yield fy, fx, oy, ox, iy, ix


@lru_cache(maxsize=256)
def _slices(axis: Axis) -> list[tuple[slice, slice]]:
    """For each tap of an axis the outputs at which it reads a cell, and these cells, by counting."""
    found: list[list[tuple[int, int]]] = [[] for _ in range(axis.extent)]
    for o, taps in enumerate(axis.windows):
        for f, i in taps:
            found[f].append((o, i))
    nothing = slice(0, 0), slice(0, 0)
    return [
        (slice(pairs[0][0], pairs[-1][0] + 1), slice(pairs[0][1], pairs[-1][1] + 1, axis.stride)) if pairs else nothing
        for pairs in found
    ]


@dataclass(frozen=True)
class _Bound:
    """How far an output may be off: `relative` to the magnitude of what was summed, and so many smallest subnormals.

    `ours` roundings were made here. `exact`: on data of an exact recipe nothing is rounded but at storing.
    """

    relative: float
    ours: int
    subnormals: int
    exact: bool = False

    def truth(self, case: Case, name: str, value: np.ndarray, size: np.ndarray, arithmetic: Arithmetic) -> Truth:
        number, accumulator = FORMATS[case.dtype], arithmetic.sums(FORMATS[case.dtype])
        if self.exact and recipe(case).kind != "bounded":
            return Truth(name, value, np.zeros(()), None, number)
        bound = rounding.stored(value, self.relative * size, number, accumulator) + self.subnormals * number.h
        return Truth(name, value, np.zeros(()), bound + rounding.gamma(self.ours, OURS) * size, number)


def _max(case: Case, data: Given, name: str, arithmetic: Arithmetic) -> Truth:
    g, x = case.geometry, data["x"].astype(np.float64)
    width = g.horizontal.size
    places = np.arange(g.vertical.size * width).reshape(g.vertical.size, width)
    best, switches = np.zeros(g.y_shape), np.full(g.y_shape, -1)
    for _, _, oy, ox, iy, ix in each_tap(g):
        value, so_far, switch = x[:, :, iy, ix], best[:, :, oy, ox], switches[:, :, oy, ox]
        wins = (switch < 0) | (value > so_far)
        np.copyto(so_far, value, where=wins)
        np.copyto(switch, places[iy, ix], where=wins)
    value = best if name == "y" else switches
    return Truth(name, value, np.zeros(()), None, FORMATS[case.dtype], signed=name == "y")


def _max_backward(case: Case, data: Given, name: str, arithmetic: Arithmetic) -> Truth:
    g, form = case.geometry, arithmetic.sums(FORMATS[case.dtype])
    n, c, h, w = g.x_shape
    plane = np.arange(n * c).reshape(n, c, 1, 1) * (h * w)
    where = (data["switches"] + plane).ravel()

    def sent(dy: np.ndarray) -> np.ndarray:
        return np.bincount(where, dy.ravel(), n * c * h * w).reshape(g.x_shape).astype(np.float64)  # of no dy: ints

    dy = data["dy"].astype(np.float64)
    bound = _Bound(rounding.gamma(g.overlap, form.u), g.overlap, 3 + g.overlap, exact=True)
    return bound.truth(case, name, sent(dy), sent(np.abs(dy)), arithmetic)


def _avg(case: Case, data: Given, name: str, arithmetic: Arithmetic) -> Truth:
    g, x, n = case.geometry, data["x"].astype(np.float64), case.geometry.window
    counts = _counts(case)
    value, size = (_windows(cells, g) / counts for cells in (x, np.abs(x)))
    form = arithmetic.sums(FORMATS[case.dtype])
    bound = _Bound(rounding.gamma(n + 1, form.u), n + 1, n + 2, exact=_shifts(counts))
    return bound.truth(case, name, value, size, arithmetic)


def _avg_backward(case: Case, data: Given, name: str, arithmetic: Arithmetic) -> Truth:
    g, counts = case.geometry, _counts(case)
    dy = data["dy"].astype(np.float64) / counts
    form = arithmetic.sums(FORMATS[case.dtype])
    bound = _Bound(
        rounding.gamma(g.overlap + 2, form.u),
        g.overlap + 2,
        3 + g.overlap,
        exact=_shifts(counts) and counts.min() == counts.max(),
    )
    return bound.truth(case, name, _cells(dy, g), _cells(np.abs(dy), g), arithmetic)


def _counts(case: Case) -> np.ndarray:
    """Count what an average divides by (OH, OW): the whole window, or its cells inside the image."""
    if case.include_pad:
        return np.full(case.geometry.y_shape[2:], case.geometry.window)
    found = []
    for axis in (case.geometry.vertical, case.geometry.horizontal):
        taps = np.add.outer(np.array(axis.starts), axis.dilation * np.arange(axis.extent))
        found.append(((taps >= 0) & (taps < axis.size)).sum(1))
    return np.asarray(found[0][:, None] * found[1])


def _shifts(counts: np.ndarray) -> bool:
    """Tell whether every count is a power of two, so that dividing by it rounds nothing."""
    return bool((counts & (counts - 1) == 0).all())


def _norm(x: np.ndarray, g: Geometry) -> np.ndarray:
    """(N, C, OH, OW): each window's root of the sum of squares, in units of its largest cell, lest they overflow."""
    most = np.zeros(g.y_shape)
    for _, _, oy, ox, iy, ix in each_tap(g):
        np.maximum(most[:, :, oy, ox], np.abs(x[:, :, iy, ix]), out=most[:, :, oy, ox])
    scale = np.where(most == 0, 1.0, most)
    squares = np.zeros(g.y_shape)
    for _, _, oy, ox, iy, ix in each_tap(g):
        squares[:, :, oy, ox] += (x[:, :, iy, ix] / scale[:, :, oy, ox]) ** 2
    return np.asarray(scale * np.sqrt(squares))


def _l2_pool(case: Case, data: Given, name: str, arithmetic: Arithmetic) -> Truth:
    g, n = case.geometry, case.geometry.window
    value = _norm(data["x"].astype(np.float64), g)
    form = arithmetic.sums(FORMATS[case.dtype])
    return _Bound((n / 2 + 3) * form.u, n // 2 + 5, n + 2).truth(case, name, value, value, arithmetic)


def _l2_backward(case: Case, data: Given, name: str, arithmetic: Arithmetic) -> Truth:
    g, x, dy = case.geometry, data["x"].astype(np.float64), data["dy"].astype(np.float64)
    norm = _norm(x, g)
    share = np.where(norm == 0, 0.0, dy / np.where(norm == 0, 1.0, norm))
    n, value, size = g.window, x * _cells(share, g), np.abs(x) * _cells(np.abs(share), g)
    form = arithmetic.sums(FORMATS[case.dtype])
    bound = _Bound((n / 2 + 5 + g.overlap) * form.u, n // 2 + 9 + g.overlap, n + 2 + g.overlap)
    return bound.truth(case, name, value, size, arithmetic)


def _windows(x: np.ndarray, g: Geometry) -> np.ndarray:
    """(N, C, H, W) -> (N, C, OH, OW): the sum of each window."""
    found = np.zeros(g.y_shape)
    for _, _, oy, ox, iy, ix in each_tap(g):
        found[:, :, oy, ox] += x[:, :, iy, ix]
    return found


def _cells(dy: np.ndarray, g: Geometry) -> np.ndarray:
    """(N, C, OH, OW) -> (N, C, H, W): for each cell the sum over the windows that hold it."""
    found = np.zeros(g.x_shape)
    for _, _, oy, ox, iy, ix in each_tap(g):
        found[:, :, iy, ix] += dy[:, :, oy, ox]
    return found


_RULES: dict[str, Callable[[Case, Given, str, Arithmetic], Truth]] = {
    "max_pool2d": _max,
    "max_pool2d_backward": _max_backward,
    "avg_pool2d": _avg,
    "avg_pool2d_backward": _avg_backward,
    "l2_pool2d": _l2_pool,
    "l2_pool2d_backward": _l2_backward,
}
