"""A strategy for sizes on both sides of whatever a tile, a vector, an unrolled loop or an index type can hold.

One dimension is large, or two are, and the others small, so that a call stays cheap; the sampled oracle and checksums
judge it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from oracles.case import POOLING, Case
from oracles.geometry import Axis, Geometry
from properties.examiner import under_test
from properties.recipes import possible, spelled

RUNGS = tuple(n + d for n in (8, 16, 32, 64, 128, 256) for d in (0, 1, -1))
LARGEST = {"N": 257, "C": 257, "K": 257, "G": 65, "H": 257, "W": 257, "F": 17}
WORK = 2_000_000  # multiply-adds of one call at most
CELLS = 150_000  # elements of the image at most

_RUNG = st.integers(0, len(RUNGS) - 1)
STRIDES = (1, 2, 3, 8)
_STRIDE = st.integers(0, len(STRIDES) - 1)
_SMALL = st.integers(0, 2)
_SEED = st.integers(0, 2**16 - 1)


@st.composite
def large_cases(draw: Callable[[Any], Any], recipes: tuple[str, ...] = ("wide", "gauss")) -> Case:
    """A case of the operation under test with one or two large dimensions."""
    examiner = under_test()
    operation, limits = examiner.operation, examiner.subject.declared.limits
    pools = operation in POOLING
    free = [letter for letter in LARGEST if letter not in limits and not (pools and letter in "KG")] or ["N"]
    large = {free[draw(st.integers(0, len(free) - 1))] for _ in range(1 + draw(st.integers(0, 1)))}
    dtype = examiner.formats[draw(st.integers(0, len(examiner.formats) - 1))]
    size = {letter: _size(draw, letter, letter in large, limits) for letter in LARGEST}
    stride, padding = (STRIDES[draw(_STRIDE)] for _ in "HW"), draw(st.integers(0, 1))
    square = bool(draw(st.integers(0, 1)))  # a large window is large in both directions, or in one
    axes = []
    for letter, step in zip("HW", stride, strict=True):
        extent = (
            min(size["F"], limits["F"][-1])
            if "F" in limits
            else size["F"]
            if square or letter == "W"
            else min(size["F"], 3)
        )
        pad = min(padding, extent - 1)
        steps = limits.get("S", (step,))
        around = limits.get("P", (pad,))
        pad = pad if pad in around else around[0]
        cells = max(size[letter], extent - 2 * pad)
        axes.append((cells, extent, step if step in steps else steps[0], pad))
    shape = _within(size, axes, pools)
    vertical, horizontal = (Axis(cells, extent, step, 1, pad, pad) for cells, extent, step, pad in axes)
    if pools:
        geometry = Geometry(shape["N"], shape["C"], vertical, horizontal)
    else:
        groups = shape["G"]
        geometry = Geometry(shape["N"], groups * shape["C"], vertical, horizontal, groups * shape["K"], groups)
    usable = [name for name in recipes if possible(name, operation, dtype, examiner.arithmetic)] or ["narrow"]
    name = usable[draw(st.integers(0, len(usable) - 1))]
    seed = draw(_SEED)
    recipe = spelled(name, operation, dtype, geometry, examiner.arithmetic, seed)
    return Case(operation, dtype, geometry, recipe, seed, bias=operation == "conv2d" and bool(seed % 2))


def _size(draw: Callable[[Any], Any], letter: str, large: bool, limits: dict[str, tuple[int, ...]]) -> int:
    """A rung of the ladder, or a small number; what a limit allows where there is one."""
    if letter in limits:
        return int(limits[letter][draw(st.integers(0, len(limits[letter]) - 1))])
    if large:
        return min(RUNGS[draw(_RUNG)], LARGEST[letter])
    return 1 if letter == "G" else 1 + draw(_SMALL) + 3 * (letter in "HW")


def _within(size: dict[str, int], axes: list[tuple[int, int, int, int]], pools: bool) -> dict[str, int]:
    """Smaller counts of images, filters, channels and groups where the work would be too much; sizes stay."""
    shape = dict(size) | ({"K": 1, "G": 1} if pools else {})
    outputs = window = cells = 1
    for extent_of_image, extent, step, pad in axes:
        outputs *= (extent_of_image + 2 * pad - extent) // step + 1
        window *= extent
        cells *= extent_of_image
    for letter in ("N", "G", "K", "C"):
        others = 1
        for other in "NGKC":
            others *= shape[other] if other != letter else 1
        images = cells * others // shape["K"] if letter != "K" else cells * others
        shape[letter] = max(1, min(shape[letter], WORK // max(1, outputs * window * others), CELLS // max(1, images)))
    return shape
