"""Each property of arrays and of repeated calls is seen to catch, alone, the faults that it is there for."""

from __future__ import annotations

import functools
import itertools
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided

from impls import im2col
from impls.layouts import LAYOUTS, lay
from oracles.case import Case
from oracles.geometry import Geometry
from properties import scripts, test_arrays, test_repeatability
from properties.neighbours import CHANGES, neighbour
from properties.examiner import Examiner
from properties.selfcheck.running import bites, examine, variant
from impls.subject import Subject

A, R = test_arrays, test_repeatability
Fault = Callable[..., Any]
PLANTED: list[Any] = []


def planted(law: Any, *operations: str) -> Callable[[Callable[[], Fault]], Callable[[], Fault]]:
    """Register a maker of faults, `fault(correct, *arrays, **parameters)`, with the property that must catch it."""

    def register(maker: Callable[[], Fault]) -> Callable[[], Fault]:
        for operation in operations:
            PLANTED.append(pytest.param(law, operation, maker, id=f"{maker.__name__}-{operation}-{law.__name__[5:]}"))
        return maker

    return register


@pytest.mark.parametrize(("law", "operation", "maker"), PLANTED)
def test_a_planted_fault_is_caught(law: Any, operation: str, maker: Callable[[], Fault]) -> None:
    fault = functools.partial(maker(), getattr(im2col, operation))
    bites(law, variant(**{operation: fault}), operation)


LAWS = [
    (law, operation)
    for module in (test_arrays, test_repeatability)
    for law in vars(module).values()
    if hasattr(law, "law") and law is not A.test_a_prepared_filter_serves_all_images
    for operation in law.law.operations
]


@pytest.mark.parametrize(("law", "operation"), LAWS, ids=[f"{law.__name__[5:]}-{o}" for law, o in LAWS])
def test_a_sound_implementation_passes(law: Any, operation: str) -> None:
    assert examine(law, im2col, operation, examples=25, seed=7) is None


# --- dtype -----------------------------------------------------------------------------------------------------------


@planted(A.test_results_have_the_dtype_of_the_arrays, "avg_pool2d", "conv2d")
def returns_doubles() -> Fault:
    return lambda correct, *arrays, **p: correct(*arrays, **p).astype(np.float64)


@planted(A.test_results_have_the_dtype_of_the_arrays, "l2_pool2d", "conv2d")
def returns_doubles_for_no_images() -> Fault:
    def fault(correct, x, *arrays, **p):
        y = correct(x, *arrays, **p)
        return y if len(x) else np.zeros(y.shape)

    return fault


@planted(A.test_results_have_the_dtype_of_the_arrays, "max_pool2d")
def returns_narrow_switches() -> Fault:
    def fault(correct, x, **p):
        y, switches = correct(x, **p)
        return y, switches.astype(np.int32)

    return fault


@planted(A.test_results_have_the_dtype_of_the_arrays, "conv2d_backward")
def forgets_the_dtype_of_db() -> Fault:
    def fault(correct, x, w, dy, **p):
        dx, dw, _ = correct(x, w, dy, **p)
        return dx, dw, dy.sum((0, 2, 3), dtype=np.float64)

    return fault


# --- inputs written ---------------------------------------------------------------------------------------------------


@planted(A.test_inputs_are_not_written, "l2_pool2d", "avg_pool2d", "max_pool2d")
def squares_in_place() -> Fault:
    def fault(correct, x, **p):
        y = correct(x, **p)
        np.square(x, out=x)
        return y

    return fault


@planted(A.test_inputs_are_not_written, "conv2d_backward")
def masks_dy_in_place() -> Fault:
    def fault(correct, x, w, dy, **p):
        gradients = correct(x, w, dy, **p)
        dy[dy < 0] = 0
        return gradients

    return fault


@planted(A.test_inputs_are_not_written, "conv2d", "avg_pool2d", "l2_pool2d_backward")
@planted(A.test_image_and_filters_share_memory, "conv2d", "conv2d_backward")
@planted(R.test_threads_do_not_disturb_each_other, "conv2d", "avg_pool2d")
def scales_in_place_and_back() -> Fault:
    def fault(correct, x, *arrays, **p):
        x *= 2
        time.sleep(0)
        result = correct(x, *arrays, **p)
        x /= 2
        return tuple(part / 2 for part in result) if isinstance(result, tuple) else result / 2

    return scaled_back if False else fault


@planted(A.test_inputs_are_not_written, "conv2d")
def wants_writable_arrays() -> Fault:
    def fault(correct, x, w, b, **p):
        memoryview(w).cast("B")[:1] = bytes(memoryview(w).cast("B")[:1])
        return correct(x, w, b, **p)

    return fault


