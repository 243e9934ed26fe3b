"""Winograd's transforms are those of the points, tiles leave no seams, and the memory is a block's."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from threading import Barrier
from typing import Any

import numpy as np
import pytest

from impls import blas, im2col, threads, winograd, winograd_tiles
from impls.contract import parse_winograd
from impls.test_im2col_tiled import extra_memory, problem
from impls.whole_numbers import Problem, assert_same, convolutions, whole

MB = 1 << 20
LAYERS = {
    "one tile": problem((1, 3, 4, 4), (5, 3, 3, 3), P=1),
    "less than a tile": problem((2, 2, 3, 3), (3, 2, 3, 3)),
    "ragged": problem((2, 5, 17, 23), (7, 5, 3, 3), P=(0, 2)),
    "more padding than filter": problem((1, 4, 9, 6), (3, 4, 3, 3), P=(5, 4)),
    "several blocks of one image": problem((1, 40, 90, 80), (35, 40, 3, 3), P=1),
    "several blocks of several images": problem((9, 200, 18, 15), (17, 200, 3, 3), P=1),
    "more filters than are multiplied at once": problem((1, 16, 21, 30), (100, 16, 3, 3), P=1),
    "groups": problem((2, 12, 13, 13), (6, 4, 3, 3), P=1, G=3),
    "5 x 5": problem((2, 5, 12, 17), (6, 5, 5, 5), P=2),
    "5 x 5 at stride 2": problem((1, 4, 20, 21), (5, 4, 5, 5), S=2, P=(1, 4)),
    "AlexNet's first": problem((1, 3, 51, 55), (20, 3, 11, 11), S=4),
    "4 x 7 in groups": problem((1, 8, 11, 14), (6, 4, 4, 7), P=(0, 5), G=2),
    "7 x 8 at stride 3, more padding than image": problem((1, 2, 3, 2), (3, 2, 7, 8), S=3, P=(9, 4)),
}


def results(case: Problem, dtype: str, prepared: bool = False) -> tuple[np.ndarray, ...]:
    """Forward and backward."""
    x, w, b = (whole(shape, seed, dtype=dtype) for seed, shape in enumerate((case.x, case.w, case.w[:1])))
    filters = winograd.prepare(w, **case.keywords) if prepared else w
    y = winograd.conv2d(x, filters, b, **case.keywords)
    return y, *winograd.conv2d_backward(x, w, whole(y.shape, 3, dtype=dtype), **case.keywords)


def wanted(case: Problem, dtype: str) -> tuple[np.ndarray, ...]:
    """The same by im2col, exactly."""
    x, w, b = (whole(shape, seed, dtype=dtype) for seed, shape in enumerate((case.x, case.w, case.w[:1])))
    y = im2col.conv2d(x, w, b, **case.keywords)
    return y, *im2col.conv2d_backward(x, w, whole(y.shape, 3, dtype=dtype), **case.keywords)


@pytest.fixture(params=[4, 2], ids=["tiles of 4", "tiles of 2"])
def tile(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both sizes of tile, whichever has fewer multiplications."""
    monkeypatch.setattr(winograd_tiles, "tile", lambda *_: request.param)


@pytest.mark.usefixtures("tile")
@pytest.mark.parametrize("prepared", [False, True])
@pytest.mark.parametrize("case", LAYERS.values(), ids=LAYERS)
def test_layers_agree_with_the_textbook(case: Problem, prepared: bool) -> None:
    found = results(case, "float64", prepared)
    assert_same(tuple(np.rint(each) for each in found), wanted(case, "float64"), case)
    for each, single in zip(found, results(case, "float32", prepared), strict=True):
        assert single.dtype == np.float32
        assert np.abs(single - each).max() <= 1e-5 * np.abs(each).max()


@pytest.mark.parametrize("case", LAYERS.values(), ids=LAYERS)
def test_pieces_of_any_size_agree_with_the_textbook(case: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"SMALL": 30_000, "PRODUCTS": 30_000, "FILTERS": 30_000, "FEW": 3}.items():
        monkeypatch.setattr(winograd, name, value)
    monkeypatch.setattr(winograd_tiles, "CACHED", 3000)
    assert_same(tuple(np.rint(each) for each in results(case, "float64")), wanted(case, "float64"), case)


@pytest.mark.parametrize("prepared", [False, True])
def test_other_geometries_are_those_of_im2col(prepared: bool) -> None:
    for case in convolutions(5, 60):
        assert_same(tuple(np.rint(each) for each in results(case, "float64", prepared)), wanted(case, "float64"), case)


@pytest.mark.parametrize(("m", "r"), [(4, 3), (2, 3), (3, 4), (3, 2)])
def test_transforms_are_those_of_the_declared_points(m: int, r: int) -> None:
    way = winograd_tiles.transform(m, r, np.dtype(np.float64))
    g, d = np.arange(1.0, r + 1), np.arange(2.0, m + r + 1) ** 2
    found = way.inverse @ ((way.taps @ g) * (way.cells @ d))
    sizes = np.abs(way.inverse) @ ((np.abs(way.taps) @ g) * (np.abs(way.cells) @ d))
    roundings = 2 * (m + r) + r + 1  # sums of m+r-1 and of r products, their coefficients rounded, and the product
    error = np.abs(found - np.correlate(d, g, "valid"))
    assert (error <= roundings * np.finfo(np.float64).eps * sizes).all()
    points = parse_winograd(winograd.accuracy).points[: m + r - 2]
    assert np.array_equal(way.inverse[1, :-1], [float(point) for point in points])  # t to the first power
    assert Fraction(-1, 2) in parse_winograd(winograd.accuracy).points


