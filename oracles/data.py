"""Recipes for data: recipe + seed + geometry -> arrays. The same line gives the same data on any machine.

A recipe is a name and whole numbers, as in `wide:24` or `scaled:24:-90:30:0`. Three kinds:

exact     integers so small that every order of summation gives the same value: the first number is the budget in
          bits, and n*A*B + |b| <= 2**bits holds for n terms and magnitudes A and B
bounded   real numbers, judged against a rounding bound
special   small integers with NaN, infinities or signed zeros among them
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from oracles.case import CONVOLUTIONS, Case
from oracles.formats import FORMATS
from oracles.geometry import Geometry
from oracles.rounding import Arithmetic, exact_bits

Shape = tuple[int, ...]
Fill = Callable[[np.random.Generator, Shape, int], np.ndarray]


@dataclass(frozen=True)
class Recipe:
    """How one kind of data is made, and what may be concluded from it."""

    fill: Fill
    kind: str
    signs: bool = False  # drawn independently with random signs: rounding errors then grow like sqrt(n)
    positive: bool = False  # independent and positive: the tensor-wide statistics apply


def odd(rng: np.random.Generator, shape: Shape, most: int) -> np.ndarray:
    """Odd integers up to `most`: zeros would hide faults."""
    half = (most + 1) // 2
    return 2.0 * rng.integers(-half, half, shape) + 1.0


def blank(rng: np.random.Generator, shape: Shape, most: int) -> np.ndarray:
    """Odd integers, but for images, or filters, that are all zero: kernels leave such out."""
    values = odd(rng, shape, most)
    if len(values):
        values[(rng.random(len(values)) < 0.5) | (np.arange(len(values)) == rng.integers(len(values)))] = 0.0
    return values


def few(rng: np.random.Generator, shape: Shape, most: int) -> np.ndarray:
    """Few distinct values, so that maxima tie."""
    return rng.integers(-min(2, most), min(2, most) + 1, shape).astype(np.float64)


def negative(rng: np.random.Generator, shape: Shape, most: int) -> np.ndarray:
    """All negative, so that a padding zero would win."""
    return -np.abs(odd(rng, shape, most))


def distinct(rng: np.random.Generator, shape: Shape, most: int) -> np.ndarray:
    """All different where the budget allows, in random order."""
    size = math.prod(shape)
    return (rng.permutation(size) - size // 2).reshape(shape) % (2 * most + 1) - float(most)


def ramp(rng: np.random.Generator, shape: Shape, most: int) -> np.ndarray:
    """Rising along the array, so that each cell tells where it stands."""
    return np.arange(1.0, math.prod(shape) + 1).reshape(shape) % most + 1.0


def one_hot(rng: np.random.Generator, shape: Shape, most: int) -> np.ndarray:
    """A single non-zero cell in each image or filter."""
    flat = np.zeros((shape[0], math.prod(shape[1:])))
    if flat.size:
        flat[np.arange(shape[0]), rng.integers(0, flat.shape[1], shape[0])] = float(most)
    return flat.reshape(shape)


def basis(rng: np.random.Generator, shape: Shape, most: int) -> np.ndarray:
    """A single one in each image or filter, at its first cell, then at its second, and so on."""
    flat = np.zeros((shape[0], math.prod(shape[1:])))
    if flat.size:
        flat[np.arange(shape[0]), np.arange(shape[0]) % flat.shape[1]] = 1.0
    return flat.reshape(shape)


def orders(rng: np.random.Generator, shape: Shape, most: int) -> np.ndarray:
    """Ranks from 0 on, ties among them: each image has its cells in another order, until all were there."""
    cells = math.prod(shape[1:])
    ranks = (each for each in itertools.product(range(cells), repeat=cells) if {*each} == {*range(max(each) + 1)})
    every = np.array([*itertools.islice(ranks, shape[0])], float)
    return every[np.arange(shape[0]) % len(every)].reshape(shape)


def same(rng: np.random.Generator, shape: Shape, most: int) -> np.ndarray:
    """One value everywhere."""
    return np.full(shape, float(2 * rng.integers(0, (most + 1) // 2) + 1))


def gauss(rng: np.random.Generator, shape: Shape, most: int) -> np.ndarray:
    """Independent standard normal numbers."""
    return rng.standard_normal(shape)


def positive(rng: np.random.Generator, shape: Shape, most: int) -> np.ndarray:
    """Independent numbers between 1/2 and 3/2."""
    return rng.uniform(0.5, 1.5, shape)


def spread(rng: np.random.Generator, shape: Shape, most: int) -> np.ndarray:
    """Random signs and magnitudes from 2**-8 to 2**4: small terms among large ones, and much cancellation."""
    return rng.choice([-1.0, 1.0], shape) * 2.0 ** rng.uniform(-8, 4, shape)


def cancelling(rng: np.random.Generator, shape: Shape, most: int) -> np.ndarray:
    """Neighbours that nearly cancel: each second number is the negative of the one before but for its last bits."""
    flat = rng.uniform(1.0, 2.0, math.prod(shape))
    flat[1::2] = -flat[0 : flat.size - flat.size % 2 : 2] * (1 + rng.integers(-4, 5, flat.size // 2) * 2.0**-20)
    return flat.reshape(shape)


def huge(rng: np.random.Generator, shape: Shape, most: int) -> np.ndarray:
    """One element a hundred times as large as the others; or 1e3 or 1e12 times: even float64 then loses the others."""
    values = rng.standard_normal(shape)
    if values.size:
        values.flat[rng.integers(values.size)] = float(most) ** (rng.choice((1, 4)) if most >= 1000 else 1)
    return values


def constant(rng: np.random.Generator, shape: Shape, most: int) -> np.ndarray:
    """One real number everywhere: the rounding errors of a sum all point the same way."""
    return np.full(shape, rng.uniform(0.5, 1.5))


def near_ties(rng: np.random.Generator, shape: Shape, most: int) -> np.ndarray:
    """Numbers that differ in the last bit of a float32, so that a comparison in less precision ties."""
    return 1.0 + rng.integers(0, 8, shape) * 2.0**-23


def planted(*values: float) -> Fill:
    """Small odd integers with some of the values among them, at about one place in eight and at least at one."""

    def fill(rng: np.random.Generator, shape: Shape, most: int) -> np.ndarray:
        found = odd(rng, shape, most)
        if found.size:
            places = rng.random(shape) < 0.125
            places.flat[rng.integers(found.size)] = True
            found[places] = rng.choice(values, int(places.sum()))
        return found

    return fill


def lone(rng: np.random.Generator, shape: Shape, most: int) -> np.ndarray:
    """Small odd integers, and a NaN or an infinity at one place: at an end, where tiles end, or any."""
    found = odd(rng, shape, most)
    if found.size:
        place = [int(rng.integers(extent)) for extent in shape]
        for axis, extent in enumerate(shape[2:], start=2):
            if rng.random() < 0.6:
                place[axis] = int(rng.choice((0, extent - 1, extent - 1)))
        found[tuple(place)] = rng.choice((math.nan, math.inf, -math.inf))
    return found


def signed_zeros(rng: np.random.Generator, shape: Shape, most: int) -> np.ndarray:
    """Zeros of both signs, and some -1."""
    return rng.choice([0.0, -0.0, -1.0], shape, p=[0.4, 0.4, 0.2])


def extremes(rng: np.random.Generator, shape: Shape, most: int) -> np.ndarray:
    """The largest finite numbers of both signs and what lies beyond them, ones and zeros."""
    values = rng.choice([-float(most), float(most), -math.inf, 1.0, 0.0], shape, p=[0.6, 0.1, 0.1, 0.1, 0.1])
    return np.where(rng.random((*shape[:2], 1, 1)) < 0.5, -float(most), values)  # whole planes of the lowest number


RECIPES = {
    "narrow": Recipe(odd, "exact"),
    "wide": Recipe(odd, "exact"),
    "scaled": Recipe(odd, "exact"),
    "blank": Recipe(blank, "exact"),
    "negative": Recipe(negative, "exact"),
    "ties": Recipe(few, "exact"),
    "distinct": Recipe(distinct, "exact"),
    "ramp": Recipe(ramp, "exact"),
    "one_hot": Recipe(one_hot, "exact"),
    "basis": Recipe(basis, "exact"),
    "orders": Recipe(orders, "exact"),
    "same": Recipe(same, "exact"),
    "gauss": Recipe(gauss, "bounded", signs=True),
    "positive": Recipe(positive, "bounded", positive=True),
    "spread": Recipe(spread, "bounded", signs=True),
    "cancelling": Recipe(cancelling, "bounded"),
    "huge": Recipe(huge, "bounded"),
    "constant": Recipe(constant, "bounded"),
    "near_ties": Recipe(near_ties, "bounded"),
    "zeros": Recipe(signed_zeros, "special"),
    "nan": Recipe(planted(math.nan, -math.nan), "special"),
    "inf": Recipe(planted(math.inf, -math.inf), "special"),
    "non_finite": Recipe(planted(math.nan, -math.nan, math.inf, -math.inf), "special"),
    "lone": Recipe(lone, "special"),
    "extremes": Recipe(extremes, "special"),
    "minus_inf": Recipe(planted(*[-math.inf] * 7, math.nan), "special"),
}
NARROW = 7  # the largest magnitude of narrow and special data


def recipe(case: Case) -> Recipe:
    """The case's recipe. Raises ValueError naming those there are, and for extremes where something is summed."""
    name = case.recipe.split(":")[0]
    if name == "extremes" and case.operation != "max_pool2d":
        raise ValueError(f"extremes overflow in {case.operation}: they are for max_pool2d alone")
    if name not in RECIPES:
        raise ValueError(f"{name!r} is no recipe; there are {', '.join(RECIPES)}")
    return RECIPES[name]


