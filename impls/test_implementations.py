"""Our implementations held against one another: whole numbers, so that equal means equal."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import pytest

from impls import arguments, im2col, loops

OURS = ("loops", "im2col", "fft")
OTHERS = ("im2col", "fft", "torch-cpu")
POOLS = ("max_pool2d", "avg_pool2d", "l2_pool2d")

# A multiple of every number of cells of a window up to 4 x 4, whatever part of it lies in the image: (3 * 4)**2.
DIVISIBLE = 144


def load(name: str) -> Any:
    if name == "torch-cpu":
        pytest.importorskip("torch", reason="torch is an extra")
        return importlib.import_module("impls.torch_adapter").TorchAdapter("cpu")
    if name == "fft":
        pytest.importorskip("scipy", reason="scipy is an extra")
    return importlib.import_module(f"impls.{name}")


def declines(implementation: Any, operation: str, **parameters: Any) -> bool:
    supports = getattr(implementation, "supports", None)
    return bool(supports and supports(operation, **parameters))


class Problem(NamedTuple):
    """Shapes and keywords of one call."""

    x: tuple[int, ...]
    w: tuple[int, ...]
    keywords: dict[str, Any]


def pair(values: np.ndarray) -> tuple[int, int]:
    return int(values[0]), int(values[1])


def convolutions(seed: int, count: int) -> Iterator[Problem]:
    """Ragged, anisotropic, dilated, padded beyond the filter, grouped up to depthwise, and now and then no image."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        N, G = int(rng.integers(0, 3)), int(rng.integers(1, 4))
        C, K = G * int(rng.integers(1, 4)), G * int(rng.integers(1, 4))
        F, S, D, P = (rng.integers(least, 5, 2) for least in (1, 1, 1, 0))
        image = np.maximum(1, D * (F - 1) + 1 - 2 * P) + rng.integers(0, 6, 2)
        keywords = {"stride": pair(S), "padding": pair(P), "dilation": pair(D), "groups": G}
        yield Problem((N, C, *pair(image)), (K, C // G, *pair(F)), keywords)


def poolings(seed: int, count: int) -> Iterator[Problem]:
    rng = np.random.default_rng(seed)
    for _ in range(count):
        F, S = rng.integers(1, 5, 2), rng.integers(1, 5, 2)
        P = rng.integers(0, F)
        image = np.maximum(1, F - 2 * P) + rng.integers(0, 6, 2)
        keywords = {"size": pair(F), "stride": pair(S), "padding": pair(P)}
        yield Problem((int(rng.integers(0, 3)), 2, *pair(image)), (), keywords)


def whole(shape: tuple[int, ...], seed: int, times: int = 1, dtype: str = "float64") -> np.ndarray:
    """Odd numbers up to 7, multiplied: a product lost cannot hide behind a zero."""
    return ((2 * np.random.default_rng(seed).integers(-4, 4, shape) + 1) * times).astype(dtype)


def assert_same(got: Any, want: Any, implementation: Any, case: object) -> None:
    got, want = (results if isinstance(results, tuple) else (results,) for results in (got, want))
    for one, other in zip(got, want, strict=True):
        one = np.rint(one) if getattr(implementation, "accuracy", "direct") == "fft" else one
        assert one.dtype == other.dtype, case
        assert one.shape == other.shape, case
        assert np.array_equal(one, other, equal_nan=True), case


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", OTHERS)
def test_convolutions_and_their_gradients_agree(name: str, dtype: str) -> None:
    implementation = load(name)
    for seed, case in enumerate(convolutions(1, 200)):
        x, w, b = whole(case.x, seed, dtype=dtype), whole(case.w, seed + 1, dtype=dtype), None
        if seed % 2:
            b = whole(case.w[:1], seed + 2, dtype=dtype)
        y = loops.conv2d(x, w, b, **case.keywords)
        assert_same(implementation.conv2d(x, w, b, **case.keywords), y, implementation, case)
        dy = whole(y.shape, seed + 3, dtype=dtype)
        want = loops.conv2d_backward(x, w, dy, **case.keywords)
        assert_same(implementation.conv2d_backward(x, w, dy, **case.keywords), want, implementation, case)


@pytest.mark.parametrize("name", OTHERS)
def test_pools_and_their_gradients_agree(name: str) -> None:
    implementation, seen = load(name), 0
    for seed, case in enumerate(poolings(2, 300)):
        x = whole(case.x, seed)
        y, switches = loops.max_pool2d(x, **case.keywords)
        dy = whole(y.shape, seed + 1, DIVISIBLE)
        want = loops.max_pool2d_backward(dy, switches, x.shape)
        assert_same(implementation.max_pool2d_backward(dy, switches, x.shape), want, np, case)
        if declines(implementation, "max_pool2d", **case.keywords):
            continue
        seen += 1
        assert_same(implementation.max_pool2d(x, **case.keywords), (y, switches), np, case)
        squares = loops.avg_pool2d(x**2, **case.keywords) * np.prod(case.keywords["size"])
        assert_same(np.rint(implementation.l2_pool2d(x, **case.keywords) ** 2), np.rint(squares), np, case)
        for inside in (True, False):
            keywords = {**case.keywords, "count_include_pad": inside}
            assert_same(implementation.avg_pool2d(x, **keywords), loops.avg_pool2d(x, **keywords), np, case)
            want = loops.avg_pool2d_backward(dy, x.shape, **keywords)
            assert_same(implementation.avg_pool2d_backward(dy, x.shape, **keywords), want, np, case)
    assert seen > 100


@pytest.mark.parametrize("name", ["loops", *OTHERS])
@pytest.mark.parametrize("size", [(2, 2), (4, 1), (1, 4), (4, 4), (3, 3)])
def test_the_gradient_of_the_l2_norm_is_x_over_the_norm(name: str, size: tuple[int, int]) -> None:
    implementation, norm = load(name), int(np.sqrt(size[0] * size[1]))
    x = np.sign(whole((2, 3, 9, 8), 3)) * 4  # every window's norm is then 4 * sqrt(cells), a whole number
    want_y = np.full(implementation.l2_pool2d(x, size=size, stride=(1, 2)).shape, 4.0 * norm)
    assert_same(implementation.l2_pool2d(x, size=size, stride=(1, 2)), want_y, np, size)
    dy = whole(want_y.shape, 4, 4 * norm)
    want = np.zeros_like(x)
    for n, c, oy, ox in np.ndindex(dy.shape):
        cells = n, c, slice(oy, oy + size[0]), slice(2 * ox, 2 * ox + size[1])
        want[cells] += x[cells] * (dy[n, c, oy, ox] / (4 * norm))
    assert_same(implementation.l2_pool2d_backward(x, dy, size=size, stride=(1, 2)), want, np, size)


@pytest.mark.parametrize("name", ["loops", *OTHERS])
@pytest.mark.parametrize("gradient", [1.0, np.inf, np.nan])
def test_the_gradient_of_a_norm_of_zero_is_zero(name: str, gradient: float) -> None:
    x, dy = np.zeros((1, 1, 2, 4)), np.full((1, 1, 1, 2), gradient)
    x[..., 3] = 1
    dy[..., 1] = 2
    dx = load(name).l2_pool2d_backward(x[:, :, :1], dy, size=(1, 2), stride=(1, 2))
    assert np.array_equal(dx, [[[[0, 0, 0, 2]]]])


@pytest.mark.parametrize("name", OURS)
def test_asymmetric_padding_is_zeros_put_around_the_image(name: str) -> None:
    implementation, rng = load(name), np.random.default_rng(5)
    for seed, case in enumerate(convolutions(5, 25)):
        (top, bottom), (left, right) = around = rng.integers(0, 5, (2, 2)).tolist()
        x, w = whole((2, *case.x[1:]), seed), whole(case.w, seed + 1)
        x = np.pad(x, ((0, 0), (0, 0), (6, 6), (6, 6)))  # room for every filter, whatever the padding
        bare, keywords = {**case.keywords, "padding": (0, 0)}, {**case.keywords, "padding": around}
        wider = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
        y = loops.conv2d(wider, w, None, **bare)
        assert_same(implementation.conv2d(x, w, None, **keywords), y, implementation, keywords)
        dy = whole(y.shape, seed + 2)
        dx, dw, db = loops.conv2d_backward(wider, w, dy, **bare)
        dx = dx[:, :, top : top + x.shape[2], left : left + x.shape[3]]
        assert_same(implementation.conv2d_backward(x, w, dy, **keywords), (dx, dw, db), implementation, keywords)


@pytest.mark.parametrize(
    ("W", "F", "S", "D", "word", "before", "outputs"),
    [
        (5, 3, 2, 1, "same_upper", 1, 3),
        (6, 3, 2, 1, "same_upper", 0, 3),  # one cell in all: it goes after
        (6, 3, 2, 1, "same_lower", 1, 3),  # or before
        (7, 2, 1, 1, "same_lower", 1, 7),
        (7, 3, 1, 2, "same_upper", 2, 7),
        (8, 2, 5, 1, "same_upper", 0, 2),  # a stride beyond the window needs none
        (1, 4, 3, 1, "same_lower", 2, 1),
    ],
)
def test_same_padding_is_that_of_onnx(W: int, F: int, S: int, D: int, word: str, before: int, outputs: int) -> None:
    axis = arguments.axis(W, F, S, word, D)
    assert (axis.before, axis.outputs) == (before, outputs)


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("word", ["same_upper", "same_lower"])
def test_same_padding_means_the_numbers_it_stands_for(name: str, word: str) -> None:
    implementation = load(name)
    for seed, case in enumerate(convolutions(6, 40)):
        x, w, keywords = whole(case.x, seed), whole(case.w, seed + 1), {**case.keywords, "padding": word}
        numbers = {**keywords, "padding": spelled_out(case.x, case.w[2:], case.keywords, word)}
        y = loops.conv2d(x, w, None, **numbers)
        assert y.shape[2:] == tuple(-(-W // S) for W, S in zip(case.x[2:], keywords["stride"], strict=True))
        assert_same(implementation.conv2d(x, w, None, **keywords), y, implementation, case)
        dy = whole(y.shape, seed + 2)
        want = loops.conv2d_backward(x, w, dy, **numbers)
        assert_same(implementation.conv2d_backward(x, w, dy, **keywords), want, implementation, case)
    for seed, case in enumerate(poolings(7, 40)):
        keywords = {**case.keywords, "padding": word}
        numbers = {**keywords, "padding": spelled_out(case.x, keywords["size"], {"dilation": (1, 1), **keywords}, word)}
        assert_pools_agree(implementation, whole(case.x, seed), keywords, numbers)


def spelled_out(x: tuple[int, ...], window: tuple[int, ...], keywords: dict[str, Any], word: str) -> Any:
    """Count afresh the numbers that ONNX's word for padding stands for."""
    around = []
    for W, F, S, D in zip(x[2:], window, keywords["stride"], keywords["dilation"], strict=True):
        total = max(0, (-(-W // S) - 1) * S + D * (F - 1) + 1 - W)
        around.append((total // 2, -(-total // 2))[:: 1 if word == "same_upper" else -1])
    return around


def assert_pools_agree(implementation: Any, x: np.ndarray, keywords: dict[str, Any], others: dict[str, Any]) -> None:
    """Every pool and gradient with `keywords` is that of loops with the `others`."""
    assert_same(implementation.max_pool2d(x, **keywords), loops.max_pool2d(x, **others), np, keywords)
    y = loops.l2_pool2d(x, **others)
    dy = whole(y.shape, 8, DIVISIBLE)
    assert_same(implementation.l2_pool2d(x, **keywords), y, np, keywords)
    assert_same(implementation.avg_pool2d(x, **keywords), loops.avg_pool2d(x, **others), np, keywords)
    want = loops.avg_pool2d_backward(dy, x.shape, **others)
    assert_same(implementation.avg_pool2d_backward(dy, x.shape, **keywords), want, np, keywords)
    alone = np.zeros_like(x)
    alone[..., ::4, ::4] = np.sign(x[..., ::4, ::4]) * 2  # one such cell in a window, or none: each norm is 2 or 0
    want = loops.l2_pool2d_backward(alone, dy, **others)
    assert_same(implementation.l2_pool2d_backward(alone, dy, **keywords), want, np, keywords)


@pytest.mark.parametrize("name", OTHERS)
def test_ceil_mode_and_dilation_of_pools_agree(name: str) -> None:
    implementation, rng, seen = load(name), np.random.default_rng(9), 0
    for seed, case in enumerate(poolings(9, 200)):
        x, keywords = whole(case.x, seed), {**case.keywords, "ceil_mode": True}
        for operation, options in (
            ("max_pool2d", {"dilation": pair(rng.integers(1, 3, 2))}),
            ("avg_pool2d", {"count_include_pad": bool(seed % 2)}),
            ("l2_pool2d", {}),
        ):
            try:
                want = getattr(loops, operation)(x, **keywords, **options)
            except ValueError:
                continue  # a dilated window that does not fit
            if operation == "max_pool2d" and -1 in want[1]:
                continue  # a dilated window that steps over the image: what it gives is left open
            if not declines(implementation, operation, **keywords, **options, x_shape=x.shape):
                seen += 1
                got = getattr(implementation, operation)(x, **keywords, **options)
                if operation == "l2_pool2d":  # torch's root may be off by its last bit, never by half of a whole number
                    got, want = np.rint(got**2), np.rint(want**2)
                assert_same(got, want, np, (case, options))
    assert seen > 200


def test_ceil_mode_adds_a_ragged_window_but_none_that_starts_in_the_padding() -> None:
    assert arguments.axis(6, 3, 2, (0, 0), ceil_mode=False).outputs == 2
    assert arguments.axis(6, 3, 2, (0, 0), ceil_mode=True).outputs == 3
    assert arguments.axis(7, 3, 2, (0, 0), ceil_mode=True).outputs == 3
    assert arguments.axis(2, 2, 3, (1, 1), ceil_mode=True).outputs == 1  # a second one would start at 3 = 2 + 1


@pytest.mark.parametrize("name", OURS)
def test_an_average_in_ceil_mode_still_divides_by_the_whole_window(name: str) -> None:
    x = np.full((1, 1, 1, 3), 6.0)
    keywords: dict[str, Any] = {"size": (1, 2), "stride": (1, 2), "ceil_mode": True}
    assert np.array_equal(load(name).avg_pool2d(x, **keywords), [[[[6, 3]]]])
    assert np.array_equal(load(name).avg_pool2d(x, count_include_pad=False, **keywords), [[[[6, 6]]]])


CONVOLUTION: dict[str, Any] = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 2}
POOLING: dict[str, Any] = {"size": (2, 3), "stride": (1, 2), "padding": (0, 1)}


@pytest.mark.parametrize("name", ["loops", *OTHERS])
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"stride": (0, 1)}, "stride 0"),
        ({"stride": (1, 1.5)}, "stride 1.5: an integer"),
        ({"padding": (-1, 0)}, "padding -1"),
        ({"dilation": (1, 0)}, "dilation 0"),
        ({"dilation": (3, 1)}, "7 cells do not fit the padded image; at most 0 . 5 . 0 = 5"),
        ({"groups": 0}, "groups 0"),
        ({"groups": 3}, "groups 3: a divisor of the 4 channels and of the 6 filters"),
        ({"groups": 1}, "filter channels 2: C/G = 4/1 = 4"),
    ],
)
def test_a_convolution_refuses_what_has_no_meaning(name: str, changed: dict[str, Any], message: str) -> None:
    implementation = load(name)
    x, w, dy = np.ones((2, 4, 5, 6)), np.ones((6, 2, 3, 3)), np.ones((2, 6, 3, 4))
    message = message if name in OURS else "^torch: |^dy shape|^dilation"
    with pytest.raises(ValueError, match=message):
        implementation.conv2d(x, w, None, **{**CONVOLUTION, **changed})
    with pytest.raises(ValueError, match=message):
        implementation.conv2d_backward(x, w, dy, **{**CONVOLUTION, **changed})
    assert np.all(implementation.conv2d(x, w, None, **CONVOLUTION).round() == 18)


@pytest.mark.parametrize("name", ["loops", *OTHERS])
def test_a_convolution_refuses_arrays_that_do_not_fit_together(name: str) -> None:
    implementation = load(name)
    x, w, b = np.ones((2, 4, 5, 6)), np.ones((6, 2, 3, 3)), np.ones(6)
    for images, filters, bias in (
        (x, w, b[:5]),
        (x, w, b[:1]),
        (x, w, b[:, None]),
        (x, w[:, :1], b),
        (x[:, :, :0], w, b),
        (x, w[:, :, :0], b),
        (x, w.astype(np.float32), b),
        (x, w, b.astype(np.float32)),
    ):
        with pytest.raises(ValueError, match=r"accepted|^torch: "):
            implementation.conv2d(images, filters, bias, **CONVOLUTION)
    for shape in ((2, 6, 3, 3), (2, 6, 4, 4), (1, 6, 3, 4), (2, 5, 3, 4), (2, 6, 1, 1)):
        with pytest.raises(ValueError, match=r"the output's shape \(2, 6, 3, 4\)"):
            implementation.conv2d_backward(x, w, np.ones(shape), **CONVOLUTION)


@pytest.mark.parametrize("name", ["loops", *OTHERS])
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"size": (0, 3)}, "window size 0"),
        ({"size": (6, 3)}, "6 cells do not fit"),
        ({"stride": (1, 0)}, "stride 0"),
        ({"padding": (0, -1)}, "padding -1"),
        ({"padding": (2, 0)}, "vertical padding 2: less than the window size 2"),
    ],
)
def test_pools_and_their_gradients_refuse_what_has_no_meaning(name: str, changed: dict[str, Any], message: str) -> None:
    implementation, x, dy = load(name), np.ones((2, 4, 5, 6)), np.ones((2, 4, 4, 3))
    keywords = {**POOLING, **changed}
    message = message if name in OURS else "torch: "
    for operation, arrays in (
        *((pool, (x,)) for pool in POOLS),
        ("avg_pool2d_backward", (dy, x.shape)),
        ("l2_pool2d_backward", (x, dy)),
    ):
        with pytest.raises(ValueError, match=message):
            getattr(implementation, operation)(*arrays, **keywords)


