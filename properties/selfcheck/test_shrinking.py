"""What is left of a failing case when it has been shrunk."""

from __future__ import annotations

import math

import pytest

from properties.mutants.laws_by_name import EXACT_GRADIENT, EXACTLY
from properties.mutants.planting import variant
from properties.selfcheck.running import examine, mutant

# Cells of image and window, and strides, of the two axes in any order.
SMALLEST = [
    ("filter_flipped", "conv2d", EXACTLY, {"size": [1, 2], "extent": [1, 2], "stride": [1, 1]}),
    ("strides_swapped", "conv2d", EXACTLY, {"size": [1, 2], "extent": [1, 1], "stride": [1, 2]}),
    ("last_maximum_wins", "max_pool2d", EXACTLY, {"size": [1, 2], "extent": [1, 2], "stride": [1, 1]}),
    (
        "gradient_lost_in_overlaps",
        "max_pool2d_backward",
        EXACT_GRADIENT,
        {"size": [1, 3], "extent": [1, 2], "stride": [1, 1]},
    ),
]


@pytest.mark.parametrize(("name", "operation", "law", "least"), SMALLEST, ids=[case[0] for case in SMALLEST])
def test_a_failure_shrinks_to_the_smallest_geometry(name, operation, law, least) -> None:
    """In each of six runs a case of few cells is left, and in one of them the smallest there is."""
    usual = variant(mutant(name, operation).make(), dtypes=("float32",), options=())
    left = []
    for seed in range(6):
        found = examine(law, usual, operation, examples=300, seed=seed, shrink=True)
        assert found is not None
        g = found[0].geometry
        axes = (g.vertical, g.horizontal)
        assert math.prod(g.x_shape) <= 18, found[0]
        assert {axis.dilation for axis in axes} == {1}, found[0]
        assert {axis.pad_before for axis in axes} == {0}, found[0]
        left.append({key: sorted(getattr(axis, key) for axis in axes) for key in least})
    assert least in left
