"""Each property of arrays is seen to catch, alone, the faults that it is there for."""

from __future__ import annotations

import itertools
import time
from typing import Any

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided

from impls import im2col
from properties import test_arrays as arrays
from properties.selfcheck.beds import Bed, Fault, Maker, caught
from properties.selfcheck.running import examine, variant

planted = Bed()


# --- dtype -----------------------------------------------------------------------------------------------------------


@planted(arrays.test_results_have_the_dtype_of_the_arrays, "avg_pool2d", "conv2d")
def returns_doubles() -> Fault:
    return lambda correct, *arrays, **p: correct(*arrays, **p).astype(np.float64)


@planted(arrays.test_results_have_the_dtype_of_the_arrays, "l2_pool2d", "conv2d")
def returns_doubles_for_no_images() -> Fault:
    def fault(correct, x, *arrays, **p):
        y = correct(x, *arrays, **p)
        return y if len(x) else np.zeros(y.shape)

    return fault


@planted(arrays.test_results_have_the_dtype_of_the_arrays, "conv2d", "avg_pool2d_backward")
def returns_the_other_byte_order() -> Fault:
    def fault(correct, *arrays, **p):
        y = correct(*arrays, **p)
        return y.astype(y.dtype.newbyteorder())

    return fault


@planted(arrays.test_results_have_the_dtype_of_the_arrays, "conv2d")
def returns_a_masked_array() -> Fault:
    return lambda correct, *arrays, **p: np.ma.masked_array(correct(*arrays, **p))


@planted(arrays.test_arrays_come_by_keyword_and_pairs_as_lists, "conv2d", "avg_pool2d")
def completes_the_list_that_it_was_given() -> Fault:
    def fault(correct, *arrays, stride, **p):
        y = correct(*arrays, stride=tuple(stride), **p)
        if isinstance(stride, list):
            stride.append(1)
        return y

    return fault


@planted(arrays.test_results_have_the_dtype_of_the_arrays, "max_pool2d")
def returns_narrow_switches() -> Fault:
    def fault(correct, x, **p):
        y, switches = correct(x, **p)
        return y, switches.astype(np.int32)

    return fault


@planted(arrays.test_results_have_the_dtype_of_the_arrays, "conv2d_backward")
def forgets_the_dtype_of_db() -> Fault:
    def fault(correct, x, w, dy, **p):
        dx, dw, _ = correct(x, w, dy, **p)
        return dx, dw, dy.sum((0, 2, 3), dtype=np.float64)

    return fault


# --- inputs written ---------------------------------------------------------------------------------------------------


@planted(arrays.test_inputs_are_not_written, "l2_pool2d", "avg_pool2d", "max_pool2d")
def squares_in_place() -> Fault:
    def fault(correct, x, **p):
        y = correct(x, **p)
        np.square(x, out=x)
        return y

    return fault


@planted(arrays.test_inputs_are_not_written, "conv2d_backward")
def masks_dy_in_place() -> Fault:
    def fault(correct, x, w, dy, **p):
        gradients = correct(x, w, dy, **p)
        dy[dy < 0] = 0
        return gradients

    return fault


@planted(arrays.test_inputs_are_not_written, "conv2d", "avg_pool2d", "l2_pool2d_backward")
@planted(arrays.test_image_and_filters_share_memory, "conv2d", "conv2d_backward")
def scales_in_place_and_back() -> Fault:
    def fault(correct, x, *arrays, **p):
        x *= 2
        time.sleep(0)
        result = correct(x, *arrays, **p)
        x /= 2
        return tuple(part / 2 for part in result) if isinstance(result, tuple) else result / 2

    return fault


@planted(arrays.test_inputs_are_not_written, "conv2d")
def wants_writable_arrays() -> Fault:
    def fault(correct, x, w, b, **p):
        memoryview(w).cast("B")[:1] = bytes(memoryview(w).cast("B")[:1])
        return correct(x, w, b, **p)

    return fault


# --- layouts ----------------------------------------------------------------------------------------------------------


@planted(arrays.test_arrays_lie_in_memory_in_any_way, "conv2d", "conv2d_backward", "max_pool2d", "l2_pool2d_backward")
def reads_in_the_order_of_memory() -> Fault:
    return lambda correct, x, *arrays, **p: correct(x.ravel("K").reshape(x.shape), *arrays, **p)