# --- layouts ----------------------------------------------------------------------------------------------------------


@planted(A.test_arrays_lie_in_memory_in_any_way, "conv2d", "conv2d_backward", "max_pool2d", "l2_pool2d_backward")
def reads_in_the_order_of_memory() -> Fault:
    return lambda correct, x, *arrays, **p: correct(x.ravel("K").reshape(x.shape), *arrays, **p)


@planted(A.test_arrays_lie_in_memory_in_any_way, "conv2d", "avg_pool2d")
def takes_rows_for_dense() -> Fault:
    def fault(correct, x, *arrays, **p):
        if x.size and min(x.strides) > 0:
            x = as_strided(x, strides=(*x.strides[:3], x.itemsize))
        return correct(x, *arrays, **p)

    return fault


@planted(A.test_arrays_lie_in_memory_in_any_way, "max_pool2d_backward", "avg_pool2d_backward")
def takes_native_bytes_for_granted() -> Fault:
    return lambda correct, dy, *rest, **p: correct(dy.view(dy.dtype.newbyteorder("=")), *rest, **p)


@planted(A.test_arrays_lie_in_memory_in_any_way, "max_pool2d_backward")
def reads_switches_in_the_order_of_memory() -> Fault:
    return lambda correct, dy, switches, shape: correct(dy, switches.ravel("K").reshape(switches.shape), shape)


@planted(A.test_arrays_lie_in_memory_in_any_way, "conv2d", "l2_pool2d")
def turns_fortran_arrays_round() -> Fault:
    def fault(correct, x, *arrays, **p):
        return correct(x.T.reshape(x.shape) if x.flags.f_contiguous else x, *arrays, **p)

    return fault


@planted(A.test_arrays_lie_in_memory_in_any_way, "conv2d", "max_pool2d")
def refuses_negative_strides() -> Fault:
    def fault(correct, x, *arrays, **p):
        if min(x.strides) < 0:
            raise ValueError("negative strides are not supported")
        return correct(x, *arrays, **p)

    return fault


@planted(A.test_arrays_lie_in_memory_in_any_way, "conv2d", "avg_pool2d")
def divides_by_a_stride() -> Fault:
    def fault(correct, x, *arrays, **p):
        assert not x.size or x.strides[2] // x.strides[3] >= 0
        return correct(x, *arrays, **p)

    return fault


@planted(A.test_arrays_lie_in_memory_in_any_way, "l2_pool2d")
def wants_aligned_arrays() -> Fault:
    def fault(correct, x, **p):
        if not x.flags.aligned:
            raise TypeError("unaligned")
        return correct(x, **p)

    return fault


@planted(A.test_arrays_lie_in_memory_in_any_way, "conv2d", "conv2d_backward")
def infers_the_layout_of_w_from_that_of_x() -> Fault:
    def fault(correct, x, w, *arrays, **p):
        if x.flags.c_contiguous:
            w = w.ravel("K").reshape(w.shape)
        return correct(x, w, *arrays, **p)

    return fault


@planted(A.test_arrays_lie_in_memory_in_any_way, "conv2d", "max_pool2d")
def clears_what_lies_behind_a_row() -> Fault:
    def fault(correct, x, *arrays, **p):
        if x.base is not None and x.base.size > x.size and x.base.ndim == 4:
            x.base[..., -1] = 0
        return correct(x, *arrays, **p)

    return fault


# --- keywords, lists --------------------------------------------------------------------------------------------------


@planted(A.test_arrays_come_by_keyword_and_pairs_as_lists, "conv2d")
def names_x_otherwise() -> Fault:
    return lambda correct, image, w, b, **p: correct(image, w, b, **p)


@planted(A.test_arrays_come_by_keyword_and_pairs_as_lists, "max_pool2d_backward")
def names_the_shape_otherwise() -> Fault:
    return lambda correct, dy, switches, shape: correct(dy, switches, shape)


@planted(A.test_arrays_come_by_keyword_and_pairs_as_lists, "conv2d", "max_pool2d", "avg_pool2d_backward")
def remembers_plans_by_their_stride() -> Fault:
    plans: dict[Any, Any] = {}

    def fault(correct, *arrays, **p):
        names = plans.setdefault(p["stride"], p["stride"])  # no list can be a key
        return correct(*arrays, **(p | {"stride": names}))

    return fault


@planted(A.test_arrays_come_by_keyword_and_pairs_as_lists, "conv2d", "l2_pool2d")
def compares_a_pair_with_a_tuple() -> Fault:
    def fault(correct, *arrays, **p):
        if p["stride"] != (1, 1) and isinstance(p["stride"], list):
            p["stride"] = p["stride"][::-1]
        return correct(*arrays, **p)

    return fault


