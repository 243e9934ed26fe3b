"""Which recipes say something about an operation in a format, and the numbers that go with them."""

from __future__ import annotations

import math
import random

from oracles.case import CONVOLUTIONS
from oracles.checksum import terms
from oracles.data import NARROW, RECIPES
from oracles.formats import FORMATS, Format
from oracles.geometry import Geometry
from oracles.rounding import Arithmetic, exact_bits

EXACT = ("narrow", "wide", "wide", "scaled", "blank")
BOUNDED = ("gauss", "spread", "positive", "cancelling", "huge", "constant")
ORDERED = ("distinct", "ties", "narrow", "negative", "zeros", "near_ties", "wide", "scaled")  # what comparisons need
SPECIAL = ("nan", "inf", "non_finite", "lone")
SELDOM = ("lone", "lone", "lone", "non_finite")  # of large layers, in which else hardly any output is finite

PLAIN = frozenset({*BOUNDED, *SPECIAL, "zeros", "near_ties", "minus_inf", "extremes"})  # spelled without numbers
L2_HALF = frozenset({"narrow", "wide", "blank", "ties", "negative", "distinct", "positive"})


def possible(name: str, operation: str, dtype: str, arithmetic: Arithmetic) -> bool:
    """Whether the contract owes an answer on such data: a transform none for special values, L2 none for tiny ones."""
    if name == "near_ties":
        return FORMATS[dtype].digits >= 24
    if operation in CONVOLUTIONS and arithmetic.transforms:
        return RECIPES[name].kind != "special"
    if operation.startswith("l2") and dtype == "float16":
        # the squares of the others leave the normal numbers
        return name in L2_HALF or RECIPES[name].kind == "special"
    return True


def _longest(operation: str, geometry: Geometry) -> int:
    """Count the terms of the longest sum of an operation, and a bias."""
    if operation == "max_pool2d":
        return 1
    outputs = {"conv2d": ("y",), "conv2d_backward": ("dx", "dw", "db")}.get(operation)
    return 1 + (max(terms(geometry, name) for name in outputs) if outputs else geometry.window)


def spelled(
    name: str,
    operation: str,
    dtype: str,
    geometry: Geometry,
    arithmetic: Arithmetic,
    seed: int,
    *,
    normal: bool = False,
) -> str:
    """The recipe with its numbers: the budget in bits, and the exponents of x, w and dy where it scales.

    normal: whether what is scaled keeps to the format's normal numbers, its sums too. Where no budget is left, as for a
    transform in so coarse a format that it is exact for no integers, it is gauss.
    """
    if name in SPECIAL and _longest(operation, geometry) * NARROW**2 > 2 ** arithmetic.sums(FORMATS[dtype]).digits:
        name = "narrow"  # a narrow accumulator need not hold the sums of what is finite
    if name in PLAIN:
        return name
    convolution = operation in CONVOLUTIONS
    form = FORMATS[dtype]
    bits = exact_bits(operation, geometry, form, arithmetic)
    if not bits:
        return "gauss"
    if name != "scaled":
        return f"{name}:{bits}"
    rng = random.Random(seed)
    if convolution and arithmetic.transforms:
        # two operands' exponents add; float16 ends sooner than 20 in either direction
        low, high = form.least // 2, (math.frexp(form.largest)[1] - 3 - bits) // 2
        x, w, dy = (rng.randint(max(-20, low), min(20, high)) for _ in range(3))
    elif operation.startswith("l2"):
        x, w, dy = _l2_exponents(form, bits, geometry, rng, normal=normal)
    else:
        x, w, dy = _exponents(form, bits, operation, rng, form.least + (form.digits - 1 if normal else 0))
    return f"{name}:{bits}:{x}:{w}:{dy}"


def _exponents(form: Format, bits: int, operation: str, rng: random.Random, low: int) -> tuple[int, int, int]:
    """All values and sums stay multiples of 2**low and below a quarter of the largest number."""
    high = math.frexp(form.largest)[1] - 3 - bits
    if operation.startswith("avg"):
        low += 8  # room for the division

    def drawn(low: int, high: int) -> int:
        return rng.choice((low, high, rng.randint(low, high)))

    dy = rng.choice((low, 0, rng.randint(low, high)))
    if operation not in CONVOLUTIONS:
        return drawn(low, high), 0, dy
    # products of two operands are outputs: their exponents add, and the sums are to reach both ends
    other = dy if operation == "conv2d_backward" else drawn(low, high)
    first, second = (drawn(max(low, low - other), min(high, high - other)) for _ in range(2))
    return (first, second, dy) if operation == "conv2d_backward" else (first, other, 0)


def _l2_exponents(
    form: Format, bits: int, geometry: Geometry, rng: random.Random, *, normal: bool
) -> tuple[int, int, int]:
    """Squares, their sum and dy/norm stay normal numbers; where normal, dy and the gradients too."""
    least = form.least + form.digits - 1
    top = math.frexp(form.largest)[1] - 2
    x = rng.randint(-(-least // 2), max(-(-least // 2), (top - geometry.window.bit_length()) // 2 - bits))
    low = least + (max(x, 0) if normal else x) + bits + geometry.window.bit_length()
    return x, 0, rng.randint(min(low, 0), 0) if low <= 0 else low
