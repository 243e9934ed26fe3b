"""The same step of a network, which makes the image S times smaller, in variants: with a pool, or with a stride.

A   convolution at S = 1, then a pool of S x S: the maximum, and in its place the average and the L2 norm
B   convolution at S = 1, then another at stride S
C   convolution at stride S alone
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from bench import gate
from bench.layers import RECIPE, SEED
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


def chained(subject: Subject, cases: Sequence[Case]) -> Callable[[], Any]:
    """Make one call of several forward operations: the first on its case's image, each other on the result before."""
    images, stages = [], []
    for case in cases:
        x, *others = (None if array is None else array.copy() for array in gate.inputs(case).values())
        images.append(x)
        stages.append((case.operation, others, case.parameters(gate.options(subject, case.operation))))

    def call() -> Any:
        found: Any = images[0]
        for operation, others, parameters in stages:
            result = subject.call(operation, found, *others, **parameters)
            found = result[0] if operation == "max_pool2d" else result
        return found

    return call


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