# --- results of the caller's own --------------------------------------------------------------------------------------


@planted(A.test_results_share_no_memory, "avg_pool2d", "l2_pool2d")
def hands_x_back_where_the_window_is_one_cell() -> Fault:
    def fault(correct, x, **p):
        y = correct(x, **p)
        return x[:] if np.array_equal(x, y) else y

    return fault


@planted(A.test_results_share_no_memory, "conv2d", "max_pool2d_backward")
@planted(A.test_earlier_results_survive_later_calls, "conv2d", "max_pool2d_backward")
def returns_its_buffer() -> Fault:
    buffers: dict[Any, np.ndarray] = {}

    def fault(correct, *arrays, **p):
        y = correct(*arrays, **p)
        buffer = buffers.setdefault((y.shape, y.dtype), np.empty_like(y))
        buffer[...] = y
        return buffer[...]

    return fault


@planted(A.test_results_share_no_memory, "conv2d", "max_pool2d")
def remembers_results_by_their_inputs() -> Fault:
    results: dict[bytes, list[Any]] = {}

    def fault(correct, *arrays, **p):
        key = b"".join([*(array.tobytes() for array in arrays if array is not None), repr(p).encode()])
        seen = results.setdefault(key, [])
        seen.append(seen[0] if len(seen) > 1 else correct(*arrays, **p))
        return seen[-1]

    return fault


@planted(A.test_results_share_no_memory, "conv2d_backward")
def returns_db_inside_dw() -> Fault:
    def fault(correct, x, w, dy, **p):
        dx, dw, db = correct(x, w, dy, **p)
        if dw.size == db.size and np.array_equal(dw.ravel(), db):
            return dx, dw, dw.reshape(-1)
        return dx, dw, db

    def always(correct, x, w, dy, **p):
        dx, dw, db = fault(correct, x, w, dy, **p)
        memory = np.concatenate([dw.ravel(), db])
        return dx, memory[: dw.size].reshape(dw.shape), as_strided(memory[memory.size - db.size - 1 :], db.shape, db.strides)

    return always


@planted(A.test_earlier_results_survive_later_calls, "conv2d", "avg_pool2d", "l2_pool2d_backward")
def returns_one_of_eight_buffers() -> Fault:
    turn = itertools.count()
    buffers: dict[Any, np.ndarray] = {}

    def fault(correct, *arrays, **p):
        y = correct(*arrays, **p)
        buffer = buffers.setdefault((next(turn) % 8, y.shape, y.dtype), np.empty_like(y))
        buffer[...] = y
        return buffer[...]

    return fault


@planted(A.test_earlier_results_survive_later_calls, "conv2d", "max_pool2d_backward")
def returns_its_buffer_for_large_batches() -> Fault:
    fault, small = returns_its_buffer(), 5

    def large(correct, first, *arrays, **p):
        return (fault if len(first) >= small else lambda f, *a, **q: f(*a, **q))(correct, first, *arrays, **p)

    return large


# --- changes in place, prepared filters -------------------------------------------------------------------------------


@planted(A.test_a_change_in_place_is_seen, "conv2d")
@planted(R.test_answers_do_not_depend_on_earlier_calls, "conv2d")
def remembers_filters_by_identity() -> Fault:
    filters: dict[Any, np.ndarray] = {}

    def fault(correct, x, w, b, **p):
        return correct(x, filters.setdefault((id(w), w.shape, w.dtype), w.copy()), b, **p)

    return fault


@planted(A.test_a_change_in_place_is_seen, "conv2d", "l2_pool2d_backward")
def remembers_the_image_by_its_address() -> Fault:
    images: dict[Any, np.ndarray] = {}

    def fault(correct, x, *arrays, **p):
        return correct(images.setdefault((x.ctypes.data, x.shape, x.dtype), x.copy()), *arrays, **p)

    return fault


@planted(A.test_a_change_in_place_is_seen, "max_pool2d_backward")
def remembers_switches_by_identity() -> Fault:
    seen: dict[Any, np.ndarray] = {}
    return lambda correct, dy, switches, shape: correct(dy, seen.setdefault(id(switches), switches.copy()), shape)


def prepared(call: Callable[..., Any], prepare: Callable[..., Any]) -> Any:
    """Make im2col an implementation with prepared filters, which are lists with the filter first."""

    def conv2d(x: Any, w: Any, b: Any, **p: Any) -> Any:
        return call(x, w, b, **p) if isinstance(w, list) else im2col.conv2d(x, w, b, **p)

    return variant(conv2d=conv2d, prepare=prepare)


