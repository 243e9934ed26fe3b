"""All that is small: every way in which few windows meet few cells, and there every entry of the operator.

A convolution, a pooling that averages and their gradients with regard to images are linear in each operand. Given every
image and every filter with a single one, they return the whole operator: what is right there is right on all data, up
to rounding. For the maximum of a window all that counts is the order of its cells, and a small window has few.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator
from dataclasses import replace
from functools import cache, lru_cache

from hypothesis import strategies as st

from oracles import truth as truths
from oracles.case import BACKWARD, CONVOLUTIONS, POOLING, Case
from oracles.geometry import Axis, Geometry
from oracles.verdict import judge
from properties.examiner import Examiner, Raised, under_test
from properties.laws import law
from properties.neighbours import owed
from properties.recipes import spelled

STAYS = "complete where it speaks: in all that is small nothing can hide"

LEAST = {"size": 1, "extent": 1, "stride": 1, "padding": 0, "dilation": 1}
LARGEST = {"size": 4, "extent": 3, "stride": 3, "padding": 2, "dilation": 2}
PARTNERS = 6  # horizontal axes that each vertical one meets
AT_ONCE = 14  # geometries of one drawn case
WINDOWS = ((1, 1), (1, 2), (2, 1), (1, 3), (3, 1), (2, 2), (1, 4), (4, 1), (1, 5), (5, 1), (2, 3), (3, 2))


@cache
def axes(pools: bool) -> tuple[Axis, ...]:
    """Every axis of at most these numbers, the smallest first; dilation is one where there is one cell to dilate."""
    numbers = itertools.product(*(range(least, LARGEST[name] + 1) for name, least in LEAST.items()))
    fits = [Axis(W, F, S, D, P, P) for W, F, S, P, D in numbers if (F > 1 or D == 1) and D * (F - 1) < W + 2 * P]
    if pools:  # whose windows all hold a cell of the image
        fits = [axis for axis in fits if axis.dilation == 1 and axis.pad_before < axis.extent]
    return tuple(sorted(fits, key=lambda axis: (axis.size + axis.extent + axis.pad_before, axis.stride, axis.dilation)))


@cache
def pairs(pools: bool) -> tuple[tuple[Axis, Axis], ...]:
    """Each axis downwards with a few others across, each of them as often; the smallest pairs first."""
    every, rng = axes(pools), random.Random(0)
    turn = rng.sample(range(len(every)), len(every))
    steps = rng.sample(range(len(every)), PARTNERS)
    across = [[every[turn[(place + step) % len(every)]] for step in steps] for place in range(len(every))]
    found = [(every[turn[place]], other) for place, others in enumerate(across) for other in others]
    return tuple(sorted(found, key=lambda pair: (pair[0].size * pair[1].size, sum(axis.padded for axis in pair))))


@lru_cache(maxsize=8)
def within(subject: Examiner) -> tuple[tuple[Axis, Axis], ...]:
    """The pairs that what is under test offers; all of them where it offers none."""
    every = pairs(subject.operation in POOLING)
    return tuple(pair for pair in every if not subject.declined(whole(subject, *pair))) or every


def blocks() -> st.SearchStrategy[Case]:
    """Every block of the scope as one drawn case: Hypothesis ends when it has met them all."""
    numbers = st.just(None).flatmap(lambda _: st.sampled_from(range(_count(under_test()))))
    return numbers.map(lambda number: scoped(under_test(), number))


def _count(subject: Examiner) -> int:
    return -(-len(within(subject)) // AT_ONCE)


def scoped(subject: Examiner, number: int) -> Case:
    """Make the case that stands for a block: the first of its geometries."""
    first = within(subject)[number * AT_ONCE]
    return replace(whole(subject, *first), details=(("scope", str(number)),))


def whole(subject: Examiner, vertical: Axis, horizontal: Axis) -> Case:
    """Make the case in which as many images and filters have a single one as there are places for it."""
    operation = subject.operation
    K = vertical.extent * horizontal.extent if operation in CONVOLUTIONS else 0
    one = Geometry(1, 1, vertical, horizontal, K)
    images = math.prod(one.y_shape if operation in BACKWARD else one.x_shape)
    recipe = spelled("basis", operation, subject.formats[0], one, subject.arithmetic, 0)
    return Case(operation, subject.formats[0], replace(one, N=images), recipe, 0, details=(("scope", "one"),))


@law("values", ("conv2d", "avg_pool2d"), blocks(), details=("scope",))
def test_the_whole_operator_is_right_in_all_that_is_small(subject: Examiner, case: Case) -> None:
    """In every small geometry each output depends on each cell and weight as the definition says."""
    all_of(subject, case)


@law("gradients", ("conv2d_backward", "avg_pool2d_backward"), blocks(), details=("scope",))
def test_the_whole_gradient_is_right_in_all_that_is_small(subject: Examiner, case: Case) -> None:
    """In every small geometry each gradient depends on each element of dy as the definition says."""
    all_of(subject, case)


@law("values", ("max_pool2d",), st.sampled_from(WINDOWS).map(lambda extents: ordered(under_test(), *extents)))
def test_every_order_in_a_small_window_has_its_maximum(subject: Examiner, case: Case) -> None:
    """Of all orders that the cells of a small window can be in, ties among them, each gives its maximum and switch."""
    verdict = subject.judge(case, subject.run(case))
    assert verdict.agrees, verdict.message


def ordered(subject: Examiner, height: int, width: int) -> Case:
    """Make the case of one window in which image after image has its cells in another order."""
    axes = Axis(height, height, 1), Axis(width, width, 1)
    cells = height * width
    N = sum(1 for ranks in itertools.product(range(cells), repeat=cells) if {*ranks} == {*range(max(ranks) + 1)})
    return Case("max_pool2d", subject.formats[0], Geometry(N, 1, *axes), f"orders:{cells.bit_length()}", 0)


def all_of(subject: Examiner, case: Case) -> None:
    """Examine all geometries of a block, or the one that the case names."""
    for one in members(subject, case):
        if not owed(subject, one):
            continue
        try:
            verdict = judge(truths.truth(replace(one, details=()), subject.arithmetic), subject.run(one))
        except Raised:
            assert subject.failure is not None
            verdict = subject.failure[1]
        if not verdict.agrees:
            subject.hold(case, verdict)
        verdict = subject.hold(one, verdict)
        assert verdict.agrees, verdict.message


def members(subject: Examiner, case: Case) -> Iterator[Case]:
    """Give the cases of a block, or the case itself, which is one of them."""
    number = case.detail("scope", ("one", *map(str, range(_count(subject)))))
    if number == "one":
        yield case
        return
    begin = int(number) * AT_ONCE
    for pair in within(subject)[begin : begin + AT_ONCE]:
        yield whole(subject, *pair)
