"""Calls that must be refused: each takes a valid case and spoils one thing in it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from oracles.case import CONVOLUTIONS, POOLING, Case
from properties.examiner import Examiner, Unsupported

Spoil = Callable[["Call"], str | None]


@dataclass
class Call:
    """A call about to be made; a fault changes it in place and says in words what is wrong with it."""

    case: Case
    arrays: list[Any]
    parameters: dict[str, Any]

    def exchange(self, name: str, position: int, value: int) -> str:
        """Put a value at one of the two positions of a pair, on both sides if it is a pair itself."""
        pair = list(self.parameters[name])
        pair[position] = (value, value) if isinstance(pair[position], tuple) else value
        self.parameters[name] = tuple(pair)
        return f"{name}={self.parameters[name]}"

    @property
    def dtype(self) -> np.dtype[Any]:
        """The format of its arrays, and of what it gives."""
        return self.arrays[0].dtype.newbyteorder("=")

    def shape(self) -> tuple[int, ...] | None:
        """The shape of what it gives, by the windows that begin and end in the padded image; None in ceil mode."""
        x, given = self.arrays[0], self.parameters
        if self.case.operation.endswith("_backward"):
            return self.case.geometry.x_shape
        if given.get("ceil_mode"):
            return None
        convolves = self.case.operation in CONVOLUTIONS
        size, outputs = self.arrays[1].shape[2:] if convolves else given["size"], []
        for i in (0, 1):
            reach = given.get("dilation", (1, 1))[i] * (size[i] - 1) + 1
            room = x.shape[2 + i] + _sides(self, i) - reach
            if isinstance(given["padding"], str):
                room = x.shape[2 + i] - 1  # SAME: as many as there would be of one cell
            outputs.append(len(range(0, room + 1, given["stride"][i])))
        return (x.shape[0], self.arrays[1].shape[0] if convolves else x.shape[1], *outputs)

    def cut(self, index: int, axis: int, size: int) -> str:
        """Give one array another extent along an axis."""
        array = self.arrays[index]
        shape = list(array.shape)
        shape[axis] = size
        self.arrays[index] = np.ones(shape, array.dtype)
        return f"an array of shape {tuple(shape)} in place of {array.shape}"


def faults(operation: str) -> dict[str, Spoil]:
    """What can be wrong with a call of this operation, by name."""
    return {name: spoil for name, operations, spoil in _FAULTS if operation in operations}


def _axis_faults() -> Iterator[tuple[str, tuple[str, ...], Spoil]]:
    takes_stride = (*CONVOLUTIONS, *(name for name in POOLING if name != "max_pool2d_backward"))
    pools = tuple(name for name in takes_stride if name not in CONVOLUTIONS)
    for position, side in enumerate(("vertical", "horizontal")):
        for value in (0, -1):
            yield f"stride_{value}_{side}", takes_stride, lambda c, p=position, v=value: c.exchange("stride", p, v)
            yield f"dilation_{value}_{side}", CONVOLUTIONS, lambda c, p=position, v=value: c.exchange("dilation", p, v)
            yield f"size_{value}_{side}", pools, lambda c, p=position, v=value: c.exchange("size", p, v)
        yield f"negative_padding_{side}", takes_stride, lambda c, p=position: _padding(c, p, -1)
        yield f"padding_as_large_as_window_{side}", pools, lambda c, p=position: _padding(c, p, c.parameters["size"][p])
        yield (
            f"padding_larger_than_window_{side}",
            pools,
            lambda c, p=position: _padding(c, p, c.parameters["size"][p] + 1),
        )
        yield (
            f"empty_image_{side}",
            ("conv2d", "max_pool2d", "avg_pool2d", "l2_pool2d"),
            lambda c, p=position: c.cut(0, 2 + p, 0),
        )
        yield f"empty_filter_{side}", ("conv2d",), lambda c, p=position: c.cut(1, 2 + p, 0)
        yield f"filter_too_large_{side}", ("conv2d",), lambda c, p=position: c.cut(1, 2 + p, _largest(c, p) + 1)
        yield f"window_too_large_{side}", ("max_pool2d", "avg_pool2d", "l2_pool2d"), lambda c, p=position: _window(c, p)


def _padding(call: Call, position: int, value: int) -> str:
    if isinstance(call.parameters["padding"], str):
        call.parameters["padding"] = (0, 0)
    return call.exchange("padding", position, value)


def _sides(call: Call, position: int) -> int:
    padding = call.parameters["padding"]
    if isinstance(padding, str):
        return 0
    side = padding[position]
    return sum(side) if isinstance(side, tuple) else 2 * side


def _largest(call: Call, position: int) -> int:
    """The largest extent of a window that still fits the padded image; with SAME padding all fit."""
    if isinstance(call.parameters["padding"], str):
        call.parameters["padding"] = (0, 0)
    axis = (call.case.geometry.vertical, call.case.geometry.horizontal)[position]
    dilation = call.parameters.get("dilation", (1, 1))[position]
    return (axis.size + _sides(call, position) - 1) // dilation + 1


def _window(call: Call, position: int) -> str | None:
    if call.parameters.get("ceil_mode"):
        return None  # engines that round up differ on whether one ragged window is a window
    return call.exchange("size", position, _largest(call, position) + 1)


def _groups(call: Call, total: int) -> str | None:
    """The least number of groups that does not divide, without any filter's channels becoming right by chance."""
    for groups in range(2, total + 2):
        if total % groups:
            call.parameters["groups"] = groups
            return f"groups={groups}, which does not divide {total}"
    return None


