"""Winograd's transforms are exact identities, and in floating point stay within the bound wherever tiles are laid."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import event, example, given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view

from oracles.case import Case
from oracles.formats import FORMATS
from oracles.geometry import Axis, Geometry
from oracles.rounding import DIRECT, Arithmetic, exact_bits
from oracles.truth import inputs, truth
from oracles.verdict import Verdict, judge
from oracles.winograd import Winograd
from properties.selfcheck import drawn

TRANSFORMS = (
    "winograd(2,3;0,1,-1)",
    "winograd(4,3;0,1,-1,2,-1/2)",
    "winograd(4,3;0,1,-1,2,-2)",
    "winograd(3,3;0,1,-1,2)",
    "winograd(2,5;0,1,-1,2,-2)",
    "winograd(3,2;0,1,-1)",
)
BOUNDED = ("gauss", "positive", "spread", "cancelling", "huge", "constant")
BIG = Geometry(2, 8, Axis(18, 3, 1, 1, 1, 1), Axis(18, 3, 1, 1, 1, 1), 8)


class Computed:
    """The convolution by F(m, r) in one dtype, tiles beginning `phase` outputs before the first one.

    `moved` moves the denominators from the filter's matrix to the data's.
    """

    def __init__(self, f: Winograd, g: Geometry, dtype: Any, phase: tuple[int, int] = (0, 0), moved: bool = False):
        self.f, self.g, self.dtype, self.phase, self.moved = f, g, dtype, phase, moved

    def matrices(self, f: Winograd) -> list[np.ndarray]:
        """Give A^T, G and B^T."""
        at, g, bt = f.matrices
        scale = np.abs(g[:, -1:]) if self.moved else np.ones((f.a, 1))
        scale[scale == 0] = 1
        return [matrix.astype(self.dtype) for matrix in (at, g / scale, bt * scale)]

    def tiles(
        self, planes: np.ndarray, offsets: tuple[int, int], counts: tuple[int, int], m: int, a: int
    ) -> np.ndarray:
        """Cut (n, c, H, W) into (n, c, rows, columns, a, a), the first tile `phase` before the offset."""
        span = [(count - 1) * m + a for count in counts]
        found = np.zeros((*planes.shape[:2], *span), planes.dtype)
        for iy in range(span[0]):
            for ix in range(span[1]):
                y, x = iy + offsets[0] - self.phase[0], ix + offsets[1] - self.phase[1]
                if 0 <= y < planes.shape[2] and 0 <= x < planes.shape[3]:
                    found[:, :, iy, ix] = planes[:, :, y, x]
        return sliding_window_view(found, (a, a), (2, 3))[:, :, ::m, ::m]

    def correlation(
        self, planes: np.ndarray, w: np.ndarray, offsets: tuple[int, int], sides: tuple[int, int]
    ) -> np.ndarray:
        """Correlate: planes (n, c, H, W), w (k, c, r, r) -> (n, k, *sides), output o reading from cell o+offset."""
        f = self.f
        at, gg, bt = self.matrices(f)
        counts = [-(-(side + shift) // f.m) for side, shift in zip(sides, self.phase, strict=True)]
        data = bt @ self.tiles(planes, offsets, (counts[0], counts[1]), f.m, f.a) @ bt.T
        filters = gg @ w @ gg.T
        products = np.einsum("kcij,ncyxij->nkyxij", filters, data)
        assert products.dtype == self.dtype
        tiles = at @ products @ at.T  # (n, k, rows, columns, m, m)
        whole = tiles.transpose(0, 1, 2, 4, 3, 5).reshape(*tiles.shape[:2], counts[0] * f.m, counts[1] * f.m)
        return whole[:, :, self.phase[0] :, self.phase[1] :][:, :, : sides[0], : sides[1]]

    def y(self, x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Convolve, a group at a time."""
        v, h = self.g.vertical, self.g.horizontal
        parts = [
            self.correlation(one, of_one, (-v.pad_before, -h.pad_before), (v.out, h.out))
            for one, of_one in zip(np.split(x, self.g.G, 1), np.split(w, self.g.G), strict=True)
        ]
        return np.concatenate(parts, 1) + b[:, None, None]

    def dx(self, w: np.ndarray, dy: np.ndarray) -> np.ndarray:
        """Correlate dy with the filters turned round."""
        v, h, r = self.g.vertical, self.g.horizontal, self.f.r
        parts = [
            self.correlation(
                sent,
                of_one.swapaxes(0, 1)[..., ::-1, ::-1],
                (v.pad_before - r + 1, h.pad_before - r + 1),
                (v.size, h.size),
            )
            for sent, of_one in zip(np.split(dy, self.g.G, 1), np.split(w, self.g.G), strict=True)
        ]
        return np.concatenate(parts, 1)

    def dw(self, x: np.ndarray, dy: np.ndarray) -> np.ndarray:
        """F(r, m) on tiles of dy, added up over tiles and images before the inverse transform."""
        v, h, f = self.g.vertical, self.g.horizontal, self.f.of_gradient
        at, gg, bt = self.matrices(f)
        counts = (-(-(v.out + self.phase[0]) // f.r), -(-(h.out + self.phase[1]) // f.r))
        parts = []
        for one, sent in zip(np.split(x, self.g.G, 1), np.split(dy, self.g.G, 1), strict=True):
            data = bt @ self.tiles(one, (-v.pad_before, -h.pad_before), counts, f.r, f.a) @ bt.T
            filters = gg @ self.tiles(sent, (0, 0), counts, f.r, f.r) @ gg.T
            parts.append(at @ np.einsum("nkyxij,ncyxij->kcij", filters, data) @ at.T)
        return np.concatenate(parts)


def judged(case: Case, text: str, phase: tuple[int, int] = (0, 0), moved: bool = False, declared: str = "") -> Verdict:
    """Compute the case by a transform and judge it as what is declared."""
    arrays = inputs(case)
    by = Computed(Winograd.parse(text), case.geometry, np.dtype(case.dtype), phase, moved)
    if case.operation == "conv2d":
        return judge(truth(case, Arithmetic(declared or text)), by.y(arrays["x"], arrays["w"], arrays["b"]))
    db = arrays["dy"].sum((0, 2, 3))
    results = by.dx(arrays["w"], arrays["dy"]), by.dw(arrays["x"], arrays["dy"]), db
    return judge(truth(case, Arithmetic(declared or text)), results)


@st.composite
def fitting(draw: Any, r: int) -> Geometry:
    """Draw a geometry that the transform fits: r x r, dense, stride 1."""
    axes = []
    for _ in range(2):
        before, after = draw(st.integers(0, r)), draw(st.integers(0, r))
        axes.append(Axis(max(1, r - before - after) + draw(st.integers(0, 7)), r, 1, 1, before, after))
    groups = draw(st.integers(1, 2))
    channels, filters = groups * draw(st.integers(1, 3)), groups * draw(st.integers(1, 3))
    return Geometry(draw(st.integers(1, 2)), channels, *axes, filters, groups)


@given(st.integers(1, 4), st.integers(1, 4), st.data())
def test_the_transform_is_the_correlation_exactly(m, r, data):
    """In fractions, A^T [(G g) * (B^T d)] is the correlation, for any different points."""
    fractions = st.fractions(-3, 3, max_denominator=3)
    if m + r == 2:
        return
    points = data.draw(st.lists(fractions, min_size=m + r - 2, max_size=m + r - 2, unique=True))
    f = Winograd(m, r, tuple(points))
    d, g = (data.draw(st.lists(fractions, min_size=n, max_size=n)) for n in (f.a, r))

    def applied(rows: Any, vector: Any) -> list[Fraction]:
        return [sum((a * b for a, b in zip(row, vector, strict=True)), Fraction(0)) for row in rows]

    at, gg, bt = f.transform
    products = [a * b for a, b in zip(applied(gg, g), applied(bt, d), strict=True)]
    assert applied(at, products) == [sum(d[o + i] * g[i] for i in range(r)) for o in range(m)]


@given(st.integers(1, 4), st.integers(1, 4), st.data())
def test_a_transform_survives_its_text(m, r, data):
    """parse(str(f)) is the transform, and always the same object."""
    if m + r == 2:
        return
    fractions = st.fractions(-9, 9, max_denominator=9)
    points = data.draw(st.lists(fractions, min_size=m + r - 2, max_size=m + r - 2, unique=True))
    f = Winograd(m, r, tuple(points))
    assert Winograd.parse(str(f)) == f
    assert Winograd.parse(str(f)) is Winograd.parse(str(f))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("winograd", r"'winograd' is no Winograd transform; one looks like winograd\(4,3;"),
        ("winograd(4,3)", "is no Winograd transform"),
        ("winograd(4,3;0,1,x,2,-2)", "'x' in .* is no point"),
        ("winograd(4,3;0,1,-1,2,1/0)", "'1/0' in .* is no point"),
        ("winograd(4,3;0,1,-1)", r"F\(4,3\) takes 5 different finite points, not '0,1,-1'"),
        ("winograd(2,3;0,1,1)", r"F\(2,3\) takes 3 different finite points, not '0,1,1'"),
        ("winograd(2,3;0,1,2/2)", r"F\(2,3\) takes 3 different finite points"),
        ("winograd(0,3;0)", "tile and filter must be at least 1"),
    ],
)
def test_a_malformed_transform_is_refused(text, complaint):
    """ValueError names what does not fit and shows a transform that does."""
    with pytest.raises(ValueError, match=complaint):
        Winograd.parse(text)


