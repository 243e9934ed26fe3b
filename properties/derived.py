"""Calls that a law makes besides the drawn one, the exact data they share, and the verdict on what they give together.

A law holds an implementation's answers against one another, so that no oracle is needed. The data are integers within
a budget that all calls of the law respect, and every order of summation gives the same value: the verdict is `==`,
but for the division of averages and the root of L2 pooling, which may round.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NoReturn

import numpy as np

from oracles import rounding
from oracles import truth as truths
from oracles.case import Case
from oracles.data import odd
from oracles.formats import FORMATS
from oracles.geometry import Axis
from oracles.verdict import DIFFERS, Verdict, equal, form, joined, untold
from properties.examiner import Examiner, Raised, Unsupported, raised

Data = dict[str, np.ndarray | None]
Given = Mapping[str, np.ndarray | None]  # what is read only
Answers = dict[str, np.ndarray]

INTEGERS = ("narrow", "wide", "wide")
CHOICES = 99  # the stream of random numbers from which a law draws its own choices


def exact(subject: Examiner, case: Case, *others: Case, slack: int = 0) -> Case:
    """Lessen the budget of a case on integers until its results and those of other calls are exact.

    They are exact as stored, and so are sums of 2**slack of them. Raises Unsupported where that leaves no budget.
    """
    stored = FORMATS[case.dtype]
    found = (rounding.exact_bits(call.operation, call.geometry, stored, subject.arithmetic) for call in (case, *others))
    bits = min(stored.digits, *found) - slack
    if bits < 1:
        raise Unsupported(f"sums of integers are not exact in this {case.dtype} arithmetic")
    return replace(case, recipe=f"{case.recipe.split(':')[0]}:{bits}")


def budget(case: Case) -> int:
    """Tell the sum of magnitudes that the integers of a case may reach."""
    return 1 << int(case.recipe.split(":")[1])


def integers(case: Case) -> Data:
    """Make the arrays of a case on integers, in the order of the call; all sums stay within the case's budget.

    Where the terms are more than the budget, as in narrow formats, some are zero: even ones would be too many.
    """
    data, g, most = truths.inputs(case), case.geometry, budget(case)
    rng = case.rng(CHOICES + 1)
    terms = {"w": g.terms, "dy": max(g.N * g.vertical.out * g.horizontal.out, g.window * g.K // g.G), "x": g.window}
    thinned = {"conv2d": "w", "conv2d_backward": "dy", "avg_pool2d": "x", "l2_pool2d": "x"}.get(case.operation, "")
    if thinned and terms[thinned] > most:
        data[thinned] = sparse(rng, present(data, thinned), most, whole=thinned == "dy")
    return data


def sparse(rng: np.random.Generator, array: np.ndarray, most: int, *, whole: bool = False) -> np.ndarray:
    """Keep `most` entries of the whole array, or of each part along its first axis, and zero the others."""
    parts = array.reshape(1 if whole else array.shape[0], -1)
    kept = rng.permuted(np.broadcast_to(np.arange(parts.shape[1]) < most, parts.shape), axis=1)
    return np.where(kept, parts, 0).astype(array.dtype).reshape(array.shape)


def another(case: Case, data: Given, name: str, stream: int = 1) -> np.ndarray:
    """Make a second array like one of the data: as large in shape and in magnitude, its zeros where it has them."""
    array = present(data, name)
    most = int(np.abs(array).max(initial=1))
    return np.where(array == 0, 0, odd(case.rng(stream), array.shape, most)).astype(array.dtype)


def present(data: Given, name: str) -> np.ndarray:
    """Give one of the data that is not None."""
    array = data[name]
    assert array is not None, name
    return array


def answers(
    subject: Examiner, case: Case, data: Given, call: Case | None = None, powers: Mapping[str, int] | None = None
) -> Answers:
    """Call the operation, of `case` or of a case derived from it, and give its results by name, as float64 or int64.

    A transform's results are rounded to whole numbers of 2**powers. Raises Unsupported where the implementation says
    so, in whatever way; a call that raises or returns what has not the right form becomes a verdict on `case`.
    """
    own, call = call is None, call or case
    require(subject, call)
    given = {name: array if array is None else np.ascontiguousarray(array) for name, array in data.items()}
    arrays, parameters = subject.arguments(call, given)
    try:
        results = subject.subject.call(call.operation, *arrays, **parameters)
    except Exception as error:  # whatever it is, it is the implementation's
        _refuse(subject, case, call, raised(error), given if own else None, error)
    shapes = _results(call)
    outputs = (results,) if len(shapes) == 1 else results
    if not isinstance(outputs, (tuple, list)) or len(outputs) != len(shapes):
        complaint = f"returned a {type(outputs).__name__} where {len(shapes)} results are due ({', '.join(shapes)})"
        _refuse(subject, case, call, Verdict(DIFFERS, complaint, math.inf), given if own else None)
    found = {}
    for (name, (shape, dtype)), output in zip(shapes.items(), outputs, strict=True):
        if untold(name, output):
            continue
        complaint = form(name, output, shape, np.dtype(dtype))
        if complaint:
            _refuse(subject, case, call, Verdict(DIFFERS, complaint, math.inf), given if own else None)
        power = (powers or {}).get(name, 0)
        if name == "switches":
            found[name] = output.astype(np.int64)
        else:
            units = subject.rounding_units(call, np.ldexp(output.astype(np.float64), -power))
            found[name] = np.ldexp(units, power)
    return found


def _results(call: Case) -> dict[str, tuple[tuple[int, ...], str]]:
    """Name the results of an operation, with their shapes and dtypes."""
    g, dtype = call.geometry, FORMATS[call.dtype].array
    if call.operation == "conv2d_backward":
        return {"dx": (g.x_shape, dtype), "dw": (g.w_shape, dtype), "db": ((g.K,), dtype)}
    if call.operation.endswith("backward"):
        return {"dx": (g.x_shape, dtype)}
    if call.operation == "max_pool2d":
        return {"y": (g.y_shape, dtype), "switches": (g.y_shape, "int64")}
    return {"y": (g.y_shape, dtype)}


def _refuse(
    subject: Examiner, case: Case, call: Case, verdict: Verdict, data: Given | None, error: Exception | None = None
) -> NoReturn:
    where = "" if call == case else f"\n  in a call that the law compares with that of the case: {call}"
    verdict = replace(verdict, message=verdict.message + where, data=data)
    raise Raised(subject.hold(case, verdict).message) from error


def require(subject: Examiner, call: Case) -> None:
    """Raise Unsupported where a derived call leaves what the implementation declares by its limits and options."""
    g, limits = call.geometry, subject.subject.declared.limits
    axes = g.vertical, g.horizontal
    pads = [pad for axis in axes for pad in (axis.pad_before, axis.pad_after)]
    needed = {"N": [g.N], "C": [g.C], "H": [axes[0].size], "W": [axes[1].size], "P": [] if call.same else pads}
    needed |= {"F": [axis.extent for axis in axes], "S": [axis.stride for axis in axes]}
    if g.K:
        needed |= {"K": [g.K], "G": [g.G], "D": [axis.dilation for axis in axes]}
    for letter, values in needed.items():
        for value in values:
            if letter in limits and value not in limits[letter]:
                raise Unsupported(f"the law needs {letter} = {value}, which limits leave out")
    if not call.same and any(axis.pad_before != axis.pad_after for axis in axes):
        _need(subject, call, "asymmetric_padding")
    if not g.K and any(axis.dilation > 1 for axis in axes):
        _need(subject, call, "pool_dilation")


def _need(subject: Examiner, call: Case, option: str) -> None:
    if not subject.option(option, call.operation):
        raise Unsupported(f"the law needs the option {option}")


def held(
    subject: Examiner,
    case: Case,
    law: str,
    got: Answers,
    want: Answers,
    data: Given,
    within: Mapping[str, Any] | None = None,
) -> Verdict:
    """Hold the answers to a case's own call against what the law wants; it need not speak of all of them."""
    bounds = within or {}
    told = {name: array for name, array in want.items() if not untold(name, got.get(name))}
    verdict = joined([equal(name, got[name], array, bounds.get(name)) for name, array in told.items()])
    if not verdict.agrees:
        verdict = replace(verdict, message=f"{verdict.message}\n  law    {law}", data=data)
    return subject.hold(case, verdict)


