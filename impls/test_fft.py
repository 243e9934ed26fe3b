"""Spectra in tiles of any size give what columns give; filters made ready serve images of any size."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("scipy", reason="scipy is not installed")

from impls import arguments, fft, fft_costs, im2col, im2col_tiled, overlap_save, spectra, whole_spectra
from impls.whole_numbers import Problem, convolutions, whole

SAME_3: dict[str, Any] = {"stride": (1, 1), "padding": (1, 1)}
SEVERAL_TILES: dict[str, Problem] = {
    "several tiles": Problem((2, 3, 70, 61), (4, 3, 7, 7), {"stride": (1, 1), "padding": (3, 3)}),
    "a tile cut short": Problem((1, 2, 23, 47), (2, 2, 5, 3), {"stride": (1, 1), "padding": (0, 5)}),
    "stride": Problem((1, 2, 61, 66), (3, 2, 11, 7), {"stride": (3, 2), "padding": (4, 2)}),
    "stride and dilation": Problem(
        (1, 4, 50, 60), (6, 2, 5, 4), {"stride": (2, 3), "dilation": (3, 2), "groups": 2, "padding": (9, 1)}
    ),
    "stride beyond the filter": Problem((1, 2, 40, 41), (2, 2, 2, 3), {"stride": (5, 4), "padding": (1, 0)}),
    "depthwise": Problem((3, 4, 40, 30), (4, 1, 9, 9), {"stride": (1, 1), "padding": (4, 4), "groups": 4}),
    "as large as the image": Problem((1, 2, 31, 33), (2, 2, 31, 33), {"stride": (1, 1), "padding": (15, 16)}),
    "padding beyond the filter": Problem((1, 1, 9, 4), (1, 1, 3, 3), {"stride": (1, 1), "padding": (7, 30)}),
}


@pytest.fixture
def spectral(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let spectra be used whatever they cost, a few tiles at a time."""
    monkeypatch.setattr(fft, "spectra_pay", lambda *sizes, **ready: True)
    monkeypatch.setattr(overlap_save, "BYTES", 1 << 14)


def gaussian(case: Problem, dtype: str = "float64") -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.standard_normal(case.x).astype(dtype), rng.standard_normal(case.w).astype(dtype)


def near(got: Any, want: Any, operands: Any, case: object) -> None:
    """Hold results to those of columns, exact on whole numbers: 2u log2(points), times the norms of the operands."""
    for one, other, (first, second) in zip(got, want, operands, strict=True):
        assert one.shape == other.shape, case
        assert one.dtype == other.dtype, case
        points = max(2, first[0, 0].size) + max(2, second[0, 0].size)
        bound = np.finfo(other.dtype).eps * np.log2(points) * np.linalg.norm(first) * np.linalg.norm(second)
        np.testing.assert_allclose(one, other, rtol=0, atol=bound, err_msg=str(case))


@pytest.mark.usefixtures("spectral")
@pytest.mark.parametrize("case", SEVERAL_TILES.values(), ids=SEVERAL_TILES)
def test_tiles_give_what_columns_give(case: Problem) -> None:
    x, w, b = whole(case.x, 1), whole(case.w, 2), whole(case.w[:1], 3)
    y = im2col.conv2d(x, w, b, **case.keywords)
    near([fft.conv2d(x, w, b, **case.keywords)], [y], [(x, w)], case)
    dy = whole(y.shape, 4)
    want = im2col.conv2d_backward(x, w, dy, **case.keywords)
    near(fft.conv2d_backward(x, w, dy, **case.keywords)[:2], want[:2], [(dy, w), (dy, x)], case)


@pytest.mark.usefixtures("spectral")
@pytest.mark.parametrize("whole_image", [False, True])
@pytest.mark.parametrize("case", SEVERAL_TILES.values(), ids=SEVERAL_TILES)
def test_filters_made_ready_give_the_same(case: Problem, whole_image: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fft, "whole_pays", lambda *sizes: whole_image)
    x, w = whole(case.x, 1), whole(case.w, 2)
    kept = w.copy()
    filters = fft.prepare(w, **case.keywords)
    want = [im2col.conv2d(x, w, None, **case.keywords)]
    w[...] = np.nan  # what was prepared is a copy
    for images in (x, x[:, :, :, ::-1].copy(), np.concatenate([x, x], 2), x[:0], x):
        y = fft.conv2d(images, filters, None, **case.keywords)
        assert len(y) == len(images)
    near([y], want, [(x, kept)], case)
    assert 1 <= len(filters.spectra) <= fft.KEPT