def test_the_roundings_are_those_of_the_table():
    """design.md, Rounding: gamma_{17+C} for F(2,3), gamma_{29+C} for F(4,3)."""
    two, four = Winograd.parse("winograd(2,3;0,1,-1)"), Winograd.parse("winograd(4,3;0,1,-1,2,-1/2)")
    assert (two.roundings, four.roundings) == (17, 29)
    assert two.roundoff(3, 2.0**-24) == 20 * 2.0**-24 / (1 - 20 * 2.0**-24)


@settings(max_examples=200)
@given(
    st.sampled_from(TRANSFORMS).flatmap(lambda text: st.tuples(st.just(text), fitting(Winograd.parse(text).r))),
    st.sampled_from(["conv2d", "conv2d_backward"]),
    st.sampled_from(["float32", "float64"]),
    st.sampled_from(BOUNDED),
    st.tuples(st.integers(0, 3), st.integers(0, 3)),
    st.booleans(),
    drawn.seeds,
)
@example((TRANSFORMS[0], BIG), "conv2d", "float32", "constant", (0, 0), False, 1)
@example((TRANSFORMS[0], BIG), "conv2d_backward", "float32", "positive", (1, 0), False, 2)
@example((TRANSFORMS[1], BIG), "conv2d", "float32", "constant", (0, 0), False, 3)
@example((TRANSFORMS[1], BIG), "conv2d_backward", "float32", "positive", (1, 2), True, 4)
def test_a_transform_in_floating_point_stays_within_its_bound(chosen, operation, dtype, recipe, phase, moved, seed):
    """Forward, dx and dw, tiles laid from anywhere, denominators in either matrix."""
    text, g = chosen
    f = Winograd.parse(text)
    case = Case(operation, dtype, g, recipe, seed, bias=True)
    found = judged(case, text, (phase[0] % f.m, phase[1] % f.m), moved)
    event(f"{text}: within {2.0 ** np.ceil(np.log2(max(found.ratio, 2**-8))):.3g} of the bound")
    assert found.agrees, found.message


