"""Laws of convolution: what its answers on related inputs have to do with one another. No oracle is asked."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from oracles.case import Case
from oracles.data import odd
from oracles.formats import FORMATS
from oracles.geometry import Axis
from properties.derived import (
    CHOICES,
    INTEGERS,
    Data,
    another,
    answers,
    budget,
    exact,
    held,
    integers,
    present,
    shuffled,
    sparse,
    two_groups,
    with_axes,
)
from properties.examiner import Examiner, Unsupported
from properties.laws import law
from properties.strategies import PADDINGS, cases

STAYS = "asks no oracle: what an oracle and an implementation get wrong alike shows here"

CONV = ("conv2d",)


@law("values", CONV, cases(INTEGERS))
def test_convolution_is_linear_in_the_image(subject: Examiner, case: Case) -> None:
    """Convolution is linear in the image: what is added before is added after."""
    linear(subject, case, "x")


@law("values", CONV, cases(INTEGERS))
def test_convolution_is_linear_in_the_filter(subject: Examiner, case: Case) -> None:
    """Convolution is linear in the filter."""
    linear(subject, case, "w")


def linear(subject: Examiner, case: Case, name: str) -> None:
    """Hold f(u + 2v) against f(u) + 2 f(v); the bias comes in once.

    2v makes the sum odd: no zero hides anything. |u + 2v| and 2 f(v) take two bits more than one call has.
    """
    plain = exact(subject, case, slack=2)
    data = integers(plain)
    first, second = present(data, name), another(plain, data, name)
    together = {**data, name: first + 2 * second}
    got = answers(subject, case, together)
    one = answers(subject, case, data, plain)
    two = answers(subject, case, {**data, name: second, "b": None}, plain)
    want = {"y": one["y"] + 2 * two["y"]}
    verdict = held(subject, case, f"y({name} + 2{name}') = y({name}) + 2 y({name}')", got, want, together)
    assert verdict.agrees, verdict.message


@law("values", CONV, cases(INTEGERS, bias=False).map(lambda case: replace(case, bias=True)))
def test_the_bias_is_added_to_each_output_of_its_filter(subject: Examiner, case: Case) -> None:
    """The bias is added once to every output of its filter, and to no other."""
    data = integers(exact(subject, case))
    got = answers(subject, case, data)
    bare = answers(subject, case, {**data, "b": None}, replace(case, bias=False))
    want = {"y": bare["y"] + present(data, "b").astype(np.float64)[:, None, None]}
    verdict = held(subject, case, "y(x, w, b) = y(x, w, None) + b", got, want, data)
    assert verdict.agrees, verdict.message


@law("values", CONV, cases(INTEGERS))
def test_permuting_filters_permutes_outputs(subject: Examiner, case: Case) -> None:
    """Filters and biases in another order within their groups give the same outputs in that order."""
    plain, g = exact(subject, case), case.geometry
    data = integers(plain)
    order = shuffled(case.rng(CHOICES), g.G, g.K // g.G)
    reordered = {**data, "w": present(data, "w")[order]}
    if data["b"] is not None:
        reordered["b"] = data["b"][order]
    want = {"y": answers(subject, case, data, plain)["y"][:, order]}
    got = answers(subject, case, reordered)
    verdict = held(subject, case, f"y(w[order]) = y(w)[order], order {order}", got, want, reordered)
    assert verdict.agrees, verdict.message


@law("values", CONV, cases(INTEGERS))
def test_the_order_of_channels_does_not_matter(subject: Examiner, case: Case) -> None:
    """The same order of channels in image and filters, whatever it is, gives the same output."""
    plain, g = exact(subject, case), case.geometry
    data = integers(plain)
    order = shuffled(case.rng(CHOICES), g.G, g.C // g.G)
    local = np.reshape(order, (g.G, -1)) % (g.C // g.G)  # of each group
    w = present(data, "w").reshape(g.G, g.K // g.G, *g.w_shape[1:])
    inner = np.stack([filters[:, places] for filters, places in zip(w, local, strict=True)])
    reordered = {**data, "x": present(data, "x")[:, order], "w": inner.reshape(g.w_shape)}
    want = answers(subject, case, data, plain)
    relation = f"y(x[:, order], w[:, order]) = y(x, w), order {order}"
    verdict = held(subject, case, relation, answers(subject, case, reordered), want, reordered)
    assert verdict.agrees, verdict.message


def two_channels(case: Case) -> Case:
    """Give each group at least two channels."""
    g = case.geometry
    return case if g.C > g.G else replace(case, geometry=replace(g, C=2 * g.C))


@law("values", CONV, cases(INTEGERS).map(two_channels))
def test_concatenated_channels_add(subject: Examiner, case: Case) -> None:
    """The output of all channels is the sum of the outputs of the first ones and of the others."""
    plain, g = exact(subject, case), case.geometry
    data, each = integers(plain), g.C // g.G
    cut = int(case.rng(CHOICES).integers(1, each))
    want = np.zeros(g.y_shape)
    for low, high in ((0, cut), (cut, each)):
        x = present(data, "x").reshape(g.N, g.G, each, *g.x_shape[2:])[:, :, low:high]
        part = replace(plain, geometry=replace(g, C=g.G * (high - low)))
        given: Data = {"x": x.reshape(part.geometry.x_shape), "w": present(data, "w")[:, low:high]}
        given["b"] = data["b"] if low == 0 else None
        want += answers(subject, case, given, part)["y"]
    relation = f"y(all channels) = y(first {cut} of each group) + y(the others)"
    verdict = held(subject, case, relation, answers(subject, case, data), {"y": want}, data)
    assert verdict.agrees, verdict.message


@law("values", CONV, cases(INTEGERS).map(two_groups))
def test_groups_are_separate_convolutions(subject: Examiner, case: Case) -> None:
    """A grouped convolution is one convolution for each group, their outputs one after the other."""
    plain, g = exact(subject, case), case.geometry
    data = integers(plain)
    part = replace(plain, geometry=replace(g, C=g.C // g.G, K=g.K // g.G, G=1))
    parts = []
    for group in range(g.G):
        channels, filters = (slice(group * n // g.G, (group + 1) * n // g.G) for n in (g.C, g.K))
        given: Data = {"x": present(data, "x")[:, channels], "w": present(data, "w")[filters]}
        given["b"] = None if data["b"] is None else data["b"][filters]
        parts.append(answers(subject, case, given, part)["y"])
    got, want = answers(subject, case, data), {"y": np.concatenate(parts, 1)}
    verdict = held(subject, case, "y = concatenate(y of each group alone)", got, want, data)
    assert verdict.agrees, verdict.message


@law("values", CONV, cases(INTEGERS, extent=(2, 3, 4), dilation=(2, 3), padding=PADDINGS))
def test_dilation_equals_a_filter_with_zeros_between(subject: Examiner, case: Case) -> None:
    """A dilated convolution is the dense one with zeros between the filter's taps."""
    v, h = case.geometry.vertical, case.geometry.horizontal
    dense = with_axes(case, *(replace(axis, extent=axis.reach, dilation=1) for axis in (v, h)))
    # more taps, but no more terms: the budget of the case is that of the sum
    data = integers(exact(subject, case, dense))
    w = np.zeros(dense.geometry.w_shape, present(data, "w").dtype)
    w[:, :, :: v.dilation, :: h.dilation] = data["w"]
    got, want = answers(subject, case, data), answers(subject, case, {**data, "w": w}, dense)
    verdict = held(subject, case, "y(w, dilation D) = y(w with D-1 zeros between its taps)", got, want, data)
    assert verdict.agrees, verdict.message


