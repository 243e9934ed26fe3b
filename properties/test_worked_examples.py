"""Worked examples of the course notes: what they count and calculate by hand, every implementation gives."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import prod

import numpy as np

from oracles import sampled
from oracles import truth as truths
from oracles.case import FORWARD, POOLS, Case
from oracles.formats import FORMATS
from oracles.geometry import Axis, Geometry
from properties.derived import Data, answers, exact, held, integers, present, with_axes
from properties.examiner import Examiner
from properties.network import recorded, same_numbers, stage, volumes
from properties.worked import (
    agreed,
    column_matrix,
    counted,
    defined,
    expect_exact,
    fits,
    in_time,
    judged,
    layer,
    peak,
    quotient,
    rounded,
    worked,
)

STAYS = "numbers of the course notes, which a reader can follow by hand"

SPATIAL = 'CS231n, "Spatial arrangement"'
SEVEN = {f"stride-{S}": layer(7, 1, F=3, S=S) for S in (1, 2, 3)}


@worked("values", ("out_size", *FORWARD), "seven", SEVEN)
def test_seven_cells_hold_five_windows_or_three(subject: Examiner, case: Case) -> None:
    """7x7 through 3x3: 5x5 outputs at stride 1, 3x3 at stride 2; stride 3 does not fit, and drops the remainder.

    Source: CS231n, "Spatial arrangement".
    """
    axis = case.geometry.horizontal
    outputs, fit = {1: (5, True), 2: (3, True), 3: (2, False)}[axis.stride]
    assert (axis.out, fits(axis)) == (outputs, fit)
    told = f"7x7, F=3, S={axis.stride} gives {outputs}x{outputs} ({SPATIAL})"
    if case.operation == "out_size":
        counted(subject, case, outputs, told)
    else:
        defined(subject, case, told)


ROW, NEURON = (1, 2, -1, 1, -3), (1, 0, -1)  # the inputs, and the weights of each neuron


def row_of_neurons() -> dict[str, Geometry]:
    """The row of five inputs, padded by one, under three neurons' weights; once more as a column, and in a square."""
    found = {}
    for S in (1, 2, 3):
        long, square = Axis(5, 3, S, 1, 1, 1), Axis(1, 3, S, 1, 1, 1)
        found[f"row-{S}"] = Geometry(1, 1, Axis(1, 1), long, 1)
        found[f"column-{S}"] = Geometry(1, 1, long, Axis(1, 1), 1)
        found[f"square-{S}"] = Geometry(1, 1, square, long, 1)  # for a kernel of 3x3 alone
    return found


