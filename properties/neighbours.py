"""Other cases like a given one: what a workspace, a plan or a cache that is keyed too narrowly takes for the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from oracles.case import CONVOLUTIONS, Case
from oracles.geometry import Axis, Geometry
from properties.examiner import Examiner, Unsupported
from properties.recipes import spelled


def with_data(case: Case, number: int) -> Case:
    """Give the same call other data of the same kind; number 0 is the case itself."""
    return replace(case, seed=case.seed + number)


def neighbour(subject: Examiner, case: Case, change: str) -> Case:
    """Change one thing of the case, and its data; the data alone where the implementation cannot be asked for it."""
    try:
        changed = CHANGES[change](subject, case)
    except ValueError:  # no window fits
        return with_data(case, 1)
    changed = replace(changed, seed=case.seed + 1)
    return changed if owed(subject, changed) else with_data(case, 1)


def owed(subject: Examiner, case: Case) -> bool:
    """Tell whether the implementation may be asked for the case, its limits and `supports` heeded."""
    g = case.geometry
    axes = (g.vertical, g.horizontal)
    if not g.K and (g.empty_windows or any(max(a.pad_before, a.pad_after) >= a.extent for a in axes)):
        return False
    if subject.subject.declared.beyond(g.sizes):
        return False
    try:
        subject.require(case.operation, case, subject.parameters(case))
    except Unsupported:
        return False
    return True


def of_other(subject: Examiner, case: Case, operation: str) -> Case | None:
    """Move the case to another operation, on images as large, its data changed; None where that cannot be asked for."""
    g, pools = case.geometry, operation not in CONVOLUTIONS
    axes = {
        name: replace(axis, dilation=1, **_sides(axis, axis.extent - 1 if pools else max(axis.padded, 1)), ceil=False)
        for name, axis in (("vertical", g.vertical), ("horizontal", g.horizontal))
    }
    try:
        geometry = replace(g, **axes, K=0 if pools else g.K or g.C, G=1)  # type: ignore[arg-type]
        plain = replace(
            case, operation=operation, bias=False, include_pad=True, same="", details=(), seed=case.seed + 1
        )
        moved = respelled(subject, plain, geometry)
    except ValueError:  # no window fits
        return None
    return moved if owed(subject, moved) else None


def _sides(axis: Axis, most: int) -> dict[str, int]:
    return {"pad_before": min(axis.pad_before, most), "pad_after": min(axis.pad_after, most)}


def respelled(subject: Examiner, case: Case, geometry: Geometry) -> Case:
    """Move the case to another geometry, the numbers of its recipe fitted to it."""
    name = case.recipe.split(":")[0]
    recipe = spelled(name, case.operation, case.dtype, geometry, subject.arithmetic, case.seed, normal=subject.normal)
    return replace(case, geometry=geometry, recipe=recipe)


def _of_axes(*amounts: int, **change: Callable[[Axis, int], int]) -> Callable[[Examiner, Case], Case]:
    """Change fields of the vertical axis by the first amount, of the horizontal one by the second."""

    def changed(subject: Examiner, case: Case) -> Case:
        g = case.geometry
        both = [
            _axis(case, axis, {field: new(axis, amount) for field, new in change.items()})
            for axis, amount in zip((g.vertical, g.horizontal), amounts, strict=True)
        ]
        return respelled(subject, case, replace(g, vertical=both[0], horizontal=both[1]))

    return changed


def _axis(case: Case, axis: Axis, fields: dict[str, Any]) -> Axis:
    if not case.same:
        return replace(axis, **fields)
    kept = {name: getattr(axis, name) for name in ("size", "extent", "stride", "dilation")}
    return Axis.same(**(kept | {name: fields[name] for name in fields.keys() & kept.keys()}), side=case.same)


def _as_many_outputs(axis: Axis) -> int:
    """Give the axis one cell more or less: that which leaves it as many outputs, where a stride may skip a cell."""
    more, less = (replace(axis, size=max(1, axis.size + by)) for by in (1, -1))
    return (less if more.out != axis.out == less.out else more).size


def _batch(subject: Examiner, case: Case) -> Case:
    return respelled(subject, case, replace(case.geometry, N=case.geometry.N + 4))


def _channels(subject: Examiner, case: Case) -> Case:
    g = case.geometry
    return respelled(subject, case, replace(g, C=2 * g.C, K=2 * g.K))


def _turned(subject: Examiner, case: Case) -> Case:
    g = case.geometry
    return respelled(subject, case, replace(g, vertical=g.horizontal, horizontal=g.vertical))


def _format(subject: Examiner, case: Case) -> Case:
    formats = subject.formats
    dtype = formats[(formats.index(case.dtype) + 1) % len(formats)] if case.dtype in formats else case.dtype
    return respelled(subject, replace(case, dtype=dtype), case.geometry)


def _dilation(subject: Examiner, case: Case) -> Case:
    if case.operation not in CONVOLUTIONS and not subject.option("pool_dilation", case.operation):
        return case
    return _of_axes(1, 2, dilation=lambda a, by: 1 if a.dilation > 1 else 1 + by)(subject, case)


CHANGES: dict[str, Callable[[Examiner, Case], Case]] = {
    "data": lambda subject, case: case,
    "size": _of_axes(3, 2, size=lambda a, by: a.size + by),
    "row": _of_axes(1, 0, size=lambda a, by: _as_many_outputs(a) if by else a.size),
    "column": _of_axes(0, 1, size=lambda a, by: _as_many_outputs(a) if by else a.size),
    "batch": _batch,
    # the padding becomes image: the padded image is as large as before, its border is not zero
    "border": _of_axes(0, 0, size=lambda a, _: a.padded, pad_before=lambda a, _: 0, pad_after=lambda a, _: 0),
    "padding": _of_axes(
        1, 1, pad_before=lambda a, by: max(0, a.pad_before - by), pad_after=lambda a, by: max(0, a.pad_after - by)
    ),
    "stride": _of_axes(1, 2, stride=lambda a, by: 1 if a.stride > 1 else 1 + by),
    "dilation": _dilation,
    "turned": _turned,
    "channels": _channels,
    "format": _format,
}
