"""Blocks of layers, and of strides, are those that limits let through; in them nothing is left out."""

from __future__ import annotations

import pytest

from impls import im2col
from impls.subject import Subject
from properties import test_odd_one_out as odd
from properties import test_shape as shape
from properties.examiner import Examiner
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
