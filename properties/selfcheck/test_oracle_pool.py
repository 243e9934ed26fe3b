"""The pools by definition agree with torch, with numerical differentiation, and with the contract's special cases."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from oracles import pool
from oracles.geometry import Axis, Geometry
from properties.selfcheck import drawn

NAN, INF = math.nan, math.inf
OVERHANGING = Geometry(1, 1, Axis(6, 3, 2, 1, 0, 0, ceil=True), Axis(6, 3, 2, 1, 1, 1, ceil=True))


def maxima(x: np.ndarray, g: Geometry) -> tuple[np.ndarray, np.ndarray]:
    y, switches = pool.max_pool2d(x.tolist(), g)
    return np.array(y, float).reshape(g.y_shape), np.array(switches, np.int64).reshape(g.y_shape)


def max_gradient(dy: np.ndarray, switches: np.ndarray, g: Geometry) -> np.ndarray:
    return np.array(pool.max_pool2d_backward(dy.tolist(), switches.tolist(), g), float).reshape(g.x_shape)


def averages(x: np.ndarray, g: Geometry, include_pad: bool) -> np.ndarray:
    counts = pool.window_counts(g, include_pad)
    return np.array(pool.divided(pool.window_sums(x.tolist(), g), counts), float).reshape(g.y_shape)


def average_gradient(dy: np.ndarray, g: Geometry, include_pad: bool) -> np.ndarray:
    shares = pool.divided(dy.tolist(), pool.window_counts(g, include_pad))
    return np.array(pool.spread(shares, g), float).reshape(g.x_shape)


def norms(x: np.ndarray, g: Geometry) -> list[Any]:
    return pool.roots(pool.window_sums((x * x).tolist(), g))


def norm_gradient(x: np.ndarray, dy: np.ndarray, g: Geometry) -> np.ndarray:
    return np.array(pool.l2_pool2d_backward(x.tolist(), dy.tolist(), norms(x, g), g), float).reshape(g.x_shape)


def windows(x: Any, g: Geometry, value: float = 0.0) -> Any:
    """Take a torch tensor x (N, C, H, W) apart to (N, C, OH, OW, FH, FW), padding holding the value."""
    wide = drawn.padded(x, g, value)
    for dimension, axis in ((2, g.vertical), (3, g.horizontal)):
        wide = wide.unfold(dimension, axis.reach, axis.stride)
    return wide[:, :, : g.vertical.out, : g.horizontal.out, :: g.vertical.dilation, :: g.horizontal.dilation]


def plane(*rows: list[float]) -> np.ndarray:
    return np.array([[rows]], float)


@settings(max_examples=300)
@given(drawn.pools(ceil=True), drawn.seeds)
def test_max_pooling_equals_torch_and_its_autograd(g, seed):
    """The maxima, the switches that lead back to them, and each dy sent there."""
    torch = pytest.importorskip("torch", reason="the oracle is held against torch here")
    size = math.prod(g.x_shape)
    x = np.random.default_rng(seed).permutation(size).reshape(g.x_shape) - size / 2
    (dy,) = drawn.whole(seed, g.y_shape)
    tensor = torch.from_numpy(x).requires_grad_()
    want = windows(tensor, g, -INF).amax((-1, -2))
    want.backward(torch.from_numpy(dy))
    y, switches = maxima(x, g)
    assert np.array_equal(y, want.detach().numpy())
    for place in np.ndindex(g.y_shape):
        assert x[place[:2]].flat[switches[place]] == y[place]
    assert np.array_equal(max_gradient(dy, switches, g), tensor.grad.numpy())


@st.composite
def of_torch(draw: Any) -> Geometry:
    """Draw a pooling such as torch offers: no dilation, as much padding before as behind, half the window at most."""
    axes, ceil = [], draw(st.booleans())
    for _ in range(2):
        extent, stride = draw(st.integers(1, 4)), draw(st.integers(1, 4))
        pad = draw(st.integers(0, extent // 2))
        axes.append(Axis(max(1, extent - 2 * pad) + draw(st.integers(0, 6)), extent, stride, 1, pad, pad, ceil))
    return Geometry(1, 1, *axes)


def sizes(g: Geometry) -> tuple[tuple[int, int], ...]:
    """Give window, stride and padding, each (vertical, horizontal)."""
    v, h = g.vertical, g.horizontal
    return (v.extent, h.extent), (v.stride, h.stride), (v.pad_before, h.pad_before)


@settings(max_examples=100)
@given(of_torch(), drawn.seeds)
def test_ties_go_where_torch_sends_them(g, seed):
    """Among three distinct values the first maximum in row-major order is torch's choice as well."""
    torch = pytest.importorskip("torch", reason="the oracle is held against torch here")
    (x,) = drawn.whole(seed, g.x_shape, most=1)
    pooled = torch.nn.functional.max_pool2d(
        torch.from_numpy(x), *sizes(g), ceil_mode=g.vertical.ceil, return_indices=True
    )
    for got, want in zip(maxima(x, g), pooled, strict=True):
        assert np.array_equal(got, want.numpy())


