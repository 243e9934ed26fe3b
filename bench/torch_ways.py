"""Other ways in which torch computes a pool, one of which may be faster: channels last, a mean, maxima alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from bench import gate
from oracles.case import Case

Call = Callable[[], Any]


def ways(case: Case, *, values_only: bool = False) -> dict[str, Call]:
    """Give torch's other calls for a forward pool in float32, by name; none for what is no such pool.

    values_only: maxima without switches. Raises ValueError naming a way whose values differ from the first.
    """
    if case.operation not in ("max_pool2d", "avg_pool2d", "l2_pool2d") or case.dtype != "float32":
        return {}
    import torch

    x = torch.from_numpy(np.array(gate.inputs(case)["x"]))
    last = x.contiguous(memory_format=torch.channels_last)
    pool = _pool(case, values_only)
    found = {"channels last": lambda: pool(last)}
    if values_only:
        found["without switches"] = lambda: pool(x)
    v, h = case.geometry.vertical, case.geometry.horizontal
    if case.operation == "avg_pool2d" and all((axis.size, axis.out) == (axis.extent, 1) for axis in (v, h)):
        found["adaptive_avg_pool2d"] = lambda: torch.nn.functional.adaptive_avg_pool2d(x, 1)
    want = pool(x)
    for name, call in found.items():
        if not _alike(call(), want):
            raise ValueError(f"torch, {name}: its values differ from those of the usual way")
    return found


def _pool(case: Case, values_only: bool) -> Callable[[Any], Any]:
    from torch.nn import functional

    v, h = case.geometry.vertical, case.geometry.horizontal
    size, stride, padding = (v.extent, h.extent), (v.stride, h.stride), (v.pad_before, h.pad_before)
    if case.operation == "max_pool2d":
        return lambda x: functional.max_pool2d(x, size, stride, padding, return_indices=not values_only)
    if case.operation == "avg_pool2d":
        return lambda x: functional.avg_pool2d(x, size, stride, padding, count_include_pad=case.include_pad)
    return lambda x: functional.avg_pool2d(x * x, size, stride, padding, divisor_override=1).sqrt()


def _alike(got: Any, want: Any) -> bool:
    """Whether both are equal, switches of maxima too, but for what another order of a sum rounds otherwise."""
    import torch

    pairs = zip(got, want, strict=True) if isinstance(want, tuple) else [(got, want)]
    return all(torch.allclose(one, other, rtol=1e-5, atol=1e-6) for one, other in pairs)
