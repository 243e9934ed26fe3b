"""The last column of each row, and a zero after it, in float32 and in int32; and a gradient that is compiled alike."""

import os
import sys

import numpy as np

os.environ["JAX_PLATFORMS"] = "cpu"
try:
    import jax
    from jax import lax
except ImportError:
    sys.exit(2)

x = np.arange(1, 1 + 15 * 6 * 8).reshape(1, 15, 6, 8)
w = np.eye(8).reshape(1, 1, 8, 8)
orders = lax.ConvDimensionNumbers((0, 3, 1, 2), (3, 2, 0, 1), (0, 3, 1, 2))
want = np.concatenate((x[:, :, 5:], np.zeros((1, 15, 1, 8))), axis=2)
wrong = {}
for dtype in (np.int32, np.float32):
    y = lax.conv_general_dilated(x.astype(dtype), w.astype(dtype), (1, 1), ((0, 0), (-5, 1)), dimension_numbers=orders)
    wrong[dtype] = int((np.asarray(y) != want).sum())
    print(f"{dtype.__name__}: {wrong[dtype]} of {want.size} outputs otherwise, the first row {y[0, 0, :, 0].tolist()}")
print("want none, the first row", want[0, 0, :, 0].tolist())

x, w = np.ones((1, 1, 2, 2), np.float32), np.ones((2, 1, 1, 4), np.float32)
y, pull = jax.vjp(lambda x: lax.conv_general_dilated(x, w, (1, 1), ((0, 0), (5, 1))), x)
dy = np.ones(y.shape, np.float32)
dy[:, :, 1] = 100  # of the second row, which the first has nothing of
row = np.asarray(pull(dy)[0])[0, 0, 0].tolist()
print("the first row of the gradient:", row, "want", [6.0, 4.0], "from two filters, of three windows and of two")
sys.exit(int(wrong[np.float32] > 0 or row != [6, 4]))
