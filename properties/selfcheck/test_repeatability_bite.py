"""Each property of repeated calls is seen to catch, alone, the faults that it is there for."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
import pytest

from properties import test_repeatability as repeatability
from properties.selfcheck.beds import Bed, Fault, Maker, caught
from properties.selfcheck.test_arrays_bite import scales_in_place_and_back
from properties.selfcheck.test_results_bite import remembers_filters_by_identity

planted = Bed()
planted(repeatability.test_threads_do_not_disturb_each_other, "conv2d", "avg_pool2d")(scales_in_place_and_back)
planted(repeatability.test_answers_do_not_depend_on_earlier_calls, "conv2d")(remembers_filters_by_identity)


# --- one call after another -------------------------------------------------------------------------------------------


@planted(repeatability.test_the_same_call_gives_the_same_bits, "conv2d", "avg_pool2d", "l2_pool2d_backward")
def leaves_a_row_unwritten() -> Fault:
    def fault(correct, *arrays, **p):
        right = correct(*arrays, **p)
        y = np.empty_like(right)
        y[:, :, 1:] = right[:, :, 1:]
        return y

    return fault


@planted(repeatability.test_the_same_call_gives_the_same_bits, "conv2d", "avg_pool2d", "l2_pool2d")
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


@planted(repeatability.test_the_same_call_gives_the_same_bits, "conv2d_backward")
def adds_in_the_order_of_chance() -> Fault:
    rng = np.random.default_rng(0)

    def fault(correct, x, w, dy, **p):
        order = rng.permutation(len(x))
        dx, dw, db = correct(x[order], w, dy[order], **p)
        return dx[np.argsort(order)], dw, db

    return fault


@planted(repeatability.test_answers_do_not_depend_on_earlier_calls, "conv2d", "avg_pool2d")
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


@planted(repeatability.test_answers_do_not_depend_on_earlier_calls, "conv2d", "max_pool2d")
def keeps_a_plan_for_the_shapes_only() -> Fault:
    plans: dict[Any, Any] = {}

    def fault(correct, x, *arrays, **p):
        key = x.shape, *(array.shape for array in arrays if array is not None)
        return correct(x, *arrays, **(p | {"stride": plans.setdefault(key, p["stride"])}))

    return fault


@planted(repeatability.test_answers_do_not_depend_on_earlier_calls, "conv2d", "l2_pool2d")
def keeps_a_workspace_for_one_format() -> Fault:
    spaces: dict[Any, np.ndarray] = {}

    def fault(correct, x, *arrays, **p):
        space = spaces.setdefault(x.shape, np.empty_like(x))
        space[...] = x
        return correct(space.astype(x.dtype), *arrays, **p)

    return fault


@planted(repeatability.test_answers_do_not_depend_on_earlier_calls, "conv2d_backward")
def adds_to_the_last_gradient() -> Fault:
    sums: dict[Any, np.ndarray] = {}

    def fault(correct, x, w, dy, **p):
        dx, dw, db = correct(x, w, dy, **p)
        total = sums.setdefault((dw.shape, dw.dtype), np.zeros_like(dw))
        total += dw
        return dx, total.copy(), db

    return fault


@planted(repeatability.test_answers_do_not_depend_on_earlier_calls, "max_pool2d_backward", "avg_pool2d_backward")
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


@planted(repeatability.test_answers_do_not_depend_on_earlier_calls, "conv2d", "max_pool2d")
def takes_the_first_batch_for_the_largest() -> Fault:
    most: dict[Any, int] = {}

    def fault(correct, x, *arrays, **p):
        limit = most.setdefault(x.shape[1:], max(1, len(x)))
        if len(x) > limit:
            x = np.concatenate([x[:limit], np.zeros_like(x[limit:])])
        return correct(x, *arrays, **p)

    return fault


@planted(repeatability.test_answers_do_not_depend_on_earlier_calls, "conv2d", "l2_pool2d")
def takes_height_and_width_for_one_number() -> Fault:
    shapes: dict[Any, Any] = {}

    def fault(correct, x, *arrays, **p):
        shape = shapes.setdefault((*x.shape[:2], x.shape[2] * x.shape[3], x.dtype), x.shape)
        return correct(x.reshape(shape) if min(shape[2:]) >= max(x.shape[2:]) or shape != x.shape else x, *arrays, **p)

    return fault


@planted(repeatability.test_the_call_after_a_refusal_is_right, "conv2d", "max_pool2d", "avg_pool2d_backward")
def stores_its_plan_before_the_check() -> Fault:
    plans: dict[Any, Any] = {}

    def fault(correct, x, *arrays, **p):
        return correct(x, *arrays, **plans.setdefault((x.shape, len(plans) and 0), p))

    return fault


@planted(repeatability.test_the_call_after_a_refusal_is_right, "l2_pool2d", "l2_pool2d_backward")
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


@planted(repeatability.test_threads_do_not_disturb_each_other, "conv2d", "l2_pool2d", "max_pool2d_backward")
def shares_a_workspace() -> Fault:
    spaces: dict[Any, np.ndarray] = {}

    def fault(correct, first, *arrays, **p):
        space = spaces.setdefault((first.shape, first.dtype), np.empty_like(first))
        space[...] = first
        time.sleep(0)  # where a kernel lets other threads run
        return correct(space, *arrays, **p)

    return fault


@planted(repeatability.test_threads_do_not_disturb_each_other, "conv2d", "max_pool2d")
def keeps_its_parameters_in_a_global() -> Fault:
    current: dict[str, Any] = {}

    def fault(correct, *arrays, **p):
        current["parameters"] = p
        time.sleep(0)
        return correct(*arrays, **current["parameters"])

    return fault


@planted(repeatability.test_threads_do_not_disturb_each_other, "avg_pool2d")
def publishes_a_table_before_it_is_filled() -> Fault:
    tables: dict[Any, np.ndarray] = {}

    def fault(correct, x, **p):
        if x.shape not in tables:
            tables[x.shape] = np.zeros(1, x.dtype)
            time.sleep(0)
            tables[x.shape][0] = 1
        return correct(x, **p) * tables[x.shape].astype(x.dtype)

    return fault


@planted(repeatability.test_threads_do_not_disturb_each_other, "l2_pool2d_backward")
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


@pytest.mark.parametrize(("law", "operation", "maker"), planted.planted)
def test_a_planted_fault_is_caught(law: Any, operation: str, maker: Maker) -> None:
    caught(law, operation, maker)
