"""Nothing is timed before its verdict agrees, on the very case and on other data of its shape; and it must stay so.

What answers from a cache by shape or by address, or rightly no longer after some calls, is found to be wrong.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from bench import clock
from impls import places
from impls.subject import Subject
from oracles import sampled, tapwise
from oracles.case import POOLING, Case
from oracles.data import arrays
from oracles.formats import FORMATS
from oracles.rounding import Arithmetic, exact_bits
from oracles.verdict import Verdict

PLACES = 60  # of each output, corners, borders and tile edges among them; the checksum looks at all
FEW = 8  # of them, on other data
WRONG = "wrong, not timed"
OVERWRITTEN = f"{WRONG}: an earlier result changed in a later call"

Data = dict[str, np.ndarray | None]


class Wrong(Exception):  # noqa: N818 - a verdict on an implementation is no error of the benchmarks
    """A result of an experiment is not what the definition gives; the message says where."""


@dataclass(frozen=True)
class Judged:
    """What the gate found. `reason` is "" where the case may be timed, and otherwise what the saved file gives.

    checked: the outputs compared; ratio: the worst error in units of its bound, None where all was exact; seconds: how
    long the call lasted that was judged; prints: fingerprints of the results on the case's data, and on others.
    """

    reason: str = ""
    detail: str = ""
    checked: int = 0
    ratio: float | None = None
    seconds: float = 0.0
    peak: int = 0
    method: str = ""
    device: str = "cpu"
    result_bytes: int = 0
    prints: tuple[bytes, bytes] = (b"", b"")

    @property
    def passes(self) -> bool:
        """Whether it may be timed."""
        return not self.reason

    @property
    def fault(self) -> bool:
        """Whether the implementation is wrong, or raised where a result is due."""
        return self.reason.startswith(("wrong", "raised"))


class Gate:
    """The verdicts reached so far. Each is reached once for a case and an implementation."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, Case], Judged] = {}

    def judged(self, subject: Subject, case: Case, expected: float = 0.0) -> Judged:
        """Call the implementation once, for about so many seconds, and hold the results against the definition."""
        key = subject.spec, case
        if key not in self._found:
            self._found[key] = judge(subject, case, expected)
        return self._found[key]


def judge(subject: Subject, case: Case, expected: float = 0.0) -> Judged:
    """Call the implementation, watching its memory, and hold the results against the definition.

    Then call it on integers of the same shape, on which checksums are exact, so that few places suffice: what was kept
    is wrong, and so is whatever else real numbers leave room for.
    """
    try:
        if reason := declined(subject, case):
            return Judged(f"unsupported: {reason}")
        first = clock.first(prepared(subject, case), expected)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # an implementation may call exit(), or panic
        return raised(error)
    verdict = held(subject, case, first.result)
    if not verdict.agrees:
        return Judged(WRONG, verdict.message)
    results = first.result if isinstance(first.result, (tuple, list)) else (first.result,)
    size = sum(result.nbytes for result in results if result is not None)  # switches need not be told
    ratio = verdict.ratio or None
    before = fingerprint(first.result)  # now: the next call may have the same memory to write to
    whole = other(subject, case)
    try:
        second = clock.first(prepared(subject, whole), expected)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return raised(error)
    on_others = held(subject, whole, second.result, FEW)
    if not on_others.agrees:
        return Judged(f"{WRONG}: on other data of the same shape", on_others.message)
    if shared(first.result, second.result):
        return Judged(WRONG, "two calls return the same memory")
    return Judged(
        "", "", verdict.elements, ratio, first.seconds, *clock.memory(first, second), first.device, size,
        (before, fingerprint(second.result)),
    )  # fmt: skip


def held(subject: Subject, case: Case, result: Any, count: int = PLACES, data: Data | None = None) -> Verdict:
    """Hold a result against the definition at so many places of each output, and against checksums over all.

    On the case's own data, unless others are given.
    """
    if data is None:
        return standard(case, count).verdict(result, arithmetic(subject))
    return sampled.verdict(case, data, result, count=count, arithmetic=arithmetic(subject))


@lru_cache(maxsize=8)
def standard(case: Case, count: int) -> sampled.Standard:
    """Find out once what the results of all implementations are held against, on the case's own data."""
    return sampled.Standard(case, inputs(case), count)


def arithmetic(subject: Subject) -> Arithmetic:
    """Give what an implementation declares of its rounding."""
    return Arithmetic(subject.declared.accuracy, subject.declared.accumulator, subject.declared.conventions)


def shared(one: Any, other: Any) -> bool:
    """Whether results of two calls share memory."""
    both = (tuple(each) if isinstance(each, (tuple, list)) else (each,) for each in (one, other))
    return any(np.may_share_memory(mine, its) for mine, its in itertools.product(*both))


