"""Stand-ins for the tests of the benchmarks: implementations with a fault, pytest-benchmark's fixture, a GPU."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import numpy as np

from impls import im2col
from impls.subject import Subject
from oracles.case import Case

CONV = Case.parse("conv2d float32 n2c3k8g1 i12k3s1p1,1d1 i10k3s1p1,1d1 gauss seed=1 bias")
POOL = Case.parse("max_pool2d float32 n2c3 i12k3s2p0,0d1 i10k2s2p0,0d1 gauss seed=1")

CORRECT = Subject("im2col", im2col)


def subject(spec: str = "faulty.py", **functions: Any) -> Subject:
    """Make a subject of a few functions and declarations."""
    return Subject(spec, SimpleNamespace(**functions))


def flipped(x: Any, w: Any, b: Any, **parameters: Any) -> Any:
    """Convolve with the filters turned round, which is wrong."""
    return im2col.conv2d(x, w[..., ::-1, ::-1], b, **parameters)


def greedy(x: Any, w: Any, b: Any, **parameters: Any) -> Any:
    """Convolve rightly, and spoil what was given."""
    y = im2col.conv2d(x, w, b, **parameters)
    x[...], w[...] = 0, 0
    return y


class Benchmark:
    """What the benchmarks use of pytest-benchmark's fixture."""

    def __init__(self) -> None:
        self.extra_info: dict[str, Any] = {}
        self.group = ""
        self.rounds = 0
        self.data: list[float] = []

    def pedantic(self, target: Any, *, setup: Any, teardown: Any, rounds: int) -> None:
        """Run the rounds and keep wall times."""
        self.rounds = rounds
        for _ in range(rounds):
            setup()
            start = time.perf_counter()
            target()
            self.data.append(time.perf_counter() - start)
            teardown()


class Cuda:
    """What the benchmarks use of torch.cuda: a clock that events read, and a count of bytes."""

    def __init__(self, milliseconds: float = 7.0) -> None:
        self.milliseconds, self.now, self.held, self.most = milliseconds, 0.0, 100, 100
        self.events, self.initialized = 0, False

    def is_available(self) -> bool:
        """There is a GPU."""
        return True

    def is_initialized(self) -> bool:
        """Tell whether it was used before."""
        return self.initialized

    def current_device(self) -> int:
        """It is the first."""
        return 0

    def get_device_name(self, number: int) -> str:
        """It has a name."""
        return "Fake 3000"

    def reset_peak_memory_stats(self) -> None:
        """Begin the peak anew. Raises RuntimeError as torch does."""
        if not self.initialized:
            raise RuntimeError("Invalid device argument 0: did you call init?")
        self.most = self.held

    def memory_allocated(self) -> int:
        """Give the bytes held now."""
        return self.held

    def max_memory_allocated(self) -> int:
        """Give the most bytes held since the peak began anew."""
        return self.most

    def compute(self, size: int) -> None:
        """Pretend to compute with so many bytes."""
        self.initialized = True
        self.most = max(self.most, self.held + size)
        self.now += self.milliseconds

    def Event(self, enable_timing: bool) -> Any:  # noqa: N802 - torch's name
        """Make an event that remembers when it was recorded."""
        assert enable_timing
        self.events += 1
        event = SimpleNamespace(time=None, synchronize=lambda: None)
        event.record = lambda: setattr(event, "time", self.now)
        event.elapsed_time = lambda other: other.time - event.time
        return event


def torch(cuda: Cuda) -> Any:
    """Make the module that `sys.modules` is asked for."""
    return SimpleNamespace(__version__="9.9", cuda=cuda, get_num_threads=lambda: 1)


def on_gpu(cuda: Cuda) -> Subject:
    """Make an implementation that computes on the GPU."""

    def conv2d(x: np.ndarray, w: np.ndarray, b: np.ndarray | None, **parameters: Any) -> np.ndarray:
        cuda.compute(4096)
        return im2col.conv2d(x, w, b, **parameters)

    return subject("gpu.py", conv2d=conv2d)
