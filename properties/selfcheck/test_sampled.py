"""Samples of large layers are the definition itself; checksums agree with what is right and find what is not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from oracles import sampled
from oracles.case import Case
from oracles.data import NAMES, RECIPES
from oracles.formats import FORMATS
from oracles.geometry import Axis, Geometry
from oracles.rounding import DIRECT, Arithmetic, exact_bits
from oracles.truth import Truth, inputs, truth
from properties.selfcheck import drawn

ALEXNET = "n1c3k96g1 i227k11s4p0,0d1 i227k11s4p0,0d1"
VGG = "n1c64k64g1 i56k3s1p1,1d1 i56k3s1p1,1d1"
RATHER = 1 + 2.0**-40  # bounds are compared to within the rounding of the float64 sums that make them

operations = st.sampled_from(sorted(NAMES))
accuracies = st.sampled_from(["direct", "fft", "tf32", "winograd(2,3;0,1,-1)", "winograd(4,3;0,1,-1,2,-1/2)"])


@st.composite
def cases(draw: Any, *, recipes: tuple[str, ...], dtypes: tuple[str, ...] = tuple(FORMATS)) -> Case:
    """Draw a case of any operation; half of the convolutions are 3x3 and dense, for Winograd's sake."""
    operation, dtype = draw(operations), draw(st.sampled_from(dtypes))
    if operation not in ("conv2d", "conv2d_backward"):
        g = draw(drawn.pools(ceil=True))
    elif draw(st.booleans()):
        pads = draw(st.tuples(*[st.sampled_from([0, 1, 2, 3, 8])] * 4))  # 8: tiles wholly in the padding
        axes = (Axis(6, 3, 1, 1, *pads[:2]), Axis(5, 3, 1, 1, *pads[2:]))
        g = Geometry(draw(st.integers(1, 2)), 4, *axes, 4, draw(st.sampled_from([1, 2, 4])))
    else:
        g = draw(drawn.convolutions())
    recipe = draw(st.sampled_from(recipes))
    if RECIPES[recipe].kind == "exact":
        recipe += f":{exact_bits(operation, g, FORMATS[dtype], DIRECT)}"
    include_pad = draw(st.booleans()) or not operation.startswith("avg")
    return Case(
        operation, dtype, g, recipe, draw(drawn.seeds), operation == "conv2d" and draw(st.booleans()), include_pad
    )


def everywhere(shape: tuple[int, ...]) -> np.ndarray:
    return np.array(list(np.ndindex(shape)), np.int64).reshape(-1, len(shape))


def correct(expected: Truth) -> np.ndarray:
    """Round the exact value once into the format, which every bound allows."""
    return expected.value if expected.value.dtype.kind == "i" else expected.form.rounded(expected.value)


def result(case: Case) -> Any:
    found = tuple(correct(expected) for expected in truth(case))
    return found if len(found) > 1 else found[0]


@settings(max_examples=150)
@given(cases(recipes=("gauss", "positive", "huge", "wide")), accuracies)
def test_a_sample_is_the_definition(case, accuracy):
    """At every place value and rest are truth's, and the bound is no wider."""
    arithmetic = Arithmetic(accuracy)
    for expected in truth(case, arithmetic):
        places = everywhere(expected.value.shape)
        found = sampled.at(case, inputs(case), expected.name, places, arithmetic)
        assert found.value.dtype == expected.value.dtype
        if expected.bound is None or found.bound is None:
            assert np.array_equal(found.value, expected.value.ravel())
            continue
        off = (found.value - expected.value.ravel()) + (found.rest - expected.rest.ravel())
        assert (np.abs(off) <= 2.0**-100 * (1 + np.abs(found.value))).all()  # divisions keep 128 bits
        assert (found.bound <= expected.bound.ravel() * RATHER).all()
        assert (found.bound >= np.abs(found.value) * found.form.u * (found.form.digits < 24)).all()


@settings(max_examples=60)
@given(cases(recipes=("nan", "inf", "non_finite", "zeros"), dtypes=("float32", "float64")))
def test_a_sample_of_special_values_is_the_definition(case):
    """NaN and infinities come out where the definition has them."""
    for expected in truth(case):
        found = sampled.at(case, inputs(case), expected.name, everywhere(expected.value.shape))
        near = case.geometry.window * 2.0**-50  # float sums in another order; ints keep 128 bits
        assert np.allclose(found.value, expected.value.ravel(), rtol=near, atol=2.0**-120, equal_nan=True)


