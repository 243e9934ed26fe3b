"""Subject: what the suite holds of an implementation that runs in this process."""

from __future__ import annotations

import inspect
import os
import warnings
from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np

from impls import places, probes, surroundings
from impls.contract import OPERATIONS, Declarations

# Warnings are no verdict: a floating-point one is not even shown, any other is shown once and stays a warning where
# pytest is told to make errors of them.
_SILENT = ("ignore", None, RuntimeWarning, None, 0)
_SHOWN = ("default", None, Warning, None, 0)


def _nothing() -> None:
    pass


ended = _nothing  # called whenever a call has ended; a process of its own tells so that it does not hang


class Subject:
    """An implementation under test, by the names of the contract.

    spec: as on the command line. name: as declared, else the spec. declared: its Declarations. script: lines of Python
    that make it available, under the name `implementation`, in a script of its own.
    Raises ValueError where the namespace offers no operation, or something under an operation's name that is no
    function, or a declaration that makes no sense.
    """

    def __init__(self, spec: str, namespace: object, script: Sequence[str] = ()) -> None:
        self.spec = spec
        self.declared = Declarations.read(namespace)
        self.name = self.declared.name or spec
        self.script = tuple(script)
        self._functions = {name: _placed(function) for name, function in functions(namespace).items()}
        supports = getattr(namespace, "supports", None)
        if supports is not None and not callable(supports):
            raise ValueError(f"supports = {supports!r}: accepted is a function of an operation and its parameters")
        self._supports = None if supports is None else _placed(supports)
        self.has_supports = supports is not None
        self._accepted: dict[str, frozenset[str] | None] = {}
        self.began = surroundings.lasting()
        if not any(operation in self._functions for operation in OPERATIONS):
            raise ValueError(f"it defines none of the operations {', '.join(OPERATIONS)}")

    def __repr__(self) -> str:
        return f"Subject({self.spec!r})"

    def begin(self, seed: int | None = None) -> None:
        """Take note that a property begins, or a case with this seed: it matters where the process is another."""

    def printed(self) -> str:
        """Tell what it has printed since the property began, where that is not seen anyway."""
        return ""

    @property
    def offered(self) -> list[str]:
        """The operations that it defines, and `prepare`."""
        return [*self._functions]

    @property
    def functions(self) -> list[Callable[..., Any]]:
        """The functions of what it defines, as the namespace has them."""
        return [inspect.unwrap(self._function(name)) for name in self.offered]

    def offers(self, operation: str) -> bool:
        """Tell whether it defines the operation (or `prepare`)."""
        return operation in self._functions

    def takes(self, operation: str, parameter: str) -> bool:
        """Tell whether the operation has a parameter of that name; True where that cannot be seen."""
        accepted = self.accepted(operation)
        return accepted is None or parameter in accepted

    def accepted(self, operation: str) -> frozenset[str] | None:
        """Return the names that the operation's parameters have; None where that cannot be seen."""
        if operation not in self._accepted:
            self._accepted[operation] = _parameters(self._function(operation))
        return self._accepted[operation]

    def supports(self, operation: str, **parameters: Any) -> str | None:
        """Return None where it can be asked for this, else the reason why not.

        Raises ValueError where the implementation's own `supports` returns anything but None or a reason.
        """
        if operation not in self._functions:
            return f"{self.name} does not offer {operation}"
        if not self.has_supports:
            return None
        reason = self.reason(operation, parameters)
        if reason is not None and (not isinstance(reason, str) or not reason):
            raise ValueError(
                f"{self.spec}: supports({operation!r}, ...) returned {reason!r}; accepted is None, which means "
                f"supported, or a string, the reason why not"
            )
        return reason

    def reason(self, operation: str, parameters: dict[str, Any]) -> Any:
        """Return what the implementation's own `supports` returns."""
        return self._supports(operation, **parameters)  # type: ignore[misc]

    def call(self, operation: str, *arrays: Any, **parameters: Any) -> Any:
        """Call the operation and return what it returns; what it raises is raised, with a note that tells where.

        Raises LookupError for an operation that is not offered.
        """
        function = self._functions.get(operation) or self._function(operation)
        filters = _quiet()
        try:
            with np.errstate(all="ignore"):
                return function(*arrays, **parameters)
        finally:
            _restore(filters)

    def probe(
        self, name: str, operation: str, arrays: Sequence[Any], parameters: dict[str, Any], **options: Any
    ) -> dict[str, Any]:
        """Run an experiment of `impls.probes` beside the implementation.

        Raises ValueError for an unknown probe, LookupError for an operation that is not offered.
        """
        self._function(operation)
        if name == "prepared":
            self._function("prepare")
        if name == "left":
            options["began"] = self.began
        filters = _quiet()
        try:
            return probes.run(self._functions, name, operation, arrays, parameters, **options)
        finally:
            _restore(filters)

    def _function(self, operation: str) -> Callable[..., Any]:
        if operation not in self._functions:
            raise LookupError(f"{self.spec} does not offer {operation}; it offers {', '.join(self._functions)}")
        return self._functions[operation]


def functions(namespace: object) -> dict[str, Callable[..., Any]]:
    """Return the operations that a namespace defines, in the contract's order, and `prepare`; None is not defined.

    Raises ValueError where something else than a function has the name of an operation.
    """
    offered = {}
    for operation in (*OPERATIONS, "prepare"):
        function = getattr(namespace, operation, None)
        if function is None:
            continue
        if not callable(function):
            raise ValueError(f"{operation} = {function!r}: accepted is a function, or None where it is not offered")
        offered[operation] = function
    return offered


def _placed(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a function so that what it raises carries a note of where, for `places.noted`.

    A process that it forks and lets return ends: no call that follows, and no result, is for that one to make.
    """

    def call(*arrays: Any, **parameters: Any) -> Any:
        pid = os.getpid()
        try:
            return function(*arrays, **parameters)
        except (Exception, SystemExit) as error:
            places.note(error, function)
            raise
        finally:
            if os.getpid() != pid:
                os._exit(0)
            ended()

    call.__wrapped__ = function  # type: ignore[attr-defined]  # whose parameters inspect.signature then shows
    return call


def _parameters(function: Callable[..., Any]) -> frozenset[str] | None:
    """Return the names a function can be given as keywords; None where any may be, or nothing can be seen."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return None
    hidden = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.VAR_POSITIONAL)
    return frozenset(parameter.name for parameter in parameters if parameter.kind not in hidden)


def _quiet() -> list[Any]:
    """Put our filters before all others, and return the list they were put into.

    `warnings.catch_warnings` would restore the wrong list where calls from two threads overlap, and costs ten times
    as much. Adding to one list and removing from the same one is right in any order.
    """
    filters = cast("list[Any]", warnings.filters)
    filters[:0] = (_SILENT, _SHOWN)
    return filters


def _restore(filters: list[Any]) -> None:
    for entry in (_SILENT, _SHOWN):
        if entry in filters:  # an implementation may have reset the filters
            filters.remove(entry)
