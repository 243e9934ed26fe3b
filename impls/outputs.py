"""Memory for results that foreign code writes, such as a C function's: a bridge asks here for it.

In a process of its own an implementation gets guarded memory instead, and is told of cells that it has not written.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def _of_nan(shape: Any, dtype: Any) -> Any:
    return np.full(shape, np.nan, dtype)


def _called(call: Callable[[], Any], times: int) -> Any:
    return call()


allocate = _of_nan
ahead = _called  # ahead(call, times): return what a call returns, and make room for those of so many calls more


def unwritten(shape: Any, dtype: Any) -> Any:
    """Give an array of floating numbers whose cells show where they are left as they are: NaN."""
    return allocate(shape, dtype)
