"""The truth about a case: what each output is, exactly, and how far a correct implementation may lie from it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import numpy as np

from oracles import conv, pool, rounding
from oracles.case import CONVOLUTIONS, Case
from oracles.conv import Nested
from oracles.data import arrays, exponents, owed_filters, recipe
from oracles.exact import floats, integers
from oracles.formats import FORMATS, Format
from oracles.geometry import Geometry
from oracles.rounding import DIRECT, Arithmetic

Arrays = Mapping[str, np.ndarray | None]


@dataclass(frozen=True)
class Truth:
    """One output: value + rest is exact, both float64; a correct result lies within bound of it.

    Where bound is None the result is the exact value rounded once into `form`, and nothing else will do.
    `owed` marks the elements that the contract speaks of; None means all. `signed`: -0 is not +0.
    `also` names, for single elements, all values that will do.
    """

    name: str
    value: np.ndarray
    rest: np.ndarray
    bound: np.ndarray | None
    form: Format
    owed: np.ndarray | None = None
    signed: bool = False
    also: Mapping[tuple[int, ...], frozenset[float]] = field(default_factory=dict)

    @cached_property
    def answer(self) -> np.ndarray:
        """The exact value rounded once into the format, in the dtype that results have."""
        return self.form.rounded(self.value)


@lru_cache(maxsize=4096)
def truth(case: Case, arithmetic: Arithmetic = DIRECT) -> tuple[Truth, ...]:
    """The outputs of a case on its own data, in the order in which the operation returns them."""
    if _rounds_to_integers(case, arithmetic):
        return _to_integers(case, truth(case, DIRECT), arithmetic)
    return judged(case, _inputs(case, 0), arithmetic)


def judged(case: Case, data: Arrays, arithmetic: Arithmetic = DIRECT) -> tuple[Truth, ...]:
    """The outputs of a case on the data given."""
    found = _RULES[case.operation](_Sums(case, data, arithmetic))
    return _to_integers(case, found, arithmetic) if _rounds_to_integers(case, arithmetic) else found


def _rounds_to_integers(case: Case, arithmetic: Arithmetic) -> bool:
    """Whether integers go through a transform, and are exact only once the result is rounded to integers again."""
    return arithmetic.transforms and case.operation in CONVOLUTIONS and recipe(case).kind != "bounded"


def _to_integers(case: Case, exact: tuple[Truth, ...], arithmetic: Arithmetic) -> tuple[Truth, ...]:
    """The exact outputs, each with the bound within which a transform's result rounds to the right integer."""
    form, terms, powers = FORMATS[case.dtype], _terms(case.geometry), exponents(case)
    found = []
    for each in exact:
        unit = math.ldexp(1.0, sum(powers[name] for name in _OPERANDS[each.name]))  # what it is a multiple of
        inner = np.full(each.value.shape, 0.499999 * unit + (terms[each.name] + 2) * form.h)
        bound = rounding.stored(each.value, inner, form, arithmetic.sums(form))
        found.append(Truth(each.name, each.value, each.rest, bound, form, each.owed))
    return tuple(found)