def test_a_call_gives_the_same_whatever_is_left_in_a_buffer() -> None:
    for seed, case in enumerate(convolutions(4, 30)):
        x, w = whole(case.x, seed), whole(case.w, seed + 1)
        want = fft.conv2d(x, w, None, **case.keywords)
        kept = want.copy()
        for memory in overlap_save.workspace.memories.values():
            memory.fill(255)
        assert np.array_equal(fft.conv2d(x, w, None, **case.keywords), want)
        assert np.array_equal(want, kept)


@pytest.mark.usefixtures("spectral")
@pytest.mark.parametrize(("F", "C", "size"), [(5, 16, 40), (15, 8, 96), (31, 4, 128)])
def test_the_error_is_small_beside_the_largest_output(F: int, C: int, size: int) -> None:
    case = Problem((1, C, size, size), (C, C, F, F), {"stride": (1, 1), "padding": (F // 2, F // 2)})
    x, w = gaussian(case, "float32")
    y = fft.conv2d(x, w, None, **case.keywords)
    dy = np.random.default_rng(1).standard_normal(y.shape).astype("float32")
    single = y, *fft.conv2d_backward(x, w, dy, **case.keywords)[:2]
    X, W, DY = (array.astype(np.float64) for array in (x, w, dy))
    double = fft.conv2d(X, W, None, **case.keywords), *fft.conv2d_backward(X, W, DY, **case.keywords)[:2]
    for one, other in zip(single, double, strict=True):
        assert np.abs(one - other).max() <= 5e-7 * np.abs(other).max()


@pytest.mark.parametrize("L", [1, 2, 7, 8])
@pytest.mark.parametrize("cells", [1, 5, 8])
def test_the_matrices_are_those_of_the_transform(L: int, cells: int) -> None:
    cells, dtype = min(cells, L), np.dtype(np.float64)
    rng = np.random.default_rng(L)
    x = rng.standard_normal((cells, 3)) + 1j * rng.standard_normal((cells, 3))
    # There and back: twice a sum of 2 L products at most, whose factors are 1 at most and rounded themselves.
    within = {"rtol": 0, "atol": 2 * (2 * L + 3) * np.finfo(dtype).eps * np.abs(x).sum()}
    rows = (spectra.real(L, cells, dtype) @ x.real).reshape(-1, 2, 3)
    np.testing.assert_allclose(rows[:, 0] + 1j * rows[:, 1], np.fft.rfft(x.real, L, axis=0), **within)
    np.testing.assert_allclose(spectra.real_back(L, cells, dtype).T @ rows.reshape(-1, 3), x.real, **within)
    rows = (spectra.complex_(L, cells, dtype) @ np.concatenate([x.real, x.imag])).reshape(L, 2, 3)
    np.testing.assert_allclose(rows[:, 0] + 1j * rows[:, 1], np.fft.fft(x, L, axis=0), **within)
    back = spectra.complex_back(L, cells, dtype) @ rows.reshape(-1, 3)
    np.testing.assert_allclose(back, np.concatenate([x.real, x.imag]), **within)
    assert not spectra.real(L, cells, dtype).flags.writeable


@pytest.mark.parametrize("outputs", [1, 5, 40, 1000])
@pytest.mark.parametrize(("window", "stride"), [(1, 1), (3, 1), (31, 1), (7, 3), (2, 5)])
def test_tiles_cover_the_outputs_and_hold_what_their_windows_see(outputs: int, window: int, stride: int) -> None:
    axis = arguments.axis((outputs - 1) * stride + window, window, stride, (0, 0))
    for tiles in (*fft_costs.tiles(axis, axis), whole_spectra.tile(axis)):
        assert (tiles.number - 1) * tiles.step < outputs <= tiles.number * tiles.step
        assert tiles.length >= tiles.step + tiles.cells - 1


def test_spectra_are_used_where_they_pay() -> None:
    def pays(C: int, F: int, size: int, groups: int = 1) -> bool:
        axis = arguments.axis(size, F, 1, (F // 2, F // 2))
        return fft_costs.spectra_pay(1, C, C // groups, axis, axis, groups)

    assert pays(1, 3, 5)  # small: what is tested there is what large images are computed by
    assert pays(16, 15, 128)
    assert pays(64, 7, 128)
    assert pays(3, 15, 128)  # each cell of a column is multiplied three times only
    assert not pays(32, 3, 56)
    assert not pays(256, 1, 56)
    assert not pays(512, 3, 28)


def test_where_spectra_do_not_pay_columns_are_multiplied() -> None:
    x, w = whole((1, 64, 28, 28), 1, dtype="float32"), whole((64, 64, 3, 3), 2, dtype="float32")
    want = im2col_tiled.conv2d(x, w, None, **SAME_3)
    assert np.array_equal(fft.conv2d(x, w, None, **SAME_3), want)
    for one, other in zip(
        fft.conv2d_backward(x, w, want, **SAME_3), im2col_tiled.conv2d_backward(x, w, want, **SAME_3), strict=True
    ):
        assert np.array_equal(one, other)
