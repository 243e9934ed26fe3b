"""How likely random integers are to miss a wrong linear or bilinear map: Schwartz and Zippel's bound."""

from __future__ import annotations

import math
from functools import lru_cache

from oracles.case import Case
from oracles.data import RECIPES, magnitudes, odd, too_many

# the pairs of operands whose product each operation sums; an operand alone where it is linear in that one
FACTORS: dict[str, tuple[tuple[str, ...], ...]] = {
    "conv2d": (("x", "w"),),
    "conv2d_backward": (("w", "dy"), ("x", "dy")),
    "avg_pool2d": (("x",),),
    "avg_pool2d_backward": (("dy",),),
}


@lru_cache(maxsize=4096)
def of_missing(case: Case) -> float | None:
    """At most so likely does a wrong map agree on the case's integers: 1/S_x + 1/S_w, S as many as each is drawn from.

    Two different bilinear maps differ by a polynomial of degree 1 in the elements of x, and in those of w. It is zero
    for at most 1/S_x + 1/S_w of all draws, if each element is drawn from S values independently (Schwartz 1980, Zippel
    1979). None where the integers are not drawn so, where the operation is not linear, or where nothing is put in.
    """
    name, *numbers = case.recipe.split(":")
    if case.operation not in FACTORS or RECIPES[name].fill is not odd or not math.prod(case.geometry.y_shape):
        return None
    if too_many(case.geometry, case.operation, 2 ** int(numbers[0])):  # most elements are zero
        return None
    most = magnitudes(case, case.rng(0), int(numbers[0]))
    values = {operand: 2 * ((most[operand] + 1) // 2) for operand in most}
    return min(1.0, max(sum(1 / values[operand] for operand in factors) for factors in FACTORS[case.operation]))