def test_small_images_take_small_tiles() -> None:
    sizes = {OW: winograd_tiles.tile((1, 1, OW, OW)) for OW in (1, 2, 7, 13, 14, 56)}
    assert sizes == {1: 2, 2: 2, 7: 2, 13: 4, 14: 4, 56: 4}


def test_a_prepared_filter_is_not_the_plain_one_any_more() -> None:
    case = LAYERS["ragged"]
    x, w = whole(case.x, 0), whole(case.w, 1)
    filters = winograd.prepare(w, **case.keywords)
    first = winograd.conv2d(x, filters, None, **case.keywords)
    w[...] = 0
    assert_same(winograd.conv2d(x, filters, None, **case.keywords), first)


def test_memory_is_a_block_and_some_filters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each thread: here there is one."""
    monkeypatch.setattr(threads, "count", lambda work: 1)
    keywords: dict[str, Any] = {"stride": (1, 1), "padding": (1, 1)}
    x, w = whole((1, 64, 224, 224), 1, dtype="float32"), whole((64, 64, 3, 3), 2, dtype="float32")
    filters = winograd.prepare(w, **keywords)
    assert extra_memory(lambda: winograd.conv2d(x, filters, None, **keywords)) < 8 * MB
    x, w = whole((1, 512, 28, 28), 1, dtype="float32"), whole((512, 512, 3, 3), 2, dtype="float32")
    assert extra_memory(lambda: winograd.conv2d(x, w, None, **keywords)) < 12 * MB  # filters 32 at a time, of 38 MB


def test_results_share_no_memory_with_the_workspace() -> None:
    for case in LAYERS.values():
        found = results(case, "float32")
        copies = tuple(each.copy() for each in found)
        for memory in winograd_tiles.workspace.memories.values():
            memory.fill(255)
        assert_same(found, copies, case)
        assert_same(results(case, "float32"), found, case)  # whatever is left in a buffer


# --- Threads ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [2, 3])
@pytest.mark.parametrize("case", LAYERS.values(), ids=LAYERS)
def test_threads_change_no_bit(case: Problem, workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = results(case, "float32")
    monkeypatch.setattr(threads, "count", lambda work: workers)
    assert_same(results(case, "float32"), alone, case)


def test_calls_on_several_threads_do_not_disturb_one_another(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = [results(case, "float32") for case in LAYERS.values()]
    monkeypatch.setattr(threads, "count", lambda work: 2)
    together = Barrier(len(LAYERS))

    def repeated(case: Problem) -> list[tuple[np.ndarray, ...]]:
        together.wait()
        return [results(case, "float32") for _ in range(3)]

    with ThreadPoolExecutor(len(LAYERS)) as callers:
        for want, found in zip(alone, callers.map(repeated, LAYERS.values()), strict=True):
            for got in found:
                assert_same(got, want)
    assert blas.threads() == blas._now()  # what was set for the calls is as before


def test_what_a_piece_raises_is_raised_when_all_have_ended() -> None:
    done = []

    def piece(number: int) -> None:
        if number == 0:
            raise ZeroDivisionError
        done.append(number)

    for workers in (1, 2):
        done.clear()
        with pytest.raises(ZeroDivisionError):
            threads.spread(piece, [1, 0, 2, 3], workers)
        assert set(done) == ({1} if workers == 1 else {1, 2, 3})
    with pytest.raises(ZeroDivisionError):
        threads.spread(piece, [1, 2, 0], 2)


# --- BLAS ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("known", [True, False])
def test_products_are_added_to_what_is_there(dtype: str, known: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not known:
        monkeypatch.setattr(blas, "_gemm", lambda kind: None)
    a, b = whole((2, 3, 4, 5), 1, dtype=dtype), whole((2, 3, 5, 6), 2, dtype=dtype)
    turned = np.ascontiguousarray(b.swapaxes(2, 3)).swapaxes(2, 3)
    apart = whole((2, 3, 5, 12), 3, dtype=dtype)[..., ::2]  # as BLAS cannot read it
    for right in (b, turned, apart, b[:, :, :, ::-1]):
        everything = whole((2, 3, 4, 9), 4, dtype=dtype)
        before, out = everything.copy(), everything[..., :6]
        blas.accumulate(a, right, out)
        assert np.array_equal(out, before[..., :6] + a @ right)
        assert np.array_equal(everything[..., 6:], before[..., 6:])


def test_blas_is_held_to_one_thread_and_let_go_by_the_last() -> None:
    wanted = blas.threads()
    with blas.on_one_thread():
        with blas.on_one_thread():
            assert (blas._now(), blas.threads()) == (1, wanted)
        assert (blas._now(), blas.threads()) == (1, wanted)
    assert (blas._now(), blas.threads()) == (wanted, wanted)


def test_a_child_that_is_forked_meanwhile_has_its_threads_back() -> None:
    wanted = blas.threads()
    with blas.on_one_thread():
        child = os.fork()
        if child == 0:
            os._exit(0 if (blas._held.calls, blas._now(), blas.threads()) == (0, wanted, wanted) else 1)
        assert os.waitpid(child, 0)[1] == 0
    assert blas._now() == wanted
