"""tinygrad on the CPU: kernels made for each shape, compiled by clang or interpreted, and its gradients. Python 3.9."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from impls.engines.calls import OVERHANGING, Array, Padding, Pair, around, overhangs, refusing


class TinyGrad:
    """A namespace of the contract."""

    options = ("asymmetric_padding", "pool_dilation", "ceil_mode")
    conventions = ("max_keeps_first_nan", "takes_any_window", "takes_any_padding", "takes_empty_image")

    def __init__(self, device: str, variants: Sequence[str] = ()) -> None:
        import importlib.metadata

        os.environ["DEV"] = device  # which is read at import, and is where it makes its constants
        from tinygrad import Tensor

        self.tensor, self.version = Tensor, importlib.metadata.version("tinygrad")
        self.name, self.device = {"CPU": "tinygrad", "PYTHON": "tinygrad-python"}[device], device

    def supports(self, operation: str, *, ceil_mode: bool = False, **parameters: Any) -> str | None:
        """Return the reason why an answer would be another than the contract's, or None."""
        averages = operation.startswith("avg") and parameters.get("count_include_pad", True) and ceil_mode
        if averages and overhangs(*(parameters[name] for name in ("x_shape", "size", "stride", "padding"))):
            return OVERHANGING
        return None

    @refusing("tinygrad")
    def conv2d(
        self, x: Array, w: Array, b: Array | None, *, stride: Pair, padding: Padding, dilation: Pair = (1, 1),
        groups: int = 1,
    ) -> Array:  # fmt: skip
        """Tensor.conv2d: x (N, C, H, W), w (K, C/G, FH, FW), b (K,) or None -> (N, K, OH, OW)."""
        bias = None if b is None else self._there(b)
        return self._there(x).conv2d(
            self._there(w), bias, groups, tuple(stride), tuple(dilation), spelled(padding)
        ).numpy()  # fmt: skip

    @refusing("tinygrad")
    def conv2d_backward(
        self, x: Array, w: Array, dy: Array, *, stride: Pair, padding: Padding, dilation: Pair = (1, 1), groups: int = 1
    ) -> tuple[Array, ...]:
        """The gradients of the same: dy (N, K, OH, OW) -> dx, dw, db, of the shapes of x, w and (K,)."""
        inputs = [*map(self._there, (x, w, np.zeros(len(w), w.dtype)))]
        y = inputs[0].conv2d(*inputs[1:], groups, tuple(stride), tuple(dilation), spelled(padding))
        return tuple(found.numpy() for found in y.gradient(*inputs, gradient=self._there(dy)))

    @refusing("tinygrad")
    def max_pool2d(
        self, x: Array, *, size: Pair, stride: Pair, padding: Padding = (0, 0), dilation: Pair = (1, 1),
        ceil_mode: bool = False,
    ) -> tuple[Array, Array]:  # fmt: skip
        """Tensor.max_pool2d with return_indices: x (N, C, H, W) -> y, switches (N, C, OH, OW)."""
        asked = (tuple(size), tuple(stride), tuple(dilation), spelled(padding), ceil_mode)
        y, switches = self._there(x).max_pool2d(*asked, return_indices=True)
        return y.numpy(), switches.numpy().astype(np.int64)

    @refusing("tinygrad")
    def avg_pool2d(
        self, x: Array, *, size: Pair, stride: Pair, padding: Padding = (0, 0), count_include_pad: bool = True,
        ceil_mode: bool = False,
    ) -> Array:  # fmt: skip
        """Tensor.avg_pool2d: x (N, C, H, W) -> (N, C, OH, OW)."""
        asked = (tuple(size), tuple(stride), (1, 1), spelled(padding), ceil_mode, count_include_pad)
        return self._there(x).avg_pool2d(*asked).numpy()

    @refusing("tinygrad")
    def avg_pool2d_backward(
        self, dy: Array, x_shape: Sequence[int], *, size: Pair, stride: Pair, padding: Padding = (0, 0),
        count_include_pad: bool = True, ceil_mode: bool = False,
    ) -> Array:  # fmt: skip
        """The gradient of the same: dy (N, C, OH, OW) -> dx of shape x_shape."""
        image = self._there(np.zeros(tuple(x_shape), dy.dtype))
        asked = (tuple(size), tuple(stride), (1, 1), spelled(padding), ceil_mode, count_include_pad)
        return image.avg_pool2d(*asked).gradient(image, gradient=self._there(dy))[0].numpy()

    def _there(self, array: Array) -> Any:
        return self.tensor(np.array(array, array.dtype.newbyteorder("="), order="C"), device=self.device)


def spelled(padding: Padding) -> tuple[int, int, int, int]:
    """Spell a padding as tinygrad does: (left, right, top, bottom)."""
    (top, bottom), (left, right) = around(padding)
    return left, right, top, bottom
