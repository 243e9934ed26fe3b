"""The BLAS that NumPy multiplies matrices with, asked for what NumPy does not offer: to add up, to use one core.

`np.matmul` overwrites its output. A sum over tiles then needs a second array and a pass over both. BLAS saves these, as
its product is alpha A B + beta C. And BLAS splits each product among its own threads, which pays for large ones alone;
who splits the work among threads of his own wants it to stay on one. Where NumPy's BLAS is another than OpenBLAS, or
hides its functions, everything is done with NumPy, and BLAS keeps its threads.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

SMALL = 10**6  # multiply-adds: up to so many OpenBLAS reads matrices where they lie, and makes no copies for its kernel
ROW_MAJOR, PLAIN, TRANSPOSED = 101, 111, 112  # of cblas.h
SPELLINGS = (("scipy_", "64_"), ("", "64_"), ("scipy_", ""), ("", ""))  # NumPy's own build counts in 64 bits


def accumulate(a: Array, b: Array, out: Array) -> None:
    """Add the product of a (..., m, k) and b (..., k, n) to out (..., m, n): a stack of matrices, of one dtype."""
    gemm = _gemm(out.dtype.char)
    layouts = [_layout(array) for array in (a, b, out)]
    if gemm is None or None in layouts or layouts[2][0] == TRANSPOSED or out.size == 0:  # type: ignore[index]
        out += np.matmul(a, b)
        return
    (turn_a, lda), (turn_b, ldb), (_, ldc) = layouts  # type: ignore[misc]
    m, n, k = *out.shape[-2:], a.shape[-1]
    for places in zip(*map(_places, (a, b, out)), strict=True):
        gemm(turn_a, turn_b, m, n, k, lda, ldb, ldc, *places)


def _places(stack: Array) -> list[int]:
    """Give the address of each matrix of a stack (..., rows, columns)."""
    offsets = np.zeros((), np.int64)
    for count, stride in zip(stack.shape[:-2], stack.strides[:-2], strict=True):
        offsets = offsets[..., None] + np.arange(count) * stride
    found: list[int] = (offsets + stack.ctypes.data).ravel().tolist()
    return found


def _layout(array: Array) -> tuple[int, int] | None:
    """Tell how BLAS is to read matrices (..., rows, columns), and how far apart their lines lie; None if it cannot."""
    size, (rows, columns), (down, across) = array.itemsize, array.shape[-2:], array.strides[-2:]
    if not array.flags.aligned:
        return None
    if across == size and down % size == 0 and down // size >= max(1, columns):
        return PLAIN, down // size
    if down == size and across % size == 0 and across // size >= max(1, rows):
        return TRANSPOSED, across // size
    return None


@lru_cache
def _gemm(kind: str) -> Callable[..., None] | None:
    """Find C += A B for "f" or "d", as a function of flags, sizes, distances of lines, and addresses."""
    real = {"f": ctypes.c_float, "d": ctypes.c_double}.get(kind)
    found = None if real is None else _function("cblas_sgemm" if kind == "f" else "cblas_dgemm")
    if real is None or found is None:
        return None
    function, count = found
    flag, address, one = ctypes.c_int, ctypes.c_void_p, real(1)
    function.argtypes = [flag, flag, flag, *[count] * 3, real, address, count, address, count, real, address, count]
    function.restype = None

    def gemm(turn_a: int, turn_b: int, m: int, n: int, k: int, lda: int, ldb: int, ldc: int, *at: int) -> None:
        a, b, c = at
        function(ROW_MAJOR, turn_a, turn_b, m, n, k, one, a, lda, b, ldb, one, c, ldc)

    return gemm


@lru_cache
def _library() -> ctypes.CDLL | None:
    """Open NumPy's extension module, whose symbols are those of the BLAS that it was linked with."""
    for module in ("numpy._core._multiarray_umath", "numpy.core._multiarray_umath"):  # NumPy 2, and 1
        path = getattr(sys.modules.get(module), "__file__", None)
        if path:
            try:
                return ctypes.CDLL(path)
            except OSError:
                return None
    return None


@lru_cache
def _function(name: str) -> tuple[Any, Any] | None:
    """Find a function of BLAS, and the type that it counts with."""
    library = _library()
    for before, after in SPELLINGS if library is not None else ():
        function = getattr(library, f"{before}{name}{after}", None)
        if function is not None:
            return function, ctypes.c_int64 if after else ctypes.c_int
    return None


def described() -> str:
    """Name it as NumPy does, and the kernels that it has chosen for this processor, if it tells."""
    built = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    found = _function("openblas_get_corename")
    if found is None:
        return f"{built.get('name', '')} {built.get('version', '')}"
    found[0].restype = ctypes.c_char_p
    return f"{built.get('name', '')} {built.get('version', '')} {found[0]().decode()}"


# --- Its threads -----------------------------------------------------------------------------------------------------


def threads() -> int:
    """Count the threads that it splits products among, as OMP_NUM_THREADS and its like have set them; 1 if unknown."""
    return _held.wanted or _now()


@contextmanager
def on_one_thread() -> Iterator[None]:
    """Let products that are asked for inside stay on the thread that asks for them.

    The number belongs to the whole process. So calls that overlap count themselves, and the last puts it back.
    """
    with _held.lock:
        _held.calls += 1
        if _held.calls == 1:
            _held.wanted = _now()
            set_threads(1)
    try:
        yield
    finally:
        with _held.lock:
            _held.calls -= 1
            if _held.calls == 0:
                set_threads(_held.wanted)
                _held.wanted = 0


class _Held:
    """How many calls hold it to one thread, and how many threads it had before; 0 while none does."""

    def __init__(self) -> None:
        self.lock, self.calls, self.wanted = threading.Lock(), 0, 0

    def forked(self) -> None:
        """Forget, in a child, the calls of threads that it does not have, and give its products their threads back."""
        wanted, self.lock, self.calls, self.wanted = self.wanted, threading.Lock(), 0, 0
        if wanted:
            set_threads(wanted)


_held = _Held()
if hasattr(os, "register_at_fork"):  # where there is a fork
    os.register_at_fork(after_in_child=_held.forked)


def _now() -> int:
    found = _function("openblas_get_num_threads")
    return 1 if found is None else max(1, int(found[0]()))


def set_threads(count: int) -> None:
    """Let BLAS split products among so many threads, if it can be told."""
    found = _function("openblas_set_num_threads")
    if found is not None:
        found[0](ctypes.c_int(count))
