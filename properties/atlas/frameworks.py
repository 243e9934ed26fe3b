"""How frameworks are asked: each by public functions of its own, on NCHW arrays of float32. NumPy alone beside it."""
# ruff: noqa: D102 (what each operation is, properties/atlas/questions.py says)

from __future__ import annotations

import os
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Pair = tuple[int, int]


class LackingError(Exception):
    """The engine has no such function, or not with these arguments."""


class Im2col:
    """Poolproof's own, which answers as the contract says."""

    def __init__(self) -> None:
        from impls import im2col

        self.impl = im2col

    def conv(self, x: Array, w: Array, stride: Pair, padding: Pair) -> Array:
        return self.impl.conv2d(x, w, None, stride=stride, padding=padding)

    def conv_same(self, x: Array, w: Array, stride: Pair) -> Array:
        return self.impl.conv2d(x, w, None, stride=stride, padding="same_upper")

    def max_pool(self, x: Array, size: Pair, stride: Pair, padding: Pair, ceil: bool = False) -> Array:
        return self.impl.max_pool2d(x, size=size, stride=stride, padding=padding, ceil_mode=ceil)[0]

    def switches(self, x: Array, size: Pair, stride: Pair, padding: Pair) -> Array:
        return self.impl.max_pool2d(x, size=size, stride=stride, padding=padding)[1]

    def max_gradient(self, x: Array, dy: Array, size: Pair, stride: Pair, padding: Pair) -> Array:
        return self.impl.max_pool2d_backward(dy, self.switches(x, size, stride, padding), x.shape)

    def avg_pool(self, x: Array, size: Pair, stride: Pair, padding: Pair, **asked: bool) -> Array:
        return self.impl.avg_pool2d(
            x, size=size, stride=stride, padding=padding, **renamed(asked, "ceil_mode", "count_include_pad")
        )

    def lp_pool(self, x: Array, p: int, size: Pair, stride: Pair, padding: Pair) -> Array:
        raise LackingError("p is 2 alone")

    def lp_gradient(self, x: Array, dy: Array, p: int, size: Pair, stride: Pair, padding: Pair) -> Array:
        return self.impl.l2_pool2d_backward(x, dy, size=size, stride=stride, padding=padding)


class Torch:
    """PyTorch: torch.nn.functional, and autograd."""

    def __init__(self) -> None:
        import torch

        self.torch, self.nn = torch, torch.nn.functional

    def conv(self, x: Array, w: Array, stride: Pair, padding: Any) -> Array:
        return self.nn.conv2d(self.of(x), self.of(w), None, stride, padding).numpy()

    def conv_same(self, x: Array, w: Array, stride: Pair) -> Array:
        return self.conv(x, w, stride, "same")

    def max_pool(self, x: Array, size: Pair, stride: Pair, padding: Pair, ceil: bool = False) -> Array:
        return self.nn.max_pool2d(self.of(x), size, stride, padding, ceil_mode=ceil).numpy()

    def switches(self, x: Array, size: Pair, stride: Pair, padding: Pair) -> Array:
        return self.nn.max_pool2d(self.of(x), size, stride, padding, return_indices=True)[1].numpy()

    def max_gradient(self, x: Array, dy: Array, size: Pair, stride: Pair, padding: Pair) -> Array:
        return self.pulled(lambda image: self.nn.max_pool2d(image, size, stride, padding), x, dy)

    def avg_pool(self, x: Array, size: Pair, stride: Pair, padding: Pair, **asked: bool) -> Array:
        named = renamed(asked, "ceil_mode", "count_include_pad")
        return self.nn.avg_pool2d(self.of(x), size, stride, padding, **named).numpy()

    def lp_pool(self, x: Array, p: int, size: Pair, stride: Pair, padding: Pair) -> Array:
        return self.nn.lp_pool2d(self.of(x), float(p), size, stride).numpy()

    def lp_gradient(self, x: Array, dy: Array, p: int, size: Pair, stride: Pair, padding: Pair) -> Array:
        return self.pulled(lambda image: self.nn.lp_pool2d(image, float(p), size, stride), x, dy)

    def of(self, array: Array) -> Any:
        return self.torch.from_numpy(array)

    def pulled(self, function: Any, x: Array, dy: Array) -> Array:
        image = self.of(x).requires_grad_()
        return self.torch.autograd.grad(function(image), image, self.of(dy))[0].numpy()


