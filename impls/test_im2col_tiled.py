"""Tiles leave no seams: whatever their size, the answer is the textbook's, and the memory is a tile's."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import numpy as np
import pytest

from impls import arguments, column_tiles, im2col, im2col_tiled
from impls.whole_numbers import Problem, assert_same, convolutions, whole
from impls.workspace import LINE, Workspace

MB = 1 << 20
CONV1_2 = Problem((1, 64, 224, 224), (64, 64, 3, 3), {"stride": (1, 1), "padding": (1, 1)})  # VGG's largest


def problem(
    x: tuple[int, ...], w: tuple[int, ...], S: int = 1, P: int | tuple[int, int] = 0, D: int = 1, G: int = 1
) -> Problem:
    """A convolution, mostly the same along both axes."""
    padding = (P, P) if isinstance(P, int) else P
    return Problem(x, w, {"stride": (S, S), "padding": padding, "dilation": (D, D), "groups": G})


LAYERS = {
    "several tiles": problem((1, 16, 90, 90), (8, 16, 3, 3), P=1),
    "a ragged last tile": problem((1, 40, 53, 47), (6, 40, 3, 3), P=1),
    "several images": problem((3, 32, 40, 33), (5, 32, 3, 3), P=1),
    "rows longer than the buffer": problem((1, 1, 3, 150_000), (2, 1, 3, 3), P=1),
    "rows longer than 256 columns": problem((1, 300, 4, 300), (2, 300, 2, 2)),
    "few and short filters": problem((2, 3, 61, 47), (64, 3, 3, 3), P=1),
    "few and short filters in groups": problem((1, 9, 50, 49), (96, 3, 3, 3), P=1, G=3),
    "one cell, few filters": problem((2, 8, 45, 50), (60, 8, 1, 1)),
    "one cell": problem((2, 24, 30, 31), (7, 24, 1, 1)),
    "one cell, padded": problem((1, 600, 30, 31), (7, 600, 1, 1), P=1),
    "one cell, every second": problem((1, 600, 60, 61), (7, 600, 1, 1), S=2),
    "groups": problem((1, 60, 50, 40), (30, 20, 3, 3), P=1, G=3),
    "depthwise": problem((1, 64, 60, 40), (64, 1, 3, 3), P=1, G=64),
    "stride": problem((1, 20, 101, 90), (8, 20, 3, 3), S=2, P=1),
    "AlexNet's first": problem((1, 3, 227, 227), (8, 3, 11, 11), S=4),
    "stride beyond the window": problem((1, 40, 200, 200), (4, 40, 2, 2), S=3, P=1),
    "dilation": problem((1, 30, 60, 60), (4, 30, 3, 3), P=2, D=2),
    "stride and dilation": problem((1, 30, 99, 99), (4, 30, 3, 3), S=2, P=3, D=3),
    "a window as large as the image": problem((2, 30, 30, 30), (9, 30, 30, 30)),
    "more padding than image": problem((1, 12, 2, 3), (4, 12, 2, 2), P=(60, 40)),
}


@pytest.fixture(params=["as measured", "gather", "scatter"])
def image_gradient(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways to the gradient of the image, whichever pays."""
    if request.param != "as measured":
        monkeypatch.setattr(im2col_tiled, "gathering_pays", lambda *_: request.param == "gather")


def every_result(implementation: Any, case: Problem, dtype: str = "float32", seed: int = 0) -> tuple[np.ndarray, ...]:
    """Forward and backward, on whole numbers that depend on the seed alone."""
    x, w, b = whole(case.x, seed, dtype=dtype), whole(case.w, seed + 1, dtype=dtype), None
    if seed % 2:
        b = whole(case.w[:1], seed + 2, dtype=dtype)
    y = implementation.conv2d(x, w, b, **case.keywords)
    return y, *implementation.conv2d_backward(x, w, whole(y.shape, seed + 3, dtype=dtype), **case.keywords)


def axes(case: Problem) -> tuple[arguments.Axis, arguments.Axis]:
    """The vertical and the horizontal one."""
    return arguments.axes(case.x, (case.w[2], case.w[3]), *(case.keywords[each] for each in ("stride", "padding")))


@pytest.mark.usefixtures("image_gradient")
@pytest.mark.parametrize("case", LAYERS.values(), ids=LAYERS)
def test_layers_of_several_tiles_agree_with_the_textbook(case: Problem) -> None:
    assert_same(every_result(im2col_tiled, case, seed=1), every_result(im2col, case, seed=1), case)


