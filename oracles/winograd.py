"""Winograd's short convolutions: the matrices from the points, and how far rounding may carry a result.

F(m, r) computes m neighbouring outputs of a filter with r taps in a = m+r-1 multiplications; in two directions the
same matrices act on rows and columns. With U = |G||w||G^T|, V = |B^T||d||B| and a tile's outputs |A^T| (sum_c U*V) |A|,
each factor |.| of absolute values, every output is within gamma(k + channels) of that sum, since its terms meet, each
at most:

    2 (taps of G, and 1 where its coefficients are rounded)    the filter transform, both directions
    2 (non-zeros in a row of B^T, likewise)                    the data transform
    channels                                                   products, and their sum in any order
    2 (non-zeros in a row of A^T, likewise)                    the inverse transform
    1                                                          the bias

roundings: k = 17 for F(2,3), 29 for F(4,3). A row of G may be scaled up and its fellow in B^T or A^T down: the product
of the absolute values stays. Sources: S. Winograd, Arithmetic Complexity of Computations, 1980; A. Lavin and S. Gray,
Fast Algorithms for Convolutional Neural Networks, 2016; N. Higham, Accuracy and Stability, section 3.1.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from oracles.folded import Folded
from oracles.formats import Format
from oracles.geometry import Axis, Geometry

Rows = list[list[Fraction]]

_TEXT = re.compile(r"winograd\((\d+),(\d+);([^;()]*)\)")
_POINT = re.compile(r"-?\d+(/[1-9]\d*)?")
EXAMPLE = "winograd(4,3;0,1,-1,2,-1/2)"


@dataclass(frozen=True)
class Winograd:
    """F(m, r) on these finite points and infinity. Raises ValueError where they are not m+r-2 different ones."""

    m: int
    r: int
    points: tuple[Fraction, ...]

    def __post_init__(self) -> None:
        if self.m < 1 or self.r < 1 or self.a < 2:
            raise ValueError(f"F({self.m},{self.r}) is no transform; tile and filter must be at least 1, one of them 2")
        if len(set(self.points)) != self.a - 1 or len(self.points) != self.a - 1:
            given = ",".join(map(str, self.points))
            raise ValueError(f"F({self.m},{self.r}) takes {self.a - 1} different finite points, not {given!r}")

    def __str__(self) -> str:
        return f"winograd({self.m},{self.r};{','.join(map(str, self.points))})"

    @classmethod
    def parse(cls, text: str) -> Winograd:
        """Invert str(). Raises ValueError naming the text, or what of it does not fit."""
        found = _TEXT.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} is no Winograd transform; one looks like {EXAMPLE} (tile, filter; points)")
        words = found[3].split(",") if found[3] else []
        for word in words:
            if not _POINT.fullmatch(word):
                raise ValueError(f"{word!r} in {text!r} is no point; points are whole numbers or fractions: {EXAMPLE}")
        return _known(int(found[1]), int(found[2]), tuple(map(Fraction, words)))

    @property
    def a(self) -> int:
        """Multiplications, and cells of a data tile, in one direction."""
        return self.m + self.r - 1

    @cached_property
    def transform(self) -> tuple[Rows, Rows, Rows]:
        """A^T (m, a), G (a, r), B^T (a, a), exactly: A^T [(G g) * (B^T d)] is the correlation of d (a) with g (r).

        Toom-Cook: both factors are evaluated at the points, and their product is interpolated; transposed.
        """
        finite, at_infinity = self.points, Fraction(1)
        powers = [[p**i for p in finite] + [at_infinity if i == self.m - 1 else Fraction(0)] for i in range(self.m)]
        others = [[q for q in finite if q != p] for p in finite]
        scales = [math.prod((p - q for q in rest), start=Fraction(1)) for p, rest in zip(finite, others, strict=True)]
        evaluate = [[p**i / scale for i in range(self.r)] for p, scale in zip(finite, scales, strict=True)]
        evaluate.append([Fraction(int(i == self.r - 1)) for i in range(self.r)])
        interpolate = [[*_polynomial(rest), Fraction(0)] for rest in others] + [_polynomial(list(finite))]
        return powers, evaluate, interpolate

    @cached_property
    def matrices(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A^T, G and B^T as float64."""
        at, g, bt = (np.array(rows, np.float64) for rows in self.transform)
        return at, g, bt

    @cached_property
    def absolute(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """|A^T|, |G| and |B^T| as float64."""
        at, g, bt = (np.abs(matrix) for matrix in self.matrices)
        return at, g, bt

    @cached_property
    def roundings(self) -> int:
        """k: how many roundings one term meets in the three transforms and at the bias."""
        per_direction = sum(_longest(rows) + (not _exact(rows)) for rows in self.transform)
        return 2 * per_direction + 1

    @cached_property
    def of_gradient(self) -> Winograd:
        """F(r, m) on the same points: r gradients of the filter from m cells of dy; the adjoint of F(m, r)."""
        return _known(self.r, self.m, self.points)

    @cached_property
    def amplification(self) -> float:
        """A factor such that n A B amplification roundoff bounds the error of n products, |x| <= A, |w| <= B.

        It is what one tap may grow to on its way into one output, squared for two directions. F(r, m), which gives dw,
        has the same: it puts taps for outputs.
        """
        at, g, bt = self.absolute
        return float(((at * bt.sum(1)) @ g).max()) ** 2

    def roundoff(self, channels: int, u: float) -> float:
        """gamma(k + channels): the relative error of a sum over so many channels; infinite where it has no meaning."""
        return _gamma(self.roundings + channels, u)

    def tiles(self, g: Geometry) -> int:
        """How many tiles of dy may be summed into one element of dw, wherever the first is laid."""
        return g.N * (-(-(g.vertical.out - 1) // self.m) + 1) * (-(-(g.horizontal.out - 1) // self.m) + 1)

    def growth(self, g: Geometry, u: float) -> float:
        """Bound the error of y, dx and dw in units of n A B: amplification times the roundoff of the longest sum."""
        sums = max(g.C // g.G, g.K // g.G)
        if self.applies(g):  # with as many channels as blocks and phases make of them
            fold = Folded.of(g, self.r)
            sums = max(g.C // g.G * len(fold.phases), g.K // g.G) * len(fold.blocks)
        worst = max(self.roundoff(sums, u), self.of_gradient.roundoff(self.tiles(g), u))
        return worst * self.amplification

    def applies(self, g: Geometry) -> bool:
        """Whether F(m, r) fits: a dense filter with more than r-1 taps for each step of its stride, r x r at least.

        What is larger is folded, see `oracles.folded`. Smaller ones would be mostly zeros.
        """
        axes = (g.vertical, g.horizontal)
        return all(axis.dilation == 1 and axis.extent > (self.r - 1) * axis.stride for axis in axes)

    def bound(self, output: str, g: Geometry, data: Mapping[str, np.ndarray], form: Format) -> np.ndarray:
        """How far y (N, K, OH, OW), dx (N, C, H, W) or dw (K, C/G, FH, FW) may lie from the exact one.

        data holds x and w and perhaps b; dy and w; or x and dy. Tiles may be laid from anywhere: each output is taken
        at its worst place in a tile. Zeros where the transform does not fit and an implementation sums directly.
        """
        shapes = {"y": g.y_shape, "dx": g.x_shape, "dw": g.w_shape}
        if output not in shapes:
            raise ValueError(f"{output!r} has no Winograd transform; y, dx and dw have")
        if not self.applies(g):
            return np.zeros(shapes[output])
        size = {name: np.abs(array.astype(np.float64)) for name, array in data.items() if array is not None}
        if not Folded.of(g, self.r).plain:
            return self._bound_folded(output, g, size, form.u)
        v, h, channels, filters = g.vertical, g.horizontal, g.C // g.G, g.K // g.G
        if output == "dw":
            total = self.of_gradient._over_tiles(g, size["x"], size["dy"])
            return self.of_gradient.roundoff(self.tiles(g), form.u) * total.reshape(g.w_shape)
        weights = size["w"].reshape(g.G, filters, channels, self.r, self.r)
        if output == "dx":  # a correlation of dy with the filter turned round; padding shrinks from P to F-1-P
            offsets = v.pad_before - self.r + 1, h.pad_before - self.r + 1
            turned = weights[..., ::-1, ::-1].swapaxes(1, 2)
            total = self._over_channels(g, size["dy"], turned, offsets, g.x_shape)
            return self.roundoff(filters, form.u) * total
        total = self._over_channels(g, size["x"], weights, (-v.pad_before, -h.pad_before), g.y_shape)
        if "b" in size:
            total = total + size["b"][:, None, None]
        return self.roundoff(channels, form.u) * total

    def _bound_folded(self, output: str, g: Geometry, size: dict[str, np.ndarray], u: float) -> np.ndarray:
        """Do the same for a filter that is folded: its channels are those of phases and blocks."""
        margin = self.m - 1
        fold, channels, filters = Folded.of(g, self.r, margin), g.C // g.G, g.K // g.G
        if output == "dx":
            w = fold.turned(size["w"], g.G)
            sides = len(fold.vertical.places), len(fold.horizontal.places)
            shape = (g.N, w.shape[0] * w.shape[1], *sides)
            total = self._over_channels(g, fold.dy(size["dy"], g.G), w, (margin, margin), shape)
            return self.roundoff(filters * len(fold.blocks), u) * fold.dx(total, g.G)
        inputs = channels * len(fold.phases) * len(fold.blocks)
        x = fold.x(size["x"], g.G)
        if output == "dw":
            total = self._of_folded_filters(g, x, size["dy"])
            return self.of_gradient.roundoff(self.tiles(g), u) * fold.dw(total)
        w = fold.w(size["w"]).reshape(g.G, filters, inputs, self.r, self.r)
        total = self._over_channels(g, x, w, (margin, margin), g.y_shape)
        if "b" in size:
            total = total + size["b"][:, None, None]
        return self.roundoff(inputs, u) * total

    def bound_at(
        self, output: str, g: Geometry, data: Mapping[str, np.ndarray], place: tuple[int, int], form: Format
    ) -> float:
        """Bound one element [0, 0, *place], by the tiles that may hold it alone.

        dw is that of one channel and one filter.
        """
        size = {name: np.abs(array.astype(np.float64)) for name, array in data.items() if array is not None}
        margin = self.m - 1
        fold, one = Folded.of(g, self.r, margin), (1, 1, 1, 1)
        if output == "dw":
            (p, i, t), (q, j, s) = fold.vertical.place(place[0]), fold.horizontal.place(place[1])
            x = fold.channel(size["x"], (p, q), (i, j))
            return self.of_gradient.roundoff(self.tiles(g), form.u) * float(
                self._of_folded_filters(g, x, size["dy"])[0, 0, t, s]
            )
        if output == "dx":
            (p, u), (q, v) = fold.vertical.cell(place[0]), fold.horizontal.cell(place[1])
            first = (p * fold.horizontal.phases + q) * (g.C // g.G)  # of the phase's channels
            w = fold.turned(size["w"], g.G)[:1, first : first + 1]
            total = self._over_channels(g, fold.dy(size["dy"], g.G), w, (margin + u, margin + v), one)
            return self.roundoff(g.K // g.G * len(fold.blocks), form.u) * float(total.item())
        w = fold.w(size["w"])[None, :1]
        total = self._over_channels(g, fold.x(size["x"], g.G), w, (margin + place[0], margin + place[1]), one)
        return self.roundoff(w.shape[2], form.u) * (float(total.item()) + float(size["b"][0] if "b" in size else 0))

    def _of_folded_filters(self, g: Geometry, x: np.ndarray, dy: np.ndarray) -> np.ndarray:
        """Give what dw is to be of folded x (N, G*inputs, ...): (K, inputs, r, r), at the worst way to lay tiles."""
        margin, inputs = self.m - 1, x.shape[1] // g.G
        down, across = (Axis(axis.out + self.r - 1 + 2 * margin, self.r) for axis in (g.vertical, g.horizontal))
        dense = Geometry(g.N, g.G * inputs, down, across, g.K, g.G)
        padded = np.pad(dy, ((0, 0), (0, 0), (margin, margin), (margin, margin)))
        return self.of_gradient._over_tiles(dense, x, padded).reshape(g.K, inputs, self.r, self.r)

    def _over_channels(
        self, g: Geometry, plane: np.ndarray, w: np.ndarray, offsets: tuple[int, int], shape: tuple[int, ...]
    ) -> np.ndarray:
        """|A^T| (sum_c |G||w||G^T| * |B^T||d||B|) |A|, at the worst of the m*m places in a tile.

        plane (N, G*C', H', W'), w (G, K', C', r, r), both non-negative; output o reads cells o+offset onwards.
        """
        at, gg, bt = self.absolute
        m, a, (n, _, height, width) = self.m, self.a, shape
        results, inputs = w.shape[1:3]
        rows, columns = height + m - 1, width + m - 1  # a tile may begin m-1 outputs before the first
        cells = _cut(plane, (offsets[0] - m + 1, offsets[1] - m + 1), (rows + a - 1, columns + a - 1))
        tiles = _through(bt, sliding_window_view(cells, (a, a), (2, 3))).reshape(n, g.G, inputs, rows * columns, a * a)
        tiles = tiles.transpose(1, 4, 2, 0, 3).reshape(g.G, a * a, inputs, n * rows * columns)
        filters = _through(gg, w).reshape(g.G, results, inputs, a * a).transpose(0, 3, 1, 2)
        products = (filters @ tiles).reshape(g.G, a * a, results * n * rows * columns)
        places = (np.kron(at, at) @ products).reshape(g.G, m, m, results, n, rows, columns)
        worst = np.zeros((g.G, results, n, height, width))
        for py in range(m):
            for px in range(m):  # the tile begins py rows and px columns before the output
                top, left = m - 1 - py, m - 1 - px
                np.maximum(worst, places[:, py, px, :, :, top : top + height, left : left + width], out=worst)
        return worst.transpose(2, 0, 1, 3, 4).reshape(shape)

    def _over_tiles(self, g: Geometry, x: np.ndarray, dy: np.ndarray) -> np.ndarray:
        """Do the same for dw = F(filter, tile of dy), summed over images and tiles, at the worst way to lay tiles.

        Here m is the filter's extent and r the tile's; x (N, C, H, W), dy (N, K, OH, OW) -> (G, K/G, C/G, m, m).
        """
        at, gg, bt = self.absolute
        v, h, tile, a = g.vertical, g.horizontal, self.r, self.a
        rows, columns = (tile * (-(-(axis.out - 1) // tile) + 1) for axis in (v, h))  # starts, whole tiles of them
        before = 1 - tile  # of the first start, in outputs
        outputs = _cut(dy, (before, before), (rows + tile - 1, columns + tile - 1))
        cells = _cut(x, (before - v.pad_before, before - h.pad_before), (rows + a - 1, columns + a - 1))
        filters = _through(gg, sliding_window_view(outputs, (tile, tile), (2, 3)))
        tiles = _through(bt, sliding_window_view(cells, (a, a), (2, 3)))

        count = (rows // tile) * (columns // tile)

        def by_phase(array: np.ndarray, channels: int) -> np.ndarray:
            """(N, G*channels, rows, columns, a, a) -> (G, phase, a*a, channels, N * tiles)."""
            split = array.reshape(g.N, g.G, channels, rows // tile, tile, columns // tile, tile, a * a)
            turned = split.transpose(1, 4, 6, 7, 2, 0, 3, 5)
            return turned.reshape(g.G, tile * tile, a * a, channels, g.N * count)

        products = by_phase(filters, g.K // g.G) @ by_phase(tiles, g.C // g.G).swapaxes(-1, -2)
        places = products.transpose(0, 1, 3, 4, 2) @ np.kron(at, at).T  # (G, phase, K/G, C/G, m*m)
        worst: np.ndarray = places.max(1)
        return worst.reshape(g.G, g.K // g.G, g.C // g.G, self.m, self.m)


@lru_cache(maxsize=64)
def _known(m: int, r: int, points: tuple[Fraction, ...]) -> Winograd:
    """One object for each transform, so that its matrices are made once."""
    return Winograd(m, r, points)


def _polynomial(roots: list[Fraction]) -> list[Fraction]:
    """Coefficients of the product of (t - root), the constant first."""
    found = [Fraction(1)]
    for root in roots:
        found = [high - root * low for high, low in zip([Fraction(0), *found], [*found, Fraction(0)], strict=True)]
    return found


def _longest(rows: Rows) -> int:
    """Count the most non-zero coefficients in a row: so many roundings meet a term of its sum."""
    return max(sum(value != 0 for value in row) for row in rows)


def _exact(rows: Rows) -> bool:
    """Whether every coefficient is a small number over a power of two, which every format holds."""
    return all(v.denominator & (v.denominator - 1) == 0 and abs(v.numerator) < 2**8 for row in rows for v in row)


def _gamma(k: int, u: float) -> float:
    return k * u / (1 - k * u) if k * u < 0.5 else math.inf


def _through(transform: np.ndarray, tiles: np.ndarray) -> np.ndarray:
    """Transform tiles (..., b, b) down and across, T t T^T: (..., a * a), as one product for all of them."""
    *outer, b, _ = tiles.shape
    return (tiles.reshape(-1, b * b) @ np.kron(transform, transform).T).reshape(*outer, len(transform) ** 2)


def _cut(planes: np.ndarray, first: tuple[int, int], shape: tuple[int, int]) -> np.ndarray:
    """(n, c, H, W) -> (n, c, *shape): the part that begins at (row, column) `first`, zeros where that is outside."""
    found = np.zeros((*planes.shape[:2], *shape))
    (top, left), (height, width) = first, planes.shape[2:]
    y0, y1 = max(0, top), max(0, min(height, top + shape[0]))
    x0, x1 = max(0, left), max(0, min(width, left + shape[1]))
    if y0 < y1 and x0 < x1:
        found[:, :, y0 - top : y1 - top, x0 - left : x1 - left] = planes[:, :, y0:y1, x0:x1]
    return found