def check_numbers(case: Case) -> None:
    """Refuse, by ValueError, a recipe without the numbers that it needs, or with others."""
    name, *numbers = case.recipe.split(":")
    if recipe(case).kind != "exact":
        if numbers:
            raise ValueError(f"{case.recipe}: {name} takes no numbers")
        return
    most = exact_bits(case.operation, case.geometry, FORMATS[case.dtype], Arithmetic(accumulator="float64"))
    if not numbers or not 1 <= int(numbers[0]) <= most:
        raise ValueError(
            f"{case.recipe}: {name} needs a budget in bits, in {case.dtype} from {name}:1 to {name}:{most}"
        )
    if len(numbers) > (4 if name == "scaled" else 1):
        raise ValueError(f"{case.recipe}: the budget alone is accepted, and of scaled the exponents of x, w and dy")


def arrays(case: Case, stream: int = 0) -> dict[str, np.ndarray]:
    """The inputs of a case by name, in the order of the call: x, w, b or x, w, dy; x; dy; or x, dy.

    x (N, C, H, W), w (K, C/G, FH, FW), b (K,), dy (N, K, OH, OW). Another stream gives other data of the same kind.
    """
    kind, g = recipe(case), case.geometry
    rng = case.rng(stream)
    numbers = [int(number) for number in case.recipe.split(":")[1:]]
    most = magnitudes(case, rng, numbers[0] if numbers else 0)
    powers = exponents(case)
    shapes = {"x": g.x_shape, "w": g.w_shape, "b": (g.K,), "dy": g.y_shape}
    form = FORMATS[case.dtype]
    found = {}
    finite = few if rng.random() < 0.5 else odd  # zero weights too: 0 * inf is NaN
    for name in NAMES[case.operation]:
        fill = kind.fill if kind.kind != "special" or name in SPOILED else finite
        values = fill(rng, shapes[name], most[name])
        if kind.kind == "special" and case.operation == "l2_pool2d_backward" and name == "x":
            values[rng.random(values.shape[:2]) < 0.4] = 0.0  # norms of 0, whose gradient is 0 whatever dy is
        if name == SPARSE.get(case.operation) and numbers:
            values = thinned(values, rng, case.geometry, case.operation, 2 ** numbers[0])
        found[name] = form.rounded(np.ldexp(values, powers[name]))
    return found


