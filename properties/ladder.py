"""A strategy for sizes on both sides of whatever a tile, a vector, an unrolled loop or an index type can hold.

One dimension is large, or two are, and the others small, so that a call stays cheap; the sampled oracle and checksums
judge it. With many channels or a large window the sum of one output is long.
"""

from __future__ import annotations

from hypothesis.strategies import SearchStrategy

from oracles.case import CONVOLUTIONS, POOLING, Case
from oracles.geometry import Axis, Geometry
from properties.choices import Choices, made
from properties.examiner import under_test
from properties.recipes import possible, spelled

RUNGS = tuple(n + d for n in (8, 16, 32, 64, 128, 256) for d in (0, 1, -1))
LARGEST = {"N": 257, "C": 257, "K": 257, "G": 65, "H": 257, "W": 257, "F": 17, "D": 33, "P": 33}  # C, K of a group
WORK = 2_000_000  # multiply-adds of one call at most
WIDEST = 600  # cells along one axis, at which it has as many outputs as a rung says
CELLS = 150_000  # elements of the image at most
STRIDES = (1, 2, 3, 8)

CHOICES = (
    "first",
    "second",
    "one",
    "outputs",
    "tall",
    "padding",
    "where",
    "stride H",
    "stride W",
    "dtype",
    "recipe",
    *LARGEST,
)


def large_cases(recipes: tuple[str, ...] = ("wide", "gauss"), often: str = "") -> SearchStrategy[Case]:
    """A case of the operation under test with one or two large dimensions, in half of all cases the one named."""

    def case(choices: Choices) -> Case:
        examiner, pick = under_test(), choices.pick
        operation, limits = examiner.operation, examiner.subject.declared.limits
        pools = operation in POOLING
        unused = ("K", "G", "D") if pools else ()
        free = [letter for letter in LARGEST if letter not in limits and letter not in unused] or ["N"]
        weighted = free + len(free) * [often] if often in free else free
        first = pick("first", [*weighted, "HW"] if {"H", "W"} <= {*free} else weighted)  # "HW": a large plane
        large = {*first, *(first if choices.has("one") else pick("second", free))}
        size = {letter: _size(choices, letter, letter in large, limits) for letter in LARGEST}
        axes = [_axis(choices, letter, size, large, limits) for letter in "HW"]
        counts = _within(size, axes, pools)
        groups = 1 if pools else counts["G"]
        filters = 0 if operation not in CONVOLUTIONS else groups * counts["K"]
        geometry = Geometry(counts["N"], groups * counts["C"], *axes, filters, groups)
        dtype, seed = pick("dtype", examiner.formats), choices.seed
        usable = [name for name in recipes if possible(name, operation, dtype, examiner.arithmetic)] or ["narrow"]
        recipe = spelled(
            pick("recipe", usable), operation, dtype, geometry, examiner.arithmetic, seed, normal=examiner.normal
        )
        return Case(operation, dtype, geometry, recipe, seed, bias=operation == "conv2d" and bool(seed % 2))

    return made(CHOICES, case)


def _size(choices: Choices, letter: str, large: bool, limits: dict[str, tuple[int, ...]]) -> int:
    """A rung of the ladder, or a small number; what a limit allows where there is one."""
    if letter in limits:
        return int(choices.pick(letter, limits[letter]))
    if large:
        return min(int(choices.pick(letter, RUNGS)), LARGEST[letter])
    return 1 if letter in "GDP" else int(choices.pick(letter, (1, 2, 3))) + 3 * (letter in "HW")


def _axis(
    choices: Choices, letter: str, size: dict[str, int], large: set[str], limits: dict[str, tuple[int, ...]]
) -> Axis:
    """One axis. A large window is large in both directions or in the horizontal one; dilation and padding in either."""
    pooling = under_test().operation in POOLING
    here = choices.pick("where", ("HW", "H", "W"))
    extent = size["F"]
    if "F" not in limits and letter == "H" and choices.has("tall"):
        extent = min(extent, 3)
    if "F" not in limits and "P" in large and pooling:  # a pool's padding is smaller than its window
        extent = min(max(extent, size["P"] + 1), LARGEST["F"])
    if "F" not in limits and "D" in large:
        extent = max(2, extent)
    steps = [step for step in STRIDES if step in limits.get("S", STRIDES)] or limits["S"]
    dilation = size["D"] if "D" in limits or ("D" in large and letter in here) else 1
    padding = size["P"] if "P" in limits or ("P" in large and letter in here) else int(choices.has("padding"))
    if pooling:
        dilation, padding = 1, min(padding, extent - 1)
    padding = padding if padding in limits.get("P", (padding,)) else limits["P"][0]
    stride, reach = choices.pick(f"stride {letter}", steps), dilation * (extent - 1) + 1
    cells = size[letter]
    needed = (cells - 1) * stride + reach - 2 * padding
    wide = letter not in limits and (letter in large or "F" in large)  # a large window may have several outputs too
    if wide and choices.has("outputs") and needed <= WIDEST:  # so many outputs
        cells = needed
    return Axis(max(cells, reach - 2 * padding, 1), extent, stride, dilation, padding, padding)


def _within(size: dict[str, int], axes: list[Axis], pools: bool) -> dict[str, int]:
    """Smaller counts of images, groups, filters and channels where the work would be too much; sizes stay."""
    counts = size | ({"K": 1, "G": 1} if pools else {})
    vertical, horizontal = axes
    macs = vertical.out * horizontal.out * vertical.extent * horizontal.extent
    cells = vertical.size * horizontal.size
    for letter in ("N", "G", "K", "C"):
        others = 1
        for other in "NGKC":
            others *= counts[other] if other != letter else 1
        images = cells * others // (counts["K"] if letter != "K" else 1)
        counts[letter] = max(1, min(counts[letter], WORK // max(1, macs * others), CELLS // max(1, images)))
    return counts
