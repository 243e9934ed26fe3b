"""MLX on the CPU: its convolution and pooling layers, channels last, and its vjp. Python 3.9."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from impls.engines.calls import Array, Pair, refusing


class Mlx:
    """A namespace of the contract; MLX' pooling tells no switches, and its averages count the padding."""

    dtypes = ("float32",)
    conventions = (
        "max_takes_either_zero", "takes_any_window", "takes_any_padding", "takes_empty_image", "broadcasts_bias",
    )  # fmt: skip

    def __init__(self, variants: Sequence[str] = ()) -> None:
        import importlib.metadata

        import mlx.core
        import mlx.nn

        mlx.core.set_default_device(mlx.core.cpu)
        self.mx, self.nn, self.version = mlx.core, mlx.nn, importlib.metadata.version("mlx")
        self.name = "+".join(["mlx", *variants])

    def supports(
        self, operation: str, *, x_shape: Sequence[int], padding: Any = (0, 0), count_include_pad: bool = True, **_: Any
    ) -> str | None:
        """Return the reason why MLX has no such answer, or None."""
        if x_shape[0] == 0 and operation.endswith("_backward"):
            return "it has no gradients of an empty batch"
        return "its averages count the padding" if np.any(padding) and not count_include_pad else None

    @refusing("mlx")
    def conv2d(
        self, x: Array, w: Array, b: Array | None, *, stride: Pair, padding: Pair, dilation: Pair = (1, 1),
        groups: int = 1,
    ) -> Array:  # fmt: skip
        """conv2d: x (N, C, H, W), w (K, C/G, FH, FW), b (K,) or None -> (N, K, OH, OW)."""
        y = self._convolution(stride, padding, dilation, groups)(self._images(x), self._images(w))
        return self._back(y if b is None else y + self.mx.array(native(b)))

    @refusing("mlx")
    def conv2d_backward(
        self, x: Array, w: Array, dy: Array, *, stride: Pair, padding: Pair, dilation: Pair = (1, 1), groups: int = 1
    ) -> tuple[Array, Array, Array]:
        """The vjp of the same: dy (N, K, OH, OW) -> dx, dw, db, of the shapes of x, w and (K,)."""
        convolved = self._convolution(stride, padding, dilation, groups)
        arrays = [self._images(x), self._images(w), self.mx.zeros((len(w),))]
        _, (dx, dw, db) = self.mx.vjp(lambda x, w, b: convolved(x, w) + b, arrays, [self._images(dy)])
        return self._back(dx), self._back(dw), np.array(db)

    @refusing("mlx")
    def max_pool2d(self, x: Array, *, size: Pair, stride: Pair, padding: Pair = (0, 0)) -> tuple[Array, None]:
        """MaxPool2d: x (N, C, H, W) -> y (N, C, OH, OW), and no switches."""
        return self._back(self.nn.MaxPool2d(tuple(size), tuple(stride), tuple(padding))(self._images(x))), None

    @refusing("mlx")
    def avg_pool2d(
        self, x: Array, *, size: Pair, stride: Pair, padding: Pair = (0, 0), count_include_pad: bool = True
    ) -> Array:
        """AvgPool2d: x (N, C, H, W) -> (N, C, OH, OW)."""
        return self._back(self.nn.AvgPool2d(tuple(size), tuple(stride), tuple(padding))(self._images(x)))

    @refusing("mlx")
    def avg_pool2d_backward(
        self, dy: Array, x_shape: Sequence[int], *, size: Pair, stride: Pair, padding: Pair = (0, 0),
        count_include_pad: bool = True,
    ) -> Array:  # fmt: skip
        """The vjp of the same: dy (N, C, OH, OW) -> dx of shape x_shape."""
        average = self.nn.AvgPool2d(tuple(size), tuple(stride), tuple(padding))
        N, C, H, W = x_shape
        _, (dx,) = self.mx.vjp(average, [self.mx.zeros((N, H, W, C))], [self._images(dy)])
        return self._back(dx)

    def _convolution(self, stride: Pair, padding: Pair, dilation: Pair, groups: int) -> Callable[..., Any]:
        return lambda x, w: self.mx.conv2d(x, w, tuple(stride), tuple(padding), tuple(dilation), groups)

    def _images(self, array: Array) -> Any:
        return self.mx.array(native(array.transpose(0, 2, 3, 1)))

    def _back(self, found: Any) -> Array:
        return np.ascontiguousarray(np.array(found).transpose(0, 3, 1, 2))


def native(array: Array) -> Array:
    """Copy an array into C order and the machine's byte order."""
    return np.array(array, array.dtype.newbyteorder("="), order="C")
