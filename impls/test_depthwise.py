"""Bands times columns of rows give what columns give, a NaN included, in groups of one channel or a few."""

from __future__ import annotations

import numpy as np
import pytest

from impls import depthwise, im2col
from impls.test_im2col_tiled import extra_memory
from impls.whole_numbers import Problem, assert_same, convolutions, whole

LAYERS: dict[str, Problem] = {
    "mobilenet": Problem((2, 40, 28, 28), (40, 1, 3, 3), {"stride": (1, 1), "padding": (1, 1), "groups": 40}),
    "large planes": Problem((2, 3, 40, 33), (6, 1, 3, 5), {"stride": (1, 1), "padding": (1, 2), "groups": 3}),
    "stride 2": Problem((1, 40, 29, 28), (40, 1, 3, 3), {"stride": (2, 2), "padding": (1, 1), "groups": 40}),
    "many channels": Problem((2, 530, 9, 7), (530, 1, 3, 5), {"stride": (1, 1), "padding": (1, 2), "groups": 530}),
    "many channels at strides": Problem(
        (1, 130, 18, 16), (130, 1, 3, 3), {"stride": (2, 2), "padding": (3, 1), "dilation": (2, 3), "groups": 130}
    ),
    "two filters a channel": Problem((1, 8, 19, 14), (16, 1, 5, 3), {"stride": (1, 2), "padding": (2, 1), "groups": 8}),
    "pairs of channels": Problem((1, 8, 19, 14), (4, 4, 3, 3), {"stride": (1, 1), "padding": (0, 3), "groups": 2}),
}


@pytest.fixture(params=[0, depthwise.CHANNELS, 1 << 30], ids=["side by side", "as measured", "bands"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways, whichever pays."""
    monkeypatch.setattr(depthwise, "CHANNELS", request.param)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_it_agrees_with_columns(dtype: str) -> None:
    for seed, case in enumerate([*LAYERS.values(), *convolutions(30, 60)]):
        x, w = whole(case.x, seed, dtype=dtype), np.sign(whole(case.w, seed + 1, dtype=dtype))
        b = whole(case.w[:1], seed + 2, dtype=dtype)
        y = im2col.conv2d(x, w, b, **case.keywords)
        assert_same(depthwise.conv2d(x, w, b, **case.keywords), y, case)
        dy = np.sign(whole(y.shape, seed + 3, dtype=dtype))
        want = im2col.conv2d_backward(x, w, dy, **case.keywords)
        assert_same(depthwise.conv2d_backward(x, w, dy, **case.keywords), want, case)


@pytest.mark.parametrize("spoilt", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("case", LAYERS.values(), ids=LAYERS)
def test_a_number_that_is_not_finite_stays_in_its_windows(case: Problem, spoilt: float) -> None:
    x, w = whole(case.x, 1), whole(case.w, 2)
    x[0, 1, 7, 5] = spoilt
    y = im2col.conv2d(x, w, None, **case.keywords)
    assert not np.all(np.isfinite(y))
    assert_same(depthwise.conv2d(x, w, None, **case.keywords), y, case)
    dy = whole(y.shape, 3)
    dy[0, 1, 4, 3] = spoilt
    x = whole(case.x, 1)
    want = im2col.conv2d_backward(x, w, dy, **case.keywords)
    got = depthwise.conv2d_backward(x, w, dy, **case.keywords)
    assert_same(got[0], want[0], case)
    assert_same(got[2], want[2], case)


@pytest.mark.parametrize("spoilt", [np.nan, np.inf])
def test_a_number_in_a_row_below_the_last_strip_reaches_the_filters_cells_that_see_it(spoilt: float) -> None:
    """The last strip of dy is filled up with zeros, and rows of the image that they do not see lie below it."""
    case = Problem((1, 4, 40, 40), (4, 1, 3, 3), {"stride": (1, 1), "padding": (0, 0), "groups": 4})
    x, w, dy = whole(case.x, 1), whole(case.w, 2), whole((1, 4, 38, 38), 3)
    x[0, 0, -1, 5] = spoilt
    got, want = (of.conv2d_backward(x, w, dy, **case.keywords)[1] for of in (depthwise, im2col))
    assert 0 < np.isfinite(want[:2]).sum() < want[:2].size
    assert np.array_equal(np.isfinite(got), np.isfinite(want))
    assert got.flags.c_contiguous


def test_channels_side_by_side_take_a_strip_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(depthwise, "CHANNELS", 0)
    case = Problem((1, 600, 40, 30), (600, 1, 3, 3), {"stride": (1, 1), "padding": (1, 1), "groups": 600})
    x, w = whole(case.x, 1, dtype="float32"), whole(case.w, 2, dtype="float32")
    y = im2col.conv2d(x, w, None, **case.keywords)
    assert_same(depthwise.conv2d(x, w, None, **case.keywords), y, case)
    assert extra_memory(lambda: depthwise.conv2d(x, w, None, **case.keywords)) < 2.2e6  # a strip and its sums
    monkeypatch.setattr(depthwise, "BYTES", 1)  # one row of outputs
    assert_same(depthwise.conv2d(x, w, None, **case.keywords), y, case)
