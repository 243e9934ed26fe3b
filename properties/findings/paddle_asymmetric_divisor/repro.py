"""A one and three zeros of padding that count: their average."""

import sys

try:
    import paddle
    from paddle.nn import functional
except ImportError:
    sys.exit(2)

paddle.set_device("cpu")
x, said = paddle.ones([1, 1, 1, 1]), {}
for side, padding in (("before", [1, 0, 1, 0]), ("after", [0, 1, 0, 1])):
    said[side] = functional.avg_pool2d(x, 2, 1, padding, exclusive=False).numpy().ravel().tolist()
want = [0.25]
print("got ", said["after"], "with padding after the image,", said["before"], "with padding before it")
print("want", want)
sys.exit(int(said["after"] != want))
