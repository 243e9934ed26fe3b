"""Outputs of max pooling in ceil mode, with the mask and without."""

import sys

try:
    import paddle
    from paddle.nn import functional
except ImportError:
    sys.exit(2)

paddle.set_device("cpu")

x = paddle.ones([1, 1, 6, 7])
want = functional.max_pool2d(x, 1, 2, ceil_mode=True)
got, _ = functional.max_pool2d(x, 1, 2, ceil_mode=True, return_mask=True)
print("got ", got.shape, "with the mask")
print("want", want.shape, "as without")
sys.exit(int(got.shape != want.shape))
