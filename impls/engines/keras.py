"""Keras' operations, over the back end that is named: torch or jax. Python 3.9."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from impls.engines.calls import Array, Padding, Pair, refusing


class Keras:
    """A namespace of the contract; Keras pads by "valid" and "same" alone, and its averages leave padding out."""

    limits: ClassVar[dict[str, list[int]]] = {"P": [0]}
    options = ("same_padding",)

    def __init__(self, backend: str, variants: Sequence[str] = ()) -> None:
        os.environ["KERAS_BACKEND"] = backend  # which is read at import
        os.environ.setdefault("KERAS_HOME", os.devnull)  # and a file of settings with it
        if backend == "jax":
            import jax

            jax.config.update("jax_enable_x64", True)
        import keras

        self.keras, self.version = keras, keras.__version__
        self.name = "+".join([f"keras-{backend}", *variants])
        self.subnormals = backend != "jax"
        if backend == "jax":
            self.conventions = ("max_takes_either_zero", "takes_any_window", "takes_any_padding", "takes_empty_image")
        self.last = "channels-last" in variants

    def supports(
        self, operation: str, *, padding: Any = (0, 0), count_include_pad: bool = True, **_: Any
    ) -> str | None:
        """Return the reason why Keras has no such call, or None."""
        if padding == "same_lower":
            return "its same puts an odd cell after the image"
        if padding == "same_upper" and operation.startswith("avg") and count_include_pad:
            return "its averages leave padding out"
        return None

    @refusing("keras")
    def conv2d(
        self, x: Array, w: Array, b: Array | None, *, stride: Pair, padding: Padding, dilation: Pair = (1, 1),
        groups: int = 1,
    ) -> Array:  # fmt: skip
        """ops.conv: x (N, C, H, W), w (K, C/G, FH, FW), b (K,) or None -> (N, K, OH, OW)."""
        filters = self._there(w.transpose(2, 3, 1, 0))
        y = self.keras.ops.conv(
            self._images(x), filters, tuple(stride), spelled(padding), self._format(), tuple(dilation)
        )
        if b is not None:
            y = self.keras.ops.add(y, self._there(b if self.last else b[:, None, None]))
        return self._back(y)

    @refusing("keras")
    def max_pool2d(self, x: Array, *, size: Pair, stride: Pair, padding: Padding = (0, 0)) -> tuple[Array, None]:
        """ops.max_pool: x (N, C, H, W) -> y (N, C, OH, OW), and no switches."""
        found = self.keras.ops.max_pool(self._images(x), tuple(size), tuple(stride), spelled(padding), self._format())
        return self._back(found), None

    @refusing("keras")
    def avg_pool2d(
        self, x: Array, *, size: Pair, stride: Pair, padding: Padding = (0, 0), count_include_pad: bool = True
    ) -> Array:
        """ops.average_pool: x (N, C, H, W) -> (N, C, OH, OW)."""
        return self._back(
            self.keras.ops.average_pool(self._images(x), tuple(size), tuple(stride), spelled(padding), self._format())
        )

    def _format(self) -> str:
        return "channels_last" if self.last else "channels_first"

    def _there(self, array: Array) -> Any:
        native = np.array(array, array.dtype.newbyteorder("="), order="C")
        return self.keras.ops.convert_to_tensor(native, native.dtype.name)

    def _images(self, array: Array) -> Any:
        return self._there(array.transpose(0, 2, 3, 1) if self.last else array)

    def _back(self, tensor: Any) -> Array:
        found = np.array(self.keras.ops.convert_to_numpy(tensor))
        return np.ascontiguousarray(found.transpose(0, 3, 1, 2)) if self.last else found


def spelled(padding: Padding) -> str:
    """Spell a padding as Keras does. Raises ValueError for one that it has no word for."""
    if not isinstance(padding, str) and np.any(padding):
        raise ValueError(f"padding {padding}: (0, 0) and same_upper are accepted")
    return "same" if isinstance(padding, str) else "valid"
