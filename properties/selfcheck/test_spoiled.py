"""The pattern of what is not finite is the definition's, and shows each element that breaks it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oracles import sampled, spoiled
from oracles.case import Case
from oracles.data import owed_filters
from oracles.truth import inputs, truth
from properties.selfcheck.test_sampled import cases, correct

SPECIAL = ("nan", "inf", "non_finite", "lone")
KNOWN = {operation for operation, _ in spoiled._RULES}


@settings(max_examples=300)
@given(cases(recipes=SPECIAL))
def test_the_pattern_is_the_definitions(case):
    """Every element that the definition has as NaN or infinite, and no other."""
    for expected in truth(case):
        lost = spoiled.pattern(case, inputs(case), expected.name)
        if lost is None:
            continue
        assert np.array_equal(lost, ~np.isfinite(expected.value))


def test_all_that_are_sums_are_known():
    """Only what is a maximum, or divides by a norm, is left to samples."""
    assert sorted(KNOWN) == ["avg_pool2d", "avg_pool2d_backward", "conv2d", "conv2d_backward", "l2_pool2d"]


@settings(max_examples=100)
@given(cases(recipes=SPECIAL, dtypes=("float32",)), st.data())
def test_no_single_element_hides(case: Case, data: Any) -> None:
    """One that is finite where it must not be, or the other way round, is found and named."""
    if case.operation not in KNOWN:
        return
    for expected in truth(case):
        output, given = correct(expected).copy(), inputs(case)
        finite = all(np.isfinite(array).all() for array in given.values() if array is not None)
        if not output.size or finite or spoiled.pattern(case, given, expected.name) is None:
            continue
        owed = owed_filters(given["dy"], case.geometry) if expected.name == "dw" else None
        place = data.draw(st.integers(0, output.size - 1))
        if owed is not None and not owed[np.unravel_index(place, output.shape)[0]]:
            continue
        output.flat[place] = np.nan if np.isfinite(output.flat[place]) else 1.0
        found = sampled.whole(case, given, expected.name, output)
        assert not found.agrees
        assert f"{expected.name}[" in found.message


@pytest.mark.parametrize("operation", ["conv2d", "conv2d_backward"])
def test_what_a_product_makes_of_zeros_beside_a_nan_is_found(operation):
    """One cell in 100,000 that a strip of zeros times NaN has spoilt, far from any sample, is found."""
    case = Case.parse(f"{operation} float32 n1c64k64g64 i40k3s1p0,0d1 i40k3s1p0,0d1 lone seed=6")
    results = [correct(expected).copy() for expected in truth(case)]
    plain = int(np.isfinite(results[0]).ravel().nonzero()[0][777])
    assert not np.isfinite(results[0]).all()
    results[0].flat[plain] = np.nan
    found = sampled.verdict(case, inputs(case), results[0] if len(results) == 1 else tuple(results), count=8)
    assert "1 of " in found.message
    assert "that no NaN and no infinity reaches is not finite" in found.message


def test_over_padding_a_gradient_that_is_not_finite_is_left_open():
    """Of a filter whose dy holds a NaN, the gradient beside padding may be NaN throughout; of the others it may not."""
    case = Case.parse("conv2d_backward float32 n1c2k4g1 i7k3s1p1,1d1 i9k3s1p1,1d1 lone seed=1")
    dx, dw, db = (correct(expected).copy() for expected in truth(case))
    (hit,) = np.flatnonzero(~np.isfinite(inputs(case)["dy"]).all((0, 2, 3)))
    dw[hit] = np.nan
    assert sampled.verdict(case, inputs(case), (dx, dw, db)).agrees
    dw[(hit + 1) % 4, 0, 0, 0] = np.nan
    assert not sampled.verdict(case, inputs(case), (dx, dw, db)).agrees
