"""Convolutions of real networks, forward and backward, in every implementation."""

from __future__ import annotations

from bench.layers import CONVOLUTIONS as LAYERS  # noqa: F401 - bench/conftest.py reads it

OPERATIONS = ("conv2d", "conv2d_backward")


def test_convolution(timed):
    """Time one operation of one layer."""
    timed()
