"""One call's work on several threads: as many as BLAS was to use, and BLAS on one, since each tile is too small for it.

Which thread does a piece changes no bit of it: pieces write to places of their own, or each part adds up in its order.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TypeVar

import numpy as np

from impls import blas

Piece = TypeVar("Piece")

LEAST = 2e6  # multiply-adds; what is less is done before another thread has begun


def count(work: float) -> int:
    """Give the threads for so many multiply-adds: what OMP_NUM_THREADS and its like allow BLAS, or 1."""
    wanted = blas.threads() if work >= LEAST else 1
    return min(wanted, os.cpu_count() or 1) if wanted > 1 else 1


def spread(do: Callable[[Piece], None], pieces: Sequence[Piece], workers: int) -> None:
    """Do every piece, in so many runs of neighbours side by side; the first is this thread's own."""
    workers = min(workers, len(pieces))
    if workers < 2:
        for piece in pieces:
            do(piece)
        return
    bounds = [len(pieces) * part // workers for part in range(workers + 1)]
    runs = [pieces[start:stop] for start, stop in itertools.pairwise(bounds)]

    def run(some: Sequence[Piece]) -> None:
        with np.errstate(all="ignore"):  # which each thread has for itself
            for piece in some:
                do(piece)

    with blas.on_one_thread():
        others = [_pool().submit(run, some) for some in runs[1:]]
        try:
            run(runs[0])
        finally:
            for other in others:  # none may write on when the call has ended
                other.exception()
        for other in others:
            other.result()


@lru_cache
def _pool() -> ThreadPoolExecutor:
    """Threads that wait for work from call to call, with what their workspaces hold."""
    if hasattr(os, "register_at_fork"):  # a child process has none of them
        os.register_at_fork(after_in_child=_pool.cache_clear)
    return ThreadPoolExecutor(max(1, (os.cpu_count() or 1)), "impls")
