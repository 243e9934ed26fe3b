"""One size of a convolution varies, the others stay: width, window, stride, channels, images."""

from __future__ import annotations

from bench.layers import SWEEPS as LAYERS  # noqa: F401 - bench/conftest.py reads it

OPERATIONS = ()


def test_growth(timed):
    """Time one point of a sweep."""
    timed()
