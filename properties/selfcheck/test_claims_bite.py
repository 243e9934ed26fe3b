"""What decides a claim is seen to decide otherwise where kernels, sizes or layers are wrong."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from impls import im2col
from oracles import layers
from oracles.geometry import Axis, Geometry
from properties.evidence import counts, images, reach, sizes, values
from properties.evidence.finding import DECISIONS
from properties.evidence.kernels import Kernels
from properties.selfcheck.running import variant

MODULES = (counts, images, reach, sizes, values)
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
def numbers_switches_from_1(correct, x, **p):
    y, switches = correct(x, **p)
    return y, (switches + 1) % x[0, 0].size


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


@instead_of(layers, "relu_backward")
def relu_sends_nothing_back(x, dy):
    return 0 * dy


@instead_of(layers, "fully_connected")
def scores_see_one_number_each(x, w, b):
    return x.reshape(len(x), -1)[:, : len(b)] + b


@instead_of(Axis, "starts")
def windows_are_rounded_up(axis):
    return range(-axis.pad_before, axis.size + axis.pad_after - axis.reach + axis.stride, axis.stride)


@instead_of(Axis, "ragged")
def nothing_is_ragged(axis):
    return 0


@instead_of(Geometry, "macs")
def work_is_that_of_one_channel(g):
    return g.vertical.out * g.horizontal.out * g.window


@instead_of(Geometry, "w_shape")
def filters_are_as_large_as_the_image(g):
    return g.x_shape


@instead_of(counts, "column_matrix")
def columns_are_the_image(x, g):
    return x.reshape(-1, 1)


def said(claim: str, namespace: object) -> tuple[str, ...]:
    """Give the verdict and the figures on a claim, or the name of the error that it ends in."""
    try:
        finding = DECISIONS[claim].evidence(Kernels(namespace))
    except (ArithmeticError, AssertionError, IndexError, ValueError) as error:
        return (type(error).__name__,)
    return finding.verdict, *finding.figures


@pytest.mark.parametrize("claim", DECISIONS)
def test_a_claim_is_decided_by_what_is_computed(claim: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """At least one fault changes its verdict or its figures."""
    right = said(claim, im2col)
    for plant in FAULTS.values():
        with monkeypatch.context() as patch:
            if said(claim, plant(patch)) != right:
                return
    pytest.fail(f"{claim} is {right} under all of {len(FAULTS)} faults")


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_changes_some_claim(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it would be none."""
    for claim in (name for name, decision in DECISIONS.items() if not decision.large):
        right = said(claim, im2col)
        with monkeypatch.context() as patch:
            if said(claim, FAULTS[fault](patch)) != right:
                return
    pytest.fail(f"{fault} changes nothing")
