"""The last column of each row, and a zero after it, in float32 and in int32."""

import os
import sys

import numpy as np

os.environ["JAX_PLATFORMS"] = "cpu"
try:
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
sys.exit(int(wrong[np.float32] > 0))
