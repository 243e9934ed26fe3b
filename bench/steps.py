"""The same step of a network, which makes the image S times smaller, in variants: with a pool, or with a stride.

A   convolution at S = 1, then a pool of S x S: the maximum, and in its place the average and the L2 norm
B   convolution at S = 1, then another at stride S
C   convolution at stride S alone
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from bench import gate
from bench.gate import Judged
from bench.layers import RECIPE, SEED
from bench.variation import SEEDS
from impls.subject import Subject
from oracles.case import CONVOLUTIONS, Case
from oracles.geometry import Axis, Geometry

POOLS = {"A": "max_pool2d", "A-average": "avg_pool2d", "A-l2": "l2_pool2d"}
VARIANTS = (*POOLS, "B", "C")


def step(variant: str, *, C: int, K: int, W: int, F: int, S: int) -> tuple[Case, ...]:
    """Give the operations of a variant, in order; padding keeps the size at stride 1. Raises ValueError for others."""
    if variant not in VARIANTS:
        raise ValueError(f"{variant!r} is no variant; there are {', '.join(VARIANTS)}")
    if variant == "C":
        return (convolution(C, K, W, F, S),)
    dense = convolution(C, K, W, F, 1)
    side = dense.geometry.vertical.out
    if variant == "B":
        return dense, convolution(K, K, side, F, S)
    axis = Axis(side, S, S)
    return dense, Case(POOLS[variant], "float32", Geometry(1, K, axis, axis), RECIPE, SEED)


def convolution(C: int, K: int, W: int, F: int, S: int, P: int | None = None) -> Case:
    """Make a square convolution with biases; P is F // 2 unless it is given."""
    P = F // 2 if P is None else P
    axis = Axis(W, F, S, 1, P, P)
    return Case("conv2d", "float32", Geometry(1, C, axis, axis, K), RECIPE, SEED, bias=True)


@dataclass
class Chain:
    """One call of several forward operations: the first on an image, each other on the result before.

    early: a result from before the rounds, and a copy made then.
    """

    subject: Subject
    image: np.ndarray
    stages: list[tuple[str, list[Any], dict[str, Any]]]
    place: tuple[int, ...] | None = None
    early: tuple[np.ndarray, np.ndarray] | None = None
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(next(SEEDS)))

    def __call__(self) -> Any:
        """Return the last one's result."""
        found: Any = self.image
        for number in range(len(self.stages)):
            found = first(self.stage(number, found))
        return found

    def vary(self) -> None:
        """Halve one cell of the image, and put right the one before: what is kept of an image is of no use."""
        if self.place is not None:
            self.image[self.place] *= 2
        self.place = tuple(int(self.rng.integers(size)) for size in self.image.shape)
        self.image[self.place] /= 2

    def keep(self) -> None:
        """Keep a result, so that what writes to it later is seen."""
        result = self()
        self.early = result, np.array(result)

    def kept(self) -> Judged:
        """Judge whether the result that was kept is still what it was."""
        return Judged() if self.early is None else gate.kept(self.early[1:], self.early[:1])

    def stage(self, number: int, x: Any) -> Any:
        """Return all that one of the operations returns."""
        operation, others, parameters = self.stages[number]
        return self.subject.call(operation, x, *others, **parameters)


def first(result: Any) -> Any:
    """Give the output of an operation, without switches."""
    return result[0] if isinstance(result, (tuple, list)) else result


def chained(subject: Subject, cases: Sequence[Case]) -> Chain:
    """Make one call of several operations, on the first one's image."""
    operands = [[None if a is None else a.copy() for a in gate.inputs(case).values()] for case in cases]
    image = operands[0][0]
    assert image is not None
    named = [(case.operation, case.parameters(gate.options(subject, case.operation))) for case in cases]
    return Chain(subject, image, [(name, each[1:], p) for (name, p), each in zip(named, operands, strict=True)])


def judged(cases: Sequence[Case], call: Chain) -> Judged:
    """Call the operations one after another, and hold each on what it was given, which is the result before."""
    x: Any = call.image
    for number, case in enumerate(cases):
        result = call.stage(number, x)
        names = [name for name in gate.inputs(case) if name != "x"]
        operands = dict(zip(names, call.stages[number][1], strict=True))
        verdict = gate.held(call.subject, case, result, data={"x": np.array(x), **operands})
        if not verdict.agrees:
            return Judged(f"{gate.WRONG}: {case.operation}, on the result before", verdict.message)
        x = first(result)
    return Judged()


def after(cases: Sequence[Case], call: Chain, result: Any) -> Judged:
    """Judge the operations on the image of the last round, of which a cell is another, and on another in its place.

    What is kept of the image as it was is wrong by now; and the result from before the rounds should be what it was.
    """
    if not (found := call.kept()).passes:
        return found
    now = gate.fingerprint(result)  # the next call may have the same memory to write to
    if not (found := judged(cases, call)).passes:
        return Judged(f"{gate.WRONG}: the result changed while it was timed", f"{found.reason}\n{found.detail}")
    image = gate.inputs(replace(cases[0], seed=cases[0].seed + 1))["x"]
    assert image is not None
    np.copyto(call.image, image)
    if gate.fingerprint(call()) == now:
        return Judged(f"{gate.WRONG}: its image was overwritten in place, and the result is the same")
    return judged(cases, call)


def parameters(cases: Sequence[Case]) -> int:
    """Count weights and biases."""
    return sum(case.geometry.K * (case.geometry.terms + case.bias) for case in cases)


def receptive_field(cases: Sequence[Case]) -> int:
    """Count the cells along one side of the image that one output sees.

    r <- r + (F - 1) j and j <- j S, from r = j = 1. Source: Araujo, Norris, Sim 2019, Computing Receptive Fields of
    Convolutional Neural Networks.
    """
    reach, jump = 1, 1
    for case in cases:
        axis = case.geometry.vertical
        reach += (axis.reach - 1) * jump
        jump *= axis.stride
    return reach


def told(cases: Sequence[Case]) -> str:
    """Write the operations as people do: conv 3x3 S=1, max 2x2 S=2."""
    return ", ".join(
        f"{case.operation.split('_')[0] if case.operation not in CONVOLUTIONS else 'conv'} "
        f"{case.geometry.vertical.extent}x{case.geometry.horizontal.extent} S={case.geometry.vertical.stride}"
        for case in cases
    )
