"""Results and arguments taken apart: one array or several, switches left alone, paddings spelled out, bits cut off."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from impls.arguments import Array


def changed(result: Any, change: Callable[[Array], Array]) -> Any:
    """Change each array of a result but switches."""
    if isinstance(result, tuple):
        return tuple(part if part.dtype.kind == "i" else change(part) for part in result)
    return change(result)


def first(result: Any) -> Array:
    """Give y, or dx, of a result."""
    return result[0] if isinstance(result, tuple) else result


def named(operation: Callable[..., Any], arrays: Any, parameters: Any) -> dict[str, Any]:
    """Give all that an operation is called with by name, in the order of its signature."""
    return inspect.signature(operation).bind(*arrays, **parameters).arguments


def sides(padding: Any) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """Spell a padding out, ((top, bottom), (left, right)); None where it is a word for what depends on the image."""
    if isinstance(padding, str):
        return None
    vertical, horizontal = ((side, side) if np.ndim(side) == 0 else tuple(side) for side in padding)
    return vertical, horizontal


def tf32(array: Array) -> Array:
    """Cut float32 numbers to 11 bits, as tensor cores read them; leave other types as they are."""
    return masked(array, 0xFFFFE000)


def bfloat16(array: Array) -> Array:
    """Cut float32 numbers to 8 bits; leave other types as they are."""
    return masked(array, 0xFFFF0000)


def masked(array: Array, mask: int) -> Array:
    """Keep some bits of float32 numbers."""
    if array.dtype.newbyteorder("=") != np.float32:
        return array
    return (np.ascontiguousarray(array, np.float32).view(np.uint32) & np.uint32(mask)).view(np.float32)
