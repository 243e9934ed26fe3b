"""What torch answers to a case: its own convolution and pooling, and its autograd for the gradients."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from oracles.case import Case
from oracles.geometry import Axis, Geometry
from properties.selfcheck import drawn


def answer(case: Case, data: Mapping[str, np.ndarray]) -> Any:
    """One NumPy array or a tuple of them, as the contract wants them; data as `oracles.data.arrays` makes them."""
    import torch

    g, operation = case.geometry, case.operation.removesuffix("_backward")
    leaves = {name: torch.from_numpy(array) for name, array in data.items() if name != "dy"}
    form = torch.from_numpy(next(iter(data.values()))).dtype
    if "x" not in leaves:  # the gradient of an average needs of the image no more than its shape
        leaves["x"] = torch.zeros(g.x_shape, dtype=form)
    if operation == "conv2d" and "b" not in leaves:
        leaves["b"] = torch.zeros(g.K, dtype=form)
    if operation == case.operation:
        return as_arrays(FORWARD[operation](case, **leaves))
    for leaf in leaves.values():
        leaf.requires_grad_()
    with without_onednn():
        found = FORWARD[operation](case, **leaves)
        y = found[0] if isinstance(found, tuple) else found
        return as_arrays(torch.autograd.grad(y, [*leaves.values()], torch.from_numpy(data["dy"])))


@contextmanager
def without_onednn() -> Iterator[None]:
    """Leave oneDNN out, as gradients want it.

    In torch 2.13 it returns a wrong gradient of filters where windows fit once across; `impls/engines/torch.py` says of
    what sizes. torch.backends.mkldnn.flags sets more than this switch, and warns.
    """
    import torch

    switch, before = torch._C._set_mkldnn_enabled, torch._C._get_mkldnn_enabled()
    switch(False)
    try:
        yield
    finally:
        switch(before)


def as_arrays(found: Any) -> Any:
    """Tensors as NumPy arrays, a single one as itself."""
    parts = [part.numpy() for part in (found if isinstance(found, tuple) else (found,))]
    return parts[0] if len(parts) == 1 else tuple(parts)


def convolution(case: Case, x: Any, w: Any, b: Any) -> Any:
    """x (N, C, H, W), w (K, C/G, FH, FW), b (K,) -> y; padding that differs from side to side is put around x."""
    from torch.nn import functional

    g = case.geometry
    strides, steps = pairs(g, "stride", "dilation")
    if even(g):
        return functional.conv2d(x, w, b, strides, *pairs(g, "pad_before"), steps, g.G)
    return functional.conv2d(drawn.padded(x, g), w, b, strides, 0, steps, g.G)


def maxima(case: Case, x: Any) -> tuple[Any, Any]:
    """x (N, C, H, W) -> y and switches; where torch cannot pad so, -inf is put around x and left out of the count."""
    import torch
    from torch.nn import functional

    g = case.geometry
    sizes, strides, pads, steps = pairs(g, "extent", "stride", "pad_before", "dilation")
    if halves(g):
        return functional.max_pool2d(x, sizes, strides, pads, steps, g.vertical.ceil, return_indices=True)
    wide = drawn.padded(x, g, -torch.inf)
    y, places = functional.max_pool2d(wide, sizes, strides, 0, steps, return_indices=True)
    down, across = places // wide.shape[3] - pads[0], places % wide.shape[3] - pads[1]
    return y, down * g.horizontal.size + across


def averages(case: Case, x: Any) -> Any:
    """x (N, C, H, W) -> y: torch's own pooling, or the sums of its windows over the cells counted.

    torch counts of a last window that overhangs the padding only what lies in it, where the contract counts all.
    """
    import torch
    from torch.nn import functional

    g, include = case.geometry, case.include_pad
    if halves(g) and dense(g) and not (include and any(map(overhangs, axes(g)))):
        return functional.avg_pool2d(x, *pairs(g, "extent", "stride", "pad_before"), g.vertical.ceil, include)
    cells = windows(torch.ones_like(x), g, float(include)).sum((-1, -2))
    return windows(x, g).sum((-1, -2)) / cells


def norms(case: Case, x: Any) -> Any:
    """x (N, C, H, W) -> y: torch's own pooling with p = 2, or the root of a sum of squares.

    torch's own has no gradient at a window of zeros; where one is wanted it is the root's, behind a mask.
    """
    import torch
    from torch.nn import functional

    g = case.geometry
    if dense(g) and not x.requires_grad:
        return functional.lp_pool2d(drawn.padded(x, g), 2.0, *pairs(g, "extent", "stride"))
    squares = (windows(x, g) ** 2).sum((-1, -2))
    return torch.where(squares > 0, squares, 1.0).sqrt() * (squares > 0)


FORWARD = {"conv2d": convolution, "max_pool2d": maxima, "avg_pool2d": averages, "l2_pool2d": norms}


def windows(x: Any, g: Geometry, value: float = 0.0) -> Any:
    """Take a torch tensor x (N, C, H, W) apart to (N, C, OH, OW, FH, FW), padding holding the value."""
    wide = drawn.padded(x, g, value)
    for dimension, axis in ((2, g.vertical), (3, g.horizontal)):
        wide = wide.unfold(dimension, axis.reach, axis.stride)
    return wide[:, :, : g.vertical.out, : g.horizontal.out, :: g.vertical.dilation, :: g.horizontal.dilation]


def axes(g: Geometry) -> tuple[Axis, Axis]:
    """Give both, the vertical one first."""
    return g.vertical, g.horizontal


def pairs(g: Geometry, *names: str) -> list[tuple[int, int]]:
    """Give each of these parameters as torch takes it: (vertical, horizontal)."""
    return [(getattr(g.vertical, name), getattr(g.horizontal, name)) for name in names]


def even(g: Geometry) -> bool:
    """Whether both sides of each axis are padded alike, as torch's own arguments say it."""
    return all(axis.pad_before == axis.pad_after for axis in axes(g))


def halves(g: Geometry) -> bool:
    """Whether torch pads a pool so: both sides alike, by half of the window at most."""
    return even(g) and all(2 * axis.pad_before <= axis.extent for axis in axes(g))


def dense(g: Geometry) -> bool:
    """Whether the taps of a window are neighbours; torch dilates no pool but the maximum."""
    return all(axis.dilation == 1 for axis in axes(g))


def overhangs(axis: Axis) -> bool:
    """Whether the last window ends beyond the padding."""
    return axis.starts[-1] + axis.reach > axis.size + axis.pad_after
