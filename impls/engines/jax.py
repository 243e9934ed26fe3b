"""JAX on the CPU: convolutions and windows of XLA, their gradients by `vjp`. Python 3.9."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from impls.engines.calls import Array, Padding, Pair, around, refusing

KEPT = 25  # calls, of as many shapes, whose compiled code is kept: some megabytes each
SAME = {"same_upper": "SAME", "same_lower": "SAME_LOWER"}


class Jax:
    """A namespace of the contract; XLA's windows tell no switches, so max pooling has no gradient by them here."""

    conventions = (
        "max_takes_either_zero", "takes_any_window", "takes_any_padding", "takes_negative_padding", "takes_empty_image",
        "broadcasts_bias",
    )  # fmt: skip
    subnormals = False  # XLA has the processor take them for 0
    dtypes: tuple[str, ...] = ("float32", "float64")
    accumulator = "float32"
    options = ("asymmetric_padding", "pool_dilation", "same_padding")

    def __init__(self, variants: Sequence[str] = ()) -> None:
        import jax

        jax.config.update("jax_enable_x64", True)
        self.jax, self.version = jax, jax.__version__
        self.name = "+".join(["jax", *variants])
        self.order = ("NHWC", "HWIO", "NHWC") if "nhwc" in variants else ("NCHW", "OIHW", "NCHW")
        self.jit = (lambda function: function) if "eager" in variants else jax.jit
        self.calls, self.stored = 0, ""
        if "float16" in variants:
            self.dtypes, self.accumulator = ("float16",), "float16"  # windows are added up in their own format
        if "bfloat16" in variants:
            self.dtypes, self.storage, self.stored = ("float32",), "bfloat16", "bfloat16"
            self.accumulator = "bfloat16"

    @refusing("jax")
    def conv2d(
        self, x: Array, w: Array, b: Array | None, *, stride: Pair, padding: Padding, dilation: Pair = (1, 1),
        groups: int = 1,
    ) -> Array:  # fmt: skip
        """lax.conv_general_dilated: x (N, C, H, W), w (K, C/G, FH, FW), b (K,) or None -> (N, K, OH, OW)."""
        convolved = self._convolution(stride, padding, dilation, groups)
        arrays = [*map(self._there, (x, w) if b is None else (x, w, b))]
        return self._back(self.jit(convolved)(*arrays), x)

    @refusing("jax")
    def conv2d_backward(
        self, x: Array, w: Array, dy: Array, *, stride: Pair, padding: Padding, dilation: Pair = (1, 1), groups: int = 1
    ) -> tuple[Array, ...]:
        """The vjp of the same: dy (N, K, OH, OW) -> dx, dw, db, of the shapes of x, w and (K,)."""
        convolved = self._convolution(stride, padding, dilation, groups)
        arrays = [*map(self._there, (x, w, np.zeros(w.shape[0], w.dtype)))]
        return tuple(self._back(found, x) for found in self._pulled(convolved, arrays, dy))

    @refusing("jax")
    def max_pool2d(
        self, x: Array, *, size: Pair, stride: Pair, padding: Padding = (0, 0), dilation: Pair = (1, 1)
    ) -> tuple[Array, None]:
        """lax.reduce_window with the maximum: x (N, C, H, W) -> y (N, C, OH, OW), and no switches."""
        least = np.array(-np.inf, self._there(x).dtype)
        windows = self._windows(size, stride, padding, dilation)
        reduced = self.jit(lambda image: self.jax.lax.reduce_window(image, least, self.jax.lax.max, *windows))
        return self._back(reduced(self._there(x)), x), None

    @refusing("jax")
    def avg_pool2d(
        self, x: Array, *, size: Pair, stride: Pair, padding: Padding = (0, 0), count_include_pad: bool = True
    ) -> Array:
        """Sums of windows over the number of their cells, as flax has it: x (N, C, H, W) -> (N, C, OH, OW)."""
        averaged = self._average(size, stride, padding, count_include_pad)
        return self._back(self.jit(averaged)(self._there(x)), x)

    @refusing("jax")
    def avg_pool2d_backward(
        self, dy: Array, x_shape: Sequence[int], *, size: Pair, stride: Pair, padding: Padding = (0, 0),
        count_include_pad: bool = True,
    ) -> Array:  # fmt: skip
        """The vjp of the same: dy (N, C, OH, OW) -> dx of shape x_shape."""
        averaged = self._average(size, stride, padding, count_include_pad)
        image = self._there(np.zeros(tuple(x_shape), dy.dtype))  # whatever the image, its gradient is the same
        return self._back(self._pulled(averaged, [image], dy)[0], dy)

    @refusing("jax")
    def l2_pool2d(self, x: Array, *, size: Pair, stride: Pair, padding: Padding = (0, 0)) -> Array:
        """Roots of sums of squares: x (N, C, H, W) -> (N, C, OH, OW)."""
        return self._back(self.jit(self._norm(size, stride, padding))(self._there(x)), x)

    @refusing("jax")
    def l2_pool2d_backward(self, x: Array, dy: Array, *, size: Pair, stride: Pair, padding: Padding = (0, 0)) -> Array:
        """The vjp of the same: x (N, C, H, W), dy (N, C, OH, OW) -> dx (N, C, H, W)."""
        return self._back(self._pulled(self._norm(size, stride, padding), [self._there(x)], dy)[0], x)

    # what is differentiated

    def _convolution(self, stride: Pair, padding: Padding, dilation: Pair, groups: int) -> Callable[..., Any]:
        lax, nhwc = self.jax.lax, self.order[0] == "NHWC"

        def convolved(x: Any, w: Any, b: Any = None) -> Any:
            if nhwc:
                x, w = x.transpose(0, 2, 3, 1), w.transpose(2, 3, 1, 0)
            y = lax.conv_general_dilated(
                x, w, stride, spelled(padding), rhs_dilation=dilation, dimension_numbers=self.order,
                feature_group_count=groups,
            )  # fmt: skip
            y = y.transpose(0, 3, 1, 2) if nhwc else y
            if b is None:
                return y
            return y + lax.broadcast_in_dim(b, y.shape, (1,))

        return convolved

    def _average(self, size: Pair, stride: Pair, padding: Padding, include: bool) -> Callable[[Any], Any]:
        windows = self._windows(size, stride, padding)

        def averaged(image: Any) -> Any:
            sums = self._sums(image, windows)
            return sums / (size[0] * size[1] if include else self._sums(self.jax.numpy.ones_like(image), windows))

        return averaged

    def _norm(self, size: Pair, stride: Pair, padding: Padding) -> Callable[[Any], Any]:
        windows, jnp = self._windows(size, stride, padding), self.jax.numpy

        def norm(image: Any) -> Any:
            squares = self._sums(image * image, windows)
            # The root's gradient at 0 is infinite; a root that is not taken there is how users of JAX avoid it.
            return jnp.where(squares == 0, 0, jnp.sqrt(jnp.where(squares == 0, 1, squares)))

        return norm

    def _sums(self, image: Any, windows: tuple[Any, ...]) -> Any:
        return self.jax.lax.reduce_window(image, np.zeros((), image.dtype), self.jax.lax.add, *windows)

    def _windows(self, size: Pair, stride: Pair, padding: Padding, dilation: Pair = (1, 1)) -> tuple[Any, ...]:
        given = spelled(padding)
        sides = given if isinstance(given, str) else ((0, 0), (0, 0), *given)
        return (1, 1, *size), (1, 1, *stride), sides, None, (1, 1, *dilation)

    # arrays there and back

    def _pulled(self, function: Callable[..., Any], arrays: list[Any], dy: Array) -> Any:
        pulled = self.jit(lambda dy, *arrays: self.jax.vjp(function, *arrays)[1](dy))
        return pulled(self._there(dy), *arrays)

    def _there(self, array: Array) -> Any:
        native = array.astype(array.dtype.newbyteorder("="), order="C")  # a copy: JAX may keep the memory it is given
        return self.jax.numpy.asarray(native, self.stored or native.dtype)

    def _back(self, result: Any, like: Array) -> Array:
        self.calls += 1
        found = np.array(result, like.dtype.newbyteorder("="))
        if self.calls % KEPT == 0:
            self.jax.clear_caches()
        return found


def spelled(padding: Padding) -> Any:
    """Spell a padding as lax does."""
    return SAME[padding] if isinstance(padding, str) else around(padding)
