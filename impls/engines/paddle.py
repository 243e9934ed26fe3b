"""PaddlePaddle on the CPU: paddle.nn.functional, and its gradients. Python 3.9."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from impls.engines.calls import (
    IN_PADDING,
    OVERHANGING,
    Array,
    Padding,
    Pair,
    around,
    overhangs,
    refusing,
    starts_in_padding,
)


class Paddle:
    """A namespace of the contract."""

    options = ("asymmetric_padding", "ceil_mode")

    def __init__(self, variants: Sequence[str] = ()) -> None:
        import paddle

        paddle.set_device("cpu")
        self.paddle, self.nn, self.version = paddle, paddle.nn.functional, paddle.__version__
        self.name = "+".join(["paddle", *variants])
        self.indices = "no-indices" not in variants
        nan = ("max_drops_nan",) if self.indices else ("max_orders_nan", "max_takes_either_zero")
        self.conventions = (*nan, "takes_any_window", "takes_any_padding", "takes_empty_image")

    def supports(self, operation: str, *, ceil_mode: bool = False, **parameters: Any) -> str | None:
        """Return the reason why Paddle has no such answer, or another one, or None."""
        if operation.startswith("conv"):
            return None
        if operation.startswith("l2") and np.any(parameters["padding"]):
            return "its L2 pooling takes no padding"
        uneven = any(before != after for before, after in around(parameters["padding"]))
        if operation == "max_pool2d" and self.indices and uneven:
            return "its max pooling with a mask takes no asymmetric padding"
        line = [parameters[name] for name in ("x_shape", "size", "stride", "padding") if ceil_mode]
        if ceil_mode and starts_in_padding(*line):
            return IN_PADDING
        averages = operation.startswith("avg") and parameters.get("count_include_pad", True)
        return OVERHANGING if ceil_mode and averages and overhangs(*line) else None

    @refusing("paddle")
    def conv2d(
        self, x: Array, w: Array, b: Array | None, *, stride: Pair, padding: Padding, dilation: Pair = (1, 1),
        groups: int = 1,
    ) -> Array:  # fmt: skip
        """conv2d: x (N, C, H, W), w (K, C/G, FH, FW), b (K,) or None -> (N, K, OH, OW)."""
        bias = None if b is None else self._there(b)
        return self._back(self._convolved(self._there(x), self._there(w), bias, stride, padding, dilation, groups))

    @refusing("paddle")
    def conv2d_backward(
        self, x: Array, w: Array, dy: Array, *, stride: Pair, padding: Padding, dilation: Pair = (1, 1), groups: int = 1
    ) -> tuple[Array, ...]:
        """The gradients of the same: dy (N, K, OH, OW) -> dx, dw, db, of the shapes of x, w and (K,)."""
        inputs = [self._watched(x), self._watched(w), self._watched(np.zeros(len(w), w.dtype))]
        return self._gradients(
            self._convolved(inputs[0], inputs[1], inputs[2], stride, padding, dilation, groups), inputs, dy
        )

    @refusing("paddle")
    def max_pool2d(
        self, x: Array, *, size: Pair, stride: Pair, padding: Padding = (0, 0), ceil_mode: bool = False
    ) -> tuple[Array, Array | None]:
        """max_pool2d, with its mask: x (N, C, H, W) -> y, switches (N, C, OH, OW)."""
        asked = ([*size], [*stride], spelled(padding), self.indices, ceil_mode)
        found = self.nn.max_pool2d(self._there(x), *asked)
        return (
            (self._back(found[0]), self._back(found[1]).astype(np.int64)) if self.indices else (self._back(found), None)
        )

    @refusing("paddle")
    def avg_pool2d(
        self, x: Array, *, size: Pair, stride: Pair, padding: Padding = (0, 0), count_include_pad: bool = True,
        ceil_mode: bool = False,
    ) -> Array:  # fmt: skip
        """avg_pool2d: x (N, C, H, W) -> (N, C, OH, OW)."""
        asked = ([*size], [*stride], spelled(padding), ceil_mode, not count_include_pad)
        return self._back(self.nn.avg_pool2d(self._there(x), *asked))

    @refusing("paddle")
    def avg_pool2d_backward(
        self, dy: Array, x_shape: Sequence[int], *, size: Pair, stride: Pair, padding: Padding = (0, 0),
        count_include_pad: bool = True, ceil_mode: bool = False,
    ) -> Array:  # fmt: skip
        """The gradient of the same: dy (N, C, OH, OW) -> dx of shape x_shape."""
        image = self._watched(np.zeros(tuple(x_shape), dy.dtype))
        asked = ([*size], [*stride], spelled(padding), ceil_mode, not count_include_pad)
        return self._gradients(self.nn.avg_pool2d(image, *asked), [image], dy)[0]

    @refusing("paddle")
    def l2_pool2d(
        self, x: Array, *, size: Pair, stride: Pair, padding: Padding = (0, 0), ceil_mode: bool = False
    ) -> Array:
        """lp_pool2d with a norm of 2: x (N, C, H, W) -> (N, C, OH, OW)."""
        return self._back(self.nn.lp_pool2d(self._there(x), 2.0, [*size], [*stride], 0, ceil_mode))

    @refusing("paddle")
    def l2_pool2d_backward(
        self, x: Array, dy: Array, *, size: Pair, stride: Pair, padding: Padding = (0, 0), ceil_mode: bool = False
    ) -> Array:
        """The gradient of the same: x (N, C, H, W), dy (N, C, OH, OW) -> dx (N, C, H, W)."""
        image = self._watched(x)
        return self._gradients(self.nn.lp_pool2d(image, 2.0, [*size], [*stride], 0, ceil_mode), [image], dy)[0]

    def _convolved(self, x: Any, w: Any, b: Any, stride: Pair, padding: Padding, dilation: Pair, groups: int) -> Any:
        return self.nn.conv2d(x, w, b, [*stride], spelled(padding), [*dilation], groups)

    def _gradients(self, y: Any, inputs: list[Any], dy: Array) -> tuple[Array, ...]:
        y.backward(self._there(dy))  # as networks are trained; paddle.grad may crash in several threads
        return tuple(self._back(each.grad) for each in inputs)

    def _there(self, array: Array) -> Any:
        return self.paddle.to_tensor(np.array(array, array.dtype.newbyteorder("="), order="C"))

    def _watched(self, array: Array) -> Any:
        tensor = self._there(array)
        tensor.stop_gradient = False
        return tensor

    def _back(self, tensor: Any) -> Array:
        return np.array(tensor.numpy())


def spelled(padding: Padding) -> list[int]:
    """Spell a padding as Paddle does: [vertical, horizontal], or [top, bottom, left, right]."""
    (top, bottom), (left, right) = around(padding)
    return [top, left] if (top, left) == (bottom, right) else [top, bottom, left, right]