@worked("values", ("conv2d",), "neurons", row_of_neurons())
def test_a_row_of_neurons_gives_the_notes_numbers(subject: Examiner, case: Case) -> None:
    """x = (1, 2, -1, 1, -3), padded by 1, weights (1, 0, -1): (-2, 2, 1, 2, 1) at stride 1, (-2, 1, 1) at stride 2.

    Stride 3 does not fit; without its remainder it gives (-2, 2). Source: CS231n, "Spatial arrangement".
    """
    v, h = case.geometry.vertical, case.geometry.horizontal
    S = max(v.stride, h.stride)
    numbers = {1: [-2, 2, 1, 2, 1], 2: [-2, 1, 1], 3: [-2, 2]}[S]
    assert [fits(axis) for axis in (v, h) if axis.size == 5] == [S < 3]
    dtype = FORMATS[case.dtype].array
    w = np.zeros((1, 1, v.extent, h.extent), dtype)
    line = (0, 0, slice(None), 0) if h.extent == 1 else (0, 0, v.extent // 2)
    w[line] = NEURON
    data: Data = {"x": np.array(ROW, dtype).reshape(case.geometry.x_shape), "w": w}
    data["b"] = np.zeros(1, dtype)
    told = f"{SPATIAL}: S={S} gives {tuple(numbers)}"
    want = {"y": np.reshape(np.array(numbers, np.float64), case.geometry.y_shape)}
    verdict = held(subject, case, told, answers(subject, case, data), want, data)
    assert verdict.agrees, verdict.message


TEN = {"stride-2": layer(10, 1, F=3, S=2, K=2)}


@worked("values", ("out_size", "conv2d"), "ten", TEN)
def test_ten_cells_do_not_hold_four_and_a_half_windows(subject: Examiner, case: Case) -> None:
    """10 cells, F=3, S=2: 4.5 windows, which the strict fit refuses; 4 of the cropped image, 5 of the padded one.

    What is dropped at 10 cells is what cropping leaves out. Source: CS231n, "Spatial arrangement".
    """
    axis = case.geometry.horizontal
    assert (quotient(axis), fits(axis), axis.out, axis.filled().out) == (Fraction(9, 2), False, 4, 5)
    told = f"W=10, F=3, S=2 is 4.5 windows: 4 of them whole ({SPATIAL})"
    if case.operation == "out_size":
        counted(subject, case, 4, told)
        return
    defined(subject, case, told)
    larger = with_axes(case, *[replace(axis, size=11)] * 2)
    data = integers(exact(subject, case, larger))
    x = present(data, "x")
    got = answers(subject, case, data)
    cropped = answers(subject, case, {**data, "x": x[:, :, :9, :9]}, with_axes(case, *[replace(axis, size=9)] * 2))
    padded = answers(subject, case, {**data, "x": np.pad(x, ((0, 0), (0, 0), (0, 1), (0, 1)))}, larger)
    verdict = held(subject, case, f"y(10 cells) = y(the first 9): {told}", got, cropped, data)
    assert verdict.agrees, verdict.message
    inner = {"y": padded["y"][:, :, :4, :4]}
    verdict = held(subject, case, f"y(10 cells) = y(10 cells and a zero), but for its fifth: {told}", got, inner, data)
    assert verdict.agrees, verdict.message


ALEXNET = {
    "227": layer(227, 3, F=11, S=4),
    "224": layer(224, 3, F=11, S=4),
    "224-padded-by-3": layer(224, 3, F=11, S=4, P=3),
}


@worked("values", ("out_size", "conv2d"), "alexnet", ALEXNET)
def test_227_cells_fit_alexnets_first_layer_and_224_do_not(subject: Examiner, case: Case) -> None:
    """F=11, S=4: 227 cells hold 55 windows. 224 do not fit, nor with 3 on both sides; with 3 more in all they do.

    Remainders dropped, 224 hold 54, and with 3 on both sides 55, as if the 3 behind were not there. Source: CS231n,
    "Spatial arrangement", the example of Krizhevsky et al. 2012.
    """
    axis = case.geometry.horizontal
    size, P = axis.size, axis.pad_before
    windows, outputs = {(227, 0): (55, 55), (224, 0): (54.25, 54), (224, 3): (55.75, 55)}[size, P]
    assert (quotient(axis), axis.out, fits(axis)) == (windows, outputs, size == 227)
    assert {Axis(224, 11, 4, 1, before, 3 - before).strict().out for before in range(4)} == {55}
    told = f"({size} - 11 + {2 * P})/4 + 1 = {windows} windows, {outputs} of them whole ({SPATIAL})"
    if case.operation == "out_size":
        counted(subject, case, outputs, told)
        return
    defined(subject, case, told)
    data, whole = integers(exact(subject, case)), replace(case, geometry=ALEXNET["227"])
    around = np.zeros(whole.geometry.x_shape, present(data, "x").dtype)
    around[:, :, P : P + size, P : P + size] = present(data, "x")
    got, want = answers(subject, case, data), answers(subject, case, {**data, "x": around}, whole)
    inner = {"y": want["y"][:, :, :outputs, :outputs]}
    verdict = held(subject, case, f"y = y(the same cells among 227x227): {told}", got, inner, data)
    assert verdict.agrees, verdict.message


COLUMNS = {"conv1": layer(227, 3, F=11, S=4, K=96)}


@worked("values", ("conv2d",), "columns", COLUMNS)
def test_alexnets_first_layer_is_one_matrix_product(subject: Examiner, case: Case) -> None:
    """227x227x3, F=11, S=4, K=96: [96 x 363] times [363 x 3025] gives [96 x 3025], the 290,400 neurons of 55x55x96.

    Source: CS231n, "Implementation as Matrix Multiplication".
    """
    in_time(subject, case, replace(case, geometry=replace(case.geometry, K=1)), share=96)
    data = integers(exact(subject, case))
    x, w, b = (present(data, name).astype(np.float64) for name in "xwb")
    columns, filters = column_matrix(x, case.geometry), w.reshape(96, -1)
    assert (columns.shape, filters.shape) == ((363, 3025), (96, 363))
    product = filters @ columns
    assert product.shape == (96, 3025)
    want = {"y": rounded(case, product + b[:, None]).reshape(1, 96, 55, 55)}
    assert want["y"].size == 290_400
    told = 'W_row [96 x 363] times X_col [363 x 3025] (CS231n, "Implementation as Matrix Multiplication")'
    verdict = held(subject, case, told, answers(subject, case, data), want, data)
    assert verdict.agrees, verdict.message


NEURONS = {  # W, depth, F -> the weights of one neuron
    (32, 3, 5): 75,
    (16, 20, 3): 180,
    (227, 3, 11): 363,
    (32, 3, 32): 3_072,
    (200, 3, 200): 120_000,
}
WEIGHTS = {f"{W}x{W}x{depth}-F{F}": layer(W, depth, F=F, S=4) for W, depth, F in NEURONS}


@worked("values", ("conv2d",), "weights", WEIGHTS, most=120_001)
def test_a_neuron_has_as_many_weights_as_its_window_has_cells(subject: Examiner, case: Case) -> None:
    """Ones under ones count a neuron's weights, and a bias of 1 one more: 75, 180, 363; fully connected 3,072, 120,000.

    Source: CS231n, "Architecture Overview", "Local Connectivity" and "Parameter Sharing".
    """
    g = case.geometry
    axis = g.horizontal
    weights = NEURONS[axis.size, g.C, axis.extent]
    assert (g.terms, prod(g.w_shape)) == (weights, weights)
    expect_exact(subject, case, weights + 1)
    dtype = FORMATS[case.dtype].array
    data: Data = {name: np.ones(shape, dtype) for name, shape in (("x", g.x_shape), ("w", g.w_shape), ("b", (1,)))}
    want = {"y": rounded(case, np.full(g.y_shape, weights + 1))}
    told = f"{axis.extent}x{axis.extent}x{g.C} = {weights:,} weights and one bias (CS231n)"
    verdict = held(subject, case, told, answers(subject, case, data), want, data)
    assert verdict.agrees, verdict.message


LISTED = [(i, 0, k) for k in (0, 1) for i in range(4)] + [(0, 1, 1), (2, 3, 1)]


VOLUME = {"11x11x4": layer(11, 4, F=5, S=2, K=2)}


@worked("values", ("conv2d",), "volume", VOLUME)
def test_the_activation_maps_are_indexed_by_width_height_and_depth(subject: Examiner, case: Case) -> None:
    """11x11x4, F=5, S=2, two filters: V[2, 3, 1] = sum(X[4:9, 6:11, :] * W1) + b1, and all others that are listed.

    V, X and W have the width first, then the height, then the depth: V[i, j, k] is y[0, k, j, i]. Source: CS231n,
    "Numpy examples".
    """
    data = integers(exact(subject, case))
    x, w, b = (present(data, name).astype(np.float64) for name in "xwb")
    X, W = x[0].transpose(2, 1, 0), w.transpose(0, 3, 2, 1)
    assert (X.shape, W.shape, case.geometry.y_shape) == ((11, 11, 4), (2, 5, 5, 4), (1, 2, 4, 4))
    got = answers(subject, case, data)
    want = got["y"].copy()
    for i, j, k in LISTED:
        block = X[2 * i : 2 * i + 5, 2 * j : 2 * j + 5, :]
        want[0, k, j, i] = rounded(case, np.sum(block * W[k]) + b[k])
    told = 'V[i, j, k] = sum(X[2i:2i+5, 2j:2j+5, :] * W_k) + b_k is y[0, k, j, i] (CS231n, "Numpy examples")'
    verdict = held(subject, case, told, got, {"y": want}, data)
    assert verdict.agrees, verdict.message


HALVES = {f"F-{F}": layer(W, 1, F=F, P=(F - 1) // 2) for W, F in ((5, 1), (5, 3), (32, 5), (7, 7), (12, 11))}


@worked("values", ("out_size", "conv2d"), "half", HALVES)
def test_padding_by_half_a_filter_keeps_the_size(subject: Examiner, case: Case) -> None:
    """At stride 1, P = (F - 1)/2 gives as many outputs as there are inputs.

    Source: CS231n, "Use of zero-padding"; A Beginner's Guide to Convolutional Neural Networks, Part 2.
    """
    axis = case.geometry.horizontal
    assert (2 * axis.pad_before, axis.out) == (axis.extent - 1, axis.size)
    told = f'F={axis.extent}, P={axis.pad_before} keeps {axis.size} (CS231n, "Use of zero-padding")'
    if case.operation == "out_size":
        counted(subject, case, axis.size, told)
    else:
        defined(subject, case, told)


THREE = {"P-0": layer(32, 3, F=5, K=3), "P-2": layer(32, 3, F=5, P=2, K=3)}


@worked("values", ("out_size", "conv2d"), "three", THREE)
def test_three_filters_make_28x28x3_of_32x32x3_and_keep_it_with_padding(subject: Examiner, case: Case) -> None:
    """32x32x3 under three 5x5x3 filters gives 28x28x3; with P=2 it is read as 36x36x3 and gives 32x32x3.

    Source: A Beginner's Guide to Convolutional Neural Networks, Part 2, "Stride and Padding".
    """
    g = case.geometry
    axis, P = g.horizontal, g.horizontal.pad_before
    outputs = 28 + 2 * P
    assert (axis.padded, axis.out) == (32 + 2 * P, outputs)
    told = f"32x32x3, three filters 5x5x3, P={P} gives {outputs}x{outputs}x3 (A Beginner's Guide, Part 2)"
    if case.operation == "out_size":
        counted(subject, case, outputs, told)
        return
    assert g.y_shape == (1, 3, outputs, outputs)
    defined(subject, case, told)
    bare = with_axes(case, *[replace(axis, size=axis.padded, pad_before=0, pad_after=0)] * 2)
    data = integers(exact(subject, case, bare))
    around = np.pad(present(data, "x"), ((0, 0), (0, 0), (P, P), (P, P)))
    got, want = answers(subject, case, data), answers(subject, case, {**data, "x": around}, bare)
    verdict = held(subject, case, f"y(x, P={P}) = y(x among zeros): {told}", got, want, data)
    assert verdict.agrees, verdict.message


def volume(operation: str) -> Geometry:
    """The whole volume for the pooling that is shown with it; few of its slices for the others, which take long."""
    return layer(224, 64 if operation == "max_pool2d" else 4, F=2, S=2)


@worked("values", POOLS, "quarter", {"224x224": volume})
def test_pooling_224x224x64_by_two_keeps_a_quarter(subject: Examiner, case: Case) -> None:
    """224x224x64 through 2x2 at stride 2 gives 112x112x64: each output is of 4 numbers, 75 % are discarded.

    That is for the maximum; averages and norms are taken of 224x224x4. Source: CS231n, "Pooling Layer".
    """
    g = case.geometry
    assert g.y_shape == (1, g.C, 112, 112)
    assert (g.window, 1 - Fraction(prod(g.y_shape), prod(g.x_shape))) == (4, Fraction(3, 4))
    in_time(subject, case, replace(case, geometry=replace(g, C=1)), share=g.C)
    data = truths.inputs(case)
    result = subject.run(case, data)
    verdict = sampled.verdict(case, data, result, count=60, arithmetic=subject.arithmetic)
    agreed(subject, case, verdict, '224x224x64 pooled 2x2, S=2 gives 112x112x64 (CS231n, "Pooling Layer")')


OVERLAP = {"F-3": layer(5, 1, F=3, S=2), "F-2": layer(4, 1, F=2, S=2)}


@worked("values", ("max_pool2d",), "overlap", OVERLAP)
def test_windows_of_three_at_stride_two_overlap(subject: Examiner, case: Case) -> None:
    """F=3, S=2 overlaps: one peak is the maximum of four windows; with F=2 of one.

    Source: CS231n, "Pooling Layer".
    """
    told, data = peak(case)
    assert (truths.judged(case, data)[0].value == 5).sum() == case.geometry.overlap
    judged(subject, case, data, told)


@worked("values", ("conv2d", "max_pool2d"), "forward", {"32x32x3": stage})
def test_the_small_network_has_the_notes_volumes(subject: Examiner, case: Case) -> None:
    """32x32x3 - CONV 32x32x12 - RELU 32x32x12 - POOL 16x16x12 - FC 1x1x10, each number as the definitions give it.

    Source: CS231n, "Architecture Overview".
    """
    found = volumes()
    assert {name: found[name].shape for name in ("conv", "relu", "pool", "scores")} == {
        "conv": (1, 12, 32, 32), "relu": (1, 12, 32, 32), "pool": (1, 12, 16, 16), "scores": (1, 10),
    }  # fmt: skip
    assert found["conv"].min() < 0
    assert np.array_equal(found["relu"], np.maximum(found["conv"], 0))
    given, want = recorded()[case.operation]
    assert np.array_equal(want["y"], found["conv" if case.operation == "conv2d" else "pool"])
    same_numbers(subject, case, given, want)
