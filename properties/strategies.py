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
from properties.faults import faults
from properties.recipes import EXACT, possible, spelled

Draw = Callable[[st.SearchStrategy[Any]], Any]

EXTENTS = (1, 2, 3, 4, 5, 7)
STRIDES = (1, 2, 3, 4, 5)
DILATIONS = (1, 1, 2, 3)
PADDINGS = (0, 1, 2, 3, 5)
MARGINS = range(10)  # cells beyond the least image that holds a window
FEW = (1, 2, 3)
BATCHES = (1, 2, 3, 1, 2, 3, 1, 2, 3, 0)  # an empty batch shows only that it is allowed: one in ten is enough
SAME = ("", "", "same_upper", "same_lower")


_INDEX = [st.nothing(), *(st.integers(0, count - 1) for count in range(1, 256))]  # made once: that costs as a draw does
_SEED = st.integers(0, 2**16 - 1)


def pick(draw: Draw, values: Sequence[Any]) -> Any:
    """One of the values; earlier ones are simpler."""
    return values[0] if len(values) == 1 else values[draw(_INDEX[len(values)])]


@st.composite
def cases(
    draw: Draw,
    recipes: Sequence[str] = EXACT,
    *,
    bias: bool = True,
    batches: Sequence[int] = BATCHES,
    details: dict[str, Sequence[Any] | Callable[[str], Sequence[Any]]] | None = None,
    **fixed: Sequence[int],
) -> Case:
    """A case for the operation under test, its recipe one of those named.

    `details` are a property's own choices, or a function of the operation that gives them; `fixed` narrows a parameter of both axes: stride=(1,), padding=(0,), ...
    """
    examiner = under_test()
    operation = examiner.operation
    dtype = pick(draw, examiner.formats)
    geometry, same = geometries(draw, examiner, batches, fixed)
    usable = [name for name in recipes if possible(name, operation, dtype, examiner.arithmetic)]
    name = pick(draw, usable or EXACT[:1])
    with_bias = operation == "conv2d" and bias and pick(draw, (False, True))
    include = not operation.startswith("avg") or pick(draw, (True, False))
    choices = {key: values(operation) if callable(values) else values for key, values in (details or {}).items()}
    chosen = tuple((key, str(pick(draw, values))) for key, values in choices.items())
    seed = draw(_SEED)
    recipe = spelled(name, operation, dtype, geometry, examiner.arithmetic, seed)
    return Case(operation, dtype, geometry, recipe, seed, with_bias, include, same, chosen)


def fault_names(operation: str) -> list[str]:
    """The names of what can be wrong with a call."""
    return list(faults(operation))


def geometries(
    draw: Draw, examiner: Examiner, batches: Sequence[int], fixed: dict[str, Sequence[int]]
) -> tuple[Geometry, str]:
    """A geometry, and how its padding is spelled."""
    limits = examiner.subject.declared.limits
    n = pick(draw, allowed(limits, "N", batches))
    same = pick(draw, SAME) if examiner.option("same_padding") and "padding" not in fixed else ""
    vertical, horizontal = both_axes(draw, examiner, same, fixed)
    if examiner.operation not in CONVOLUTIONS:
        return Geometry(n, pick(draw, allowed(limits, "C", FEW)), vertical, horizontal), same
    groups = pick(draw, allowed(limits, "G", (1, 1, 1, 2, 3)))
    channels = [c for c in allowed(limits, "C", [groups * c for c in FEW]) if c % groups == 0] or [groups]
    filters = [k for k in allowed(limits, "K", [groups * k for k in FEW]) if k % groups == 0] or [groups]
    return Geometry(n, pick(draw, channels), vertical, horizontal, pick(draw, filters), groups), same


def both_axes(draw: Draw, examiner: Examiner, same: str, fixed: dict[str, Sequence[int]]) -> tuple[Axis, Axis]:
    """Two axes: independent of each other, or alike in all but one parameter, since some swaps show only there."""
    pools = examiner.operation in POOLING
    ceil = pools and not same and examiner.option("ceil_mode") and pick(draw, (False, True))
    vertical, horizontal = (axis_fields(draw, examiner, same, fixed) | {"ceil": ceil} for _ in "HW")
    if pick(draw, ("free", "free", "near")) == "near":
        field = pick(draw, sorted(horizontal))
        horizontal = vertical | {field: horizontal[field]}
        if pools:  # padding stays smaller than a window that was exchanged
            horizontal["padding"] = tuple(min(side, horizontal["extent"] - 1) for side in horizontal["padding"])
    return axis(vertical, "H", examiner, same), axis(horizontal, "W", examiner, same)


def axis_fields(draw: Draw, examiner: Examiner, same: str, fixed: dict[str, Sequence[int]]) -> dict[str, Any]:
    """The parameters of one axis, all but its size, which is the least possible and a margin."""
    limits, pools = examiner.subject.declared.limits, examiner.operation in POOLING
    extent = pick(draw, allowed(limits, "F", fixed.get("extent", EXTENTS)))
    stride = pick(draw, allowed(limits, "S", fixed.get("stride", STRIDES)))
    dilatable = extent > 1 and (examiner.option("pool_dilation") and not same if pools else True)
    dilation = pick(draw, allowed(limits, "D", fixed.get("dilation", DILATIONS))) if dilatable else 1
    paddings = [p for p in allowed(limits, "P", fixed.get("padding", PADDINGS)) if not pools or p < extent] or [0]
    before = 0 if same else pick(draw, paddings)
    after = pick(draw, paddings) if examiner.option("asymmetric_padding") and not same else before
    margin = pick(draw, fixed.get("margin", MARGINS))
    return dict(extent=extent, stride=stride, dilation=dilation, padding=(before, after), margin=margin)


def axis(fields: dict[str, Any], letter: str, examiner: Examiner, same: str) -> Axis:
    """The axis with these parameters and the least size that a window fits, made larger by the margin."""
    extent, dilation = fields["extent"], fields["dilation"]
    reach = dilation * (extent - 1) + 1
    least = max(1, reach - sum(fields["padding"]))
    if examiner.operation in POOLING:
        least = max(least, dilation)  # so that no window falls between the cells into the padding
    sizes = sorted(size for size in examiner.subject.declared.limits.get(letter, ()) if size >= least)
    size = sizes[fields["margin"] % len(sizes)] if sizes else least + fields["margin"]
    if same:
        return Axis.same(size, extent, fields["stride"], dilation, same)
    return Axis(size, extent, fields["stride"], dilation, *fields["padding"], fields["ceil"])


def allowed(limits: dict[str, Sequence[int]], letter: str, values: Sequence[int]) -> Sequence[int]:
    """The values that a declared limit leaves; the limit's own where it leaves none."""
    if letter not in limits:
        return values
    return [value for value in values if value in limits[letter]] or sorted(limits[letter])
