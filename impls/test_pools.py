"""Pools in passes over rows give what pools cell by cell give, in chunks of any size and with any special number."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from impls import arguments, im2col, maxima, planes, pools
from impls.whole_numbers import DIVISIBLE, Problem, assert_same, poolings, whole

DTYPES = ("float16", "float32", "float64")
SPECIAL: dict[str, list[float]] = {
    "zeros of either sign": [-0.0, 0.0, -1.0],
    "-inf": [-np.inf, -np.inf, -np.inf, 0.0, -0.0],
    "ties": [-2.0, 3.0],
}


@pytest.fixture(params=["small chunks", "large chunks"], autouse=True)
def chunks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work on one or two planes at a time, or on all."""
    if request.param == "small chunks":
        monkeypatch.setattr(planes, "BYTES", 300)


def cases(seed: int, count: int) -> Iterator[tuple[int, str, Problem]]:
    for number, case in enumerate(poolings(seed, count)):
        keywords = {**case.keywords, "ceil_mode": number % 2 == 1}
        yield number, DTYPES[number % 3], case._replace(keywords=keywords)


def same_signs(got: np.ndarray, want: np.ndarray, case: object) -> None:
    assert np.array_equal(np.signbit(got[got == 0]), np.signbit(want[want == 0])), case


@pytest.mark.parametrize("numbers", SPECIAL.values(), ids=SPECIAL)
def test_a_maximum_is_the_first_of_equals_its_sign_included(numbers: list[float]) -> None:
    for seed, dtype, case in cases(20, 150):
        x = np.random.default_rng(seed).choice(numbers, case.x).astype(dtype)
        for dilation in ((1, 1), (2, 1), (1, 3)):
            try:
                want = im2col.max_pool2d(x, **case.keywords, dilation=dilation)
            except ValueError:
                continue  # a dilated window that does not fit
            got = pools.max_pool2d(x, **case.keywords, dilation=dilation)
            assert_same(got, want, (case, dilation))
            same_signs(got[0], want[0], (case, dilation))


def test_a_window_with_nan_has_one_for_its_switch() -> None:
    for seed, dtype, case in cases(21, 150):
        x = np.random.default_rng(seed).choice([np.nan, -np.inf, -1, 2, 2], case.x).astype(dtype)
        y, switches = im2col.max_pool2d(x, **case.keywords)
        got, places = pools.max_pool2d(x, **case.keywords)
        assert_same(got, y, case)
        number = ~np.isnan(y)
        assert np.array_equal(places[number], switches[number]), case
        if x.size:
            flat = x.reshape(*x.shape[:2], x[0, 0].size)
            taken = np.take_along_axis(flat, places.reshape(*y.shape[:2], y[0, 0].size), 2).reshape(y.shape)
            assert np.all(np.isnan(taken[~number])), case


def test_values_alone_are_those_that_come_with_switches() -> None:
    x = np.random.default_rng(3).choice([-0.0, 0.0, np.nan, 1.0, -np.inf], (2, 3, 9, 11))
    keywords: dict[str, Any] = {"size": (3, 2), "stride": (2, 1), "padding": (1, 1)}
    want = pools.max_pool2d(x, **keywords)[0]
    vertical, horizontal = arguments.pooling(x.shape, **keywords)
    got = np.empty_like(want)
    maxima.maxima(x, vertical, horizontal, got)
    assert_same(got, want)
    same_signs(got, want, keywords)


def test_gradients_meet_where_switches_do() -> None:
    for seed, dtype, case in cases(22, 150):
        x = whole(case.x, seed, dtype=dtype)
        y, switches = im2col.max_pool2d(x, **case.keywords)
        dy = whole(y.shape, seed + 1, dtype=dtype)
        want = im2col.max_pool2d_backward(dy, switches, x.shape)
        assert_same(pools.max_pool2d_backward(dy, switches, x.shape), want, case)
        none = np.where(np.random.default_rng(seed).random(y.shape) < 0.3, -1, switches)  # without a cell in the image
        want = im2col.max_pool2d_backward(dy, none, x.shape)
        assert_same(pools.max_pool2d_backward(dy, none, x.shape), want, case)


def test_of_gradients_in_one_place_none_is_lost() -> None:
    switches = np.array([[[[3, 3, 5], [7, 7, 7]]]])
    results: dict[tuple[float, ...], dict[int, float]] = {
        (5, 0, 1, 0, 0, 0): {3: 5, 5: 1},  # the one that counts comes first, and
        (0, 5, 1, 0, 0, 2): {3: 5, 5: 1, 7: 2},  # last
        (5, 5, 1, 0, 0, 0): {3: 10, 5: 1},
        (5, -5, 1, 2, 0, 0): {3: 0, 5: 1, 7: 2},
        (np.nan, 0, 1, 0, np.inf, 0): {3: np.nan, 5: 1, 7: np.inf},
    }
    for six, want in results.items():
        dx = pools.max_pool2d_backward(np.array(six, "float32").reshape(1, 1, 2, 3), switches, (1, 1, 3, 4))
        assert_same(dx.ravel(), np.array([want.get(place, 0) for place in range(12)], "float32"), six)


