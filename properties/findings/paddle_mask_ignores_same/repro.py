"""Outputs of max pooling, with the mask and without."""

import sys

import numpy as np

try:
    import paddle
    from paddle.nn import functional
except ImportError:
    sys.exit(2)

paddle.set_device("cpu")

x = paddle.to_tensor(np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4))
want = functional.max_pool2d(x, 3, 1, "SAME")
got, _ = functional.max_pool2d(x, 3, 1, "SAME", return_mask=True)
print("got ", got.shape, "with the mask")
print("want", want.shape, "as without")
sys.exit(int(got.shape != want.shape))
