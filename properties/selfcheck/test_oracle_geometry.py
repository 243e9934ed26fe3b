"""Sizes: the formula against counting, padding by ONNX's rule, text that parses back, and refusals that say why."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracles.case import EXAMPLE, FORMATS, OPERATIONS, Case
from oracles.geometry import Axis, Geometry
from properties.selfcheck import drawn


@given(drawn.axes())
def test_the_size_formula_equals_counting(axis):
    """floor((W - F_eff + P)/S) + 1 windows fit, and no more."""
    free = axis.padded - (axis.dilation * (axis.extent - 1) + 1)
    assert axis.out == free // axis.stride + 1
    assert axis.ragged == free % axis.stride
    counted = [start for start in range(-axis.pad_before, 99) if axis.starts[0] <= start <= free - axis.pad_before]
    assert list(axis.starts) == counted[:: axis.stride]


@given(drawn.axes(pool=True, ceil=True))
def test_ceil_adds_the_window_that_torch_adds(axis):
    """ceil((W - F_eff + P)/S) + 1, less one where that window would begin in the padding behind the image."""
    out = math.ceil((axis.padded - axis.reach) / axis.stride) + 1
    if (out - 1) * axis.stride >= axis.size + axis.pad_before:
        out -= 1
    assert axis.out == out
    assert axis.starts[-1] < axis.size


@given(drawn.axes())
def test_the_strict_fit_accepts_exactly_what_divides(axis):
    """A remainder is an error; without one the axis comes back as it is."""
    if axis.ragged:
        with pytest.raises(ValueError, match=f"stride {axis.stride} does not fit: .* leaves {axis.ragged} over"):
            axis.strict()
    else:
        assert axis.strict() is axis


@given(drawn.axes())
def test_the_padded_fit_adds_one_window_where_one_was_ragged(axis):
    """After filling up nothing is left over, and fewer than a stride's cells were added."""
    filled = axis.filled()
    assert filled.strict().out == axis.out + bool(axis.ragged)
    assert 0 <= filled.pad_after - axis.pad_after < axis.stride