@pytest.mark.parametrize("name", OURS)
def test_out_size_counts_windows_and_refuses_what_the_operations_refuse(name: str) -> None:
    out_size: Callable[..., int] = load(name).out_size
    assert (out_size(7, 3, 2, 0), out_size(8, 3, 2, 0), out_size(7, 3, 1, 1, dilation=3)) == (3, 3, 3)
    for numbers in (
        (0, 1, 1, 0),
        (5, 0, 1, 0),
        (5, 1, 0, 0),
        (5, 1, 1, -1),
        (5, 8, 1, 1),
        (5, 3, 1, 0, 3),
        (5, 2.0, 1, 0),
    ):
        with pytest.raises(ValueError, match="accepted"):
            out_size(*numbers)


@pytest.mark.parametrize("name", ["loops", *OTHERS])
def test_a_maximum_is_the_first_of_equals_and_never_padding(name: str) -> None:
    implementation, inf = load(name), np.inf
    row = np.array([[[[-0.0, 0.0, -inf, -inf, -3, -3, np.nan, 5]]]])
    y, switches = implementation.max_pool2d(row, size=(1, 2), stride=(1, 2))
    assert np.array_equal(y, [[[[0, -inf, -3, np.nan]]]], equal_nan=True)
    assert np.signbit(y[0, 0, 0, 0])
    assert np.array_equal(switches[..., :3], [[[[0, 2, 4]]]])
    assert switches[0, 0, 0, 3] in (6, 7)
    y, switches = implementation.max_pool2d(row[..., 2:4], size=(2, 2), stride=(1, 1), padding=(1, 1))
    assert np.all(y == -inf)
    assert np.array_equal(switches, [[[[0, 0, 1], [0, 0, 1]]]])


