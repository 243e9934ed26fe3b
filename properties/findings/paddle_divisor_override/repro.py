"""Windows of one cell each, beside one of padding: 1 divided by 2."""

import sys

try:
    import paddle
    from paddle.nn import functional
except ImportError:
    sys.exit(2)

paddle.set_device("cpu")

got = (
    functional.avg_pool2d(paddle.ones([1, 1, 1, 2]), (1, 2), (1, 2), (0, 1), divisor_override=2)
    .numpy()
    .ravel()
    .tolist()
)
want = [0.5, 0.5]
print("got ", got)
print("want", want)
sys.exit(int(got != want))