def thinned(values: np.ndarray, rng: np.random.Generator, g: Geometry, operation: str, most: int) -> np.ndarray:
    """Zeros for all but `most` elements where even ones would exceed the budget of so many terms."""
    if too_many(g, operation, most):
        values.flat[rng.permutation(values.size)[most:]] = 0.0
    return values


def too_many(g: Geometry, operation: str, most: int) -> bool:
    """Whether a convolution, or its gradients, sum more terms than a budget of `most` allows ones."""
    if operation not in SPARSE:
        return False
    terms = g.terms if operation == "conv2d" else max(g.window * max(1, g.K // g.G), g.N * math.prod(g.y_shape[2:]))
    return terms > most


def exponents(case: Case) -> dict[str, int]:
    """The power of two that each input is scaled by; a bias is scaled as the products it is added to."""
    numbers = [int(number) for number in case.recipe.split(":")[2:]]
    powers = dict(zip(("x", "w", "dy"), [*numbers, 0, 0, 0], strict=False))
    return powers | {"b": powers["x"] + powers["w"]}


NAMES = {
    "conv2d": ("x", "w", "b"),
    "conv2d_backward": ("x", "w", "dy"),
    "max_pool2d": ("x",),
    "max_pool2d_backward": ("x", "dy"),  # x only to find the switches
    "avg_pool2d": ("x",),
    "avg_pool2d_backward": ("dy",),
    "l2_pool2d": ("x",),
    "l2_pool2d_backward": ("x", "dy"),
}
SPARSE = {"conv2d": "x", "conv2d_backward": "dy"}  # which operand gets zeros where there are too many terms
SPOILED = ("x", "dy")  # non-finite weights are left open by the contract


def owed_filters(dy: np.ndarray, g: Geometry) -> np.ndarray | None:
    """Tell whose gradients the contract speaks of, (K,): over zero padding a non-finite dy is left open; None: all."""
    padded = any(axis.pad_before + axis.pad_after for axis in (g.vertical, g.horizontal))
    finite = np.asarray(np.isfinite(dy).all((0, 2, 3)))
    return None if not padded or finite.all() else finite


def magnitudes(case: Case, rng: np.random.Generator, bits: int) -> dict[str, int]:
    """The largest magnitude of each input such that all sums of the case stay within 2**bits; at least 1."""
    name = case.recipe.split(":")[0]
    if not bits:
        most = NARROW
        if name == "huge":
            most = 100 if case.dtype == "float16" else 1000
        if name == "extremes":
            most = int(FORMATS[case.dtype].largest)
        return dict.fromkeys(("x", "w", "b", "dy"), most)
    budget, g = 2**bits, case.geometry
    cap = NARROW if name == "narrow" else 2 ** FORMATS[case.dtype].digits
    if case.operation in CONVOLUTIONS:
        found = _split(g, rng, budget, backward=case.operation != "conv2d")
    else:
        found = {"x": budget // g.window, "w": 1, "b": 1, "dy": budget // g.overlap}
        if case.operation == "max_pool2d":
            found["x"] = budget
        if case.operation.startswith("l2"):  # the sum of squares stays below a quarter of the largest number
            largest = int(min(FORMATS[case.dtype].largest, 2.0**100) / 4)
            found["x"] = min(budget, math.isqrt(largest // g.window))
    return {key: max(1, min(cap, value)) for key, value in found.items()}


def _split(g: Geometry, rng: np.random.Generator, budget: int, *, backward: bool) -> dict[str, int]:
    """The budget of a convolution, split at random between the operands; often all of it goes to one."""
    share = (0.0, 0.5, 1.0, rng.random())[rng.integers(4)]
    bias = budget // 4
    if not backward:
        product = max(1, (budget - bias) // g.terms)
        x = max(1, int(product**share))
        return {"x": x, "w": product // x, "b": bias, "dy": 1}
    outputs = max(1, g.N * g.vertical.out * g.horizontal.out)
    dy = max(1, int((budget // max(outputs, g.window * max(1, g.K // g.G))) ** share))
    return {"x": budget // (outputs * dy), "w": budget // (g.window * max(1, g.K // g.G) * dy), "b": 1, "dy": dy}
