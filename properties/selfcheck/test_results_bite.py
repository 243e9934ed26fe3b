"""Each property of results that are the caller's own, and of prepared filters, is seen to catch its faults alone."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from impls import im2col
from properties import test_arrays as arrays
from properties.selfcheck.beds import Bed, Fault, Maker, caught
from properties.selfcheck.running import examine, variant

planted = Bed()


# --- results of the caller's own --------------------------------------------------------------------------------------


@planted(arrays.test_results_share_no_memory, "avg_pool2d", "l2_pool2d")
def hands_x_back_where_the_window_is_one_cell() -> Fault:
    def fault(correct, x, **p):
        y = correct(x, **p)
        return x[:] if np.array_equal(x, y) else y

    return fault


@planted(arrays.test_results_share_no_memory, "conv2d", "max_pool2d_backward")
@planted(arrays.test_earlier_results_survive_later_calls, "conv2d", "max_pool2d_backward")
def returns_its_buffer() -> Fault:
    buffers: dict[Any, np.ndarray] = {}

    def fault(correct, *arrays, **p):
        y = correct(*arrays, **p)
        buffer = buffers.setdefault((y.shape, y.dtype), np.empty_like(y))
        buffer[...] = y
        return buffer[...]

    return fault


@planted(arrays.test_results_share_no_memory, "conv2d", "max_pool2d")
def remembers_results_by_their_inputs() -> Fault:
    results: dict[bytes, list[Any]] = {}

    def fault(correct, *arrays, **p):
        key = b"".join([*(array.tobytes() for array in arrays if array is not None), repr(p).encode()])
        seen = results.setdefault(key, [])
        seen.append(seen[0] if len(seen) > 1 else correct(*arrays, **p))
        return seen[-1]

    return fault


@planted(arrays.test_results_share_no_memory, "conv2d_backward")
def makes_zeros_once_for_dw_and_db() -> Fault:
    def fault(correct, x, w, dy, **p):
        if len(x):
            return correct(x, w, dy, **p)
        zeros = np.zeros(w.size, w.dtype)
        return np.zeros_like(x), zeros.reshape(w.shape), zeros[: len(w)]

    return fault


@planted(arrays.test_earlier_results_survive_later_calls, "conv2d", "avg_pool2d", "l2_pool2d_backward")
def returns_one_of_eight_buffers() -> Fault:
    turn = itertools.count()
    buffers: dict[Any, np.ndarray] = {}

    def fault(correct, *arrays, **p):
        y = correct(*arrays, **p)
        buffer = buffers.setdefault((next(turn) % 8, y.shape, y.dtype), np.empty_like(y))
        buffer[...] = y
        return buffer[...]

    return fault


@planted(arrays.test_earlier_results_survive_later_calls, "conv2d", "max_pool2d_backward")
def returns_its_buffer_for_large_batches() -> Fault:
    fault, small = returns_its_buffer(), 5

    def large(correct, first, *arrays, **p):
        return (fault if len(first) >= small else lambda f, *a, **q: f(*a, **q))(correct, first, *arrays, **p)

    return large


# --- changes in place, prepared filters -------------------------------------------------------------------------------


@planted(arrays.test_a_change_in_place_is_seen, "conv2d")
def remembers_filters_by_identity() -> Fault:
    filters: dict[Any, np.ndarray] = {}

    def fault(correct, x, w, b, **p):
        return correct(x, filters.setdefault((id(w), w.shape, w.dtype), w.copy()), b, **p)

    return fault


@planted(arrays.test_a_change_in_place_is_seen, "conv2d", "l2_pool2d_backward")
def remembers_the_image_by_its_address() -> Fault:
    images: dict[Any, np.ndarray] = {}

    def fault(correct, x, *arrays, **p):
        return correct(images.setdefault((x.ctypes.data, x.shape, x.dtype), x.copy()), *arrays, **p)

    return fault


@planted(arrays.test_a_change_in_place_is_seen, "conv2d", "conv2d_backward")
def looks_at_the_ends_of_the_filters() -> Fault:
    seen: dict[Any, np.ndarray] = {}

    def fault(correct, x, w, *rest, **p):
        key = id(w), w.shape, w.dtype, w.ravel()[:2].tobytes(), w.ravel()[-2:].tobytes()
        return correct(x, seen.setdefault(key, w.copy()), *rest, **p)

    return fault


@planted(arrays.test_a_change_in_place_is_seen, "max_pool2d_backward")
def remembers_switches_by_identity() -> Fault:
    seen: dict[Any, np.ndarray] = {}
    return lambda correct, dy, switches, shape: correct(dy, seen.setdefault(id(switches), switches.copy()), shape)


def prepared(call: Fault, prepare: Fault) -> Any:
    """Make im2col an implementation with prepared filters, which are lists with the filter first."""

    def conv2d(x: Any, w: Any, b: Any, **p: Any) -> Any:
        return call(x, w, b, **p) if isinstance(w, list) else im2col.conv2d(x, w, b, **p)

    return variant(conv2d=conv2d, prepare=prepare)


def test_a_sound_prepared_filter_passes() -> None:
    sound = prepared(lambda x, w, b, **p: im2col.conv2d(x, w[0], b, **p), lambda w, **p: [w])
    assert examine(arrays.test_a_prepared_filter_serves_all_images, sound, "conv2d") is None


def used_up(x: Any, w: Any, b: Any, **p: Any) -> Any:
    y = im2col.conv2d(x, w[0], b, **p)
    w[0] = w[0] * 2
    return y


def sized_by_its_first_image(x: Any, w: Any, b: Any, **p: Any) -> Any:
    if len(w) == 1:
        w.append(x.shape[2:])
    return im2col.conv2d(x[:, :, : w[1][0], : w[1][1]], w[0], b, **p)


def kept_for_its_first_batch(x: Any, w: Any, b: Any, **p: Any) -> Any:
    if len(w) == 1:
        w.append(np.zeros((len(x), 1, 1, 1), x.dtype))
    return im2col.conv2d(x + w[1], w[0], b, **p)


def without_bias(x: Any, w: Any, b: Any, **p: Any) -> Any:
    return im2col.conv2d(x, w[0], None, **p)


@pytest.mark.parametrize("call", [used_up, sized_by_its_first_image, kept_for_its_first_batch, without_bias])
def test_a_faulty_prepared_filter_is_caught(call: Fault) -> None:
    faulty = prepared(call, lambda w, **p: [w.copy()])
    assert examine(arrays.test_a_prepared_filter_serves_all_images, faulty, "conv2d", 200) is not None


def test_a_filter_flipped_in_place_by_prepare_is_caught() -> None:
    def flips(w: Any, **p: Any) -> Any:
        copy = w.copy()
        w[...] = w[..., ::-1, ::-1]
        return [copy]

    faulty = prepared(lambda x, w, b, **p: im2col.conv2d(x, w[0], b, **p), flips)
    found = examine(arrays.test_a_prepared_filter_serves_all_images, faulty, "conv2d", 200)
    assert found is not None
    assert found[1].kind == "changed its input"


@pytest.mark.parametrize(("law", "operation", "maker"), planted.planted)
def test_a_planted_fault_is_caught(law: Any, operation: str, maker: Maker) -> None:
    caught(law, operation, maker)
