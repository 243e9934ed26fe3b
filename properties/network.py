"""The small network of the course notes, run on an implementation: its volumes, its gradients, and its training.

CONV - RELU - POOL - FC. Source: CS231n, "Architecture Overview"; the network itself is in oracles/layers.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from impls.contract import ARRAYS
from oracles.case import Case
from oracles.formats import FORMATS
from oracles.geometry import Geometry
from oracles.layers import Definition, Network
from properties.derived import Answers, Data, answers, held
from properties.examiner import Examiner, Unsupported
from properties.worked import SEED, expect_exact, layer, rounded


class Recorder:
    """The definitions, with a record of what each operation was given and what it returned."""

    def __init__(self) -> None:
        self.calls: dict[str, tuple[Data, Answers]] = {}

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        if operation not in ARRAYS:
            raise AttributeError(operation)

        def call(*arrays: Any, **parameters: Any) -> Any:
            results = getattr(Definition(), operation)(*arrays, **parameters)
            names = {"conv2d_backward": ("dx", "dw", "db"), "max_pool2d": ("y", "switches")}.get(
                operation, ("dx",) if operation.endswith("backward") else ("y",)
            )
            found = dict(zip(names, results if isinstance(results, tuple) else (results,), strict=True))
            self.calls[operation] = dict(zip(ARRAYS[operation], arrays, strict=False)), found
            return results

        return call


@cache
def recorded() -> dict[str, tuple[Data, Answers]]:
    """Run the network forward and backward on whole numbers: what each operation got and gave.

    dscores are those of a hinge: 1 at one wrong class, -1 at the right one. So the gradients stay small.
    """
    recorder = Recorder()
    network = Network(recorder)
    numbers = network.whole_numbers(np.random.default_rng(SEED))
    dscores = np.zeros_like(numbers["dscores"])
    dscores[0, 3], dscores[0, 7] = 1, -1
    network.gradients(numbers["x"], numbers, dscores)
    return recorder.calls


@cache
def volumes() -> dict[str, np.ndarray]:
    """Run the network forward by the definitions: what each of its layers gives."""
    network = Network(Definition())
    numbers = network.whole_numbers(np.random.default_rng(SEED))
    return network.stages(numbers["x"], numbers)


def stage(operation: str) -> Geometry:
    """Give the layer of the network that an operation belongs to."""
    return layer(32, 3, F=3, P=1, K=12) if operation.startswith("conv") else layer(32, 12, F=2, S=2, K=0)


def same_numbers(subject: Examiner, case: Case, given: Data, want: Answers) -> None:
    """Hold an operation on what it gets in the network against what the definitions gave there."""
    # the largest sums: 27 products of 3 and 3, and a bias; for dw 1024 of 3 and 2 * 3, as dy comes of two classes
    expect_exact(subject, case, {"conv2d": 27 * 9 + 3, "conv2d_backward": 1024 * 18}.get(case.operation, 27 * 9 + 3))
    form = FORMATS[case.dtype]
    data = {name: array if name == "switches" else form.rounded(as_float(array)) for name, array in given.items()}
    exact = {name: array if name == "switches" else rounded(case, array) for name, array in want.items()}
    told = 'the small network for CIFAR-10 (CS231n, "Architecture Overview")'
    verdict = held(subject, case, told, answers(subject, case, data), exact, data)
    assert verdict.agrees, verdict.message


def as_float(array: np.ndarray | None) -> np.ndarray:
    """Give an array of the network, of which none is missing, in float64."""
    assert array is not None
    return array.astype(np.float64)


class Theirs:
    """The operations of an implementation as the network asks for them, in the format of a case."""

    def __init__(self, subject: Examiner, case: Case) -> None:
        self.subject, self.case = subject, case
        self.given: Data = {}  # what the first gradient is made of

    def conv2d(self, x: np.ndarray, w: np.ndarray, b: np.ndarray | None, **_: Any) -> np.ndarray:
        """Convolve with padding 1 at stride 1."""
        return self._call("conv2d", layer(x.shape[2], x.shape[1], F=3, P=1, K=len(w)), x=x, w=w, b=b)["y"]

    def conv2d_backward(self, x: np.ndarray, w: np.ndarray, dy: np.ndarray, **_: Any) -> tuple[np.ndarray, ...]:
        """Give dx, dw and db."""
        self.given = self.given or {"x": x, "w": w, "dy": dy}
        g = layer(x.shape[2], x.shape[1], F=3, P=1, K=len(w))
        return tuple(self._call("conv2d_backward", g, x=x, w=w, dy=dy).values())

    def max_pool2d(self, x: np.ndarray, **_: Any) -> tuple[np.ndarray, np.ndarray | None]:
        """Pool 2x2 at stride 2."""
        found = self._call("max_pool2d", layer(x.shape[2], x.shape[1], F=2, S=2, K=0), x=x)
        return found["y"], found.get("switches")

    def max_pool2d_backward(self, dy: np.ndarray, switches: np.ndarray, x_shape: tuple[int, ...]) -> np.ndarray:
        """Send dy back."""
        g = layer(x_shape[2], x_shape[1], F=2, S=2, K=0)
        return self._call("max_pool2d_backward", g, dy=dy, switches=switches)["dx"]

    def _call(self, operation: str, g: Geometry, **data: np.ndarray | None) -> dict[str, np.ndarray]:
        images = len(next(array for array in data.values() if array is not None))
        call = Case(operation, self.case.dtype, replace(g, N=images), "gauss", SEED)
        form = FORMATS[self.case.dtype]
        given = {
            name: array if array is None or name == "switches" else form.rounded(array.astype(np.float64))
            for name, array in data.items()
        }
        if not self.subject.subject.offers(operation):
            raise Unsupported(f"the network also needs {operation}")
        found = answers(self.subject, self.case, given, call)
        return {name: array if name == "switches" else form.rounded(array) for name, array in found.items()}


def descent(network: Network, rng: np.random.Generator, names: tuple[str, ...], steps: int, rate: float) -> list[float]:
    """Train these parameters on two images by gradient descent: the loss before each step, and after the last."""
    shapes = network.shapes
    x = rng.standard_normal((2, 3, network.side, network.side)).astype(np.float32)
    fan = {"w1": 27, "b1": 1e6, "w2": shapes["w2"][1], "b2": 1e6}
    parameters = {
        name: (rng.standard_normal(shape) / fan[name] ** 0.5).astype(np.float32) for name, shape in shapes.items()
    }
    labels, losses = [3, 7], []
    for _ in range(steps):
        scores = network.stages(x, parameters)["scores"]
        loss, dscores = softmax_loss(scores, labels)
        losses.append(loss)
        gradients = network.gradients(x, parameters, dscores)
        for name in names:
            parameters[name] = (parameters[name] - rate * gradients[name]).astype(np.float32)
    losses.append(softmax_loss(network.stages(x, parameters)["scores"], labels)[0])
    return losses


def softmax_loss(scores: np.ndarray, labels: list[int]) -> tuple[float, np.ndarray]:
    """Take the mean cross-entropy of softmax: scores (N, M) -> the loss, and its gradient (N, M)."""
    wide = scores.astype(np.float64)
    chances = np.exp(wide - wide.max(1, keepdims=True))
    chances /= chances.sum(1, keepdims=True)
    images = np.arange(len(labels))
    loss = -np.log(chances[images, labels]).mean()
    chances[images, labels] -= 1
    return float(loss), (chances / len(labels)).astype(scores.dtype)
