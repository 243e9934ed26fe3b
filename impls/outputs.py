"""Memory for results that foreign code writes, such as a C function's: a bridge asks here for it.

In a process of its own an implementation gets guarded memory instead, and is told of cells that it has not written.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def _of_nan(shape: Any, dtype: Any) -> Any:
    return np.full(shape, np.nan, dtype)


allocate = _of_nan


def unwritten(shape: Any, dtype: Any) -> Any:
    """Give an array of floating numbers whose cells show where they are left as they are: NaN."""
    return allocate(shape, dtype)
