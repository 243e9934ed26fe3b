"""TensorFlow on the CPU: tf.nn, channels last, and its gradient tape. Python 3.9."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from impls.engines.calls import Array, Padding, Pair, around, refusing

KEPT = 256  # layers, each of its own stride, padding and dilation


class TensorFlow:
    """A namespace of the contract; on the CPU its kernels know channels last alone, its averages no padding but SAME.

    Of max pooling's two functions one tells switches, and takes no padding of its own: the variant argmax.
    """

    dtypes: tuple[str, ...] = ("float32", "float64")
    accumulator = "float32"
    subnormals = False
    options = ("asymmetric_padding", "same_padding")

    def __init__(self, variants: Sequence[str] = ()) -> None:
        import tensorflow

        self.tf, self.version = tensorflow, tensorflow.__version__
        self.name = "+".join(["tensorflow", *variants])
        self.argmax, self.stored = "argmax" in variants, ""
        nan = "max_keeps_first_nan" if self.argmax else "max_drops_nan"
        self.conventions = (nan, "takes_any_window", "takes_any_padding", "takes_empty_image")
        tensorflow.config.threading.set_intra_op_parallelism_threads(1)
        # Windows and biases are added up in the format of what is added.
        if "float16" in variants:
            self.dtypes, self.accumulator = ("float16",), "float16"
        if "bfloat16" in variants:
            self.dtypes, self.storage, self.stored = ("float32",), "bfloat16", "bfloat16"
            self.accumulator = "bfloat16"
        self.layer = lru_cache(KEPT)(self._layer)
        if "graph" in variants:
            self.traced: Callable[..., Any] = tensorflow.function
        else:
            self.traced = lambda function: function

    def supports(
        self, operation: str, *, x_shape: Sequence[int], padding: Any = (0, 0), count_include_pad: bool = True,
        dilation: Pair = (1, 1), groups: int = 1, **_: Any,
    ) -> str | None:  # fmt: skip
        """Return the reason why TensorFlow has no such call, or None."""
        if padding == "same_lower":
            return "its SAME puts an odd cell after the image"
        if operation == "conv2d_backward" and (groups > 1 or max(dilation) > 1):
            return "on the CPU it has no gradients of convolutions with groups or dilation"
        if operation == "max_pool2d" and self.argmax and not x_shape[0]:
            return "its max pooling with argmax takes no empty batch"
        if operation.startswith("conv"):
            return None if x_shape[0] else "its convolution of an empty batch has another shape"
        if padding == "same_upper":
            return (
                "its averages leave SAME's padding out" if operation.startswith("avg") and count_include_pad else None
            )
        bare = operation.startswith("avg") or self.argmax
        return "it takes no padding but SAME here" if bare and np.any(padding) else None

    @refusing("tensorflow")
    def conv2d(
        self, x: Array, w: Array, b: Array | None, *, stride: Pair, padding: Padding, dilation: Pair = (1, 1),
        groups: int = 1,
    ) -> Array:  # fmt: skip
        """tf.nn.conv2d: x (N, C, H, W), w (K, C/G, FH, FW), b (K,) or None -> (N, K, OH, OW)."""
        convolved = self._convolution(stride, padding, dilation)
        y = convolved(self._images(x), self._filters(w))
        return self._back(y if b is None else self.tf.nn.bias_add(y, self._there(b)), x)

    @refusing("tensorflow")
    def conv2d_backward(
        self, x: Array, w: Array, dy: Array, *, stride: Pair, padding: Padding, dilation: Pair = (1, 1), groups: int = 1
    ) -> tuple[Array, Array, Array]:
        """The tape's gradients: dy (N, K, OH, OW) -> dx, dw, db, of the shapes of x, w and (K,)."""
        convolved = self._convolution(stride, padding, dilation)
        arrays = [self._images(x), self._filters(w), self._there(np.zeros(len(w), w.dtype))]
        dx, dw, db = self._pulled(lambda x, w, b: self.tf.nn.bias_add(convolved(x, w), b), arrays, dy)
        filters = self.tf.transpose(dw, (3, 2, 0, 1))
        return self._back(dx, x), self._numbers(filters, w), self._numbers(db, w)

    @refusing("tensorflow")
    def max_pool2d(
        self, x: Array, *, size: Pair, stride: Pair, padding: Padding = (0, 0)
    ) -> tuple[Array, Array | None]:
        """tf.nn.max_pool2d, or max_pool_with_argmax: x (N, C, H, W) -> y, switches (N, C, OH, OW)."""
        if not self.argmax:
            return self._back(self.tf.nn.max_pool2d(self._images(x), size, stride, spelled(padding)), x), None
        y, cells = self.tf.nn.max_pool_with_argmax(self._images(x), size, stride, word_for(padding))
        return self._back(y, x), self._back(cells // x.shape[1], cells.numpy())  # it numbers (row, column, channel)

    @refusing("tensorflow")
    def avg_pool2d(
        self, x: Array, *, size: Pair, stride: Pair, padding: Padding = (0, 0), count_include_pad: bool = True
    ) -> Array:
        """tf.nn.avg_pool2d: x (N, C, H, W) -> (N, C, OH, OW)."""
        return self._back(self._average(size, stride, padding)(self._images(x)), x)

    @refusing("tensorflow")
    def avg_pool2d_backward(
        self, dy: Array, x_shape: Sequence[int], *, size: Pair, stride: Pair, padding: Padding = (0, 0),
        count_include_pad: bool = True,
    ) -> Array:  # fmt: skip
        """The tape's gradient: dy (N, C, OH, OW) -> dx of shape x_shape."""
        image = self._images(np.zeros(tuple(x_shape), dy.dtype))
        return self._back(self._pulled(self._average(size, stride, padding), [image], dy)[0], dy)

    # what is differentiated

    def _convolution(self, stride: Pair, padding: Padding, dilation: Pair) -> Callable[..., Any]:
        return self.layer("conv2d", fixed(stride), fixed(spelled(padding)), dilations=fixed(dilation))

    def _average(self, size: Pair, stride: Pair, padding: Padding) -> Callable[[Any], Any]:
        return self.layer("avg_pool2d", fixed(size), fixed(stride), word_for(padding))

    def _layer(self, operation: str, *numbers: Any, **more: Any) -> Callable[..., Any]:
        """Make a layer as a network has it: a graph is traced once, and would not be given back."""
        function = getattr(self.tf.nn, operation)
        return self.traced(lambda *arrays: function(*arrays, *numbers, **more))

    def _pulled(self, function: Callable[..., Any], arrays: list[Any], dy: Array) -> Any:
        with self.tf.GradientTape() as tape:
            for array in arrays:
                tape.watch(array)
            y = function(*arrays)
        return tape.gradient(y, arrays, output_gradients=self._images(dy))

    # arrays there and back

    def _there(self, array: Array) -> Any:
        native = np.ascontiguousarray(array, array.dtype.newbyteorder("="))
        tensor = self.tf.constant(native)
        return self.tf.cast(tensor, self.stored) if self.stored else tensor

    def _images(self, array: Array) -> Any:
        return self._there(array.transpose(0, 2, 3, 1))

    def _filters(self, array: Array) -> Any:
        return self._there(array.transpose(2, 3, 1, 0))

    def _numbers(self, tensor: Any, like: Array) -> Array:
        return np.array(tensor, like.dtype.newbyteorder("="))

    def _back(self, tensor: Any, like: Array) -> Array:
        return self._numbers(self.tf.transpose(tensor, (0, 3, 1, 2)), like)


def fixed(value: Any) -> Any:
    """Make tuples of lists, which can be a key."""
    return tuple(map(fixed, value)) if isinstance(value, (list, tuple)) else value


def spelled(padding: Padding) -> Any:
    """Spell a padding as tf.nn does."""
    return "SAME" if isinstance(padding, str) else [[0, 0], *([*sides] for sides in around(padding)), [0, 0]]


def word_for(padding: Padding) -> str:
    """Spell a padding as those of tf.nn that take no numbers. Raises ValueError for one that they have no word for."""
    if not isinstance(padding, str) and np.any(padding):
        raise ValueError(f"padding {padding}: no padding and same_upper are accepted here")
    return "SAME" if isinstance(padding, str) else "VALID"
