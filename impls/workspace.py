"""Memory that a thread keeps from call to call: paid for once, still in cache the next time, and never handed out."""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np
import numpy.typing as npt

LINE = 64  # bytes of a cache line; buffers begin on one, so that nothing can depend on where they happen to lie


class Workspace(threading.local):
    """Buffers by name, each as large as the largest that its thread has asked for under that name.

    A buffer holds anything at first, and is valid until its name is asked for again. None may leave in a result.
    """

    def __init__(self) -> None:
        self.memories: dict[str, npt.NDArray[np.uint8]] = {}

    def array(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
        """Give this thread's buffer of that name as an array: contiguous, not initialised."""
        size = math.prod(shape) * dtype.itemsize
        memory = self.memories.get(name)
        if memory is None or memory.size < size:
            del memory  # the old one goes before the new one comes
            self.memories.pop(name, None)
            raw = np.empty(size + LINE, np.uint8)
            start = -raw.ctypes.data % LINE
            memory = self.memories[name] = raw[start : start + size]
        return memory[:size].view(dtype).reshape(shape)
