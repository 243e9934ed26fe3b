"""Outputs of max pooling in ceil mode, with the mask and without."""

import sys

import numpy as np

try:
    import paddle
    import paddle.nn.functional as F
except ImportError:
    sys.exit(2)

paddle.set_device("cpu")

x = paddle.ones([1, 1, 6, 7])
want = F.max_pool2d(x, 1, 2, ceil_mode=True)
got, _ = F.max_pool2d(x, 1, 2, ceil_mode=True, return_mask=True)
print("got ", got.shape, "with the mask")
print("want", want.shape, "as without")
sys.exit(int(got.shape != want.shape))