@settings(max_examples=150)
@given(cases(recipes=("gauss", "positive", "constant", "huge", "cancelling", "wide", "narrow")), accuracies)
def test_right_results_agree(case, accuracy):
    """The exact values, rounded once, pass the samples and every checksum, however sums are declared."""
    found = sampled.verdict(case, inputs(case), result(case), count=20, arithmetic=Arithmetic(accuracy))
    assert found.agrees, found.message


@settings(max_examples=150)
@given(cases(recipes=("wide",), dtypes=("float32", "float64")), st.data())
def test_no_single_error_hides_from_the_checksum_of_exact_data(case, data):
    """One element that is off by its last digit, or one switch by one, is found; the message says where to look."""
    for expected in truth(case):
        output = correct(expected).copy()
        if expected.bound is not None or not output.size:
            continue  # such as averages over 9 cells, which are bounded even on whole numbers
        place = data.draw(st.integers(0, output.size - 1))
        wrong = output.flat[place] + 1 if output.dtype.kind == "i" else np.nextafter(output.flat[place], np.inf)
        output.flat[place] = wrong
        found = sampled.whole(case, inputs(case), expected.name, output)
        assert not found.agrees
        assert f"{expected.name}[" in found.message


@settings(max_examples=150)
@given(cases(recipes=("gauss", "positive"), dtypes=("float32", "float64")), accuracies, st.data())
def test_no_single_gross_error_hides_from_the_checksum_of_real_data(case, accuracy, data):
    """One element that is off by more than all bounds of its sum together is found."""
    for expected in truth(case, Arithmetic(accuracy)):
        output = correct(expected).copy()
        if not output.size:
            continue
        place = data.draw(st.integers(0, output.size - 1))
        output.flat[place] += 1 + 2 * np.abs(output).sum()
        assert not sampled.whole(case, inputs(case), expected.name, output, DIRECT).agrees


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("data", ["float32 {} gauss", "float32 {} wide:24", "float16 {} gauss"])
def test_a_value_that_is_not_finite_does_not_hide(value, data):
    """NaN and infinities in a result of finite data fail the checksum, and are counted."""
    case = Case.parse(f"conv2d {data.format('n1c2k4g2 i7k3s2p1,1d1 i9k3s1p0,0d1')} seed=1")
    output = result(case)
    output[0, 2, 1, 3] = value
    found = sampled.whole(case, inputs(case), "y", output)
    assert not found.agrees
    assert "y[0, " in found.message
    assert ": 0 of" not in found.message


@pytest.mark.parametrize(
    ("output", "complaint"),
    [(None, "NoneType|None"), (np.zeros((1, 4, 4)), r"shape \(1, 4, 4\)"), (np.zeros((1, 4, 4, 7)), "dtype float64")],
)
def test_the_form_of_a_result_is_judged_first(output, complaint):
    """What is no array, or of another shape or dtype, differs, and nothing is raised."""
    case = Case.parse("conv2d float32 n1c2k4g2 i7k3s2p1,1d1 i9k3s1p0,0d1 gauss seed=1")
    found = sampled.verdict(case, inputs(case), output)
    assert not found.agrees
    assert any(part in found.message for part in complaint.replace("\\", "").split("|"))


def test_a_sampled_error_is_named_by_its_place():
    """The message counts the sampled elements that differ and shows the worst, as the other verdicts do."""
    case = Case.parse("conv2d float32 n1c2k4g2 i7k3s2p1,1d1 i9k3s1p0,0d1 gauss seed=1")
    output = result(case)
    output[0, 0, 0, 0] += 1
    output[0, 3, 3, 6] += 10
    found = sampled.verdict(case, inputs(case), output)
    assert "sampled elements of y differ; the worst is y[0, 3, 3, 6]\n  got " in found.message


@given(st.lists(st.integers(1, 300), min_size=1, max_size=4), st.integers(1, 100), drawn.seeds)
def test_samples_hold_the_corners_and_lie_inside(shape, count, seed):
    """Every corner is there, nothing twice, and nothing outside."""
    places = sampled.sample(tuple(shape), count, np.random.default_rng(seed))
    assert len(np.unique(places, axis=0)) == len(places) <= count + 2 ** len(shape)
    assert (places >= 0).all()
    assert (places < shape).all()
    assert {tuple(corner) for corner in [[0] * len(shape), [extent - 1 for extent in shape]]} <= set(map(tuple, places))


