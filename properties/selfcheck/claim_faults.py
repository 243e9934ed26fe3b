"""Faults of kernels, sizes, layers and of what was timed, under which claims are to be decided otherwise."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from impls import im2col
from oracles import layers
from oracles.geometry import Axis, Geometry
from properties.evidence import counts, images, measured, reach, sizes, values
from properties.mutants.planting import variant

MODULES = (counts, images, measured, reach, sizes, values)
Plant = Callable[[pytest.MonkeyPatch], object]  # spoils what it likes, and gives the kernels to be tried

FAULTS: dict[str, Plant] = {}


def around(operation: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Plant `fault(correct, *arrays, **parameters)` in the place of an operation of im2col."""

    def plant(fault: Callable[..., Any]) -> Callable[..., Any]:
        replaced = functools.partial(fault, getattr(im2col, operation))
        FAULTS[fault.__name__] = lambda _: variant(**{operation: replaced})
        return fault

    return plant


def instead_of(thing: object, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Plant a function in the place of a part of the oracle, or of a property, wherever evidence has it from."""

    def plant(fault: Callable[..., Any]) -> Callable[..., Any]:
        value = property(fault) if isinstance(thing, type) else fault

        def patched(patch: pytest.MonkeyPatch) -> object:
            for place in (thing, *(module for module in MODULES if hasattr(module, name))):
                patch.setattr(place, name, value)
            return im2col

        FAULTS[fault.__name__] = patched
        return fault

    return plant


def cut(y: Any) -> Any:
    """Lose the last row and the last column."""
    return y[:, :, :-1, :-1].copy()


# convolution


@around("conv2d")
def flips_filters(correct, x, w, b, **p):
    return correct(x, w[:, :, ::-1, ::-1], b, **p)


@around("conv2d")
def squares_outputs(correct, x, w, b, **p):
    return correct(x, w, b, **p) ** 2


@around("conv2d")
def forgets_the_bias(correct, x, w, b, **p):
    return correct(x, w, None, **p)


@around("conv2d")
def takes_every_stride_for_1(correct, x, w, b, **p):
    return correct(x, w, b, **(p | {"stride": (1, 1)}))


@around("conv2d")
def takes_every_dilation_for_1(correct, x, w, b, **p):
    return correct(x, w, b, **(p | {"dilation": (1, 1)}))


@around("conv2d")
def leaves_padding_out(correct, x, w, b, **p):
    return correct(x, w, b, **(p | {"padding": (0, 0)}))


@around("conv2d")
def loses_outputs(correct, *arrays, **p):
    return cut(correct(*arrays, **p))


@around("conv2d")
def loses_a_filter(correct, *arrays, **p):
    return correct(*arrays, **p)[:, :-1].copy()


@around("conv2d")
def transposes_outputs(correct, *arrays, **p):
    return correct(*arrays, **p).swapaxes(2, 3).copy()


@around("conv2d")
def does_not_see_the_first_column(correct, x, w, b, **p):
    return correct(x * (np.arange(x.shape[3]) > 0), w, b, **p)


@around("conv2d")
def does_not_see_the_last_channel(correct, x, w, b, **p):
    return correct(x * (np.arange(x.shape[1]) < x.shape[1] - 1)[:, None, None], w, b, **p)


@around("conv2d")
def averages_over_the_stride(correct, x, w, b, stride, **p):
    dense = correct(x, w, b, stride=(1, 1), **p)
    outputs = correct(x, w, b, stride=stride, **p).shape[2:]
    size = stride[0], stride[1]
    whole = [min(n, (side - S) // S + 1) for n, side, S in zip(outputs, dense.shape[2:], stride, strict=True)]
    pooled = im2col.avg_pool2d(dense, size=size, stride=stride, padding=(0, 0), count_include_pad=True)
    return pooled[:, :, : whole[0], : whole[1]]


@around("conv2d")
def sees_no_more_than_the_mean(correct, x, *arrays, **p):
    return correct(np.broadcast_to(x.mean((2, 3), keepdims=True), x.shape).copy(), *arrays, **p)


@around("conv2d_backward")
def flips_dy(correct, x, w, dy, **p):
    return correct(x, w, dy[:, :, ::-1, ::-1].copy(), **p)


@around("conv2d_backward")
def flips_dw(correct, *arrays, **p):
    dx, dw, db = correct(*arrays, **p)
    return dx, dw[:, :, ::-1, ::-1].copy(), db


@around("conv2d_backward")
def gives_ones_for_dx(correct, *arrays, **p):
    dx, dw, db = correct(*arrays, **p)
    return np.ones_like(dx), dw, db


# pooling


@around("max_pool2d")
def averages(correct, x, **p):
    return im2col.avg_pool2d(x, **p), correct(x, **p)[1]


@around("max_pool2d")
def doubles_maxima(correct, x, **p):
    y, switches = correct(x, **p)
    return 2 * y, switches


@around("max_pool2d")
def loses_maxima(correct, x, **p):
    y, switches = correct(x, **p)
    return cut(y), cut(switches)


@around("max_pool2d")
def pools_nothing(correct, x, **p):
    return x.copy(), correct(x, **(p | {"size": (1, 1), "stride": (1, 1), "padding": (0, 0)}))[1]


@around("max_pool2d")
def takes_the_first_cell(correct, x, size, **p):
    return correct(x, size=(1, 1), **p) if size[0] != x.shape[2] else correct(x, size=size, **p)


@around("max_pool2d")
def numbers_switches_from_1(correct, x, **p):
    y, switches = correct(x, **p)
    return y, (switches + 1) % x[0, 0].size


@around("max_pool2d")
def windows_of_two_are_black(correct, x, size, **p):
    y, switches = correct(x, size=size, **p)
    return y * (size != (2, 2)), switches


@around("avg_pool2d")
def gives_maxima_for_averages(correct, x, count_include_pad, **p):
    return im2col.max_pool2d(x, **p)[0]


@around("l2_pool2d")
def gives_averages_for_norms(correct, x, **p):
    return im2col.avg_pool2d(x, **p)


# layers and sizes of the oracle


@instead_of(layers, "relu")
def relu_does_nothing(x):
    return x


@instead_of(layers, "relu")
def relu_loses_a_column(x):
    return np.maximum(x[..., :-1], 0)


@instead_of(layers, "relu")
def relu_takes_a_stride(x, b=0, stride=1):
    return np.maximum(x, 0)


@instead_of(layers, "relu")
def relu_mixes_neighbours(x):
    return np.maximum(x + np.roll(x, 1, -1), 0)


@instead_of(layers, "relu_backward")
def relu_sends_nothing_back(x, dy):
    return 0 * dy


@instead_of(layers, "fully_connected")
def scores_see_one_number_each(x, w, b):
    return x.reshape(len(x), -1)[:, : len(b)] + b


@instead_of(Axis, "starts")
def windows_are_rounded_up(axis):
    return range(-axis.pad_before, axis.size + axis.pad_after - axis.reach + axis.stride, axis.stride)


@instead_of(Axis, "starts")
def windows_wrap_around(axis):
    return range(0, axis.size, axis.stride)


@instead_of(Axis, "starts")
def padding_behind_is_forgotten(axis):
    return range(-axis.pad_before, axis.size - axis.reach + 1, axis.stride)


@instead_of(Axis, "starts")
def strides_make_room(axis):
    return range(axis.size * axis.stride)


@instead_of(Axis, "ragged")
def nothing_is_ragged(axis):
    return 0


@instead_of(Geometry, "macs")
def work_is_that_of_one_channel(g):
    return g.vertical.out * g.horizontal.out * g.window


@instead_of(Geometry, "macs")
def work_is_that_of_all_channels(g):
    return g.N * (g.K or g.C) * g.vertical.out * g.horizontal.out * g.terms


@instead_of(Geometry, "macs")
def work_is_done_wherever_a_window_fits(g):
    places = [axis.padded - axis.reach + 1 for axis in (g.vertical, g.horizontal)]
    return g.N * (g.K or g.C) * places[0] * places[1] * (g.terms if g.K else g.window)


@instead_of(Geometry, "macs")
def work_is_the_number_of_weights(g):
    return g.K * g.terms if g.K else g.C


@instead_of(Geometry, "w_shape")
def filters_are_as_large_as_the_image(g):
    return g.x_shape


@instead_of(counts, "column_matrix")
def columns_are_the_image(x, g):
    return x.reshape(-1, 1)


# what was timed, and the network


def other_rows(name: str, **changed: Any) -> Callable[[str], list[Any]]:
    """Read a table of the sample with columns of one value in one of them, all others as they are."""
    return lambda asked: [row | (changed if asked == name else {}) for row in measured.sampled()[asked]]


FAULTS["everything_takes_as_long"] = lambda patch: (
    patch.setattr(measured, "table", other_rows("pool_or_stride", cpu_seconds=1.0)) or im2col
)


def without_the_time_of_pools(asked: str) -> list[Any]:
    """Read a table of the sample as if steps with a pool took no time at all."""
    pooled = measured.POOLED.values()
    return [row | ({"cpu_seconds": 0.0} if row["variant"] in pooled else {}) for row in measured.sampled()[asked]]


FAULTS["pools_take_no_time"] = lambda patch: patch.setattr(measured, "table", without_the_time_of_pools) or im2col
FAULTS["no_pool_makes_a_change_smaller"] = lambda patch: (
    patch.setattr(images, "table", other_rows("translation", damped=False)) or im2col
)


def the_network_ends_in_its_pool(network, x, parameters):
    conv = im2col.conv2d(x, parameters["w1"], parameters["b1"], stride=(1, 1), padding=(1, 1))
    relu = layers.relu(conv[:, : network.classes])
    return {"relu": relu, "pool": im2col.max_pool2d(relu, size=(2, 2), stride=(2, 2), padding=(0, 0))[0]}


FAULTS["the_network_ends_in_its_pool"] = lambda patch: (
    patch.setattr(layers.Network, "stages", the_network_ends_in_its_pool) or im2col
)