@pytest.mark.parametrize("name", ["loops", "im2col", "torch-cpu"])
def test_a_non_finite_number_reaches_exactly_the_windows_that_hold_it(name: str) -> None:
    implementation = load(name)
    for seed, case in enumerate(convolutions(10, 100)):
        x, w, spoilt = whole(case.x, seed), whole(case.w, seed + 1), np.random.default_rng(seed).random(case.x) < 0.1
        y = loops.conv2d(x, w, None, **case.keywords)
        reached = loops.conv2d(1.0 * spoilt, np.ones_like(w), None, **case.keywords) > 0
        got = implementation.conv2d(np.where(spoilt, np.nan, x), w, None, **case.keywords)
        assert np.array_equal(got, np.where(reached, np.nan, y), equal_nan=True), case
        dy, spoilt = whole(y.shape, seed + 2), np.random.default_rng(seed).random(y.shape) < 0.1
        dx = loops.conv2d_backward(x, w, dy, **case.keywords)[0]
        reached = loops.conv2d_backward(x, np.ones_like(w), 1.0 * spoilt, **case.keywords)[0] > 0
        got = implementation.conv2d_backward(x, w, np.where(spoilt, np.nan, dy), **case.keywords)[0]
        assert np.array_equal(got, np.where(reached, np.nan, dx), equal_nan=True), case