def kept(before: Sequence[np.ndarray], results: Sequence[np.ndarray]) -> Judged:
    """Judge results of an earlier call that still live, by copies made then: no later call may write to them."""
    changed = any(copy.tobytes() != now.tobytes() for copy, now in zip(before, results, strict=True))
    return Judged(OVERWRITTEN, "its caller still has it, and its memory was written to") if changed else Judged()


def after(subject: Subject, case: Case, found: Judged, call: Call, result: Any) -> Judged:
    """Judge a result after the rounds, and one more, made after the call's arrays have been overwritten in place.

    The same bytes as before are right. Others may be: an engine may add up in another order, where its memory lies
    otherwise, or of itself (deterministic = False). So they are judged anew. Raises what the implementation raises.
    """
    if not (verdict := once_more(subject, case, found, result)).agrees:
        return Judged(f"{WRONG}: the result changed while it was timed", verdict.message)
    whole = other(subject, case)
    call.overwrite(inputs(whole))
    result = call()
    if fingerprint(result) != found.prints[1] and not (verdict := held(subject, whole, result, FEW)).agrees:
        return Judged(f"{WRONG}: once its arrays were overwritten in place", verdict.message)
    return found


def once_more(subject: Subject, case: Case, found: Judged, result: Any) -> Verdict:
    """Judge another result on the case's own data: the same bytes as before are right."""
    return Verdict() if fingerprint(result) == found.prints[0] else held(subject, case, result)


def fingerprint(result: Any) -> bytes:
    """Digest the shapes, types and bytes of what an operation returned."""
    digest = hashlib.blake2b(digest_size=16)
    for each in result if isinstance(result, (tuple, list)) else (result,):
        array = np.asarray(each)
        digest.update(f"{array.dtype.str} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.digest()


def other(subject: Subject, case: Case) -> Case:
    """Give the same case with other data: integers, if there are any that its arithmetic adds up exactly."""
    bits = exact_bits(case.operation, case.geometry, FORMATS[case.dtype], arithmetic(subject))
    recipe = f"narrow:{bits}" if bits and case.recipe == "gauss" else case.recipe
    return replace(case, seed=case.seed + 1, recipe=recipe)


def raised(error: BaseException) -> Judged:
    """Record an exception where a result is due: its first line is the reason, the others are detail."""
    first, *others = str(error).strip().splitlines() or [""]
    place = places.noted(error)
    return Judged(f"raised: {type(error).__name__}: {first}", "\n".join([*others, *([f"at {place}"] if place else [])]))


@dataclass
class Call:
    """One call, its arrays the implementation's own, so that it can spoil them for nobody else."""

    subject: Subject
    operation: str
    operands: list[Any]
    parameters: dict[str, Any]

    def __call__(self) -> Any:
        """Return what the operation returns."""
        return self.subject.call(self.operation, *self.operands, **self.parameters)

    def overwrite(self, data: Data) -> None:
        """Write other data of the same shapes into its arrays."""
        for mine, new in zip(self.operands, data.values(), strict=False):  # a gradient's image has but a shape
            if new is not None:
                np.copyto(mine, new)


def prepared(subject: Subject, case: Case) -> Call:
    """Make the call."""
    operands: list[Any] = [None if array is None else array.copy() for array in inputs(case).values()]
    if case.operation in ("max_pool2d_backward", "avg_pool2d_backward"):
        operands.append(case.geometry.x_shape)
    return Call(subject, case.operation, operands, case.parameters(options(subject, case.operation)))


@lru_cache(maxsize=8)
def inputs(case: Case) -> Data:
    """Draw the arrays of the call in the contract's order, by name; b is None where the case has no bias."""
    found: Data = dict(arrays(case))
    if case.operation == "conv2d" and not case.bias:
        found["b"] = None
    if case.operation == "max_pool2d_backward":  # the switches of millions of windows, without the nested loops
        x = found.pop("x")
        assert x is not None
        found["switches"] = tapwise.truth(replace(case, operation="max_pool2d"), {"x": x}, "switches").value
    return found


def options(subject: Subject, operation: str) -> frozenset[str]:
    """Name the declared options that change how this operation is called."""
    adds = {"ceil_mode": "ceil_mode", "pool_dilation": "dilation"}
    pools = operation in POOLING
    return frozenset(
        option
        for option in subject.declared.options
        if option not in adds or (pools and subject.takes(operation, adds[option]))
    )


def declined(subject: Subject, case: Case) -> str:
    """Say what the implementation does not offer of a case; "" where it offers all."""
    if not subject.offers(case.operation):
        return f"offers no {case.operation}"
    declared, taken = subject.declared, options(subject, case.operation)
    formats = (declared.storage,) if declared.storage else declared.dtypes
    if case.dtype not in formats:
        return f"declares no {case.dtype}"
    for option in case.needs:
        if option not in taken:
            return f"declares no {option}"
    shape = {"x_shape": case.geometry.x_shape, "dtype": case.dtype}
    beyond = declared.beyond(case.geometry.sizes)
    return beyond or subject.supports(case.operation, **case.parameters(taken), **shape) or ""
