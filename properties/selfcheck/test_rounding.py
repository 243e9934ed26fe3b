"""Correct floating-point arithmetic stays within the bounds, whatever its order; what is less precise leaves them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from oracles import rounding
from oracles.case import Case
from oracles.formats import FORMATS
from oracles.geometry import Axis, Geometry
from oracles.rounding import Arithmetic
from oracles.tapwise import each_tap
from oracles.truth import inputs, truth
from oracles.verdict import Verdict, judge
from properties.selfcheck import drawn

Data = dict[str, np.ndarray]
Results = tuple[np.ndarray, ...]
Pair = tuple[np.ndarray, np.ndarray]  # two arrays (terms, ...) whose products are summed over the terms
Sum = Callable[[np.ndarray, np.ndarray], np.ndarray]

BOUNDED = ("gauss", "positive", "spread", "cancelling", "huge", "constant")
BIG = Geometry(2, 4, Axis(14, 3, 1, 1, 1, 1), Axis(14, 3, 1, 1, 1, 1), 4, 2)


# sums in many orders; a and b are (terms, ...)


def sequential(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    total = np.zeros(a.shape[1:], a.dtype)
    for left, right in zip(a, b, strict=True):
        total = total + left * right
    return total


def backwards(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return sequential(a[::-1], b[::-1])


def shuffled(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    order = np.random.default_rng(len(a)).permutation(len(a))
    return sequential(a[order], b[order])


def pairwise(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    if len(a) < 2:
        return sequential(a, b)
    half = len(a) // 2
    return pairwise(a[:half], b[:half]) + pairwise(a[half:], b[half:])


def in_lanes(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    total = sequential(a[::8], b[::8])
    for lane in range(1, 8):
        total = total + sequential(a[lane::8], b[lane::8])
    return total


def fused(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Round each a*b + total once, as a fused multiply-add does; float64 holds the float32 product exactly."""
    if a.dtype == np.float64:
        return sequential(a, b)
    total = np.zeros(a.shape[1:], a.dtype)
    for left, right in zip(a, b, strict=True):
        total = (left.astype(np.float64) * right + total).astype(a.dtype)
    return total


