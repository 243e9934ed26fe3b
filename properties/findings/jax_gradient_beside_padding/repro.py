"""The gradient of an image beside which windows lie in the padding, all of ones: the number of windows at each cell."""

import os
import sys

import numpy as np

os.environ["JAX_PLATFORMS"] = "cpu"
try:
    import jax
    from jax import lax
except ImportError:
    sys.exit(2)

x, w = np.ones((1, 1, 1, 4), np.float32), np.ones((2, 1, 1, 4), np.float32)
y, pull = jax.vjp(lambda x: lax.conv_general_dilated(x, w, (1, 1), ((0, 0), (5, 1))), x)
(dx,) = pull(np.ones(y.shape, np.float32))
got, want = np.asarray(dx).ravel().tolist(), [8.0, 8.0, 6.0, 4.0]
print("got ", got)
print("want", want, "from two filters of ones: the windows 4, 4, 3 and 2 times two")
sys.exit(int(got != want))
