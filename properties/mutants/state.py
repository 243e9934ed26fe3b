"""What a call leaves behind: plans, workspaces, locks, prepared filters; sums that begin with those of another call."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from properties.mutants.laws_by_name import (
    DIRECTION,
    EARLIER,
    KEYWORDS,
    MAXIMUM_BACK,
    POOLS,
    PREPARED,
    REFUSAL,
    REFUSED,
    SURROUNDINGS,
)
from properties.mutants.planting import Fault, afresh, around, together
from properties.mutants.prepared import prepared
from properties.mutants.results import changed, named, sides

# what the other direction leaves behind


@together("conv2d", "conv2d_backward", "l2_pool2d", "l2_pool2d_backward", by=(DIRECTION,))
def keeps_the_image_for_the_other_direction() -> tuple[Fault, Fault]:
    """The other direction's copy of an image object is used, whatever was written into that since."""
    kept: dict[int, Any] = {}

    def other(correct, x, *arrays, **p):
        kept[id(x)] = x, x.copy()
        return correct(x, *arrays, **p)

    def fault(correct, x, *arrays, **p):
        same, image = kept.get(id(x), (None, x))
        return correct(image if same is x else x, *arrays, **p)

    return other, fault


@together("max_pool2d", "avg_pool2d", "avg_pool2d_backward", by=(DIRECTION,))
def begins_with_what_the_other_direction_left() -> tuple[Fault, Fault]:
    """Both directions share a workspace, which the other one leaves filled: results are added to it."""
    left: dict[Any, np.ndarray] = {}

    def other(correct, first, *arrays, **p):
        left[first.shape] = first.copy()
        return correct(first, *arrays, **p)

    def fault(correct, *arrays, **p):
        result = correct(*arrays, **p)
        first, *rest = result if isinstance(result, tuple) else (result,)
        first = first + left.get(first.shape, np.zeros((), first.dtype)).astype(first.dtype)
        return (first, *rest) if rest else first

    return other, fault


@together("max_pool2d_backward", by=(DIRECTION,))
def uses_the_switches_of_the_last_forward_pass() -> tuple[Fault, Fault]:
    """Gradients go where the last forward pass of that shape found its maxima, not to the switches that are passed."""
    kept: dict[Any, np.ndarray] = {}

    def forward(correct, x, **p):
        y, switches = correct(x, **p)
        kept[y.shape, x.shape] = switches.copy()
        return y, switches

    def backward(correct, dy, switches, x_shape, **p):
        return correct(dy, kept.get((dy.shape, tuple(x_shape)), switches), x_shape, **p)

    return forward, backward


# plans and workspaces


@afresh("conv2d", "max_pool2d", "avg_pool2d_backward", by=(KEYWORDS,))
def remembers_plans_by_their_stride() -> Fault:
    """Plans are found by the stride, which as a list raises a TypeError: it is no key."""
    plans: dict[Any, Any] = {}

    def fault(correct, *arrays, **p):
        names = plans.setdefault(p["stride"], p["stride"])
        return correct(*arrays, **(p | {"stride": names}))

    return fault


@afresh("conv2d", "max_pool2d", "l2_pool2d_backward", by=(EARLIER,))
def keeps_a_plan_for_the_shapes_only() -> Fault:
    """The stride of the first call is used whenever arrays have the same shapes."""
    plans: dict[Any, Any] = {}

    def fault(correct, x, *arrays, **p):
        key = x.shape, *(array.shape for array in arrays if array is not None)
        return correct(x, *arrays, **(p | {"stride": plans.setdefault(key, p["stride"])}))

    return fault


@afresh("conv2d", "avg_pool2d", by=(EARLIER,))
def leaves_the_border_of_its_workspace_dirty() -> Fault:
    """The padded image is kept from call to call, and its border is not cleared when the padding is another."""
    spaces: dict[Any, np.ndarray] = {}

    def fault(correct, x, *arrays, **p):
        padding = sides(p["padding"])
        if padding is None or x.ndim != 4:
            return correct(x, *arrays, **p)
        (top, bottom), (left, right) = padding
        N, C, H, W = x.shape
        shape = N, C, top + H + bottom, left + W + right
        if not p.get("count_include_pad", True) or min(top, bottom, left, right) < 0:
            return correct(x, *arrays, **p)
        space = spaces.setdefault((shape, x.dtype), np.zeros(shape, x.dtype))
        space[:, :, top : top + H, left : left + W] = x
        if p.get("ceil_mode"):
            return correct(x, *arrays, **p)
        return correct(space, *arrays, **(p | {"padding": ((0, 0), (0, 0))}))

    return fault