def truncating(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cut each float32 sum off instead of rounding it, as tensor cores do."""
    total = np.zeros(a.shape[1:])
    for left, right in zip(a, b, strict=True):
        total = left.astype(np.float64) * right + total
        total = np.ldexp(np.trunc(np.ldexp(np.frexp(total)[0], 24)), np.frexp(total)[1] - 24)
    return total.astype(np.float32)


def in_float16(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return sequential(a.astype(np.float16), b.astype(np.float16)).astype(a.dtype)


ORDERS = (sequential, backwards, shuffled, pairwise, in_lanes, fused)


# the convolution and its gradients as sums of products


def products_of_y(g: Geometry, x: np.ndarray, w: np.ndarray, b: np.ndarray | None) -> Pair:
    """Give (terms, N, G, K/G, OH*OW): the cells that each output reads, with the bias as a last cell of 1."""
    cells = columns(g, x).transpose(2, 0, 1, 3)[:, :, :, None]
    weights = w.reshape(g.G, g.K // g.G, -1).transpose(2, 0, 1)[:, None, :, :, None]
    if b is not None:
        cells = np.concatenate([cells, np.ones_like(cells[:1])])
        weights = np.concatenate([weights, b.reshape(1, 1, g.G, g.K // g.G, 1)])
    a, b = np.broadcast_arrays(cells, weights)
    return a, b


def columns(g: Geometry, x: np.ndarray) -> np.ndarray:
    """(N, C, H, W) -> (N, G, C/G*FH*FW, OH*OW), zeros where a window hangs over."""
    v, h = g.vertical, g.horizontal
    found = np.zeros((g.N, g.C, v.extent, h.extent, v.out, h.out), x.dtype)
    for fy, fx, oy, ox, iy, ix in each_tap(g):
        found[:, :, fy, fx, oy, ox] = x[:, :, iy, ix]
    return found.reshape(g.N, g.G, g.C // g.G * g.window, v.out * h.out)


def products_of_dw(g: Geometry, x: np.ndarray, dy: np.ndarray) -> Pair:
    """Give (N*OH*OW, G, K/G, C/G*FH*FW)."""
    cells = columns(g, x).transpose(0, 3, 1, 2)[:, :, :, None]
    sent = dy.reshape(g.N, g.G, g.K // g.G, -1).transpose(0, 3, 1, 2)[..., None]
    a, b = np.broadcast_arrays(sent, cells)
    shape = (a.shape[0] * a.shape[1], *a.shape[2:])
    return a.reshape(shape), b.reshape(shape)


def products_of_dx(g: Geometry, w: np.ndarray, dy: np.ndarray) -> Pair:
    """Give (K/G*FH*FW, N, C, H, W), zeros where no window sends anything."""
    filters, channels = g.K // g.G, g.C // g.G
    found = np.zeros((2, filters, *g.w_shape[2:], g.N, g.G, channels, *g.x_shape[2:]), dy.dtype)
    weights, sent = w.reshape(g.G, filters, channels, *g.w_shape[2:]), dy.reshape(g.N, g.G, filters, *g.y_shape[2:])
    for fy, fx, oy, ox, iy, ix in each_tap(g):
        for k in range(filters):
            found[0, k, fy, fx, :, :, :, iy, ix] = sent[:, :, k, None, oy, ox]
            found[1, k, fy, fx, :, :, :, iy, ix] = weights[:, k, :, fy, fx, None, None]
    a, b = found.reshape(2, filters * g.window, *g.x_shape)
    return a, b


def computed(case: Case, data: Data, add: Sum) -> Results:
    """Compute conv2d or its gradients with every sum made by `add`."""
    g = case.geometry
    if case.operation == "conv2d":
        return (add(*products_of_y(g, data["x"], data["w"], data["b"])).reshape(g.y_shape),)
    dx = add(*products_of_dx(g, data["w"], data["dy"])).reshape(g.x_shape)
    dw = add(*products_of_dw(g, data["x"], data["dy"])).reshape(g.w_shape)
    sent = data["dy"].transpose(0, 2, 3, 1).reshape(-1, g.K)
    return dx, dw, add(sent, np.ones_like(sent))


def judged(case: Case, results: Results, arithmetic: Arithmetic = rounding.DIRECT) -> Verdict:
    form = FORMATS[case.dtype]
    with np.errstate(over="ignore"):
        stored = tuple(form.rounded(result.astype(np.float64)) for result in results)
    return judge(truth(case, arithmetic), stored[0] if len(stored) == 1 else stored)


def with_dtype(case: Case, dtype: type) -> Data:
    return {key: None if array is None else array.astype(dtype) for key, array in inputs(case).items()}


operations = st.sampled_from(["conv2d", "conv2d_backward"])
recipes = st.sampled_from(BOUNDED)


@settings(max_examples=300)
@given(
    drawn.convolutions(least=1),
    operations,
    st.sampled_from(["float32", "float64"]),
    recipes,
    st.sampled_from(ORDERS),
    drawn.seeds,
)
@example(BIG, "conv2d_backward", "float32", "constant", sequential, 1)
@example(BIG, "conv2d_backward", "float64", "positive", backwards, 2)
@example(BIG, "conv2d", "float32", "gauss", shuffled, 3)
def test_sums_in_any_order_stay_within_the_direct_bound(g, operation, dtype, recipe, add, seed):
    """Sequential, reversed, shuffled, pairwise, in lanes or fused: a correct sum is never blamed."""
    case = Case(operation, dtype, g, recipe, seed, bias=bool(seed % 2))
    found = judged(case, computed(case, with_dtype(case, np.dtype(dtype)), add))
    event(f"{dtype} {recipe}: within {2.0 ** np.ceil(np.log2(max(found.ratio, 2**-6))):.3g} of the bound")
    assert found.agrees, found.message


@settings(max_examples=100)
@given(
    drawn.convolutions(least=1),
    operations,
    st.sampled_from(["float16", "bfloat16"]),
    recipes,
    st.sampled_from(ORDERS),
    drawn.seeds,
)
def test_narrow_types_summed_in_float32_stay_within_their_bound(g, operation, dtype, recipe, add, seed):
    """float16 and bfloat16 operands, float32 sums, one rounding at the end."""
    case = Case(operation, dtype, g, recipe, seed)
    found = judged(case, computed(case, with_dtype(case, np.float32), add))
    assert found.agrees, found.message


@settings(max_examples=60)
@given(
    drawn.convolutions(least=1),
    operations,
    st.sampled_from(sorted(FORMATS)),
    st.sampled_from(["wide", "narrow", "same"]),
    st.sampled_from(ORDERS),
    drawn.seeds,
)
def test_exact_data_give_one_value_in_every_order(g, operation, dtype, recipe, add, seed):
    """Within the budget nothing is rounded, so no bound is needed; narrow results are rounded once."""
    form = FORMATS[dtype]
    bits = rounding.exact_bits(operation, g, form, rounding.DIRECT)
    case = Case(operation, dtype, g, f"{recipe}:{bits}", seed, bias=True)
    wide = np.float32 if form.narrow else np.dtype(form.array)
    assert all(expected.bound is None for expected in truth(case))
    found = judged(case, computed(case, with_dtype(case, wide), add))
    assert found.agrees, found.message


def tf32(array: np.ndarray | None) -> np.ndarray | None:
    """Cut the last 13 bits off a float32."""
    if array is None:
        return None
    return (np.ascontiguousarray(array).view(np.uint32) & np.uint32(0xFFFFE000)).view(np.float32).reshape(array.shape)


@settings(max_examples=100)
@given(drawn.convolutions(least=1), operations, recipes, st.sampled_from([*ORDERS, truncating]), drawn.seeds)
def test_tf32_operands_stay_within_the_tf32_bound(g, operation, recipe, add, seed):
    """Operands cut to 11 bits, sums in float32 that round or are cut off too."""
    case = Case(operation, "float32", g, recipe, seed, bias=True)
    data = {key: array if key == "b" else tf32(array) for key, array in with_dtype(case, np.float32).items()}
    found = judged(case, computed(case, data, add), Arithmetic("tf32"))
    assert found.agrees, found.message


@pytest.mark.parametrize("operation", ["conv2d", "conv2d_backward"])
@pytest.mark.parametrize("recipe", ["gauss", "positive", "wide:24"])
def test_tf32_operands_leave_the_direct_bound(operation, recipe):
    """The direct bound, and exact data, show TF32 where it was not declared."""
    case = Case(operation, "float32", BIG, recipe, 7)
    data = {key: tf32(array) for key, array in with_dtype(case, np.float32).items()}
    assert not judged(case, computed(case, data, sequential)).agrees


@pytest.mark.parametrize("operation", ["conv2d", "conv2d_backward"])
@pytest.mark.parametrize("recipe", ["gauss", "positive", "constant", "wide:24"])
def test_sums_in_float16_leave_the_direct_bound(operation, recipe):
    """float32 data summed in float16 are told apart at once."""
    case = Case(operation, "float32", BIG, recipe, 8)
    with np.errstate(over="ignore", invalid="ignore"):
        results = computed(case, with_dtype(case, np.float32), in_float16)
    assert not judged(case, results).agrees


@pytest.mark.parametrize("recipe", ["positive", "gauss"])
def test_float16_sums_of_float16_data_leave_the_bound_of_float32_sums(recipe):
    """The accumulator is float32 unless declared; declared as float16 the same sums agree."""
    g = Geometry(1, 16, Axis(6, 5), Axis(6, 5), 2)
    case = Case("conv2d", "float16", g, recipe, 9)
    results = computed(case, with_dtype(case, np.float16), sequential)
    assert not judged(case, results).agrees
    assert judged(case, results, Arithmetic(accumulator="float16")).agrees


def fft_computed(case: Case, data: Data) -> Results:
    """Compute conv2d or its gradients by float32 FFTs of the oracle's number of points."""
    g = case.geometry
    v, h = g.vertical, g.horizontal
    size = (v.padded + v.reach - 1, h.padded + h.reach - 1)
    filters, channels = g.K // g.G, g.C // g.G
    image = np.zeros((g.N, g.C, v.padded, h.padded), np.float32)
    image[:, :, v.pad_before : v.pad_before + v.size, h.pad_before : h.pad_before + h.size] = data["x"]
    taps = np.zeros((g.K, channels, v.reach, h.reach), np.float32)
    taps[:, :, :: v.dilation, :: h.dilation] = data["w"]
    x = np.fft.rfft2(image, size).reshape(g.N, g.G, channels, size[0], -1)
    w = np.fft.rfft2(taps, size).reshape(g.G, filters, channels, size[0], -1)
    assert x.dtype == np.complex64
    if case.operation == "conv2d":
        y = np.fft.irfft2(np.einsum("ngcyx,gkcyx->ngkyx", x, w.conj()), size).reshape(g.N, g.K, *size)
        y = y[:, :, : v.out * v.stride : v.stride, : h.out * h.stride : h.stride]
        return (y + data["b"][:, None, None] if data["b"] is not None else y,)
    spread = np.zeros((g.N, g.K, (v.out - 1) * v.stride + 1, (h.out - 1) * h.stride + 1), np.float32)
    spread[:, :, :: v.stride, :: h.stride] = data["dy"]
    dy = np.fft.rfft2(spread, size).reshape(g.N, g.G, filters, size[0], -1)
    dx = np.fft.irfft2(np.einsum("ngkyx,gkcyx->ngcyx", dy, w), size).reshape(g.N, g.C, *size)
    dx = dx[:, :, v.pad_before : v.pad_before + v.size, h.pad_before : h.pad_before + h.size]
    dw = np.fft.irfft2(np.einsum("ngkyx,ngcyx->gkcyx", dy.conj(), x), size).reshape(g.K, channels, *size)
    dw = dw[:, :, : v.reach : v.dilation, : h.reach : h.dilation]
    return dx, dw, data["dy"].sum((0, 2, 3))


@settings(max_examples=200)
@given(drawn.convolutions(least=1), operations, recipes, drawn.seeds)
@example(BIG, "conv2d", "constant", 1)
@example(BIG, "conv2d_backward", "positive", 2)
def test_a_float32_fft_stays_within_the_fft_bound(g, operation, recipe, seed):
    """Forward, dx and dw through the frequency domain in single precision."""
    case = Case(operation, "float32", g, recipe, seed, bias=True)
    found = judged(case, fft_computed(case, with_dtype(case, np.float32)), Arithmetic("fft"))
    event(f"within {2.0 ** np.ceil(np.log2(max(found.ratio, 2**-6))):.3g} of the bound")
    assert found.agrees, found.message


def test_a_float32_fft_leaves_the_direct_bound():
    """Small elements beside a huge one, where errors are relative to the norm, show an FFT that was not declared."""
    case = Case("conv2d", "float32", BIG, "huge", 3)
    assert not judged(case, fft_computed(case, with_dtype(case, np.float32))).agrees


@settings(max_examples=100)
@given(drawn.convolutions(least=1), operations, drawn.seeds)
def test_a_float32_fft_of_exact_data_rounds_to_the_right_integers(g, operation, seed):
    """The budget for transforms keeps the error below 1/2."""
    arithmetic = Arithmetic("fft")
    bits = rounding.exact_bits(operation, g, FORMATS["float32"], arithmetic)
    case = Case(operation, "float32", g, f"wide:{bits}", seed, bias=True)
    found = judged(case, fft_computed(case, with_dtype(case, np.float32)), arithmetic)
    assert found.agrees, found.message


LONG_AND_SHORT = st.builds(
    lambda n, c, k, sizes, extents, pads: Geometry(
        n, c, *(Axis(max(s, f), f, 1, 1, p, p) for s, f, p in zip(sizes, extents, pads, strict=True)), k
    ),
    *[st.sampled_from([1, 2, 40])] * 3,
    st.tuples(*[st.sampled_from([1, 2, 17, 40])] * 2),
    st.tuples(*[st.sampled_from([1, 3, 17])] * 2),
    st.tuples(*[st.sampled_from([0, 16])] * 2),
)


@settings(max_examples=60)
@given(LONG_AND_SHORT, operations, st.sampled_from(["float32", "float64"]), drawn.seeds)
@example(Geometry(1, 1, Axis(17, 17), Axis(17, 17), 32), "conv2d_backward", "float64", 0)
@example(Geometry(1, 1, Axis(40, 1), Axis(40, 1), 40), "conv2d", "float32", 0)
def test_the_bound_on_an_fft_of_exact_data_is_below_a_half(g, operation, dtype, seed):
    """However few the terms of one output are beside the elements that the transform mixes into it."""
    form = FORMATS[dtype]
    bits = rounding.exact_bits(operation, g, form, Arithmetic("fft"))
    data = with_dtype(Case(operation, dtype, g, f"wide:{bits}", seed, bias=True), np.float64)

    def largest(name: str, axis: int) -> float:
        """The largest norm of the image, filter, channel or output that is found along an axis."""
        return float(np.sqrt((np.moveaxis(data[name], axis, 0).reshape(data[name].shape[axis], -1) ** 2).sum(1)).max())

    if operation == "conv2d":
        norms, bias = [largest("x", 0) * largest("w", 0)], float(np.abs(data["b"]).max())
    else:
        norms, bias = [largest("dy", 0) * largest("w", 1), largest("x", 1) * largest("dy", 1)], 0.0
    assert rounding.fft(rounding.points(g), np.array(norms), bias, form).max() < 0.5


@pytest.mark.parametrize("accuracy", ["fft", "winograd(4,3;0,1,-1,2,-1/2)", "winograd(2,3;0,1,-1)", "direct", "tf32"])
@pytest.mark.parametrize("dtype", sorted(FORMATS))
def test_only_transforms_may_have_no_budget(accuracy, dtype):
    """However long the sums and however coarse the format, direct sums of some integers are exact."""
    big = Geometry(64, 2048, Axis(64, 3, 1, 1, 1, 1), Axis(64, 3, 1, 1, 1, 1), 2048)
    for g in (BIG, big):
        for operation in ("conv2d", "conv2d_backward"):
            bits = rounding.exact_bits(operation, g, FORMATS[dtype], Arithmetic(accuracy))
            assert bits >= (0 if Arithmetic(accuracy).transforms else 1)


def test_gamma_is_higham_s():
    """ku/(1-ku), infinite where it has no meaning."""
    assert rounding.gamma(2, 0.125) == 0.25 / 0.75
    assert rounding.gamma(4, 0.125) == np.inf


@pytest.mark.parametrize(
    "g", [Geometry(1, 3, Axis(9, 3), Axis(12, 3), 2), Geometry(2, 2, Axis(9, 2), Axis(7, 4, 2), 2)]
)
def test_of_several_transforms_that_are_declared_the_one_that_reaches_farthest_counts(g):
    """Its bound element by element, and the fewest bits."""
    single, other = Arithmetic("fft"), Arithmetic("winograd(4,3;0,1,-1,2,-1/2)")
    both = Arithmetic(f"{single.accuracy} or {other.accuracy}")
    assert (both.fft, both.winograd, both.tf32, both.transforms) == (True, other.winograd, False, True)
    for operation in ("conv2d", "conv2d_backward"):
        budgets = [rounding.exact_bits(operation, g, FORMATS["float32"], each) for each in (single, other, both)]
        assert budgets[2] == min(budgets[:2])
        case = Case(operation, "float32", g, "gauss", 1)
        for one, two, joint in zip(*(truth(case, each) for each in (single, other, both)), strict=True):
            assert np.array_equal(joint.bound, np.maximum(one.bound, two.bound))
