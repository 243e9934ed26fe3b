"""Each property of values, shapes, gradients, switches, special values and refusals is seen to fail, alone."""

from __future__ import annotations

import itertools
import math

import pytest

from impls import im2col
from properties import test_gradients, test_refusals, test_shape, test_specials, test_switches, test_values
from properties.selfcheck import planted_conv, planted_edges, planted_gradients, planted_pool  # noqa: F401 - they plant
from properties.selfcheck.planting import FAULTS, Fault, Property
from properties.selfcheck.running import examine, variant

MODULES = (test_values, test_shape, test_gradients, test_switches, test_specials, test_refusals)
LAWS = [law for module in MODULES for law in vars(module).values() if hasattr(law, "law")]
SPOKEN = [(law, operation) for law in LAWS for operation in law.law.operations]
CAUGHT = [(fault, law) for fault in FAULTS for law in fault.laws]
ONE = {"dtypes": ("float32",), "options": ()}


@pytest.mark.parametrize(("fault", "law"), CAUGHT, ids=[f"{f.name}-{f.operation}-{p.__name__[5:]}" for f, p in CAUGHT])
def test_a_planted_fault_is_caught(fault: Fault, law: Property) -> None:
    found = examine(law, fault.namespace, fault.operation, examples=1000)  # most are found among the first ten
    assert found is not None, f"{law.law.title!r} misses it"  # type: ignore[attr-defined]


@pytest.mark.parametrize(("law", "operation"), SPOKEN, ids=[f"{law.__name__[5:]}-{o}" for law, o in SPOKEN])
def test_a_sound_implementation_passes(law: Property, operation: str) -> None:
    assert examine(law, im2col, operation, examples=30) is None


def test_every_property_has_been_seen_to_fail_on_every_operation_that_it_speaks_of() -> None:
    seen = {(law, fault.operation) for fault, law in CAUGHT}
    assert [(law.__name__, operation) for law, operation in SPOKEN if (law, operation) not in seen] == []


def test_no_fault_is_planted_twice_under_one_name() -> None:
    names = sorted((fault.name, fault.operation) for fault in FAULTS)
    assert [one for one, other in itertools.pairwise(names) if one == other] == []


# What is left of a case when it has been shrunk: cells of image and window, and strides, of the two axes in any order.
SMALLEST = [
    ("filter_flipped", "conv2d", planted_conv.EXACTLY, {"size": [1, 2], "extent": [1, 2], "stride": [1, 1]}),
    ("strides_swapped", "conv2d", planted_conv.EXACTLY, {"size": [1, 2], "extent": [1, 1], "stride": [1, 2]}),
    ("last_maximum_wins", "max_pool2d", planted_conv.EXACTLY, {"size": [1, 2], "extent": [1, 2], "stride": [1, 1]}),
    (
        "gradient_lost_in_overlaps",
        "max_pool2d_backward",
        planted_gradients.EXACTLY,
        {"size": [1, 3], "extent": [1, 2], "stride": [1, 1]},
    ),
]


@pytest.mark.parametrize(("name", "operation", "law", "least"), SMALLEST, ids=[case[0] for case in SMALLEST])
def test_a_failure_shrinks_to_the_smallest_geometry(name, operation, law, least) -> None:
    """In each of three runs a case of few cells is left, and in one of them the smallest there is."""
    fault = next(fault for fault in FAULTS if (fault.name, fault.operation) == (name, operation))
    usual = variant(fault.namespace, dtypes=("float32",), options=())
    left = []
    for seed in range(3):
        found = examine(law, usual, operation, examples=300, seed=seed, shrink=True)
        assert found is not None
        g = found[0].geometry
        axes = (g.vertical, g.horizontal)
        assert math.prod(g.x_shape) <= 18, found[0]
        assert {axis.dilation for axis in axes} == {1}, found[0]
        assert {axis.pad_before for axis in axes} == {0}, found[0]
        left.append({key: sorted(getattr(axis, key) for axis in axes) for key in least})
    assert least in left
