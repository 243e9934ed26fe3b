"""Results are the same in every layout and in several threads, and share memory with nothing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from impls.layouts import LAYOUTS, lay
from impls.whole_numbers import ALL, CONVOLUTION, DIVISIBLE, POOLING, assert_same, whole


@pytest.mark.parametrize("implementation", ALL, indirect=True)
def test_every_layout_gives_the_same_and_results_stand_on_their_own(implementation: Any) -> None:
    x, w, dy = whole((2, 4, 5, 6), 1), whole((6, 2, 3, 3), 2), whole((2, 6, 3, 4), 3)
    pooled = whole((2, 4, 4, 3), 4, DIVISIBLE)
    plain = tuple(map(np.rint, every_result(implementation, x, w, dy, pooled)))
    for layout in sorted(set(LAYOUTS) - {"broadcast", "mixed"}):
        variants = [lay(array, layout)[0] for array in (x, w, dy, pooled)]
        for array in variants:
            array.flags.writeable = False
        results = every_result(implementation, *variants)
        assert_same(tuple(map(np.rint, results)), plain, layout)
        for number, result in enumerate(results):
            assert result.flags.writeable
            assert not any(np.shares_memory(result, other) for other in (*variants, *results[:number]))
    x = np.broadcast_to(np.float64(3), (2, 6, 2, 2))
    y = implementation.conv2d(x, x, x[:, 0, 0, 0], stride=(1, 1), padding=(0, 0))  # one number, seen as three arrays
    assert np.array_equal(y.round(), np.full((2, 2, 1, 1), 9 * 24 + 3))


def every_result(
    implementation: Any, x: np.ndarray, w: np.ndarray, dy: np.ndarray, pooled: np.ndarray
) -> tuple[np.ndarray, ...]:
    """All operations that add whole numbers or compare, one after the other."""
    y, switches = implementation.max_pool2d(x, **POOLING)
    return (
        implementation.conv2d(x, w, None, **CONVOLUTION),
        *implementation.conv2d_backward(x, w, dy, **CONVOLUTION),
        y,
        switches,
        implementation.max_pool2d_backward(pooled, switches, x.shape),
        implementation.avg_pool2d_backward(pooled, x.shape, **POOLING),
    )


@pytest.mark.parametrize("implementation", ALL, indirect=True)
def test_threads_do_not_disturb_one_another(implementation: Any) -> None:
    cases = [(whole((2, 4, 5, 6), seed), whole((6, 2, 3, 3), seed + 1)) for seed in range(20)]
    alone = [implementation.conv2d(x, w, None, **CONVOLUTION) for x, w in cases]
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda case: implementation.conv2d(*case, None, **CONVOLUTION), cases))
    assert all(np.array_equal(one, other) for one, other in zip(alone, together, strict=True))
