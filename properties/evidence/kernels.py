"""The operations that claims are tried on: square windows over NCHW arrays, of the definitions or an implementation."""

from __future__ import annotations

from typing import Any

import numpy as np

from oracles import conv, pool
from oracles.conv import Nested
from oracles.geometry import Axis, Geometry

Array = np.ndarray


class Kernels:
    """An implementation of the contract, called in the letters of the field."""

    def __init__(self, namespace: Any) -> None:
        self.namespace = namespace

    def conv(self, x: Array, w: Array, b: Array | None = None, S: int = 1, P: int = 0, D: int = 1, G: int = 1) -> Array:
        """Convolve: x (N, C, H, W), w (K, C/G, F, F), b (K,) -> (N, K, OH, OW)."""
        y: Array = self.namespace.conv2d(x, w, b, stride=(S, S), padding=(P, P), dilation=(D, D), groups=G)
        return y

    def gradients(
        self, x: Array, w: Array, dy: Array, S: int = 1, P: int = 0, D: int = 1
    ) -> tuple[Array, Array, Array]:
        """Give dx, dw and db of a convolution."""
        dx, dw, db = self.namespace.conv2d_backward(x, w, dy, stride=(S, S), padding=(P, P), dilation=(D, D), groups=1)
        return dx, dw, db

    def holding(self, W: int, F: int, S: int = 1, P: int = 0, D: int = 1) -> Array:
        """Count the windows that hold each cell of W x W: dx of ones under ones."""
        out = Axis(W, F, S, D, P, P).out
        x, w, dy = (np.ones((1, 1, side, side)) for side in (W, F, out))
        counts: Array = self.gradients(x, w, dy, S, P, D)[0][0, 0]
        return counts

    def max(self, x: Array, F: int, S: int, P: int = 0) -> Array:
        """Take the maximum of each window."""
        return self.switched(x, F, S, P)[0]

    def switched(self, x: Array, F: int, S: int, P: int = 0) -> tuple[Array, Array]:
        """Take the maximum of each window, and its switch."""
        y, switches = self.namespace.max_pool2d(x, size=(F, F), stride=(S, S), padding=(P, P))
        return y, switches

    def routed(self, dy: Array, switches: Array, x_shape: tuple[int, ...]) -> Array:
        """Send each dy to its switch."""
        dx: Array = self.namespace.max_pool2d_backward(dy, switches, x_shape)
        return dx

    def average(self, x: Array, F: int, S: int, P: int = 0, *, counted: bool = True) -> Array:
        """Take the mean of each window, its padding `counted` or not."""
        y: Array = self.namespace.avg_pool2d(x, size=(F, F), stride=(S, S), padding=(P, P), count_include_pad=counted)
        return y

    def l2(self, x: Array, F: int, S: int) -> Array:
        """Take the Euclidean norm of each window."""
        y: Array = self.namespace.l2_pool2d(x, size=(F, F), stride=(S, S), padding=(0, 0))
        return y


class Definitions:
    """The oracle's definitions in the dress of an implementation, in float64."""

    def conv2d(self, x: Array, w: Array, b: Array | None, **p: Any) -> Array:
        """Convolve by the definition."""
        g = geometry(x, w.shape[2:], K=len(w), **p)
        return np.array(conv.conv2d(x.tolist(), w.tolist(), [0.0] * g.K if b is None else b.tolist(), g))

    def conv2d_backward(self, x: Array, w: Array, dy: Array, **p: Any) -> tuple[Array, ...]:
        """Give dx, dw and db by the chain rule."""
        found = conv.conv2d_backward(x.tolist(), w.tolist(), dy.tolist(), geometry(x, w.shape[2:], K=len(w), **p))
        return tuple(np.array(each, np.float64) for each in found)

    def max_pool2d(self, x: Array, *, size: Any, **p: Any) -> tuple[Array, Array]:
        """Take maxima, and their switches."""
        y, switches = pool.max_pool2d(x.tolist(), geometry(x, size, **p))
        return np.array(y), np.array(switches, np.int64)

    def max_pool2d_backward(self, dy: Array, switches: Array, x_shape: tuple[int, ...]) -> Array:
        """Send each dy to its switch."""
        plane = geometry(np.empty(x_shape), (1, 1), stride=(1, 1), padding=(0, 0))
        return np.array(pool.max_pool2d_backward(dy.tolist(), switches.tolist(), plane), np.float64)

    def avg_pool2d(self, x: Array, *, size: Any, count_include_pad: bool, **p: Any) -> Array:
        """Take means."""
        g = geometry(x, size, **p)
        return np.array(pool.divided(pool.window_sums(x.tolist(), g), pool.window_counts(g, count_include_pad)))

    def l2_pool2d(self, x: Array, *, size: Any, **p: Any) -> Array:
        """Take norms."""
        squares: Nested = (x * x).tolist()
        return np.array(pool.roots(pool.window_sums(squares, geometry(x, size, **p))))


def geometry(
    x: Array, size: Any, *, stride: Any, padding: Any, dilation: Any = (1, 1), groups: int = 1, K: int = 0
) -> Geometry:
    """Describe a window operation on x (N, C, H, W)."""
    axes = [Axis(W, F, S, D, P, P) for W, F, S, D, P in zip(x.shape[2:], size, stride, dilation, padding, strict=True)]
    return Geometry(x.shape[0], x.shape[1], axes[0], axes[1], K, groups)


def whole(seed: int, *shape: int, most: int = 9) -> Array:
    """Draw odd integers up to `most`, as float64: sums of them are exact."""
    return 2.0 * np.random.default_rng(seed).integers(-(most + 1) // 2, (most + 1) // 2, shape) + 1.0
