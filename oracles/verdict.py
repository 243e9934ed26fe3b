"""One output held against the truth: the verdict, and the sentences that tell it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from oracles.truth import Truth

AGREES = "agrees"
DIFFERS = "differs"
MISTRUSTED = "mistrusted"


@dataclass(frozen=True)
class Verdict:
    """What was found. `ratio` is the worst error in units of its bound: 0 or inf where the answer is the exact one.

    `bounded`: some element has a bound, so that an error is measured, if only as 0. `place` is the worst element's
    array and index, `want` what it should be; `data` the inputs where a property made its own. `alone`: a single call
    shows it. `missed`: where it agrees on random integers, how likely at most a wrong (bi)linear map would as well.
    """

    kind: str = AGREES
    message: str = ""
    ratio: float = 0.0
    elements: int = 0
    place: tuple[str, tuple[int, ...]] | None = None
    want: float = 0.0
    data: Mapping[str, np.ndarray | None] | None = None
    alone: bool = True
    bounded: bool = False
    missed: float | None = None

    @property
    def agrees(self) -> bool:
        """Whether nothing speaks against the implementation; thin evidence does not, but is counted apart."""
        return self.kind in (AGREES, MISTRUSTED)


def judge(truths: Sequence[Truth], result: Any) -> Verdict:
    """Hold what an operation returned against its truths, first its form, then every element. Never raises."""
    expected = ", ".join(truth.name for truth in truths)
    outputs = (result,) if len(truths) == 1 else result
    if len(truths) > 1 and not isinstance(result, (tuple, list)):
        return _form(f"returned {_kind(result)} where a tuple ({expected}) is due")
    if len(outputs) != len(truths):
        return _form(f"returned {len(outputs)} results where {len(truths)} are due ({expected})")
    told = [pair for pair in zip(truths, outputs, strict=True) if not untold(pair[0].name, pair[1])]
    for truth, output in told:
        complaint = form(truth.name, output, truth.value.shape, _dtype(truth))
        if complaint:
            return _form(complaint)
    return joined([_compare(truth, output) for truth, output in told])


def untold(name: str, output: Any) -> bool:
    """Whether an output is left out where it may be: an engine that tells no switches gives None for them."""
    return name == "switches" and output is None


def joined(verdicts: Sequence[Verdict]) -> Verdict:
    """Several verdicts as one: the first that does not agree, or all counted together."""
    for verdict in verdicts:
        if not verdict.agrees:
            return verdict
    kind = MISTRUSTED if any(verdict.kind == MISTRUSTED for verdict in verdicts) else AGREES
    ratio = max((verdict.ratio for verdict in verdicts), default=0.0)
    bounded = any(verdict.bounded for verdict in verdicts)
    missed = min((verdict.missed for verdict in verdicts if verdict.missed is not None), default=None)
    return Verdict(kind, "", ratio, sum(verdict.elements for verdict in verdicts), bounded=bounded, missed=missed)


def equal(name: str, got: Any, want: np.ndarray, within: np.ndarray | float | None = None) -> Verdict:
    """Hold one array of an implementation against another, element by element, NaN equal to NaN.

    Where `within` is None only the same values will do.
    """
    complaint = form(name, got, want.shape, want.dtype)
    if complaint:
        return _form(complaint)
    value = want.astype(np.int64 if want.dtype.kind == "i" else np.float64)
    bound = None if within is None else np.broadcast_to(within, want.shape)
    return _elements(name, got.astype(value.dtype), value, bound, None)


def thin(truths: Sequence[Truth], outputs: int) -> bool:
    """Whether the true outputs are nearly all zero, so that agreement says little.

    `outputs` (of the forward operation) bounds how many may be expected: a gradient is sparse where strides are large.
    """
    cells = min(outputs, sum(truth.value.size for truth in truths))
    return cells > 0 and sum(int(np.count_nonzero(truth.value)) for truth in truths) <= cells // 10


def form(name: str, output: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> str:
    """What is wrong with an output's type, shape or dtype, whose byte order is the machine's."""
    if type(output) is not np.ndarray:  # subclasses have arithmetic of their own
        return f"{name} is {_kind(output)} where a NumPy array is due"
    if output.shape != shape:
        return f"{name} has shape {output.shape} where {shape} is due"
    if output.dtype != dtype:
        return f"{name} has dtype {output.dtype} where {dtype} is due"
    return ""


def _dtype(truth: Truth) -> np.dtype[Any]:
    return truth.value.dtype if truth.value.dtype.kind == "i" else np.dtype(truth.form.array)


def _kind(value: Any) -> str:
    return "None" if value is None else f"a {type(value).__name__}"


def _form(message: str) -> Verdict:
    return Verdict(DIFFERS, message, math.inf)


def _compare(truth: Truth, output: np.ndarray) -> Verdict:
    if truth.value.dtype.kind == "i":
        return _integers(truth, output)
    if truth.bound is None and not truth.signed and bool((output == truth.answer).all()):
        return Verdict(elements=output.size if truth.owed is None else int(truth.owed.sum()))  # as nearly always
    got = output.astype(np.float64)
    for cell, allowed in truth.also.items():
        if any(got[cell] == value or (got[cell] != got[cell] and value != value) for value in allowed):
            got[cell] = truth.answer[cell]
    if truth.bound is None:
        want = truth.answer.astype(np.float64)
        return _elements(truth.name, got, want, None, truth.owed, signed=truth.signed)
    return _elements(truth.name, got, truth.value, truth.bound, truth.owed, rest=truth.rest)


def _integers(truth: Truth, output: np.ndarray) -> Verdict:
    wrong = output != truth.value
    for cell, allowed in truth.also.items():
        wrong[cell] = int(output[cell]) not in allowed
    if truth.owed is not None:
        wrong &= truth.owed
    if not wrong.any():
        return Verdict(elements=wrong.size)
    place = np.unravel_index(int(wrong.argmax()), wrong.shape)
    return _differs(truth.name, wrong, place, int(output[place]), int(truth.value[place]), math.inf, "")


def _elements(
    name: str,
    got: np.ndarray,
    want: np.ndarray,
    bound: np.ndarray | None,
    owed: np.ndarray | None,
    *,
    rest: np.ndarray | float = 0.0,
    signed: bool = False,
) -> Verdict:
    """Compare element by element; bound None or 0 means that only the value itself will do."""
    with np.errstate(all="ignore"):
        if bound is not None and owed is None and got.size:  # as nearly always: all finite, and within a bound
            worst = float((np.abs((got - want) - rest) / bound).max())
            if worst <= 1.0:
                return Verdict(ratio=worst, elements=got.size, bounded=True)
        alike = (got == want) | ((got != got) & (want != want))
        if signed:
            alike &= (np.signbit(got) == np.signbit(want)) | (got != 0)
        if bound is None:
            error = np.where(alike, 0.0, np.abs(got - want))
            ratio = np.where(alike, 0.0, math.inf)
        else:
            error = np.where(alike & ~np.isfinite(want), 0.0, np.abs((got - want) - rest))
            ratio = np.where(error == 0, 0.0, error / bound)
            ratio = np.where(np.isfinite(error), ratio, math.inf)
    if owed is not None:
        ratio = np.where(owed, ratio, 0.0)
    wrong = ~(ratio <= 1.0)
    if not wrong.any():
        elements = wrong.size if owed is None else int(owed.sum())
        bounded = bound is not None and elements > 0
        return Verdict(ratio=float(ratio.max(initial=0.0)), elements=elements, bounded=bounded)
    # the worst: what should have been finite, or not, comes first; then the error in units of the bound, or itself
    if got.size > 1 and np.isnan(got).all():
        told = f"every element of {name} is NaN: none was written, or all are made of one"
        return Verdict(DIFFERS, told, math.inf, got.size)
    weight = np.where(wrong, np.where(np.isfinite(error), error if bound is None else ratio, np.inf), -1.0)
    place = np.unravel_index(int(weight.argmax()), weight.shape)
    within = "" if bound is None else f"{float(bound[place]):.3g}"
    return _differs(name, wrong, place, float(got[place]), float(want[place]), float(ratio[place]), within)


def _differs(
    name: str, wrong: np.ndarray, place: tuple[Any, ...], got: float, want: float, ratio: float, within: str
) -> Verdict:
    where = ", ".join(str(int(i)) for i in place)
    off = abs(float(got) - float(want))
    if within and math.isfinite(off):
        units = f"{off:.6g}, {ratio:.3g} times the bound {within}"
    elif within:
        units = "one of the two is not finite"
    else:
        units = f"{off:.6g}; the answer is exact, nothing else will do"
    lines = [
        f"{int(wrong.sum())} of {wrong.size} elements of {name} differ; the worst is {name}[{where}]",
        f"  got    {got:.17g}" if isinstance(got, float) else f"  got    {got}",
        f"  want   {want:.17g}" if isinstance(want, float) else f"  want   {want}",
        f"  error  {units}",
    ]
    place = name, tuple(map(int, place))
    return Verdict(DIFFERS, "\n".join(lines), ratio, wrong.size, place, want, bounded=bool(within))
