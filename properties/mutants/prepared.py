"""A fourth way to plant a mutant: in what an implementation that prepares its filters does with prepared ones."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from impls import im2col
from properties.mutants.planting import MUTANTS, Fault, Mutant, Property, variant


def with_prepared(call: Fault, prepare: Callable[..., Any] | None = None) -> object:
    """Make im2col an implementation with prepared filters: lists, the filter first, on which conv2d does `call`."""

    @functools.wraps(im2col.conv2d)
    def conv2d(x: Any, w: Any, b: Any, **p: Any) -> Any:
        return call(im2col.conv2d, x, w, b, **p) if isinstance(w, list) else im2col.conv2d(x, w, b, **p)

    return variant(conv2d=conv2d, prepare=prepare or copied)


def copied(w: Any, **p: Any) -> list[Any]:
    """Prepare a filter by a copy of it."""
    return [w.copy()]


def prepared(*, by: tuple[Property, ...], prepare: Callable[..., Any] = copied) -> Callable[[Fault], Fault]:
    """Plant `fault(correct, x, filters, b, **parameters)` where conv2d is given what `prepare` made of the filters."""

    def plant(fault: Fault) -> Fault:
        sentence = (inspect.getdoc(fault) or "").split("\n")[0]
        kind = fault.__module__.rsplit(".", 1)[-1]
        make = functools.partial(with_prepared, fault, prepare)
        MUTANTS.append(Mutant(fault.__name__, kind, sentence, "conv2d", by, make))
        return fault

    return plant