def _channels_not_divided(call: Call) -> str | None:
    c = call.case.geometry.C
    spoiled = _groups(call, c)
    groups = call.parameters["groups"]
    k = call.arrays[1].shape[0]
    filters = -(-k // groups) * groups  # the filters are divided: only the channels are wrong
    call.cut(1, 0, filters)
    call.cut(1, 1, max(1, c // groups))
    call.arrays[2] = None
    return spoiled and f"{spoiled} channels"


def _filters_not_divided(call: Call) -> str | None:
    g = call.case.geometry
    groups = next(n for n in range(2, g.K + 2) if g.K % n)
    channels = groups * max(1, g.C // groups)
    call.parameters["groups"] = groups
    call.cut(0, 1, channels)
    call.cut(1, 1, channels // groups)
    return f"groups={groups}, which does not divide {g.K} filters"


def _bias(shape: Callable[[int], tuple[int, ...]]) -> Spoil:
    def spoil(call: Call) -> str | None:
        k = call.case.geometry.K
        if shape(k) == (k,):
            return None
        call.arrays[2] = np.ones(shape(k), call.arrays[0].dtype)
        return f"a bias of shape {shape(k)} for {k} filters"

    return spoil


def _wrong_dy(axis: int, step: int) -> Spoil:
    def spoil(call: Call) -> str | None:
        extent = call.arrays[2].shape[axis] + step
        return None if extent < 1 else "dy is " + call.cut(2, axis, extent)

    return spoil


def _of_one(index: int, axis: int, what: str) -> Spoil:
    """Give an array one element along an axis where more are due: NumPy would repeat it."""

    def spoil(call: Call) -> str | None:
        return None if call.arrays[index].shape[axis] == 1 else f"{what} is " + call.cut(index, axis, 1)

    return spoil


def _turned_dy(call: Call) -> str | None:
    shape = call.arrays[2].shape
    turned = (*shape[:2], shape[3], shape[2])
    if turned == shape or math.prod(shape) == 0:
        return None
    call.arrays[2] = np.ones(turned, call.arrays[2].dtype)
    return f"dy has shape {turned} where {shape} is due"


_FAULTS: list[tuple[str, tuple[str, ...], Spoil]] = [
    *_axis_faults(),
    ("channels_not_divided", ("conv2d",), _channels_not_divided),
    ("filters_not_divided", ("conv2d",), _filters_not_divided),
    ("one_channel_more", CONVOLUTIONS, lambda c: "w is " + c.cut(1, 1, c.arrays[1].shape[1] + 1)),
    ("bias_too_long", ("conv2d",), _bias(lambda k: (k + 1,))),
    ("bias_of_one", ("conv2d",), _bias(lambda k: (1,))),
    ("bias_a_column", ("conv2d",), _bias(lambda k: (k, 1))),
    ("bias_a_number", ("conv2d",), _bias(lambda k: ())),
    ("dy_one_image_more", ("conv2d_backward",), _wrong_dy(0, 1)),
    ("dy_one_filter_more", ("conv2d_backward",), _wrong_dy(1, 1)),
    ("dy_one_row_more", ("conv2d_backward",), _wrong_dy(2, 1)),
    ("dy_one_row_less", ("conv2d_backward",), _wrong_dy(2, -1)),
    ("dy_one_column_more", ("conv2d_backward",), _wrong_dy(3, 1)),
    ("dy_one_column_less", ("conv2d_backward",), _wrong_dy(3, -1)),
    *((f"dy_of_one_{what}", ("conv2d_backward",), _of_one(2, axis, "dy"))
      for axis, what in enumerate(("image", "filter", "row", "column"))),
    ("w_of_one_channel", CONVOLUTIONS, _of_one(1, 1, "w")),
    ("dy_turned", ("conv2d_backward",), _turned_dy),
]  # fmt: skip


def open_by(fault: str) -> str:
    """The convention by which a call with this fault need not be refused, or ""."""
    return next((convention for name, convention in _OPEN.items() if fault.startswith(name)), "")


_OPEN = {
    "window_too_large": "takes_any_window",
    "filter_too_large": "takes_any_window",
    "padding_": "takes_any_padding",
    "negative_padding": "takes_negative_padding",
    "empty_image": "takes_empty_image",
    "bias_of_one": "broadcasts_bias",
    "bias_a_number": "broadcasts_bias",
}


def out_size_faults(case: Case) -> dict[str, tuple[int, int, int, int, int]]:
    """Arguments (W, F, S, P, dilation) that out_size must refuse, by name."""
    a = case.geometry.vertical
    valid = [a.size, a.extent, a.stride, a.pad_before, a.dilation]
    found = {}
    for position, name in enumerate(("image", "window", "stride", "padding", "dilation")):
        for value in (0, -1):
            if name != "padding" or value < 0:
                spoiled = valid.copy()
                spoiled[position] = value
                found[f"{name}_{value}"] = tuple(spoiled)
    found["window_too_large"] = (a.size, (a.padded - 1) // a.dilation + 2, *valid[2:])
    return found  # type: ignore[return-value]


def spoiled(subject: Examiner, case: Case, name: str) -> tuple[Call, str | None]:
    """The call with its fault, and the fault in words; None where this case cannot have it."""
    if name not in faults(case.operation):
        raise Unsupported(f"fault={name} is none of {', '.join(faults(case.operation))}")
    arrays, parameters = subject.arguments(case)
    call = Call(case, list(arrays), dict(parameters))
    return call, faults(case.operation)[name](call)