@afresh("conv2d", "l2_pool2d", by=(EARLIER,))
def keeps_a_workspace_for_one_format() -> Fault:
    """The image is copied to a workspace that has the type of the first one of its shape."""
    spaces: dict[Any, np.ndarray] = {}

    def fault(correct, x, *arrays, **p):
        space = spaces.setdefault(x.shape, np.empty_like(x))
        space[...] = x
        return correct(space.astype(x.dtype), *arrays, **p)

    return fault


@afresh("conv2d_backward", by=(EARLIER,))
def adds_to_the_last_gradient() -> Fault:
    """dw is added to that of all earlier calls."""
    sums: dict[Any, np.ndarray] = {}

    def fault(correct, x, w, dy, **p):
        dx, dw, db = correct(x, w, dy, **p)
        total = sums.setdefault((dw.shape, dw.dtype), np.zeros_like(dw))
        total += dw
        return dx, total.copy(), db

    return fault


@afresh(MAXIMUM_BACK, "avg_pool2d_backward", by=(EARLIER,))
def does_not_clear_a_workspace_that_grew() -> Fault:
    """Gradients that are 0 are not written, so that those of an earlier call show."""
    space = [np.zeros(0)]

    def fault(correct, *arrays, **p):
        dx = correct(*arrays, **p)
        if dx.size > space[0].size:
            space[0] = np.zeros(dx.size)
        flat = space[0][: dx.size]
        flat[dx.ravel() != 0] = dx.ravel()[dx.ravel() != 0]
        return flat.reshape(dx.shape).astype(dx.dtype)

    return fault


@afresh("conv2d", "max_pool2d", by=(EARLIER,))
def takes_the_first_batch_for_the_largest() -> Fault:
    """Images beyond as many as the first batch of their size had are taken for zeros."""
    most: dict[Any, int] = {}

    def fault(correct, x, *arrays, **p):
        limit = most.setdefault(x.shape[1:], max(1, len(x)))
        if len(x) > limit:
            x = np.concatenate([x[:limit], np.zeros_like(x[limit:])])
        return correct(x, *arrays, **p)

    return fault


@afresh("conv2d", "l2_pool2d", by=(EARLIER,))
def takes_height_and_width_for_one_number() -> Fault:
    """A plan is found by the number of cells: an image of other sides is read as the first with as many."""
    shapes: dict[Any, Any] = {}

    def fault(correct, x, *arrays, **p):
        if x.ndim != 4:
            return correct(x, *arrays, **p)
        shape = shapes.setdefault((*x.shape[:2], x.shape[2] * x.shape[3], x.dtype), x.shape)
        return correct(x.reshape(shape) if min(shape[2:]) >= max(x.shape[2:]) or shape != x.shape else x, *arrays, **p)

    return fault


@afresh("avg_pool2d", by=(EARLIER,))
def counts_are_kept_by_the_output() -> Fault:
    """How many cells each window averages is kept by the output's size, and the image's width: its height is not."""
    kept: dict[Any, np.ndarray] = {}

    def fault(correct, x, *, count_include_pad=True, **p):
        y = correct(x, count_include_pad=count_include_pad, **p)
        if count_include_pad or not y.size:
            return y
        inside = correct(np.ones_like(x[:1, :1]), count_include_pad=True, **p)
        key = y.shape[2:], x.shape[3], x.dtype.str, repr(sorted(p.items()))
        return (y * (inside / kept.setdefault(key, inside))).astype(y.dtype, copy=False)

    return fault


# after a refusal


@afresh("conv2d", *POOLS, by=(REFUSED,))
def unusable_after_a_refusal() -> Fault:
    """The first valid call after a refused one gives zeros."""
    broken: list[bool] = []

    def fault(correct, *arrays, **p):
        try:
            result = correct(*arrays, **p)
        except ValueError:
            broken.append(True)
            raise
        if broken:
            broken.clear()
            return changed(result, lambda y: 0 * y)
        return result

    return fault


