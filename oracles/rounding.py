"""How far a correct floating-point result may lie from the exact one.

Every bound is derived from the number of terms n, the unit roundoff u and the sum of magnitudes A; none is measured
or guessed. gamma(k) = ku/(1-ku). Source: N. Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed.,
sections 3.1 (sums and products in any order), 24.1 (FFT); Higham and Mary 2019 for the square-root form.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from oracles.case import CONVOLUTIONS
from oracles.formats import FORMATS, Format
from oracles.geometry import Geometry
from oracles.winograd import Winograd


@dataclass(frozen=True)
class Arithmetic:
    """How an implementation says that it computes: accuracy "direct", "fft", "tf32" or "winograd(4,3;0,1,-1,2,-1/2)".

    One that chooses among transforms names them, "fft or winograd(4,3;0,1,-1,2,-1/2)": each result may be as far off as
    the one that reaches farthest there. `accumulator` is the format of sums of narrow types. `conventions`: which rules
    of the contract it has others for.
    """

    accuracy: str = "direct"
    accumulator: str = "float32"
    conventions: tuple[str, ...] = ()

    def sums(self, form: Format) -> Format:
        """The format in which sums of this stored format are kept."""
        return FORMATS[self.accumulator] if form.narrow else form

    @property
    def nan(self) -> str:
        """What becomes of a NaN in max pooling: it wins, or loses, or counts as the first cell of its window alone."""
        rules = {"max_drops_nan": "loses", "max_keeps_first_nan": "first"}
        return next((rule for name, rule in rules.items() if name in self.conventions), "wins")

    @property
    def transforms(self) -> bool:
        """Whether convolutions go through a transform, so that even integers come out with rounding errors."""
        return self.fft or self.winograd is not None

    @cached_property
    def ways(self) -> list[str]:
        """The ways that are declared, one by one."""
        return self.accuracy.split(" or ")

    @property
    def tf32(self) -> bool:
        """Whether operands may be rounded to TF32."""
        return "tf32" in self.ways

    @property
    def fft(self) -> bool:
        """Whether convolutions may be products of spectra."""
        return "fft" in self.ways

    @cached_property
    def winograd(self) -> Winograd | None:
        """The transform of Winograd's that is declared, if one is."""
        return next((Winograd.parse(way) for way in self.ways if way.startswith("winograd")), None)


DIRECT = Arithmetic()


def gamma(k: float, u: float) -> float:
    """The relative error of k roundings in a row: ku/(1-ku); infinite where it has no meaning."""
    return k * u / (1 - k * u) if k * u < 0.5 else math.inf


def sums(n: int, magnitude: np.ndarray, form: Format, *, signs: bool) -> np.ndarray:
    """A sum of n products and a bias in any order, fused or not: gamma(n+1) A, or 4 sqrt(n+1) u A if smaller.

    The square-root form holds for independent terms with random signs only; `signs` says that the data are so.
    """
    relative = gamma(n + 1, form.u)
    if signs:
        relative = min(relative, 4 * math.sqrt(n + 1) * form.u)
    return relative * magnitude


def tf32(n: int, magnitude: np.ndarray) -> np.ndarray:
    """Operands rounded or truncated to 11 bits (v = 2**-10), float32 sums that may truncate (2**-23)."""
    v = 2.0**-10
    return (2 * v + v * v) * magnitude + gamma(n + 1, 2.0**-23) * (1 + v) ** 2 * magnitude


def fft(points: int, norm: np.ndarray, bias: np.ndarray | float, form: Format) -> np.ndarray:
    """Normwise: 2 u max(1, log2 M) |x| |w| + 2 u |b|, with M points and Euclidean norms."""
    return _growth(points, form) * norm + 2 * form.u * bias


def _growth(points: int, form: Format) -> float:
    return 2 * form.u * max(1.0, math.log2(max(2, points)))


def points(g: Geometry) -> int:
    """The oracle's own rule for M: the cells of the padded image and a window laid end to end, in both directions."""
    v, h = g.vertical, g.horizontal
    return (v.padded + v.reach - 1) * (h.padded + h.reach - 1)


def stored(value: np.ndarray, inner: np.ndarray, form: Format, accumulator: Format) -> np.ndarray:
    """The bound on a result summed in one format and rounded once into a narrower one."""
    if accumulator.digits <= form.digits:
        return inner
    return form.u * np.abs(value) + (1 + form.u) * inner


def exact_bits(operation: str, g: Geometry, form: Format, arithmetic: Arithmetic) -> int:
    """The budget, in bits, within which integer data give one value in every order of summation.

    For transforms: within which the proven error of each output stays below 1/4, so that rounding to integers is
    exact; 0 where it does so for no integers.
    """
    bits = min(arithmetic.sums(form).digits, math.frexp(form.largest / 4)[1] - 1)
    if operation in CONVOLUTIONS and arithmetic.tf32:
        return min(bits, 11)  # so that operands survive their rounding to 11 bits
    if operation not in CONVOLUTIONS or not arithmetic.transforms:
        return bits
    form, errors = arithmetic.sums(form), []
    if arithmetic.winograd is not None:
        errors.append((arithmetic.winograd.growth(g, form.u), [(1, 1)]))
    if arithmetic.fft:
        errors.append((_growth(points(g), form), _sizes(operation, g)))
    for growth, sizes in errors:
        while bits and growth * max(_norms(2.0**bits, *size) for size in sizes) >= 0.25:
            bits -= 1
    return bits


def _sizes(operation: str, g: Geometry) -> list[tuple[int, int]]:
    """For each output the terms of one element, and all elements of the other operand, which a transform mixes in."""
    filters, outputs, cells = g.K // g.G, g.vertical.out * g.horizontal.out, g.vertical.size * g.horizontal.size
    if operation == "conv2d":
        return [(g.terms, g.C // g.G * cells)]
    return [(g.window * filters, outputs * filters), (g.N * outputs, g.N * cells)]  # dx, dw


def _norms(budget: float, terms: int, others: int) -> float:
    """Bound the product of the operands' norms, where n A B <= budget for n terms and magnitudes A and B.

    Where the terms are more than the budget A and B are 1, and no more elements of one operand than it are not 0.
    """
    if terms > budget:
        return math.sqrt(max(terms, others) * budget)
    return budget * max(1.0, math.sqrt(others / max(1, terms)))
