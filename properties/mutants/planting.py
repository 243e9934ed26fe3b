"""What a mutant is, and ways to plant one: around a function of im2col or two, inside a copy of it, or afresh.

A mutant is im2col with one small fault in one operation. Its class is the module it stands in, its sentence the first
line of its docstring, and `by` names the properties that must catch it, each of them alone.
"""

from __future__ import annotations

import functools
import importlib.util
import inspect
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from impls import im2col
from impls.arguments import Axis

Property = Callable[..., None]
Fault = Callable[..., Any]  # fault(correct, *arrays, **parameters), in the place of an operation


@dataclass(frozen=True)
class Mutant:
    """One operation of an implementation that is wrong in one way, and the properties that catch it, each alone.

    `make` gives the implementation anew, so that it has seen no call.
    """

    name: str
    kind: str
    sentence: str
    operation: str
    laws: tuple[Property, ...]
    make: Callable[[], object]

    def __str__(self) -> str:
        return f"{self.name}-{self.operation}"


MUTANTS: list[Mutant] = []


def around(*operations: str, by: tuple[Property, ...]) -> Callable[[Fault], Fault]:
    """Plant `fault(correct, *arrays, **parameters)` in the place of each of these operations."""

    def plant(fault: Fault) -> Fault:
        for operation in operations:
            _register(fault, operation, by, functools.partial(_around, operation, lambda: fault))
        return fault

    return plant


def afresh(*operations: str, by: tuple[Property, ...]) -> Callable[[Callable[[], Fault]], Callable[[], Fault]]:
    """Plant what `maker()` returns, a fault as for `around`: one that remembers, and begins with no memories."""

    def plant(maker: Callable[[], Fault]) -> Callable[[], Fault]:
        for operation in operations:
            _register(maker, operation, by, functools.partial(_around, operation, maker))
        return maker

    return plant


def together(
    *operations: str, by: tuple[Property, ...], other: str = ""
) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    """Plant what `maker()` returns: a fault for the `other` operation, which keeps something, and one for these.

    Unless it is named, it is the other direction: of a forward pass its gradients, of gradients the forward pass. It
    stays right.
    """

    def plant(maker: Callable[[], tuple[Fault, Fault]]) -> Callable[[], tuple[Fault, Fault]]:
        for operation in operations:
            _register(maker, operation, by, functools.partial(_together, operation, maker, other))
        return maker

    return plant


def inside(*operations: str, by: tuple[Property, ...]) -> Callable[[Fault], Fault]:
    """Plant `fault(copy)`, which changes a copy of im2col made for it alone."""

    def plant(fault: Fault) -> Fault:
        for operation in operations:
            _register(fault, operation, by, functools.partial(_inside, operation, fault))
        return fault

    return plant


def _around(operation: str, maker: Callable[[], Fault]) -> object:
    correct = getattr(im2col, operation)  # whose signature tells what the operation takes
    return variant(**{operation: functools.wraps(correct)(functools.partial(maker(), correct))})


def _together(operation: str, maker: Callable[[], tuple[Fault, Fault]], other: str) -> object:
    forward = operation.removesuffix("_backward")
    names = other or (f"{forward}_backward" if operation == forward else forward), operation
    correct = [getattr(im2col, name) for name in names]
    planted = zip(names, correct, maker(), strict=True)
    return variant(**{name: functools.wraps(of)(functools.partial(fault, of)) for name, of, fault in planted})


def _inside(operation: str, fault: Fault) -> object:
    copy = copy_of_im2col()
    fault(copy)
    return variant(**{operation: getattr(copy, operation)})


def _register(fault: Callable[..., Any], operation: str, by: tuple[Property, ...], make: Callable[[], object]) -> None:
    concerned = tuple(law for law in by if operation in law.law.operations)  # type: ignore[attr-defined]
    assert concerned, f"{fault.__name__}: none of its properties speaks of {operation}"
    sentence = (inspect.getdoc(fault) or "").split("\n")[0]
    kind = fault.__module__.rsplit(".", 1)[-1]
    MUTANTS.append(Mutant(fault.__name__, kind, sentence, operation, concerned, make))


def variant(base: object = im2col, **replaced: Any) -> types.SimpleNamespace:
    """Copy a namespace, with some of its functions and declarations replaced; None stands for not offered."""
    public = {name: getattr(base, name) for name in dir(base) if not name.startswith("_")}
    return types.SimpleNamespace(**(public | replaced))


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
