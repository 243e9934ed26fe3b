"""Large layers: the definition at chosen outputs, and checksums over all of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import product
from typing import Any

import numpy as np

from oracles import cuts, rounding, spoiled, tapwise
from oracles import truth as truths
from oracles.case import CONVOLUTIONS, Case
from oracles.checksum import Checksum, terms
from oracles.data import owed_filters, recipe
from oracles.elements import Elements, total
from oracles.formats import FORMATS
from oracles.geometry import Axis, Geometry
from oracles.rounding import DIRECT, Arithmetic
from oracles.truth import Truth
from oracles.verdict import DIFFERS, Verdict, form, joined, judge, untold

Arrays = Mapping[str, np.ndarray | None]
Given = dict[str, np.ndarray]
Place = tuple[int, ...]

OUTPUTS = {"conv2d": ("y",), "conv2d_backward": ("dx", "dw", "db"), "max_pool2d": ("y", "switches")}
SUMMANDS = 2**22  # so many products, over all places of one output, are summed exactly in about a second


def verdict(case: Case, data: Arrays, result: Any, *, count: int = 200, arithmetic: Arithmetic = DIRECT) -> Verdict:
    """Hold what an operation returned against the definition at about `count` places of each output, then all of it.

    Where count is 0 no places are looked at. data is what truth.inputs gives; result is the output, or the tuple of
    them. Where data are not finite, all of it is held against the pattern of what is (`oracles.spoiled`).
    """
    return Standard(case, data, count).verdict(result, arithmetic)


class Standard:
    """What results on some data are held against, worked out once for any number of results and ways of computing.

    Parameters as in `verdict`.
    """

    def __init__(self, case: Case, data: Arrays, count: int = 200) -> None:
        self.case = case
        self.outputs = [_Output(case, _given(data), name, count) for name in outputs(case.operation)]

    def verdict(self, result: Any, arithmetic: Arithmetic = DIRECT) -> Verdict:
        """Hold one result against the standard."""
        results = (result,) if len(self.outputs) == 1 else result
        if not isinstance(results, (tuple, list)) or len(results) != len(self.outputs):
            names = ", ".join(output.name for output in self.outputs)
            return Verdict(DIFFERS, f"returned {type(result).__name__} where {names} are due", math.inf)
        found = []
        for due, output in zip(self.outputs, results, strict=True):
            if untold(due.name, output):
                continue
            dtype = np.dtype(np.int64 if due.name == "switches" else FORMATS[self.case.dtype].array)
            complaint = form(due.name, output, shape_of(self.case, due.name), dtype)
            if complaint:
                return Verdict(DIFFERS, complaint, math.inf)
            if due.count:
                found.append(_judged(due.truth(arithmetic), output, due.places))
            found.append(due.whole(output, arithmetic))
        return joined(found)


class _Output:
    """One output of an operation: the truth at some places of it, and what judges all of it."""

    def __init__(self, case: Case, data: Given, name: str, count: int) -> None:
        self.case, self.data, self.name, self.count = case, data, name, count
        self._sampled: dict[Arithmetic, Truth] = {}
        self._complete: dict[Arithmetic, Truth] = {}

    @cached_property
    def places(self) -> np.ndarray:
        """Where it is sampled; (places, axes)."""
        count = max(8, min(self.count, SUMMANDS // max(1, terms(self.case.geometry, self.name))))
        found = sample(shape_of(self.case, self.name), count, self.case.rng(1))
        return found if self._owed is None else found[self._owed[found[:, 0]]]

    @cached_property
    def _owed(self) -> np.ndarray | None:
        return owed_filters(self.data["dy"], self.case.geometry) if self.name == "dw" else None

    @cached_property
    def _elements(self) -> Elements:
        return Elements(self.case, self.data, self.name, self.places)

    @cached_property
    def _checksum(self) -> Checksum:
        return Checksum(self.case, self.data, self.name)

    def truth(self, arithmetic: Arithmetic) -> Truth:
        """Give the truth at the places."""
        if self.case.operation in CONVOLUTIONS:
            return self._elements.truth(arithmetic)
        arithmetic = replace(arithmetic, accuracy="direct")  # no pool is computed by a transform
        if arithmetic not in self._sampled:
            self._sampled[arithmetic] = _of_pools(self.case, self.data, self.name, self.places, arithmetic)
        return self._sampled[arithmetic]

    def whole(self, output: np.ndarray, arithmetic: Arithmetic) -> Verdict:
        """Hold all elements against checksums, or those of pools each by itself; of special data, what is finite."""
        if not self._finite:
            return Verdict() if self._lost is None else spoiled.verdict(self.name, output, self._lost, self._owed)
        if self.case.operation in CONVOLUTIONS:
            return self._checksum.verdict(output, arithmetic)
        arithmetic = replace(arithmetic, accuracy="direct")
        if arithmetic not in self._complete:
            self._complete[arithmetic] = tapwise.truth(self.case, self.data, self.name, arithmetic)
        return judge((self._complete[arithmetic],), output)

    @cached_property
    def _lost(self) -> np.ndarray | None:
        return spoiled.pattern(self.case, self.data, self.name)

    @cached_property
    def _finite(self) -> bool:
        return all(np.isfinite(array).all() for array in self.data.values())


def whole(case: Case, data: Arrays, name: str, output: np.ndarray, arithmetic: Arithmetic = DIRECT) -> Verdict:
    """Hold all elements of one output, of the right shape and dtype, against checksums, or pools against each element.

    Where the data are not finite, it is held against the pattern of what is, if that is known.
    """
    return _Output(case, _given(data), name, 0).whole(output, arithmetic)


def _given(data: Arrays) -> Given:
    return {key: array for key, array in data.items() if array is not None}


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
    if case.operation in CONVOLUTIONS:
        return Elements(case, _given(data), name, places).truth(arithmetic)
    return _of_pools(case, _given(data), name, places, arithmetic)


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


# pools: the definition itself, on a cut-out that holds the windows in question


def _of_pools(case: Case, data: Given, name: str, places: np.ndarray, arithmetic: Arithmetic) -> Truth:
    """Find the truth about one output of a pooling, or of its gradient, at the places."""
    if case.operation == "max_pool2d_backward":
        found = [_of_switches(case, data, tuple(place), arithmetic) for place in places.tolist()]
    else:
        found = [_of_pool(case, data, name, tuple(place), arithmetic) for place in places.tolist()]
    number = FORMATS[case.dtype]
    bound = None
    if any(element.bound is not None for element in found):  # what must be exact, among others: half a last digit
        bound = np.array([number.u * abs(e.value) + number.h if e.bound is None else e.bound for e in found])
    kind = np.int64 if name == "switches" else np.float64
    values = np.array([element.value for element in found], kind)
    return Truth(name, values, np.array([element.rest for element in found], np.float64), bound, number)


def _of_switches(case: Case, data: Given, place: Place, arithmetic: Arithmetic) -> _Element:
    """Find a cell's gradient of max pooling: the sum of dy over the outputs whose switch names it."""
    n, c, iy, ix = place
    g, number = case.geometry, FORMATS[case.dtype]
    sent = data["dy"][n, c][data["switches"][n, c] == iy * g.horizontal.size + ix].astype(np.float64)
    value, rest = total(sent, np.ones(sent.shape), 0.0, exact=True)
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
