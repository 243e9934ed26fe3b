"""Large and strided filters folded for a transform: the same sums, and a bound that tiles keep, wherever laid."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import event, given, settings
from hypothesis import strategies as st

from oracles import conv
from oracles.case import Case
from oracles.folded import Folded
from oracles.formats import FORMATS
from oracles.geometry import Axis, Geometry
from oracles.rounding import Arithmetic, exact_bits
from oracles.truth import inputs, truth
from oracles.verdict import Verdict, judge
from oracles.winograd import Winograd
from properties.selfcheck.test_winograd_bound import BOUNDED, Computed

TEXTS = ("winograd(4,3;0,1,-1,2,-1/2)", "winograd(2,3;0,1,-1)")


@st.composite
def larger(draw: Any) -> Geometry:
    """Draw a filter of more than two taps for each step of its stride."""
    axes = []
    for _ in range(2):
        S = draw(st.integers(1, 3))
        F, before, after = 2 * S + draw(st.integers(1, 4)), draw(st.integers(0, 4)), draw(st.integers(0, 4))
        axes.append(Axis(max(1, F - before - after) + draw(st.integers(0, 7)), F, S, 1, before, after))
    groups = draw(st.integers(1, 2))
    return Geometry(draw(st.integers(0, 2)), groups * draw(st.integers(1, 2)), axes[0], axes[1], groups * 2, groups)


def dense(planes: np.ndarray, filters: np.ndarray, groups: int) -> Geometry:
    """Lay filters (K, c, r, r) over folded planes (N, C, H, W)."""
    (N, C, H, W), (K, _, r, _) = planes.shape, filters.shape
    return Geometry(N, C, Axis(H, r), Axis(W, r), K, groups)


def correlated(planes: np.ndarray, filters: np.ndarray, groups: int) -> np.ndarray:
    """Convolve by the definition."""
    g = dense(planes, filters, groups)
    return np.array(conv.conv2d(planes.tolist(), filters.tolist(), [0] * len(filters), g)).reshape(g.y_shape)


@settings(max_examples=50)
@given(larger(), st.integers(0, 3), st.integers(0, 99))
def test_what_is_folded_has_the_same_sums(g, margin, seed):
    """Forward, backward, and the filters there and back; with cells to spare on either side."""
    rng = np.random.default_rng(seed)
    x, w, dy = (rng.integers(-5, 6, shape) for shape in (g.x_shape, g.w_shape, g.y_shape))
    fold = Folded.of(g, 3, margin)
    spare = (..., *(slice(margin, -margin or None) for _ in range(2)))
    y = correlated(fold.x(x, g.G), fold.w(w), g.G)[spare]
    assert np.array_equal(y, np.reshape(conv.conv2d(x.tolist(), w.tolist(), [0] * g.K, g), g.y_shape))
    turned = fold.turned(w, g.G)
    back = correlated(fold.dy(dy, g.G), turned.reshape(-1, *turned.shape[2:]), g.G)[spare]
    dx = conv.conv2d_backward(x.tolist(), w.tolist(), dy.tolist(), g)[0]
    assert np.array_equal(fold.dx(back, g.G), np.reshape(dx, g.x_shape))
    assert np.array_equal(fold.dw(fold.w(w)), w)


def computed(case: Case, f: Winograd, phase: tuple[int, int]) -> Verdict:
    """Fold the case, compute it by a transform, and judge it as that is declared."""
    g, data, dtype = case.geometry, inputs(case), np.dtype(case.dtype)
    fold = Folded.of(g, f.r)
    if case.operation == "conv2d":
        planes, filters = (array.astype(dtype) for array in (fold.x(data["x"], g.G), fold.w(data["w"])))
        found: Any = Computed(f, dense(planes, filters, g.G), dtype, phase).y(planes, filters, data["b"])
        return judge(truth(case, Arithmetic(str(f))), found)
    planes, turned = fold.x(data["x"], g.G).astype(dtype), fold.turned(data["w"], g.G).astype(dtype)
    sent, rows = fold.dy(data["dy"], g.G).astype(dtype), turned.reshape(-1, *turned.shape[2:])
    back = Computed(f, dense(sent, rows, g.G), dtype, phase).y(sent, rows, np.zeros(len(rows), dtype))
    filters = np.zeros((g.K, planes.shape[1] // g.G, f.r, f.r), dtype)
    dw = fold.dw(Computed(f, dense(planes, filters, g.G), dtype, phase).dw(planes, data["dy"]))
    results = fold.dx(back, g.G).astype(dtype), dw.astype(dtype), data["dy"].sum((0, 2, 3))
    return judge(truth(case, Arithmetic(str(f))), results)


phases = st.tuples(st.integers(0, 3), st.integers(0, 3))


@settings(max_examples=60)
@given(
    larger(), st.sampled_from(TEXTS), st.sampled_from(["conv2d", "conv2d_backward"]), st.sampled_from(BOUNDED), phases
)
def test_a_folded_transform_in_floating_point_stays_within_its_bound(g, text, operation, recipe, phase):
    f = Winograd.parse(text)
    found = computed(Case(operation, "float32", g, recipe, 1, bias=True), f, (phase[0] % f.m, phase[1] % f.m))
    event(f"within {2.0 ** np.ceil(np.log2(max(found.ratio, 2**-8))):.3g} of the bound")
    assert found.agrees, found.message


@settings(max_examples=40)
@given(larger(), st.sampled_from(TEXTS), st.sampled_from(["conv2d", "conv2d_backward"]), phases)
def test_exact_data_come_out_of_a_folded_transform_as_the_right_integers(g, text, operation, phase):
    f = Winograd.parse(text)
    bits = exact_bits(operation, g, FORMATS["float32"], Arithmetic(text))
    found = computed(Case(operation, "float32", g, f"narrow:{bits}", 1, bias=True), f, (phase[0] % f.m, phase[1] % f.m))
    assert found.agrees, found.message


@settings(max_examples=40)
@given(larger(), st.sampled_from(TEXTS), st.integers(0, 99))
def test_one_element_has_the_bound_that_it_has_among_all(g, text, seed):
    f, form, rng = Winograd.parse(text), FORMATS["float32"], np.random.default_rng(seed)
    g = replace(g, N=1, C=1, K=1, G=1)
    x, w, dy, b = (rng.standard_normal(shape) for shape in (g.x_shape, g.w_shape, g.y_shape, (1,)))
    assert f.applies(g)  # as it is drawn
    for output, data in (("y", {"x": x, "w": w, "b": b}), ("dx", {"w": w, "dy": dy}), ("dw", {"x": x, "dy": dy})):
        whole = f.bound(output, g, data, form)[0, 0]
        alone = [f.bound_at(output, g, data, place, form) for place in np.ndindex(whole.shape)]
        np.testing.assert_allclose(alone, whole.ravel(), rtol=1e-12)  # summed in another order
