"""The pools by definition agree with numerical differentiation, exact integers, and the contract's special cases."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings

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


def plane(*rows: list[float]) -> np.ndarray:
    return np.array([[rows]], float)


def test_a_ceil_window_that_overhangs_is_divided_by_the_whole_window():
    """The contract counts the whole window where torch and ONNX AveragePool-19 clip it to the padded image."""
    want = [[2 / 3, 1, 1, 1 / 3]] * 2 + [[4 / 9, 2 / 3, 2 / 3, 2 / 9]]
    assert averages(np.ones(OVERHANGING.x_shape), OVERHANGING, True)[0, 0].tolist() == want


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
