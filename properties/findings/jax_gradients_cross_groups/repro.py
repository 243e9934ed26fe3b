"""A NaN that is pulled back through one group of a convolution must not reach the gradients of another."""

import os
import sys

import numpy as np

os.environ["JAX_PLATFORMS"] = "cpu"
try:
    import jax
    from jax import lax
except ImportError:
    sys.exit(2)

GROUPS = 2
x, w = np.ones((1, 4, 1, 4), np.float32), np.ones((2, 2, 1, 2), np.float32)


def convolved(x, w):
    """In two groups of two channels and one filter each."""
    return lax.conv_general_dilated(x, w, (1, 2), "VALID", feature_group_count=GROUPS)


y, pull = jax.vjp(convolved, x, w)
dy = np.ones(y.shape, np.float32)
dy[0, 0, 0, 0] = np.nan  # of the first group
dx, dw = map(np.asarray, pull(dy))
y = np.asarray(convolved(np.where(np.arange(4)[:, None, None] == 0, np.nan, x).astype(np.float32), w))
print("got ", f"in the second group: dx {dx[0, 2:].ravel()}, dw {dw[1].ravel()}, and forward {y[0, 1].ravel()}")
print("want", "no NaN there, as forward")
sys.exit(int(bool(np.isnan(dx[0, 2:]).any() or np.isnan(dw[1]).any())))
