"""Why a call failed in its process: it is made again with one protection after another removed, and the cause named."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from impls.contract import ARRAYS
from impls.isolation.failures import Failure, Hung, LeftUnwritten, OutOfMemory, WroteAround
from impls.isolation.subject import RESULTS, SIDES, Asked, IsolatedSubject, blame, wrote

BOUNDS = "wrote or read out of bounds"
HEAP = re.compile(r"free\(\)|alloc\w*\(\)|corrupt|smashing")  # what glibc says of a heap before it aborts
REACHES = tuple(1 << power for power in range(2, 13))  # bytes past an array's end that a read is tried with


@dataclass(frozen=True)
class Cause:
    """What a failing call does, in words, and the verdict's word for it."""

    verdict: str
    what: str


def cause(subject: IsolatedSubject) -> Cause | None:
    """Name the cause of the subject's last failure; None where there is none, or it does not fail again."""
    if subject.failed is None:
        return None
    asked, failure = subject.failed
    if isinstance(failure, Hung | OutOfMemory | WroteAround | LeftUnwritten):
        return None  # it says by itself what was done
    names = [
        name
        for name, array in zip(ARRAYS[asked.operation], asked.arrays, strict=False)
        if isinstance(array, np.ndarray)
    ]
    try:
        answer = subject.exchange(asked, at_edge=(), writable=True)
    except Failure as still:
        if HEAP.search(str(still)):
            return Cause(BOUNDS, "it writes outside of memory that it has allocated itself")
        wild = type(still).__name__ in ("SIGSEGV", "SIGBUS")
        return Cause(still.verdict, "it does so wherever its arrays lie in memory") if wild else None
    written = [wrote(names[number], *where) for number, found in answer["around"].items() for where in found]
    written += [str(blame(*finding)) for finding in answer["wrong"] if finding[0] != "unwritten"]
    if written:
        return Cause(BOUNDS, "; ".join(written))
    if answer["changed"] and asked.do == "call":
        return Cause("changed its input", f"it writes its input {', '.join(names[n] for n in answer['changed'])}")
    return _read(subject, asked, names)


def _read(subject: IsolatedSubject, asked: Asked, names: Sequence[str]) -> Cause | None:
    """Name the array around which nothing is written, yet memory is touched: what it fails at alone.

    A probe passes copies that it lays out itself, all of them on one side.
    """
    if asked.do != "call":
        names = ()
    for side in (asked.side, *(other for other in SIDES if other != asked.side)):
        placed = dataclasses.replace(asked, side=side)
        for number, name in [*enumerate(names), (RESULTS, "the result" if names else "an array")]:
            if _failure(subject, placed, at_edge=(number,), writable=True) is None:
                continue
            if side == "left":
                return Cause(BOUNDS, f"it reads before the start of {name}")
            far = next(
                (
                    f", by at most {n} bytes"
                    for n in REACHES
                    if number != RESULTS and _passes(subject, placed, number, n)
                ),
                "",
            )
            return Cause(BOUNDS, f"it reads past the end of {name}{far}")
    return None


def _passes(subject: IsolatedSubject, asked: Asked, number: int, allowed: int) -> bool:
    return _failure(subject, asked, at_edge=(number,), writable=True, allowed=allowed) is None


def _failure(subject: IsolatedSubject, asked: Asked, **how: object) -> Failure | None:
    """Make a call again and return its failure, if it fails again."""
    try:
        subject.exchange(asked, **how)  # type: ignore[arg-type]
    except Failure as failure:
        return failure
    return None
