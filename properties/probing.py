"""Probes run on a case, and what they found made into verdicts that tell which call, which array and which layout."""

from __future__ import annotations

import dataclasses
import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from impls.contract import ARRAYS
from impls.isolation.failures import Failure
from impls.layouts import lay
from oracles import truth as truths
from oracles.case import Case
from oracles.truth import Truth
from oracles.verdict import Verdict, joined, judge
from properties.examiner import Examiner, Raised, Unsupported, raised

Data = Mapping[str, np.ndarray | None]
ANY = ("any",)  # a detail that `varied` chooses
OUTPUTS = {"conv2d_backward": ("dx", "dw", "db"), "max_pool2d": ("y", "switches")}


def probe(
    subject: Examiner,
    case: Case,
    name: str,
    *,
    note: str = "",
    data: Data | None = None,
    quiet: bool = False,
    **options: Any,
) -> Any:
    """Run the probe of this name on the case's data, or on the data given.

    Raises Unsupported where the implementation says so; what it raises itself becomes a verdict, told with the note. A
    Failure of its process is raised as it is, if `quiet`.
    """
    arrays, parameters = subject.arguments(case, None if data is None else dict(data))
    try:
        return subject.subject.probe(name, case.operation, arrays, parameters, **options)
    except Exception as error:
        if quiet and isinstance(error, Failure):
            raise
        verdict = subject.hold(case, noted(raised(error), note))
        raise Raised(verdict.message) from error


def others(subject: Examiner, cases: Sequence[Case]) -> list[tuple[list[Any], dict[str, Any]]]:
    """Give the argument sets of further calls."""
    return [subject.arguments(case) for case in cases]


def varied(
    subject: Examiner,
    case: Case,
    key: str,
    values: Sequence[str],
    examined: Callable[[Examiner, Case], Verdict],
    *,
    count: int = 1,
) -> Verdict:
    """Examine the case with `count` values of a detail, count the verdicts, and give the first bad one or the last.

    Values that are declared unsupported are left out. Raises Unsupported where all are.

    Where the detail is "any", the values are chosen by the case's own line: Hypothesis, left to choose, tries some of
    a dozen fifty times and others never. A failure is told, and made smaller, with the one value it was found at.
    """
    wanted = case.detail(key, (*values, "any"))
    if wanted == "any" and subject.failure is not None:
        wanted = subject.failure[0].detail(key)
    first, step = zlib.crc32(str(case).encode()), max(1, len(values) // count)
    chosen = [values[(first + i * step) % len(values)] for i in range(count)] if wanted == "any" else [wanted]
    verdict, declined = None, None
    for value in chosen:
        one = dataclasses.replace(case, details=((key, value),))
        try:
            verdict = subject.hold(one, examined(subject, one))
        except Unsupported as reason:
            declined = reason
            continue
        except Raised:
            assert subject.failure is not None
            verdict = subject.failure[1]
        if not verdict.agrees:
            subject.hold(case, verdict)  # as it was drawn, it fails too
            return subject.hold(one, verdict)
    if verdict is None:
        assert declined is not None
        raise declined
    return verdict


def judged(
    subject: Examiner, case: Case, outputs: Sequence[Any], *, data: Data | None = None, note: str = ""
) -> Verdict:
    """Judge the outputs of one call of a probe, on the case's data or on the data given, without counting."""
    plain = dataclasses.replace(case, details=())  # whose truth is computed once
    if data is None or same(data, truths.inputs(plain)):
        subject.expect_exact(plain)
        expected = truths.truth(plain, subject.arithmetic)
    else:
        expected = truths.judged(case, data, subject.arithmetic)
    verdict = noted(judge(expected, _result(outputs, expected)), note)
    return dataclasses.replace(verdict, data=data) if data is not None else verdict


def all_judged(
    subject: Examiner, calls: Sequence[Case], outputs: Sequence[Sequence[Any]], *, note: str = ""
) -> Verdict:
    """Judge a sequence of calls, without counting: the first that differs is told with those before it."""
    found = []
    for i, (case, one) in enumerate(zip(calls, outputs, strict=True)):
        verdict = judged(subject, case, one)
        if not verdict.agrees:
            history = [f"  call {j + 1}: {told(subject, before)}" for j, before in enumerate(calls[: i + 1])]
            head = f"call {i + 1} of {len(calls)} is wrong{note}; these were made, one after the other:"
            verdict = noted(verdict, "\n".join([head, *history]))
            verdict = dataclasses.replace(verdict, data=truths.inputs(case))
        found.append(verdict)
    return joined(found)


def told(subject: Examiner, case: Case) -> str:
    """Put one call of a sequence into words: its arrays' formats and shapes, what was asked for, its data's seed."""
    shapes = [
        f"{name} {array.dtype.name} {array.shape}" for name, array in truths.inputs(case).items() if array is not None
    ]
    asked = [f"{name}={value}" for name, value in subject.parameters(case).items()]
    return ", ".join([*shapes, *asked, f"data of seed={case.seed}"])


def found(kind: str, message: str) -> Verdict:
    """Make a verdict that a property reached by itself."""
    return Verdict(kind, message, math.inf)


def noted(verdict: Verdict, note: str) -> Verdict:
    """Put what was special about the call before the message."""
    if verdict.agrees or not note:
        return verdict
    return dataclasses.replace(verdict, message=f"{note}\n{verdict.message}")


def named(case: Case, arrays: Sequence[Any]) -> dict[str, np.ndarray | None]:
    """Name arrays given in the order of the call; a shape among them is left out."""
    return dict(zip(ARRAYS[case.operation], arrays, strict=False))


def output(case: Case, index: int) -> str:
    """Name an output."""
    only = "dx" if case.operation.endswith("_backward") else "y"
    return OUTPUTS.get(case.operation, (only,))[index]


def layouts_told(case: Case, layouts: Sequence[str]) -> str:
    """Tell how each array lay in memory, as the layout probe made it."""
    lines = []
    for i, (name, array) in enumerate(truths.inputs(case).items()):
        if array is not None:
            view, _ = lay(array, layouts[i], case.seed + i)
            order = "" if view.dtype.isnative else ", bytes in foreign order"
            order += "" if view.flags.writeable else ", read-only"
            order += "" if view.flags.aligned else ", not aligned"
            lines.append(f"  {name} was {layouts[i]}: shape {view.shape}, strides {view.strides} bytes{order}")
    return "\n".join(["with the arrays laid out in memory like this,", *lines])


def same(one: Data, other: Data) -> bool:
    """Tell whether the data are equal."""
    pairs = zip(one.values(), other.values(), strict=True)
    return all(a is b or (a is not None and b is not None and np.array_equal(a, b)) for a, b in pairs)


def turned_round(array: np.ndarray) -> np.ndarray:
    """Give other values of the same magnitudes: negated, in reverse order."""
    return -array.ravel()[::-1].reshape(array.shape)


def alike(data: Data, pair: Sequence[str]) -> dict[str, np.ndarray | None]:
    """Cut two arrays to one magnitude, so that integers of either may stand in the other's place."""
    given: dict[str, np.ndarray | None] = dict(data)
    arrays = {name: array for name in pair if (array := given[name]) is not None}
    most = min((np.abs(array).max(initial=0) for array in arrays.values() if array.size), default=0)
    return given | {name: np.clip(array, -most, most) for name, array in arrays.items()}


def _result(outputs: Sequence[Any], expected: Sequence[Truth]) -> Any:
    """Take what a call returned out of the tuple that a probe makes of it."""
    return outputs[0] if len(outputs) == len(expected) == 1 else tuple(outputs)
