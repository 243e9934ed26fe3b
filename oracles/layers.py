"""ReLU, the fully connected layer, and the small network of the notes, composed of the definitions.

The network is the simple ConvNet for CIFAR-10 of CS231n, "Architecture Overview": INPUT - CONV - RELU - POOL - FC,
32x32x3 - 32x32x12 - 32x32x12 - 16x16x12 - 1x1x10. Its convolution and its pooling are arguments: those of Definition
below, or any implementation's, whose signatures are the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from oracles import conv, pool
from oracles.conv import Nested
from oracles.geometry import Axis, Geometry

Pair = tuple[int, int]


class Operations(Protocol):
    """What the network asks of an implementation; arrays are NCHW, pairs (vertical, horizontal)."""

    def conv2d(self, x: np.ndarray, w: np.ndarray, b: np.ndarray | None, *, stride: Pair, padding: Pair) -> np.ndarray:
        """Convolve: x (N, C, H, W), w (K, C, FH, FW), b (K,) -> y (N, K, OH, OW)."""
        ...

    def conv2d_backward(
        self, x: np.ndarray, w: np.ndarray, dy: np.ndarray, *, stride: Pair, padding: Pair
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Give the gradients: x, w, dy (N, K, OH, OW) -> dx, dw, db."""
        ...

    def max_pool2d(self, x: np.ndarray, *, size: Pair, stride: Pair) -> tuple[np.ndarray, np.ndarray]:
        """Pool: x (N, C, H, W) -> y and switches (N, C, OH, OW)."""
        ...

    def max_pool2d_backward(
        self, dy: np.ndarray, switches: np.ndarray, x_shape: tuple[int, int, int, int]
    ) -> np.ndarray:
        """Send dy back: dy and switches (N, C, OH, OW) -> dx of x_shape."""
        ...


