"""Each property of arrays is seen to catch, alone, the faults that it is there for."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided

from properties import test_arrays as arrays
from properties.selfcheck.beds import Bed, Fault, Maker, caught

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


@pytest.mark.parametrize(("law", "operation", "maker"), planted.planted)
def test_a_planted_fault_is_caught(law: Any, operation: str, maker: Maker) -> None:
    caught(law, operation, maker)
