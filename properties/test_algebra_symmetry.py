"""Laws of every operation: mirrored, transposed, scaled, image by image. The implementation against itself."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from oracles.case import BACKWARD, FORWARD, POOLING, POOLS, Case
from oracles.formats import FORMATS
from oracles.geometry import Geometry
from oracles.verdict import Verdict
from properties.derived import (
    CHOICES,
    INTEGERS,
    Data,
    answers,
    both,
    exact,
    fitted,
    held,
    integers,
    present,
    summed,
    tolerance,
    with_axes,
)
from properties.examiner import Examiner
from properties.laws import law
from properties.strategies import PADDINGS, cases

STAYS = "asks no oracle: what an oracle and an implementation get wrong alike shows here"

PLANES = ("x", "w", "dy", "y", "dx", "dw")  # what lies in a plane, and is moved with it
FLIPS = {"horizontal": (-1,), "vertical": (-2,), "both": (-2, -1)}
FITTED = cases(INTEGERS, padding=PADDINGS, details={"flip": tuple(FLIPS)}).map(fitted)
PARTED = ("x", "dy", "switches", "y", "dx")  # what has an axis of images and, pooling, one of channels


@law("values", FORWARD, FITTED, details=("flip",))
def test_mirrored_images_and_filters_give_mirrored_outputs(subject: Examiner, case: Case) -> None:
    """Mirroring image and filter mirrors the output, where the stride leaves nothing over."""
    verdict = mirrored(subject, case)
    assert verdict.agrees, verdict.message


@law("gradients", BACKWARD, FITTED, details=("flip",))
def test_mirrored_inputs_give_mirrored_gradients(subject: Examiner, case: Case) -> None:
    """Mirroring all inputs of a gradient mirrors the gradients."""
    verdict = mirrored(subject, case)
    assert verdict.agrees, verdict.message


def mirrored(subject: Examiner, case: Case) -> Verdict:
    """Compare a call with the same in a mirror, where padding before and after change places."""
    flip = FLIPS[case.detail("flip", FLIPS)]
    g = case.geometry
    axes = [
        replace(axis, pad_before=axis.pad_after, pad_after=axis.pad_before) if direction in flip else axis
        for axis, direction in ((g.vertical, -2), (g.horizontal, -1))
    ]
    call = with_axes(exact(subject, case), *axes)
    data = integers(exact(subject, case))
    turned = {name: None if array is None else _flipped(name, array, flip, g) for name, array in data.items()}
    got = answers(subject, case, data)
    other = answers(subject, case, turned, call)
    want = {name: _flipped(name, array, flip, g) for name, array in other.items() if name != "switches"}
    within = summed(*2 * [tolerance(subject, call, data)])
    return held(subject, case, f"flip(f(x)) = f(flip(x)), flip {case.detail('flip')}", got, want, data, within)


def _flipped(name: str, array: np.ndarray, flip: tuple[int, ...], g: Geometry) -> np.ndarray:
    if name not in (*PLANES, "switches"):
        return array
    if name == "switches":  # each names the cell in the mirror
        rows, columns = array // g.horizontal.size, array % g.horizontal.size
        rows = g.vertical.size - 1 - rows if -2 in flip else rows
        columns = g.horizontal.size - 1 - columns if -1 in flip else columns
        array = rows * g.horizontal.size + columns
    return np.flip(array, flip)


@law("values", FORWARD, cases(INTEGERS))
def test_transposed_images_and_filters_give_transposed_outputs(subject: Examiner, case: Case) -> None:
    """Exchanging height and width, with every parameter, transposes the output."""
    verdict = transposed(subject, case)
    assert verdict.agrees, verdict.message


@law("gradients", BACKWARD, cases(INTEGERS))
def test_transposed_inputs_give_transposed_gradients(subject: Examiner, case: Case) -> None:
    """Exchanging height and width, with every parameter, transposes the gradients."""
    verdict = transposed(subject, case)
    assert verdict.agrees, verdict.message


def transposed(subject: Examiner, case: Case) -> Verdict:
    """Compare a call with that on transposed planes."""
    g = case.geometry
    call = with_axes(exact(subject, case), g.horizontal, g.vertical)
    data = integers(exact(subject, case))
    got = answers(subject, case, data)
    turned = {name: None if array is None else _turned(name, array, g) for name, array in data.items()}
    other = answers(subject, case, turned, call)
    want = {name: _turned(name, array, call.geometry) for name, array in other.items() if name != "switches"}
    within = summed(*2 * [tolerance(subject, call, data)])
    return held(subject, case, "f(x)^T = f(x^T), all pairs exchanged", got, want, data, within)


def _turned(name: str, array: np.ndarray, g: Geometry) -> np.ndarray:
    if name not in (*PLANES, "switches"):
        return array
    if name == "switches":
        array = array % g.horizontal.size * g.vertical.size + array // g.horizontal.size
    return array.swapaxes(-1, -2)


@law("values", FORWARD, cases(INTEGERS, batches=(2, 3)))
def test_a_batch_equals_its_images_one_by_one(subject: Examiner, case: Case) -> None:
    """A batch gives what its images give one by one."""
    verdict = singles(subject, case, axis=0)
    assert verdict.agrees, verdict.message


@law("gradients", BACKWARD, cases(INTEGERS, batches=(2, 3)))
def test_gradients_of_a_batch_are_those_of_its_images(subject: Examiner, case: Case) -> None:
    """A batch's dx is that of each image, its dw and db are the sums over the images."""
    verdict = singles(subject, case, axis=0)
    assert verdict.agrees, verdict.message


