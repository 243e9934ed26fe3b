"""Other ways in which torch computes a pool, one of which may be faster: channels last, a mean, maxima alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from bench import gate
from impls.subject import Subject
from oracles.case import Case

Call = Callable[[], Any]


def ways(subject: Subject, case: Case, *, values_only: bool = False) -> dict[str, Call]:
    """Give torch's other calls for a forward pool in float32, by name; none for what is no such pool.

    values_only: maxima without switches. Each is held against the definition, as `subject` declares its arithmetic;
    maxima alone must be those of the usual way. Raises ValueError naming a way that is wrong.
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
    for name, call in found.items():
        result = call()
        if values_only:
            right = bool(torch.equal(result, pool(x)))
        else:
            parts = result if isinstance(result, tuple) else (result,)
            arrays = tuple(np.ascontiguousarray(part.numpy()) for part in parts)
            right = gate.held(subject, case, arrays if len(arrays) > 1 else arrays[0]).agrees
        if not right:
            raise ValueError(f"torch, {name}: its values are wrong")
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