@settings(max_examples=300)
@given(drawn.pools(), st.booleans(), drawn.seeds)
def test_averages_equal_torch_and_its_autograd(g, include_pad, seed):
    """Whole numbers of windows: what both give lies within a last digit or two of 1/count."""
    torch = pytest.importorskip("torch", reason="the oracle is held against torch here")
    x, dy = drawn.whole(seed, g.x_shape, g.y_shape)
    tensor = torch.from_numpy(x).requires_grad_()
    cells = windows(torch.ones(g.x_shape, dtype=torch.float64), g, float(include_pad)).sum((-1, -2))
    want = windows(tensor, g).sum((-1, -2)) / cells
    want.backward(torch.from_numpy(dy))
    assert np.array_equal(averages(x, g, include_pad), want.detach().numpy())
    error = np.abs(average_gradient(dy, g, include_pad) - tensor.grad.numpy())
    assert (error <= 2 * g.overlap * 2.0**-53 * 9 * g.overlap).all()


@settings(max_examples=200)
@given(of_torch(), st.booleans(), drawn.seeds)
def test_averages_equal_torchs_own_pooling_where_it_offers_it(g, include_pad, seed):
    """Rounding up or down. Not compared: torch's count of a window that overhangs the padding, which is clipped."""
    include_pad &= not g.vertical.ceil
    torch = pytest.importorskip("torch", reason="the oracle is held against torch here")
    (x,) = drawn.whole(seed, g.x_shape)
    want = torch.nn.functional.avg_pool2d(torch.from_numpy(x), *sizes(g), g.vertical.ceil, include_pad).numpy()
    error = np.abs(averages(x, g, include_pad) - want)
    assert (error <= 4 * 2.0**-53 * 9 * g.window).all()


def test_a_ceil_window_that_overhangs_is_divided_by_the_whole_window():
    """The contract counts the whole window where torch and ONNX AveragePool-19 clip it to the padded image."""
    want = [[2 / 3, 1, 1, 1 / 3]] * 2 + [[4 / 9, 2 / 3, 2 / 3, 2 / 9]]
    assert averages(np.ones(OVERHANGING.x_shape), OVERHANGING, True)[0, 0].tolist() == want


@settings(max_examples=100)
@given(drawn.pools(ceil=True), drawn.seeds)
def test_norms_equal_torch_and_its_autograd(g, seed):
    """Square roots of sums of squares, within rounding; windows of zeros pass nothing back."""
    torch = pytest.importorskip("torch", reason="the oracle is held against torch here")
    x, dy = drawn.whole(seed, g.x_shape, g.y_shape, most=2)
    tensor = torch.from_numpy(x).requires_grad_()
    squares = (windows(tensor, g) ** 2).sum((-1, -2))
    want = torch.where(squares > 0, squares, 1.0).sqrt() * (squares > 0)
    want.backward(torch.from_numpy(dy))
    found = np.array(norms(x, g), float).reshape(g.y_shape)
    assert np.array_equal(found, np.sqrt(squares.detach().numpy()))  # IEEE 754 rounds a root correctly
    assert (np.abs(found - want.detach().numpy()) <= 2.0**-52 * found).all()  # torch's is off by a last digit at times
    error = np.abs(norm_gradient(x, dy, g) - tensor.grad.numpy())
    assert (error <= (g.overlap + 4) * 2.0**-53 * 2 * g.overlap).all()


