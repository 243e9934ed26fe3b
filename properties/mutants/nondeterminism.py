"""Results that are not the same twice: memory left unwritten, orders of chance, threads that disturb each other."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np

from properties.mutants.laws_by_name import MAXIMUM_BACK, POOLS, SAME_BITS, SHARING, THREADS
from properties.mutants.planting import Fault, afresh, around
from properties.mutants.results import changed, named

# one call after another


@around("conv2d", *POOLS, *SHARING, MAXIMUM_BACK, by=(SAME_BITS,))
def leaves_a_row_unwritten(correct, *arrays, **p):
    """The first row of results is not written, and holds whatever lay there."""

    def unwritten(right):
        y = np.empty_like(right)
        y[:, :, 1:] = right[:, :, 1:]
        return y

    return changed(correct(*arrays, **p), unwritten)


@afresh("conv2d", "avg_pool2d", "l2_pool2d", by=(SAME_BITS,))
def changes_its_algorithm_after_ten_calls() -> Fault:
    """After ten calls of a shape another algorithm is tried, which rounds up: within the bound, but other bits."""
    counts: dict[Any, int] = {}

    def fault(correct, *arrays, **p):
        key = repr([array.shape for array in arrays if array is not None]) + repr(p)
        counts[key] = counts.get(key, 0) + 1
        if counts[key] <= 10:
            return correct(*arrays, **p)
        wide = [None if array is None else array.astype(np.longdouble).astype(np.float64) for array in arrays]
        return np.nextafter(correct(*wide, **p).astype(arrays[0].dtype), arrays[0].dtype.type(np.inf))

    return fault


@afresh("conv2d", by=(SAME_BITS,))
def adds_parts_of_long_sums_in_the_order_of_chance() -> Fault:
    """Sums of more than 256 products are made in two parts, which are added to the bias in whatever order they come."""
    rng = np.random.default_rng(0)

    def fault(correct, x, w, b, **p):
        if w[0].size <= 256:
            return correct(x, w, b, **p)
        halves = [np.where(np.arange(w.shape[1])[:, None, None] % 2 == part, w, w.dtype.type(0)) for part in (0, 1)]
        first, second = (halves[part] for part in rng.permutation(2))
        bias = np.ones(len(w), w.dtype) if b is None else b
        y = correct(x, first, bias, **p) + correct(x, second, None, **p)
        return y - bias[:, None, None] if b is None else y

    return fault


@afresh("conv2d_backward", by=(SAME_BITS,))
def adds_in_the_order_of_chance() -> Fault:
    """Images are added up in whatever order they come, as by atomic additions."""
    rng = np.random.default_rng(0)

    def fault(correct, x, w, dy, **p):
        order = rng.permutation(len(x))
        if len(dy) != len(x):
            return correct(x, w, dy, **p)
        dx, dw, db = correct(x[order], w, dy[order], **p)
        return dx[np.argsort(order)], dw, db

    return fault


# several at once


@afresh("conv2d", "l2_pool2d", MAXIMUM_BACK, "conv2d_backward", "avg_pool2d_backward", by=(THREADS,))
def shares_a_workspace() -> Fault:
    """Threads copy their images to one workspace for each shape, and find those of the others there."""
    spaces: dict[Any, np.ndarray] = {}

    def fault(correct, *arrays, **p):
        given = named(correct, arrays, p)
        name, array = next(iter(given.items()))
        space = spaces.setdefault((array.shape, array.dtype), np.empty_like(array))
        space[...] = array
        time.sleep(0)  # where a kernel lets other threads run
        return correct(**(given | {name: space}))

    return fault


@afresh("conv2d", "max_pool2d", by=(THREADS,))
def keeps_its_parameters_in_a_global() -> Fault:
    """Parameters go through a global variable, where another thread may have put its own."""
    current: dict[str, Any] = {}

    def fault(correct, *arrays, **p):
        current["parameters"] = p
        time.sleep(0)
        return correct(*arrays, **current["parameters"])

    return fault


@afresh("avg_pool2d", by=(THREADS,))
def publishes_a_table_before_it_is_filled() -> Fault:
    """A table that is made at the first call of a shape can be read by other threads before it is filled."""
    tables: dict[Any, np.ndarray] = {}

    def fault(correct, x, **p):
        if x.shape not in tables:
            tables[x.shape] = np.zeros(1, x.dtype)
            time.sleep(0)
            tables[x.shape][0] = 1
        return correct(x, **p) * tables[x.shape].astype(x.dtype)

    return fault


@afresh("l2_pool2d_backward", by=(THREADS,))
def raises_where_two_calls_meet() -> Fault:
    """A call raises a RuntimeError while another thread's is under way."""
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
