"""Laws of pooling: what its answers on related images have to do with one another. No oracle is asked."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from oracles.case import POOLS, Case
from oracles.data import odd
from oracles.formats import FORMATS
from oracles.geometry import Axis, Geometry
from properties.derived import (
    CHOICES,
    INTEGERS,
    Answers,
    another,
    answers,
    both,
    budget,
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

STAYS = "asks no oracle: what an oracle and an implementation get wrong alike shows here"

MAX, AVERAGE, L2 = (("max_pool2d",), ("avg_pool2d",), ("l2_pool2d",))


@law("values", AVERAGE, cases(INTEGERS))
def test_average_pooling_is_linear(subject: Examiner, case: Case) -> None:
    """Average pooling is linear: what is added before is added after."""
    plain = exact(subject, case, slack=2)  # |u + 2v| <= 3A
    data = integers(plain)
    x, other = present(data, "x"), another(plain, data, "x")
    got = answers(subject, case, {"x": x + 2 * other})
    want = {"y": answers(subject, case, data)["y"] + 2 * answers(subject, case, {"x": other})["y"]}
    within = summed(*6 * [tolerance(subject, case, data)])
    verdict = held(subject, case, "y(x + 2x') = y(x) + 2 y(x')", got, want, {"x": x + 2 * other}, within)
    assert verdict.agrees, verdict.message


@law("values", AVERAGE, cases(INTEGERS, padding=PADDINGS))
def test_average_pooling_is_a_uniform_convolution(subject: Examiner, case: Case) -> None:
    """Average pooling is convolution with ones, over the size of the window or over its cells in the image."""
    call = uniform(case)
    data = integers(exact(subject, case, call))
    got = answers(subject, case, data)
    sums = convolved_with_ones(subject, case, call, present(data, "x"))
    cells = convolved_with_ones(subject, case, call, np.ones_like(present(data, "x")))
    counts = np.full_like(cells, case.geometry.window) if case.include_pad else cells
    got, within = first_outputs(got, sums.shape), tolerance(subject, case, data)
    verdict = held(subject, case, "y = conv2d(x, ones) / count", got, {"y": sums / counts}, data, within)
    assert verdict.agrees, verdict.message


@law("values", L2, cases(("narrow",), padding=PADDINGS))
def test_l2_pooling_is_the_root_of_convolved_squares(subject: Examiner, case: Case) -> None:
    """L2 pooling is the square root of the squares convolved with ones."""
    call = uniform(case)
    plain = exact(subject, case, call)
    most = max(1, min(7, math.isqrt(budget(plain) // case.geometry.window)))  # the squares have the budget
    x = odd(case.rng(CHOICES), case.geometry.x_shape, most).astype(FORMATS[case.dtype].array)
    got, within = answers(subject, case, {"x": x}, plain), tolerance(subject, case, {"x": x})
    want = {"y": np.sqrt(convolved_with_ones(subject, case, call, x * x))}
    got = first_outputs(got, want["y"].shape)
    verdict = held(subject, case, "y = sqrt(conv2d(x*x, ones))", got, want, {"x": x}, within)
    assert verdict.agrees, verdict.message


def uniform(case: Case) -> Case:
    """Derive the convolution of every channel by itself, as an image of its own, with one filter."""
    g = both(case, ceil=False).geometry
    lone = Geometry(g.N * g.C, 1, g.vertical, g.horizontal, K=1, G=1)
    return replace(case, operation="conv2d", geometry=lone, include_pad=True)


def convolved_with_ones(subject: Examiner, case: Case, call: Case, x: np.ndarray) -> np.ndarray:
    """Convolve each channel of x (N, C, H, W) with ones -> (N, C, OH, OW)."""
    if not subject.subject.offers("conv2d"):
        raise Unsupported("the law needs conv2d, which is not offered")
    ones = np.ones(call.geometry.w_shape, x.dtype)
    data = {"x": x.reshape(call.geometry.x_shape), "w": ones, "b": None}
    sums = answers(subject, case, data, exact(subject, call))["y"]
    return sums.reshape(*x.shape[:2], *sums.shape[2:])


def first_outputs(found: Answers, shape: tuple[int, ...]) -> Answers:
    """Leave out the outputs beyond a shape: those that rounding up adds."""
    return {name: array[:, :, : shape[2], : shape[3]] for name, array in found.items()}


@law("values", MAX, cases(INTEGERS))
def test_max_pooling_keeps_the_maximum_of_two_images(subject: Examiner, case: Case) -> None:
    """Max pooling takes the larger of two images to the larger of their outputs; so it is monotone."""
    data = integers(exact(subject, case))
    x, other = present(data, "x"), another(case, data, "x")
    larger = {"x": np.maximum(x, other)}
    want = np.maximum(answers(subject, case, data)["y"], answers(subject, case, {"x": other})["y"])
    got = answers(subject, case, larger)
    verdict = held(subject, case, "y(max(x, x')) = max(y(x), y(x'))", got, {"y": want}, larger)
    assert verdict.agrees, verdict.message


@law("values", MAX, cases(INTEGERS))
def test_max_pooling_moves_with_the_level_of_the_image(subject: Examiner, case: Case) -> None:
    """Adding one number to all cells adds it to every maximum and moves no switch, whatever the signs become."""
    plain = exact(subject, case, slack=2)
    data = integers(plain)
    x = present(data, "x")
    level = float(case.rng(CHOICES).choice([-1, 1])) * 2 * float(np.abs(x).max(initial=1))  # |x + level| <= 3A
    moved = {"x": (x + level).astype(x.dtype)}
    want = answers(subject, case, data)
    want["y"] = want["y"] + level
    verdict = held(subject, case, f"y(x + c) = y(x) + c, c = {level:g}", answers(subject, case, moved), want, moved)
    assert verdict.agrees, verdict.message


@law("values", MAX, cases(INTEGERS))
def test_max_pooling_is_not_linear(subject: Examiner, case: Case) -> None:
    """Max pooling is subadditive, strictly so where a window holds different cells: y(x) > -y(-x)."""
    g, form = case.geometry, FORMATS[case.dtype]
    v, h = g.vertical, g.horizontal
    # number the cells so that those of one window all differ, and give each number a value of its own
    rows, columns = (np.arange(axis.size) // axis.dilation % axis.extent for axis in (v, h))
    values = 2.0 * case.rng(CHOICES).permutation(g.window) - g.window
    x = np.broadcast_to(values[rows[:, None] * h.extent + columns], g.x_shape).astype(form.array)
    cells = np.outer([len(taps) for taps in v.windows], [len(taps) for taps in h.windows])
    got = answers(subject, case, {"x": x})
    least = -answers(subject, case, {"x": -x})["y"]
    want = np.maximum(got["y"], least + np.where(cells > 1, 2.0, 0.0))  # two values differ by 2 at least
    relation = "y(x) + y(-x) > 0 = y(x - x): here every window of more than one cell holds different ones"
    verdict = held(subject, case, relation, got, {"y": want}, {"x": x})
    assert verdict.agrees, verdict.message


def there_and_back(case: Case) -> Case:
    """Make most windows reach equally far to both sides, since some engines pad by half a window at most."""
    case = both(case, ceil=False)
    if case.seed % 4 == 3:
        return case
    axes = []
    for axis in (case.geometry.vertical, case.geometry.horizontal):
        half = (axis.extent - 1) // 2
        size = max(axis.size, axis.reach - 2 * half)
        axes.append(replace(axis, size=size, pad_before=half, pad_after=half))
    return with_axes(case, *axes)


@law("values", MAX, cases(INTEGERS, stride=(1,), padding=PADDINGS, dilation=(1,)).map(there_and_back))
def test_max_pooling_after_min_pooling_back_changes_nothing(subject: Examiner, case: Case) -> None:
    """Max pooling, min pooling back over the same windows, max pooling again: as after the first time."""
    v, h = case.geometry.vertical, case.geometry.horizontal
    if any((axis.stride, axis.dilation) != (1, 1) for axis in (v, h)):
        raise Unsupported("the law needs S = 1, D = 1, which limits leave out")
    back = with_axes(case, *(way_back(axis) for axis in (v, h)))
    data = integers(exact(subject, case))
    want, dtype = answers(subject, case, data)["y"], FORMATS[case.dtype].array
    # each cell becomes the least of the maxima of the windows that hold it
    closed = {"x": -answers(subject, case, {"x": -want.astype(dtype)}, back)["y"].astype(dtype)}
    got = answers(subject, case, closed)
    relation = "y(-y'(-y(x))) = y(x), y' over the outputs whose windows hold a cell"
    verdict = held(subject, case, relation, got, {"y": want}, closed)
    assert verdict.agrees, verdict.message


def way_back(axis: Axis) -> Axis:
    """Turn an axis of stride 1 round: for each cell of the image, the outputs whose windows hold it."""
    return Axis(axis.out, axis.extent, 1, 1, axis.extent - 1 - axis.pad_before, axis.extent - 1 - axis.pad_after)


def side_by_side(case: Case) -> Case:
    """Lay windows side by side over the whole image."""
    axes = (
        replace(axis, size=axis.out * axis.extent, stride=axis.extent)
        for axis in (case.geometry.vertical, case.geometry.horizontal)
    )
    return with_axes(case, *axes)


@law("values", POOLS, cases(INTEGERS, padding=(0,), dilation=(1,)).map(side_by_side))
def test_pooling_an_enlarged_image_gives_it_back(subject: Examiner, case: Case) -> None:
    """Of an image whose cells were each repeated over a window, pooling gives the image back."""
    g = case.geometry
    v, h = g.vertical, g.horizontal
    if any((axis.dilation, axis.padded) != (1, axis.size) for axis in (v, h)):
        raise Unsupported("the law needs P = 0, D = 1, which limits leave out")
    small = present(integers(exact(subject, case)), "x")[:, :, :: v.extent, :: h.extent]
    data = {"x": small.repeat(v.extent, 2).repeat(h.extent, 3)}
    want = {"y": small.astype(np.float64)}
    if case.operation == "l2_pool2d":
        want["y"] = np.abs(want["y"]) * math.sqrt(g.window)
    if case.operation == "max_pool2d":  # all cells of a window tie
        first = np.arange(v.out)[:, None] * v.extent * h.size + np.arange(h.out) * h.extent
        want["switches"] = np.broadcast_to(first, g.y_shape)
    within = tolerance(subject, case, data)
    verdict = held(subject, case, "y(x repeated F times) = x", answers(subject, case, data), want, data, within)
    assert verdict.agrees, verdict.message


@law("values", POOLS, cases(INTEGERS, extent=(1,)))
def test_windows_of_one_cell_pick_cells(subject: Examiner, case: Case) -> None:
    """A window of one cell gives that cell, every S-th in each direction."""
    g = case.geometry
    if g.window != 1:
        raise Unsupported("the law needs F = 1, which limits leave out")
    data = integers(exact(subject, case))
    want = {"y": present(data, "x")[:, :, :: g.vertical.stride, :: g.horizontal.stride].astype(np.float64)}
    if case.operation == "l2_pool2d":
        want["y"] = np.abs(want["y"])
    got, within = answers(subject, case, data), tolerance(subject, case, data)
    verdict = held(subject, case, "y = x[::S, ::S]", got, want, data, within)
    assert verdict.agrees, verdict.message


def whole(case: Case) -> Case:
    """Make the window as large as the image."""
    axes = (Axis(axis.size, axis.size, axis.stride) for axis in (case.geometry.vertical, case.geometry.horizontal))
    return with_axes(case, *axes)


@law("values", POOLS, cases(INTEGERS, padding=(0,), dilation=(1,)).map(whole))
def test_global_pooling_reduces_each_plane(subject: Examiner, case: Case) -> None:
    """A window as large as the image gives the maximum, the mean, the norm of each plane."""
    g = case.geometry
    data = integers(exact(subject, case))
    planes = present(data, "x").astype(np.float64).reshape(g.N, g.C, g.vertical.size * g.horizontal.size)
    reduced = {
        "max_pool2d": lambda: {"y": planes.max(2), "switches": planes.argmax(2)},
        "avg_pool2d": lambda: {"y": planes.sum(2) / g.window},
        "l2_pool2d": lambda: {"y": np.sqrt((planes**2).sum(2))},
    }[case.operation]()
    want = {name: array.reshape(g.y_shape) for name, array in reduced.items()}
    got, within = answers(subject, case, data), tolerance(subject, case, data)
    verdict = held(subject, case, "y = reduce(x, axis=(2, 3))", got, want, data, within)
    assert verdict.agrees, verdict.message


@law("values", POOLS, cases(INTEGERS, padding=PADDINGS))
def test_pooling_rows_then_columns_pools_windows(subject: Examiner, case: Case) -> None:
    """Pooling along the rows and then along the columns gives what pooling windows gives, switches and all."""
    g = case.geometry
    data = integers(exact(subject, case))
    along_rows = with_axes(case, Axis(g.vertical.size, 1, ceil=g.vertical.ceil), g.horizontal)
    along_columns = with_axes(case, g.vertical, Axis(g.horizontal.out, 1, ceil=g.vertical.ceil))
    got, rows = answers(subject, case, data), answers(subject, case, data, along_rows)
    between = {"x": rows["y"].astype(FORMATS[case.dtype].array)}
    want = answers(subject, case, between, along_columns)
    if "switches" in want:  # of the rows' maxima the first largest one, and of its row the first largest cell
        cells = g.vertical.size * g.horizontal.out
        picked = want["switches"].clip(0, cells - 1).reshape(g.N, g.C, g.vertical.out * g.horizontal.out)
        first = np.take_along_axis(rows["switches"].reshape(g.N, g.C, cells), picked, 2)
        want["switches"] = first.reshape(g.y_shape)
    within = summed(*3 * [tolerance(subject, case, data)], tolerance(subject, along_rows, data))
    verdict = held(subject, case, "y = y(columns of y(rows of x))", got, want, data, within)
    assert verdict.agrees, verdict.message


@law("values", POOLS, cases(INTEGERS))
def test_a_constant_image_pools_to_its_value(subject: Examiner, case: Case) -> None:
    """A constant image gives its value, in averages and norms weighed by the cells inside."""
    g = case.geometry
    value = float(np.abs(present(integers(exact(subject, case)), "x")).max(initial=1))
    data = {"x": np.full(g.x_shape, value, FORMATS[case.dtype].array)}
    cells = np.outer([len(taps) for taps in g.vertical.windows], [len(taps) for taps in g.horizontal.windows])
    share = {"l2_pool2d": np.sqrt(cells), "avg_pool2d": cells / g.window}.get(case.operation, 1.0)
    share = share if case.include_pad else 1.0
    want = {"y": np.broadcast_to(value * share, g.y_shape)}
    got, within = answers(subject, case, data), tolerance(subject, case, data)
    verdict = held(subject, case, "y(c) = c, c cells/F^2 or c sqrt(cells)", got, want, data, within)
    assert verdict.agrees, verdict.message