@pytest.mark.usefixtures("image_gradient")
@pytest.mark.parametrize(("most", "fewest"), [(1, 1), (600, 3), (4096, 1)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_tiles_of_any_size_agree_with_the_textbook(
    dtype: str, most: int, fewest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(column_tiles, "BYTES", most)
    monkeypatch.setattr(column_tiles, "FEWEST", fewest)
    for seed, case in enumerate(convolutions(most, 150)):
        got, want = (every_result(each, case, dtype, seed) for each in (im2col_tiled, im2col))
        assert_same(got, want, case)


@pytest.mark.usefixtures("image_gradient")
def test_no_channels_or_no_filters_give_what_the_textbook_gives() -> None:
    for C, K in ((0, 2), (2, 0), (0, 0)):
        for S in (1, 2):
            case = problem((2, C, 5, 5), (K, C, 3, 3), S=S, P=1)
            assert_same(every_result(im2col_tiled, case), every_result(im2col, case), case)


@pytest.mark.usefixtures("image_gradient")
def test_float16_answers_are_the_float32_ones_rounded_once() -> None:
    for seed, case in enumerate([*convolutions(4, 100), LAYERS["several images"]]):
        half, single = (every_result(im2col_tiled, case, dtype, seed) for dtype in ("float16", "float32"))
        assert_same(half, tuple(result.astype(np.float16) for result in single), case)


@pytest.mark.parametrize("size", [0, 36, 2304, 40_000, 10 * MB])
@pytest.mark.parametrize("outputs", [(1, 1), (7, 7), (14, 14), (28, 27), (224, 224), (3, 5000), (2, 300_000)])
def test_tiles_cover_the_output_once_in_no_more_than_their_bytes(outputs: tuple[int, int], size: int) -> None:
    OH, OW = outputs
    vertical, horizontal = (arguments.axis(count, 1, 1, (0, 0)) for count in outputs)
    covered = np.zeros(outputs, np.int8)
    for tile in column_tiles.tiles(vertical, horizontal, size):
        covered[tile.down, tile.across] += 1
        columns = covered[tile.down, tile.across].size
        assert tile.width == OW or tile.rows == 1
        assert columns * size <= MB or columns < 256 + min(OW, 256)
        assert columns >= min(OH * OW, 256) // 2 or tile.oy + tile.rows == OH
    assert np.all(covered == 1)


# --- Memory ----------------------------------------------------------------------------------------------------------


def in_a_new_thread(function: Callable[[], Any]) -> Any:
    """Call where there is no workspace yet, and none is left."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(function).result()


def extra_memory(function: Callable[[], Any]) -> int:
    """The most bytes at a time that a first call takes beside its results."""

    def measured() -> int:
        tracemalloc.start()
        results = function()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return int(peak) - sum(result.nbytes for result in (results if isinstance(results, tuple) else (results,)))

    return int(in_a_new_thread(measured))


def allowed(case: Problem) -> int:
    """Columns and a strip, and 32 kB for what Python and NumPy note down on the way."""
    vertical, horizontal = axes(case)
    C, FF = case.x[1], case.w[2] * case.w[3]
    tile = next(column_tiles.tiles(vertical, horizontal, C * FF * 4))
    strip = C * (tile.rows + vertical.extent - 1) * (horizontal.outputs + horizontal.extent - 1) * 4
    return max(MB, 256 * C * FF * 4) + strip + (32 << 10)


def test_the_largest_layer_of_vgg_takes_a_tile_where_the_textbook_takes_all_columns() -> None:
    case = CONV1_2
    x, w = whole(case.x, 1, dtype="float32"), whole(case.w, 2, dtype="float32")
    every_column = w[0].size * x[0, 0].size * 4
    assert extra_memory(lambda: im2col.conv2d(x, w, None, **case.keywords)) >= every_column > 110 * MB
    assert extra_memory(lambda: im2col_tiled.conv2d(x, w, None, **case.keywords)) <= allowed(case) < 1.3 * MB


def test_its_gradients_take_a_tile_and_filters_more() -> None:
    case = CONV1_2
    x, w, dy = (whole(shape, seed, dtype="float32") for seed, shape in enumerate((case.x, case.w, case.x)))
    assert extra_memory(lambda: im2col.conv2d_backward(x, w, dy, **case.keywords)) > 110 * MB
    # one product on its way to dw, and the filters with their channels in front
    limit = allowed(case) + 2 * w.nbytes
    assert extra_memory(lambda: im2col_tiled.conv2d_backward(x, w, dy, **case.keywords)) <= limit < 1.6 * MB


@pytest.mark.parametrize("case", LAYERS.values(), ids=LAYERS)
def test_no_layer_takes_more_than_columns_and_a_strip(case: Problem) -> None:
    x, w = whole(case.x, 1, dtype="float32"), whole(case.w, 2, dtype="float32")
    size = x.shape[1] * w.shape[2] * w.shape[3] * 4
    vertical, horizontal = arguments.convolution(x, w, **case.keywords)[:2]
    tile = next(column_tiles.tiles(vertical, horizontal, size))
    down = (tile.rows - 1) * vertical.stride + vertical.extent
    across = (tile.width - 1) * horizontal.stride + horizontal.extent + horizontal.stride
    strip, columns = x.shape[1] * down * across * 4, max(MB, (256 + min(256, tile.width)) * size)
    assert extra_memory(lambda: im2col_tiled.conv2d(x, w, None, **case.keywords)) <= columns + strip + (32 << 10)


def test_a_window_of_one_cell_takes_nothing() -> None:
    x, w = whole((1, 64, 56, 56), 1, dtype="float32"), whole((256, 64, 1, 1), 2, dtype="float32")
    keywords: dict[str, Any] = {"stride": (1, 1), "padding": (0, 0)}
    assert extra_memory(lambda: im2col_tiled.conv2d(x, w, None, **keywords)) < 32 << 10


# --- The workspace ---------------------------------------------------------------------------------------------------


def memories() -> Iterator[np.ndarray]:
    """What this thread's workspace holds."""
    yield from column_tiles.workspace.memories.values()


@pytest.mark.usefixtures("image_gradient")
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_results_share_no_memory_with_the_workspace(dtype: str) -> None:
    for seed, case in enumerate([*LAYERS.values(), *convolutions(8, 20)]):
        results = every_result(im2col_tiled, case, dtype, seed)
        copies = [result.copy() for result in results]
        for memory in memories():
            assert not any(np.shares_memory(result, memory) for result in results)
            memory.fill(255)
        assert_same(results, tuple(copies), case)
        assert_same(every_result(im2col_tiled, case, dtype, seed), results, case)  # whatever is left in a buffer


def test_threads_do_not_disturb_one_another_in_tiles_of_several_sizes() -> None:
    names = ["several tiles", "groups", "stride", "a ragged last tile"]
    alone = [every_result(im2col_tiled, LAYERS[name]) for name in names]
    together = Barrier(len(names))

    def repeated(name: str) -> list[tuple[np.ndarray, ...]]:
        together.wait()
        return [every_result(im2col_tiled, LAYERS[name]) for _ in range(5)]

    with ThreadPoolExecutor(len(names)) as threads:
        for name, want, found in zip(names, alone, threads.map(repeated, names), strict=True):
            for got in found:
                assert_same(got, want, name)


def test_a_buffer_is_kept_until_a_larger_one_is_asked_for() -> None:
    workspace, single = Workspace(), np.dtype(np.float32)
    first = workspace.array("a", (3, 5), single)
    assert (first.shape, first.dtype, first.flags.c_contiguous) == ((3, 5), single, True)
    assert np.shares_memory(first, workspace.array("a", (7,), np.dtype(np.float64)))
    assert not np.shares_memory(first, workspace.array("b", (3, 5), single))
    larger = workspace.array("a", (4, 5), single)
    assert not np.shares_memory(first, larger)
    assert np.shares_memory(larger, workspace.array("a", (1, 1), single))
    assert all(workspace.array(name, (5,), single).ctypes.data % LINE == 0 for name in "abc")
    assert not np.shares_memory(larger, in_a_new_thread(lambda: workspace.array("a", (4, 5), single)))


def test_a_buffer_that_grows_goes_before_the_larger_one_comes() -> None:
    def grown() -> np.ndarray:
        workspace, size = Workspace(), np.dtype(np.uint8)
        workspace.array("a", (3 * MB,), size)
        workspace.array("a", (4 * MB,), size)
        return np.zeros(0)

    assert 4 * MB <= extra_memory(grown) < 5 * MB
