"""Data: exact recipes keep their budget, the same line gives the same data, and floats become ints without loss."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from oracles import exact
from oracles.case import Case
from oracles.data import NAMES, RECIPES, arrays, magnitudes, recipe
from oracles.formats import FORMATS
from oracles.rounding import DIRECT, Arithmetic
from oracles.truth import inputs, truth
from properties.recipes import spelled
from properties.selfcheck import drawn

EXACT = sorted(name for name, found in RECIPES.items() if found.kind == "exact" and name != "scaled")
TINY, LARGE = 5e-324, 1.7976931348623157e308

operations = st.sampled_from(sorted(NAMES))
doubles = st.floats(allow_nan=False, allow_infinity=False)


def drawn_case(data: st.DataObject, operation: str, dtype: str, name: str) -> Case:
    g = data.draw(drawn.convolutions() if operation.startswith("conv") else drawn.pools(ceil=True))
    return Case(operation, dtype, g, name, data.draw(drawn.seeds), data.draw(st.booleans()))


def largest(found: dict[str, np.ndarray], name: str) -> int:
    return int(np.abs(found[name]).max(initial=0.0)) if name in found else 0


@settings(max_examples=300)
@given(st.data(), operations, st.sampled_from(sorted(FORMATS)), st.sampled_from(EXACT))
def test_exact_recipes_keep_their_budget(data, operation, dtype, name):
    """n*A*B + |b| <= 2**bits for the forward pass and each gradient, so every order of summation is exact."""
    bits = data.draw(st.integers(8, min(53, max(24, FORMATS[dtype].digits))))
    case = drawn_case(data, operation, dtype, f"{name}:{bits}")
    found, g = arrays(case), case.geometry
    assert all((array == np.rint(array)).all() for array in found.values())
    x, w, b, dy = (largest(found, key) for key in ("x", "w", "b", "dy"))
    outputs = g.N * g.vertical.out * g.horizontal.out
    sums = {
        "conv2d": [g.terms * x * w + b],
        "conv2d_backward": [g.window * max(1, g.K // g.G) * w * dy, outputs * x * dy, outputs * dy],
        "max_pool2d": [x],
        "max_pool2d_backward": [g.overlap * dy],
        "avg_pool2d": [g.window * x],
        "avg_pool2d_backward": [g.overlap * dy],
        "l2_pool2d": [x],
        "l2_pool2d_backward": [x],
    }[operation]
    assert max(sums) <= 2**bits


@given(st.data(), operations, st.sampled_from(["float32", "float64"]))
def test_scaled_data_for_those_that_flush_subnormals_stay_normal(data, operation, dtype):
    """Neither an input nor a result is smaller than the least normal number, but for 0."""
    case = drawn_case(data, operation, dtype, "gauss")
    case = replace(case, recipe=spelled("scaled", operation, dtype, case.geometry, DIRECT, case.seed, normal=True))
    found = [array for name, array in inputs(case).items() if array is not None and name != "switches"]
    found += [each.value for each in truth(case) if each.name != "switches"]
    assert all((np.abs(array[array != 0]) >= np.finfo(dtype).tiny).all() for array in found)


@given(st.data(), st.sampled_from(["conv2d", "conv2d_backward"]), st.sampled_from(sorted(FORMATS)))
def test_scaled_data_for_a_transform_are_numbers_of_their_format(data, operation, dtype):
    """None is infinite, nor is a product of two: float16 ends sooner than the others."""
    case = drawn_case(data, operation, dtype, "gauss")
    transform = Arithmetic(data.draw(st.sampled_from(["fft", "winograd(2,3;0,1,-1)"])))
    case = replace(case, recipe=spelled("scaled", operation, dtype, case.geometry, transform, case.seed))
    largest = {
        name: np.abs(array.astype(np.float64)).max(initial=0.0)
        for name, array in inputs(case).items() if array is not None
    }  # fmt: skip
    assert max(largest.values()) <= FORMATS[dtype].largest
    multiplied = [("x", "w")] if operation == "conv2d" else [("x", "dy"), ("w", "dy")]
    assert max(largest[a] * largest[b] for a, b in multiplied) <= FORMATS[dtype].largest


@given(st.data(), st.sampled_from(["conv2d", "conv2d_backward"]))
def test_the_wide_recipe_uses_its_budget(data, operation):
    """At least an eighth of what the budget allows is used by some sum: small integers see no precision fault."""
    case = drawn_case(data, operation, "float32", "wide:24")
    if case.geometry.N == 0:
        return
    most, g = magnitudes(case, case.rng(), 24), case.geometry
    outputs = g.N * g.vertical.out * g.horizontal.out
    forward = g.terms * most["x"] * most["w"]
    gradients = g.window * max(1, g.K // g.G) * most["w"] * most["dy"], outputs * most["x"] * most["dy"]
    assert max(forward, *gradients) >= 2**21


@settings(max_examples=200)
@given(st.data(), operations, st.sampled_from(sorted(FORMATS)), st.sampled_from(sorted(RECIPES)))
def test_the_same_line_gives_the_same_data(data, operation, dtype, name):
    """A case that went through its text draws the same bits, in the dtype that holds its format."""
    text = f"{name}:20" if RECIPES[name].kind == "exact" else name
    operation = "max_pool2d" if name == "extremes" else operation  # sums of them would overflow
    case = drawn_case(data, operation, dtype, text)
    found, again = inputs(case), inputs(Case.parse(str(case)))
    assert list(found) == list(again)
    for key, array in found.items():
        if array is None:
            continue
        assert array.dtype == (np.int64 if key == "switches" else FORMATS[dtype].array)
        assert array.tobytes() == again[key].tobytes()
        if key != "switches":
            assert np.array_equal(FORMATS[dtype].rounded(array.astype(float)), array, equal_nan=True)


def test_another_seed_or_stream_gives_other_data():
    """Data depend on the seed and on the stream."""
    line = "conv2d float32 n1c3k4g1 i7k3s2p1,1d1 i9k3s1p0,0d1 gauss seed="
    found = [arrays(Case.parse(line + "1")), arrays(Case.parse(line + "2")), arrays(Case.parse(line + "1"), stream=5)]
    for one, other in pairwise(found):
        assert not np.array_equal(one["x"], other["x"])


def test_the_scaled_recipe_is_the_wide_one_times_powers_of_two():
    """Scaling keeps exactness: x, w and b change by powers of two alone."""
    line = "conv2d float32 n1c3k4g1 i7k3s2p1,1d1 i9k3s1p0,0d1 {} seed=3 bias"
    wide, scaled = arrays(Case.parse(line.format("wide:24"))), arrays(Case.parse(line.format("scaled:24:-30:12:0")))
    for key, power in (("x", -30), ("w", 12), ("b", -18)):
        assert np.array_equal(np.ldexp(wide[key], power), scaled[key])


def test_an_unknown_recipe_is_refused_with_those_there_are():
    """ValueError names the word and lists the recipes."""
    case = Case.parse("conv2d float32 n1c3k4g1 i7k3s2p1,1d1 i9k3s1p0,0d1 gaus seed=1")
    with pytest.raises(ValueError, match="'gaus' is no recipe; there are narrow, wide"):
        recipe(case)


@settings(max_examples=300)
@given(st.lists(doubles | st.sampled_from([0.0, -0.0, TINY, -TINY, LARGE, 2.0**-1022, 2.0**53 + 2]), max_size=8))
@example([LARGE, TINY])
@example([])
def test_floats_become_ints_and_come_back(values):
    """integers() is exact from the smallest subnormal to the largest number, and floats() inverts it."""
    array = np.array(values).reshape(1, len(values))
    ints, power = exact.integers(array)
    assert [Fraction(n) * Fraction(2) ** power for n in exact.flattened(ints, 2)] == [Fraction(v) for v in values]
    value, rest = exact.floats(ints, power, array.shape)
    assert np.array_equal(value, array)
    assert not rest.any()


@settings(max_examples=300)
@given(st.lists(st.integers(-(2**200), 2**200), min_size=1, max_size=4), st.integers(-1150, 600))
@example([2**53 + 1], 0)
@example([3], -1075)
def test_ints_become_the_nearest_float_and_what_is_left(numbers, power):
    """The value is the sum rounded once, ties to even; value + rest is it to 106 bits or the last subnormal."""
    value, rest = exact.floats([numbers], power, (1, len(numbers)))
    for number, v, r in zip(numbers, value.ravel(), rest.ravel(), strict=True):
        true = Fraction(number) * Fraction(2) ** power
        assert v == exact.scaled(number, power)
        assert abs(true - Fraction(v)) <= Fraction(math.ulp(v)) / 2
        left = abs(true - Fraction(v) - Fraction(r))
        assert left <= max(abs(true) / 2**105, Fraction(TINY) / 2)


@given(st.lists(st.integers(-9, 9), max_size=24), st.sampled_from([(2, 3, 4), (4, 6), (24,), (1, 1, 24), (0, 3, 2)]))
def test_nested_lists_are_flattened_and_nested_again(numbers, shape):
    """nested() inverts flattened() for every shape."""
    size = math.prod(shape)
    flat = (numbers + [0] * size)[:size]
    lists = exact.nested(flat, shape)
    assert np.array(lists).reshape(shape).tolist() == lists
    assert exact.flattened(lists, len(shape)) == flat


@pytest.mark.parametrize("name", sorted(FORMATS))
@given(doubles)
def test_rounding_into_a_format_is_to_the_nearest_even(name, value):
    """Checked against exact fractions: no number of the format is nearer."""
    form = FORMATS[name]
    if name == "bfloat16":
        value = float(np.float32(np.clip(value, -3e38, 3e38)))  # what it rounds has at most 24 bits
    got = float(form.rounded(np.array([value]))[0])
    spacing = 2.0 ** max(math.frexp(value)[1] - form.digits, form.least) if value else form.h
    steps = Fraction(value) / Fraction(spacing)
    want = Fraction(round(steps)) * Fraction(spacing)  # round() goes to the even neighbour
    if abs(want) > Fraction(form.largest):
        assert math.isinf(got)
    else:
        assert Fraction(got) == want


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_formats_know_their_constants(name):
    """u, h and the largest number are NumPy's, and bfloat16's those of a float32 without its last 16 bits."""
    form = FORMATS[name]
    if name == "bfloat16":
        assert (form.u, form.h) == (2.0**-8, 2.0**-133)
        assert np.array(form.largest, np.float32).view(np.uint32) == 0x7F7F0000
        return
    info = np.finfo(form.array)
    assert (form.u, form.h, form.largest) == (float(info.eps) / 2, float(info.smallest_subnormal), float(info.max))


@pytest.mark.parametrize("name", EXACT)
def test_a_sum_of_more_terms_than_the_budget_keeps_it(name):
    """4096 products cannot all be 1 within 2**11: some must be 0."""
    case = Case.parse(f"conv2d_backward float16 n1c1k1g1 i64k3s1p1,1d1 i64k3s1p1,1d1 {name}:11 seed=1")
    found = arrays(case)
    assert np.abs(found["dy"]).sum() * np.abs(found["x"]).max() <= 2**11
