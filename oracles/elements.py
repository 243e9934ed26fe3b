"""Chosen elements of convolutions: worked out exactly once, and how far off each way of computing them may be."""

from __future__ import annotations

import math
from functools import cached_property, lru_cache

import numpy as np

from oracles import cuts, rounding
from oracles.case import Case
from oracles.checksum import terms, unit
from oracles.data import recipe
from oracles.formats import FORMATS, Format
from oracles.geometry import Axis, Geometry
from oracles.rounding import Arithmetic
from oracles.truth import Truth
from oracles.winograd import Winograd

Given = dict[str, np.ndarray]
Place = tuple[int, ...]


class Elements:
    """The elements of one output of a convolution at some places (places, axes); data are finite or not."""

    def __init__(self, case: Case, data: Given, name: str, places: np.ndarray) -> None:
        self.case, self.data, self.name = case, data, name
        self.places = [tuple(place) for place in places.tolist()]
        self._off: dict[tuple[object, Format], np.ndarray] = {}

    def truth(self, arithmetic: Arithmetic) -> Truth:
        """Give what they are; value, rest and bound are (places,)."""
        number, exact = FORMATS[self.case.dtype], recipe(self.case).kind != "bounded"
        value, rest, _, _ = self._sums
        bound = None
        if not exact or arithmetic.transforms:
            accumulator = arithmetic.sums(number)
            if exact:  # a transform of integers may be off by so much that it rounds to the right one
                inner = np.full(value.shape, 0.499999 * 2.0 ** unit(self.data, self.name))
            else:
                inner = self._inner(arithmetic, accumulator)
            bound = rounding.stored(value, inner, number, accumulator)
            bound = bound + (terms(self.case.geometry, self.name) + 2) * number.h
        return Truth(self.name, value, rest, bound, number)

    @cached_property
    def _sums(self) -> np.ndarray:
        """Sum up each exactly to value + rest; the sum of its magnitudes, and the bias among them; (4, places)."""
        exact = FORMATS[self.case.dtype].digits <= 24
        found = np.zeros((4, len(self.places)))
        for i, place in enumerate(self.places):
            left, right, bias = _factors(self.case.geometry, self.data, self.name, place)
            left, right = left.astype(np.float64), right.astype(np.float64)
            with np.errstate(invalid="ignore", over="ignore"):
                magnitude = (np.abs(left) * np.abs(right)).sum() + abs(bias)
            found[:, i] = *total(left, right, bias, exact=exact), magnitude, abs(bias)
        return found

    def _inner(self, arithmetic: Arithmetic, accumulator: Format) -> np.ndarray:
        """Bound the sums of real numbers, before they are stored; (places,)."""
        _, _, magnitude, bias = self._sums
        n = terms(self.case.geometry, self.name)
        inner = rounding.sums(n, magnitude, accumulator, signs=recipe(self.case).signs)
        if arithmetic.tf32:
            inner = np.maximum(inner, rounding.tf32(n, magnitude))
        if arithmetic.transforms:
            far = np.zeros(len(self.places))
            if arithmetic.fft:
                far = np.maximum(far, self._transformed("fft", accumulator))
            if arithmetic.winograd is not None and arithmetic.winograd.applies(self.case.geometry):
                far = np.maximum(far, self._transformed(arithmetic.winograd, accumulator))
            inner = np.maximum(inner, far + 2 * accumulator.u * bias)
        return inner

    def _transformed(self, way: str | Winograd, number: Format) -> np.ndarray:
        """Bound them where FFT or Winograd computes them, bias left out; (places,)."""
        if self.name == "db":
            return np.zeros(len(self.places))
        if (way, number) not in self._off:
            g, found = self.case.geometry, list[float]()
            for place in self.places:
                blocks = _blocks(g, self.data, self.name, place)
                if isinstance(way, Winograd):
                    found.append(_by_winograd(g, blocks, self.name, place, way, number))
                else:
                    norms = math.prod(float(np.linalg.norm(block.astype(np.float64))) for block in blocks.values())
                    found.append(float(rounding.fft(rounding.points(g), np.array(norms), 0.0, number)))
            self._off[way, number] = np.array(found)
        return self._off[way, number]


