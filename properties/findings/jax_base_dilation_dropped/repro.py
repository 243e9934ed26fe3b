"""A base dilation along an axis of window 1 and stride 1: the holes must hold the initial value."""

import os
import sys

import numpy as np

os.environ["JAX_PLATFORMS"] = "cpu"
try:
    from jax import lax
except ImportError:
    sys.exit(2)

wrong = 0
for shape in ((8, 8), (64, 128)):
    x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    y = lax.reduce_window(x, -np.inf, lax.max, (2, 1), (2, 1), ((0, 0), (0, 0)), base_dilation=(1, 2))
    want = np.full((shape[0] // 2, 2 * shape[1] - 1), -np.inf, np.float32)
    want[:, ::2] = x[1::2]
    print(f"image {shape}: got {np.asarray(y)[0, :5]}, want {want[0, :5]}")
    wrong += not np.array_equal(y, want)
sys.exit(int(wrong > 0))
