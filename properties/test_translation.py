"""Laws of translation: what moves in, moves out. Windows wholly inside the image, so that no border is seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from oracles.case import FORWARD, Case
from oracles.data import odd
from oracles.geometry import Axis
from properties.derived import (
    CHOICES,
    INTEGERS,
    Answers,
    another,
    answers,
    exact,
    held,
    integers,
    present,
    summed,
    tolerance,
    with_axes,
)
from properties.examiner import Examiner, Unsupported
from properties.laws import law
from properties.strategies import PADDINGS, cases

STAYS = "asks no oracle, and is what is said of convolution and pooling most"

SHIFTS = ("0:1", "1:0", "1:1", "2:1", "1:3")  # windows down and to the right
SMALL_SHIFTS = ("0:1", "1:0", "1:1", "2:3")  # cells


def shift(case: Case) -> tuple[int, int]:
    """Read how far the image is moved."""
    down, right = case.detail("shift", dict.fromkeys(SHIFTS + SMALL_SHIFTS)).split(":")
    return int(down), int(right)


def roomy(case: Case) -> Case:
    """Make the image so large that some window lies inside it before and after it has moved."""

    def least(axis: Axis, windows: int) -> int:
        return axis.stride - 1 + axis.reach + windows * axis.stride

    g = case.geometry
    axes = (
        replace(axis, size=max(axis.size, least(axis, windows)))
        for axis, windows in zip((g.vertical, g.horizontal), shift(case), strict=True)
    )
    return with_axes(case, *axes)


@law("values", FORWARD, cases(INTEGERS, padding=PADDINGS, details={"shift": SHIFTS}).map(roomy), details=("shift",))
def test_outputs_move_with_the_image(subject: Examiner, case: Case) -> None:
    """Moving the image by whole strides moves the outputs of all windows inside it."""
    g, (down, right) = case.geometry, shift(case)
    v, h = g.vertical, g.horizontal
    rows, columns = down * v.stride, right * h.stride
    plain = exact(subject, case)
    data = integers(plain)
    x = present(data, "x")
    moved = another(plain, data, "x")  # other cells come in at the border
    moved[:, :, rows:, columns:] = x[:, :, : v.size - rows, : h.size - columns]
    first, last = inside(v, down), inside(h, right)
    here = ..., slice(first.start, first.stop), slice(last.start, last.stop)
    there = ..., slice(first.start + down, first.stop + down), slice(last.start + right, last.stop + right)
    before = answers(subject, case, data, plain)
    after = answers(subject, case, {**data, "x": moved})
    if "switches" in before:
        before["switches"] = before["switches"] + rows * h.size + columns
    want: Answers = {name: array.copy() for name, array in after.items()}
    for name, array in want.items():  # in the place of the whole output, so that indices are its own
        array[there] = before[name][here]
    within = summed(*2 * [tolerance(subject, case, data)])
    relation = f"y(x moved by {rows}, {columns}) = y(x) moved by {down}, {right}"
    verdict = held(subject, case, relation, after, want, {**data, "x": moved}, within)
    assert verdict.agrees, verdict.message


def inside(axis: Axis, windows: int) -> range:
    """Count the outputs whose windows lie in the image, and lie in it still when moved by so many windows."""
    low = -(-axis.pad_before // axis.stride)
    high = (axis.size - axis.reach + axis.pad_before) // axis.stride - windows
    return range(low, high + 1)


def apart(case: Case) -> Case:
    """Make windows that do not overlap."""
    axes = (case.geometry.vertical, case.geometry.horizontal)
    return with_axes(case, *(replace(axis, stride=max(axis.stride, axis.extent), ceil=False) for axis in axes))


@law(
    "values",
    ("max_pool2d",),
    cases(INTEGERS, extent=(2, 3, 4, 5, 7), padding=(0,), dilation=(1,), details={"shift": SMALL_SHIFTS}).map(apart),
    details=("shift",),
)
def test_max_pooling_does_not_see_small_shifts(subject: Examiner, case: Case) -> None:
    """Moving the image changes no maximum as long as each stays in its window and nothing greater moves in."""
    g = case.geometry
    v, h = g.vertical, g.horizontal
    if any((axis.dilation, axis.padded) != (1, axis.size) for axis in (v, h)):
        raise Unsupported("the law needs P = 0, D = 1, which limits leave out")
    down, right = (min(far, axis.extent - 1) for far, axis in zip(shift(case), (v, h), strict=True))
    rng, plain = case.rng(CHOICES), exact(subject, case, slack=2)
    data = integers(plain)
    x = -2 * np.abs(present(data, "x"))  # all cells below 0, and one above in each window
    peaks = odd(rng, g.y_shape, int(np.abs(x).max(initial=1)) or 1)
    peaks = np.abs(peaks).astype(x.dtype) - x.dtype.type(1)
    rows = np.arange(v.out)[:, None] * v.stride + rng.integers(v.extent - down, size=g.y_shape)
    columns = np.arange(h.out) * h.stride + rng.integers(h.extent - right, size=g.y_shape)
    flat = rows * h.size + columns
    planes = x.reshape(g.N, g.C, v.size * h.size)
    np.put_along_axis(planes, flat.reshape(g.N, g.C, v.out * h.out), peaks.reshape(g.N, g.C, v.out * h.out), 2)
    x = planes.reshape(g.x_shape)
    moved = np.roll(x, (down, right), (2, 3))
    moved[:, :, :down], moved[..., :right] = (-np.abs(x[:, :, :down]) - 1, -np.abs(x[..., :right]) - 1)
    want = answers(subject, case, {"x": x}, plain)
    if "switches" in want:
        want["switches"] = want["switches"] + down * h.size + right
    got = answers(subject, case, {"x": moved})
    relation = f"y(x moved by {down}, {right}) = y(x), as each maximum stays in its window and nothing greater moves in"
    verdict = held(subject, case, relation, got, want, {"x": moved})
    assert verdict.agrees, verdict.message
