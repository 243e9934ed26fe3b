"""Geometries and whole numbers for the tests of the oracle; valid by construction, ragged ones as likely as others."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from oracles.geometry import Axis, Geometry


@st.composite
def axes(draw: Any, *, pool: bool = False, ceil: bool = False, dilations: int = 3) -> Axis:
    """Draw an axis whose windows fit; for a pool the padding is smaller than the window."""
    extent, stride = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    step = draw(st.integers(1, dilations)) if extent > 1 else 1
    most = extent - 1 if pool else 3
    before, after = draw(st.integers(0, most)), draw(st.integers(0, most))
    least = max(1, step if pool else 1, step * (extent - 1) + 1 - before - after)
    size = least + draw(st.integers(0, 5))
    return Axis(size, extent, stride, step, before, after, ceil)


@st.composite
def convolutions(draw: Any, *, least: int = 0) -> Geometry:
    """Draw a convolution of at least so many images, with up to 2 groups of up to 2 channels and filters."""
    groups = draw(st.integers(1, 2))
    channels, filters = groups * draw(st.integers(1, 2)), groups * draw(st.integers(1, 2))
    return Geometry(draw(st.integers(least, 2)), channels, draw(axes()), draw(axes()), filters, groups)


@st.composite
def pools(draw: Any, *, ceil: bool = False) -> Geometry:
    """Draw a pooling of up to 2 channels; with ceil=True some round up."""
    along = axes(pool=True, ceil=ceil and draw(st.booleans()))
    return Geometry(draw(st.integers(0, 2)), draw(st.integers(1, 2)), draw(along), draw(along))


seeds = st.integers(0, 2**32 - 1)


def whole(seed: int, *shapes: tuple[int, ...], most: int = 9) -> list[np.ndarray]:
    """Whole numbers up to `most` as float64: their sums are exact in any order, so that == is due."""
    rng = np.random.default_rng(seed)
    return [rng.integers(-most, most + 1, shape).astype(np.float64) for shape in shapes]


def padded(x: Any, g: Geometry, value: float = 0.0) -> Any:
    """Put the padding around a torch tensor x (N, C, H, W), and what a ragged last window reads beyond it."""
    from torch.nn import functional

    sides = []
    for axis in (g.horizontal, g.vertical):
        over = axis.starts[-1] + axis.reach - axis.size - axis.pad_after
        sides += [axis.pad_before, axis.pad_after + max(0, over)]
    return functional.pad(x, sides, value=value)
