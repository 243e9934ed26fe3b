"""Worked examples of course notes as cases: a layer as the notes name it, made to fit what an implementation takes."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
from hypothesis import strategies as st

from oracles import rounding
from oracles import truth as truths
from oracles.case import CONVOLUTIONS, Case
from oracles.formats import FORMATS
from oracles.geometry import Axis, Geometry
from oracles.verdict import Verdict, judge
from properties.derived import Data, require
from properties.examiner import Examiner, Spent, Unsupported, under_test
from properties.laws import Property, law
from properties.recipes import spelled

Row = Geometry | Callable[[str], Geometry]  # as it is, or a function of the operation

FOUR = (1, 2, 4, 8)  # gradients of four windows, of which each sum tells which they were
PATIENCE = 20.0  # seconds of one call, beyond which a layer is not reached
SEED = 7


def layer(side: int, depth: int, *, F: int, S: int = 1, P: int = 0, K: int = 1) -> Geometry:
    """Describe a square layer: W = H = side, C = depth."""
    axis = Axis(side, F, S, 1, P, P)
    return Geometry(1, depth, axis, axis, K)


def worked(
    level: str, operations: Sequence[str], key: str, table: Mapping[str, Row], *, most: int = 1
) -> Callable[[Property], Callable[..., None]]:
    """Make `function(subject, case)` a property of each row of a worked example, which the case's detail `key` names.

    Pools take the geometry of a filter as their own. The format is the first that holds integers up to `most`.
    """

    def row(operation: str, name: str) -> Geometry:
        found = table[name]
        g = found(operation) if callable(found) else found
        return g if operation in CONVOLUTIONS else replace(g, K=0)

    def case(name: str) -> Case:
        examiner, g = under_test(), row(under_test().operation, name)
        operation = examiner.operation
        wide = [dtype for dtype in examiner.formats if most <= 2 ** bits(examiner, operation, dtype, g)]
        dtype = (wide or examiner.formats)[0]
        recipe = spelled("narrow", operation, dtype, g, examiner.arithmetic, SEED)
        return Case(operation, dtype, g, recipe, SEED, operation == "conv2d", details=((key, name),))

    def decorate(function: Property) -> Callable[..., None]:
        @functools.wraps(function)
        def of_a_row(subject: Examiner, case: Case) -> None:
            name = case.detail(key, table)
            if case.geometry != row(case.operation, name):
                raise Unsupported(f"the row {key}={name} of the notes has another geometry")
            function(subject, case)

        return law(level, operations, st.sampled_from(list(table)).map(case), details=(key,))(of_a_row)

    return decorate


def bits(examiner: Examiner, operation: str, dtype: str, g: Geometry) -> int:
    """Count the bits that sums of whole numbers may have so that the results of an operation are exact."""
    return rounding.exact_bits(operation, g, FORMATS[dtype], examiner.arithmetic)


def expect_exact(subject: Examiner, case: Case, most: int) -> None:
    """Raise Unsupported where sums of whole numbers up to `most` are not exact in the format of the case."""
    if most > 2 ** bits(subject, case.operation, case.dtype, case.geometry):
        raise Unsupported(f"the row needs sums up to {most:,}, which are not exact in {case.dtype}")


def rounded(case: Case, values: Any) -> np.ndarray:
    """Give exact values as results have them: rounded once into the format, then float64."""
    return FORMATS[case.dtype].rounded(np.asarray(values, np.float64)).astype(np.float64)


def quotient(axis: Axis) -> Fraction:
    """Divide as the notes do, (W - F + 2P)/S + 1, whether or not a whole number comes of it."""
    return Fraction(axis.size - axis.extent + axis.pad_before + axis.pad_after, axis.stride) + 1


def fits(axis: Axis) -> bool:
    """Tell whether the windows fit without remainder: whether the strict fit takes the axis."""
    try:
        axis.strict()
    except ValueError:
        return False
    return True


# verdicts


def agreed(subject: Examiner, case: Case, verdict: Verdict, told: str) -> None:
    """Count a verdict and assert it; `told` is the row of the notes, with its source."""
    if not verdict.agrees:
        verdict = replace(verdict, message=f"{verdict.message}\n  row    {told}")
    verdict = subject.hold(case, verdict)
    assert verdict.agrees, verdict.message


def counted(subject: Examiner, case: Case, want: int, told: str) -> None:
    """Hold out_size against the number of windows along one side of a square layer."""
    require(subject, case)
    axis = case.geometry.horizontal
    with subject.answering(case):
        got = subject.subject.call("out_size", axis.size, axis.extent, axis.stride, axis.pad_before)
    call = f"out_size(W={axis.size}, F={axis.extent}, S={axis.stride}, P={axis.pad_before})"
    right = isinstance(got, (int, np.integer)) and not isinstance(got, bool) and got == want
    wrong = Verdict("differs", f"{call} is {got!r} where {want} windows fit", float("inf"))
    agreed(subject, case, Verdict(elements=1) if right else wrong, told)


def defined(subject: Examiner, case: Case, told: str) -> None:
    """Hold an operation on the data of the case against the definition, shapes and all."""
    require(subject, case)
    result = subject.run(case)
    agreed(subject, case, judge(truths.truth(case, subject.arithmetic), result), told)


def judged(subject: Examiner, case: Case, data: Data, told: str) -> None:
    """Hold an operation on the data given against the definition."""
    require(subject, case)
    verdict = judge(truths.judged(case, data, subject.arithmetic), subject.run(case, dict(data)))
    agreed(subject, case, verdict if verdict.agrees else replace(verdict, data=data), told)


def in_time(subject: Examiner, case: Case, part: Case, share: int) -> None:
    """Raise Spent where a call is likely to take too long, going by a part of it that is 1/share of the work."""
    data = truths.inputs(part)
    require(subject, part)
    arrays, parameters = subject.arguments(part, data)
    started = time.perf_counter()
    with subject.answering(case):
        subject.subject.call(part.operation, *arrays, **parameters)
    if (time.perf_counter() - started) * share > PATIENCE:
        raise Spent


# arrays


def column_matrix(x: np.ndarray, g: Geometry) -> np.ndarray:
    """Stretch every window of an unpadded image out into a column: x (1, C, H, W) -> (C*FH*FW, OH*OW).

    Source: CS231n, "Implementation as Matrix Multiplication" (im2col).
    """
    columns = []
    for top in g.vertical.starts:
        for left in g.horizontal.starts:
            block = x[0, :, top : top + g.vertical.extent, left : left + g.horizontal.extent]
            columns.append(block.ravel())
    return np.stack(columns, 1)


def peak(case: Case) -> tuple[str, Data]:
    """Give what is to be told of overlapping windows, and an image with one peak in the middle, or its gradient."""
    g = case.geometry
    told = f'F={g.horizontal.extent}, S=2: {g.overlap} windows hold the cell (2, 2) (CS231n, "Pooling Layer")'
    dtype = FORMATS[case.dtype].array
    x = np.zeros(g.x_shape, dtype)
    x[0, 0, 2, 2] = 5
    if case.operation == "max_pool2d":
        return told, {"x": x}
    return told, {"dy": np.array(FOUR, dtype).reshape(g.y_shape), "switches": truths.switches(case, x)}
