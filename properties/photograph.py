"""A photograph, for what speaks of real images: Matplotlib's of Grace Hopper."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest


@cache
def pixels() -> np.ndarray:
    """Give her face, (1, 3, 227, 227), whole numbers 0 to 255; skip the test where Matplotlib or Pillow is missing."""
    cbook = pytest.importorskip("matplotlib.cbook", reason="pip install -c constraints.txt matplotlib")
    image = pytest.importorskip("PIL.Image", reason="pip install -c constraints.txt pillow")
    with cbook.get_sample_data("grace_hopper.jpg") as file, image.open(file) as photograph:
        face = photograph.crop((142, 40, 142 + 227, 40 + 227))
        return np.asarray(face).transpose(2, 0, 1)[None].copy()