@law("values", CONV, cases(INTEGERS, extent=(1,)))
def test_a_filter_of_one_cell_is_a_matrix_product(subject: Examiner, case: Case) -> None:
    """A 1x1 convolution multiplies the channels of each cell by a matrix."""
    g = case.geometry
    if g.window != 1:
        raise Unsupported("the law needs F = 1, which limits leave out")
    data = integers(exact(subject, case))
    x, w = (present(data, name).astype(np.float64) for name in "xw")
    outputs = g.vertical.out * g.horizontal.out
    cells = seen(x, g.vertical, g.horizontal, 0, 0).reshape(g.N, g.G, g.C // g.G, outputs)
    products = w.reshape(g.G, g.K // g.G, g.C // g.G) @ cells  # integers within the budget: no product rounds
    want = {"y": products.reshape(g.y_shape)}
    if data["b"] is not None:
        want["y"] = want["y"] + data["b"].astype(np.float64)[:, None, None]
    verdict = held(subject, case, "y = w @ x over channels, plus b", answers(subject, case, data), want, data)
    assert verdict.agrees, verdict.message


def seen(x: np.ndarray, vertical: Axis, horizontal: Axis, fy: int, fx: int) -> np.ndarray:
    """Give what the tap (fy, fx) sees at every output: x (N, C, H, W) -> (N, C, OH, OW), zeros in the padding."""
    sides = [(axis.pad_before, axis.pad_after) for axis in (vertical, horizontal)]
    rows, columns = (
        slice(f * axis.dilation, f * axis.dilation + (axis.out - 1) * axis.stride + 1, axis.stride)
        for f, axis in ((fy, vertical), (fx, horizontal))
    )
    return np.pad(x, ((0, 0), (0, 0), *sides))[:, :, rows, columns]


def as_many_filters(case: Case) -> Case:
    """Make as many filters as there are channels."""
    return replace(case, bias=False, geometry=replace(case.geometry, K=case.geometry.C))


@law("values", CONV, cases(INTEGERS).map(as_many_filters))
def test_a_filter_with_a_single_one_gives_the_image_back(subject: Examiner, case: Case) -> None:
    """Filters with a single 1 give the image back, moved to that tap and thinned by the stride."""
    g = case.geometry
    rng, plain = case.rng(CHOICES), exact(subject, case)
    data = integers(plain)
    if not subject.arithmetic.transforms:  # all other products are 0: the image may use all of the budget
        form = FORMATS[case.dtype]
        data["x"] = odd(rng, g.x_shape, budget(plain)).astype(form.array)
        if case.seed % 4 == 0:  # or be as large as numbers are
            data["x"] = rng.choice([-form.largest, form.largest, 1.0], g.x_shape).astype(form.array)
    fy, fx = (int(rng.integers(extent)) for extent in g.w_shape[2:])
    w = np.zeros_like(present(data, "w"))
    w[np.arange(g.K), np.arange(g.K) % (g.C // g.G), fy, fx] = 1
    data["w"] = w
    want = {"y": seen(present(data, "x").astype(np.float64), g.vertical, g.horizontal, fy, fx)}
    relation = f"y = the image as the tap ({fy}, {fx}) sees it"
    verdict = held(subject, case, relation, answers(subject, case, data), want, data)
    assert verdict.agrees, verdict.message


@law("values", CONV, cases(INTEGERS, bias=False))
def test_equal_weights_do_not_overflow(subject: Examiner, case: Case) -> None:
    """Equal weights bring the largest powers of two down to their mean: cells are not added up before."""
    g, form = case.geometry, FORMATS[case.dtype]
    if subject.arithmetic.transforms or g.terms >= 2**form.digits:
        raise Unsupported("a transform adds cells; and so many are not counted exactly in this format")
    top, share = math.frexp(form.largest)[1] - 1, -g.terms.bit_length()  # |x| * |w| sums to half the largest number
    rng = case.rng(CHOICES)
    planes = rng.choice([-1.0, 1.0], (*g.x_shape[:2], 1, 1)) * (rng.random(g.x_shape) < 0.9)
    counted: Data = {"x": planes.astype(form.array), "w": np.ones(g.w_shape, form.array), "b": None}
    data: Data = {
        "x": np.ldexp(planes, top).astype(form.array),
        "w": np.full(g.w_shape, 2.0**share, form.array),
        "b": None,
    }
    want = {"y": np.ldexp(answers(subject, case, counted)["y"], top + share)}
    relation = f"y(2**{top} x, 2**{share} w) = 2**{top + share} y(x, w), where w is 1 and x is 1, -1 or 0"
    verdict = held(subject, case, relation, answers(subject, case, data), want, data)
    assert verdict.agrees, verdict.message


@law("values", CONV, cases(INTEGERS, bias=False, extent=(1, 2, 3), stride=(1,), padding=(0,), dilation=(1,)))
def test_two_convolutions_are_one_with_the_filters_convolved(subject: Examiner, case: Case) -> None:
    """Convolving twice is convolving once with the filters convolved, where there is neither stride nor padding."""
    g = case.geometry
    if any((axis.stride, axis.dilation, axis.padded) != (1, 1, axis.size) for axis in (g.vertical, g.horizontal)):
        raise Unsupported("the law needs S = 1, P = 0, D = 1, which limits leave out")
    # images that two windows fit one after the other; as many filters after as before
    first = with_axes(case, *(replace(axis, size=axis.size + axis.extent - 1) for axis in (g.vertical, g.horizontal)))
    axes = first.geometry.vertical, first.geometry.horizontal
    second = with_axes(first, *(replace(axis, size=axis.out) for axis in axes))
    second = replace(second, geometry=replace(second.geometry, C=g.K))
    at_once = with_axes(first, *(replace(axis, extent=2 * axis.extent - 1) for axis in axes))
    lean = exact(subject, first, second, at_once)
    rng, most, dtype = case.rng(CHOICES), budget(lean), FORMATS[case.dtype].array
    few = max(1, int(most**0.5) // 2)  # taps of each filter that are not 0: two layers stay within the budget
    w1 = sparse(rng, odd(rng, first.geometry.w_shape, 1), few)
    w2 = sparse(rng, odd(rng, second.geometry.w_shape, 1), few)
    w = convolved(w1, w2, g.G)
    gain = np.abs(convolved(np.abs(w1), np.abs(w2), g.G)).sum((1, 2, 3)).max()
    terms = max(gain, np.abs(w1).sum((1, 2, 3)).max() * second.geometry.terms, np.abs(w).max() * at_once.geometry.terms)
    x = odd(rng, first.geometry.x_shape, int(max(1, most // (terms if subject.arithmetic.transforms else gain))))
    inner = answers(subject, case, {"x": x.astype(dtype), "w": w1.astype(dtype), "b": None}, first)["y"]
    want = answers(subject, case, {"x": inner.astype(dtype), "w": w2.astype(dtype), "b": None}, second)
    data: Data = {"x": x.astype(dtype), "w": w.astype(dtype), "b": None}
    got = answers(subject, case, data, at_once)
    verdict = held(subject, case, "y(x, w * w') = y(y(x, w), w')", got, want, data)
    assert verdict.agrees, verdict.message


def convolved(w1: np.ndarray, w2: np.ndarray, groups: int) -> np.ndarray:
    """Convolve filters: w1 (K, C/G, F, F), w2 (L, K/G, F, F) -> (L, C/G, 2F-1, 2F-1), zero beyond their edges."""
    K, channels, tall, broad = w1.shape
    L = w2.shape[0]
    first, second = w1.reshape(groups, K // groups, *w1.shape[1:]), w2.reshape(groups, L // groups, *w2.shape[1:])
    out = np.zeros((groups, L // groups, channels, tall + w2.shape[2] - 1, broad + w2.shape[3] - 1))
    for fy, fx in np.ndindex(*w2.shape[2:]):
        out[..., fy : fy + tall, fx : fx + broad] += np.einsum("glk,gkcyx->glcyx", second[..., fy, fx], first)
    return out.reshape(L, *out.shape[2:])
