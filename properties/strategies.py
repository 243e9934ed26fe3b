"""Hypothesis strategies for cases: valid by construction, ragged and awkward ones as likely as square ones.

Simple values come first in every choice, so that shrinking leads to the smallest geometry. What an implementation
declares (formats, limits, options) steers what is drawn. Nothing is filtered away.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import strategies as st

from oracles.case import CONVOLUTIONS, POOLING, Case
from oracles.geometry import Axis, Geometry
from properties.choices import Choices, made, numbered
from properties.examiner import Examiner, under_test
from properties.recipes import EXACT, possible, spelled

Values = Sequence[Any] | Callable[[str], Sequence[Any]]

EXTENTS = (1, 2, 3, 4, 5, 6, 7)
STRIDES = (1, 2, 3, 4, 5, 8)
PADDINGS = (0, 1, 2, 3, 4, 5)
DILATIONS = (1, 2, 3, 4, 6)
WHOLE = (False,) * 9 + (True,)  # whether windows are as large as the image: global pools have paths of their own
LINES = ("",) * 10 + ("vertical", "horizontal")  # which axis of the image is one cell
MARGINS = range(10)  # cells beyond the least image that holds a window
FEW = (1, 2, 3)
BATCHES = (2, 3, 2, 3, 0)  # an empty batch shows only that it is allowed
WORK = 6000  # multiply-adds beyond which a case has as few images, channels and filters as may be: one in ten

AXIS = ("extent", "stride", "dilation", "before", "after", "margin")
# What is chosen. First what most cases are plainest without: near (all is square but for one parameter).
CHOICES = (
    "near", "other", "whole", "line", "bias", "batch", "groups", "dilated", "dtype", "same", "ceil", "G", "N", "C", "K",
    "recipe",
    *(f"{name} {letter}" for name in AXIS for letter in "HW"),
    "detail 0", "detail 1",
)  # fmt: skip


def cases(
    recipes: Sequence[str] = EXACT,
    *,
    bias: bool = True,
    batches: Sequence[int] | None = None,
    details: dict[str, Values] | None = None,
    count: int = 0,
    **fixed: Sequence[int],
) -> st.SearchStrategy[Case]:
    """A case for the operation under test, its recipe one of those named.

    `details` are a property's own choices, or a function of the operation that gives them. `count`: so many cases, the
    same in each run, numbered by their seed; any cases where it is 0. `fixed` narrows a parameter of both axes: extent,
    stride, dilation, padding, margin.
    """

    def case(choices: Choices) -> Case:
        drawing = _Drawing(choices, under_test(), fixed)
        operation = drawing.examiner.operation
        dtype = drawing.pick("dtype", drawing.examiner.formats)
        geometry = drawing.geometry(batches)
        usable = [name for name in recipes if possible(name, operation, dtype, drawing.examiner.arithmetic)]
        name = drawing.pick("recipe", usable or EXACT[:1])
        chosen = tuple(
            (key, str(drawing.pick(f"detail {i}", values(operation) if callable(values) else values)))
            for i, (key, values) in enumerate((details or {}).items())
        )
        recipe = spelled(
            name, operation, dtype, geometry, drawing.examiner.arithmetic, choices.seed, normal=drawing.examiner.normal
        )
        extra = drawing.has("bias")  # of an average: whether it leaves the padding out of its count
        with_bias = operation == "conv2d" and bias and extra
        include = not (operation.startswith("avg") and extra)
        return Case(operation, dtype, geometry, recipe, choices.seed, with_bias, include, drawing.same, chosen)

    return numbered(CHOICES, case, count) if count else made(CHOICES, case)


class _Drawing:
    """The choices that make one geometry."""

    def __init__(self, choices: Choices, examiner: Examiner, fixed: dict[str, Sequence[int]]) -> None:
        self.pick, self.has, self.examiner, self.fixed = choices.pick, choices.has, examiner, fixed
        self.limits = examiner.subject.declared.limits
        self.pools = examiner.operation in POOLING
        self.same = ""
        if "padding" not in fixed and examiner.option("same_padding"):
            self.same = self.pick("same", ("", "", "same_upper", "same_lower"))

    def allowed(self, letter: str, values: Sequence[int]) -> Sequence[int]:
        """The values that a declared limit leaves; the limit's own where it leaves none."""
        if letter not in self.limits:
            return values
        return [value for value in values if value in self.limits[letter]] or sorted(self.limits[letter])

    def geometry(self, batches: Sequence[int] | None) -> Geometry:
        """The geometry: a batch of images, channels, filters and groups, and two axes."""
        axes, groups = self.axes(), 1
        counts = {"N": self.allowed("N", batches or (BATCHES if self.has("batch") else (1,)))}
        if self.examiner.operation not in CONVOLUTIONS:
            counts["C"] = self.allowed("C", FEW)
        else:
            groups = self.pick("G", self.allowed("G", (2, 3, 4) if self.has("groups") else (1,)))
            for letter in "CK":
                allowed = self.allowed(letter, [groups * few for few in FEW])
                counts[letter] = [count for count in allowed if count % groups == 0] or [groups]

        def geometry(N: int, C: int, K: int = 0) -> Geometry:
            return Geometry(N, C, *axes, K, groups)

        found = geometry(**{letter: self.pick(letter, values) for letter, values in counts.items()})
        return found if found.macs <= WORK else geometry(**{letter: values[0] for letter, values in counts.items()})

    def axes(self) -> tuple[Axis, Axis]:
        """Two axes: independent of each other, or alike in all but one parameter, since some swaps show only there."""
        rounds_up = self.pools and not self.same and self.examiner.option("ceil_mode")
        ceil = rounds_up and self.pick("ceil", (False, False, True))
        vertical: dict[str, Any] = {}
        for name in FIELDS:
            vertical[name] = self.field(name, "H", vertical)
        horizontal: dict[str, Any] = {}
        other = self.pick("other", tuple(FIELDS)) if self.has("near") else ""
        for name in FIELDS:
            horizontal[name] = self.field(name, "W", horizontal) if other in ("", name) else vertical[name]
        if self.pick("whole", WHOLE):
            self.fill(vertical)
            self.fill(horizontal)
        if line := self.pick("line", LINES):
            self.shorten(vertical if line == "vertical" else horizontal)
        if self.pools:  # a window that was exchanged may have become smaller than the padding
            horizontal["padding"] = tuple(min(side, horizontal["extent"] - 1) for side in horizontal["padding"])
        return self.axis(vertical, "H", ceil), self.axis(horizontal, "W", ceil)

    def fill(self, fields: dict[str, Any]) -> None:
        """Make the window as large as the image, without padding, where that is not fixed or limited otherwise."""
        if "margin" not in self.fixed:
            fields["margin"] = 0
        if 0 in self.allowed("P", self.fixed.get("padding", PADDINGS)):
            fields["padding"] = (0, 0)

    def shorten(self, fields: dict[str, Any]) -> None:
        """Make the image one cell long, and the window too, without padding, where that is not fixed or limited."""
        least = {"extent": 1, "dilation": 1, "margin": 0, "padding": 0}
        for name, value in least.items():
            letter, values = FIELDS[name]
            if value in self.allowed(letter, self.fixed.get(name, values)):
                fields[name] = (0, 0) if name == "padding" else value

    def field(self, name: str, side: str, before: dict[str, Any]) -> Any:
        """One parameter of an axis, after those that stand before it in FIELDS."""
        letter, values = FIELDS[name]
        values = self.allowed(letter, self.fixed.get(name, values))
        if name == "dilation":
            possible_here = not self.pools or (not self.same and self.examiner.option("pool_dilation"))
            dilated = possible_here and ("dilation" in self.fixed or self.has("dilated"))
            return self.pick(f"dilation {side}", values) if dilated else 1
        if name != "padding":
            return self.pick(f"{name} {side}", values)
        if self.same:
            return 0, 0
        if self.pools:  # none half of the time: many engines take only half a window
            values = [0, *(value for value in values if value < before["extent"])]
        first = self.pick(f"before {side}", values)
        return first, self.pick(f"after {side}", values) if self.examiner.option("asymmetric_padding") else first

    def axis(self, fields: dict[str, Any], letter: str, ceil: bool) -> Axis:
        """The axis with these parameters and the least size that a window fits, made larger by the margin."""
        extent, dilation, stride = fields["extent"], fields["dilation"], fields["stride"]
        least = max(1, dilation * (extent - 1) + 1 - sum(fields["padding"]))
        if self.pools:
            least = max(least, dilation)  # so that no window falls between the cells into the padding
        sizes = sorted(size for size in self.limits.get(letter, ()) if size >= least)
        size = sizes[fields["margin"] % len(sizes)] if sizes else least + fields["margin"]
        if self.same:
            return Axis.same(size, extent, stride, dilation, self.same)
        axis = Axis(size, extent, stride, dilation, *fields["padding"], ceil)
        # Where all that is read is padding an image is made larger, since outputs that are all zero say little; but for
        # the least one, which has a margin of 0: such calls have ended the process of torch 2.13.
        while not sizes and fields["margin"] and not any(map(axis.taps, range(axis.out))):
            axis = dataclasses.replace(axis, size=axis.size + 1)
        return axis


FIELDS: dict[str, tuple[str, Sequence[int]]] = {  # the parameters of an axis, by the letter of a limit
    "extent": ("F", EXTENTS),
    "stride": ("S", STRIDES),
    "dilation": ("D", DILATIONS),
    "padding": ("P", PADDINGS),
    "margin": ("", MARGINS),
}
