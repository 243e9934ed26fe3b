"""Large layers: the definition at chosen outputs, and checksums over all of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np

from oracles import checksum, cuts, rounding, tapwise
from oracles import truth as truths
from oracles.case import CONVOLUTIONS, Case
from oracles.checksum import terms, unit
from oracles.data import recipe
from oracles.formats import FORMATS, Format
from oracles.geometry import Axis, Geometry
from oracles.rounding import DIRECT, Arithmetic
from oracles.truth import Truth
from oracles.verdict import DIFFERS, Verdict, form, joined, judge, untold
from oracles.winograd import Winograd

Arrays = Mapping[str, np.ndarray | None]
Given = dict[str, np.ndarray]
Place = tuple[int, ...]

OUTPUTS = {"conv2d": ("y",), "conv2d_backward": ("dx", "dw", "db"), "max_pool2d": ("y", "switches")}
SUMMANDS = 2**22  # so many products, over all places of one output, are summed exactly in about a second


def verdict(case: Case, data: Arrays, result: Any, *, count: int = 200, arithmetic: Arithmetic = DIRECT) -> Verdict:
    """Hold what an operation returned against the definition at about `count` places of each output, then all of it.

    Where count is 0 no places are looked at. data is what truth.inputs gives; result is the output, or the tuple of
    them. What is not finite is only sampled.
    """
    return Standard(case, data, count, arithmetic).verdict(result)


class Standard:
    """What results on some data are held against, found once for any number of results. Parameters as in `verdict`."""

    def __init__(self, case: Case, data: Arrays, count: int = 200, arithmetic: Arithmetic = DIRECT) -> None:
        self.case, self.data, self.count, self.arithmetic = case, data, count, arithmetic
        self._parts: dict[str, tuple[np.ndarray, Truth | None, Callable[[np.ndarray], Verdict]]] = {}
        self._rng = case.rng(1)

    def verdict(self, result: Any) -> Verdict:
        """Hold one result against the standard."""
        names, case = outputs(self.case.operation), self.case
        results = (result,) if len(names) == 1 else result
        if not isinstance(results, (tuple, list)) or len(results) != len(names):
            return Verdict(DIFFERS, f"returned {type(result).__name__} where {', '.join(names)} are due", math.inf)
        found = []
        for name, output in zip(names, results, strict=True):
            if untold(name, output):
                continue
            dtype = np.dtype(np.int64 if name == "switches" else FORMATS[case.dtype].array)
            complaint = form(name, output, shape_of(case, name), dtype)
            if complaint:
                return Verdict(DIFFERS, complaint, math.inf)
            places, truth, all_of = self._part(name)
            found += [all_of(output)] if truth is None else [_judged(truth, output, places), all_of(output)]
        return joined(found)

    def _part(self, name: str) -> tuple[np.ndarray, Truth | None, Callable[[np.ndarray], Verdict]]:
        """Give the places of an output that are looked at, the truth there, if any are, and what judges all of it."""
        if name not in self._parts:
            case, all_of = self.case, judging(self.case, self.data, name, self.arithmetic)
            if not self.count:
                self._parts[name] = np.zeros((0, 0), np.int64), None, all_of
                return self._parts[name]
            count = max(8, min(self.count, SUMMANDS // max(1, terms(case.geometry, name))))
            places = sample(shape_of(case, name), count, self._rng)
            truth = at(case, self.data, name, places, self.arithmetic)
            self._parts[name] = places, truth, all_of
        return self._parts[name]


def whole(case: Case, data: Arrays, name: str, output: np.ndarray, arithmetic: Arithmetic = DIRECT) -> Verdict:
    """Hold all elements of one output, of the right shape and dtype, against checksums, or pools against each element.

    Agrees, having looked at no element, where the data are not finite.
    """
    return judging(case, data, name, arithmetic)(output)


def judging(case: Case, data: Arrays, name: str, arithmetic: Arithmetic = DIRECT) -> Callable[[np.ndarray], Verdict]:
    """Give the function that holds all elements of one output against what is worked out here once."""
    given = {key: array for key, array in data.items() if array is not None}
    if not all(np.isfinite(array).all() for array in given.values()):
        return lambda output: Verdict()
    if case.operation in CONVOLUTIONS:
        return checksum.judging(case, given, name, arithmetic)
    truth = tapwise.truth(case, given, name, arithmetic)
    return lambda output: judge((truth,), output)


def outputs(operation: str) -> tuple[str, ...]:
    """Name what an operation returns, in order."""
    return OUTPUTS.get(operation, ("dx",) if operation.endswith("_backward") else ("y",))


def shape_of(case: Case, name: str) -> Place:
    """Give the shape of one of the outputs."""
    g = case.geometry
    return {"dx": g.x_shape, "dw": g.w_shape, "db": (g.K,)}.get(name, g.y_shape)


def sample(shape: Place, count: int, rng: np.random.Generator) -> np.ndarray:
    """Choose about `count` places (places, axes): the corners, and borders, likely tile edges and others at random."""
    if 0 in shape:
        return np.zeros((0, len(shape)), np.int64)
    corners = list(product(*({0, extent - 1} for extent in shape)))
    columns = [
        np.where(rng.random(count) < 0.5, rng.choice(_marks(extent), count), rng.integers(0, extent, count))
        for extent in shape
    ]
    return np.unique(np.vstack([corners, np.stack(columns, 1)]), axis=0)


def _marks(extent: int) -> list[int]:
    """List the ends of an axis, and both sides of the multiples of powers of two, where tiles are likely to meet."""
    steps = {power: power * max(1, extent // (8 * power)) for power in (2, 4, 8, 16, 32, 64, 128)}
    edges = {edge for step in steps.values() for edge in range(step, extent, step)}
    return sorted({0, extent - 1} | edges | {edge - 1 for edge in edges})


def at(case: Case, data: Arrays, name: str, places: np.ndarray, arithmetic: Arithmetic = DIRECT) -> Truth:
    """Find the truth about one output at the places (places, axes); value, rest and bound are (places,)."""
    given = {key: array for key, array in data.items() if array is not None}
    if case.operation in CONVOLUTIONS:
        rounds = arithmetic.transforms and recipe(case).kind != "bounded"
        half = 0.499999 * 2.0 ** unit(given, name) if rounds else None
        found = [_of_convolution(case, given, name, tuple(place), arithmetic, half) for place in places.tolist()]
    elif case.operation == "max_pool2d_backward":
        found = [_of_switches(case, given, tuple(place), arithmetic) for place in places.tolist()]
    else:
        found = [_of_pool(case, given, name, tuple(place), arithmetic) for place in places.tolist()]
    number = FORMATS[case.dtype]
    bound = None
    if any(element.bound is not None for element in found):  # what must be exact, among others: half a last digit
        bound = np.array([number.u * abs(e.value) + number.h if e.bound is None else e.bound for e in found])
    kind = np.int64 if name == "switches" else np.float64
    values = np.array([element.value for element in found], kind)
    return Truth(name, values, np.array([element.rest for element in found], np.float64), bound, number)


@dataclass(frozen=True)
class _Element:
    """One element of an output: value + rest is exact, and so is what must be returned where bound is None."""

    value: float
    rest: float = 0.0
    bound: float | None = None


def _judged(truth: Truth, output: np.ndarray, places: np.ndarray) -> Verdict:
    """Judge the places together, and, where they do not agree, find the worst and name it."""
    picked = output[tuple(places.T)]
    together = judge((truth,), picked)
    if together.agrees:
        return together
    single = []
    for i, place in enumerate(places.tolist()):
        one = slice(i, i + 1)
        bound = None if truth.bound is None else truth.bound[one]
        part = replace(truth, value=truth.value[one], rest=truth.rest[one], bound=bound)
        single.append((judge((part,), picked[one]), place))
    worst, place = max(single, key=lambda pair: pair[0].ratio)
    told = worst.message.split("\n", 1)[-1]
    wrong = sum(not found.agrees for found, _ in single)
    where = f"{truth.name}[{', '.join(map(str, place))}]"
    message = f"{wrong} of {len(places)} sampled elements of {truth.name} differ; the worst is {where}\n{told}"
    return replace(together, message=message, ratio=worst.ratio, place=(truth.name, tuple(place)), want=worst.want)


# convolutions: the two blocks whose products make an element, gathered by counting


def _of_convolution(
    case: Case, data: Given, name: str, place: Place, arithmetic: Arithmetic, half: float | None
) -> _Element:
    """Sum up one element; `half`: what a transform of integers may be off by, so that it rounds to the right one."""
    left, right, bias = _factors(case.geometry, data, name, place)
    left, right = left.astype(np.float64), right.astype(np.float64)
    number, kind, n = FORMATS[case.dtype], recipe(case), terms(case.geometry, name)
    value, rest = _total(left, right, bias, exact=number.digits <= 24)
    if half is None and kind.kind != "bounded":
        return _Element(value, rest)
    accumulator = arithmetic.sums(number)
    if half is not None:
        inner = half
    else:
        magnitude = np.array((np.abs(left) * np.abs(right)).sum() + abs(bias))
        inner = float(rounding.sums(n, magnitude, accumulator, signs=kind.signs))
        if arithmetic.tf32:
            inner = max(inner, float(rounding.tf32(n, magnitude)))
        if arithmetic.transforms:
            transformed = _transformed(case.geometry, data, name, place, arithmetic, accumulator)
            inner = max(inner, transformed + 2 * accumulator.u * abs(bias))
    bound = rounding.stored(np.array(value), np.array(inner), number, accumulator)
    return _Element(value, rest, float(bound) + (n + 2) * number.h)


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


def _total(left: np.ndarray, right: np.ndarray, bias: float, *, exact: bool) -> tuple[float, float]:
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


def _transformed(g: Geometry, data: Given, name: str, place: Place, arithmetic: Arithmetic, number: Format) -> float:
    """Bound one element that is computed by FFT or Winograd, bias left out; 0 where no transform is."""
    if name == "db":
        return 0.0
    blocks, found = _blocks(g, data, name, place), 0.0
    if arithmetic.fft:
        norms = math.prod(float(np.linalg.norm(block.astype(np.float64))) for block in blocks.values())
        found = float(rounding.fft(rounding.points(g), np.array(norms), 0.0, number))
    if arithmetic.winograd is not None and arithmetic.winograd.applies(g):
        found = max(found, _by_winograd(g, blocks, name, place, arithmetic.winograd, number))
    return found


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


# pools: the definition itself, on a cut-out that holds the windows in question


def _of_switches(case: Case, data: Given, place: Place, arithmetic: Arithmetic) -> _Element:
    """Find a cell's gradient of max pooling: the sum of dy over the outputs whose switch names it."""
    n, c, iy, ix = place
    g, number = case.geometry, FORMATS[case.dtype]
    sent = data["dy"][n, c][data["switches"][n, c] == iy * g.horizontal.size + ix].astype(np.float64)
    value, rest = _total(sent, np.ones(sent.shape), 0.0, exact=True)
    if recipe(case).kind != "bounded":
        return _Element(value, rest)
    accumulator = arithmetic.sums(number)
    inner = np.array(rounding.gamma(g.overlap, accumulator.u) * np.abs(sent).sum())
    bound = rounding.stored(np.array(value), inner, number, accumulator)
    return _Element(value, rest, float(bound) + (3 + g.overlap) * number.h)


