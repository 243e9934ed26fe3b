"""Our implementations, and torch's, held against one another."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from impls import im2col, im2col_tiled, loops
from impls.whole_numbers import ALL, DIVISIBLE, OTHERS, POOLS, assert_same, convolutions, pair, poolings, whole


def declines(implementation: Any, operation: str, **parameters: Any) -> bool:
    """Tell whether it says that it does not do this."""
    supports = getattr(implementation, "supports", None)
    return bool(supports and supports(operation, **parameters))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("implementation", OTHERS, indirect=True)
def test_convolutions_and_their_gradients_agree(implementation: Any, dtype: str) -> None:
    for seed, case in enumerate(convolutions(1, 200)):
        x, w, b = whole(case.x, seed, dtype=dtype), whole(case.w, seed + 1, dtype=dtype), None
        if seed % 2:
            b = whole(case.w[:1], seed + 2, dtype=dtype)
        y = loops.conv2d(x, w, b, **case.keywords)
        assert_same(implementation.conv2d(x, w, b, **case.keywords), y, case, implementation)
        dy = whole(y.shape, seed + 3, dtype=dtype)
        want = loops.conv2d_backward(x, w, dy, **case.keywords)
        assert_same(implementation.conv2d_backward(x, w, dy, **case.keywords), want, case, implementation)


@pytest.mark.parametrize("implementation", [*OTHERS, *POOLS], indirect=True)
def test_pools_and_their_gradients_agree(implementation: Any) -> None:
    seen = 0
    for seed, case in enumerate(poolings(2, 300)):
        x = whole(case.x, seed)
        y, switches = loops.max_pool2d(x, **case.keywords)
        dy = whole(y.shape, seed + 1, DIVISIBLE)
        want = loops.max_pool2d_backward(dy, switches, x.shape)
        assert_same(implementation.max_pool2d_backward(dy, switches, x.shape), want, case)
        if declines(implementation, "max_pool2d", **case.keywords):
            continue
        seen += 1
        assert_same(implementation.max_pool2d(x, **case.keywords), (y, switches), case)
        squares = loops.avg_pool2d(x**2, **case.keywords) * np.prod(case.keywords["size"])
        assert_same(np.rint(implementation.l2_pool2d(x, **case.keywords) ** 2), np.rint(squares), case)
        for inside in (True, False):
            keywords = {**case.keywords, "count_include_pad": inside}
            assert_same(implementation.avg_pool2d(x, **keywords), loops.avg_pool2d(x, **keywords), case)
            want = loops.avg_pool2d_backward(dy, x.shape, **keywords)
            assert_same(implementation.avg_pool2d_backward(dy, x.shape, **keywords), want, case)
    assert seen > 100


@pytest.mark.parametrize("implementation", [*ALL, *POOLS], indirect=True)
@pytest.mark.parametrize("size", [(2, 2), (4, 1), (1, 4), (4, 4), (3, 3)])
def test_the_gradient_of_the_l2_norm_is_x_over_the_norm(implementation: Any, size: tuple[int, int]) -> None:
    norm = int(np.sqrt(size[0] * size[1]))
    x = np.sign(whole((2, 3, 9, 8), 3)) * 4  # every window's norm is then 4 * sqrt(cells), a whole number
    want_y = np.full(implementation.l2_pool2d(x, size=size, stride=(1, 2)).shape, 4.0 * norm)
    assert_same(implementation.l2_pool2d(x, size=size, stride=(1, 2)), want_y, size)
    dy = whole(want_y.shape, 4, 4 * norm)
    want = np.zeros_like(x)
    for n, c, oy, ox in np.ndindex(dy.shape):
        cells = n, c, slice(oy, oy + size[0]), slice(2 * ox, 2 * ox + size[1])
        want[cells] += x[cells] * (dy[n, c, oy, ox] / (4 * norm))
    assert_same(implementation.l2_pool2d_backward(x, dy, size=size, stride=(1, 2)), want, size)


@pytest.mark.parametrize("implementation", [*ALL, *POOLS], indirect=True)
@pytest.mark.parametrize("gradient", [1.0, np.inf, np.nan])
def test_the_gradient_of_a_norm_of_zero_is_zero(implementation: Any, gradient: float) -> None:
    x, dy = np.zeros((1, 1, 2, 4)), np.full((1, 1, 1, 2), gradient)
    x[..., 3] = 1
    dy[..., 1] = 2
    dx = implementation.l2_pool2d_backward(x[:, :, :1], dy, size=(1, 2), stride=(1, 2))
    assert np.array_equal(dx, [[[[0, 0, 0, 2]]]])


@pytest.mark.parametrize("implementation", [*OTHERS, *POOLS], indirect=True)
def test_ceil_mode_and_dilation_of_pools_agree(implementation: Any) -> None:
    rng, seen = np.random.default_rng(9), 0
    for seed, case in enumerate(poolings(9, 200)):
        x, keywords = whole(case.x, seed), {**case.keywords, "ceil_mode": True}
        for operation, options in (
            ("max_pool2d", {"dilation": pair(rng.integers(1, 3, 2))}),
            ("avg_pool2d", {"count_include_pad": bool(seed % 2)}),
            ("l2_pool2d", {}),
        ):
            try:
                want = getattr(loops, operation)(x, **keywords, **options)
            except ValueError:
                continue  # a dilated window that does not fit
            if operation == "max_pool2d" and -1 in want[1]:
                continue  # a dilated window that steps over the image: what it gives is left open
            if not declines(implementation, operation, **keywords, **options, x_shape=x.shape):
                seen += 1
                got = getattr(implementation, operation)(x, **keywords, **options)
                if operation == "l2_pool2d":  # torch's root may be off by its last bit, never by half of a whole number
                    got, want = np.rint(got**2), np.rint(want**2)
                assert_same(got, want, (case, options))
    assert seen > 200


@pytest.mark.parametrize("implementation", [*ALL, *POOLS], indirect=True)
def test_a_maximum_is_the_first_of_equals_and_never_padding(implementation: Any) -> None:
    inf = np.inf
    row = np.array([[[[-0.0, 0.0, -inf, -inf, -3, -3, np.nan, 5]]]])
    y, switches = implementation.max_pool2d(row, size=(1, 2), stride=(1, 2))
    assert np.array_equal(y, [[[[0, -inf, -3, np.nan]]]], equal_nan=True)
    assert np.signbit(y[0, 0, 0, 0])
    assert np.array_equal(switches[..., :3], [[[[0, 2, 4]]]])
    assert switches[0, 0, 0, 3] in (6, 7)
    y, switches = implementation.max_pool2d(row[..., 2:4], size=(2, 2), stride=(1, 1), padding=(1, 1))
    assert np.all(y == -inf)
    assert np.array_equal(switches, [[[[0, 0, 1], [0, 0, 1]]]])


@pytest.mark.parametrize("implementation", ["loops", "im2col", "im2col-tiled", "torch-cpu"], indirect=True)
def test_a_non_finite_number_reaches_exactly_the_windows_that_hold_it(implementation: Any) -> None:
    for seed, case in enumerate(convolutions(10, 100)):
        x, w, spoilt = whole(case.x, seed), whole(case.w, seed + 1), np.random.default_rng(seed).random(case.x) < 0.1
        y = loops.conv2d(x, w, None, **case.keywords)
        reached = loops.conv2d(1.0 * spoilt, np.ones_like(w), None, **case.keywords) > 0
        got = implementation.conv2d(np.where(spoilt, np.nan, x), w, None, **case.keywords)
        assert np.array_equal(got, np.where(reached, np.nan, y), equal_nan=True), case
        dy, spoilt = whole(y.shape, seed + 2), np.random.default_rng(seed).random(y.shape) < 0.1
        dx = loops.conv2d_backward(x, w, dy, **case.keywords)[0]
        reached = loops.conv2d_backward(x, np.ones_like(w), 1.0 * spoilt, **case.keywords)[0] > 0
        got = implementation.conv2d_backward(x, w, np.where(spoilt, np.nan, dy), **case.keywords)[0]
        assert np.array_equal(got, np.where(reached, np.nan, dx), equal_nan=True), case


def test_a_float16_answer_is_the_float32_one_rounded_once() -> None:
    rng, keywords = np.random.default_rng(11), {"stride": (1, 1), "padding": (1, 1)}
    x, w = (rng.standard_normal(shape).astype(np.float16) for shape in ((2, 3, 6, 6), (4, 3, 3, 3)))
    for implementation in (loops, im2col, im2col_tiled):
        half, single = (implementation.conv2d(x.astype(t), w.astype(t), None, **keywords) for t in ("f2", "f4"))
        assert np.array_equal(half, single.astype(np.float16))


@pytest.mark.parametrize("implementation", OTHERS, indirect=True)
def test_windows_that_fit_once_across_have_their_gradients(implementation: Any) -> None:
    x, w, dy = (whole(shape, 1, dtype="float32") for shape in ((1, 1, 64, 16), (1, 1, 16, 16), (1, 1, 49, 1)))
    keywords: dict[str, Any] = {"stride": (1, 1), "padding": (0, 0)}
    want = loops.conv2d_backward(x, w, dy, **keywords)
    assert_same(implementation.conv2d_backward(x, w, dy, **keywords), want, "", implementation)