@law("values", POOLS, cases(INTEGERS))
def test_channels_are_pooled_one_by_one(subject: Examiner, case: Case) -> None:
    """Each channel is pooled as if it were alone."""
    verdict = singles(subject, case, axis=1)
    assert verdict.agrees, verdict.message


@law("gradients", [name for name in POOLING if name in BACKWARD], cases(INTEGERS))
def test_gradients_of_channels_are_pooled_one_by_one(subject: Examiner, case: Case) -> None:
    """The gradient of each channel is that of the channel alone."""
    verdict = singles(subject, case, axis=1)
    assert verdict.agrees, verdict.message


def singles(subject: Examiner, case: Case, axis: int) -> Verdict:
    """Compare a call with those on its parts along the axis of images, or of channels."""
    case_exact = exact(subject, case)
    g, data = case.geometry, integers(case_exact)
    count = (g.N, g.C)[axis]
    call = replace(case_exact, geometry=replace(g, N=1) if axis == 0 else replace(g, C=1))
    parts = [
        answers(subject, case, {name: _part(name, array, i, axis) for name, array in data.items()}, call)
        for i in range(count)
    ]
    want = {
        name: np.concatenate(found, axis) if name in PARTED else np.sum(found, axis=0)
        for name, found in ((name, [part[name] for part in parts]) for name in parts[0])
    }
    got = answers(subject, case, data)
    within = summed(*2 * [tolerance(subject, call, data)])
    what = ("images", "channels")[axis]
    return held(subject, case, f"f(all {what}) = f of the {what} one by one", got, want, data, within)


def _part(name: str, array: np.ndarray | None, i: int, axis: int) -> np.ndarray | None:
    if array is None or name not in PARTED:
        return array
    return array[i : i + 1] if axis == 0 else array[:, i : i + 1]


@law("values", FORWARD, cases(("narrow",)))
def test_scaling_by_a_power_of_two_scales_the_output(subject: Examiner, case: Case) -> None:
    """Scaling the input by a power of two scales the output by it, exactly."""
    verdict = scaled(subject, case)
    assert verdict.agrees, verdict.message


@law("gradients", BACKWARD, cases(("narrow",)))
def test_scaling_by_powers_of_two_scales_the_gradients(subject: Examiner, case: Case) -> None:
    """Scaling the inputs of a gradient by powers of two scales the gradients by them, exactly."""
    verdict = scaled(subject, case)
    assert verdict.agrees, verdict.message


def scaled(subject: Examiner, case: Case) -> Verdict:
    """Compare a call on integers with that on the same times powers of two that keep all numbers normal."""
    data = integers(exact(subject, case))
    x, w, dy = exponents(subject, exact(subject, case), data)
    # L2 pooling's gradient does not change with the size of x
    powers = {"x": x, "w": w, "b": x + w, "dy": dy, "y": x + w, "dw": x + dy, "db": dy}
    powers["dx"] = w + dy
    large = {
        name: array if array is None or name == "switches" else np.ldexp(array, powers[name]).astype(array.dtype)
        for name, array in data.items()
    }
    plain = answers(subject, case, data, exact(subject, case))
    got = answers(subject, case, large, powers=powers)
    want = {name: array if name == "switches" else np.ldexp(array, powers[name]) for name, array in plain.items()}
    bounds = summed(*2 * [tolerance(subject, case, data)])
    within = {name: math.ldexp(bound, powers[name]) for name, bound in bounds.items()}
    return held(subject, case, f"f(2^i x) = 2^i f(x): x 2^{x}, w 2^{w}, dy 2^{dy}", got, want, large, within)