class Jax:
    """JAX: jax.lax, and vjp. It has neither averages nor norms nor indices, and no ceil mode."""

    def __init__(self) -> None:
        import jax

        self.jax, self.lax = jax, jax.lax

    def conv(self, x: Array, w: Array, stride: Pair, padding: Any) -> Array:
        sides = padding if isinstance(padding, str) else [(side, side) for side in padding]
        return np.asarray(self.lax.conv_general_dilated(x, w, stride, sides))

    def conv_same(self, x: Array, w: Array, stride: Pair) -> Array:
        return self.conv(x, w, stride, "SAME")

    def max_pool(self, x: Array, size: Pair, stride: Pair, padding: Pair, ceil: bool = False) -> Array:
        if ceil:
            raise LackingError("no ceil mode")
        return np.asarray(self.pooled(size, stride, padding)(self.jax.numpy.asarray(x)))

    def max_gradient(self, x: Array, dy: Array, size: Pair, stride: Pair, padding: Pair) -> Array:
        pulled = self.jax.vjp(self.pooled(size, stride, padding), self.jax.numpy.asarray(x))[1]
        return np.asarray(pulled(self.jax.numpy.asarray(dy))[0])

    def pooled(self, size: Pair, stride: Pair, padding: Pair) -> Any:
        sides = [(0, 0), (0, 0), *((side, side) for side in padding)]
        least = -np.float32(np.inf)
        return lambda image: self.lax.reduce_window(image, least, self.lax.max, (1, 1, *size), (1, 1, *stride), sides)


class TensorFlow:
    """TensorFlow: tf.nn, channels last, and the gradient tape. It has neither norms nor a ceil mode."""

    def __init__(self) -> None:
        import tensorflow

        self.tf, self.nn = tensorflow, tensorflow.nn

    def conv(self, x: Array, w: Array, stride: Pair, padding: Any) -> Array:
        sides = padding if isinstance(padding, str) else [[0, 0], *([side, side] for side in padding), [0, 0]]
        return first(self.nn.conv2d(last(x), w.transpose(2, 3, 1, 0), stride, sides))

    def conv_same(self, x: Array, w: Array, stride: Pair) -> Array:
        return self.conv(x, w, stride, "SAME")

    def max_pool(self, x: Array, size: Pair, stride: Pair, padding: Pair, ceil: bool = False) -> Array:
        if ceil:
            raise LackingError("no ceil mode")
        sides = [[0, 0], *([side, side] for side in padding), [0, 0]]
        return first(self.nn.max_pool2d(last(x), size, stride, sides if any(padding) else "VALID"))

    def switches(self, x: Array, size: Pair, stride: Pair, padding: Pair) -> Array:
        return first(self.nn.max_pool_with_argmax(last(x), size, stride, word(size, stride, padding))[1])

    def max_gradient(self, x: Array, dy: Array, size: Pair, stride: Pair, padding: Pair) -> Array:
        image = self.tf.constant(last(x))
        with self.tf.GradientTape() as tape:
            tape.watch(image)
            y = self.nn.max_pool2d(image, size, stride, word(size, stride, padding))
        return first(tape.gradient(y, image, last(dy)))

    def avg_pool(self, x: Array, size: Pair, stride: Pair, padding: Pair, **asked: bool) -> Array:
        if asked:
            raise LackingError("neither ceil mode nor a choice of the divisor")
        return first(self.nn.avg_pool2d(last(x), size, stride, word(size, stride, padding)))


