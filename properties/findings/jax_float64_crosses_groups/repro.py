"""A NaN in the image of one group must not reach the outputs of another, in float32 and in float64."""

import os
import sys

import numpy as np

os.environ["JAX_PLATFORMS"], os.environ["JAX_ENABLE_X64"] = "cpu", "1"
try:
    from jax import lax
except ImportError:
    sys.exit(2)

got = {}
for dtype in (np.float32, np.float64):
    x, w = np.ones((1, 2, 1, 2), dtype), np.ones((2, 1, 1, 1), dtype)
    x[0, 0, 0, 0] = np.nan  # of the first group
    y = lax.conv_general_dilated(x, w, (1, 1), "VALID", feature_group_count=2)
    got[dtype] = np.asarray(y)[0, 1].ravel().tolist()
    print(f"{dtype.__name__}: in the second group {got[dtype]}")
print("want 1, 1 there")
sys.exit(int(bool(np.isnan(got[np.float64]).any())))
