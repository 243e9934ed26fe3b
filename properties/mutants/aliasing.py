"""Arrays that are the caller's: inputs written, or remembered when they have changed; results that are not copies."""

from __future__ import annotations

import itertools
import time
from typing import Any

import numpy as np

from properties.mutants.laws_by_name import (
    BACKWARD,
    COPIED,
    EARLIER,
    FORWARD,
    IN_PLACE,
    KEYWORDS,
    MAXIMUM_BACK,
    OWN_MEMORY,
    POOLS,
    SHARED_INPUTS,
    SURVIVE,
    THREADS,
    UNWRITTEN,
)
from properties.mutants.planting import Fault, afresh, around
from properties.mutants.results import changed, named, sides

# inputs written


@around(*POOLS, by=(UNWRITTEN,))
def squares_in_place(correct, x, **p):
    """The image is squared where it lies."""
    y = correct(x, **p)
    np.square(x, out=x)
    return y


@around("conv2d_backward", by=(UNWRITTEN,))
def masks_dy_in_place(correct, x, w, dy, **p):
    """Negative numbers of dy are replaced by 0 where they lie."""
    gradients = correct(x, w, dy, **p)
    dy[dy < 0] = 0
    return gradients


@around(MAXIMUM_BACK, "avg_pool2d_backward", by=(UNWRITTEN,))
def divides_dy_in_place(correct, dy, *rest, **p):
    """dy is halved where it lies."""
    dx = correct(dy, *rest, **p)
    dy /= 2
    return dx


@around("conv2d", "avg_pool2d", "conv2d_backward", by=(UNWRITTEN, SHARED_INPUTS, THREADS))
@around("l2_pool2d_backward", by=(UNWRITTEN,))
def scales_in_place_and_back(correct, x, *arrays, **p):
    """The image is doubled where it lies, and halved again when all is computed."""
    x *= 2
    time.sleep(0)  # where a kernel lets other threads run
    result = correct(x / 2, *arrays, **p)
    x /= 2
    return result


@around("conv2d_backward", "l2_pool2d_backward", by=(SHARED_INPUTS,))
def clears_its_result_in_the_memory_of_dy(correct, x, *arrays, **p):
    """Zeros are written where dy lies, and dy is put back when all is computed: what shares its memory is lost."""
    *others, dy = arrays
    kept = dy.copy()
    if np.may_share_memory(x, dy):
        x = np.zeros_like(x)
    return correct(x, *others, kept, **p)


@around("conv2d", "avg_pool2d", by=(KEYWORDS,))
def completes_the_list_that_it_was_given(correct, *arrays, stride, **p):
    """A stride that is given as a list is made longer."""
    result = correct(*arrays, stride=tuple(stride), **p)
    if isinstance(stride, list):
        stride.append(1)
    return result


# results that are not the caller's own


@around("avg_pool2d", "l2_pool2d", by=(OWN_MEMORY,))
def hands_x_back_where_the_window_is_one_cell(correct, x, **p):
    """The image is returned, not a copy, where it equals the result."""
    y = correct(x, **p)
    return x[:] if np.array_equal(x, y) else y


@around("conv2d", by=(COPIED,))
def returns_the_image_itself_for_a_filter_of_one(correct, x, w, b, **p):
    """A convolution by 1 returns the image, not a copy."""
    identity = w.shape == (1, 1, 1, 1) and w[0, 0, 0, 0] == 1 and b is None
    plain = tuple(p["stride"]) == (1, 1) and sides(p["padding"]) in (None, ((0, 0), (0, 0)))
    return x if identity and plain else correct(x, w, b, **p)


@around("avg_pool2d", "avg_pool2d_backward", by=(COPIED,))
def returns_what_it_was_given_for_windows_of_a_cell(correct, *arrays, **p):
    """An average over one cell is what was given, not a copy."""
    result = correct(*arrays, **p)
    given, *_ = named(correct, arrays, p).values()
    return given if tuple(p["size"]) == tuple(p["stride"]) == (1, 1) else result


@around(*POOLS, *BACKWARD, by=(COPIED,))
def returns_an_input_that_equals_its_result(correct, *arrays, **p):
    """A result that equals an input is that input, not a copy."""

    def same(part):
        return next((a for a in arrays if isinstance(a, np.ndarray) and np.array_equal(a, part)), part)

    return changed(correct(*arrays, **p), same)


