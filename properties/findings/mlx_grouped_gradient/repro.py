"""Gradients of a grouped or dilated convolution have the shapes of what they are gradients of."""

import sys

import numpy as np

try:
    import mlx.core as mx
except ImportError:
    sys.exit(2)

mx.set_default_device(mx.cpu)
random, wrong = np.random.RandomState(0), []


def whole(*shape):
    """Small whole numbers."""
    return mx.array(random.randint(-3, 4, shape).astype(np.float32))


for groups, dilation in ((2, (1, 1)), (1, (2, 1))):
    for size in range(1, 20):
        for stride, padding in ((1, 0), (2, 1), (3, 1), (8, 4)):
            if size + 2 * padding < 2 * dilation[0] + 1:
                continue
            x, w = whole(1, size, size, 2), whole(2, 3, 3, 2 // groups)

            def total(x, w, stride=stride, padding=padding, dilation=dilation, groups=groups):
                """The sum of the outputs."""
                return mx.conv2d(x, w, stride, padding, dilation, groups).sum()

            gradients = mx.grad(total, argnums=(0, 1))(x, w)
            told = f"groups {groups}, dilation {dilation}, image {size}, stride {stride}, padding {padding}"
            for argument, gradient, name in ((x, gradients[0], "image"), (w, gradients[1], "filters")):
                if gradient.shape != argument.shape:
                    wrong.append(f"{told}: {name} {gradient.shape}")
print("got ", "; ".join(wrong) or "the shapes of the filters")
print("want gradients of filters of (2, 3, 3, 1) with two groups and (2, 3, 3, 2) with one, as the filters are")
sys.exit(int(bool(wrong)))
