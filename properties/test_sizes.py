"""Sizes beyond the small ones, and what only many outputs together show: bias and variance of the rounding errors."""

from __future__ import annotations

import dataclasses
import math
from functools import lru_cache

import numpy as np
from hypothesis import example

from oracles import sampled
from oracles import truth as truths
from oracles.case import BACKWARD, FORWARD, Case
from oracles.geometry import Axis
from oracles.truth import Truth
from oracles.verdict import Verdict
from properties.examiner import Examiner, under_test
from properties.far import far_cases
from properties.ladder import large_cases
from properties.laws import law
from properties.neighbours import owed
from properties.strategies import cases

STAYS = "sizes that the small cases do not reach, and errors that only many outputs show"

STANDARD_ERRORS = 7.0  # truncation stands 15 and more out, correct rounding at most 1.3; by chance 1 in 10**11
LEAST = 96  # elements whose errors are averaged
MANY = {"margin": range(9, 18), "stride": (1,), "padding": (0, 1)}  # enough outputs for statistics
# No bias: what lies of it below the last place of the sums is rounded away alike in every output of a filter.
SUMMED = ("conv2d", "conv2d_backward", "avg_pool2d")


def telling(case: Case) -> Case:
    """Make errors tell: of a gradient by many filters, of half of the averages by a count that divides exactly."""
    g = case.geometry
    if case.operation == "conv2d_backward":
        times = math.ceil(math.sqrt(LEAST / max(1, math.prod(g.w_shape))))
        axes = (dataclasses.replace(axis, size=axis.size - (axis.out - 1) // 2 * axis.stride) for axis in
                (g.vertical, g.horizontal))  # fmt: skip
        vertical, horizontal = axes if times > 1 else (g.vertical, g.horizontal)
        more = dataclasses.replace(g, vertical=vertical, horizontal=horizontal, C=g.C * times, K=g.K * times)
    elif case.operation == "avg_pool2d" and case.seed % 2:
        more = dataclasses.replace(g, vertical=_halved(g.vertical), horizontal=_halved(g.horizontal))
        if more.window == 1:
            return case
    else:
        return case
    changed = dataclasses.replace(case, geometry=more)
    return changed if owed(under_test(), changed) else case


def _halved(axis: Axis) -> Axis:
    """Make a window of 1, 2 or 4 cells, and as much padding as it may have."""
    extent = 1 << (axis.extent.bit_length() - 1)
    sides = {name: min(getattr(axis, name), extent - 1) for name in ("pad_before", "pad_after")}
    return dataclasses.replace(axis, extent=extent, **sides)


@law("values", FORWARD, large_cases())
@example(case=Case.parse("max_pool2d float32 n1c2 i257k3s2p1,1d1 i263k2s2p0,0d1 wide:24 seed=0"))
@example(case=Case.parse("max_pool2d float32 n1c1 i4099k2s128p0,0d1 i4099k3s127p0,0d1 narrow:24 seed=0"))
@example(case=Case.parse("avg_pool2d float32 n1c2 i18k16s1p0,0d1 i17k16s1p0,0d1 narrow:24 seed=0 exclude_pad"))
@example(case=Case.parse("avg_pool2d float16 n1c2 i18k16s1p0,0d1 i17k16s1p0,0d1 gauss seed=0"))
@example(case=Case.parse("l2_pool2d float16 n1c2 i18k16s1p0,0d1 i17k16s1p0,0d1 positive seed=0"))
def test_large_outputs_equal_the_definition(subject: Examiner, case: Case) -> None:
    """On both sides of tiles, vectors and index types: chosen outputs are the definition's, checksums cover all."""
    verdict = judged_by_samples(subject, case)
    assert verdict.agrees, verdict.message


@law("gradients", BACKWARD, large_cases())
@example(case=Case.parse("max_pool2d_backward float32 n1c2 i257k3s2p1,1d1 i263k2s2p0,0d1 wide:24 seed=0"))
@example(case=Case.parse("avg_pool2d_backward float32 n1c2 i18k16s1p0,0d1 i17k16s1p0,0d1 narrow:24 seed=0 exclude_pad"))
@example(case=Case.parse("conv2d_backward float64 n1c130k130g1 i3k3s1p0,0d1 i4k2s1p0,0d1 gauss seed=0"))
def test_large_gradients_equal_the_definition(subject: Examiner, case: Case) -> None:
    """Gradients of large images, batches, windows and many channels, at chosen places and by checksums."""
    verdict = judged_by_samples(subject, case)
    assert verdict.agrees, verdict.message


@law("values", FORWARD, far_cases())
@example(case=Case.parse("conv2d float32 n1c65539k65539g65539 i1k1s1p0,0d1 i2k2s1p0,0d1 wide:24 seed=0 bias"))
@example(case=Case.parse("max_pool2d float32 n1c65539 i2k2s1p0,0d1 i1k1s1p0,0d1 wide:24 seed=0"))
@example(case=Case.parse("max_pool2d float32 n1c1 i257k1s1p0,0d1 i257k1s1p0,0d1 wide:24 seed=0"))
@example(case=Case.parse("avg_pool2d float32 n1c65539 i2k2s1p0,0d1 i1k1s1p0,0d1 wide:24 seed=0"))
@example(case=Case.parse("l2_pool2d float32 n1c65539 i2k2s1p0,0d1 i1k1s1p0,0d1 wide:24 seed=0"))
def test_sizes_beyond_16_bits_are_right(subject: Examiner, case: Case) -> None:
    """Of more rows, columns, images or filters than 16 bits count, and windows beyond 8, all outputs are right."""
    verdict = judged_by_samples(subject, case)
    assert verdict.agrees, verdict.message


@law("gradients", BACKWARD, far_cases())
@example(case=Case.parse("max_pool2d_backward float32 n1c65539 i2k2s1p0,0d1 i1k1s1p0,0d1 wide:24 seed=0"))
@example(case=Case.parse("avg_pool2d_backward float32 n1c65539 i2k2s1p0,0d1 i1k1s1p0,0d1 wide:24 seed=0"))
@example(case=Case.parse("l2_pool2d_backward float32 n1c65539 i2k2s1p0,0d1 i1k1s1p0,0d1 wide:24 seed=0"))
def test_gradients_beyond_16_bits_are_right(subject: Examiner, case: Case) -> None:
    """Of more rows, columns, images or filters than 16 bits count, and windows beyond 8, all gradients are right."""
    verdict = judged_by_samples(subject, case)
    assert verdict.agrees, verdict.message


@law("values", ("conv2d", "avg_pool2d"), cases(("positive",), bias=False, **MANY).map(telling))
def test_rounding_errors_have_the_variance_of_correct_rounding(subject: Examiner, case: Case) -> None:
    """On positive data all errors together are no larger, and no more one-sided, than rounding makes them.

    Source: Arm TOSA conformance, dot-product test: sum e^2 <= 1.6 k T, |sum e| <= sqrt(16 k T), e = error / (u A).
    """
    result = subject.run(case)
    verdict = subject.judge(case, result)
    if verdict.agrees and subject.arithmetic.accuracy == "direct":
        (truth,) = truths.truth(case, subject.arithmetic)
        n = case.geometry.terms if case.operation == "conv2d" else case.geometry.window
        verdict = subject.hold(case, variance(truth, result, n, average=reciprocal(case)))
    assert verdict.agrees, verdict.message


@law("values", SUMMED, cases(("gauss",), bias=False, **MANY).map(telling))
def test_rounding_errors_point_in_no_direction(subject: Examiner, case: Case) -> None:
    """On signed data the errors lean neither towards zero nor away from it, as truncation does."""
    result = subject.run(case)
    verdict = subject.judge(case, result)
    if verdict.agrees and subject.arithmetic.accuracy == "direct":
        outputs = result if isinstance(result, (tuple, list)) else (result,)
        for truth, output in zip(truths.truth(case, subject.arithmetic), outputs, strict=True):
            found = leaning(truth, output, average=reciprocal(case))
            verdict = subject.hold(case, found) if verdict.agrees else verdict
    assert verdict.agrees, verdict.message


def reciprocal(case: Case) -> bool:
    """Whether it divides by a count whose rounded reciprocal is not the true one, or by others beside the padding."""
    g = case.geometry
    fewer = not case.include_pad and any(axis.pad_before or axis.pad_after for axis in (g.vertical, g.horizontal))
    return case.operation.startswith("avg") and (fewer or g.window & (g.window - 1) != 0)


def judged_by_samples(subject: Examiner, case: Case) -> Verdict:
    """The verdict of samples and checksums on a call."""
    subject.expect_exact(case)
    result = subject.run(case)
    return subject.hold(case, _standard(case).verdict(result, subject.arithmetic))


@lru_cache(maxsize=32)
def _standard(case: Case) -> sampled.Standard:
    """What the results of one case are held against: one mutant after another meets the same cases."""
    return sampled.Standard(case, truths.inputs(case), 60)


def errors(truth: Truth, output: np.ndarray) -> np.ndarray:
    """got - want of every element, to double precision of the difference."""
    found: np.ndarray = (output.astype(np.float64) - truth.value) - truth.rest
    return found


def variance(truth: Truth, output: np.ndarray, k: int, *, average: bool = False) -> Verdict:
    """The verdict on all errors together, on positive data, where A is the output itself.

    An average may be a product with the rounded reciprocal of the count: one relative error of up to u in all outputs.
    """
    covered = truth.value > 0  # a window wholly in the padding has no error
    total = int(covered.sum())
    if total < 64 or truth.form.narrow:  # a narrow result is rounded once more, which these limits do not count
        return Verdict()
    e = errors(truth, output)[covered] / (truth.form.u * truth.value[covered])
    if average:
        e = e - np.clip(e.mean(), -1, 1)
    squares, lean = float((e * e).sum() / (1.6 * k * total)), float(abs(e.sum()) / math.sqrt(16 * k * total))
    if max(squares, lean) <= 1:
        return Verdict(ratio=max(squares, lean), elements=0)
    what = "the sum of squared errors" if squares > lean else "the sum of errors"
    message = f"each of {total} outputs passes, but {what} is {max(squares, lean):.3g} times what rounding allows"
    return Verdict("differs", f"{message}: a narrower accumulator, or truncation", math.inf)


def leaning(truth: Truth, output: np.ndarray, *, average: bool = False) -> Verdict:
    """The verdict on the mean of error * sign(want), in standard errors; an average is excused as in `variance`."""
    away, size = (errors(truth, output) * np.sign(truth.value)).ravel(), np.abs(truth.value).ravel()
    if average and size.any():
        factor = float(away @ size) / float(size @ size)  # by least squares
        away = away - np.clip(factor, -truth.form.u, truth.form.u) * size
    if away.size < LEAST or not away.any():
        return Verdict()
    deviation = float(away.mean() / (away.std() / math.sqrt(away.size) or math.inf))
    if abs(deviation) <= STANDARD_ERRORS:
        return Verdict()
    direction = "away from zero" if deviation > 0 else "towards zero"
    message = f"each of {away.size} elements of {truth.name} passes, but their errors lean {direction} by"
    return Verdict("differs", f"{message} {abs(deviation):.1f} standard errors; rounding leans by 1 or 2", math.inf)
