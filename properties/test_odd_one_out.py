"""Layers that are common but for one parameter of one axis: a fast path may be taken that does not look at it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache, lru_cache
from typing import NamedTuple

from hypothesis import strategies as st

from oracles import sampled
from oracles import truth as truths
from oracles.case import BACKWARD, CONVOLUTIONS, FORWARD, Case
from oracles.geometry import Axis, Geometry
from oracles.verdict import Verdict
from properties.examiner import Examiner, Raised, under_test
from properties.laws import law
from properties.neighbours import owed
from properties.recipes import spelled

STAYS = "one by one: a parameter that a fast path forgets is the only odd one in few of the cases that are drawn"

WINDOWS = ((3, 1), (1, 1), (3, 2), (2, 2), (5, 1), (7, 2), (1, 2), (2, 1), (4, 2))  # extent and stride
OUTPUTS = 7  # of a common axis
DENSE = (8, 8, 1)  # channels, filters, groups
CHANNELS = ((4, 4, 1), (3, 16, 1), (4, 8, 2), (4, 4, 4), (16, 16, 1), (6, 12, 6), (2, 1, 1))  # and others, in turn
PLACES = 200  # of each output, that are looked at where it is wrong
AT_ONCE = 12  # cases of one drawn one


class Member(NamedTuple):
    """A geometry, and what is odd of which axis."""

    vertical: Axis
    horizontal: Axis
    channels: tuple[int, int, int]


@cache
def every(pools: bool) -> tuple[Member, ...]:
    """All of them: each common layer, with and without padding, and all that differ from it by one."""
    found: list[Member] = []
    for extent, stride in WINDOWS:
        for padding in sorted({0, (extent - 1) // 2}):
            common = Axis((OUTPUTS - 1) * stride + extent - 2 * padding, extent, stride, 1, padding, padding)
            for odd in (common, *changed(common, pools)):
                pairs = [(odd, common), (common, odd)] if odd != common else [(common, common)]
                for pair in pairs:
                    found.append(Member(*pair, DENSE))
                    if not pools and extent < 4:
                        found.append(Member(*pair, CHANNELS[len(found) % len(CHANNELS)]))
    return tuple(found)


def changed(axis: Axis, pools: bool) -> Iterator[Axis]:
    """Change one parameter of an axis."""
    yield replace(axis, size=axis.size + axis.stride)
    if axis.stride > 1:
        yield replace(axis, size=axis.size + axis.stride - 1)  # a ragged remainder
    for extent in {axis.extent - 1, axis.extent + 1} - {0}:
        if not pools or axis.pad_before < extent:
            yield replace(axis, extent=extent)
    for stride in {axis.stride - 1, axis.stride + 1} - {0}:
        yield replace(axis, stride=stride)
    for padding in {0, axis.pad_before + 1} - {axis.pad_before}:
        if not pools or padding < axis.extent:
            yield replace(axis, pad_before=padding, pad_after=padding)
    if axis.extent > 1 and not pools:
        yield replace(axis, dilation=2, size=axis.size + axis.extent - 1)


def blocks() -> st.SearchStrategy[Case]:
    """Every block of members as one drawn case: Hypothesis ends when it has met them all."""
    numbers = st.just(None).flatmap(lambda _: st.sampled_from(range(_count(under_test()))))
    return numbers.map(lambda number: replace(next(members(under_test(), number)), details=(("odd", str(number)),)))


@lru_cache(maxsize=8)
def within(subject: Examiner) -> tuple[Member, ...]:
    """The members that what is under test offers; all of them where it offers none."""
    found = every(subject.operation not in CONVOLUTIONS)
    return tuple(member for member in found if not subject.declined(made(subject, member))) or found


def _count(subject: Examiner) -> int:
    return -(-len(within(subject)) // AT_ONCE)


def made(subject: Examiner, member: Member, seed: int = 0) -> Case:
    """Make the case of a member."""
    operation, dtype = subject.operation, subject.formats[0]
    C, K, G = member.channels if operation in CONVOLUTIONS else (member.channels[0], 0, 1)
    geometry = Geometry(2, C, member.vertical, member.horizontal, K, G)
    recipe = spelled("wide", operation, dtype, geometry, subject.arithmetic, seed)
    return Case(operation, dtype, geometry, recipe, seed, details=(("odd", "one"),))


def members(subject: Examiner, number: int) -> Iterator[Case]:
    """Give the cases of a block."""
    for seed, member in enumerate(within(subject)[number * AT_ONCE : (number + 1) * AT_ONCE]):
        yield made(subject, member, seed)


@law("values", FORWARD, blocks(), details=("odd",))
def test_layers_that_are_common_but_for_one_parameter_are_right(subject: Examiner, case: Case) -> None:
    """Of layers that differ from common ones in one parameter of one axis, all outputs are the definition's."""
    all_of(subject, case)


@law("gradients", BACKWARD, blocks(), details=("odd",))
def test_gradients_of_layers_that_are_common_but_for_one_parameter(subject: Examiner, case: Case) -> None:
    """Of layers that differ from common ones in one parameter of one axis, all gradients are the definition's."""
    all_of(subject, case)


def all_of(subject: Examiner, case: Case) -> None:
    """Examine all members of a block, or the one that the case names."""
    number = case.detail("odd", ("one", *map(str, range(_count(subject)))))
    for one in [case] if number == "one" else members(subject, int(number)):
        if not owed(subject, one):
            continue
        verdict = examined(subject, one)
        if not verdict.agrees:
            subject.hold(case, verdict)
        verdict = subject.hold(one, verdict)
        assert verdict.agrees, verdict.message


def examined(subject: Examiner, one: Case) -> Verdict:
    """Judge a call by checksums, without counting it; where they differ, look for a place."""
    plain = replace(one, details=())
    try:
        subject.expect_exact(plain)
        result = subject.run(plain)
    except Raised:
        assert subject.failure is not None
        return subject.failure[1]
    found = Verdict()
    for count in (0, PLACES):
        looked = sampled.verdict(plain, truths.inputs(plain), result, count=count, arithmetic=subject.arithmetic)
        found = found if looked.agrees else looked
        if found.agrees:
            break
    return found
