"""A column is cut off, then the window sum pads that side: with and without jit."""

import os
import sys

import numpy as np

os.environ["JAX_PLATFORMS"] = "cpu"
try:
    import jax
    from jax import lax
except ImportError:
    sys.exit(2)


def summed(x):
    """Cut off the first column, and sum windows 1 x 2 with one column of zeros before."""
    x = lax.pad(x, np.int32(0), [(0, 0, 1), (-1, 0, 0)])
    return lax.reduce_window(x, np.int32(0), lax.add, (1, 2), (1, 1), ((0, 0), (1, 0)))


x = np.array([[669, -763]], np.int32)
got, want = np.asarray(jax.jit(summed)(x)), np.array([[-763]])
print("got", got.tolist(), "under jit,", np.asarray(summed(x)).tolist(), "without; want", want.tolist())
sys.exit(int(not np.array_equal(got, want)))
