"""ReLU, the fully connected layer and the notes' small network agree with torch, on whole numbers exactly."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oracles import layers
from oracles.layers import Definition, Network
from properties.selfcheck import drawn


class Torch:
    """The operations of torch, as layers.Operations describes them."""

    def conv2d(self, x, w, b, *, stride, padding):  # noqa: D102
        import torch

        bias = None if b is None else torch.from_numpy(b)
        return torch.nn.functional.conv2d(torch.from_numpy(x), torch.from_numpy(w), bias, stride, padding).numpy()

    def conv2d_backward(self, x, w, dy, *, stride, padding):  # noqa: D102
        import torch

        tensors = [torch.from_numpy(array) for array in (dy, x, w)]
        found = torch.ops.aten.convolution_backward(
            *tensors, [len(w)], list(stride), list(padding), [1, 1], False, [0, 0], 1, [True] * 3
        )
        return tuple(tensor.numpy() for tensor in found)

    def max_pool2d(self, x, *, size, stride):  # noqa: D102
        import torch

        y, switches = torch.nn.functional.max_pool2d(torch.from_numpy(x), size, stride, return_indices=True)
        return y.numpy(), switches.numpy()

    def max_pool2d_backward(self, dy, switches, x_shape):  # noqa: D102
        dx = np.zeros((*x_shape[:2], x_shape[2] * x_shape[3]), dy.dtype)
        for n, c in np.ndindex(x_shape[:2]):
            np.add.at(dx[n, c], switches[n, c].ravel(), dy[n, c].ravel())
        return dx.reshape(x_shape)


@given(st.lists(st.floats(width=32), min_size=1, max_size=9))
def test_relu_keeps_what_is_positive_or_nan(values):
    """max(x, 0) for every float32, NaN and infinities included."""
    x = np.array(values, np.float32)
    assert np.array_equal(layers.relu(x), np.maximum(x, 0), equal_nan=True)


def test_relu_passes_gradients_where_its_input_is_positive():
    """Not at 0, as torch and most others have it; what is not passed is 0 even where dy is not finite."""
    x = np.array([-1.0, 0.0, 2.0, math.inf])
    assert layers.relu_backward(x, np.array([math.nan, math.inf, 3.0, 4.0])).tolist() == [0, 0, 3, 4]


@settings(max_examples=50)
@given(st.integers(0, 3), st.integers(1, 4), st.integers(1, 5), drawn.seeds)
def test_the_fully_connected_layer_equals_torch(n, m, d, seed):
    """Forward and all three gradients, on whole numbers exactly."""
    torch = pytest.importorskip("torch", reason="the oracle is held against torch here")
    x, w, b, dy = drawn.whole(seed, (n, d, 1, 2), (m, 2 * d), (m,), (n, m))
    tensors = [torch.from_numpy(array).requires_grad_() for array in (x, w, b)]
    y = torch.nn.functional.linear(tensors[0].flatten(1), tensors[1], tensors[2])
    y.backward(torch.from_numpy(dy))
    assert np.array_equal(layers.fully_connected(x, w, b), y.detach().numpy())
    for got, tensor in zip(layers.fully_connected_backward(x, w, dy), tensors, strict=True):
        assert np.array_equal(got, tensor.grad.numpy())


def test_the_network_has_the_notes_volumes():
    """CS231n: [32x32x3] - [32x32x12] - [32x32x12] - [16x16x12] - [1x1x10]."""
    network = Network(Definition())
    numbers = network.whole_numbers(np.random.default_rng(1))
    stages = network.stages(numbers["x"], numbers)
    assert {name: stage.shape for name, stage in stages.items()} == {
        "conv": (1, 12, 32, 32),
        "relu": (1, 12, 32, 32),
        "pool": (1, 12, 16, 16),
        "switches": (1, 12, 16, 16),
        "scores": (1, 10),
    }


@pytest.mark.parametrize("images", [1, 2])
def test_the_network_runs_on_an_implementation_and_gives_the_same(images):
    """With torch's convolution and pooling in place of the definitions every stage and gradient is the same number."""
    pytest.importorskip("torch", reason="torch's operations are the implementation here")
    numbers = Network(Definition()).whole_numbers(np.random.default_rng(images), images)
    assert same(*(network.stages(numbers["x"], numbers) for network in (Network(Definition()), Network(Torch()))))
    arguments = numbers["x"], numbers, numbers["dscores"]
    assert same(*(network.gradients(*arguments) for network in (Network(Definition()), Network(Torch()))))


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


def test_the_networks_gradients_are_autograds():
    """Autograd differentiates the whole network to the same whole numbers."""
    torch = pytest.importorskip("torch", reason="the oracle is held against torch here")
    network = Network(Definition(), side=8)
    numbers = network.whole_numbers(np.random.default_rng(3), 2)
    t: dict[str, Any] = {name: torch.from_numpy(array.astype(np.float64)) for name, array in numbers.items()}
    for tensor in t.values():
        tensor.requires_grad_()
    functional = torch.nn.functional
    pooled = functional.max_pool2d(functional.relu(functional.conv2d(t["x"], t["w1"], t["b1"], 1, 1)), 2)
    scores = functional.linear(pooled.flatten(1), t["w2"], t["b2"])
    (scores * t["dscores"].detach()).sum().backward()
    assert np.array_equal(network.stages(numbers["x"], numbers)["scores"], scores.detach().numpy())
    for name, gradient in network.gradients(numbers["x"], numbers, numbers["dscores"]).items():
        assert np.array_equal(gradient, t[name].grad.numpy()), name


def test_whole_numbers_stay_exact_in_float32():
    """The largest sums of the network, worked out from the largest values, fit in 24 bits."""
    conv = 27 * 3 * 3 + 3
    scores = 3072 * conv * 3 + 3
    dpool = 10 * 3 * 3
    dw1 = 2 * 1024 * 3 * dpool
    assert max(conv, scores, dw1, 2 * 3 * conv, 12 * 9 * 3 * dpool) < 2**24
    numbers = Network(Definition()).whole_numbers(np.random.default_rng(5), 2)
    assert {float(np.abs(array).max()) for array in numbers.values()} == {3.0}
