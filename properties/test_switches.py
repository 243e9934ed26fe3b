"""Max pooling's switches: where they point, and how the backward pass follows them."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from oracles import truth as truths
from oracles.case import Case
from oracles.geometry import Axis
from oracles.verdict import Verdict, equal, form, judge, untold
from properties.examiner import Examiner, Unsupported
from properties.laws import law
from properties.recipes import ORDERED
from properties.strategies import cases

STAYS = "names the rule that a switch breaks, where the definition says only that it differs"

FORWARD = ("max_pool2d",)
BACKWARD = ("max_pool2d_backward",)


@law("values", FORWARD, cases(ORDERED))
def test_switch_lies_in_its_window(subject: Examiner, case: Case) -> None:
    """Every switch names a cell of its own window inside the image, never the padding."""
    _, switches = pooled(subject, case)
    rows, columns = np.divmod(switches, case.geometry.horizontal.size)
    wrong = ~(member(case.geometry.vertical, rows, 2) & member(case.geometry.horizontal, columns, 3))
    verdict = subject.hold(case, nowhere(wrong, "switches", switches, "lies outside its window"))
    assert verdict.agrees, verdict.message


@law("values", FORWARD, cases(ORDERED))
def test_output_is_the_input_at_its_switch(subject: Examiner, case: Case) -> None:
    """Every maximum is the value of the cell that its switch names."""
    y, switches = pooled(subject, case)
    n, c, h, w = case.geometry.x_shape
    flat = truths.arrays(case)["x"].reshape(n, c, h * w)
    places = np.clip(switches, 0, h * w - 1).reshape(n, c, math.prod(y.shape[2:]))
    want = np.take_along_axis(flat, places, 2).reshape(y.shape)
    verdict = subject.hold(case, equal("y", y, want))
    assert verdict.agrees, verdict.message


@law("values", FORWARD, cases(("ties", "zeros", "same")))
def test_ties_go_to_the_first_maximum(subject: Examiner, case: Case) -> None:
    """Where a maximum occurs twice in a window the switch is the first in row-major order."""
    verdict = subject.judge(case, subject.run(case))
    assert verdict.agrees, verdict.message


@law("values", FORWARD, cases(("negative", "minus_inf", "extremes")))
def test_padding_never_wins(subject: Examiner, case: Case) -> None:
    """The maximum is one of the image's own values, be they all negative, the lowest number or -inf."""
    verdict = subject.judge(case, subject.run(case))
    assert verdict.agrees, verdict.message


@law("gradients", BACKWARD, cases(("narrow", "ties")))
def test_each_gradient_goes_to_its_switch_and_nowhere_else(subject: Examiner, case: Case) -> None:
    """A single non-zero dy arrives at its switch, and everything else stays 0."""
    data = truths.inputs(case)
    dy = data["dy"]
    assert dy is not None
    if dy.size:
        keep = case.rng(1).integers(dy.size)
        dy = np.where(np.arange(dy.size).reshape(dy.shape) == keep, dy, np.zeros((), dy.dtype))
    data["dy"] = dy
    verdict = judge(truths.judged(case, data), subject.run(case, data))
    verdict = subject.hold(case, dataclasses.replace(verdict, data=data))
    assert verdict.agrees, verdict.message


@law("gradients", BACKWARD, cases(("narrow", "wide"), stride=(1, 2), extent=(2, 3, 4)))
def test_gradients_accumulate_where_windows_overlap(subject: Examiner, case: Case) -> None:
    """A cell that is the maximum of several windows receives the sum of their dy."""
    verdict = subject.judge(case, subject.run(case))
    assert verdict.agrees, verdict.message


@law("gradients", BACKWARD, cases(("narrow",)))
def test_no_gradient_is_lost(subject: Examiner, case: Case) -> None:
    """In every plane the sum of dx is the sum of dy."""
    data = truths.inputs(case)
    dx = subject.run(case, data)
    complaint = form("dx", dx, case.geometry.x_shape, data["dy"].dtype)  # type: ignore[union-attr]
    verdict = Verdict("differs", complaint, math.inf)
    if not complaint:
        got = np.asarray(dx).astype(np.float64).sum((2, 3))
        verdict = equal("sum of dx", got, data["dy"].astype(np.float64).sum((2, 3)))  # type: ignore[union-attr]
    verdict = subject.hold(case, verdict)
    assert verdict.agrees, verdict.message


@law("gradients", BACKWARD, cases(ORDERED))
def test_forward_and_backward_agree_on_the_numbering(subject: Examiner, case: Case) -> None:
    """The implementation's own switches, handed back to it, send every dy to a maximum of its window."""
    forward = dataclasses.replace(case, operation="max_pool2d")
    data = truths.arrays(case)
    _, switches = pooled(subject, forward, data["x"])
    expected = truths.judged(case, truths.inputs(case))
    verdict = subject.judge(case, subject.run(case, {"dy": data["dy"], "switches": switches}), expected)
    assert verdict.agrees, verdict.message


def pooled(subject: Examiner, case: Case, x: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """y and switches of a max pooling, their form checked."""
    result = subject.run(case, None if x is None else {"x": x})
    shape = case.geometry.y_shape
    complaint = "" if isinstance(result, (tuple, list)) and len(result) == 2 else "a tuple (y, switches) is due"
    if not complaint and untold("switches", result[1]):
        raise Unsupported("tells no switches")
    if not complaint:
        dtype = np.dtype(truths.FORMATS[case.dtype].array)
        complaint = form("y", result[0], shape, dtype) or form("switches", result[1], shape, np.dtype(np.int64))
    verdict = subject.hold(case, Verdict("differs", complaint, math.inf)) if complaint else Verdict()
    assert verdict.agrees, verdict.message
    return result[0], result[1]


def member(axis: Axis, places: np.ndarray, direction: int) -> np.ndarray:
    """Whether each coordinate is a tap of its own window along one direction."""
    inside = np.zeros((axis.out, axis.size), bool)
    for o, taps in enumerate(axis.windows):
        inside[o, [i for _, i in taps]] = True
    windows = np.arange(axis.out).reshape([-1 if d == direction else 1 for d in range(4)])
    within = (places >= 0) & (places < axis.size)
    return within & inside[np.broadcast_to(windows, places.shape), np.clip(places, 0, axis.size - 1)]


def nowhere(wrong: np.ndarray, name: str, values: np.ndarray, what: str) -> Verdict:
    """The verdict where nothing must be wrong."""
    if not wrong.any():
        return Verdict(elements=wrong.size)
    place = tuple(int(i) for i in np.unravel_index(int(wrong.argmax()), wrong.shape))
    return Verdict("differs", f"{name}{list(place)} = {values[place]} {what} ({int(wrong.sum())} do)", math.inf)