@pytest.mark.parametrize("wrong", [-2, 12, -(2**63), 2**63 - 1])
def test_a_switch_outside_the_plane_is_refused(wrong: int) -> None:
    switches = np.array([[[[0, wrong]]]])
    with pytest.raises(ValueError, match=r"to H\*W - 1 = 11 are accepted"):
        pools.max_pool2d_backward(np.ones((1, 1, 1, 2)), switches, (1, 1, 3, 4))


def test_averages_and_their_gradients_are_those_of_columns() -> None:
    for seed, dtype, case in cases(23, 150):
        x = whole(case.x, seed, dtype=dtype)
        for inside in (True, False):
            keywords = {**case.keywords, "count_include_pad": inside}
            y = im2col.avg_pool2d(x, **keywords)
            assert_same(pools.avg_pool2d(x, **keywords), y, case)
            dy = whole(y.shape, seed + 1, DIVISIBLE).astype("float64")
            want = im2col.avg_pool2d_backward(dy, x.shape, **keywords)
            assert_same(pools.avg_pool2d_backward(dy, x.shape, **keywords), want, case)


def test_norms_and_their_gradients_are_those_of_columns() -> None:
    for seed, dtype, case in cases(24, 150):
        x = whole(case.x, seed, dtype=dtype) * (np.random.default_rng(seed).random(case.x) < 0.5)
        x = x.astype(dtype)
        y = im2col.l2_pool2d(x, **case.keywords)
        assert_same(pools.l2_pool2d(x, **case.keywords), y, case)
        dy = whole(y.shape, seed + 1, dtype=dtype)
        dy[y == 0] = np.nan  # a window of zeros passes nothing on
        got, want = (each.l2_pool2d_backward(x, dy, **case.keywords) for each in (pools, im2col))
        magnitudes = im2col.l2_pool2d_backward(np.abs(x), np.abs(dy), **case.keywords).astype("float64")
        (FH, FW), (sh, sw) = case.keywords["size"], case.keywords["stride"]
        roundings = FH * FW / 2 + 5 + -(-FH // sh) * -(-FW // sw)  # on each side: oracles/rounding.py
        units = float(np.finfo(dtype).eps) * magnitudes
        assert (np.abs(got.astype("float64") - want) <= roundings * units).all(), case


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(2, 3, 7, 7), (1, 1, 1, 5), (3, 2, 40, 1)])
def test_a_pool_over_the_whole_plane_is_like_any_other(shape: tuple[int, ...], dtype: str) -> None:
    x = whole(shape, 1, dtype=dtype)
    keywords: dict[str, Any] = {"size": shape[2:], "stride": (1, 1)}
    assert_same(pools.avg_pool2d(x, **keywords), im2col.avg_pool2d(x, **keywords))
    assert_same(pools.max_pool2d(x, **keywords), im2col.max_pool2d(x, **keywords))
    assert_same(pools.l2_pool2d(x, **keywords), im2col.l2_pool2d(x, **keywords))
    dy = whole((*shape[:2], 1, 1), 2, shape[2] * shape[3], dtype)
    want = im2col.avg_pool2d_backward(dy, shape, **keywords)
    assert_same(pools.avg_pool2d_backward(dy, shape, **keywords), want)
    got, want = (each.l2_pool2d_backward(x, dy, **keywords) for each in (pools, im2col))
    n = shape[2] * shape[3]  # n/2 + 5 + overlap roundings on each side: oracles/rounding.py
    np.testing.assert_allclose(got, want, rtol=(n / 2 + 6) * float(np.finfo(dtype).eps))


def test_a_nan_that_no_window_sees_has_no_gradient() -> None:
    x = np.full((1, 1, 3, 5), np.nan)
    x[..., ::2] = 1
    dx = pools.l2_pool2d_backward(x[:, :, :2], np.ones((1, 1, 2, 3)), size=(1, 1), stride=(1, 2))
    assert np.array_equal(dx, [[[[1, 0, 1, 0, 1]] * 2]])


def test_results_share_no_memory_with_buffers() -> None:
    x = whole((2, 2, 6, 6), 1, dtype="float32")
    keywords: dict[str, Any] = {"size": (2, 2), "stride": (2, 2)}
    y, switches = pools.max_pool2d(x, **keywords)
    results = [y, switches, pools.max_pool2d_backward(y, switches, x.shape)]
    results += [pools.avg_pool2d(x, **keywords), pools.avg_pool2d_backward(y, x.shape, **keywords)]
    results += [pools.l2_pool2d(x, **keywords), pools.l2_pool2d_backward(x, y, **keywords)]
    for memory in planes.workspace.memories.values():
        assert not any(np.shares_memory(result, memory) for result in results)


def test_maxima_alone_are_those_that_come_with_switches() -> None:
    for seed, case in enumerate(poolings(12, 60)):
        x = whole(case.x, seed, dtype="float32")
        assert_same(pools.max_pool2d_values(x, **case.keywords), pools.max_pool2d(x, **case.keywords)[0], case)
