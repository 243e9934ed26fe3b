"""Calls on whole numbers so small that any order of summation is exact: equal then means equal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

OURS = ("loops", "im2col", "im2col-tiled", "winograd", "fft", "auto")
OTHERS = (*OURS[1:], "torch-cpu")
ALL = ("loops", *OTHERS)
POOLS = ("separable",)  # ours that offer pools and no convolution

# A multiple of every number of cells of a window up to 4 x 4, whatever part of it lies in the image: (3 * 4)**2.
DIVISIBLE = 144

CONVOLUTION: dict[str, Any] = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 2}
POOLING: dict[str, Any] = {"size": (2, 3), "stride": (1, 2), "padding": (0, 1)}


class Problem(NamedTuple):
    """Shapes and keywords of one call."""

    x: tuple[int, ...]
    w: tuple[int, ...]
    keywords: dict[str, Any]


def pair(values: np.ndarray) -> tuple[int, int]:
    """Give two numbers as (vertical, horizontal)."""
    return int(values[0]), int(values[1])


def convolutions(seed: int, count: int) -> Iterator[Problem]:
    """Ragged, anisotropic, dilated, padded beyond the filter, grouped up to depthwise, and now and then no image."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        N, G = int(rng.integers(0, 3)), int(rng.integers(1, 4))
        C, K = G * int(rng.integers(1, 4)), G * int(rng.integers(1, 4))
        F, S, D, P = (rng.integers(least, 5, 2) for least in (1, 1, 1, 0))
        image = np.maximum(1, D * (F - 1) + 1 - 2 * P) + rng.integers(0, 6, 2)
        keywords = {"stride": pair(S), "padding": pair(P), "dilation": pair(D), "groups": G}
        yield Problem((N, C, *pair(image)), (K, C // G, *pair(F)), keywords)


def poolings(seed: int, count: int) -> Iterator[Problem]:
    """Ragged, anisotropic, padded by less than the window, and now and then no image."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        F, S = rng.integers(1, 5, 2), rng.integers(1, 5, 2)
        P = rng.integers(0, F)
        image = np.maximum(1, F - 2 * P) + rng.integers(0, 6, 2)
        keywords = {"size": pair(F), "stride": pair(S), "padding": pair(P)}
        yield Problem((int(rng.integers(0, 3)), 2, *pair(image)), (), keywords)


def whole(shape: tuple[int, ...], seed: int, times: int = 1, dtype: str = "float64") -> np.ndarray:
    """Odd numbers up to 7, multiplied: a product lost cannot hide behind a zero."""
    return ((2 * np.random.default_rng(seed).integers(-4, 4, shape) + 1) * times).astype(dtype)


def assert_same(got: Any, want: Any, case: object = "", implementation: Any = None) -> None:
    """Hold results against others, to the last bit; those of a transform are the nearest whole numbers."""
    got, want = (results if isinstance(results, tuple) else (results,) for results in (got, want))
    for one, other in zip(got, want, strict=True):
        one = np.rint(one) if getattr(implementation, "accuracy", "direct") != "direct" else one
        assert one.dtype == other.dtype, case
        assert one.shape == other.shape, case
        assert np.array_equal(one, other, equal_nan=True), case
