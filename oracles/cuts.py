"""Parts of an axis: the cells and windows that bear on one element, and the axis on which just these lie."""

from __future__ import annotations

from oracles.geometry import Axis


def near(axis: Axis, name: str, index: int, margin: int) -> tuple[slice, slice, Axis, int] | None:
    """Cut a dense axis to `margin` around an output or a cell: cells, windows, axis, the index in it.

    Tiles may reach over what windows leave at the end. None where all the windows lie in the padding.
    """
    F, S, P = axis.extent, axis.stride, axis.pad_before
    if name == "y":
        first, last = max(0, index - margin), min(axis.out - 1, index + margin)
        whole = last == axis.out - 1
        begin, end = axis.starts[first], axis.size + axis.pad_after if whole else axis.starts[last] + F
        low, high = max(0, begin), min(axis.size, end)
        if low >= high:
            return None
        small = Axis(high - low, F, S, 1, low - begin, end - high)
        return slice(low, high), slice(first, last + 1), small, index - first
    low, high = max(0, index - margin * S), min(axis.size, index + margin * S + 1)
    taps = -(-F // S) + 2 * margin + 3
    first = min(axis.out - 1, max(0, (low + P) // S - taps))
    last = max(first, min(axis.out - 1, (high - 1 + P) // S + margin))
    low = max(low, axis.starts[first])
    if low > index:
        return None
    before, after = low - axis.starts[first], max(0, axis.starts[last] + F - high)
    return slice(low, high), slice(first, last + 1), Axis(high - low, F, S, 1, before, after), index - low


def cut(axis: Axis, first: int, last: int) -> tuple[slice, slice, Axis]:
    """Cut an axis to windows first..last: the cells they span, the windows, and the axis on which just these lie.

    A window that overhangs the padding behind the image comes with the one before it, lest it have no place to stand.
    """
    end, wall = axis.starts[last] + axis.reach, axis.size + axis.pad_after
    if end > wall:
        first, end = min(first, last - 1), wall
    begin = axis.starts[first]
    low, high = max(0, begin), min(axis.size, end)
    small = Axis(high - low, axis.extent, axis.stride, axis.dilation, low - begin, end - high, axis.ceil)
    return slice(low, high), slice(first, last + 1), small