def _blocks(g: Geometry, data: Given, name: str, place: Place) -> Given:
    """Cut out what makes an element: the images, channels and filters of a convolution of one filter or channel."""
    channels, filters = g.C // g.G, g.K // g.G
    if name == "y":
        n, k = place[:2]
        first = k // filters * channels
        return {"x": data["x"][n : n + 1, first : first + channels], "w": data["w"][k : k + 1]}
    if name == "dx":
        n, c = place[:2]
        group = slice(c // channels * filters, (c // channels + 1) * filters)
        inner = c % channels
        return {"dy": data["dy"][n : n + 1, group], "w": data["w"][group, inner : inner + 1]}
    k, c = place[:2]
    c += k // filters * channels
    return {"x": data["x"][:, c : c + 1], "dy": data["dy"][:, k : k + 1]}


def _factors(g: Geometry, data: Given, name: str, place: Place) -> tuple[np.ndarray, np.ndarray, float]:
    """Gather the two arrays whose elementwise products, and the bias, add up to one element."""
    if name == "db":
        outputs = data["dy"][:, place[0]]
        return outputs, np.ones(outputs.shape), 0.0
    blocks = _blocks(g, data, name, place)
    rows, columns = (_pairs(axis, name, i) for axis, i in zip((g.vertical, g.horizontal), place[2:], strict=True))

    def met(key: str, which: int) -> np.ndarray:
        return blocks[key][:, :, rows[which]][:, :, :, columns[which]]

    if name == "y":
        return met("x", 1), met("w", 0), float(data["b"][place[1]]) if "b" in data else 0.0
    if name == "dx":
        return met("dy", 0).swapaxes(0, 1), met("w", 1), 0.0
    return met("dy", 0), met("x", 1), 0.0


@lru_cache(maxsize=4096)
def _pairs(axis: Axis, name: str, index: int) -> tuple[list[int], list[int]]:
    """List the two indices that meet at an index: (f, i) at an output, (o, f) at a cell, (o, i) at a tap."""
    if name == "y":
        pairs = list(axis.taps(index))
    elif name == "dx":
        pairs = [(o, f) for o, taps in enumerate(axis.windows) for f, i in taps if i == index]
    else:
        pairs = [(o, i) for o, taps in enumerate(axis.windows) for f, i in taps if f == index]
    return [first for first, _ in pairs], [second for _, second in pairs]


def total(left: np.ndarray, right: np.ndarray, bias: float, *, exact: bool) -> tuple[float, float]:
    """Add up products and bias to (value, rest); `exact`: a product of two needs no more than 53 bits."""
    with np.errstate(invalid="ignore", over="ignore"):
        products = left * right
        if not (np.isfinite(products).all() and math.isfinite(bias)):
            return float(products.sum()) + bias, 0.0
    parts = [*products.ravel().tolist(), bias]
    if not exact:
        parts += _lost(left, right, products).ravel().tolist()
    value = math.fsum(parts)
    return value, math.fsum([*parts, -value])


def _lost(a: np.ndarray, b: np.ndarray, products: np.ndarray) -> np.ndarray:
    """Find what rounding took from a*b, exactly. Source: T. J. Dekker, A Floating-Point Technique, 1971."""
    split = 2.0**27 + 1  # a factor's upper and lower 26 bits

    def halves(value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        upper = value * split - (value * split - value)
        return upper, value - upper

    (a1, a2), (b1, b2) = halves(a), halves(b)
    lost: np.ndarray = ((a1 * b1 - products) + a1 * b2 + a2 * b1) + a2 * b2
    return lost


def _by_winograd(g: Geometry, blocks: Given, name: str, place: Place, winograd: Winograd, number: Format) -> float:
    """Bound one element of a convolution that fits the transform, of those blocks alone."""
    blocks = dict(blocks)
    axes, spot = [g.vertical, g.horizontal], list(place[2:])
    if name != "dw":  # only the tiles that may hold the element
        for i, axis in enumerate(axes):
            near = cuts.near(axis, name, spot[i], winograd.m - 1)
            if near is None:
                return 0.0
            cells, windows, axes[i], spot[i] = near
            key, part = ("x", cells) if name == "y" else ("dy", windows)
            blocks[key] = blocks[key][:, :, part] if i == 0 else blocks[key][:, :, :, part]
    n, c, k = g.N if name == "dw" else 1, g.C // g.G if name == "y" else 1, g.K // g.G if name == "dx" else 1
    small = Geometry(n, c, axes[0], axes[1], k)
    return winograd.bound_at(name, small, blocks, (spot[0], spot[1]), number)