@settings(max_examples=20)
@given(drawn.pools(ceil=True), drawn.seeds)
def test_the_gradients_are_those_of_the_forward_definitions(g, seed):
    """gradcheck: differences of the oracle's own forward give the oracle's own gradients, for all three pools."""
    torch = pytest.importorskip("torch", reason="gradcheck is torch's")
    g = Geometry(1, 1, g.vertical, g.horizontal)

    def check(forward: Any, backward: Any) -> bool:
        class Pool(torch.autograd.Function):
            @staticmethod
            def forward(context, x):
                context.save_for_backward(x)
                return torch.from_numpy(forward(x.detach().numpy()))

            @staticmethod
            def backward(context, dy):
                return torch.from_numpy(backward(context.saved_tensors[0].detach().numpy(), dy.numpy()))

        x = torch.from_numpy(np.random.default_rng(seed).permutation(math.prod(g.x_shape)).reshape(g.x_shape) + 1.0)
        return torch.autograd.gradcheck(Pool.apply, (x.requires_grad_(),))

    assert check(lambda x: maxima(x, g)[0], lambda x, dy: max_gradient(dy, maxima(x, g)[1], g))
    assert check(lambda x: averages(x, g, False), lambda x, dy: average_gradient(dy, g, False))
    assert check(lambda x: np.array(norms(x, g)).reshape(g.y_shape), lambda x, dy: norm_gradient(x, dy, g))


@settings(max_examples=100)
@given(drawn.pools(ceil=True), drawn.seeds)
@example(OVERHANGING, 1)
def test_ints_keep_128_bits_behind_the_point(g, seed):
    """Averages, norms and their gradients of ints are those of floats, to beyond a float64's digits."""
    x, dy = drawn.whole(seed, g.x_shape, g.y_shape)
    x_ints, dy_ints = x.astype(int).tolist(), dy.astype(int).tolist()
    counts = pool.window_counts(g, False)
    roots = pool.roots(pool.window_sums([[[[v * v for v in r] for r in p] for p in i] for i in x_ints], g))
    unit = 2.0**pool.GUARD
    pairs = [
        (pool.divided(pool.window_sums(x_ints, g), counts), unit, averages(x, g, False)),
        (pool.spread(pool.divided(dy_ints, counts), g), unit, average_gradient(dy, g, False)),
        (roots, unit, np.array(norms(x, g), float)),
        (pool.l2_pool2d_backward(x_ints, dy_ints, roots, g), unit**2, norm_gradient(x, dy, g)),
    ]
    for ints, scale, floats in pairs:
        got = np.array(ints, object).reshape(floats.shape).astype(float) / scale
        assert np.abs(got - floats).max(initial=0) <= 2.0**-53 * 100 * g.overlap


def test_the_notes_max_pooling_takes_four_numbers():
    """CS231n, "Pooling Layer": 2x2 filters at stride 2 turn the example's 4x4 slice into [[6, 8], [3, 4]]."""
    x = plane([1, 1, 2, 4], [5, 6, 7, 8], [3, 2, 1, 0], [1, 2, 3, 4])
    y, switches = maxima(x, Geometry(1, 1, Axis(4, 2, stride=2), Axis(4, 2, stride=2)))
    assert y.tolist() == [[[[6, 8], [3, 4]]]]
    assert switches.tolist() == [[[[5, 7], [8, 15]]]]


@pytest.mark.parametrize(
    ("cells", "maximum", "switch"),
    [
        ([-3, -1, -2, -1], -1, 1),  # padding never wins; the first of two
        ([0.0, -0.0, -1, -1], 0.0, 0),
        ([-0.0, 0.0, -1, -1], -0.0, 0),
        ([5, NAN, 7, NAN], NAN, 1),
        ([INF, NAN, INF, 0], NAN, 1),
        ([-INF, -INF, -INF, -INF], -INF, 0),
    ],
)
def test_special_values_in_a_window(cells, maximum, switch):
    """The contract's rules for ties, zeros of both signs, NaN and infinities, with padding on every side."""
    g = Geometry(1, 1, Axis(2, 4, 1, 1, 1, 1), Axis(2, 4, 1, 1, 1, 1))
    y, switches = maxima(np.array(cells, float).reshape(g.x_shape), g)
    assert np.array_equal(y.ravel(), [maximum], equal_nan=True)
    assert math.copysign(1, y.item()) == math.copysign(1, maximum) or math.isnan(maximum)
    assert switches.item() == switch


def test_a_window_of_zeros_passes_nothing_back():
    """The norm has no gradient at 0; 0 is chosen, whatever dy is."""
    g = Geometry(1, 1, Axis(2, 2), Axis(2, 2))
    for dy in (1.0, INF, NAN):
        assert not norm_gradient(np.zeros(g.x_shape), np.full(g.y_shape, dy), g).any()
