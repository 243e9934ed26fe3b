"""Windows of one cell each, beside one of padding: 1 divided by 2."""

import sys

import numpy as np

try:
    import paddle
    import paddle.nn.functional as F
except ImportError:
    sys.exit(2)

paddle.set_device("cpu")

got = F.avg_pool2d(paddle.ones([1, 1, 1, 2]), (1, 2), (1, 2), (0, 1), divisor_override=2).numpy().ravel().tolist()
want = [0.5, 0.5]
print("got ", got)
print("want", want)
sys.exit(int(got != want))
