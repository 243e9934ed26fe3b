"""What has no meaning is refused with a ValueError that names the value, and torch declines what it does otherwise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from impls.whole_numbers import ALL, CONVOLUTION, OURS, POOLING, POOLS


@pytest.mark.parametrize("implementation", ALL, indirect=True)
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"stride": (0, 1)}, "stride 0"),
        ({"stride": (1, 1.5)}, "stride 1.5: an integer"),
        ({"padding": (-1, 0)}, "padding -1"),
        ({"dilation": (1, 0)}, "dilation 0"),
        ({"dilation": (3, 1)}, "7 cells do not fit the padded image; at most 0 . 5 . 0 = 5"),
        ({"groups": 0}, "groups 0"),
        ({"groups": 3}, "groups 3: a divisor of the 4 channels and of the 6 filters"),
        ({"groups": 1}, "filter channels 2: C/G = 4/1 = 4"),
    ],
)
def test_a_convolution_refuses_what_has_no_meaning(implementation: Any, changed: dict[str, Any], message: str) -> None:
    x, w, dy = np.ones((2, 4, 5, 6)), np.ones((6, 2, 3, 3)), np.ones((2, 6, 3, 4))
    message = message if implementation.name in OURS else "^torch: |^dy shape|^dilation"
    with pytest.raises(ValueError, match=message):
        implementation.conv2d(x, w, None, **{**CONVOLUTION, **changed})
    with pytest.raises(ValueError, match=message):
        implementation.conv2d_backward(x, w, dy, **{**CONVOLUTION, **changed})
    assert np.all(implementation.conv2d(x, w, None, **CONVOLUTION).round() == 18)


@pytest.mark.parametrize("implementation", ALL, indirect=True)
def test_a_convolution_refuses_arrays_that_do_not_fit_together(implementation: Any) -> None:
    x, w, b = np.ones((2, 4, 5, 6)), np.ones((6, 2, 3, 3)), np.ones(6)
    for images, filters, bias in (
        (x, w, b[:5]),
        (x, w, b[:1]),
        (x, w, b[:, None]),
        (x, w[:, :1], b),
        (x[:, :, :0], w, b),
        (x, w[:, :, :0], b),
        (x, w.astype(np.float32), b),
        (x, w, b.astype(np.float32)),
    ):
        with pytest.raises(ValueError, match=r"accepted|^torch: "):
            implementation.conv2d(images, filters, bias, **CONVOLUTION)
    for shape in ((2, 6, 3, 3), (2, 6, 4, 4), (1, 6, 3, 4), (2, 5, 3, 4), (2, 6, 1, 1)):
        with pytest.raises(ValueError, match=r"the output's shape \(2, 6, 3, 4\)"):
            implementation.conv2d_backward(x, w, np.ones(shape), **CONVOLUTION)


@pytest.mark.parametrize("implementation", [*ALL, *POOLS], indirect=True)
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"size": (0, 3)}, "window size 0"),
        ({"size": (6, 3)}, "6 cells do not fit"),
        ({"stride": (1, 0)}, "stride 0"),
        ({"padding": (0, -1)}, "padding -1"),
        ({"padding": (2, 0)}, "vertical padding 2: less than the window size 2"),
    ],
)
def test_pools_and_their_gradients_refuse_what_has_no_meaning(
    implementation: Any, changed: dict[str, Any], message: str
) -> None:
    x, dy = np.ones((2, 4, 5, 6)), np.ones((2, 4, 4, 3))
    keywords = {**POOLING, **changed}
    message = message if implementation.name in (*OURS, *POOLS) else "torch: "
    for operation, arrays in (
        *((pool, (x,)) for pool in ("max_pool2d", "avg_pool2d", "l2_pool2d")),
        ("avg_pool2d_backward", (dy, x.shape)),
        ("l2_pool2d_backward", (x, dy)),
    ):
        with pytest.raises(ValueError, match=message):
            getattr(implementation, operation)(*arrays, **keywords)


@pytest.mark.parametrize("implementation", [*OURS, *POOLS], indirect=True)
def test_out_size_counts_windows_and_refuses_what_the_operations_refuse(implementation: Any) -> None:
    out_size = implementation.out_size
    assert (out_size(7, 3, 2, 0), out_size(8, 3, 2, 0), out_size(7, 3, 1, 1, dilation=3)) == (3, 3, 3)
    for numbers in (
        (0, 1, 1, 0),
        (5, 0, 1, 0),
        (5, 1, 0, 0),
        (5, 1, 1, -1),
        (5, 8, 1, 1),
        (5, 3, 1, 0, 3),
        (5, 2.0, 1, 0),
    ):
        with pytest.raises(ValueError, match="accepted"):
            out_size(*numbers)


@pytest.mark.parametrize("implementation", ["torch-cpu"], indirect=True)
def test_torch_declines_what_it_does_otherwise_and_nothing_else(implementation: Any) -> None:
    assert (implementation.name, implementation.accuracy) == ("torch-cpu", "direct")
    assert implementation.supports("conv2d", **CONVOLUTION) is None
    assert implementation.supports("max_pool2d", **POOLING, ceil_mode=True, x_shape=(1, 1, 5, 6)) is None
    assert "half of its window" in implementation.supports("max_pool2d", size=(3, 3), stride=(1, 1), padding=(0, 2))
    ceil: dict[str, Any] = {"size": (1, 2), "stride": (1, 2), "padding": (0, 0), "ceil_mode": True}
    assert implementation.supports("avg_pool2d", **ceil, x_shape=(1, 1, 1, 4)) is None
    assert "divides by the part" in implementation.supports("avg_pool2d", **ceil, x_shape=(1, 1, 1, 3))
    assert implementation.supports("avg_pool2d", **ceil, count_include_pad=False, x_shape=(1, 1, 1, 3)) is None
    assert implementation.supports("l2_pool2d", **ceil, x_shape=(1, 1, 1, 3)) is None