def _of_pool(case: Case, data: Given, name: str, place: Place, arithmetic: Arithmetic) -> _Element:
    """Find one output of a pooling, or one cell's gradient, out of truth.judged on the windows that matter."""
    g, (n, c, *inner) = case.geometry, place
    spans = [_span(axis, name, i) for axis, i in zip((g.vertical, g.horizontal), inner, strict=True)]
    if not all(spans):
        return _Element(0.0)  # no window reads this cell
    (rows, lines, vertical), (columns, ranks, horizontal) = (
        cuts.cut(axis, span[0], span[-1]) for axis, span in zip((g.vertical, g.horizontal), spans, strict=True)
    )
    small = replace(case, geometry=Geometry(1, 1, vertical, horizontal))
    part = {"x": (rows, columns), "dy": (lines, ranks)}
    cut = {key: array[n : n + 1, c : c + 1][:, :, part[key][0], part[key][1]] for key, array in data.items()}
    found = next(truth for truth in truths.judged(small, cut, arithmetic) if truth.name == name)
    first = part["x" if name == "dx" else "dy"]
    spot = (0, 0, inner[0] - first[0].start, inner[1] - first[1].start)
    value = found.value[spot]
    if name == "switches":
        iy, ix = divmod(int(value), horizontal.size)
        value = (iy + rows.start) * g.horizontal.size + ix + columns.start
    bound = None if found.bound is None else float(found.bound[spot])
    return _Element(value, float(found.rest[spot]), bound)


@lru_cache(maxsize=4096)
def _span(axis: Axis, name: str, index: int) -> list[int]:
    """List the windows that bear on an index: its own at an output, those that read it at a cell."""
    return [o for o, taps in enumerate(axis.windows) if any(i == index for _, i in taps)] if name == "dx" else [index]
