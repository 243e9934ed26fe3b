"""Guarded memory for the arrays that a file of the user's makes with NumPy and hands to native code.

Where a wrapper asks `numpy.empty` for its result, a function in C may write past its end, or not at all, and nothing
shows it: NumPy takes a small array from a list of its own. So while such a file is called, NumPy's makers of arrays,
called from it, give memory at a guard. Python 3.9 and Linux.
"""

from __future__ import annotations

import ctypes
import functools
import inspect
import os
import sys
import types
import weakref
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from impls.isolation.memory import NoRoomError, Pool, around, poisoned, unwritten

EMPTY, FILLED = ("empty", "empty_like"), ("zeros", "zeros_like", "ones", "ones_like", "full", "full_like")
COPIED = ("array", "copy", "ascontiguousarray", "require")  # or, of what is as it is wanted, the same array
MOST, LARGEST = 64, 1 << 22  # arrays of one call, and bytes of one: what is beyond has ordinary memory
COMPILERS = ("numba",)  # which take these functions for what they are by their names
NATIVE = ("ctypes", "_ctypes", "cffi", "_cffi_backend")
OTHER = "an array that it has made"
ROOT = Path(__file__).parents[2]


class Made(Pool):
    """The arrays that files make in a folder, each at a guard; those that a file keeps stay where they are."""

    def __init__(self, functions: Iterable[Callable[..., Any]]) -> None:
        super().__init__()
        self.living = []  # type: ignore[var-annotated]
        self.folders = {folder for function in functions for folder in _folder(function)}
        self.makers = {name: getattr(np, name) for name in (*EMPTY, *FILLED, *COPIED)}
        self.guarded = {name: self._guarded(maker, name in EMPTY) for name, maker in self.makers.items()}

    def begin(self, side: str, shift: int) -> None:
        """Start a message; what is still in use of earlier ones stays as it is."""
        every = self.living + self.taken
        self.living = [entry for entry in every if entry[-1]() is not None]
        self.taken = [entry for entry in every if entry[-1]() is None]
        super().begin(side, shift)

    def call(self, call: Callable[[], Any]) -> Any:
        """Make a call in which the files' arrays are guarded."""
        if not self.folders or any(name in sys.modules for name in COMPILERS):
            return call()
        vars(np).update(self.guarded)
        try:
            return call()
        finally:
            vars(np).update(self.makers)

    def findings(self, found: Any) -> list[Any]:
        """Tell what was written around the arrays, and what of those that are returned was never written."""
        if not self.folders:
            return []
        results = [each for each in (found if isinstance(found, tuple) else (found,)) if isinstance(each, np.ndarray)]
        told = []
        for slot, offset, size, empty, _ in self.living + self.taken:
            numbers = [n for n, each in enumerate(results) if slot.base <= each.ctypes.data < slot.base + slot.capacity]
            name = numbers[0] if numbers else OTHER
            told += [[kind, name, *facts] for kind, *facts in around(slot, offset, size)]
            for number in numbers if empty else ():  # of what it is a part of, the rest may well be so
                if _of_numbers(results[number]):
                    told += [["unwritten", number, *facts] for facts in unwritten(results[number])]
        return told

    def _guarded(self, maker: Callable[..., Any], empty: bool) -> Callable[..., Any]:
        @functools.wraps(maker)
        def make(*arguments: Any, **options: Any) -> Any:
            array = maker(*arguments, **options)
            if len(self.taken) >= MOST or not self._is_theirs(sys._getframe(1)) or not _plain(array):
                return array
            if arguments and array is arguments[0]:
                return array
            return self._placed(array, empty)

        return make

    def _is_theirs(self, frame: Any) -> bool:
        return os.path.dirname(os.path.abspath(frame.f_code.co_filename)) in self.folders

    def _placed(self, array: Any, empty: bool) -> Any:
        """Give the same at a guard, if there is room."""
        try:
            slot, offset = self.take(array.nbytes)
        except NoRoomError:
            return array
        placed = slot.array(offset, array.dtype, array.shape)
        if empty:
            poisoned(slot, offset, array.nbytes, array.dtype)
        else:
            placed[...] = array
        self.taken.append((slot, offset, array.nbytes, empty, weakref.ref(placed)))
        return placed


def _plain(array: Any) -> bool:
    """Whether an array is one of numbers that lie as usual."""
    usual = type(array) is np.ndarray and array.flags.c_contiguous and array.flags.owndata
    return usual and _of_numbers(array) and 0 < array.nbytes <= LARGEST


def _of_numbers(array: Any) -> bool:
    """Whether there is poison for the numbers of an array."""
    return array.dtype.kind in "fiu" and array.dtype.itemsize <= 8 and array.dtype.isnative


def _folder(function: Callable[..., Any]) -> list[str]:
    """Name the folder of a function's file, if that is none of ours and calls native code."""
    function = inspect.unwrap(function)
    code, names = getattr(function, "__code__", None), getattr(function, "__globals__", {})
    if code is None:
        return []
    folder = os.path.dirname(os.path.abspath(code.co_filename))
    others = [
        vars(value) for value in names.values() if isinstance(value, types.ModuleType) and _lies_in(value, folder)
    ]
    native = any(_is_native(value) for scope in (names, *others) for value in scope.values())
    return [folder] if native and not folder.startswith(str(ROOT / "impls")) else []


def _lies_in(module: Any, folder: str) -> bool:
    return os.path.dirname(os.path.abspath(getattr(module, "__file__", None) or "")) == folder


def _is_native(value: Any) -> bool:
    """Whether a name of a file stands for what calls native code: of ctypes or cffi."""
    return value is ctypes or type(value).__module__.partition(".")[0] in NATIVE