def layouts(array: np.ndarray) -> Iterator[np.ndarray]:
    """Hold the same numbers in other ways that NumPy knows, none of which lets itself be written."""
    apart = np.zeros([2 * length for length in array.shape])[tuple(slice(None, None, 2) for _ in array.shape)]
    apart[...] = array
    shifted = np.frombuffer(b"\0" + array.tobytes(), np.uint8)[1:].view(array.dtype).reshape(array.shape)
    backwards = np.ascontiguousarray(array[..., ::-1])[..., ::-1]
    for other in (np.asfortranarray(array), apart, shifted, backwards, array.astype(array.dtype.newbyteorder())):
        other.flags.writeable = False
        yield other


@pytest.mark.parametrize("name", ["loops", *OTHERS])
def test_every_layout_gives_the_same_and_results_stand_on_their_own(name: str) -> None:
    implementation, x, w, dy = load(name), whole((2, 4, 5, 6), 1), whole((6, 2, 3, 3), 2), whole((2, 6, 3, 4), 3)
    pooled = whole((2, 4, 4, 3), 4, DIVISIBLE)
    plain = tuple(map(np.rint, every_result(implementation, x, w, dy, pooled)))
    for variants in zip(*map(layouts, (x, w, dy, pooled)), strict=True):
        results = every_result(implementation, *variants)
        assert_same(tuple(map(np.rint, results)), plain, np, variants[0].strides)
        for number, result in enumerate(results):
            assert result.flags.writeable
            assert not any(np.shares_memory(result, other) for other in (*variants, *results[:number]))
    x = np.broadcast_to(np.float64(3), (2, 6, 2, 2))
    y = implementation.conv2d(x, x, x[:, 0, 0, 0], stride=(1, 1), padding=(0, 0))  # one number, seen as three arrays
    assert np.array_equal(y.round(), np.full((2, 2, 1, 1), 9 * 24 + 3))


