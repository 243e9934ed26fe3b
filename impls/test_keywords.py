"""Prepared filters are taken under the keywords that they were prepared for, and under no others."""

from __future__ import annotations

import re
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from impls import auto, fft, im2col, winograd
from impls.whole_numbers import whole

THOSE_THAT_PREPARE = [auto, winograd, fft]
KEYWORDS: dict[str, Any] = {"stride": (1, 1), "padding": (2, 2), "dilation": (1, 1), "groups": 1}


@pytest.mark.parametrize("of", THOSE_THAT_PREPARE)
@pytest.mark.parametrize(
    "other", [{"stride": (2, 2)}, {"padding": (1, 1)}, {"padding": "same_upper"}, {"dilation": (2, 1)}, {"groups": 1}]
)
def test_other_keywords_are_refused(of: ModuleType, other: dict[str, Any]) -> None:
    name, ours = next(iter(other)), {"groups": 2} if "groups" in other else {}
    filters = of.prepare(whole((4, 2, 5, 5), 1), **KEYWORDS | ours)
    with pytest.raises(ValueError, match=f"^{name} .*, for which the filters were prepared"):
        of.conv2d(whole((1, 2, 9, 9), 2), filters, None, **KEYWORDS | other)


@pytest.mark.parametrize("of", THOSE_THAT_PREPARE)
@pytest.mark.parametrize("padding", [[2, 2], ((2, 2), (2, 2)), "same_upper"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_the_same_keywords_may_be_spelled_otherwise(of: ModuleType, padding: Any, dtype: str) -> None:
    w, x = np.sign(whole((4, 2, 5, 5), 1, dtype=dtype)), np.sign(whole((1, 2, 9, 9), 2, dtype=dtype))
    first = padding if isinstance(padding, str) else (2, 2)
    filters = of.prepare(w, **KEYWORDS | {"padding": first})
    y = of.conv2d(x, filters, None, **KEYWORDS | {"padding": padding, "stride": [1, 1]})
    assert y.dtype == dtype
    assert np.array_equal(np.rint(y), im2col.conv2d(x, w, None, **KEYWORDS))


@pytest.mark.parametrize("of", THOSE_THAT_PREPARE)
@pytest.mark.parametrize(
    ("w", "other", "told"),
    [
        ((4, 2, 3), {}, "w shape (4, 2, 3): four dimensions"),
        ((4, 2, 3, 3), {"stride": (0, 1)}, "stride 0: at least 1"),
        ((4, 2, 3, 3), {"stride": 1}, "stride 1: a tuple or list"),
        ((4, 2, 3, 3), {"groups": 3}, "groups 3: a divisor of the 4 filters"),
        ((4, 2, 3, 3), {"padding": (-1, 0)}, "padding -1: at least 0"),
    ],
)
def test_what_no_call_takes_is_refused_when_it_is_prepared(of: ModuleType, w: Any, other: Any, told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        of.prepare(np.ones(w, np.float32), **KEYWORDS | other)
    with pytest.raises(ValueError, match="complex64: one dtype"):
        of.prepare(np.ones((4, 2, 3, 3), np.complex64), **KEYWORDS)
