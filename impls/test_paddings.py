"""Padding that differs from side to side, that ONNX names by a word, and that a ragged last window reaches into."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from impls import arguments, loops
from impls.whole_numbers import DIVISIBLE, OURS, POOLS, assert_same, convolutions, poolings, whole


@pytest.mark.parametrize("implementation", OURS, indirect=True)
def test_asymmetric_padding_is_zeros_put_around_the_image(implementation: Any) -> None:
    rng = np.random.default_rng(5)
    for seed, case in enumerate(convolutions(5, 25)):
        (top, bottom), (left, right) = around = rng.integers(0, 5, (2, 2)).tolist()
        x, w = whole((2, *case.x[1:]), seed), whole(case.w, seed + 1)
        x = np.pad(x, ((0, 0), (0, 0), (6, 6), (6, 6)))  # room for every filter, whatever the padding
        bare, keywords = {**case.keywords, "padding": (0, 0)}, {**case.keywords, "padding": around}
        wider = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
        y = loops.conv2d(wider, w, None, **bare)
        assert_same(implementation.conv2d(x, w, None, **keywords), y, keywords, implementation)
        dy = whole(y.shape, seed + 2)
        dx, dw, db = loops.conv2d_backward(wider, w, dy, **bare)
        dx = dx[:, :, top : top + x.shape[2], left : left + x.shape[3]]
        assert_same(implementation.conv2d_backward(x, w, dy, **keywords), (dx, dw, db), keywords, implementation)


@pytest.mark.parametrize(
    ("W", "F", "S", "D", "word", "before", "outputs"),
    [
        (5, 3, 2, 1, "same_upper", 1, 3),
        (6, 3, 2, 1, "same_upper", 0, 3),  # one cell in all: it goes after
        (6, 3, 2, 1, "same_lower", 1, 3),  # or before
        (7, 2, 1, 1, "same_lower", 1, 7),
        (7, 3, 1, 2, "same_upper", 2, 7),
        (8, 2, 5, 1, "same_upper", 0, 2),  # a stride beyond the window needs none
        (1, 4, 3, 1, "same_lower", 2, 1),
    ],
)
def test_same_padding_is_that_of_onnx(W: int, F: int, S: int, D: int, word: str, before: int, outputs: int) -> None:
    axis = arguments.axis(W, F, S, word, D)
    assert (axis.before, axis.outputs) == (before, outputs)


@pytest.mark.parametrize("implementation", OURS, indirect=True)
@pytest.mark.parametrize("word", ["same_upper", "same_lower"])
def test_same_padding_means_the_numbers_it_stands_for(implementation: Any, word: str) -> None:
    for seed, case in enumerate(convolutions(6, 40)):
        x, w, keywords = whole(case.x, seed), whole(case.w, seed + 1), {**case.keywords, "padding": word}
        numbers = {**keywords, "padding": spelled_out(case.x, case.w[2:], case.keywords, word)}
        y = loops.conv2d(x, w, None, **numbers)
        assert y.shape[2:] == tuple(-(-W // S) for W, S in zip(case.x[2:], keywords["stride"], strict=True))
        assert_same(implementation.conv2d(x, w, None, **keywords), y, case, implementation)
        dy = whole(y.shape, seed + 2)
        want = loops.conv2d_backward(x, w, dy, **numbers)
        assert_same(implementation.conv2d_backward(x, w, dy, **keywords), want, case, implementation)


@pytest.mark.parametrize("implementation", [*OURS, *POOLS], indirect=True)
@pytest.mark.parametrize("word", ["same_upper", "same_lower"])
def test_same_padding_of_pools_means_the_numbers_it_stands_for(implementation: Any, word: str) -> None:
    for seed, case in enumerate(poolings(7, 40)):
        keywords = {**case.keywords, "padding": word}
        numbers = {**keywords, "padding": spelled_out(case.x, keywords["size"], {"dilation": (1, 1), **keywords}, word)}
        assert_pools_agree(implementation, whole(case.x, seed), keywords, numbers)


def spelled_out(x: tuple[int, ...], window: tuple[int, ...], keywords: dict[str, Any], word: str) -> Any:
    """Count afresh the numbers that ONNX's word for padding stands for."""
    around = []
    for W, F, S, D in zip(x[2:], window, keywords["stride"], keywords["dilation"], strict=True):
        total = max(0, (-(-W // S) - 1) * S + D * (F - 1) + 1 - W)
        around.append((total // 2, -(-total // 2))[:: 1 if word == "same_upper" else -1])
    return around


def assert_pools_agree(implementation: Any, x: np.ndarray, keywords: dict[str, Any], others: dict[str, Any]) -> None:
    """Every pool and gradient with `keywords` is that of loops with the `others`."""
    assert_same(implementation.max_pool2d(x, **keywords), loops.max_pool2d(x, **others), keywords)
    y = loops.l2_pool2d(x, **others)
    dy = whole(y.shape, 8, DIVISIBLE)
    assert_same(implementation.l2_pool2d(x, **keywords), y, keywords)
    assert_same(implementation.avg_pool2d(x, **keywords), loops.avg_pool2d(x, **others), keywords)
    want = loops.avg_pool2d_backward(dy, x.shape, **others)
    assert_same(implementation.avg_pool2d_backward(dy, x.shape, **keywords), want, keywords)
    alone = np.zeros_like(x)
    alone[..., ::4, ::4] = np.sign(x[..., ::4, ::4]) * 2  # one such cell in a window, or none: each norm is 2 or 0
    want = loops.l2_pool2d_backward(alone, dy, **others)
    assert_same(implementation.l2_pool2d_backward(alone, dy, **keywords), want, keywords)


def test_ceil_mode_adds_a_ragged_window_but_none_that_starts_in_the_padding() -> None:
    assert arguments.axis(6, 3, 2, (0, 0), ceil_mode=False).outputs == 2
    assert arguments.axis(6, 3, 2, (0, 0), ceil_mode=True).outputs == 3
    assert arguments.axis(7, 3, 2, (0, 0), ceil_mode=True).outputs == 3
    assert arguments.axis(2, 2, 3, (1, 1), ceil_mode=True).outputs == 1  # a second one would start at 3 = 2 + 1


@pytest.mark.parametrize("implementation", [*OURS, *POOLS], indirect=True)
def test_an_average_in_ceil_mode_still_divides_by_the_whole_window(implementation: Any) -> None:
    x = np.full((1, 1, 1, 3), 6.0)
    keywords: dict[str, Any] = {"size": (1, 2), "stride": (1, 2), "ceil_mode": True}
    assert np.array_equal(implementation.avg_pool2d(x, **keywords), [[[[6, 3]]]])
    assert np.array_equal(implementation.avg_pool2d(x, count_include_pad=False, **keywords), [[[[6, 6]]]])