def tolerance(subject: Examiner, call: Case, data: Given) -> dict[str, float]:
    """Bound the rounding of one call on integers, the same for all elements; what is not named is exact.

    An average whose counts are all one power of two is exact, an L2 pooling never.
    """
    g, case_form = call.geometry, FORMATS[call.dtype]
    sums = subject.arithmetic.sums(case_form)
    most = {name: float(np.abs(array).max(initial=0)) for name, array in data.items() if array is not None}
    padded = any(axis.pad_before or axis.pad_after or axis.ceil for axis in (g.vertical, g.horizontal))
    power_of_two = g.window & (g.window - 1) == 0 and (call.include_pad or not padded)
    if call.operation == "avg_pool2d" and not power_of_two:
        name, largest, relative = "y", most["x"], rounding.gamma(g.window + 1, sums.u)
    elif call.operation == "avg_pool2d_backward" and not power_of_two:
        name, largest, relative = "dx", g.overlap * most["dy"], rounding.gamma(g.overlap + 2, sums.u)
    elif call.operation == "l2_pool2d":
        name, largest, relative = "y", math.sqrt(g.window) * most["x"], (g.window / 2 + 3) * sums.u
    elif call.operation == "l2_pool2d_backward":
        name, largest, relative = "dx", g.overlap * most["dy"], (g.window / 2 + 5 + g.overlap) * sums.u
    else:
        return {}
    inner = np.array(relative * largest)
    bound = float(rounding.stored(np.array(largest * (1 + relative)), inner, case_form, sums))
    return {name: bound + (g.window + 2 + g.overlap) * case_form.h}


def summed(*tolerances: Mapping[str, float]) -> dict[str, float]:
    """Add up what several calls may differ by."""
    names = {name for found in tolerances for name in found}
    return {name: sum(found.get(name, 0.0) for found in tolerances) for name in names}


def with_axes(case: Case, vertical: Axis, horizontal: Axis) -> Case:
    """Derive a case with other axes."""
    return replace(case, geometry=replace(case.geometry, vertical=vertical, horizontal=horizontal))


def both(case: Case, **fields: Any) -> Case:
    """Derive a case with some fields of both axes replaced."""
    g = case.geometry
    return with_axes(case, replace(g.vertical, **fields), replace(g.horizontal, **fields))


def fitted(case: Case) -> Case:
    """Derive a case whose images are larger by what the stride lacks: nothing is left over behind the last window."""
    axes = (
        replace(axis, size=axis.size + -axis.ragged % axis.stride)
        for axis in (case.geometry.vertical, case.geometry.horizontal)
    )
    return with_axes(case, *axes)


def two_groups(case: Case) -> Case:
    """Make a convolution of at least two groups."""
    g = case.geometry
    return case if g.G > 1 else replace(case, geometry=replace(g, C=2 * g.C, K=2 * g.K, G=2))


def shuffled(rng: np.random.Generator, groups: int, each: int) -> list[int]:
    """Draw an order of groups*each indices that keeps each within its group."""
    return [group * each + int(i) for group in range(groups) for i in rng.permutation(each)]