@planted(arrays.test_arrays_lie_in_memory_in_any_way, "conv2d", "avg_pool2d")
def takes_rows_for_dense() -> Fault:
    def fault(correct, x, *arrays, **p):
        if x.size and min(x.strides) > 0:
            x = as_strided(x, strides=(*x.strides[:3], x.itemsize))
        return correct(x, *arrays, **p)

    return fault


@planted(arrays.test_arrays_lie_in_memory_in_any_way, "max_pool2d_backward", "avg_pool2d_backward")
def takes_native_bytes_for_granted() -> Fault:
    return lambda correct, dy, *rest, **p: correct(dy.view(dy.dtype.newbyteorder("=")), *rest, **p)


@planted(arrays.test_arrays_lie_in_memory_in_any_way, "max_pool2d_backward")
def reads_switches_in_the_order_of_memory() -> Fault:
    return lambda correct, dy, switches, shape: correct(dy, switches.ravel("K").reshape(switches.shape), shape)


@planted(arrays.test_arrays_lie_in_memory_in_any_way, "conv2d", "l2_pool2d")
def turns_fortran_arrays_round() -> Fault:
    def fault(correct, x, *arrays, **p):
        return correct(x.T.reshape(x.shape) if x.flags.f_contiguous else x, *arrays, **p)

    return fault


@planted(arrays.test_arrays_lie_in_memory_in_any_way, "conv2d", "max_pool2d")
def refuses_negative_strides() -> Fault:
    def fault(correct, x, *arrays, **p):
        if min(x.strides) < 0:
            raise ValueError("negative strides are not supported")
        return correct(x, *arrays, **p)

    return fault


@planted(arrays.test_arrays_lie_in_memory_in_any_way, "conv2d", "avg_pool2d")
def divides_by_a_stride() -> Fault:
    def fault(correct, x, *arrays, **p):
        assert not x.size or x.strides[2] // x.strides[3] >= 0
        return correct(x, *arrays, **p)

    return fault


@planted(arrays.test_arrays_lie_in_memory_in_any_way, "l2_pool2d")
def wants_aligned_arrays() -> Fault:
    def fault(correct, x, **p):
        if not x.flags.aligned:
            raise TypeError("unaligned")
        return correct(x, **p)

    return fault


@planted(arrays.test_arrays_lie_in_memory_in_any_way, "conv2d", "conv2d_backward")
def infers_the_layout_of_w_from_that_of_x() -> Fault:
    def fault(correct, x, w, *arrays, **p):
        if x.flags.c_contiguous:
            w = w.ravel("K").reshape(w.shape)
        return correct(x, w, *arrays, **p)

    return fault


@planted(arrays.test_arrays_lie_in_memory_in_any_way, "conv2d", "max_pool2d")
def clears_what_lies_behind_a_row() -> Fault:
    def fault(correct, x, *arrays, **p):
        if x.base is not None and x.base.size > x.size and x.base.ndim == 4:
            x.base[..., -1] = 0
        return correct(x, *arrays, **p)

    return fault


# --- keywords, lists --------------------------------------------------------------------------------------------------


@planted(arrays.test_arrays_come_by_keyword_and_pairs_as_lists, "conv2d")
def names_x_otherwise() -> Fault:
    return lambda correct, image, w, b, **p: correct(image, w, b, **p)


@planted(arrays.test_arrays_come_by_keyword_and_pairs_as_lists, "max_pool2d_backward")
def names_the_shape_otherwise() -> Fault:
    return lambda correct, dy, switches, shape: correct(dy, switches, shape)


@planted(arrays.test_arrays_come_by_keyword_and_pairs_as_lists, "conv2d", "max_pool2d", "avg_pool2d_backward")
def remembers_plans_by_their_stride() -> Fault:
    plans: dict[Any, Any] = {}

    def fault(correct, *arrays, **p):
        names = plans.setdefault(p["stride"], p["stride"])  # no list can be a key
        return correct(*arrays, **(p | {"stride": names}))

    return fault


@planted(arrays.test_arrays_come_by_keyword_and_pairs_as_lists, "conv2d", "l2_pool2d")
def compares_a_pair_with_a_tuple() -> Fault:
    def fault(correct, *arrays, **p):
        if p["stride"] != (1, 1) and isinstance(p["stride"], list):
            p["stride"] = p["stride"][::-1]
        return correct(*arrays, **p)

    return fault


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
