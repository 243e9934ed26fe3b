"""Hypothesis strategies for cases: valid by construction, ragged and awkward ones as likely as square ones.

Simple values come first in every choice, so that shrinking leads to the smallest geometry. What an implementation
declares (formats, limits, options) steers what is drawn. Nothing is filtered away.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import strategies as st

from oracles.case import CONVOLUTIONS, POOLING, Case
from oracles.geometry import Axis, Geometry
from properties.examiner import Examiner, under_test
from properties.recipes import EXACT, possible, spelled

Choices = Sequence[Any] | Callable[[str], Sequence[Any]]

EXTENTS = (1, 2, 3, 4, 5, 6, 7)
STRIDES = (1, 2, 3, 4, 5, 8)
PADDINGS = (0, 1, 2, 3, 4, 5)
DILATIONS = (1, 2, 3, 4, 6)
MARGINS = range(10)  # cells beyond the least image that holds a window
FEW = (1, 2, 3)
BATCHES = (2, 3, 2, 3, 0)  # an empty batch shows only that it is allowed

# What a case may have beyond the plainest one. One draw decides on all of them: a draw costs 30 µs, as much as
# a comparison of two small arrays, and most cases have few of these.
FEATURES = ("near", "bias", "batch", "groups", "dilation")

_STYLE = st.integers(0, 2 ** len(FEATURES) - 1)
_SEED = st.integers(0, 2**16 - 1)
_INDEX = [st.nothing(), *(st.integers(0, count - 1) for count in range(1, 256))]  # making one costs as much as a draw


@st.composite
def cases(
    draw: Callable[[Any], Any],
    recipes: Sequence[str] = EXACT,
    *,
    bias: bool = True,
    batches: Sequence[int] | None = None,
    details: dict[str, Choices] | None = None,
    **fixed: Sequence[int],
) -> Case:
    """A case for the operation under test, its recipe one of those named.

    `details` are a property's own choices, or a function of the operation that gives them. `fixed` narrows a
    parameter of both axes: extent, stride, dilation, padding, margin.
    """
    drawing = _Drawing(draw, under_test(), fixed)
    operation = drawing.examiner.operation
    dtype = drawing.pick(drawing.examiner.formats)
    geometry, same = drawing.geometry(batches)
    usable = [name for name in recipes if possible(name, operation, dtype, drawing.examiner.arithmetic)]
    name = drawing.pick(usable or EXACT[:1])
    chosen = tuple(
        (key, str(drawing.pick(values(operation) if callable(values) else values)))
        for key, values in (details or {}).items()
    )
    seed = draw(_SEED)
    recipe = spelled(name, operation, dtype, geometry, drawing.examiner.arithmetic, seed)
    extra = drawing.has("bias")  # of an average: whether it leaves the padding out of its count
    with_bias = operation == "conv2d" and bias and extra
    include = not (operation.startswith("avg") and extra)
    return Case(operation, dtype, geometry, recipe, seed, with_bias, include, same, chosen)


class _Drawing:
    """The choices that make one geometry."""

    def __init__(self, draw: Callable[[Any], Any], examiner: Examiner, fixed: dict[str, Sequence[int]]) -> None:
        self.draw, self.examiner, self.fixed = draw, examiner, fixed
        self.limits = examiner.subject.declared.limits
        self.pools = examiner.operation in POOLING
        self.style = draw(_STYLE)
        self.same = ""
        if examiner.option("same_padding") and "padding" not in fixed:
            self.same = self.pick(("", "", "same_upper", "same_lower"))

    def pick(self, values: Sequence[Any]) -> Any:
        """One of the values; earlier ones are simpler."""
        return values[0] if len(values) == 1 else values[self.draw(_INDEX[len(values)])]

    def has(self, feature: str) -> bool:
        """Whether the case has a feature."""
        return bool(self.style >> FEATURES.index(feature) & 1)

    def allowed(self, letter: str, values: Sequence[int]) -> Sequence[int]:
        """The values that a declared limit leaves; the limit's own where it leaves none."""
        if letter not in self.limits:
            return values
        return [value for value in values if value in self.limits[letter]] or sorted(self.limits[letter])

    def geometry(self, batches: Sequence[int] | None) -> tuple[Geometry, str]:
        """A geometry, and how its padding is spelled."""
        n = self.pick(self.allowed("N", batches or (BATCHES if self.has("batch") else (1,))))
        vertical, horizontal = self.axes()
        if self.examiner.operation not in CONVOLUTIONS:
            return Geometry(n, self.pick(self.allowed("C", FEW)), vertical, horizontal), self.same
        groups = self.pick(self.allowed("G", (2, 3, 4) if self.has("groups") else (1,)))
        channels, filters = (
            [count for count in self.allowed(letter, [groups * few for few in FEW]) if count % groups == 0] or [groups]
            for letter in "CK"
        )
        return Geometry(n, self.pick(channels), vertical, horizontal, self.pick(filters), groups), self.same

    def axes(self) -> tuple[Axis, Axis]:
        """Two axes: independent of each other, or alike in all but one parameter, since some swaps show only there."""
        ceil = self.pools and not self.same and self.examiner.option("ceil_mode") and self.pick((False, False, True))
        vertical: dict[str, Any] = {}
        for name in FIELDS:
            vertical[name] = self.field(name, vertical)
        horizontal: dict[str, Any] = {}
        other = self.pick(tuple(FIELDS)) if self.has("near") else ""
        for name in FIELDS:
            horizontal[name] = self.field(name, horizontal) if other in ("", name) else vertical[name]
        if self.pools:  # a window that was exchanged may have become smaller than the padding
            horizontal["padding"] = tuple(min(side, horizontal["extent"] - 1) for side in horizontal["padding"])
        return self.axis(vertical, "H", ceil), self.axis(horizontal, "W", ceil)

    def field(self, name: str, before: dict[str, Any]) -> Any:
        """One parameter of an axis, after those that stand before it in FIELDS."""
        letter, values = FIELDS[name]
        values = self.allowed(letter, self.fixed.get(name, values))
        if name == "dilation":
            possible_here = not self.pools or (self.examiner.option("pool_dilation") and not self.same)
            return self.pick(values) if possible_here and (self.has("dilation") or "dilation" in self.fixed) else 1
        if name != "padding":
            return self.pick(values)
        if self.same:
            return 0, 0
        if self.pools:  # none half of the time: many engines take only half a window
            values = [0, *(value for value in values if value < before["extent"])]
        first = self.pick(values)
        return first, self.pick(values) if self.examiner.option("asymmetric_padding") else first

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
        return Axis(size, extent, stride, dilation, *fields["padding"], ceil)


FIELDS: dict[str, tuple[str, Sequence[int]]] = {  # the parameters of an axis, by the letter of a limit
    "extent": ("F", EXTENTS),
    "stride": ("S", STRIDES),
    "dilation": ("D", DILATIONS),
    "padding": ("P", PADDINGS),
    "margin": ("", MARGINS),
}