def exponents(subject: Examiner, case: Case, data: Data) -> tuple[int, int, int]:
    """Draw the exponents of x, w and dy; all inputs, outputs and intermediate results stay normal numbers."""
    rng, form, g = case.rng(CHOICES), FORMATS[case.dtype], case.geometry
    normal, top = form.least + form.digits - 1, math.frexp(form.largest)[1] - 2
    bits = int(case.recipe.split(":")[1])
    fine = g.window.bit_length()  # an average is as much smaller as its window has cells

    def between(low: int, high: int) -> int:
        if subject.arithmetic.transforms:
            low, high = max(low, -20), min(high, 20)
        return int(rng.integers(low, high + 1)) if low < high else 0

    if case.operation.startswith("l2"):
        spread = math.ceil(math.log2(math.sqrt(g.window) * 7))  # norms of narrow data are below 2**spread
        x = between(-(-normal // 2), (top - 2 * spread) // 2)
        if case.operation == "l2_pool2d":
            return x, 0, 0
        # x*dy, dy/norm and x*dy/norm, of dy up to 7 and as many as overlap
        low = normal + max(spread, spread + x, -x)
        high = top - 6 - g.overlap.bit_length() - max(0, x, -x)
        return (x, 0, between(low, high)) if low <= 0 <= high else (0, 0, 0)
    low, high = normal + fine, top - bits
    if case.operation == "conv2d":
        x = between(low, high)
        return x, between(max(low, low - x), min(high, high - x)), 0
    dy = between(low, high)
    if case.operation == "conv2d_backward":
        inner = max(low, low - dy), min(high, high - dy)
        return between(*inner), between(*inner), dy
    return (dy, 0, 0) if case.operation in POOLS else (0, 0, dy)


@law("values", FORWARD, cases(INTEGERS, padding=PADDINGS))
def test_a_stride_keeps_some_of_the_outputs_of_stride_one(subject: Examiner, case: Case) -> None:
    """The outputs at stride S are every S-th of the outputs at stride 1."""
    v, h = case.geometry.vertical, case.geometry.horizontal
    plain = exact(subject, case, both(case, stride=1))
    data = integers(plain)
    dense = answers(subject, case, data, both(plain, stride=1, ceil=False))
    want = {name: array[..., :: v.stride, :: h.stride] for name, array in dense.items()}
    # rounding up adds a window beyond those of stride 1
    got = {name: _cut(array, want[name].shape) for name, array in answers(subject, case, data).items()}
    within = summed(*2 * [tolerance(subject, case, data)])
    relation = f"y(stride {v.stride}, {h.stride}) = y(stride 1, 1)[::{v.stride}, ::{h.stride}]"
    verdict = held(subject, case, relation, got, want, data, within)
    assert verdict.agrees, verdict.message


def padding_counted(case: Case) -> Case:
    """Divide averages by the whole window, padding and all."""
    return replace(case, include_pad=True)


@law("values", FORWARD, cases(INTEGERS, padding=(1, 1, 1, 2, 3, 5, 0)).map(padding_counted))
def test_padding_equals_cells_around_the_image(subject: Examiner, case: Case) -> None:
    """Padding gives what the same cells around the image give: zeros, or -inf for a maximum."""
    v, h = case.geometry.vertical, case.geometry.horizontal
    larger = with_axes(case, *(replace(axis, size=axis.padded, pad_before=0, pad_after=0) for axis in (v, h)))
    plain = exact(subject, case, larger)
    data = integers(plain)
    sides = (0, 0), (0, 0), (v.pad_before, v.pad_after), (h.pad_before, h.pad_after)
    value = -math.inf if case.operation == "max_pool2d" else 0.0
    around = np.pad(present(data, "x"), sides, constant_values=value)
    want = answers(subject, case, {**data, "x": around}, replace(plain, geometry=larger.geometry))
    if "switches" in want:
        rows, columns = np.divmod(want["switches"], h.padded)
        want["switches"] = (rows - v.pad_before) * h.size + columns - h.pad_before
    got = answers(subject, case, data)
    # rounding up: a last window may begin in cells of the image, but not in padding
    want = {name: _cut(array, got[name].shape) for name, array in want.items()}
    within = summed(*2 * [tolerance(subject, case, data)])
    verdict = held(subject, case, "f(x, P) = f(x with P cells around it, 0)", got, want, data, within)
    assert verdict.agrees, verdict.message


def _cut(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return array[tuple(slice(extent) for extent in shape)]