@pytest.mark.parametrize("operation", ["conv2d", "conv2d_backward"])
def test_an_undeclared_transform_leaves_the_direct_bound(operation):
    """Small elements beside a huge one show what passed through a tile with it."""
    case = Case(operation, "float32", BIG, "huge", 5, bias=True)
    assert judged(case, TRANSFORMS[1]).agrees
    assert not judged(case, TRANSFORMS[1], declared="direct").agrees


@settings(max_examples=100)
@given(
    st.sampled_from(TRANSFORMS).flatmap(lambda text: st.tuples(st.just(text), fitting(Winograd.parse(text).r))),
    st.sampled_from(["conv2d", "conv2d_backward"]),
    st.integers(-20, 20),
    drawn.seeds,
)
@example((TRANSFORMS[1], BIG), "conv2d_backward", 3, 6)
def test_exact_data_come_out_as_the_right_integers(chosen, operation, power, seed):
    """The budget for a transform keeps the error below 1/2, in units of the data's own scale."""
    text, g = chosen
    bits = exact_bits(operation, g, FORMATS["float32"], Arithmetic(text))
    case = Case(operation, "float32", g, f"scaled:{bits}:{power}:{-power // 2}:{power}", seed, bias=True)
    found = judged(case, text)
    assert found.agrees, found.message


@pytest.mark.parametrize("axis", [Axis(9, 3, 2), Axis(9, 3, 1, 2), Axis(9, 4, 2), Axis(9, 1)])
def test_where_the_transform_does_not_fit_the_direct_bound_holds(axis):
    """Strides of two thirds of the filter, dilation, smaller filters: nothing is granted, in the output's shape."""
    f, g = Winograd.parse(TRANSFORMS[1]), Geometry(1, 2, Axis(9, 3), axis, 2)
    for name, shape in (("y", g.y_shape), ("dx", g.x_shape), ("dw", g.w_shape)):
        bound = f.bound(name, g, {}, FORMATS["float32"])
        assert bound.shape == shape
        assert not bound.any()
    case = Case("conv2d", "float32", g, "gauss", 1)
    one, other = (truth(case, arithmetic)[0].bound for arithmetic in (Arithmetic(TRANSFORMS[1]), DIRECT))
    assert np.array_equal(one, other)


def test_an_output_without_a_transform_is_refused():
    """The bias gradient passes through no transform."""
    f = Winograd.parse(TRANSFORMS[0])
    with pytest.raises(ValueError, match="'db' has no Winograd transform"):
        f.bound("db", BIG, {}, FORMATS["float32"])


@given(st.sampled_from(TRANSFORMS), st.data(), drawn.seeds)
def test_amplification_bounds_the_bound(text, data, seed):
    """No element's bound exceeds n A B amplification roundoff, n of the forward pass and of each gradient."""
    f = Winograd.parse(text)
    g, form = data.draw(fitting(f.r)), FORMATS["float32"]
    rng = np.random.default_rng(seed)
    arrays = {
        "x": rng.uniform(-1, 1, g.x_shape),
        "w": rng.uniform(-1, 1, g.w_shape),
        "dy": rng.uniform(-1, 1, g.y_shape),
    }
    terms = {"y": g.terms, "dx": g.K // g.G * g.window, "dw": g.N * g.vertical.out * g.horizontal.out}
    for name, n in terms.items():
        bound = f.bound(name, g, arrays, form)
        assert bound.max() <= n * f.growth(g, form.u) * (1 + 1e-12)
