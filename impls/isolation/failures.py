"""What can become of a call in a process of its own: each kind is a class, so that Hypothesis shrinks it by itself."""

from __future__ import annotations

import builtins
import signal
from functools import cache
from typing import Any

from impls.isolation.crash_site import Site


class Failure(Exception):  # noqa: N818 - one of these is what was found, not an error of ours
    """A call that gave no answer, or did what no answer makes good. `verdict` is its word in the results file."""

    verdict = "crashed"
    site = Site()  # where in native code it happened


class Crashed(Failure):
    """The process died of a signal; see `crashed`."""


class OutOfMemory(Failure):
    """The process died when it held nearly all the memory that it may have."""


class Exited(Failure):
    """The process ended itself, or closed its channel."""


class Garbled(Failure):
    """The process sent what is no answer."""


class Hung(Failure):
    """There was no answer in time."""

    verdict = "hung"


class Printed(Failure):
    """A call printed more than a log bears."""

    verdict = "printed too much"


class WroteAround(Failure):
    """Memory before or behind a result was written."""

    verdict = "wrote or read out of bounds"


class LeftUnwritten(Failure):
    """A cell of a result was never written."""

    verdict = "differs"


@cache
def crashed(number: int) -> type[Crashed]:
    """Give the class of a signal's crash, such as SIGSEGV's."""
    named = {each.value: each.name for each in signal.Signals}
    name = named.get(number) or f"signal {number}"  # a real-time signal has no name
    return type(name, (Crashed,), {"__doc__": signal.strsignal(number)})


@cache
def raised(name: str, refusal: bool) -> type[BaseException]:
    """Give the class for an exception of this name that an implementation has raised; it is made from what it said.

    It derives from Python's own of that name; else, where it is a refusal, from ValueError.
    """
    own = getattr(builtins, name, None)
    base: type[BaseException] = ValueError if refusal else Exception
    if isinstance(own, type) and issubclass(own, (Exception, SystemExit)) and issubclass(own, ValueError) == refusal:
        base = Exception if issubclass(own, BaseExceptionGroup) else own  # a group cannot be made from text

    def keep(self: Any, said: str) -> None:  # as an exception's own text may be made of its arguments in any way
        self.said = said

    members = {"__init__": keep, "__str__": lambda self: self.said}
    return type(name, (base,), members)
