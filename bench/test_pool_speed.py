"""Pools of real networks, forward and backward, in every implementation."""

from __future__ import annotations

from bench.layers import POOLS as LAYERS  # noqa: F401 - bench/conftest.py reads it
from oracles.case import POOLING as OPERATIONS  # noqa: F401


def test_pool(timed):
    """Time one operation of one layer."""
    timed()