@afresh(*FORWARD, *BACKWARD, by=(OWN_MEMORY, SURVIVE))
def returns_its_buffer() -> Fault:
    """Results of one shape and type lie in one buffer, which the next call overwrites."""
    buffers: dict[Any, np.ndarray] = {}

    def buffered(which, part):
        buffer = buffers.setdefault((which, part.shape, part.dtype), np.empty_like(part))
        buffer[...] = part
        return buffer[...]

    def fault(correct, *arrays, **p):
        result = correct(*arrays, **p)
        return tuple(map(buffered, range(3), result)) if isinstance(result, tuple) else buffered(0, result)

    return fault


@afresh("conv2d", "avg_pool2d", "l2_pool2d_backward", by=(SURVIVE,))
def returns_one_of_eight_buffers() -> Fault:
    """Results lie in eight buffers in turn: the ninth call overwrites the result of the first."""
    turn = itertools.count()
    buffers: dict[Any, np.ndarray] = {}

    def fault(correct, *arrays, **p):
        y = correct(*arrays, **p)
        buffer = buffers.setdefault((next(turn) % 8, y.shape, y.dtype), np.empty_like(y))
        buffer[...] = y
        return buffer[...]

    return fault


@afresh("conv2d", MAXIMUM_BACK, by=(SURVIVE,))
def returns_its_buffer_for_large_batches() -> Fault:
    """Results of five images and more lie in one buffer, which the next call overwrites."""
    fault, small = returns_its_buffer(), 5

    def large(correct, *arrays, **p):
        first, *_ = named(correct, arrays, p).values()
        return fault(correct, *arrays, **p) if len(first) >= small else correct(*arrays, **p)

    return large


@afresh("conv2d", "max_pool2d", by=(OWN_MEMORY,))
def remembers_results_by_their_inputs() -> Fault:
    """From the third time on, equal arrays and parameters get the very result that was returned before."""
    results: dict[bytes, list[Any]] = {}

    def fault(correct, *arrays, **p):
        key = b"".join([*(array.tobytes() for array in arrays if array is not None), repr(p).encode()])
        seen = results.setdefault(key, [])
        seen.append(seen[0] if len(seen) > 1 else correct(*arrays, **p))
        return seen[-1]

    return fault


@around("conv2d_backward", by=(OWN_MEMORY,))
def makes_zeros_once_for_dw_and_db(correct, x, w, dy, **p):
    """For an empty batch dw and db lie in the same zeros."""
    dx, dw, db = correct(x, w, dy, **p)
    return (dx, dw, db) if len(x) else (dx, dw, dw.reshape(-1)[: len(db)])


# inputs remembered


@afresh("conv2d", by=(IN_PLACE, EARLIER))
def remembers_filters_by_identity() -> Fault:
    """Filters are copied when an array is seen for the first time: changes in place are not noticed."""
    filters: dict[Any, np.ndarray] = {}

    def fault(correct, x, w, b, **p):
        return correct(x, filters.setdefault((id(w), w.shape, w.dtype), w.copy()), b, **p)

    return fault


@afresh("conv2d", *POOLS, "avg_pool2d_backward", "l2_pool2d_backward", by=(IN_PLACE,))
def remembers_the_image_by_its_address() -> Fault:
    """The first array is copied when its address is seen for the first time: changes in place are not noticed."""
    images: dict[Any, np.ndarray] = {}

    def fault(correct, *arrays, **p):
        given = named(correct, arrays, p)
        name, x = next(iter(given.items()))
        return correct(**(given | {name: images.setdefault((x.ctypes.data, x.shape, x.dtype), x.copy())}))

    return fault


@afresh("conv2d", "conv2d_backward", by=(IN_PLACE,))
def looks_at_the_ends_of_the_filters() -> Fault:
    """Filters are taken for unchanged where their first and last two numbers are."""
    seen: dict[Any, np.ndarray] = {}

    def fault(correct, x, w, *rest, **p):
        key = id(w), w.shape, w.dtype, w.ravel()[:2].tobytes(), w.ravel()[-2:].tobytes()
        return correct(x, seen.setdefault(key, w.copy()), *rest, **p)

    return fault


@afresh(MAXIMUM_BACK, by=(IN_PLACE,))
def remembers_switches_by_identity() -> Fault:
    """Switches are copied when an array is seen for the first time: changes in place are not noticed."""
    seen: dict[Any, np.ndarray] = {}

    def fault(correct, dy, switches, x_shape):
        return correct(dy, seen.setdefault((id(switches), switches.shape), switches.copy()), x_shape)

    return fault
