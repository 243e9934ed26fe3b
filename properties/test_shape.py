"""Sizes: the formula against counting, and the form of what is returned."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache

import numpy as np
from hypothesis.strategies import SearchStrategy, just, sampled_from

from oracles import truth as truths
from oracles.case import BACKWARD, FORWARD, Case
from oracles.geometry import Axis, Geometry
from oracles.verdict import Verdict, form, joined, untold
from properties.examiner import Examiner, under_test
from properties.laws import law
from properties.strategies import cases

STAYS = "tells a wrong size from wrong values"

STRIDES, AT_ONCE = 256, 16  # and how many of them in one drawn case
SIZES = (*range(12), 16, 23, 31, 32, 33, 40)
LARGE = (63, 64, 100, 223, 1000, 65536, 2**24, 2**24 + 1, 2**26 + 7, 2**29 - 1)  # the last ones are no float32


@law("values", ("out_size",), cases(("narrow",), margin=(*SIZES, *LARGE)), any_case=True)
def test_out_size_counts_the_windows(subject: Examiner, case: Case) -> None:
    """out_size is the number of windows that fit, counted one by one; a ragged remainder is dropped."""
    counted(subject, case)


def counted(subject: Examiner, case: Case) -> None:
    """Hold the sizes of both axes against counting."""
    for axis in (case.geometry.vertical, case.geometry.horizontal):
        arguments = (axis.size, axis.extent, axis.stride, axis.pad_before)
        with subject.answering(case):
            if axis.dilation == 1:
                got = subject.subject.call("out_size", *arguments)
            else:
                got = subject.subject.call("out_size", *arguments, dilation=axis.dilation)
        call = (
            f"out_size(W={axis.size}, F={axis.extent}, S={axis.stride}, P={axis.pad_before}, dilation={axis.dilation})"
        )
        right = isinstance(got, (int, np.integer)) and not isinstance(got, bool) and got == axis.out
        message = f"{call} is {got!r} where {axis.out} windows fit"
        verdict = subject.hold(case, Verdict(elements=1) if right else Verdict("differs", message, math.inf))
        assert verdict.agrees, verdict.message


def steps() -> SearchStrategy[Case]:
    """Every block of strides as one drawn case: Hypothesis ends when it has met them all."""
    numbers = just(None).flatmap(lambda _: sampled_from(range(_blocks(under_test()))))
    return numbers.map(lambda block: replace(_block(under_test(), block)[0], details=(("steps", str(block)),)))


@lru_cache(maxsize=8)
def _steps(subject: Examiner) -> tuple[Case, ...]:
    """The cases of all strides that what is under test offers, or of all where it offers none."""
    every = tuple(stepped(subject, S) for S in range(1, STRIDES + 1))
    return tuple(one for one in every if not subject.declined(one)) or every


def _blocks(subject: Examiner) -> int:
    return -(-len(_steps(subject)) // AT_ONCE)


def _block(subject: Examiner, number: int) -> tuple[Case, ...]:
    return _steps(subject)[number * AT_ONCE : (number + 1) * AT_ONCE]


def stepped(subject: Examiner, S: int) -> Case:
    """Make the case in which a stride divides what is left of the image, and one in which a cell lacks to that."""
    exact, short = Axis(4 * S + 1, 1, S), Axis(4 * S, 1, S)
    return Case(
        "out_size", subject.formats[0], Geometry(1, 1, exact, short), "narrow:1", 0, details=(("steps", "one"),)
    )


@law("values", ("out_size",), steps(), details=("steps",))
def test_every_stride_counts_the_windows(subject: Examiner, case: Case) -> None:
    """Strides one after another: where the last window just fits, and where a cell lacks to it."""
    number = case.detail("steps", ("one", *map(str, range(_blocks(subject)))))
    for one in [case] if number == "one" else _block(subject, int(number)):
        counted(subject, one)


@law("values", (*FORWARD, *BACKWARD), cases(("narrow",), margin=SIZES))
def test_output_has_the_shape_that_counting_gives(subject: Examiner, case: Case) -> None:
    """Each result has the shape that counting the windows gives, and the dtype of the inputs."""
    result = subject.run(case)
    g, dtype = case.geometry, np.dtype(truths.FORMATS[case.dtype].array)
    due = {
        "conv2d": [("y", g.y_shape, dtype)],
        "conv2d_backward": [("dx", g.x_shape, dtype), ("dw", g.w_shape, dtype), ("db", (g.K,), dtype)],
        "max_pool2d": [("y", g.y_shape, dtype), ("switches", g.y_shape, np.dtype(np.int64))],
    }.get(case.operation, [("dx", g.x_shape, dtype)] if case.operation in BACKWARD else [("y", g.y_shape, dtype)])
    outputs = result if isinstance(result, (tuple, list)) else (result,)
    complaints = [f"{len(outputs)} results where {len(due)} are due"] if len(outputs) != len(due) else []
    complaints += [
        text
        for output, (name, *wanted) in zip(outputs, due, strict=False)
        if not untold(name, output) and (text := form(name, output, *wanted))
    ]
    elements = sum(math.prod(shape) for _, shape, _ in due)
    found = [Verdict("differs", text, math.inf) for text in complaints] or [Verdict(elements=elements)]
    verdict = subject.hold(case, joined(found))
    assert verdict.agrees, verdict.message
