"""What adapters share: arrays as engines take them, paddings spelled out, refusals told as ValueError. Python 3.9."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from typing import Any, TypeVar, Union

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Pair = Sequence[int]
Padding = Union[Sequence[int], Sequence[Sequence[int]], str]  # noqa: UP007 (3.9)
Function = TypeVar("Function", bound=Callable[..., Any])

OVERHANGING = "its ceil_mode divides by the part of the last window that lies in the padded image"
IN_PADDING = "its ceil_mode keeps a last window that starts in the padding"
SAME = {"same_upper": "SAME_UPPER", "same_lower": "SAME_LOWER"}  # as ONNX spells it


def plain(array: Array) -> Array:
    """Give the array itself where it is native, aligned and in C order, else a copy that is."""
    return np.require(array, array.dtype.newbyteorder("="), ["C", "A"])


def biases(b: Array, K: int) -> Array:
    """Give the bias back, which an adapter adds itself. Raises ValueError where it is not of shape (K,)."""
    if b.shape != (K,):
        raise ValueError(f"a bias of shape {b.shape}: accepted is ({K},)")
    return b


def around(padding: Padding) -> tuple[tuple[int, int], tuple[int, int]]:
    """Spell (vertical, horizontal) out as ((top, bottom), (left, right)); what is so spelled stays."""
    vertical, horizontal = ((side, side) if isinstance(side, int) else tuple(side) for side in padding)
    return vertical, horizontal  # type: ignore[return-value]


def overhangs(x_shape: Sequence[int], size: Pair, stride: Pair, padding: Padding) -> bool:
    """Tell whether ceil_mode adds a window along some axis, which then ends beyond the padded image."""
    return any(W + before - start > 0 for W, before, start in _more(x_shape, size, stride, padding))


def starts_in_padding(x_shape: Sequence[int], size: Pair, stride: Pair, padding: Padding) -> bool:
    """Tell whether rounding up along some axis gives a window that starts in the padding after the image."""
    return any(W + before <= start for W, before, start in _more(x_shape, size, stride, padding))


def _more(x_shape: Sequence[int], size: Pair, stride: Pair, padding: Padding) -> Iterator[tuple[int, int, int]]:
    """Give, of each axis on which rounding up gives one more window, the image, the padding before, where it starts."""
    if isinstance(padding, str):
        return
    for W, F, S, (before, after) in zip(x_shape[2:], size, stride, around(padding)):  # noqa: B905 (3.9)
        room = W + before + after - F
        if S > 0 and room % S > 0:
            yield W, before, (room // S + 1) * S


def refusing(engine: str) -> Callable[[Function], Function]:
    """Tell whatever an engine raises in a call as ValueError; a lack of memory is no refusal, and stays what it is."""

    def decorate(function: Function) -> Function:
        @wraps(function)
        def call(*arrays: Any, **parameters: Any) -> Any:
            try:
                return function(*arrays, **parameters)
            except (ValueError, MemoryError):
                raise
            except Exception as refusal:
                raise ValueError(f"{engine}: {type(refusal).__name__}: {refusal}") from refusal

        return call  # type: ignore[return-value]

    return decorate
