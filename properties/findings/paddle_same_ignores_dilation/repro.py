"""The sum of each cell and those two before and two after it, zeros around."""

import sys

import numpy as np

try:
    import paddle
    from paddle.nn import functional
except ImportError:
    sys.exit(2)

paddle.set_device("cpu")

x = paddle.to_tensor(np.arange(1, 5, dtype=np.float32).reshape(1, 1, 1, 4))
got = functional.conv2d(x, paddle.ones([1, 1, 1, 3]), padding="SAME", dilation=[1, 2]).numpy().ravel().tolist()
want = functional.conv2d(x, paddle.ones([1, 1, 1, 3]), padding=[0, 2], dilation=[1, 2]).numpy().ravel().tolist()
print("got ", got)
print("want", want, "as with the padding written out")
sys.exit(int(got != want))
