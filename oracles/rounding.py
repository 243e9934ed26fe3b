"""How far a correct floating-point result may lie from the exact one.

Every bound is derived from the number of terms n, the unit roundoff u and the sum of magnitudes A; none is measured
or guessed. gamma(k) = ku/(1-ku). Source: N. Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed.,
sections 3.1 (sums and products in any order), 24.1 (FFT); Higham and Mary 2019 for the square-root form.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from oracles.formats import FORMATS, Format
from oracles.geometry import Geometry
from oracles.winograd import Winograd


@dataclass(frozen=True)
class Arithmetic:
    """How an implementation says that it computes: accuracy "direct", "fft", "tf32" or "winograd(4,3;0,1,-1,2,-1/2)".

    `accumulator` is the format of sums of narrow types.
    """

    accuracy: str = "direct"
    accumulator: str = "float32"

    def sums(self, form: Format) -> Format:
        """The format in which sums of this stored format are kept."""
        return FORMATS[self.accumulator] if form.narrow else form

    @property
    def transforms(self) -> bool:
        """Whether convolutions go through a transform, so that even integers come out with rounding errors."""
        return self.accuracy == "fft" or self.winograd is not None

    @property
    def winograd(self) -> Winograd | None:
        """The transform that is declared, if it is Winograd's."""
        return Winograd.parse(self.accuracy) if self.accuracy.startswith("winograd") else None


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
    return 2 * form.u * max(1.0, math.log2(max(2, points))) * norm + 2 * form.u * bias


def points(g: Geometry) -> int:
    """The oracle's own rule for M: the cells of the padded image and a window laid end to end, in both directions."""
    v, h = g.vertical, g.horizontal
    return (v.padded + v.reach - 1) * (h.padded + h.reach - 1)


def stored(value: np.ndarray, inner: np.ndarray, form: Format, accumulator: Format) -> np.ndarray:
    """The bound on a result summed in one format and rounded once into a narrower one."""
    if accumulator.digits <= form.digits:
        return inner
    return form.u * np.abs(value) + (1 + form.u) * inner


def exact_bits(g: Geometry, form: Format, arithmetic: Arithmetic, *, convolution: bool) -> int:
    """The budget, in bits, within which integer data give one value in every order of summation.

    For transforms: within which the proven error stays below 1/2, so that rounding to integers is exact.
    """
    bits = min(arithmetic.sums(form).digits, math.frexp(form.largest / 4)[1] - 1)
    if convolution and arithmetic.accuracy == "tf32":
        return min(bits, 11)  # so that operands survive their rounding to 11 bits
    if not convolution or not arithmetic.transforms:
        return bits
    terms = max(g.terms, g.window * max(1, g.K // g.G), g.N * g.vertical.out * g.horizontal.out, 1)
    winograd, sums_u = arithmetic.winograd, arithmetic.sums(form).u
    if winograd is not None:
        growth = winograd.growth(g, sums_u)
    else:
        n, k, oh, ow = g.y_shape
        cells = max(g.C // g.G * g.vertical.size * g.horizontal.size * max(1, n), max(1, n) * k * oh * ow, 1)
        growth = 2 * sums_u * math.log2(max(2, points(g))) * math.sqrt(cells / terms)
    # one bit less than where the bound reaches 1/2; at least one, with which a verdict is still drawn
    return max(1, min(bits, math.floor(-math.log2(2 * growth)) - 1)) if growth < 0.125 else 1