class Keras:
    """Keras' operations over a back end: padding "valid" and "same", channels last; no indices, norms or ceil mode."""

    backend = ""

    def __init__(self) -> None:
        os.environ["KERAS_BACKEND"] = self.backend
        import keras

        self.ops = keras.ops

    def conv(self, x: Array, w: Array, stride: Pair, padding: Pair) -> Array:
        return self.conved(x, w, stride, word(w.shape[2:], stride, padding))

    def conv_same(self, x: Array, w: Array, stride: Pair) -> Array:
        return self.conved(x, w, stride, "same")

    def conved(self, x: Array, w: Array, stride: Pair, padding: str) -> Array:
        y = self.ops.conv(self.of(last(x)), self.of(w.transpose(2, 3, 1, 0)), stride, padding.lower(), "channels_last")
        return first(self.ops.convert_to_numpy(y))

    def max_pool(self, x: Array, size: Pair, stride: Pair, padding: Pair, ceil: bool = False) -> Array:
        if ceil:
            raise LackingError("no ceil mode")
        return self.pooled(self.ops.max_pool, x, size, stride, padding)

    def avg_pool(self, x: Array, size: Pair, stride: Pair, padding: Pair, **asked: bool) -> Array:
        if asked:
            raise LackingError("neither ceil mode nor a choice of the divisor")
        return self.pooled(self.ops.average_pool, x, size, stride, padding)

    def pooled(self, function: Any, x: Array, size: Pair, stride: Pair, padding: Pair) -> Array:
        said = word(size, stride, padding).lower()
        return first(self.ops.convert_to_numpy(function(self.of(last(x)), size, stride, said, "channels_last")))

    def of(self, array: Array) -> Any:
        return self.ops.convert_to_tensor(np.ascontiguousarray(array))


class KerasTorch(Keras):
    """Keras over torch."""

    backend = "torch"


class KerasJax(Keras):
    """Keras over JAX."""

    backend = "jax"


class KerasTensorFlow(Keras):
    """Keras over TensorFlow."""

    backend = "tensorflow"


class Paddle:
    """PaddlePaddle: paddle.nn.functional, and its gradients."""

    def __init__(self) -> None:
        import paddle

        paddle.set_device("cpu")
        self.paddle, self.nn = paddle, paddle.nn.functional

    def conv(self, x: Array, w: Array, stride: Pair, padding: Any) -> Array:
        sides = padding if isinstance(padding, str) else [*padding]
        return self.nn.conv2d(self.of(x), self.of(w), None, [*stride], sides).numpy()

    def conv_same(self, x: Array, w: Array, stride: Pair) -> Array:
        return self.conv(x, w, stride, "SAME")

    def max_pool(self, x: Array, size: Pair, stride: Pair, padding: Pair, ceil: bool = False) -> Array:
        return self.nn.max_pool2d(self.of(x), [*size], [*stride], [*padding], ceil_mode=ceil).numpy()

    def switches(self, x: Array, size: Pair, stride: Pair, padding: Pair) -> Array:
        return self.nn.max_pool2d(self.of(x), [*size], [*stride], [*padding], return_mask=True)[1].numpy()

    def max_gradient(self, x: Array, dy: Array, size: Pair, stride: Pair, padding: Pair) -> Array:
        return self.pulled(lambda image: self.nn.max_pool2d(image, [*size], [*stride], [*padding]), x, dy)

    def avg_pool(self, x: Array, size: Pair, stride: Pair, padding: Pair, **asked: bool) -> Array:
        named = renamed(asked, "ceil_mode", "exclusive")
        if "exclusive" in named:
            named["exclusive"] = not named["exclusive"]
        return self.nn.avg_pool2d(self.of(x), [*size], [*stride], [*padding], **named).numpy()

    def lp_pool(self, x: Array, p: int, size: Pair, stride: Pair, padding: Pair) -> Array:
        return self.nn.lp_pool2d(self.of(x), float(p), [*size], [*stride]).numpy()

    def lp_gradient(self, x: Array, dy: Array, p: int, size: Pair, stride: Pair, padding: Pair) -> Array:
        return self.pulled(lambda image: self.nn.lp_pool2d(image, float(p), [*size], [*stride]), x, dy)

    def of(self, array: Array) -> Any:
        return self.paddle.to_tensor(array)

    def pulled(self, function: Any, x: Array, dy: Array) -> Array:
        image = self.of(x)
        image.stop_gradient = False
        return self.paddle.grad([function(image)], [image], [self.of(dy)])[0].numpy()


