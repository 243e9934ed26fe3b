"""A gradient of five, over a window of three cells of float64."""

import sys

import numpy as np

try:
    import paddle
    from paddle.nn import functional
except ImportError:
    sys.exit(2)

paddle.set_device("cpu")
x = paddle.to_tensor(np.ones((1, 1, 1, 3)), stop_gradient=False)
(functional.avg_pool2d(x, (1, 3)) * 5.0).sum().backward()
got, want = x.grad.numpy().ravel()[0].item(), 5 / 3
print("got ", got)
print("want", want)
sys.exit(int(abs(got - want) > 1e-12))
