"""A one and three zeros of padding that count: their average."""

import sys

try:
    import paddle
    from paddle.nn import functional
except ImportError:
    sys.exit(2)

paddle.set_device("cpu")
x, padding = paddle.ones([1, 1, 1, 1]), [0, 1, 0, 1]
got = functional.avg_pool2d(x, 2, 1, padding, exclusive=False).numpy().ravel().tolist()
want = [0.25]
print("got ", got)
print("want", want)
sys.exit(int(got != want))
