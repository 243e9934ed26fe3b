"""Faults planted in im2col, one each: around one of its functions, or inside a copy of it; and who must catch them."""

from __future__ import annotations

import functools
import importlib.util
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from impls import im2col
from impls.arguments import Axis
from properties.selfcheck.running import variant

Property = Callable[..., None]


@dataclass(frozen=True)
class Fault:
    """One operation of an implementation that is wrong in one way, and the properties that catch it, each alone."""

    name: str
    operation: str
    namespace: object
    laws: tuple[Property, ...]


FAULTS: list[Fault] = []


def around(*operations: str, by: tuple[Property, ...]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Plant `fault(correct, *arrays, **parameters)` in the place of each of these operations."""

    def plant(fault: Callable[..., Any]) -> Callable[..., Any]:
        for operation in operations:
            correct = getattr(im2col, operation)
            replaced = functools.wraps(correct)(functools.partial(fault, correct))  # the signature tells what it takes
            _register(fault.__name__, operation, variant(**{operation: replaced}), by)
        return fault

    return plant


def inside(*operations: str, by: tuple[Property, ...]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Plant `fault(copy)`, which changes a copy of im2col made for it alone."""

    def plant(fault: Callable[..., Any]) -> Callable[..., Any]:
        for operation in operations:
            copy = copy_of_im2col()
            fault(copy)
            _register(fault.__name__, operation, variant(**{operation: getattr(copy, operation)}), by)
        return fault

    return plant


def _register(name: str, operation: str, namespace: object, laws: tuple[Property, ...]) -> None:
    concerned = tuple(law for law in laws if operation in law.law.operations)  # type: ignore[attr-defined]
    assert concerned, f"{name}: none of its properties speaks of {operation}"
    FAULTS.append(Fault(name, operation, namespace, concerned))


def copy_of_im2col() -> types.ModuleType:
    """Give im2col once more, its names free to be changed; the original is not touched."""
    found = importlib.util.find_spec("impls.im2col")
    assert found is not None
    assert found.loader is not None
    copy = importlib.util.module_from_spec(found)
    found.loader.exec_module(copy)
    return copy


def arguments(copy: types.ModuleType, **changed: Callable[..., Any]) -> None:
    """Let a copy check its arguments by other functions, each of which is given the right one first."""
    right = copy.arguments
    replaced = {name: functools.partial(change, getattr(right, name)) for name, change in changed.items()}
    copy.arguments = types.SimpleNamespace(**(vars(right) | replaced))


def reading(copy: types.ModuleType, change: Callable[[Axis, Axis], tuple[Axis, Axis]]) -> None:
    """Let a copy count its windows right, and then read along other axes (vertical, horizontal)."""
    arguments(
        copy,
        convolution=lambda right, *a, **k: (lambda v, h, G: (*change(v, h), G))(*right(*a, **k)),
        pooling=lambda right, *a, **k: change(*right(*a, **k)),
    )


def turned(pair: Any) -> Any:
    """Exchange vertical and horizontal; SAME, which is one word for both, stays."""
    return pair if isinstance(pair, str) else pair[::-1]