@given(st.integers(1, 40), st.integers(1, 7), st.integers(1, 5), st.integers(1, 3))
def test_same_padding_is_onnxs(size, extent, stride, dilation):
    """ONNX Conv-11: ceil(W/S) outputs; the padding is halved, an odd cell going to the end or to the beginning."""
    upper = Axis.same(size, extent, stride, dilation, "same_upper")
    lower = Axis.same(size, extent, stride, dilation, "same_lower")
    total = max((math.ceil(size / stride) - 1) * stride + ((extent - 1) * dilation + 1) - size, 0)
    assert (upper.pad_before, upper.pad_after) == (total // 2, total - total // 2)
    assert (lower.pad_before, lower.pad_after) == (upper.pad_after, upper.pad_before)
    assert upper.out == lower.out == math.ceil(size / stride)


@given(drawn.axes())
def test_windows_hold_the_cells_inside_the_image(axis):
    """Every tap of every window is either listed with its cell or lies in the padding; overlap is the most of any."""
    held = [0] * axis.size
    for o, taps in enumerate(axis.windows):
        cells = {f: -axis.pad_before + o * axis.stride + f * axis.dilation for f in range(axis.extent)}
        assert dict(taps) == {f: i for f, i in cells.items() if 0 <= i < axis.size}
        for _, i in taps:
            held[i] += 1
    assert max(held) <= axis.overlap


@given(drawn.axes(pool=True, ceil=True) | drawn.axes())
def test_an_axis_survives_its_text(axis):
    """parse(str(axis)) is the axis."""
    assert Axis.parse(str(axis)) == axis


@given(drawn.convolutions() | drawn.pools(ceil=True))
def test_a_geometry_survives_its_text(g):
    """parse(str(g)) is the geometry, of convolutions and of pools."""
    assert Geometry.parse(str(g)) == g


def words(alphabet: str) -> st.SearchStrategy[str]:
    return st.text(alphabet, min_size=1, max_size=8)


@given(
    st.data(),
    st.sampled_from(OPERATIONS),
    st.sampled_from(FORMATS),
    st.sampled_from(["wide:24", "gauss", "scaled:24:-90:30:0"]),
    drawn.seeds,
    st.booleans(),
    st.booleans(),
    st.sampled_from(["", "same_upper", "same_lower"]),
    st.lists(st.tuples(words("abcxyz_"), words("abc019.:+-_")), max_size=2),
)
def test_a_case_survives_its_text(data, operation, dtype, recipe, seed, bias, include_pad, same, details):
    """parse(str(case)) is the case, whatever a property adds to it."""
    g = data.draw(drawn.convolutions() if operation.startswith("conv") else drawn.pools(ceil=True))
    case = Case(operation, dtype, g, recipe, seed, bias, include_pad, same, tuple(details))
    assert Case.parse(str(case)) == case


def test_the_cases_of_the_documentation_parse():
    """The example in the error message is a case, and Axis's text looks as the style guide says."""
    assert str(Case.parse(EXAMPLE)) == EXAMPLE
    assert str(Axis(7, 3, stride=2, pad_before=1, pad_after=1)) == "i7k3s2p1,1d1"


@pytest.mark.parametrize("text", ["", "i7k3", "i7k3s2p1d1", "i7k3s2p1,1d1 ", "i-7k3s2p1,1d1", "i7k3s2p1,1d1x"])
def test_a_malformed_axis_is_refused_with_an_example(text):
    """The message shows the text and one that parses."""
    with pytest.raises(ValueError, match=r"is no axis; one looks like i7k3s2p1,1d1"):
        Axis.parse(text)


@pytest.mark.parametrize(
    "text", ["", "n1c3", "n1c3 i7k3s2p1,1d1", "c3n1 i7k3s2p1,1d1 i7k3s2p1,1d1", "n1c3k4 i1k1s1p0,0d1 i1k1s1p0,0d1"]
)
def test_a_malformed_geometry_is_refused_with_an_example(text):
    """The message shows the text and one that parses."""
    with pytest.raises(ValueError, match=r"is no geometry; one looks like n1c3k4g1 "):
        Geometry.parse(text)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("", "is no case; one looks like"),
        ("conv3d float32 n1c3k4g1 i7k3s2p1,1d1 i9k3s1p0,0d1 gauss seed=1", "'conv3d' .* should be an operation"),
        ("conv2d float8 n1c3k4g1 i7k3s2p1,1d1 i9k3s1p0,0d1 gauss seed=1", "'float8' .* should be a format"),
        ("conv2d float32 n1c3 i7k3s2p1,1d1 i9k3s1p0,0d1 gauss seed=1", "'n1c3' .* should be one with filters"),
        ("max_pool2d float32 n1c3k4g1 i7k3s2p1,1d1 i9k3s1p0,0d1 gauss seed=1", "'n1c3k4g1' .* should be a pooling"),
        ("conv2d float32 n1c3k4g1 i7k3s2p1,1d1 i9k3s1p0,0d1 Gauss! seed=1", "'Gauss!' .* should be a recipe"),
        ("conv2d float32 n1c3k4g1 i7k3s2p1,1d1 i9k3s1p0,0d1 gauss seed=-1", "'seed=-1' .* should be a seed"),
        ("conv2d float32 n1c3k4g1 i7k3s2p1,1d1 i9k3s1p0,0d1 gauss seed=1 biased", "'biased' .* should be bias"),
    ],
)
def test_a_malformed_case_is_refused_by_the_word_that_does_not_fit(line, complaint):
    """The message names the word and says what would be accepted."""
    with pytest.raises(ValueError, match=complaint):
        Case.parse(line)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"size": 0}, "size is 0; it must be at least 1"),
        ({"extent": 0}, "extent is 0; it must be at least 1"),
        ({"stride": 0}, "stride is 0; it must be at least 1"),
        ({"dilation": 0}, "dilation is 0; it must be at least 1"),
        ({"pad_before": -1}, "pad_before is -1; it must be at least 0"),
        ({"pad_after": -1}, "pad_after is -1; it must be at least 0"),
        ({"dilation": 5}, "the window spans 11 cells, the padded image only 9"),
    ],
)
def test_sizes_that_are_none_are_refused(change, complaint):
    """ValueError names the value."""
    with pytest.raises(ValueError, match=complaint):
        replace(Axis(7, 3, stride=2, pad_before=1, pad_after=1), **change)


@pytest.mark.parametrize(
    ("sizes", "complaint"),
    [
        ({"N": -1}, "n-1 c6 k4"),
        ({"C": 0}, "n1 c0 k4"),
        ({"G": 4}, "4 groups do not divide 6 channels and 4 filters"),
        ({"G": 0}, "0 groups do not divide"),
    ],
)
def test_channels_and_groups_that_do_not_fit_are_refused(sizes, complaint):
    """ValueError names the numbers."""
    with pytest.raises(ValueError, match=complaint):
        replace(Geometry(1, 6, Axis(5, 3), Axis(5, 3), 4, 2), **sizes)


def test_a_pool_in_groups_is_refused():
    """Pools have no groups, and their text no place for them."""
    with pytest.raises(ValueError, match="group"):
        Geometry(1, 4, Axis(5, 3), Axis(5, 3), 0, 2)


def test_alexnets_first_layer_has_the_notes_numbers():
    """CS231n: 227x227x3 with 96 filters of 11x11 at stride 4 gives 55x55x96, 363 terms and 105,415,200 products."""
    g = Geometry(1, 3, Axis(227, 11, stride=4), Axis(227, 11, stride=4), 96)
    assert g.y_shape == (1, 96, 55, 55)
    assert (g.terms, g.macs, g.flops) == (363, 105_415_200, 210_830_400)
    assert g.bytes(4) == 4 * (3 * 227 * 227 + 96 * 55 * 55 + 96 * 363)
    with pytest.raises(ValueError, match="stride 4 does not fit"):
        Axis(224, 11, stride=4).strict()