@afresh("conv2d", "max_pool2d", "avg_pool2d", "conv2d_backward", "avg_pool2d_backward", by=(REFUSAL,))
def stores_its_plan_before_the_check() -> Fault:
    """A refused call leaves its parameters behind, and the next one on an image of that shape is refused for them."""
    plans: dict[Any, Any] = {}

    def fault(correct, *arrays, **p):
        given = named(correct, arrays, p)
        shape = next(iter(given.values())).shape
        plan = plans.setdefault(shape, {name: p[name] for name in ("size", "stride", "padding") if name in p})
        result = correct(**(given | plan))
        plans.pop(shape, None)
        return result

    return fault


@afresh("l2_pool2d", "l2_pool2d_backward", by=(REFUSAL,))
def stays_locked_after_a_refusal() -> Fault:
    """A refused call leaves its workspace locked, and the next one raises a RuntimeError."""
    busy = threading.Lock()

    def fault(correct, *arrays, **p):
        if not busy.acquire(blocking=False):
            raise RuntimeError("the workspace is in use")
        result = correct(*arrays, **p)
        busy.release()
        return result

    return fault


@together("max_pool2d", "avg_pool2d", "l2_pool2d", by=(REFUSAL,), other="conv2d")
def is_upset_by_what_a_convolution_refused() -> tuple[Fault, Fault]:
    """The first pooling after a refused convolution gives twice what is due: a flag of both was left set."""
    refused: list[bool] = []

    def convolution(correct, *arrays, **p):
        try:
            return correct(*arrays, **p)
        except ValueError:
            refused.append(True)
            raise

    def pooling(correct, *arrays, **p):
        result = correct(*arrays, **p)
        if not refused:
            return result
        refused.clear()
        return changed(result, lambda y: 2 * y)

    return convolution, pooling


# prepared filters


@prepared(by=(PREPARED,))
def used_up(correct, x, filters, b, **p):
    """A prepared filter is doubled by each call."""
    y = correct(x, filters[0], b, **p)
    filters[0] = filters[0] * 2
    return y


@prepared(by=(PREPARED,))
def sized_by_its_first_image(correct, x, filters, b, **p):
    """Images after the first are cut to its size, by which a prepared filter has made its plan."""
    if len(filters) == 1:
        filters.append(x.shape[2:])
    H, W = filters[1]
    return correct(x[:, :, :H, :W], filters[0], b, **p)


@prepared(by=(PREPARED,))
def kept_for_its_first_batch(correct, x, filters, b, **p):
    """A prepared filter has a workspace for as many images as the first call had, and raises for other batches."""
    if len(filters) == 1:
        filters.append(np.zeros((len(x), 1, 1, 1), x.dtype))
    return correct(x + filters[1], filters[0], b, **p)


@prepared(by=(PREPARED,))
def without_bias(correct, x, filters, b, **p):
    """With a prepared filter the bias is not added."""
    return correct(x, filters[0], None, **p)


def in_place(w, **p):
    """Prepare a filter by turning it round where it lies."""
    copy = w.copy()
    w[...] = w[..., ::-1, ::-1]
    return [copy]


@prepared(by=(PREPARED,), prepare=in_place)
def flipped_in_place_by_prepare(correct, x, filters, b, **p):
    """Filters are turned round where they lie when they are prepared; results are right."""
    return correct(x, filters[0], b, **p)


# what is not its own


@around("conv2d", "l2_pool2d", "avg_pool2d", by=(SURROUNDINGS,))
def silences_floating_point_errors_for_good(correct, *arrays, **p):
    """NumPy is told to report no division by zero and no overflow, and never told to do so again."""
    np.seterr(all="ignore")
    return correct(*arrays, **p)


@around("max_pool2d", "conv2d_backward", "max_pool2d_backward", by=(SURROUNDINGS,))
def seeds_the_random_numbers_that_all_share(correct, *arrays, **p):
    """Random numbers of its own are drawn from NumPy's shared state, which is seeded for that in each call."""
    np.random.seed(0)  # noqa: NPY002 - that is the fault
    return correct(*arrays, **p)


@afresh("conv2d", "avg_pool2d_backward", "l2_pool2d_backward", by=(SURROUNDINGS,))
def keeps_a_copy_of_every_input() -> Fault:
    """What was put aside for the backward pass is never let go: each call takes more memory."""
    kept: list[np.ndarray] = []

    def fault(correct, first, *arrays, **p):
        kept.append(np.array(first))
        return correct(first, *arrays, **p)

    return fault