class Definition:
    """The definitions in the dress of an implementation: arrays in, arrays out. Sums are made in float64."""

    def conv2d(self, x: np.ndarray, w: np.ndarray, b: np.ndarray | None, *, stride: Pair, padding: Pair) -> np.ndarray:
        """Convolve: x (N, C, H, W), w (K, C, FH, FW), b (K,) or None -> y (N, K, OH, OW)."""
        g = _geometry(x.shape, w.shape[2:], stride, padding, w.shape[0])
        bias = np.zeros(g.K) if b is None else b
        return _array(conv.conv2d(_nested(x), _nested(w), _nested(bias), g), x)

    def conv2d_backward(
        self, x: np.ndarray, w: np.ndarray, dy: np.ndarray, *, stride: Pair, padding: Pair
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Give the gradients: x (N, C, H, W), w (K, C, FH, FW), dy (N, K, OH, OW) -> dx like x, dw like w, db (K,)."""
        g = _geometry(x.shape, w.shape[2:], stride, padding, w.shape[0])
        dx, dw, db = conv.conv2d_backward(_nested(x), _nested(w), _nested(dy), g)
        return _array(dx, x), _array(dw, x), _array(db, x)

    def max_pool2d(self, x: np.ndarray, *, size: Pair, stride: Pair) -> tuple[np.ndarray, np.ndarray]:
        """Pool: x (N, C, H, W) -> y and switches (N, C, OH, OW)."""
        y, switches = pool.max_pool2d(_nested(x), _geometry(x.shape, size, stride, (0, 0), 0))
        return _array(y, x), np.array(switches, np.int64)

    def max_pool2d_backward(
        self, dy: np.ndarray, switches: np.ndarray, x_shape: tuple[int, int, int, int]
    ) -> np.ndarray:
        """Add each dy to the cell its switch names: dy and switches (N, C, OH, OW) -> dx of x_shape."""
        plane = _geometry(x_shape, (1, 1), (1, 1), (0, 0), 0)  # only the image's size matters
        return _array(pool.max_pool2d_backward(_nested(dy), switches.tolist(), plane), dy)


def relu(x: np.ndarray) -> np.ndarray:
    """Take max(x, 0) of every element; a NaN stays. Source: CS231n, "ReLU layer"."""
    return _array([value if value > 0 or value != value else 0.0 for value in _flat(x)], x).reshape(x.shape)


def relu_backward(x: np.ndarray, dy: np.ndarray) -> np.ndarray:
    """Pass dy on where x > 0, and 0 elsewhere, at x = 0 too."""
    pairs = zip(_flat(x), _flat(dy), strict=True)
    return _array([d if value > 0 else 0.0 for value, d in pairs], dy).reshape(x.shape)


def fully_connected(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Add up w[m] * x[n] and b[m]: x (N, ...) with D values an image, w (M, D), b (M,) -> y (N, M)."""
    rows, weights, bias = _nested(x.reshape(len(x), w.shape[1])), _nested(w), _nested(b)
    found = []
    for row in rows:
        line = []
        for m, of_output in enumerate(weights):
            total = bias[m]
            for value, weight in zip(row, of_output, strict=True):
                total += value * weight
            line.append(total)
        found.append(line)
    return _array(found, x).reshape(len(x), len(b))


def fully_connected_backward(x: np.ndarray, w: np.ndarray, dy: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give the gradients: x (N, ...), w (M, D), dy (N, M) -> dx like x, dw like w, db (M,)."""
    rows, weights, sent = _nested(x.reshape(len(x), w.shape[1])), _nested(w), _nested(dy)
    dx, dw, db = conv.zeros((len(x), w.shape[1])), conv.zeros(w.shape), [0.0] * len(w)
    for n, row in enumerate(rows):
        for m, of_output in enumerate(weights):
            d = sent[n][m]
            db[m] += d
            to_row, to_weights = dx[n], dw[m]
            for i, (value, weight) in enumerate(zip(row, of_output, strict=True)):
                to_row[i] += d * weight
                to_weights[i] += d * value
    return _array(dx, x).reshape(x.shape), _array(dw, x), _array(db, x)


@dataclass(frozen=True)
class Network:
    """CONV - RELU - POOL - FC with these operations.

    The parameters are w1 (12, 3, 3, 3), b1 (12,), w2 (10, 3072) and b2 (10,).
    """

    operations: Operations
    filters: int = 12
    classes: int = 10
    side: int = 32

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The parameters by name."""
        features = self.filters * (self.side // 2) ** 2
        first = {"w1": (self.filters, 3, 3, 3), "b1": (self.filters,)}
        return {**first, "w2": (self.classes, features), "b2": (self.classes,)}

    def whole_numbers(self, rng: np.random.Generator, images: int = 1, most: int = 3) -> dict[str, np.ndarray]:
        """Draw x, dscores and parameters as odd integers up to `most`, float32.

        With most = 3 every sum, 3072 * (27 * 9 + 3) * 3 + 3 the greatest, fits 24 bits and so comes out exactly.
        """
        shapes = self.shapes | {"x": (images, 3, self.side, self.side), "dscores": (images, self.classes)}
        half = (most + 1) // 2
        return {name: (2 * rng.integers(-half, half, shape) + 1).astype(np.float32) for name, shape in shapes.items()}

    def stages(self, x: np.ndarray, parameters: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run: x (N, 3, 32, 32) -> conv, relu (N, 12, 32, 32), pool and switches (N, 12, 16, 16), scores (N, 10)."""
        found = {"conv": self.operations.conv2d(x, parameters["w1"], parameters["b1"], stride=(1, 1), padding=(1, 1))}
        found["relu"] = relu(found["conv"])
        found["pool"], found["switches"] = self.operations.max_pool2d(found["relu"], size=(2, 2), stride=(2, 2))
        found["scores"] = fully_connected(found["pool"], parameters["w2"], parameters["b2"])
        return found

    def gradients(
        self, x: np.ndarray, parameters: Mapping[str, np.ndarray], dscores: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Give the gradients of sum(scores * dscores) with respect to x (N, 3, 32, 32), w1, b1, w2 and b2, by name."""
        stages = self.stages(x, parameters)
        dpool, dw2, db2 = fully_connected_backward(stages["pool"], parameters["w2"], dscores)
        n, c, h, w = stages["relu"].shape
        drelu = self.operations.max_pool2d_backward(dpool, stages["switches"], (n, c, h, w))
        dconv = relu_backward(stages["conv"], drelu)
        dx, dw1, db1 = self.operations.conv2d_backward(x, parameters["w1"], dconv, stride=(1, 1), padding=(1, 1))
        return {"x": dx, "w1": dw1, "b1": db1, "w2": dw2, "b2": db2}


def _geometry(x_shape: tuple[int, ...], size: Pair | tuple[int, ...], stride: Pair, padding: Pair, k: int) -> Geometry:
    n, c, *sides = x_shape
    axes = [
        Axis(side, extent, step, 1, pad, pad)
        for side, extent, step, pad in zip(sides, size, stride, padding, strict=True)
    ]
    return Geometry(n, c, axes[0], axes[1], k)


def _nested(array: np.ndarray) -> Nested:
    return list(array.astype(np.float64).tolist())


def _flat(array: np.ndarray) -> list[float]:
    return list(array.astype(np.float64).ravel().tolist())


def _array(numbers: Any, like: np.ndarray) -> np.ndarray:
    """Nested lists as an array of the dtype of another."""
    return np.array(numbers, np.float64).astype(like.dtype)
