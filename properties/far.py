"""A strategy for numbers that an index does not hold: sizes beyond 16 bits, planes beyond 24, windows beyond 8."""

from __future__ import annotations

from hypothesis import strategies as st

from oracles.case import CONVOLUTIONS, Case
from oracles.geometry import Axis, Geometry
from properties.examiner import Examiner, under_test
from properties.recipes import spelled

MANY = 2**16 + 3  # more than any index of 16 bits, signed or not
ONE, PAIR = Axis(1, 1, 1, 1, 0, 0), Axis(2, 2, 1, 1, 0, 0)
LINE = Axis(MANY, 2, 1, 1, 1, 1)
# 4,099 * 4,099 is beyond 2**24, from where on float32 has no odd numbers; large strides keep the outputs few
BYTES = 129, 257  # more than 7 bits hold, or 8
UNEVEN = 41, 49, 103  # n times the rounded reciprocal of n is below 1, in float32 or float64
PLANE = Axis(4099, 2, 128, 1, 0, 0), Axis(4099, 3, 127, 1, 0, 0)


def far_cases() -> st.SearchStrategy[Case]:
    """Every such case of the operation under test: Hypothesis ends when it has met them all."""
    return st.just(None).flatmap(lambda _: st.sampled_from(_cases(under_test())))


def _cases(examiner: Examiner) -> list[Case]:
    operation, dtype = examiner.operation, examiner.formats[0]
    places = _convolutions(examiner) if operation in CONVOLUTIONS else _pools()
    found = []
    for seed, geometry in enumerate(places):
        recipe = spelled("wide", operation, dtype, geometry, examiner.arithmetic, seed)
        found.append(Case(operation, dtype, geometry, recipe, seed, bias=operation == "conv2d"))
    return found


def _bytes(pools: bool) -> list[tuple[Axis, Axis]]:
    """Axes whose parameters a byte does not hold, or whose stride has no exact reciprocal, either way."""
    axes = (
        [Axis(2 * n + 3, 2, n) for n in BYTES]
        + [Axis(2 * n + 1, 1, n) for n in UNEVEN]
        + [Axis(n + 3, n, 1) for n in BYTES]
    )
    if not pools:
        axes += [Axis(n + 4, 2, 1, n) for n in BYTES] + [Axis(3, 2, 1, 1, n, n) for n in BYTES]
    return [pair for axis in axes for pair in ((axis, ONE), (ONE, axis))]


def _pools() -> list[Geometry]:
    lines = [Geometry(1, 1, *pair, 0, 1) for pair in ((LINE, ONE), (ONE, LINE), *_bytes(pools=True))]
    return [*lines, Geometry(MANY, 1, ONE, PAIR, 0, 1), Geometry(1, MANY, PAIR, ONE, 0, 1)]


def _convolutions(examiner: Examiner) -> list[Geometry]:
    """Rows, columns, images, channels, filters, and as many groups; the plane forward alone, as gradients take seconds.

    Nor is it drawn for a transform, whose bound over so many cells takes the oracle twenty.
    """
    lines = [Geometry(1, 1, *pair, 1, 1) for pair in ((LINE, ONE), (ONE, LINE), *_bytes(pools=False))]
    counts = [(MANY, 1, 1, 1), (1, MANY, 1, 1), (1, 1, MANY, 1), (1, MANY, MANY, MANY)]
    found = [*lines, *(Geometry(N, C, ONE, PAIR, K, G) for N, C, K, G in counts)]
    plane = examiner.operation == "conv2d" and not examiner.arithmetic.transforms
    return found + [Geometry(1, 1, *PLANE, 1, 1)] * plane