def test_samples_prefer_both_sides_of_likely_tile_edges():
    """Along 224 cells, far more than a quarter of the samples touch a multiple of 8 or the cell before one."""
    places = sampled.sample((1, 1, 224, 224), 400, np.random.default_rng(0))[:, 2:] % 8
    assert np.isin(places, (0, 7)).mean() > 0.4
    assert (places == 0).any()
    assert (places == 7).any()


def test_nothing_is_sampled_of_nothing():
    """An empty batch has no places, and agrees."""
    case = Case.parse("conv2d float32 n0c2k4g2 i7k3s2p1,1d1 i9k3s1p0,0d1 gauss seed=1")
    assert sampled.verdict(case, inputs(case), np.zeros(case.geometry.y_shape, np.float32)).agrees


def by_blas(case: Case, data: dict[str, Any]) -> np.ndarray:
    """conv2d of one group by tensordot on windows, in the case's format."""
    v, h = case.geometry.vertical, case.geometry.horizontal
    x = np.pad(data["x"], ((0, 0), (0, 0), (v.pad_before, v.pad_after), (h.pad_before, h.pad_after)))
    windows = np.lib.stride_tricks.sliding_window_view(x, (v.extent, h.extent), (2, 3))[:, :, :: v.stride, :: h.stride]
    y = np.tensordot(windows, data["w"], ((1, 4, 5), (1, 2, 3))).transpose(0, 3, 1, 2)
    return np.ascontiguousarray(y)


@pytest.mark.parametrize("layer", [ALEXNET, VGG])
@pytest.mark.parametrize("recipe", ["gauss", "positive", "wide:24"])
def test_real_layers_are_judged_whole(layer, recipe):
    """A BLAS convolution of AlexNet's and VGG's sizes agrees; with one filter's taps swapped it does not."""
    case = Case.parse(f"conv2d float32 {layer} {recipe} seed=5")
    data = inputs(case)
    assert sampled.verdict(case, data, by_blas(case, data)).agrees
    swapped = data["w"].copy()
    swapped[3] = swapped[3].swapaxes(1, 2)
    assert not sampled.whole(case, data, "y", by_blas(case, data | {"w": swapped})).agrees


@pytest.mark.parametrize("recipe", ["gauss", "positive", "wide:24"])
def test_low_precision_does_not_hide_in_a_large_layer(recipe):
    """Operands cut to TF32 fail, undeclared, in the samples of AlexNet's first layer or in its checksums."""
    case = Case.parse(f"conv2d float32 {ALEXNET} {recipe} seed=6")
    data = inputs(case)
    cut = {key: (data[key].view(np.uint32) & np.uint32(0xFFFFE000)).view(np.float32) for key in ("x", "w")}
    output = by_blas(case, cut)
    assert not sampled.verdict(case, data, output).agrees
    if not recipe.startswith("wide"):
        assert sampled.verdict(case, data, output, arithmetic=Arithmetic("tf32")).agrees


@given(cases(recipes=("wide", "gauss"), dtypes=("float32",)))
def test_shapes_and_names_are_those_of_truth(case):
    """What sampled calls the outputs, and their shapes, are truth's."""
    expected = truth(case)
    assert sampled.outputs(case.operation) == tuple(one.name for one in expected)
    assert [sampled.shape_of(case, one.name) for one in expected] == [one.value.shape for one in expected]


@settings(max_examples=50)
@given(cases(recipes=("wide", "gauss"), dtypes=("float32",)), drawn.seeds)
@example(Case.parse("conv2d float32 n1c2k4g2 i7k3s2p1,1d1 i9k3s1p0,0d1 gauss seed=1"), 1)
def test_the_same_case_is_sampled_at_the_same_places(case, seed):
    """A verdict can be repeated: places and weights come from the case's seed alone."""
    output = result(case)
    first, again = (sampled.verdict(case, inputs(case), output, count=9) for _ in range(2))
    assert first == again
    other = replace(case, seed=seed)
    assert sampled.verdict(other, inputs(other), result(other), count=9).agrees