def every_result(
    implementation: Any, x: np.ndarray, w: np.ndarray, dy: np.ndarray, pooled: np.ndarray
) -> tuple[np.ndarray, ...]:
    """All operations that add whole numbers or compare, one after the other."""
    y, switches = implementation.max_pool2d(x, **POOLING)
    return (
        implementation.conv2d(x, w, None, **CONVOLUTION),
        *implementation.conv2d_backward(x, w, dy, **CONVOLUTION),
        y,
        switches,
        implementation.max_pool2d_backward(pooled, switches, x.shape),
        implementation.avg_pool2d_backward(pooled, x.shape, **POOLING),
    )


def test_a_float16_answer_is_the_float32_one_rounded_once() -> None:
    rng, keywords = np.random.default_rng(11), {"stride": (1, 1), "padding": (1, 1)}
    x, w = (rng.standard_normal(shape).astype(np.float16) for shape in ((2, 3, 6, 6), (4, 3, 3, 3)))
    for implementation in (loops, im2col):
        half, single = (implementation.conv2d(x.astype(t), w.astype(t), None, **keywords) for t in ("f2", "f4"))
        assert np.array_equal(half, single.astype(np.float16))


@pytest.mark.parametrize("name", ["loops", *OTHERS])
def test_threads_do_not_disturb_one_another(name: str) -> None:
    implementation = load(name)
    cases = [(whole((2, 4, 5, 6), seed), whole((6, 2, 3, 3), seed + 1)) for seed in range(20)]
    alone = [implementation.conv2d(x, w, None, **CONVOLUTION) for x, w in cases]
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda case: implementation.conv2d(*case, None, **CONVOLUTION), cases))
    assert all(np.array_equal(one, other) for one, other in zip(alone, together, strict=True))


def test_torch_declines_what_it_does_otherwise_and_nothing_else() -> None:
    torch = load("torch-cpu")
    assert (torch.name, torch.accuracy) == ("torch-cpu", "direct")
    assert torch.supports("conv2d", **CONVOLUTION) is None
    assert torch.supports("max_pool2d", **POOLING, ceil_mode=True, x_shape=(1, 1, 5, 6)) is None
    assert "half of its window" in torch.supports("max_pool2d", size=(3, 3), stride=(1, 1), padding=(0, 2))
    ceil: dict[str, Any] = {"size": (1, 2), "stride": (1, 2), "padding": (0, 0), "ceil_mode": True}
    assert torch.supports("avg_pool2d", **ceil, x_shape=(1, 1, 1, 4)) is None
    assert "divides by the part" in torch.supports("avg_pool2d", **ceil, x_shape=(1, 1, 1, 3))
    assert torch.supports("avg_pool2d", **ceil, count_include_pad=False, x_shape=(1, 1, 1, 3)) is None
    assert torch.supports("l2_pool2d", **ceil, x_shape=(1, 1, 1, 3)) is None