def test_a_sound_prepared_filter_passes() -> None:
    sound = prepared(lambda x, w, b, **p: im2col.conv2d(x, w[0], b, **p), lambda w, **p: [w])
    assert examine(A.test_a_prepared_filter_serves_all_images, sound, "conv2d") is None


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
def test_a_faulty_prepared_filter_is_caught(call: Callable[..., Any]) -> None:
    faulty = prepared(call, lambda w, **p: [w.copy()])
    assert examine(A.test_a_prepared_filter_serves_all_images, faulty, "conv2d", 200) is not None


def test_a_filter_flipped_in_place_by_prepare_is_caught() -> None:
    def flips(w: Any, **p: Any) -> Any:
        copy = w.copy()
        w[...] = w[..., ::-1, ::-1]
        return [copy]

    faulty = prepared(lambda x, w, b, **p: im2col.conv2d(x, w[0], b, **p), flips)
    found = examine(A.test_a_prepared_filter_serves_all_images, faulty, "conv2d", 200)
    assert found is not None
    assert found[1].kind == "changed its input"


# --- one call after another -------------------------------------------------------------------------------------------


@planted(R.test_the_same_call_gives_the_same_bits, "conv2d", "avg_pool2d", "l2_pool2d_backward")
def leaves_a_row_unwritten() -> Fault:
    def fault(correct, *arrays, **p):
        right = correct(*arrays, **p)
        y = np.empty_like(right)
        y[:, :, 1:] = right[:, :, 1:]
        return y

    return fault


@planted(R.test_the_same_call_gives_the_same_bits, "conv2d", "avg_pool2d", "l2_pool2d")
def changes_its_algorithm_after_ten_calls() -> Fault:
    counts: dict[Any, int] = {}

    def fault(correct, *arrays, **p):
        key = repr([array.shape for array in arrays if array is not None]) + repr(p)
        counts[key] = counts.get(key, 0) + 1
        if counts[key] <= 10:
            return correct(*arrays, **p)
        wide = [None if array is None else array.astype(np.longdouble).astype(np.float64) for array in arrays]
        return np.nextafter(correct(*wide, **p).astype(arrays[0].dtype), arrays[0].dtype.type(np.inf))

    return fault


@planted(R.test_the_same_call_gives_the_same_bits, "conv2d_backward")
def adds_in_the_order_of_chance() -> Fault:
    rng = np.random.default_rng(0)

    def fault(correct, x, w, dy, **p):
        order = rng.permutation(len(x))
        dx, dw, db = correct(x[order], w, dy[order], **p)
        return dx[np.argsort(order)], dw, db

    return fault


@planted(R.test_answers_do_not_depend_on_earlier_calls, "conv2d", "avg_pool2d")
def leaves_the_border_of_its_workspace_dirty() -> Fault:
    spaces: dict[Any, np.ndarray] = {}

    def fault(correct, x, *arrays, **p):
        if isinstance(p["padding"], str):
            return correct(x, *arrays, **p)
        (top, bottom), (left, right) = p["padding"]
        N, C, H, W = x.shape
        shape = N, C, top + H + bottom, left + W + right
        if "count_include_pad" in p and not p["count_include_pad"]:
            return correct(x, *arrays, **p)
        space = spaces.setdefault((shape, x.dtype), np.zeros(shape, x.dtype))
        space[:, :, top : top + H, left : left + W] = x
        if p.get("ceil_mode"):
            return correct(x, *arrays, **p)
        return correct(space, *arrays, **(p | {"padding": ((0, 0), (0, 0))}))

    return fault


@planted(R.test_answers_do_not_depend_on_earlier_calls, "conv2d", "max_pool2d")
def keeps_a_plan_for_the_shapes_only() -> Fault:
    plans: dict[Any, Any] = {}

    def fault(correct, x, *arrays, **p):
        key = x.shape, *(array.shape for array in arrays if array is not None)
        return correct(x, *arrays, **(p | {"stride": plans.setdefault(key, p["stride"])}))

    return fault


@planted(R.test_answers_do_not_depend_on_earlier_calls, "conv2d", "l2_pool2d")
def keeps_a_workspace_for_one_format() -> Fault:
    spaces: dict[Any, np.ndarray] = {}

    def fault(correct, x, *arrays, **p):
        space = spaces.setdefault(x.shape, np.empty_like(x))
        space[...] = x
        return correct(space.astype(x.dtype), *arrays, **p)

    return fault


