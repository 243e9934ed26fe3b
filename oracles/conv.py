"""Convolution and its gradients by definition, in plain nested loops over nested lists.

What the field calls convolution is a cross-correlation: the filter is not flipped. The numbers may be Python ints
(the result is then exact) or floats. A tap in the padding is left out: it adds nothing.
"""

from __future__ import annotations

from typing import Any

from oracles.geometry import Geometry

Nested = list[Any]


def conv2d(x: Nested, w: Nested, b: Nested, g: Geometry) -> Nested:
    """x (N, C, H, W), w (K, C/G, FH, FW), b (K,) -> y (N, K, OH, OW).

    Source: CS231n, "Convolutional Layer": V[i, j, k] = sum(window * filter k) + bias k; ONNX Conv-11 for groups.
    """
    channels, filters = g.C // g.G, g.K // g.G
    y = []
    for n in range(g.N):
        image = []
        for k in range(g.K):
            first = k // filters * channels  # the first channel of this filter's group
            plane = []
            for rows in g.vertical.windows:
                line = []
                for columns in g.horizontal.windows:
                    total = b[k]
                    for c in range(channels):
                        for fy, iy in rows:
                            pixels, weights = x[n][first + c][iy], w[k][c][fy]
                            for fx, ix in columns:
                                total += pixels[ix] * weights[fx]
                    line.append(total)
                plane.append(line)
            image.append(plane)
        y.append(image)
    return y


def conv2d_backward(x: Nested, w: Nested, dy: Nested, g: Geometry) -> tuple[Nested, Nested, Nested]:
    """x (N, C, H, W), w (K, C/G, FH, FW), dy (N, K, OH, OW) -> dx like x, dw like w, db (K,).

    Every product x*w that was added to y sends dy back to both of its factors.
    Source: the chain rule; CS231n, "Convolutional Layer", Backpropagation.
    """
    channels, filters = g.C // g.G, g.K // g.G
    dx, dw, db = zeros(g.x_shape), zeros(g.w_shape), zeros((g.K,))
    for n in range(g.N):
        for k in range(g.K):
            first = k // filters * channels
            for oy, rows in enumerate(g.vertical.windows):
                for ox, columns in enumerate(g.horizontal.windows):
                    d = dy[n][k][oy][ox]
                    db[k] += d
                    for c in range(channels):
                        for fy, iy in rows:
                            pixels, weights = x[n][first + c][iy], w[k][c][fy]
                            to_pixels, to_weights = dx[n][first + c][iy], dw[k][c][fy]
                            for fx, ix in columns:
                                to_pixels[ix] += d * weights[fx]
                                to_weights[fx] += d * pixels[ix]
    return dx, dw, db


def zeros(shape: tuple[int, ...]) -> Nested:
    """Nested lists of the integer 0, which adds to ints and floats alike."""
    if len(shape) == 1:
        return [0] * shape[0]
    return [zeros(shape[1:]) for _ in range(shape[0])]
