"""Lp pooling with p = 1 is a sum of magnitudes: of one number and zero, that number."""

import sys

import numpy as np

try:
    import paddle
    from paddle.nn.functional import lp_pool2d
except ImportError:
    sys.exit(2)

paddle.set_device("cpu")
want, got = [1 / 3, 1e200], []
for value in want:
    x = paddle.to_tensor(np.array([value, 0.0]).reshape(1, 1, 1, 2))
    got.append(lp_pool2d(x, 1.0, (1, 2)).numpy().item())
print("got ", got)
print("want", want)
sys.exit(int(not np.allclose(got, want, rtol=1e-12, atol=0)))