@planted(R.test_answers_do_not_depend_on_earlier_calls, "conv2d_backward")
def adds_to_the_last_gradient() -> Fault:
    sums: dict[Any, np.ndarray] = {}

    def fault(correct, x, w, dy, **p):
        dx, dw, db = correct(x, w, dy, **p)
        total = sums.setdefault((dw.shape, dw.dtype), np.zeros_like(dw))
        total += dw
        return dx, total.copy(), db

    return fault


@planted(R.test_answers_do_not_depend_on_earlier_calls, "max_pool2d_backward", "avg_pool2d_backward")
def does_not_clear_a_workspace_that_grew() -> Fault:
    space = [np.zeros(0)]

    def fault(correct, *arrays, **p):
        dx = correct(*arrays, **p)
        if dx.size > space[0].size:
            space[0] = np.zeros(dx.size)
        flat = space[0][: dx.size]
        flat[dx.ravel() != 0] = dx.ravel()[dx.ravel() != 0]
        return flat.reshape(dx.shape).astype(dx.dtype)

    return fault


@planted(R.test_answers_do_not_depend_on_earlier_calls, "conv2d", "max_pool2d")
def takes_the_first_batch_for_the_largest() -> Fault:
    most: dict[Any, int] = {}

    def fault(correct, x, *arrays, **p):
        limit = most.setdefault(x.shape[1:], max(1, len(x)))
        if len(x) > limit:
            x = np.concatenate([x[:limit], np.zeros_like(x[limit:])])
        return correct(x, *arrays, **p)

    return fault


@planted(R.test_answers_do_not_depend_on_earlier_calls, "conv2d", "l2_pool2d")
def takes_height_and_width_for_one_number() -> Fault:
    shapes: dict[Any, Any] = {}

    def fault(correct, x, *arrays, **p):
        shape = shapes.setdefault((*x.shape[:2], x.shape[2] * x.shape[3], x.dtype), x.shape)
        return correct(x.reshape(shape) if min(shape[2:]) >= max(x.shape[2:]) or shape != x.shape else x, *arrays, **p)

    return fault


@planted(R.test_the_call_after_a_refusal_is_right, "conv2d", "max_pool2d", "avg_pool2d_backward")
def stores_its_plan_before_the_check() -> Fault:
    plans: dict[Any, Any] = {}

    def fault(correct, x, *arrays, **p):
        return correct(x, *arrays, **plans.setdefault((x.shape, len(plans) and 0), p))

    return fault


@planted(R.test_the_call_after_a_refusal_is_right, "l2_pool2d", "l2_pool2d_backward")
def stays_locked_after_a_refusal() -> Fault:
    busy = threading.Lock()

    def fault(correct, *arrays, **p):
        if not busy.acquire(blocking=False):
            raise RuntimeError("the workspace is in use")
        result = correct(*arrays, **p)
        busy.release()
        return result

    return fault


# --- several at once --------------------------------------------------------------------------------------------------


@planted(R.test_threads_do_not_disturb_each_other, "conv2d", "l2_pool2d", "max_pool2d_backward")
def shares_a_workspace() -> Fault:
    spaces: dict[Any, np.ndarray] = {}

    def fault(correct, first, *arrays, **p):
        space = spaces.setdefault((first.shape, first.dtype), np.empty_like(first))
        space[...] = first
        time.sleep(0)  # where a kernel lets other threads run
        return correct(space, *arrays, **p)

    return fault


@planted(R.test_threads_do_not_disturb_each_other, "conv2d", "max_pool2d")
def keeps_its_parameters_in_a_global() -> Fault:
    current: dict[str, Any] = {}

    def fault(correct, *arrays, **p):
        current["parameters"] = p
        time.sleep(0)
        return correct(*arrays, **current["parameters"])

    return fault


@planted(R.test_threads_do_not_disturb_each_other, "avg_pool2d")
def publishes_a_table_before_it_is_filled() -> Fault:
    tables: dict[Any, np.ndarray] = {}

    def fault(correct, x, **p):
        if x.shape not in tables:
            tables[x.shape] = np.zeros(1, x.dtype)
            time.sleep(0)
            tables[x.shape][0] = 1
        return correct(x, **p) * tables[x.shape].astype(x.dtype)

    return fault


@planted(R.test_threads_do_not_disturb_each_other, "l2_pool2d_backward")
def raises_where_two_calls_meet() -> Fault:
    busy = threading.Lock()

    def fault(correct, *arrays, **p):
        if not busy.acquire(blocking=False):
            raise RuntimeError("the workspace is in use")
        time.sleep(0)
        try:
            return correct(*arrays, **p)
        finally:
            busy.release()

    return fault
