"""The convolution by definition agrees with scipy, with numerical differentiation and with worked examples."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from oracles import conv
from oracles.geometry import Axis, Geometry
from properties.selfcheck import drawn

CS231N = Axis(5, 3, stride=2, pad_before=1, pad_after=1)


def forward(x: np.ndarray, w: np.ndarray, b: np.ndarray, g: Geometry) -> np.ndarray:
    return np.array(conv.conv2d(x.tolist(), w.tolist(), b.tolist(), g)).reshape(g.y_shape)


def backward(x: np.ndarray, w: np.ndarray, dy: np.ndarray, g: Geometry) -> list[np.ndarray]:
    found = conv.conv2d_backward(x.tolist(), w.tolist(), dy.tolist(), g)
    return [
        np.array(part, float).reshape(shape) for part, shape in zip(found, (g.x_shape, g.w_shape, (g.K,)), strict=True)
    ]


@settings(max_examples=25)
@given(drawn.convolutions(), drawn.seeds)
def test_the_gradients_are_those_of_the_forward_definition(g, seed):
    """gradcheck: differences of the oracle's own forward give the oracle's own gradients."""
    torch = pytest.importorskip("torch", reason="gradcheck is torch's")

    class Convolution(torch.autograd.Function):
        @staticmethod
        def forward(context, x, w, b):
            context.save_for_backward(x, w)
            return torch.from_numpy(forward(x.detach().numpy(), w.detach().numpy(), b.detach().numpy(), g))

        @staticmethod
        def backward(context, dy):
            x, w = context.saved_tensors
            return tuple(map(torch.from_numpy, backward(x.detach().numpy(), w.detach().numpy(), dy.numpy(), g)))

    rng = np.random.default_rng(seed)
    g = Geometry(1, g.C, g.vertical, g.horizontal, g.K, g.G)
    inputs = [torch.from_numpy(rng.standard_normal(s)).requires_grad_() for s in (g.x_shape, g.w_shape, (g.K,))]
    assert torch.autograd.gradcheck(Convolution.apply, inputs)


@settings(max_examples=100)
@given(drawn.axes(dilations=1), drawn.axes(dilations=1), drawn.seeds)
def test_one_channel_equals_scipys_correlation(vertical, horizontal, seed):
    """Strides pick from the full correlation; nothing is flipped."""
    signal = pytest.importorskip("scipy.signal", reason="the oracle is held against scipy here")
    g = Geometry(1, 1, vertical, horizontal, 1)
    x, w = drawn.whole(seed, g.x_shape, g.w_shape)
    sides = [(axis.pad_before, axis.pad_after) for axis in (vertical, horizontal)]
    full = signal.correlate(np.pad(x[0, 0], sides), w[0, 0], mode="valid", method="direct")
    assert np.array_equal(forward(x, w, np.zeros(1), g)[0, 0], full[:: vertical.stride, :: horizontal.stride])


@settings(max_examples=50)
@given(drawn.convolutions(), drawn.seeds)
def test_python_ints_of_any_size_and_floats_give_the_same(g, seed):
    """The loops do not care what numbers they add: ints scaled by 2**100 give the floats' result times 2**200."""
    x, w, b = drawn.whole(seed, g.x_shape, g.w_shape, (g.K,))
    x_ints, w_ints = ((array.astype(int).astype(object) * 2**100).tolist() for array in (x, w))
    b_ints = [int(value) << 200 for value in b]
    got = np.array(conv.conv2d(x_ints, w_ints, b_ints, g), object).reshape(g.y_shape)
    assert (got == forward(x, w, b, g).astype(int).astype(object) * 2**200).all()


@pytest.mark.parametrize(
    ("axis", "want"),
    [
        (Axis(5, 3, stride=1, pad_before=1, pad_after=1), [-2, 2, 1, 2, 1]),
        (Axis(5, 3, stride=2, pad_before=1, pad_after=1), [-2, 1, 1]),
    ],
)
def test_the_notes_row_of_neurons(axis, want):
    """CS231n, "Spatial arrangement": x = [1, 2, -1, 1, -3] and weights [1, 0, -1] give the yellow neurons."""
    g = Geometry(1, 1, Axis(1, 1), axis, 1)
    x, w = np.array([1.0, 2, -1, 1, -3]).reshape(g.x_shape), np.array([1.0, 0, -1]).reshape(g.w_shape)
    assert forward(x, w, np.zeros(1), g).ravel().tolist() == want


def test_the_notes_activation_maps():
    """CS231n, "Numpy examples": V[2, 3, 1] = sum(X[4:9, 6:11, :] * W1) + b1, and the others listed there."""
    rng = np.random.default_rng(231)
    X = rng.integers(-9, 10, (11, 11, 4)).astype(float)  # (x, y, depth), as the notes index
    W0, W1 = rng.integers(-9, 10, (2, 5, 5, 4)).astype(float)
    b0, b1 = 3.0, -5.0
    g = Geometry(1, 4, Axis(11, 5, stride=2), Axis(11, 5, stride=2), 2)
    x = X.transpose(2, 0, 1)[None]  # the notes' first index is taken for the row here
    w = np.stack([W0, W1]).transpose(0, 3, 1, 2)
    y = forward(x, w, np.array([b0, b1]), g)[0]
    assert y.shape == (2, 4, 4)
    for i in range(4):
        assert y[0, i, 0] == np.sum(X[2 * i : 2 * i + 5, :5, :] * W0) + b0
        assert y[1, i, 0] == np.sum(X[2 * i : 2 * i + 5, :5, :] * W1) + b1
    assert y[1, 0, 1] == np.sum(X[:5, 2:7, :] * W1) + b1
    assert y[1, 2, 3] == np.sum(X[4:9, 6:11, :] * W1) + b1


def test_the_notes_1x1_convolution_is_a_dot_product_over_depth():
    """CS231n, "1x1 convolution": every output is a dot product of the filter with a depth column."""
    g = Geometry(2, 3, Axis(4, 1), Axis(5, 1), 2)
    x, w, b = drawn.whole(1, g.x_shape, g.w_shape, (g.K,))
    want = np.tensordot(x, w[:, :, 0, 0], (1, 1)).transpose(0, 3, 1, 2) + b[:, None, None]
    assert np.array_equal(forward(x, w, b, g), want)


def test_the_notes_dilated_filter_reads_every_second_cell():
    """CS231n, "Dilated convolutions": with dilation 2, w[0]*x[0] + w[1]*x[2] + w[2]*x[4]."""
    g = Geometry(1, 1, Axis(1, 1), Axis(5, 3, dilation=2), 1)
    x, w = drawn.whole(2, g.x_shape, g.w_shape)
    (a, _, b, _, c), (p, q, r) = x.ravel(), w.ravel()
    assert forward(x, w, np.zeros(1), g).item() == a * p + b * q + c * r


def test_an_empty_batch_has_zero_weight_gradients():
    """No image, no gradient: dx is empty, dw and db are zeros."""
    g = Geometry(0, 2, CS231N, CS231N, 4, 2)
    dx, dw, db = backward(np.zeros(g.x_shape), np.ones(g.w_shape), np.zeros(g.y_shape), g)
    assert dx.shape == (0, 2, 5, 5)
    assert not dw.any()
    assert not db.any()
