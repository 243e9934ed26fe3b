"""The ways in which one array can lie in memory. NumPy 1.21 and Python 3.9 are enough, as for `probes`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

LAYOUTS = (
    "contiguous",
    "fortran",
    "transposed",
    "channels_last",
    "channels_last_crop",
    "strided",
    "negative",
    "offset",
    "broadcast",
    "read_only",
    "misaligned",
    "byteswapped",
    "mixed",
)

place: Callable[[int], Any] | None = None  # gives so many bytes where an access beyond them shows: a process of its own


def lay(array: Any, layout: str, seed: int = 0) -> tuple[Any, Any]:
    """Copy an array into a layout: (the view to pass, the array that owns all its memory, gaps included).

    Gaps are poisoned: NaN, or an integer far from any index. `broadcast` repeats the first element along axes that the
    seed chooses, so the data change. What is no array passes as it is. Raises ValueError for an unknown layout.
    """
    if layout not in _LAY:
        raise ValueError(f"layout {layout!r}: there are {', '.join(LAYOUTS)}")
    if not isinstance(array, np.ndarray):
        return array, array
    view, memory = _broadcast(array, seed) if layout == "broadcast" else _LAY[layout](array)
    return (view, memory) if place is None or not memory.nbytes else _moved(view, memory, place(memory.nbytes))


def chosen(layout: str, count: int, seed: int) -> list[str]:
    """Name the layout of each of so many arrays: of all of them, or of a single one among contiguous ones.

    Of "mixed" each has one of its own.
    """
    rng = np.random.default_rng(seed)
    names = [LAYOUTS[rng.integers(len(LAYOUTS) - 1)] if layout == "mixed" else layout for _ in range(count)]
    alone = int(rng.integers(2 * max(1, count)))
    return names if alone >= count else [name if i == alone else "contiguous" for i, name in enumerate(names)]


def plain(value: Any) -> Any:
    """Copy an array to C order and native bytes; pass what is no array."""
    return np.array(value, dtype=value.dtype.newbyteorder("="), order="C") if isinstance(value, np.ndarray) else value


def _moved(view: Any, memory: Any, there: Any) -> tuple[Any, Any]:
    """Copy the memory to other bytes, and see the same part of it there in the same way."""
    there[:] = memory.ravel(order="K").view(np.uint8)
    start = view.__array_interface__["data"][0] - memory.__array_interface__["data"][0]
    moved = (
        np.ndarray(view.shape, view.dtype, there, start, view.strides),
        np.ndarray(memory.shape, memory.dtype, there, 0, memory.strides),
    )
    for old, new in zip((view, memory), moved):  # noqa: B905 (3.9)
        new.flags.writeable = old.flags.writeable
    return moved


def poison(dtype: Any) -> Any:
    """Give a value that shows wherever it is read: NaN, or an integer far from any index."""
    return np.nan if dtype.kind == "f" else np.iinfo(dtype).min // 3


def _poisoned(shape: Sequence[int], dtype: Any) -> Any:
    return np.full(shape, poison(dtype), dtype)


def _dense(array: Any) -> tuple[Any, Any]:
    copy = np.array(array, order="C")
    return copy, copy


def _fortran(array: Any) -> tuple[Any, Any]:
    copy = np.array(array, order="F")
    return copy, copy


def _transposed(array: Any) -> tuple[Any, Any]:
    if array.ndim < 2:
        return _dense(array)
    memory = np.array(array.swapaxes(-1, -2), order="C")
    return memory.swapaxes(-1, -2), memory


def _channels_last(array: Any) -> tuple[Any, Any]:
    if array.ndim != 4:
        return _dense(array)
    memory = np.array(array.transpose(0, 2, 3, 1), order="C")
    return memory.transpose(0, 3, 1, 2), memory


def _channels_last_crop(array: Any) -> tuple[Any, Any]:
    """Its channels are dense, and rows are those of a wider image."""
    if array.ndim != 4:
        return _offset(array)
    N, C, H, W = array.shape
    memory = _poisoned([N, H + 2, W + 3, C], array.dtype)
    view = memory[:, 1 : 1 + H, 1 : 1 + W].transpose(0, 3, 1, 2)
    view[...] = array
    return view, memory


def _strided(array: Any) -> tuple[Any, Any]:
    memory = _poisoned([2 * extent + 1 for extent in array.shape], array.dtype)
    view = memory[(slice(1, None, 2),) * array.ndim]
    view[...] = array
    return view, memory


def _negative(array: Any) -> tuple[Any, Any]:
    backwards = (slice(None, None, -1),) * array.ndim
    memory = np.array(array[backwards], order="C")
    return memory[backwards], memory


def _offset(array: Any) -> tuple[Any, Any]:
    memory = _poisoned([extent + 3 for extent in array.shape], array.dtype)
    view = memory[tuple(slice(1, 1 + extent) for extent in array.shape)]
    view[...] = array
    return view, memory


def repeated(array: Any, seed: int) -> list[int]:
    """Choose axes along which a broadcast array repeats its first element: one of them, a whole plane, or all."""
    axes = [axis for axis, extent in enumerate(array.shape) if extent > 1]
    if not axes or not array.size:
        return []
    planes = [axis for axis in axes if axis >= array.ndim - 2]
    choices = [[axis] for axis in axes] + [planes] * (len(planes) > 1) + [axes] * (len(axes) > 2)
    return choices[seed % len(choices)]


def _broadcast(array: Any, seed: int) -> tuple[Any, Any]:
    axes = repeated(array, seed)
    if not axes:
        return _dense(array)
    memory = np.array(array[tuple(slice(0, 1) if i in axes else slice(None) for i in range(array.ndim))], order="C")
    strides = [0 if i in axes else step for i, step in enumerate(memory.strides)]
    return np.lib.stride_tricks.as_strided(memory, array.shape, strides), memory


def _read_only(array: Any) -> tuple[Any, Any]:
    copy = np.array(array, order="C")
    copy.flags.writeable = False
    return copy, copy


def _misaligned(array: Any) -> tuple[Any, Any]:
    memory = np.full(array.nbytes + 2, 0xA5, np.uint8)
    view = memory[1:-1].view(array.dtype).reshape(array.shape)
    view[...] = array
    return view, memory


def _byteswapped(array: Any) -> tuple[Any, Any]:
    copy = array.astype(array.dtype.newbyteorder(), order="C")
    return copy, copy


_LAY: dict[str, Callable[..., tuple[Any, Any]]] = {
    "contiguous": _dense,
    "fortran": _fortran,
    "transposed": _transposed,
    "channels_last": _channels_last,
    "channels_last_crop": _channels_last_crop,
    "strided": _strided,
    "negative": _negative,
    "offset": _offset,
    "broadcast": _broadcast,
    "read_only": _read_only,
    "misaligned": _misaligned,
    "byteswapped": _byteswapped,
}