class Mlx:
    """MLX: mlx.core and mlx.nn, channels last, and vjp. It has neither indices, norms, SAME nor a ceil mode."""

    def __init__(self) -> None:
        import mlx.core
        import mlx.nn

        mlx.core.set_default_device(mlx.core.cpu)
        self.mx, self.nn = mlx.core, mlx.nn

    def conv(self, x: Array, w: Array, stride: Pair, padding: Pair) -> Array:
        return first(self.mx.conv2d(self.of(x), self.of(w), stride, padding))

    def max_pool(self, x: Array, size: Pair, stride: Pair, padding: Pair, ceil: bool = False) -> Array:
        if ceil:
            raise LackingError("no ceil mode")
        return first(self.nn.MaxPool2d(size, stride, padding)(self.of(x)))

    def max_gradient(self, x: Array, dy: Array, size: Pair, stride: Pair, padding: Pair) -> Array:
        return first(self.mx.vjp(self.nn.MaxPool2d(size, stride, padding), [self.of(x)], [self.of(dy)])[1][0])

    def avg_pool(self, x: Array, size: Pair, stride: Pair, padding: Pair, **asked: bool) -> Array:
        if asked:
            raise LackingError("neither ceil mode nor a choice of the divisor")
        return first(self.nn.AvgPool2d(size, stride, padding)(self.of(x)))

    def of(self, array: Array) -> Any:
        return self.mx.array(np.ascontiguousarray(last(array)))


class TinyGrad:
    """tinygrad: methods of Tensor, on the device that needs no compiler. It has neither norms nor SAME."""

    def __init__(self) -> None:
        os.environ.setdefault("DEV", "PYTHON")
        from tinygrad import Tensor

        self.of = Tensor

    def conv(self, x: Array, w: Array, stride: Pair, padding: Pair) -> Array:
        return self.of(x).conv2d(self.of(w), stride=stride, padding=around(padding)).numpy()

    def max_pool(self, x: Array, size: Pair, stride: Pair, padding: Pair, ceil: bool = False) -> Array:
        return self.of(x).max_pool2d(size, stride, padding=around(padding), ceil_mode=ceil).numpy()

    def switches(self, x: Array, size: Pair, stride: Pair, padding: Pair) -> Array:
        return self.of(x).max_pool2d(size, stride, padding=around(padding), return_indices=True)[1].numpy()

    def max_gradient(self, x: Array, dy: Array, size: Pair, stride: Pair, padding: Pair) -> Array:
        image = self.of(x)
        return image.max_pool2d(size, stride, padding=around(padding)).gradient(image, gradient=self.of(dy))[0].numpy()

    def avg_pool(self, x: Array, size: Pair, stride: Pair, padding: Pair, **asked: bool) -> Array:
        named = renamed(asked, "ceil_mode", "count_include_pad")
        return self.of(x).avg_pool2d(size, stride, padding=around(padding), **named).numpy()


class SciPy:
    """SciPy: scipy.signal.correlate2d, plane by plane; it has no pooling, no strides, and no padding but its modes."""

    def __init__(self) -> None:
        from scipy import signal

        self.correlate = signal.correlate2d

    def conv(self, x: Array, w: Array, stride: Pair, padding: Pair) -> Array:
        if any(padding) or not len(x):
            raise LackingError("no padding by numbers, and no batch")
        return self.correlate(x[0, 0], w[0, 0], "valid")[None, None]

    def conv_same(self, x: Array, w: Array, stride: Pair) -> Array:
        if max(stride) > 1:
            raise LackingError("no strides")
        return self.correlate(x[0, 0], w[0, 0], "same")[None, None]


def renamed(asked: dict[str, bool], ceil: str, include: str) -> dict[str, bool]:
    """The keywords `ceil` and `include` as an engine calls them; what is not asked stays the engine's own default."""
    return {{"ceil": ceil, "include": include}[name]: value for name, value in asked.items()}


def word(size: Any, stride: Pair, padding: Pair) -> str:
    """VALID, or SAME where it pads by as much, for functions that take no numbers. Raises LackingError."""
    if not any(padding):
        return "VALID"
    if all(S == 1 and 2 * P == F - 1 for F, S, P in zip(size, stride, padding, strict=True)):
        return "SAME"
    raise LackingError("no padding but SAME")


def around(padding: Pair) -> tuple[int, int, int, int]:
    """The four sides as (left, right, top, bottom)."""
    return padding[1], padding[1], padding[0], padding[0]


def last(array: Array) -> Array:
    """NCHW -> NHWC."""
    return array.transpose(0, 2, 3, 1)


def first(tensor: Any) -> Array:
    """NHWC -> NCHW."""
    return np.asarray(tensor).transpose(0, 3, 1, 2)
