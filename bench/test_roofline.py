"""What this machine can do at most, in the same run: a matrix product and a copy; the GPU's too, if it is used."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from bench import clock
from bench.gate import Judged
from bench.record import Entry
from impls import registry

EXPERIMENTS = {"test_matrix_product": "roofline", "test_copy": "roofline"}

SIDES = (256, 512, 1024, 2048)
SIZES = {"256KB": 2**18, "4MB": 2**22, "64MB": 2**26, "256MB": 2**28}  # on both sides of what caches hold
FAST = 1e-3  # seconds; the rounds follow from the warm-up


@pytest.fixture(params=["numpy", "gpu"])
def arrays(request, subjects):
    """Make arrays of NumPy, or of torch on the GPU."""
    if request.param == "numpy":
        return Arrays()
    on_gpu = {entry.name for entry in registry.entries() if entry.gpu}
    if clock.gpu() is None or not any(spec.partition("+")[0].partition("@")[0] in on_gpu for spec in subjects):
        pytest.skip("no implementation of this run computes on a GPU")
    clock.gpu().init()
    return TorchArrays(sys.modules["torch"])


class Arrays:
    """Arrays of NumPy."""

    name, device = "numpy", "cpu"

    def random(self, *shape):
        """Draw normal numbers."""
        return np.random.default_rng(1).standard_normal(shape, np.float32)

    def full(self, count, value):
        """Fill an array with one number, so that it has memory of its own."""
        return np.full(count, value, np.float32)

    def product(self, left, right, out):
        """Multiply matrices."""
        np.matmul(left, right, out=out)

    def copy(self, target, source):
        """Copy into an array that is there."""
        np.copyto(target, source)

    def numpy(self, array):
        """Give an array of NumPy, in float64."""
        return np.asarray(array, np.float64)


class TorchArrays(Arrays):
    """Tensors on the GPU."""

    name = "torch"

    def __init__(self, torch):
        self.torch, self.device = torch, clock.device()

    def random(self, *shape):
        """Draw normal numbers."""
        return self.torch.from_numpy(super().random(*shape)).to("cuda")

    def full(self, count, value):
        """Fill a tensor with one number."""
        return self.torch.full((count,), value, device="cuda")

    def product(self, left, right, out):
        """Multiply matrices."""
        self.torch.matmul(left, right, out=out)

    def copy(self, target, source):
        """Copy into a tensor that is there."""
        target.copy_(source)

    def numpy(self, array):
        """Give an array of NumPy, in float64."""
        return super().numpy(array.cpu().numpy())


@pytest.mark.parametrize("side", SIDES)
def test_matrix_product(benchmark, keeper, arrays, side):
    """Multiply square matrices of float32."""
    left, right, product = arrays.random(side, side), arrays.random(side, side), arrays.random(side, side)

    def call():
        arrays.product(left, right, product)

    call()
    probe = np.random.default_rng(2).choice([-1.0, 1.0], side)  # R. Freivalds: a wrong product shows on a random vector
    a, b, c = map(arrays.numpy, (left, right, product))
    bound = 2.0**-24 * (side + 1) * (np.abs(a) @ np.abs(b).sum(1))
    assert (np.abs(c @ probe - a @ (b @ probe)) <= bound).all()
    macs, size = side**3, 4 * side**2
    timed(benchmark, keeper, arrays, f"matmul-{side}", call, {"macs": macs, "flops": 2 * macs, "bytes": 3 * size}, size)


@pytest.mark.parametrize("size", SIZES)
def test_copy(benchmark, keeper, arrays, size):
    """Copy float32 from one array to another: each byte is read and written."""
    source, target = (arrays.full(SIZES[size] // 4, value) for value in (0.5, 0.25))

    def call():
        arrays.copy(target, source)

    call()
    assert (target == source).all()
    facts = {"macs": 0, "flops": 0, "bytes": 2 * SIZES[size]}
    timed(benchmark, keeper, arrays, f"copy-{size}", call, facts, SIZES[size])


def timed(benchmark, keeper, arrays, name, call, facts, size):
    """Time a call that needs no gate."""
    operation = name.partition("-")[0]
    benchmark.group = f"roofline {operation}"
    judged = Judged(checked=size // 4, method="none: into arrays held before", device=arrays.device, result_bytes=size)
    keeper.rounds(benchmark, Entry("roofline", name, operation, arrays.name), call, FAST, [judged], facts)