def _terms(g: Geometry) -> dict[str, int]:
    """How many products are summed for one element of each output of a convolution."""
    outputs = g.N * g.vertical.out * g.horizontal.out
    return {"y": g.terms, "dx": g.window * max(1, g.K // g.G), "dw": outputs, "db": outputs}


_OPERANDS = {"y": ("x", "w"), "dx": ("w", "dy"), "dw": ("x", "dy"), "db": ("dy",)}


class _Sums:
    """The inputs of one case as the oracle's loops want them, and the way back to arrays."""

    def __init__(self, case: Case, data: Arrays, arithmetic: Arithmetic) -> None:
        self.case, self.g, self.arithmetic = case, case.geometry, arithmetic
        self.data = {name: array for name, array in data.items() if array is not None}
        self.form = FORMATS[case.dtype]
        self.recipe = recipe(case)
        self.exact = self.recipe.kind != "bounded"
        self.finite = all(np.isfinite(array).all() for array in self.data.values())
        self.powers: dict[str, int] = {}

    def numbers(self, name: str) -> Nested:
        """An input as nested ints, its exponent noted; as floats where something is not finite."""
        if not self.finite:
            return self.data[name].astype(np.float64).tolist()
        found, self.powers[name] = integers(self.data[name])
        return found

    def array(self, numbers: Nested, power: int, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Results back as (value, rest)."""
        if not self.finite:
            return np.array(numbers, np.float64).reshape(shape), np.zeros(shape)
        return floats(numbers, power, shape)

    def output(
        self,
        name: str,
        value: tuple[np.ndarray, np.ndarray],
        n: int,
        inner: Callable[[Format], np.ndarray] | None,
        owed: np.ndarray | None = None,
        extra: int = 0,
    ) -> Truth:
        """A truth with its bound: `inner` in the accumulator's format, storing, and (n+2+extra) h for underflow."""
        if inner is None:
            return Truth(name, *value, None, self.form, owed)
        accumulator = self.arithmetic.sums(self.form)
        bound = rounding.stored(value[0], inner(accumulator), self.form, accumulator)
        return Truth(name, *value, bound + (n + 2 + extra) * self.form.h, self.form, owed)


def absolute(numbers: Nested) -> Nested:
    """The magnitudes of nested numbers: the same sums over them are A in the bounds."""
    return [absolute(inner) if isinstance(inner, list) else abs(inner) for inner in numbers]


def _conv2d(s: _Sums) -> tuple[Truth, ...]:
    g, bias = s.g, s.data.get("b")
    x, w = s.numbers("x"), s.numbers("w")
    power = s.powers.get("x", 0) + s.powers.get("w", 0)
    b: Nested = [0] * g.K
    if bias is not None:
        b = s.numbers("b")
        x, b, power = _aligned(x, b, power, s.powers.get("b", 0), s.finite)
    value = s.array(conv.conv2d(x, w, b, g), power, g.y_shape)

    def magnitude() -> np.ndarray:
        return s.array(conv.conv2d(absolute(x), absolute(w), absolute(b), g), power, g.y_shape)[0]

    return (s.output("y", value, g.terms, _products(s, g.terms, magnitude, _Roles(s, "y"))),)


def _aligned(x: Nested, b: Nested, power: int, other: int, finite: bool) -> tuple[Nested, Nested, int]:
    """Bring products at 2**power and biases at 2**other to one exponent."""
    if not finite or power == other:
        return x, b, power
    if other > power:
        return x, [value << (other - power) for value in b], power
    shift = power - other
    return [[[[value << shift for value in row] for row in p] for p in image] for image in x], b, other


def _conv2d_backward(s: _Sums) -> tuple[Truth, ...]:
    g = s.g
    x, w, dy = s.numbers("x"), s.numbers("w"), s.numbers("dy")
    dx, dw, db = conv.conv2d_backward(x, w, dy, g)
    terms, shapes = _terms(g), {"dx": g.x_shape, "dw": g.w_shape, "db": (g.K,)}
    power = {key: s.powers.get(key, 0) for key in ("x", "w", "dy")}
    powers = {"dx": power["w"] + power["dy"], "dw": power["x"] + power["dy"], "db": power["dy"]}
    found: list[Nested] = []  # the three magnitudes come out of one run of the loops

    def magnitude(i: int, name: str) -> np.ndarray:
        if not found:
            found.extend(conv.conv2d_backward(absolute(x), absolute(w), absolute(dy), g))
        return s.array(found[i], powers[name], shapes[name])[0]

    truths, filters = [], owed_filters(s.data["dy"], g)
    for i, (name, numbers) in enumerate((("dx", dx), ("dw", dw), ("db", db))):
        value = s.array(numbers, powers[name], shapes[name])
        roles = _Roles(s, name)
        inner = _products(s, terms[name], lambda i=i, name=name: magnitude(i, name), roles)  # type: ignore[misc]
        owed = None
        if name == "dw" and filters is not None:
            owed = np.broadcast_to(filters[:, None, None, None], shapes[name])
        truths.append(s.output(name, value, terms[name], inner, owed))
    return tuple(truths)


class _Roles:
    """Which two inputs an output of a convolution is made of, and their norms."""

    def __init__(self, s: _Sums, output: str) -> None:
        self.s, self.output = s, output

    def norms(self) -> np.ndarray:
        """The product of the Euclidean norms of all that one output of a transform is made of."""
        g, s = self.s.g, self.s
        channels, filters = g.C // g.G, max(1, g.K // g.G)
        square = {key: array.astype(np.float64) ** 2 for key, array in s.data.items()}
        if self.output == "y":
            images = np.sqrt(square["x"].sum((2, 3)).reshape(g.N, g.G, channels).sum(2)).repeat(filters, 1)  # (N, K)
            return (images * np.sqrt(square["w"].sum((1, 2, 3))))[:, :, None, None]
        if self.output == "dx":
            outputs = np.sqrt(square["dy"].sum((2, 3)).reshape(g.N, g.G, filters).sum(2))  # (N, G)
            weights = np.sqrt(square["w"].sum((2, 3)).reshape(g.G, filters, channels).sum(1))  # (G, C/G)
            return (outputs[:, :, None] * weights).reshape(g.N, g.C)[:, :, None, None]
        if self.output == "dw":
            inputs = np.sqrt(square["x"].sum((0, 2, 3))).reshape(g.G, 1, channels)
            outputs = np.sqrt(square["dy"].sum((0, 2, 3))).reshape(g.G, filters, 1)
            return (outputs * inputs).reshape(g.K, channels)[:, :, None, None]
        return np.sqrt(square["dy"].sum((0, 2, 3)))

    def bias(self) -> np.ndarray | float:
        """|b| where the output adds one."""
        b = self.s.data.get("b") if self.output == "y" else None
        return 0.0 if b is None else np.abs(b.astype(np.float64))[None, :, None, None]


def _products(
    s: _Sums, n: int, magnitude: Callable[[], np.ndarray], roles: _Roles
) -> Callable[[Format], np.ndarray] | None:
    """The bound of a sum of n products in the arithmetic declared; None where the answer is the exact one."""
    arithmetic = s.arithmetic
    if s.exact:
        return None

    def bound(form: Format) -> np.ndarray:
        total = magnitude()
        most = rounding.sums(n, total, form, signs=s.recipe.signs)
        if arithmetic.fft:
            most = np.maximum(most, rounding.fft(rounding.points(s.g), roles.norms(), roles.bias(), form))
        if arithmetic.tf32:
            most = np.maximum(most, rounding.tf32(n, total))
        if arithmetic.winograd is not None and roles.output != "db":
            most = np.maximum(most, arithmetic.winograd.bound(roles.output, s.g, s.data, form))
        return most

    return bound


def _max_pool2d(s: _Sums) -> tuple[Truth, ...]:
    s.finite = False  # nothing is added: floats are as exact as ints, and keep the sign of zero
    declared = s.arithmetic.conventions
    y, switches = pool.max_pool2d(s.numbers("x"), s.g, s.arithmetic.nan)
    value, zeros = np.array(y, np.float64).reshape(s.g.y_shape), np.zeros(s.g.y_shape)
    index = np.array(switches, np.int64).reshape(s.g.y_shape)
    # where a NaN wins, any element of its window may be the switch
    anywhere = pool.window_cells(np.argwhere(np.isnan(value)).tolist(), s.g)
    allowed: dict[tuple[int, ...], frozenset[float]] = {}
    owed = None
    if {"max_drops_nan", "max_orders_nan"} & {*declared}:
        owed = ~np.isnan(value)  # of the switches
        nothing = frozenset((-math.inf, -s.form.largest))
        allowed = {cell: (_numbers(s, cell, places) or nothing) | {math.nan} for cell, places in anywhere.items()}
    return (
        Truth("y", value, zeros, None, s.form, signed="max_takes_either_zero" not in declared, also=allowed),
        Truth("switches", index, zeros, None, s.form, owed, also=anywhere),
    )


def _numbers(s: _Sums, output: tuple[int, ...], places: frozenset[float]) -> frozenset[float]:
    """The numbers at these places of the plane that an output was made of."""
    plane = s.data["x"][output[:2]].ravel()
    return frozenset(float(plane[int(place)]) for place in places if not np.isnan(plane[int(place)]))


def switches(case: Case, x: np.ndarray) -> np.ndarray:
    """The switches (N, C, OH, OW) that max pooling finds in x (N, C, H, W)."""
    _, found = pool.max_pool2d(x.astype(np.float64).tolist(), case.geometry)
    return np.array(found, np.int64).reshape(case.geometry.y_shape)


def _max_pool2d_backward(s: _Sums) -> tuple[Truth, ...]:
    g = s.g
    index = s.data["switches"]
    s.finite = bool(np.isfinite(s.data["dy"]).all())

    def run(dy: Nested) -> Nested:
        return pool.max_pool2d_backward(dy, index.tolist(), g)

    dy = s.numbers("dy")
    power = s.powers.get("dy", 0)
    value = s.array(run(dy), power, g.x_shape)

    def bound(form: Format) -> np.ndarray:
        return rounding.gamma(g.overlap, form.u) * s.array(run(absolute(dy)), power, g.x_shape)[0]

    return (s.output("dx", value, 1, None if s.exact else bound, extra=g.overlap),)


def _avg_pool2d(s: _Sums) -> tuple[Truth, ...]:
    g, n = s.g, s.g.window
    counts = pool.window_counts(g, s.case.include_pad)

    def run(x: Nested) -> Nested:
        return pool.divided(pool.window_sums(x, g), counts)

    x = s.numbers("x")
    power = s.powers.get("x", 0) - pool.GUARD
    value = s.array(run(x), power, g.y_shape)

    def bound(form: Format) -> np.ndarray:
        return rounding.gamma(n + 1, form.u) * s.array(run(absolute(x)), power, g.y_shape)[0]

    return (s.output("y", value, n, None if s.exact and _shifts(counts) else bound),)


def _avg_pool2d_backward(s: _Sums) -> tuple[Truth, ...]:
    g = s.g
    counts = pool.window_counts(g, s.case.include_pad)

    def run(dy: Nested) -> Nested:
        return pool.spread(pool.divided(dy, counts), g)

    dy = s.numbers("dy")
    power = s.powers.get("dy", 0) - pool.GUARD
    value = s.array(run(dy), power, g.x_shape)

    def bound(form: Format) -> np.ndarray:
        return rounding.gamma(g.overlap + 2, form.u) * s.array(run(absolute(dy)), power, g.x_shape)[0]

    same = len({count for row in counts for count in row}) == 1  # else sums need more bits than the budget has
    return (s.output("dx", value, 1, None if s.exact and same and _shifts(counts) else bound, extra=g.overlap),)


def _shifts(counts: list[list[int]]) -> bool:
    """Whether every count is a power of two, so that dividing by it rounds nothing."""
    return all(count & (count - 1) == 0 for row in counts for count in row)


def _squares(x: Nested, g: Geometry) -> Nested:
    return pool.window_sums([[[[v * v for v in row] for row in plane] for plane in image] for image in x], g)


def _l2_pool2d(s: _Sums) -> tuple[Truth, ...]:
    g, n = s.g, s.g.window
    found = pool.roots(_squares(s.numbers("x"), g))
    value = s.array(found, s.powers.get("x", 0) - pool.GUARD, g.y_shape)
    return (s.output("y", value, n, lambda form: (n / 2 + 3) * form.u * np.abs(value[0])),)


def _l2_pool2d_backward(s: _Sums) -> tuple[Truth, ...]:
    g, n = s.g, s.g.window

    def run(x: Nested, dy: Nested) -> Nested:
        return pool.l2_pool2d_backward(x, dy, pool.roots(_squares(x, g)), g)

    # x*dy << 3*GUARD over a norm with GUARD bits behind the point: units of x cancel
    x, dy = s.numbers("x"), s.numbers("dy")
    power = s.powers.get("dy", 0) - 2 * pool.GUARD
    value = s.array(run(x, dy), power, g.x_shape)

    def bound(form: Format) -> np.ndarray:
        return (n / 2 + 5 + g.overlap) * form.u * s.array(run(*map(absolute, (x, dy))), power, g.x_shape)[0]

    return (s.output("dx", value, n, bound, _away_from_infinities(s), extra=g.overlap),)


def _away_from_infinities(s: _Sums) -> np.ndarray | None:
    """The cells in no window that holds an infinity: the contract leaves the L2 gradient of the others open."""
    infinite = np.isinf(s.data["x"])
    if not infinite.any():
        return None
    windows = pool.window_sums(infinite.astype(int).tolist(), s.g)
    return np.array(pool.spread(windows, s.g)).reshape(s.g.x_shape) == 0


def inputs(case: Case, stream: int = 0) -> dict[str, np.ndarray | None]:
    """The arrays of the call in the contract's order, by name; b is None where the case has no bias.

    conv2d: x, w, b; conv2d_backward: x, w, dy; max_pool2d_backward: dy, switches; other gradients: (x,) dy.
    Every call gives arrays of its own, which an implementation may spoil without harm to the next.
    """
    made = _inputs(case, stream)
    return {name: None if array is None else array.copy() for name, array in made.items()}


@lru_cache(maxsize=16)
def _inputs(case: Case, stream: int) -> dict[str, np.ndarray | None]:
    found: dict[str, np.ndarray | None] = dict(arrays(case, stream))
    if case.operation == "conv2d" and not case.bias:
        found["b"] = None
    if case.operation == "max_pool2d_backward":
        x = found.pop("x")
        assert x is not None
        found["switches"] = switches(case, x)
    return found


_RULES: dict[str, Callable[[_Sums], tuple[Truth, ...]]] = {
    "conv2d": _conv2d,
    "conv2d_backward": _conv2d_backward,
    "max_pool2d": _max_pool2d,
    "max_pool2d_backward": _max_pool2d_backward,
    "avg_pool2d": _avg_pool2d,
    "avg_pool2d_backward": _avg_pool2d_backward,
    "l2_pool2d": _l2_pool2d,
    "l2_pool2d_backward": _l2_pool2d_backward,
}
