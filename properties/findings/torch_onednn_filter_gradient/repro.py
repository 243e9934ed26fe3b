"""The gradient of filters whose windows fit once across and some 30 times down, with oneDNN and without."""

import sys

try:
    import torch
except ImportError:
    sys.exit(2)


torch.set_num_threads(1)


def gradient(height, width, outputs):
    """The gradient of a filter of ones, for an image and an outer gradient of ones: the number of outputs, each."""
    image = torch.ones(1, 1, outputs + height - 1, width)
    weights = torch.ones(1, 1, height, width, requires_grad=True)
    torch.nn.functional.conv2d(image, weights).sum().backward()
    return weights.grad


wrong = []
for height in (4, 5, 6):
    for width in (15, 16, 17):
        for outputs in (30, 32):
            got = gradient(height, width, outputs)
            if not bool((got == outputs).all()):
                wrong.append(f"filter {height} x {width}: {float((got - outputs).abs().max()):g} off {outputs}")
print("got ", *wrong[:3], f"and {len(wrong)} of 18 wrong")
print("want the number of outputs, in every cell of the gradient")
sys.exit(int(bool(wrong)))
