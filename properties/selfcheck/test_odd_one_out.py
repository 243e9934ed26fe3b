"""Blocks of layers, of sizes and of strides are those that limits let through; in them nothing is left out."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from impls import im2col
from impls.subject import Subject
from oracles.case import Case
from properties import test_edges as edges
from properties import test_odd_one_out as odd
from properties import test_shape as shape
from properties.examiner import Examiner
from properties.mutants import matrix
from properties.mutants.planting import variant
from properties.selfcheck.running import examine


def examiner(operation: str, **declared: object) -> Examiner:
    return Examiner(Subject("under_test", variant(**declared) if declared else im2col), operation)


@pytest.mark.parametrize("operation", ["conv2d", "max_pool2d"])
def test_all_blocks_together_hold_every_member_once(operation: str) -> None:
    subject = examiner(operation)
    found = [one.geometry for number in range(odd._count(subject)) for one in odd.members(subject, number)]
    wanted = [odd.made(subject, member).geometry for member in odd.every(operation == "max_pool2d")]
    assert found == wanted
    assert len({(str(one.vertical), str(one.horizontal), one.C, one.K, one.G) for one in found}) == len(found)


def test_limits_choose_the_members() -> None:
    subject = examiner("conv2d", limits={"F": [3], "S": [1], "D": [1], "G": [1]})
    members = odd.within(subject)
    assert 10 < len(members) < len(odd.every(pools=False))
    assert {axis.extent for member in members for axis in member[:2]} == {3}
    strict = variant(limits={"F": [3], "S": [1], "D": [1], "G": [1]})
    assert examine(odd.test_layers_that_are_common_but_for_one_parameter_are_right, strict, "conv2d") is None


def test_limits_choose_the_strides() -> None:
    subject = examiner("out_size", limits={"S": [1, 2, 49]})
    assert [one.geometry.vertical.stride for one in shape._steps(subject)] == [1, 2, 49]
    assert len(shape._steps(examiner("out_size"))) == shape.STRIDES


@pytest.mark.parametrize(("operation", "names"), [("conv2d", 6), ("avg_pool2d", 5)])
def test_all_numbered_cases_together_meet_every_size(operation: str, names: int) -> None:
    subject = examiner(operation)
    case = Case.parse(f"{operation} float32 n1c1{'k1g1' * (names == 6)} i1k1s1p0,0d1 i1k1s1p0,0d1 narrow:24 seed=0")
    numbered = [replace(case, seed=number, details=(("along", "any"),)) for number in range(edges.NUMBER)]
    found = Counter(size for one in numbered for size in edges.chosen(subject, one))
    assert len(found) == names * len(edges.SIZES)
    assert min(found.values()) >= edges.TIMES


def test_numbered_cases_are_the_same_in_each_run() -> None:
    drawn = [
        [str(case) for case in matrix.drawn(edges.test_outputs_are_right_at_every_size, "conv2d", 200, seed)]
        for seed in (0, 1)
    ]
    assert sorted(drawn[0]) == sorted(drawn[1])
    assert len({*drawn[0]}) == edges.NUMBER
    assert all(" bias" in line for line in drawn[0])
